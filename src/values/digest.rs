//! A short name for the contents of a text, by which clients compare it.

use twox_hash::XxHash3_64;

/// Hexadecimal digits of a digest.
pub const DIGITS: usize = 16;

/// The 64 bits of XXH3, in lower-case hexadecimal digits. Linear in the bytes. Good against mistakes, not against malice.
pub fn digest(bytes: &[u8]) -> [u8; DIGITS] {
    let mut hash = bits(bytes);
    let mut digits = [0; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(hash % 16) as usize];
        hash /= 16;
    }
    digits
}

/// The 64 bits of XXH3. Linear in the bytes.
pub fn bits(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_a_real_server() {
        for (text, expected) in [
            ("", b"2d06800538d394c2"),
            ("hello", b"9555e8555c62dcfd"),
            ("123", b"404a763b3f4c8c9a"),
            ("v8", b"0cc76dbb41381419"),
        ] {
            assert_eq!(&digest(text.as_bytes()), expected, "{text}");
        }
    }
}
