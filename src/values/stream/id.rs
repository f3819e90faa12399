//! What names an entry of a stream: a time and a sequence number.

use std::io::Write as _;

/// The id of an entry. Ids of a stream only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, mostly; clients may choose any number.
    pub ms: u64,
    /// Tells ids of one millisecond apart.
    pub seq: u64,
}

/// An id whose sequence number may be left to the stream, as XADD takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRequest {
    /// Exactly this one.
    Exact(StreamId),
    /// The next one of this millisecond: `ms-*`.
    InMillisecond(u64),
    /// The next one of the present millisecond, or the one behind the last: `*`.
    Next,
}

impl StreamId {
    /// The lowest; no entry has it.
    pub const MIN: Self = Self::new(0, 0);
    /// The highest.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// The id of these two numbers.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id behind this one; none behind the highest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self::new(ms, 0)),
        }
    }

    /// The id before this one; none before the lowest.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self::new(ms, u64::MAX)),
        }
    }

    /// Reads `ms-seq` or `ms`, which has `missing_seq`. The numbers are those of C's `strtoull`, which Redis uses:
    /// spaces and a sign may precede them, and a zero byte ends the text. None for anything else.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        let (ms, seq) = split(text)?;
        Some(Self {
            ms: parse_number(ms)?,
            seq: seq.map_or(Some(missing_seq), parse_number)?,
        })
    }

    /// Reads the same, and also `-` as the lowest and `+` as the highest id.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<Self> {
        match c_text(text) {
            b"-" => Some(Self::MIN),
            b"+" => Some(Self::MAX),
            _ => Self::parse(text, missing_seq),
        }
    }

    /// The id as 16 bytes whose order is that of the ids: both numbers with their highest byte first.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// The id that [`StreamId::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self::new((number >> 64) as u64, number as u64)
    }

    /// The id as text: `ms-seq`.
    pub fn text(self) -> IdText {
        let mut text = IdText {
            bytes: [0; IdText::BYTES_MAX],
            len: 0,
        };
        let mut numbers = itoa::Buffer::new();
        text.push(numbers.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(numbers.format(self.seq).as_bytes());
        text
    }
}

impl IdRequest {
    /// Reads `*`, `ms-*`, `ms-seq` or `ms`, which is `ms-0`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if c_text(text) == b"*" {
            return Some(Self::Next);
        }
        match split(text)? {
            (ms, Some(b"*")) => parse_number(ms).map(Self::InMillisecond),
            _ => StreamId::parse(text, 0).map(Self::Exact),
        }
    }
}

/// Longest text that is looked at: the size of the buffer that Redis copies it to.
const TEXT_BYTES_MAX: usize = 127;

/// The two numbers of an id, the second where there is one.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = c_text(text);
    Some(match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    })
}

/// What C takes for the text: all in front of the first zero byte.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as `strtoull` reads it, with nothing behind it. A sign negates it modulo 2^64, but not in the canonical
/// spelling of a negative number, which Redis recognises and refuses.
fn parse_number(text: &[u8]) -> Option<u64> {
    if matches!(text, [b'-', b'1'..=b'9', ..]) && super::super::text::canonical_integer(text).is_some() {
        return None;
    }
    let spaces = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | 9..=13))
        .count();
    let text = &text[spaces..];
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if text[0] == b'-' {
        number.wrapping_neg()
    } else {
        number
    })
}

/// An id as text, without an allocation.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl IdText {
    /// Two numbers of 20 digits and what is between them.
    const BYTES_MAX: usize = 41;

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, text: &[u8]) {
        let mut unwritten = &mut self.bytes[self.len..];
        unwritten.write_all(text).expect("the longest id fits");
        self.len += text.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = u64::MAX;

    #[test]
    fn neighbours_carry_into_the_time() {
        let pairs = [((0, 0), (0, 1)), ((5, MAX), (6, 0)), ((MAX, 3), (MAX, 4))];
        for ((ms, seq), (next_ms, next_seq)) in pairs {
            let (id, next) = (StreamId::new(ms, seq), StreamId::new(next_ms, next_seq));
            assert_eq!((id.next(), next.previous()), (Some(next), Some(id)));
        }
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
    }

    /// What redis-server 7.0.15 made of them.
    #[test]
    fn ids_are_read_as_in_redis() {
        let long = [b'0'; 128];
        for text in [
            &b""[..],
            b"-",
            b"+",
            b"*",
            b"-1",
            b"5-",
            b"5--5",
            b"x",
            b"5-x",
            b"1-2-3",
            b"5 ",
            b"18446744073709551616",
            b"1-18446744073709551616",
            b"\0",
            &long,
            b"(5",
            b"5-*",
        ] {
            assert_eq!(StreamId::parse(text, 7), None, "{text:?}");
        }
        for (text, ms, seq) in [
            (&b"5"[..], 5, 7),
            (b"5-6", 5, 6),
            (b"0", 0, 7),
            (b"007-08", 7, 8),
            (b" 5-+6", 5, 6),
            (b"5-6\x00garbage", 5, 6),
            (b"5--06", 5, MAX - 5),
            (b"18446744073709551615-18446744073709551615", MAX, MAX),
            (&long[1..], 0, 7),
        ] {
            assert_eq!(StreamId::parse(text, 7), Some(StreamId::new(ms, seq)), "{text:?}");
        }
        assert_eq!(StreamId::parse_bound(b"-", 0), Some(StreamId::MIN));
        assert_eq!(StreamId::parse_bound(b"+", 0), Some(StreamId::MAX));
        assert_eq!(IdRequest::parse(b"*"), Some(IdRequest::Next));
        assert_eq!(IdRequest::parse(b"7-*"), Some(IdRequest::InMillisecond(7)));
        assert_eq!(
            IdRequest::parse(b"7"),
            Some(IdRequest::Exact(StreamId::new(7, 0)))
        );
        assert_eq!(IdRequest::parse(b"-*"), None);
        assert_eq!(IdRequest::parse(b"7-**"), None);
    }

    proptest! {
        #[test]
        fn ids_survive_text_and_bytes(ms: u64, seq: u64) {
            let id = StreamId::new(ms, seq);
            prop_assert_eq!(StreamId::parse(id.text().as_bytes(), 0), Some(id));
            prop_assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }

        #[test]
        fn bytes_have_the_order_of_ids(a: (u64, u64), b: (u64, u64)) {
            let (a, b) = (StreamId::new(a.0, a.1), StreamId::new(b.0, b.1));
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>) {
            let _ = (StreamId::parse(&text, 0), IdRequest::parse(&text), StreamId::parse_bound(&text, 0));
        }
    }
}
