//! Sets of integers: the width of an integer and their number, four bytes each, then the integers in order. All of it
//! is little-endian.

use super::{Malformed, Result};

/// The integers of an intset. Fails unless they are as many as it says, at least one, and ascend.
pub(super) fn integers(blob: &[u8]) -> Result<impl Iterator<Item = i64>> {
    let (head, body) = blob.split_first_chunk::<8>().ok_or(Malformed)?;
    let [w0, w1, w2, w3, n0, n1, n2, n3] = *head;
    let width = u32::from_le_bytes([w0, w1, w2, w3]) as usize;
    let count = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
    if !matches!(width, 2 | 4 | 8) || count == 0 || count.checked_mul(width) != Some(body.len()) {
        return Err(Malformed);
    }
    let integers = body.chunks_exact(width).map(signed);
    if integers.clone().is_sorted_by(|a, b| a < b) {
        Ok(integers)
    } else {
        Err(Malformed)
    }
}

/// The little-endian integer in up to eight bytes.
pub(super) fn signed(bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(blob: &[u8]) -> Result<Vec<i64>> {
        integers(blob).map(Iterator::collect)
    }

    #[test]
    fn integers_of_every_width_are_read() {
        assert_eq!(
            read(b"\x02\0\0\0\x03\0\0\0\xff\xff\x01\x00\x00\x7f"),
            Ok(vec![-1, 1, 0x7f00])
        );
        assert_eq!(
            read(b"\x04\0\0\0\x01\0\0\0\0\0\0\x80"),
            Ok(vec![i64::from(i32::MIN)])
        );
        assert_eq!(
            read(b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80"),
            Ok(vec![i64::MIN])
        );
    }

    #[test]
    fn lies_and_disorder_are_found_out() {
        for blob in [
            &b""[..],
            b"\x02\0\0\0\x01\0\0",
            b"\x02\0\0\0\0\0\0\0",
            b"\x03\0\0\0\x01\0\0\0\0\0\0",
            b"\x02\0\0\0\x02\0\0\0\x01\0",
            b"\x02\0\0\0\x01\0\0\0\x01\0\x02\0",
            b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0",
            b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
            b"\x08\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\x80",
        ] {
            assert_eq!(read(blob), Err(Malformed), "{blob:?}");
        }
    }
}
