//! Zipmaps, which Redis wrote before 2.6: the number of pairs (254: too many to count), the pairs, a byte `0xff`.
//!
//! Each pair is a length and the field, a length, how many bytes are unused, the value, and these bytes.

use super::{Malformed, Result};

const END: u8 = 0xff;
/// Begins a length of four bytes, little-endian; or says that pairs were not counted.
const LARGE: u8 = 0xfe;

/// Reads the pairs of a zipmap. After the last it checks their number; after an error it must not be asked again.
pub(super) struct Zipmap<'a> {
    rest: &'a [u8],
    /// Of those that the head counts.
    left: Option<u8>,
}

impl<'a> Zipmap<'a> {
    /// Fails if the frame around the pairs is not right.
    pub(super) fn new(blob: &'a [u8]) -> Result<Self> {
        match blob {
            [count, rest @ .., END] => Ok(Self {
                rest,
                left: (*count < LARGE).then_some(*count),
            }),
            _ => Err(Malformed),
        }
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8])> {
        let field_len = self.length()?;
        let field = self.take(field_len)?;
        let value_len = self.length()?;
        let unused = self.take(1)?[0];
        let value = self.take(value_len)?;
        self.take(usize::from(unused))?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Malformed)?;
        }
        Ok((field, value))
    }

    fn length(&mut self) -> Result<usize> {
        match self.take(1)?[0] {
            END => Err(Malformed),
            LARGE => {
                let bytes = self.take(4)?.try_into().expect("these are four");
                Ok(u32::from_le_bytes(bytes) as usize)
            }
            len => Ok(usize::from(len)),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Zipmap<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.rest, self.left) {
            ([], None | Some(0)) => None,
            ([], Some(_)) => {
                self.left = None;
                Some(Err(Malformed))
            }
            _ => Some(self.pair()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(blob: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
        Zipmap::new(blob)?.collect()
    }

    #[test]
    fn pairs_are_read() {
        let two = b"\x02\x03foo\x03\x00bar\x05hello\x02\x03hixxx\xff";
        let pairs = vec![(&b"foo"[..], &b"bar"[..]), (b"hello", b"hi")];
        assert_eq!(read(two), Ok(pairs));
        let large = b"\xfe\xfe\x01\x00\x00\x00f\x00\x00\xff";
        assert_eq!(read(large), Ok(vec![(&b"f"[..], &b""[..])]));
        assert_eq!(read(b"\x00\xff"), Ok(vec![]));
    }

    #[test]
    fn lies_are_found_out() {
        for blob in [
            &b""[..],
            b"\xff",
            b"\x01\xff",
            b"\x00\x01f\x00\x00\xff",
            b"\x02\x01f\x00\x00\xff",
            b"\x01\x01f\x00\x01\xff",
            b"\x01\x05f\x00\x00\xff",
            b"\x01\xfe\xff\xff\xff\xfff\x00\x00\xff",
            b"\x01\x01f\x00\x00",
        ] {
            assert_eq!(read(blob), Err(Malformed), "{blob:?}");
        }
    }
}
