//! Listpacks: their size (four bytes, little-endian), the number of elements (two), the elements, a byte `0xff`.
//!
//! Each element has a head that tells its form, then its bytes, then how long it was up to there, written to be read
//! backwards.

use super::intset::signed;
use super::{Malformed, Result};
use crate::values::text::Text;

const HEAD_BYTES: usize = 6;
const END: u8 = 0xff;

/// More elements than the head can count.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Reads the elements of a listpack. After the last it checks that they were as many as the listpack says; after an
/// error it must not be asked again.
pub(super) struct Listpack<'a> {
    rest: &'a [u8],
    /// Of those that the head counts.
    left: Option<u16>,
}

impl<'a> Listpack<'a> {
    /// Fails if the frame around the elements is not right.
    pub(super) fn new(blob: &'a [u8]) -> Result<Self> {
        let (head, rest) = blob.split_first_chunk::<HEAD_BYTES>().ok_or(Malformed)?;
        let [b0, b1, b2, b3, c0, c1] = *head;
        let (&end, rest) = rest.split_last().ok_or(Malformed)?;
        if u32::from_le_bytes([b0, b1, b2, b3]) as usize != blob.len() || end != END {
            return Err(Malformed);
        }
        let count = u16::from_le_bytes([c0, c1]);
        Ok(Self {
            rest,
            left: (count != COUNT_UNKNOWN).then_some(count),
        })
    }

    fn element(&mut self) -> Result<Text<'a>> {
        let element = self.rest;
        let text = self.text()?;
        let len = element.len() - self.rest.len();
        self.expect_back_length(len)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Malformed)?;
        }
        Ok(text)
    }

    fn text(&mut self) -> Result<Text<'a>> {
        let head = self.byte()?;
        let low = usize::from(head);
        match head {
            0x00..=0x7f => Ok(Text::Int(i64::from(head))),
            0x80..=0xbf => self.string(low & 0x3f),
            0xc0..=0xdf => {
                let bits = (i64::from(head) & 0x1f) << 8 | i64::from(self.byte()?);
                Ok(Text::Int(bits << 51 >> 51))
            }
            0xe0..=0xef => {
                let len = (low & 0x0f) << 8 | usize::from(self.byte()?);
                self.string(len)
            }
            0xf0 => {
                let len = self
                    .take(4)?
                    .iter()
                    .rev()
                    .fold(0, |len, &byte| len << 8 | usize::from(byte));
                self.string(len)
            }
            0xf1 => self.integer(2),
            0xf2 => self.integer(3),
            0xf3 => self.integer(4),
            0xf4 => self.integer(8),
            0xf5..=0xff => Err(Malformed),
        }
    }

    fn string(&mut self, len: usize) -> Result<Text<'a>> {
        self.take(len).map(Text::Bytes)
    }

    fn integer(&mut self, width: usize) -> Result<Text<'a>> {
        self.take(width).map(|bytes| Text::Int(signed(bytes)))
    }

    /// Takes the length that stands behind an element.
    fn expect_back_length(&mut self, len: usize) -> Result<()> {
        let mut expected = Vec::new();
        push_back_length(&mut expected, len);
        if self.take(expected.len())? == expected {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }
}

impl<'a> Iterator for Listpack<'a> {
    type Item = Result<Text<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.rest, self.left) {
            ([], None | Some(0)) => None,
            ([], Some(_)) => {
                self.left = None;
                Some(Err(Malformed))
            }
            _ => Some(self.element()),
        }
    }
}

