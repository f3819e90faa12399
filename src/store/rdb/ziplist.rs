//! Ziplists, which Redis wrote before 7.0: their size, where the last element begins (four bytes each, little-endian),
//! the number of elements (two), the elements, a byte `0xff`.
//!
//! Each element begins with the length of the one before it, then has a head that tells its form, then its bytes.

use super::intset::signed;
use super::{Malformed, Result};
use crate::values::text::Text;

const HEAD_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Begins a length of four bytes.
const LENGTH_LARGE: u8 = 0xfe;

/// Reads the elements of a ziplist. After the last it checks what the ziplist says about all; after an error it must
/// not be asked again.
pub(super) struct Ziplist<'a> {
    rest: &'a [u8],
    /// Of those that the head counts.
    left: Option<u16>,
    /// Of the last element read.
    previous_len: usize,
    /// Bytes of all elements.
    bytes: usize,
    last_at: usize,
}

impl<'a> Ziplist<'a> {
    /// Fails if the frame around the elements is not right.
    pub(super) fn new(blob: &'a [u8]) -> Result<Self> {
        let (head, rest) = blob.split_first_chunk::<HEAD_BYTES>().ok_or(Malformed)?;
        let [b0, b1, b2, b3, t0, t1, t2, t3, c0, c1] = *head;
        let (&end, rest) = rest.split_last().ok_or(Malformed)?;
        if u32::from_le_bytes([b0, b1, b2, b3]) as usize != blob.len() || end != END {
            return Err(Malformed);
        }
        let count = u16::from_le_bytes([c0, c1]);
        Ok(Self {
            rest,
            left: (count != COUNT_UNKNOWN).then_some(count),
            previous_len: 0,
            bytes: rest.len(),
            last_at: u32::from_le_bytes([t0, t1, t2, t3]) as usize,
        })
    }

    fn element(&mut self) -> Result<Text<'a>> {
        let before = self.rest.len();
        let previous_len = match self.byte()? {
            LENGTH_LARGE => self.big_length(true)?,
            END => return Err(Malformed),
            len => usize::from(len),
        };
        if previous_len != self.previous_len {
            return Err(Malformed);
        }
        let text = self.text()?;
        self.previous_len = before - self.rest.len();
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Malformed)?;
        }
        Ok(text)
    }

    fn text(&mut self) -> Result<Text<'a>> {
        let head = self.byte()?;
        match head {
            0x00..=0x3f => self.string(usize::from(head)),
            0x40..=0x7f => {
                let len = usize::from(head & 0x3f) << 8 | usize::from(self.byte()?);
                self.string(len)
            }
            0x80 => {
                let len = self.big_length(false)?;
                self.string(len)
            }
            0xc0 => self.integer(2),
            0xd0 => self.integer(4),
            0xe0 => self.integer(8),
            0xf0 => self.integer(3),
            0xfe => self.integer(1),
            0xf1..=0xfd => Ok(Text::Int(i64::from(head & 0x0f) - 1)),
            _ => Err(Malformed),
        }
    }

    fn big_length(&mut self, little_endian: bool) -> Result<usize> {
        let bytes: [u8; 4] = self.take(4)?.try_into().expect("these are four");
        let len = if little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        };
        Ok(len as usize)
    }

    fn string(&mut self, len: usize) -> Result<Text<'a>> {
        self.take(len).map(Text::Bytes)
    }

    fn integer(&mut self, width: usize) -> Result<Text<'a>> {
        self.take(width).map(|bytes| Text::Int(signed(bytes)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Whether there are as many elements as the head says, the last of them where it says.
    fn ends_well(&self) -> bool {
        self.left.unwrap_or(0) == 0 && HEAD_BYTES + self.bytes - self.previous_len == self.last_at
    }
}

impl<'a> Iterator for Ziplist<'a> {
    type Item = Result<Text<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.rest.is_empty() {
            return Some(self.element());
        }
        if self.ends_well() {
            return None;
        }
        Some(Err(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(blob: &[u8]) -> Result<Vec<Vec<u8>>> {
        let spell = |text: Result<Text<'_>>| {
            let mut out = Vec::new();
            text?.write_into(&mut out);
            Ok(out)
        };
        Ziplist::new(blob)?.map(spell).collect()
    }

    /// A ziplist of these elements, each written without the length of the one before it.
    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut previous) = (Vec::new(), 0);
        let mut last_at = HEAD_BYTES;
        for element in elements {
            last_at = HEAD_BYTES + body.len();
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(LENGTH_LARGE);
                body.extend((previous as u32).to_le_bytes());
            }
            body.extend_from_slice(element);
            previous = HEAD_BYTES + body.len() - last_at;
        }
        frame(last_at, elements.len() as u16, &body)
    }

    fn frame(last_at: usize, count: u16, body: &[u8]) -> Vec<u8> {
        let len = (HEAD_BYTES + body.len() + 1) as u32;
        let last_at = last_at as u32;
        [
            &len.to_le_bytes(),
            &last_at.to_le_bytes(),
            &count.to_le_bytes()[..],
            body,
            &[END],
        ]
        .concat()
    }

    #[test]
    fn every_form_of_an_element_is_read() {
        let long = [&b"\x41\x00"[..], &[b'x'; 256]].concat();
        let longer = [&b"\x80\x00\x00\x50\x00"[..], &vec![b'y'; 0x5000]].concat();
        let elements: &[&[u8]] = &[
            b"\x02hi",
            &long,
            &longer,
            b"\xc0\x00\x80",
            b"\xd0\x00\x00\x00\x80",
            b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xf0\x00\x00\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
            b"\x00",
        ];
        let expected = [
            "hi".to_owned(),
            "x".repeat(256),
            "y".repeat(0x5000),
            i16::MIN.to_string(),
            i32::MIN.to_string(),
            i64::MIN.to_string(),
            "-8388608".to_owned(),
            "-128".to_owned(),
            "0".to_owned(),
            "12".to_owned(),
            String::new(),
        ];
        assert_eq!(
            read(&ziplist(elements)),
            Ok(expected.map(String::into_bytes).to_vec())
        );
        assert_eq!(read(&ziplist(&[])), Ok(vec![]));
    }

    #[test]
    fn lies_are_found_out() {
        let good = ziplist(&[b"\x02hi", b"\xf1"]);
        assert!(read(&good).is_ok());
        for (at, byte) in [
            (0, 1),
            (4, 9),
            (8, 1),
            (8, 3),
            (10, 1),
            (14, 3),
            (11, 63),
            (15, 0xff),
            (15, 0x90),
            (16, 0),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(read(&bad), Err(Malformed), "{at} {byte}");
        }
        for end in 0..good.len() {
            assert_eq!(read(&good[..end]), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), count in 0_u16..4) {
            let _ = read(&frame(HEAD_BYTES, count, &bytes));
            let _ = read(&bytes);
        }
    }
}
