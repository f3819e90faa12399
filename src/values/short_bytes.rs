//! Byte strings that need no allocation while they are short.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::heap::size_class;
use super::table::Named;

/// The longest byte string that [`ShortBytes`] keeps in place: with its length and the tag it fills 24 bytes.
const SHORT_BYTES_MAX: usize = 22;

/// An owned byte string of 24 bytes: in place up to 22 bytes, in a block of its own beyond.
#[derive(Clone)]
pub struct ShortBytes(Repr);

#[derive(Clone)]
enum Repr {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<[u8]>),
}

impl Named for ShortBytes {
    #[inline]
    fn name(&self) -> &[u8] {
        self
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Short { .. } => 0,
            Repr::Long(bytes) => size_class(bytes.len()),
        }
    }
}

impl ShortBytes {
    /// `len` bytes that `write` writes over zeros.
    #[inline]
    pub fn written(len: usize, write: impl FnOnce(&mut [u8])) -> Self {
        if len > SHORT_BYTES_MAX {
            let mut bytes = vec![0; len].into_boxed_slice();
            write(&mut bytes);
            return Self(Repr::Long(bytes));
        }
        let mut bytes = [0; SHORT_BYTES_MAX];
        write(&mut bytes[..len]);
        let len = len as u8;
        Self(Repr::Short { len, bytes })
    }
}

impl From<&[u8]> for ShortBytes {
    #[inline]
    fn from(text: &[u8]) -> Self {
        if text.len() > SHORT_BYTES_MAX {
            return Self(Repr::Long(text.into()));
        }
        Self::written(text.len(), |bytes| bytes.copy_from_slice(text))
    }
}

impl Deref for ShortBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Long(bytes) => bytes,
        }
    }
}

impl DerefMut for ShortBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Repr::Short { len, bytes } => &mut bytes[..usize::from(*len)],
            Repr::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for ShortBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for ShortBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_bytes_of_any_length_in_24_bytes() {
        assert_eq!(size_of::<ShortBytes>(), 24);
        for len in [0, 1, 21, 22, 23, 100, 70_000] {
            let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut bytes = ShortBytes::from(&*text);
            assert_eq!(&*bytes, &*text);
            bytes.fill(7);
            assert_eq!(&*bytes, &*ShortBytes::written(len, |bytes| bytes.fill(7)));
        }
    }

    #[test]
    fn counts_the_block_of_a_long_one() {
        assert_eq!(ShortBytes::from(&[b'x'; 22][..]).heap_bytes(), 0);
        assert_eq!(ShortBytes::from(&[b'x'; 23][..]).heap_bytes(), 32);
    }
}
