//! Members with their scores in one block of memory, in the order of a sorted set: by score, then by member.
//!
//! A string of the block is one byte that tells the score's width, the score, and the member. Scores that are whole
//! numbers take as many bytes as they need, others eight.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::values::packed::{Packed, Strings};

/// A member of a sorted set with its score, which is not NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored<'a> {
    /// The member.
    pub member: &'a [u8],
    /// Its score.
    pub score: f64,
}

impl<'a> Scored<'a> {
    /// A member with its score.
    #[inline]
    pub fn new(member: &'a [u8], score: f64) -> Self {
        Self { member, score }
    }

    /// How sorted sets order their members: by score, then byte by byte. Zeros of either sign are equal. (NaN comes last,
    /// so that this is an order in any case.)
    #[inline]
    pub fn order(&self, other: &Scored<'_>) -> Ordering {
        let by_score = self.score.partial_cmp(&other.score);
        by_score
            .unwrap_or_else(|| self.score.is_nan().cmp(&other.score.is_nan()))
            .then_with(|| self.member.cmp(other.member))
    }
}

/// Whether two scores are the same in the order: zeros of either sign are.
#[expect(clippy::float_cmp, reason = "scores are what clients say, not approximations")]
#[inline]
pub fn is_same_score(one: f64, other: f64) -> bool {
    one == other
}

/// A point between members of a sorted set.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Where this member with this score stands, or would stand.
    Of(Scored<'a>),
    /// Before all members that have at least this score.
    BeforeScore(f64),
    /// Behind all members that have at most this score.
    BehindScore(f64),
    /// Before all members from this one on, where all have the same score.
    BeforeMember(&'a [u8]),
    /// Behind all members up to this one, where all have the same score.
    BehindMember(&'a [u8]),
}

impl Place<'_> {
    /// Whether what has this score and this member, which is looked up only if it matters, stands before the place.
    #[inline]
    pub fn is_behind<'m>(&self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Self::Of(sought) if is_same_score(score, sought.score) => member() < sought.member,
            Self::Of(Scored { score: sought, .. }) | Self::BeforeScore(sought) => score < sought,
            Self::BehindScore(sought) => score <= sought,
            Self::BeforeMember(sought) => member() < sought,
            Self::BehindMember(sought) => member() <= sought,
        }
    }
}

/// An entry of a run that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// How many entries stand before it.
    pub index: usize,
    /// Where it begins.
    pub offset: usize,
    /// Its score.
    pub score: f64,
}

/// Members with their scores, in order.
#[derive(Debug, Clone, Default)]
pub struct Run {
    strings: Packed,
}

