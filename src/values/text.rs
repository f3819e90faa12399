//! Text values: bytes, or the integer that they spell.

use std::ops::Range;

/// The longest text of an `i64`: a sign and 19 digits.
pub const INTEGER_BYTES_MAX: usize = 20;

/// A text value as it is stored. Texts that spell an integer in canonical form are kept as the integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// The integer whose decimal digits are the text.
    Int(i64),
    /// The text itself.
    Bytes(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The text as it would best be stored: as an integer where [`canonical_integer`] allows it.
    pub fn new(bytes: &'a [u8]) -> Self {
        canonical_integer(bytes).map_or(Self::Bytes(bytes), Self::Int)
    }

    /// How many bytes the text has.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(integer) => decimal_len(*integer),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether the text has no bytes.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    /// Appends the text to `out`.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(integer) => out.extend_from_slice(itoa::Buffer::new().format(*integer).as_bytes()),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The text's bytes, spelled into `scratch` where it is an integer.
    pub fn as_bytes<'b>(&self, scratch: &'b mut [u8; INTEGER_BYTES_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Self::Bytes(bytes) => bytes,
            Self::Int(integer) => {
                let mut buffer = itoa::Buffer::new();
                let digits = buffer.format(integer).as_bytes();
                let spelled = &mut scratch[..digits.len()];
                spelled.copy_from_slice(digits);
                spelled
            }
        }
    }

    /// The integer that the text spells, if it does so in canonical form.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Int(integer) => Some(*integer),
            Self::Bytes(bytes) => canonical_integer(bytes),
        }
    }
}

fn decimal_len(integer: i64) -> usize {
    let digits = integer
        .unsigned_abs()
        .checked_ilog10()
        .map_or(1, |log| log as usize + 1);
    digits + usize::from(integer < 0)
}

/// The integer that `bytes` spell, if they are exactly what printing it would give: decimal digits, no
/// leading zeros, no `+`, no `-0`, no spaces, within `i64`.
pub fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) || digits.len() >= INTEGER_BYTES_MAX {
        return None;
    }
    // 19 digits cannot exceed u64.
    let mut magnitude = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The part of `len` elements that GETRANGE and its kin mean by `start` and `end`, both included, negative
/// ones counted from the end. Out-of-range indices move to the nearest element, so `0 -100` is the first
/// one, except that two negative indices in the wrong order are empty at once. Serves bits as well as bytes.
pub fn clamp_range(len: usize, start: i64, end: i64) -> Range<usize> {
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let from_start = |index: i64| {
        if index < 0 {
            len.saturating_sub(index.unsigned_abs() as usize)
        } else {
            index as usize
        }
    };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { 0..0 } else { start..end + 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_canonical_texts_are_integers() {
        let min = i64::MIN.to_string();
        let max = i64::MAX.to_string();
        for (text, integer) in [
            ("0", 0),
            ("-1", -1),
            ("10", 10),
            (&min, i64::MIN),
            (&max, i64::MAX),
        ] {
            assert_eq!(canonical_integer(text.as_bytes()), Some(integer));
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999999",
            "1234567890123456789:",
        ] {
            assert_eq!(canonical_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn clamps_ranges_as_getrange_does() {
        #[rustfmt::skip] // A table: length, start, end, and what a real server answers.
        let table = [
            (5, 0, -1, 0..5), (5, 1, 3, 1..4), (5, -3, -1, 2..5), (5, 0, 100, 0..5),
            (5, 5, 9, 0..0), (5, 3, 1, 0..0), (5, -1, -2, 0..0), (5, -100, 2, 0..3),
            (5, 0, -100, 0..1), (5, -100, -50, 0..1), (5, -50, -100, 0..0), (0, 0, -1, 0..0),
            (5, i64::MIN, i64::MAX, 0..5), (5, i64::MAX, i64::MIN, 0..0),
        ];
        for (len, start, end, expected) in table {
            assert_eq!(clamp_range(len, start, end), expected, "{len} {start} {end}");
        }
    }

    proptest! {
        #[test]
        fn integers_come_back_from_their_text(integer: i64) {
            let spelled = integer.to_string();
            let text = Text::new(spelled.as_bytes());
            prop_assert_eq!(text, Text::Int(integer));
            prop_assert_eq!(text.len(), spelled.len());
            let mut scratch = [0; INTEGER_BYTES_MAX];
            prop_assert_eq!(text.as_bytes(&mut scratch), spelled.as_bytes());
            let mut out = b"> ".to_vec();
            text.write_into(&mut out);
            prop_assert_eq!(&out[2..], spelled.as_bytes());
        }

        #[test]
        fn canonical_means_what_printing_gives(text in "[-+0-9 ]{0,3}|-?[0-9]{17,21}") {
            let parsed = text.parse::<i64>().ok().filter(|integer| integer.to_string() == text);
            prop_assert_eq!(canonical_integer(text.as_bytes()), parsed);
            prop_assert_eq!(Text::new(text.as_bytes()).integer(), parsed);
        }
    }
}
