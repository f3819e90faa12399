//! Positions as clients count them: from 0 at the front, from -1 at the back.

use std::ops::Range;

/// The element that `index` means among `len`; `None` where there is none.
pub fn index_among(len: usize, index: i64) -> Option<usize> {
    let from_front = usize::try_from(from_start(len, index)).ok()?;
    (from_front < len).then_some(from_front)
}

/// The elements from `start` to `stop`, both included, among `len`, cut to those that exist; an empty range where that
/// leaves none. The rule of LRANGE, LTRIM and ZRANGE; GETRANGE has another one for a `stop` before the start.
pub fn range_among(len: usize, start: i64, stop: i64) -> Range<usize> {
    let start = from_start(len, start).max(0);
    let stop = from_start(len, stop).min(len as i64 - 1);
    if start > stop {
        return 0..0;
    }
    start as usize..stop as usize + 1
}

/// `index` counted from the front; negative where it lies before it.
fn from_start(len: usize, index: i64) -> i64 {
    if index < 0 { index + len as i64 } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_counts_from_either_end() {
        let cases = [
            (3, 0, Some(0)),
            (3, 2, Some(2)),
            (3, 3, None),
            (3, -1, Some(2)),
            (3, -3, Some(0)),
            (3, -4, None),
            (0, 0, None),
            (0, -1, None),
            (3, i64::MIN, None),
            (3, i64::MAX, None),
        ];
        for (len, index, expected) in cases {
            assert_eq!(index_among(len, index), expected, "{index} of {len}");
        }
    }

    #[test]
    fn a_range_is_cut_to_what_exists() {
        let cases = [
            (3, 0, -1, 0..3),
            (3, 1, 1, 1..2),
            (3, -2, -1, 1..3),
            (3, -100, 100, 0..3),
            (3, 2, 1, 0..0),
            (3, 3, 5, 0..0),
            (3, 0, -4, 0..0),
            (0, 0, -1, 0..0),
            (3, i64::MIN, i64::MAX, 0..3),
            (3, i64::MAX, i64::MIN, 0..0),
            (3, i64::MIN, i64::MIN, 0..0),
            (3, i64::MAX, i64::MAX, 0..0),
        ];
        for (len, start, stop, expected) in cases {
            assert_eq!(range_among(len, start, stop), expected, "{start} {stop} of {len}");
        }
    }
}
