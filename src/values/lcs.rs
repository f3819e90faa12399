//! The longest common subsequence of two strings, and where it lies in each.
//!
//! The method is the classic table of `(a + 1) × (b + 1)` lengths, walked back from its end; the walk takes
//! the same turn as Redis where several subsequences are equally long, so that replies agree.

use std::ops::Range;

/// A run of bytes that both strings have and that the subsequence takes as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where the run is in the first string.
    pub a: Range<usize>,
    /// Where it is in the second.
    pub b: Range<usize>,
}

/// Bytes of memory that [`matches()`] takes while it runs, or `u64::MAX` if that does not fit. The caller
/// refuses what exceeds its limit.
pub fn table_bytes(a_len: usize, b_len: usize) -> u64 {
    let cells = (a_len as u64 + 1).saturating_mul(b_len as u64 + 1);
    cells.saturating_mul(size_of::<u32>() as u64)
}

/// The length of the longest common subsequence. O(a × b) time, O(b) space.
pub fn length(a: &[u8], b: &[u8]) -> usize {
    let mut row = vec![0_u32; b.len() + 1];
    let mut former = row.clone();
    for &byte in a {
        std::mem::swap(&mut row, &mut former);
        fill_row(&mut row, &former, byte, b);
    }
    row[b.len()] as usize
}

/// The runs that make up the longest common subsequence, from the end of the strings to their start.
/// Both strings must be shorter than 4 GiB. O(a × b) time; [`table_bytes`] of space.
pub fn matches(a: &[u8], b: &[u8]) -> Vec<Match> {
    let table = Table::new(a, b);
    let mut matches = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        let run = common_suffix_len(&a[..i], &b[..j]);
        if run > 0 {
            matches.push(Match {
                a: i - run..i,
                b: j - run..j,
            });
            (i, j) = (i - run, j - run);
        } else if table.length(i - 1, j) > table.length(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    matches
}

/// The subsequence itself, from the first string and its [`matches()`].
pub fn sequence(a: &[u8], matches: &[Match]) -> Vec<u8> {
    matches
        .iter()
        .rev()
        .flat_map(|run| &a[run.a.clone()])
        .copied()
        .collect()
}

fn common_suffix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(left, right)| left == right)
        .count()
}

/// For each prefix of `a` and each of `b` the length of their longest common subsequence.
struct Table {
    lengths: Vec<u32>,
    row_len: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let row_len = b.len() + 1;
        let mut lengths = vec![0; (a.len() + 1) * row_len];
        for (i, &byte) in a.iter().enumerate() {
            let (former, row) = lengths[i * row_len..(i + 2) * row_len].split_at_mut(row_len);
            fill_row(row, former, byte, b);
        }
        Self { lengths, row_len }
    }

    fn length(&self, a_len: usize, b_len: usize) -> u32 {
        self.lengths[a_len * self.row_len + b_len]
    }
}

/// Computes the table's row for a prefix of `a` that ends in `byte` from the row before.
fn fill_row(row: &mut [u32], former: &[u32], byte: u8, b: &[u8]) {
    let mut left = 0;
    for ((cell, above), &other) in row[1..].iter_mut().zip(former.windows(2)).zip(b) {
        left = if byte == other {
            above[0] + 1
        } else {
            left.max(above[1])
        };
        *cell = left;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_redis_on_its_documented_example() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let found = matches(a, b);
        assert_eq!(found, [Match { a: 4..8, b: 5..9 }, Match { a: 2..4, b: 0..2 }]);
        assert_eq!(sequence(a, &found), b"mytext");
        assert_eq!(length(a, b), 6);
    }

    #[test]
    fn empty_strings_have_nothing_in_common() {
        assert_eq!(length(b"", b"abc"), 0);
        assert_eq!(matches(b"abc", b""), []);
        assert_eq!(table_bytes(0, 0), 4);
        assert_eq!(table_bytes(1 << 40, 1 << 40), u64::MAX);
    }

    /// All common subsequences, by definition: the longest of the two that leave out one last byte.
    fn naive_length(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], _) | (_, []) => 0,
            ([a_head @ .., x], [b_head @ .., y]) if x == y => 1 + naive_length(a_head, b_head),
            ([a_head @ .., _], [b_head @ .., _]) => naive_length(a_head, b).max(naive_length(a, b_head)),
        }
    }

    proptest! {
        #[test]
        fn runs_are_common_disjoint_and_as_long_as_possible(
            a in vec(b'a'..b'd', 0..9),
            b in vec(b'a'..b'd', 0..9),
        ) {
            let found = matches(&a, &b);
            let (mut a_end, mut b_end) = (a.len(), b.len());
            for run in &found {
                prop_assert_eq!(&a[run.a.clone()], &b[run.b.clone()]);
                prop_assert!(run.a.end <= a_end && run.b.end <= b_end);
                (a_end, b_end) = (run.a.start, run.b.start);
            }
            let expected = naive_length(&a, &b);
            prop_assert_eq!(sequence(&a, &found).len(), expected);
            prop_assert_eq!(length(&a, &b), expected);
        }
    }
}
