//! The order that SORT brings elements into.

use std::cmp::Ordering;
use std::ops::Range;

use crate::resp::number::parse_f64;
use crate::values::partial_sort::sort_range;
use crate::values::short_bytes::ShortBytes;
use crate::values::text::canonical_integer;

/// The number that a text weighs, as C's `strtod` reads it, which Redis asks: spaces before it are passed over, the
/// text ends at a zero byte, and nothing is 0. `None` for what is no number, or none that a double can tell from
/// infinity and from 0.
pub fn number(text: &[u8]) -> Option<f64> {
    if let Some(integer) = canonical_integer(text) {
        return Some(integer as f64);
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b';
    let spaces = text.iter().take_while(|byte| is_space(byte)).count();
    parse_f64(&text[spaces..]).filter(|number| !number.is_subnormal())
}

/// What an order is asked for: which part of it, and in which direction.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The places of the sorted elements.
    pub range: Range<usize>,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// The elements by their numbers, of which none is NaN; by their bytes where the numbers are equal. O(N log N).
pub fn by_number<'e>(elements: &'e [ShortBytes], numbers: Vec<f64>, wanted: &Wanted) -> Vec<&'e [u8]> {
    let weighed = numbers.into_iter().zip(elements.iter().map(|element| &**element));
    sorted(weighed.collect(), wanted, |a, b| {
        let numbers = a.0.partial_cmp(&b.0).expect("no weight is NaN");
        numbers.then_with(|| a.1.cmp(b.1))
    })
}

/// The elements by the bytes of their texts; those without a text first. O(N log N).
pub fn by_text<'e>(
    elements: &'e [ShortBytes],
    texts: Vec<Option<ShortBytes>>,
    wanted: &Wanted,
) -> Vec<&'e [u8]> {
    let weighed = texts.into_iter().zip(elements.iter().map(|element| &**element));
    sorted(weighed.collect(), wanted, |a, b| {
        a.0.as_deref().cmp(&b.0.as_deref())
    })
}

/// The elements by their own bytes. O(N log N).
pub fn by_bytes<'e>(elements: &'e [ShortBytes], wanted: &Wanted) -> Vec<&'e [u8]> {
    let weighed = elements.iter().map(|element| ((), &**element));
    sorted(weighed.collect(), wanted, |a, b| a.1.cmp(b.1))
}

/// What compares equal stays in its order, in either direction, if everything is wanted; as in Redis, no more than
/// that part is sorted otherwise, and then it may not.
fn sorted<'e, W>(
    mut weighed: Vec<(W, &'e [u8])>,
    wanted: &Wanted,
    compare: impl Fn(&(W, &'e [u8]), &(W, &'e [u8])) -> Ordering,
) -> Vec<&'e [u8]> {
    let directed = |a: &(W, &'e [u8]), b: &(W, &'e [u8])| {
        let ascending = compare(a, b);
        if wanted.descending {
            ascending.reverse()
        } else {
            ascending
        }
    };
    if wanted.range == (0..weighed.len()) {
        weighed.sort_by(directed);
    } else {
        sort_range(&mut weighed, &wanted.range, directed);
    }
    let sorted = weighed.drain(wanted.range.clone());
    sorted.map(|(_, element)| element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        #[rustfmt::skip] // A table: text, number.
        let table: &[(&[u8], Option<f64>)] = &[
            (b"1",                   Some(1.0)),
            (b"-9223372036854775808", Some(-9_223_372_036_854_775_808.0)),
            (b"1.5e3",               Some(1_500.0)),
            (b"0x10",                Some(16.0)),
            (b"inf",                 Some(f64::INFINITY)),
            (b"-Infinity",           Some(f64::NEG_INFINITY)),
            (b"",                    Some(0.0)),
            (b"\0abc",               Some(0.0)),
            (b"7\0abc",              Some(7.0)),
            (b" \t\n\x0b\x0c\r+7",   Some(7.0)),
            (b" ",                   None),
            (b"7 ",                  None),
            (b"7a",                  None),
            (b"a",                   None),
            (b"nan",                 None),
            (b"1e400",               None),
            (b"1e-400",              None),
            (b"1e-310",              None),
        ];
        for (text, expected) in table {
            assert_eq!(number(text), *expected, "{}", text.escape_ascii());
        }
    }

    fn elements(texts: &[&str]) -> Vec<ShortBytes> {
        texts.iter().map(|text| text.as_bytes().into()).collect()
    }

    fn all(elements: &[ShortBytes], descending: bool) -> Wanted {
        Wanted {
            range: 0..elements.len(),
            descending,
        }
    }

    #[test]
    fn equal_numbers_are_told_apart_by_bytes() {
        let elements = elements(&["b", "a", "c", "z"]);
        let order = |wanted: &Wanted| by_number(&elements, vec![0.0, -0.0, 0.0, -1.0], wanted);
        assert_eq!(order(&all(&elements, false)), [b"z", b"a", b"b", b"c"]);
        assert_eq!(order(&all(&elements, true)), [b"c", b"b", b"a", b"z"]);
        let middle = Wanted {
            range: 1..3,
            descending: true,
        };
        assert_eq!(order(&middle), [b"b", b"a"]);
    }

    #[test]
    fn elements_without_a_text_come_first_in_their_order() {
        let elements = elements(&["b", "a", "c", "z"]);
        let texts = || [None, None, Some("x"), Some("")].map(|text| text.map(|text| text.as_bytes().into()));
        let order = |descending| by_text(&elements, texts().into(), &all(&elements, descending));
        assert_eq!(order(false), [b"b", b"a", b"z", b"c"]);
        assert_eq!(order(true), [b"c", b"z", b"b", b"a"]);
        assert_eq!(
            by_bytes(&elements, &all(&elements, false)),
            [b"a", b"b", b"c", b"z"]
        );
    }
}
