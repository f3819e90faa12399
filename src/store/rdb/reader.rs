//! Lengths, strings and numbers as payloads hold them.
//!
//! The upper two bits of a length's first byte tell its form: 6 bits follow, 14 bits, 32 or 64 bits in the bytes
//! behind; or, for a string, that it is an integer or packed.

use super::{Malformed, Result, lzf};
use crate::limits::PAYLOAD_UNPACKED_BYTES_MAX;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

const LENGTH_OF_32_BITS: u8 = 0x80;
const LENGTH_OF_64_BITS: u8 = 0x81;
const STRING_INT8: u8 = 0xc0;
const STRING_INT16: u8 = 0xc1;
const STRING_INT32: u8 = 0xc2;
const STRING_PACKED: u8 = 0xc3;

/// A double as text begins with its length, or with one of these.
const DOUBLE_NAN: u8 = 253;
const DOUBLE_INFINITE: u8 = 254;
const DOUBLE_NEGATIVE_INFINITE: u8 = 255;

/// Reads a payload from its front. Every method fails when less is left than it needs.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// What may still be unpacked, in bytes.
    unpackable: usize,
}

/// A string of a payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// An integer, or bytes of the payload.
    Plain(Text<'a>),
    /// Bytes that were packed.
    Unpacked(Vec<u8>),
}

impl Scalar<'_> {
    /// The string.
    pub fn text(&self) -> Text<'_> {
        match self {
            Self::Plain(text) => *text,
            Self::Unpacked(bytes) => Text::Bytes(bytes),
        }
    }

    /// The bytes of a string that is no integer; Redis writes none where it wants a structure.
    pub(super) fn bytes(&self) -> Result<&[u8]> {
        match self.text() {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Int(_) => Err(Malformed),
        }
    }
}