/// Appends a length in groups of seven bits, the highest first; all but the first have their upper bit set.
fn push_back_length(out: &mut Vec<u8>, len: usize) {
    let groups = (len.max(1).ilog2() / 7) as usize;
    for group in (0..=groups).rev() {
        let bits = (len >> (7 * group)) as u8 & 0x7f;
        out.push(if group == groups { bits } else { bits | 0x80 });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(blob: &[u8]) -> Result<Vec<Vec<u8>>> {
        let spell = |text: Result<Text<'_>>| {
            let mut out = Vec::new();
            text?.write_into(&mut out);
            Ok(out)
        };
        Listpack::new(blob)?.map(spell).collect()
    }

    fn frame(count: u16, elements: &[u8]) -> Vec<u8> {
        let len = (HEAD_BYTES + elements.len() + 1) as u32;
        [&len.to_le_bytes(), &count.to_le_bytes()[..], elements, &[END]].concat()
    }

    /// The listpack of these elements.
    pub(in super::super) fn write(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = ListpackWriter {
            bytes: vec![0; HEAD_BYTES],
            count: 0,
        };
        for element in elements {
            writer.push(element);
        }
        writer.finish()
    }

    #[test]
    fn every_form_of_an_element_is_read() {
        #[rustfmt::skip]
        let table: &[(&[u8], &str)] = &[
            (b"\x00\x01", "0"), (b"\x7f\x01", "127"), (b"\x80\x01", ""), (b"\x82hi\x03", "hi"),
            (b"\xc0\x80\x02", "128"), (b"\xdf\xff\x02", "-1"), (b"\xd0\x00\x02", "-4096"), (b"\xcf\xff\x02", "4095"),
            (b"\xe0\x02hi\x04", "hi"), (b"\xf0\x02\0\0\0hi\x07", "hi"), (b"\xf1\x00\x80\x03", "-32768"),
            (b"\xf2\x00\x00\x80\x04", "-8388608"), (b"\xf3\xff\xff\xff\x7f\x05", "2147483647"),
            (b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09", "-9223372036854775808"),
        ];
        for (element, text) in table {
            let expected = vec![text.as_bytes().to_vec()];
            assert_eq!(read(&frame(1, element)), Ok(expected.clone()), "{text}");
            assert_eq!(read(&frame(COUNT_UNKNOWN, element)), Ok(expected));
        }
        assert_eq!(read(&frame(0, b"")), Ok(vec![]));
    }

    #[test]
    fn lies_are_found_out() {
        for blob in [
            Vec::new(),
            frame(2, b"\x01\x01"),
            frame(0, b"\x01\x01"),
            frame(1, b"\x01"),
            frame(1, b"\x01\x02"),
            frame(1, b"\xf5\x01"),
            frame(1, b"\x82h\x03"),
            frame(1, b"\xf0\xff\xff\xff\xffhi\x07"),
            frame(1, b"\xff\x01"),
            frame(1, b"\x01\x01")[..8].to_vec(),
            [frame(1, b"\x01\x01"), vec![END]].concat(),
        ] {
            assert_eq!(read(&blob), Err(Malformed), "{blob:?}");
        }
    }

    #[test]
    fn lengths_are_written_to_be_read_backwards() {
        for (len, expected) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (128, b"\x01\x80"),
            (16_383, b"\x7f\xff"),
            (16_384, b"\x01\x80\x80"),
            (1 << 21, b"\x01\x80\x80\x80"),
            (1 << 28, b"\x01\x80\x80\x80\x80"),
        ] {
            let mut out = Vec::new();
            push_back_length(&mut out, len);
            assert_eq!(out, expected, "{len}");
        }
    }

    #[test]
    fn long_elements_come_back() {
        let elements: Vec<Vec<u8>> = [63, 64, 4095, 4096, 20_000, 3 << 20]
            .map(|len| vec![b'x'; len])
            .to_vec();
        assert_eq!(read(&write(&elements)), Ok(elements));
        let many = vec![b"1".to_vec(); 70_000];
        assert_eq!(read(&write(&many)), Ok(many));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
            integers in prop::collection::vec(any::<i64>(), 0..20),
            shift in 0_u32..64,
        ) {
            let spelled = integers.iter().map(|integer| (integer >> shift).to_string().into_bytes());
            let elements: Vec<_> = texts.into_iter().chain(spelled).collect();
            prop_assert_eq!(read(&write(&elements)), Ok(elements));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), count in 0_u16..4) {
            let _ = read(&frame(count, &bytes));
            let _ = read(&bytes);
        }
    }

    /// Writes a listpack.
    struct ListpackWriter {
        bytes: Vec<u8>,
        count: usize,
    }

    impl ListpackWriter {
        /// Appends an integer.
        fn push_integer(&mut self, integer: i64) {
            let start = self.bytes.len();
            let bytes = integer.to_le_bytes();
            match integer {
                0..=0x7f => self.bytes.push(integer as u8),
                -0x1000..=0x0fff => self
                    .bytes
                    .extend([0xc0 | (integer >> 8) as u8 & 0x1f, integer as u8]),
                -0x8000..=0x7fff => self.push_with_head(0xf1, &bytes[..2]),
                -0x80_0000..=0x7f_ffff => self.push_with_head(0xf2, &bytes[..3]),
                -0x8000_0000..=0x7fff_ffff => self.push_with_head(0xf3, &bytes[..4]),
                _ => self.push_with_head(0xf4, &bytes),
            }
            self.end_element(start);
        }

        /// Appends a string, as an integer if it spells one.
        fn push(&mut self, bytes: &[u8]) {
            let text = Text::new(bytes);
            if let Text::Int(integer) = text {
                return self.push_integer(integer);
            }
            let start = self.bytes.len();
            match bytes.len() {
                len @ 0..0x40 => self.push_with_head(0x80 | len as u8, bytes),
                len @ 0x40..0x1000 => {
                    self.bytes.extend([0xe0 | (len >> 8) as u8, len as u8]);
                    self.bytes.extend_from_slice(bytes);
                }
                len => {
                    self.push_with_head(0xf0, &(len as u32).to_le_bytes());
                    self.bytes.extend_from_slice(bytes);
                }
            }
            self.end_element(start);
        }

        fn push_with_head(&mut self, head: u8, bytes: &[u8]) {
            self.bytes.push(head);
            self.bytes.extend_from_slice(bytes);
        }

        fn end_element(&mut self, start: usize) {
            let len = self.bytes.len() - start;
            push_back_length(&mut self.bytes, len);
            self.count += 1;
        }

        fn finish(mut self) -> Vec<u8> {
            self.bytes.push(END);
            let len = self.bytes.len() as u32;
            let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
            self.bytes[..4].copy_from_slice(&len.to_le_bytes());
            self.bytes[4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
            self.bytes
        }
    }
}