impl Run {
    /// How many entries there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// Bytes of all entries. O(1).
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.strings.byte_len()
    }

    /// Bytes of heap, as the allocator rounds them. O(1).
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.strings.heap_bytes()
    }

    /// How many bytes the entry of a member takes at most.
    pub fn bytes_of(member: &[u8]) -> usize {
        Packed::bytes_of(ScoreCode::BYTES_MAX + member.len())
    }

    /// Whether there is room for a member of `member_bytes`.
    pub fn has_room_for(&self, member_bytes: usize) -> bool {
        self.strings.has_room_for(ScoreCode::BYTES_MAX + member_bytes)
    }

    /// The entries in order.
    #[inline]
    pub fn iter(&self) -> Entries<'_> {
        self.iter_from(0)
    }

    /// The entries from the one at `offset` on.
    #[inline]
    pub fn iter_from(&self, offset: usize) -> Entries<'_> {
        Entries {
            strings: self.strings.iter_from(offset),
        }
    }

    /// The first entry of a run that has any. O(1).
    #[inline]
    pub fn first(&self) -> Scored<'_> {
        self.get_at(0)
    }

    /// The entry at `offset`. O(1).
    #[inline]
    pub fn get_at(&self, offset: usize) -> Scored<'_> {
        decode(self.strings.get_at(offset).0)
    }

    /// Where the entry of this index begins; of an index beyond the last, where the last ends. O(index).
    #[inline]
    pub fn offset_of(&self, index: usize) -> usize {
        self.strings.offset_of(index)
    }

    /// The entry of `member`. O(N).
    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<Found> {
        let mut strings = self.strings.iter();
        let mut index = 0;
        loop {
            let offset = strings.offset();
            let string = strings.next()?;
            if is_of(string, member) {
                let score = decode(string).score;
                return Some(Found { index, offset, score });
            }
            index += 1;
        }
    }

    /// Index and offset of the first entry that is not before `place`, or of the end. O(N).
    #[inline]
    pub fn seek(&self, place: Place<'_>) -> (usize, usize) {
        let mut entries = self.iter();
        let mut index = 0;
        loop {
            let offset = entries.offset();
            match entries.next() {
                Some(entry) if place.is_behind(entry.score, || entry.member) => index += 1,
                _ => return (index, offset),
            }
        }
    }

    /// Adds an entry before the one at `offset`, which is its place.
    pub fn insert(&mut self, offset: usize, entry: Scored<'_>) {
        let code = ScoreCode::of(entry.score);
        let mut string = SmallVec::<[u8; 128]>::with_capacity(code.as_bytes().len() + entry.member.len());
        string.extend_from_slice(code.as_bytes());
        string.extend_from_slice(entry.member);
        self.strings.insert_at(offset, &string);
    }

    /// Adds an entry that comes behind all others.
    pub fn push(&mut self, entry: Scored<'_>) {
        self.insert(self.byte_len(), entry);
    }

    /// Removes `count` entries from the one at `offset` on.
    #[inline]
    pub fn remove(&mut self, offset: usize, count: usize) {
        self.strings.remove_at(offset, count);
    }

    /// Cuts off the entries from the one at `offset` on, and returns them.
    #[must_use]
    pub fn split_off(&mut self, offset: usize) -> Self {
        let tail = self.strings.iter_from(offset).collect::<Packed>();
        self.strings.remove_at(offset, tail.len());
        Self { strings: tail }
    }

    /// Adds the entries of a run that comes behind this one.
    pub fn append(&mut self, other: &Self) {
        self.strings.extend(&other.strings);
    }

    /// The offset, of those of entries, that divides the bytes most evenly with entries on both sides; the run has
    /// two entries or more. O(N).
    pub fn middle(&self) -> usize {
        let half = self.byte_len() / 2;
        let mut entries = self.iter();
        entries.next();
        let mut middle = entries.offset();
        for _ in 2..self.len() {
            entries.next();
            if entries.offset().abs_diff(half) > middle.abs_diff(half) {
                break;
            }
            middle = entries.offset();
        }
        middle
    }
}

impl<'a> IntoIterator for &'a Run {
    type Item = Scored<'a>;
    type IntoIter = Entries<'a>;
    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<Scored<'a>> for Run {
    /// A run of entries that come in order.
    fn from_iter<I: IntoIterator<Item = Scored<'a>>>(entries: I) -> Self {
        let mut run = Self::default();
        entries.into_iter().for_each(|entry| run.push(entry));
        run
    }
}

/// The entries of a [`Run`] in order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    strings: Strings<'a>,
}

impl Entries<'_> {
    /// The offset of the entry that comes next.
    #[inline]
    pub fn offset(&self) -> usize {
        self.strings.offset()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Scored<'a>;

    #[inline]
    fn next(&mut self) -> Option<Scored<'a>> {
        self.strings.next().map(decode)
    }
}

/// Whether an entry is that of `member`.
#[inline]
fn is_of(string: &[u8], member: &[u8]) -> bool {
    let start = 1 + usize::from(string[0]);
    // Members of one length mostly differ in their last byte.
    string.len() == start + member.len()
        && string.last() == member.last().or(string.last())
        && &string[start..] == member
}

#[inline]
fn decode(string: &[u8]) -> Scored<'_> {
    let width = usize::from(string[0]);
    let member = &string[1 + width..];
    let bits = match string.get(1..9) {
        Some(eight) => {
            let eight = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            eight & u64::MAX.checked_shr(64 - 8 * width as u32).unwrap_or(0)
        }
        None => read_short(&string[1..=width]),
    };
    let score = if width == 8 {
        f64::from_bits(bits)
    } else {
        whole_from(bits) as f64
    };
    Scored { member, score }
}