/// Lends the bytes of a text to `use_bytes`.
pub(super) fn with_bytes<R>(text: Text<'_>, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
    use_bytes(text.as_bytes(&mut [0; INTEGER_BYTES_MAX]))
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            unpackable: PAYLOAD_UNPACKED_BYTES_MAX,
        }
    }

    /// How many bytes are left: no more elements can follow.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A number that is written like a length.
    pub(super) fn length(&mut self) -> Result<u64> {
        let first = self.byte()?;
        self.length_beginning(first)
    }

    /// A count of elements of at least one byte each. More than could follow is an error at once.
    pub(super) fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.length()?).map_err(|_| Malformed)?;
        if count > self.remaining() {
            Err(Malformed)
        } else {
            Ok(count)
        }
    }

    fn length_beginning(&mut self, first: u8) -> Result<u64> {
        match first {
            0x00..=0x3f => Ok(u64::from(first)),
            0x40..=0x7f => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            LENGTH_OF_32_BITS => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            LENGTH_OF_64_BITS => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(Malformed),
        }
    }

    /// A string of any form.
    pub(super) fn string(&mut self) -> Result<Scalar<'a>> {
        let integer = match self.byte()? {
            STRING_INT8 => i64::from(i8::from_le_bytes(self.array()?)),
            STRING_INT16 => i64::from(i16::from_le_bytes(self.array()?)),
            STRING_INT32 => i64::from(i32::from_le_bytes(self.array()?)),
            STRING_PACKED => return self.packed().map(Scalar::Unpacked),
            first => {
                let len = usize::try_from(self.length_beginning(first)?).map_err(|_| Malformed)?;
                return Ok(Scalar::Plain(Text::Bytes(self.bytes(len)?)));
            }
        };
        Ok(Scalar::Plain(Text::Int(integer)))
    }

    fn packed(&mut self) -> Result<Vec<u8>> {
        let packed_len = usize::try_from(self.length()?).map_err(|_| Malformed)?;
        let len = usize::try_from(self.length()?).map_err(|_| Malformed)?;
        let packed = self.bytes(packed_len)?;
        self.charge(len)?;
        lzf::unpack(packed, len)
    }

    /// Notes that `bytes` are made of what is less in the payload; fails when they become too many.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.unpackable = self.unpackable.checked_sub(bytes).ok_or(Malformed)?;
        Ok(())
    }

    /// A double in its eight bytes.
    pub(super) fn double(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// A double as text.
    pub(super) fn double_text(&mut self) -> Result<f64> {
        match self.byte()? {
            DOUBLE_NAN => Ok(f64::NAN),
            DOUBLE_INFINITE => Ok(f64::INFINITY),
            DOUBLE_NEGATIVE_INFINITE => Ok(f64::NEG_INFINITY),
            len => parse_double(self.bytes(usize::from(len))?),
        }
    }

    /// Unix milliseconds; -1 is none.
    pub(super) fn unix_ms(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

/// The double that a text spells, `inf` and `nan` included.
pub(super) fn parse_double(text: &[u8]) -> Result<f64> {
    let text = str::from_utf8(text).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Result<Vec<u8>> {
        let scalar = Reader::new(bytes).string()?;
        Ok(with_bytes(scalar.text(), <[u8]>::to_vec))
    }

    #[test]
    fn lengths_have_four_forms() {
        #[rustfmt::skip]
        let table: &[(&[u8], u64)] = &[
            (b"\x00", 0), (b"\x3f", 63), (b"\x40\x40", 64), (b"\x7f\xff", 16_383), (b"\x80\x00\x00\x40\x00", 16_384),
            (b"\x80\xff\xff\xff\xff", u64::from(u32::MAX)), (b"\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32),
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX),
        ];
        for (bytes, length) in table {
            assert_eq!(Reader::new(bytes).length(), Ok(*length));
            for end in 0..bytes.len() {
                assert_eq!(Reader::new(&bytes[..end]).length(), Err(Malformed));
            }
        }
        for first in 0x82..=0xff {
            assert_eq!(Reader::new(&[first; 20]).length(), Err(Malformed), "{first:x}");
        }
    }

    #[test]
    fn strings_are_bytes_or_integers_or_packed() {
        #[rustfmt::skip]
        let table: &[(&[u8], &[u8])] = &[
            (b"\x00", b""), (b"\x03abc", b"abc"), (b"\xc0\x80", b"-128"), (b"\xc1\x39\x30", b"12345"),
            (b"\xc2\x00\x00\x00\x80", b"-2147483648"), (b"\xc3\x08\x40\x64\x01aa\xe0\x58\x00\x00a", &[b'a'; 100]),
        ];
        for (bytes, expected) in table {
            assert_eq!(string(bytes).as_deref(), Ok(*expected));
            for end in 0..bytes.len() {
                assert_eq!(string(&bytes[..end]), Err(Malformed));
            }
        }
        assert_eq!(string(b"\xc4\x00\x00"), Err(Malformed));
        assert_eq!(string(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xffabc"), Err(Malformed));
    }

    #[test]
    fn what_is_unpacked_in_all_is_bounded() {
        let mut reader = Reader::new(b"\xc3\x08\x40\x64\x01aa\xe0\x58\x00\x00a");
        reader.charge(PAYLOAD_UNPACKED_BYTES_MAX - 99).unwrap();
        assert_eq!(reader.string(), Err(Malformed));
    }

    #[test]
    fn doubles_are_texts_or_bytes() {
        #[rustfmt::skip]
        let table: &[(&[u8], f64)] = &[
            (b"\x031.5", 1.5), (b"\x05-1e10", -1e10), (b"\xfe", f64::INFINITY), (b"\xff", f64::NEG_INFINITY),
            (b"\x030.1", 0.1),
        ];
        for (bytes, expected) in table {
            assert_eq!(Reader::new(bytes).double_text(), Ok(*expected));
        }
        assert!(Reader::new(b"\xfd").double_text().unwrap().is_nan());
        for bytes in [&b"\x00"[..], b"\x02x1", b"\x031.", b"\x02\xff\xff"] {
            assert_eq!(Reader::new(bytes).double_text(), Err(Malformed));
        }
        assert_eq!(Reader::new(&1.5_f64.to_le_bytes()).double(), Ok(1.5));
    }
}
