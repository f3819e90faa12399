//! Lengths in as few bytes as they need: seven bits a byte, the lowest first, the highest bit set in all but the
//! last (LEB128).

/// Most bytes that a length takes.
pub const BYTES_MAX: usize = 10;

/// The number at the head of `bytes` and how many bytes it takes.
#[inline]
pub fn read(bytes: &[u8]) -> (usize, usize) {
    let first = bytes[0];
    if first < 0x80 {
        return (usize::from(first), 1);
    }
    let mut value = usize::from(first & 0x7f);
    for (width, byte) in bytes.iter().enumerate().skip(1) {
        value |= usize::from(byte & 0x7f) << (7 * width);
        if *byte < 0x80 {
            return (value, width + 1);
        }
    }
    unreachable!("a number is written whole");
}

/// The same for bytes of strangers: `None` if no number ends there, or one that is too large.
pub fn checked_read(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, &byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        let part = usize::from(byte & 0x7f);
        let shifted = part << (7 * index);
        if shifted >> (7 * index) != part {
            return None;
        }
        value |= shifted;
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// How many bytes `value` takes.
#[inline]
pub const fn width(value: usize) -> usize {
    if value < 0x80 {
        1
    } else {
        value.ilog2() as usize / 7 + 1
    }
}

/// Writes `value` at the head of `bytes`; tells how many bytes that took.
#[inline]
pub fn write(bytes: &mut [u8], mut value: usize) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_at_every_width() {
        for shift in 0..usize::BITS {
            for value in [(1_usize << shift) - 1, 1 << shift, usize::MAX >> shift] {
                let mut bytes = [0xff; BYTES_MAX];
                let written = write(&mut bytes, value);
                assert_eq!(
                    (written, read(&bytes)),
                    (width(value), (value, written)),
                    "{value}"
                );
                assert_eq!(checked_read(&bytes), Some((value, written)));
                assert_eq!(checked_read(&bytes[..written - 1]), None);
            }
        }
        assert_eq!(checked_read(&[0xff; 12]), None);
        assert_eq!(checked_read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), None);
    }
}