/// A number of up to eight bytes, the lowest first.
fn read_short(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Undoes what [`ScoreCode::of`] does to bring the sign to the lowest bit.
#[inline]
fn whole_from(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}

/// A score as it stands in an entry: its width, then its bytes, the lowest first.
struct ScoreCode {
    bytes: [u8; Self::BYTES_MAX],
    width: usize,
}

impl ScoreCode {
    const BYTES_MAX: usize = 9;

    #[inline]
    fn of(score: f64) -> Self {
        /// Below this all whole numbers are doubles, and their codes have seven bytes at most.
        const WHOLE_END: u64 = 1 << 53;
        let whole = score as i64;
        let is_whole = (whole as f64).to_bits() == score.to_bits() && whole.unsigned_abs() < WHOLE_END;
        let (bits, width) = if is_whole {
            let code = (whole << 1 ^ whole >> 63) as u64;
            (code, 8 - code.leading_zeros() as usize / 8)
        } else {
            (score.to_bits(), 8)
        };
        let mut bytes = [width as u8; Self::BYTES_MAX];
        bytes[1..].copy_from_slice(&bits.to_le_bytes());
        Self { bytes, width }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..=self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Entry<'a> = (f64, &'a [u8]);

    fn run_of(entries: &[Entry<'_>]) -> Run {
        let mut run = Run::default();
        for (score, member) in entries {
            run.push(Scored::new(member, *score));
        }
        run
    }

    #[test]
    fn whole_scores_take_as_many_bytes_as_they_need() {
        let widths = [
            (0.0, 0),
            (-0.0, 8),
            (1.0, 1),
            (-128.0, 1),
            (127.0, 1),
            (128.0, 2),
            (1e6, 3),
            (1.6e12, 6),
            (9_007_199_254_740_991.0, 7),
            (9_007_199_254_740_992.0, 8),
            (0.5, 8),
            (f64::INFINITY, 8),
            (i64::MIN as f64, 8),
        ];
        for (score, width) in widths {
            let run = run_of(&[(score, b"m")]);
            assert_eq!(run.byte_len(), 1 + 1 + width + 1, "{score}");
        }
    }

    #[test]
    fn the_middle_leaves_something_on_both_sides() {
        let wide = [b'x'; 1000];
        let cases: [(&[Entry<'_>], usize); 4] = [
            (&[(0.0, b""), (0.0, b"")], 2),
            (&[(0.0, &wide), (0.0, b"y")], 1003),
            (&[(0.0, b"a"), (0.0, b"b"), (0.0, &wide)], 6),
            (&[(0.0, b"a"), (0.0, b"b"), (0.0, b"c"), (0.0, b"d")], 6),
        ];
        for (entries, middle) in cases {
            let mut run = run_of(entries);
            assert_eq!(run.middle(), middle);
            let tail = run.split_off(middle);
            assert!(run.len() + tail.len() == entries.len() && !run.is_empty() && !tail.is_empty());
        }
    }

    #[test]
    fn members_that_are_part_of_each_other_are_told_apart() {
        let run = run_of(&[(1.0, b""), (2.0, b"a"), (300.0, b"aa"), (4e300, b"\x01a")]);
        let index = |member: &[u8]| run.find(member).map(|found| (found.index, found.score));
        assert_eq!(index(b""), Some((0, 1.0)));
        assert_eq!(index(b"a"), Some((1, 2.0)));
        assert_eq!(index(b"aa"), Some((2, 300.0)));
        assert_eq!(index(b"\x01a"), Some((3, 4e300)));
        assert_eq!(index(b"\x01"), None);
    }

    proptest! {
        #[test]
        fn scores_come_back(bits in any::<u64>(), shift in 0..64_u32, member in proptest::collection::vec(any::<u8>(), 0..12)) {
            let scores = [f64::from_bits(bits), (bits >> shift) as f64, -((bits >> shift) as f64)];
            for score in scores.into_iter().filter(|score| !score.is_nan()) {
                let run = run_of(&[(score, &member)]);
                let first = run.first();
                prop_assert_eq!(first.score.to_bits(), score.to_bits());
                prop_assert_eq!(first.member, &member[..]);
                prop_assert_eq!(run.find(&member).map(|found| found.index), Some(0));
            }
        }

        #[test]
        fn a_place_is_found_where_the_order_says(
            scores in proptest::collection::vec(-3..3_i32, 0..20), sought in -3..3_i32, letter in 0..20_u8
        ) {
            let mut entries: Vec<_> = scores.iter().enumerate().map(|(at, score)| (f64::from(*score), vec![at as u8])).collect();
            entries.sort_by(|one, other| Scored::new(&one.1, one.0).order(&Scored::new(&other.1, other.0)));
            let run = run_of(&entries.iter().map(|(score, member)| (*score, &member[..])).collect::<Vec<_>>());
            let (sought, member) = (f64::from(sought), [letter]);
            let index = |place| run.seek(place).0;
            prop_assert_eq!(index(Place::BeforeScore(sought)), entries.iter().filter(|entry| entry.0 < sought).count());
            prop_assert_eq!(index(Place::BehindScore(sought)), entries.iter().filter(|entry| entry.0 <= sought).count());
            let of = Scored::new(&member, sought);
            let before = entries.iter().filter(|entry| Scored::new(&entry.1, entry.0).order(&of).is_lt()).count();
            prop_assert_eq!(index(Place::Of(of)), before);
            prop_assert_eq!(run.seek(Place::Of(of)).1, run.offset_of(before));
        }
    }
}
