//! Finds the name that somebody probably meant.

/// The name nearest to `wrong` among `names`, if it takes few edits to get there: one for every
/// three letters, at least one.
///
/// Time is the number of names times the product of the two lengths.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (wrong.len() / 3).max(1);
    names
        .map(|name| (edits(wrong.as_bytes(), name.as_bytes()), name))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Bytes inserted, removed, replaced, or swapped with their neighbour to get from `left` to `right`
/// (the optimal string alignment distance).
fn edits(left: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 0..left.len() {
        let mut row = vec![i + 1];
        for j in 0..right.len() {
            let replaced = above[j] + usize::from(left[i] != right[j]);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(edits(b"", b"abc"), 3);
        assert_eq!(edits(b"abc", b"abc"), 0);
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"prot", b"port"), 1);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let names = ["port", "http-port", "maxmemory"];
        assert_eq!(nearest("max-memory", names.into_iter()), Some("maxmemory"));
        assert_eq!(nearest("prot", names.into_iter()), Some("port"));
        assert_eq!(nearest("zebra", names.into_iter()), None);
    }
}
