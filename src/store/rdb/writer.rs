//! Writing lengths, strings and numbers as payloads hold them.

use super::sealed;
use crate::values::text::Text;

/// Strings of integers from this length on are written as they are: none of them fits in 32 bits.
const INTEGER_BYTES_MAX: usize = 11;

/// Writes a payload from its front.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A payload of this form.
    pub(super) fn new(form: u8) -> Self {
        Self(vec![form])
    }

    /// Appends bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends a length, or a number that is written like one.
    pub(super) fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.0.push(length as u8),
            0x40..0x4000 => self.raw(&(length as u16 | 0x4000).to_be_bytes()),
            0x4000..0x1_0000_0000 => {
                self.0.push(0x80);
                self.raw(&(length as u32).to_be_bytes());
            }
            _ => {
                self.0.push(0x81);
                self.raw(&length.to_be_bytes());
            }
        }
    }

    /// Appends a string, as an integer if it spells one of up to 32 bits.
    pub(super) fn string(&mut self, bytes: &[u8]) {
        match Text::new(bytes) {
            Text::Int(integer) if bytes.len() <= INTEGER_BYTES_MAX && self.integer(integer) => {}
            _ => self.blob(bytes),
        }
    }

    /// Appends a string that is a structure.
    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.length(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Appends an integer; nothing if it has more than 32 bits.
    fn integer(&mut self, integer: i64) -> bool {
        let bytes = integer.to_le_bytes();
        let (head, width) = match integer {
            -0x80..=0x7f => (0xc0, 1),
            -0x8000..=0x7fff => (0xc1, 2),
            -0x8000_0000..=0x7fff_ffff => (0xc2, 4),
            _ => return false,
        };
        self.0.push(head);
        self.raw(&bytes[..width]);
        true
    }

    /// Appends a double in its eight bytes.
    pub(super) fn double(&mut self, double: f64) {
        self.raw(&double.to_le_bytes());
    }

    /// Appends Unix milliseconds.
    pub(super) fn unix_ms(&mut self, unix_ms: u64) {
        self.raw(&unix_ms.to_le_bytes());
    }

    /// The payload, which is of this version.
    pub(super) fn finish(self, version: u16) -> Vec<u8> {
        sealed(self.0, version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reader::{Reader, with_bytes};
    use super::*;

    #[test]
    fn numbers_take_the_shortest_form() {
        let written = |length: u64| {
            let mut writer = Writer::new(0);
            writer.length(length);
            writer.0[1..].to_vec()
        };
        assert_eq!(written(63), b"\x3f");
        assert_eq!(written(64), b"\x40\x40");
        assert_eq!(written(16_383), b"\x7f\xff");
        assert_eq!(written(16_384), b"\x80\x00\x00\x40\x00");
        assert_eq!(written(1 << 32), b"\x81\x00\x00\x00\x01\x00\x00\x00\x00");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            length: u64,
            shift in 0_u32..64,
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            integer: i64,
            double in any::<f64>().prop_filter("NaN is not equal to itself", |double| !double.is_nan()),
        ) {
            let integer = (integer >> shift).to_string().into_bytes();
            let mut writer = Writer::new(7);
            writer.length(length >> shift);
            writer.string(&bytes);
            writer.string(&integer);
            writer.double(double);
            let mut reader = Reader::new(&writer.0[1..]);
            prop_assert_eq!(reader.length(), Ok(length >> shift));
            prop_assert_eq!(with_bytes(reader.string().unwrap().text(), <[u8]>::to_vec), bytes);
            prop_assert_eq!(with_bytes(reader.string().unwrap().text(), <[u8]>::to_vec), integer);
            prop_assert_eq!(reader.double(), Ok(double));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
