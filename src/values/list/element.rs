//! How a list's elements stand in a block: length, bytes, and the length once more in reverse, so that a block can be
//! read from either end.
//!
//! A length is written in groups of seven bits, the lowest first, each but the last with its top bit set (LEB128).
//! Behind the bytes the same groups stand in reverse order. An element below 128 bytes costs two bytes more than its
//! own.

/// Bytes that an element of `len` bytes takes in a block.
#[inline]
pub(super) fn encoded_bytes(len: usize) -> usize {
    len + 2 * length_bytes(len)
}

#[inline]
fn length_bytes(len: usize) -> usize {
    if len < 0x80 {
        1
    } else {
        len.ilog2() as usize / 7 + 1
    }
}

/// Writes `element` into `slot`, which has just the bytes that it takes.
#[inline]
pub(super) fn write(slot: &mut [u8], element: &[u8]) {
    let len = element.len();
    if len < 0x80 {
        let slot = &mut slot[..len + 2];
        slot[0] = len as u8;
        slot[1..=len].copy_from_slice(element);
        slot[len + 1] = len as u8;
    } else {
        write_long(slot, element);
    }
}

fn write_long(slot: &mut [u8], element: &[u8]) {
    let width = length_bytes(element.len());
    let end = width + element.len();
    let mut rest = element.len();
    for group in 0..width {
        let more = if group + 1 < width { 0x80 } else { 0 };
        let byte = (rest & 0x7f) as u8 | more;
        slot[group] = byte;
        slot[end + width - 1 - group] = byte;
        rest >>= 7;
    }
    slot[width..end].copy_from_slice(element);
}

/// Appends `element` to `block`.
#[inline]
pub(super) fn append(block: &mut Vec<u8>, element: &[u8]) {
    let len = element.len();
    if len < 0x80 {
        block.push(len as u8);
        block.extend_from_slice(element);
        block.push(len as u8);
    } else {
        let start = block.len();
        block.resize(start + encoded_bytes(len), 0);
        write_long(&mut block[start..], element);
    }
}

/// Elements that stand one behind the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements<'a> {
    block: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements in `block`, which begins and ends with whole ones.
    #[inline]
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// Bytes of the elements not read yet.
    #[inline]
    pub(super) fn remaining_bytes(&self) -> usize {
        self.block.len()
    }

    /// Where in the block the first element equal to `sought` begins, after passing over as many of those as `skip`
    /// says, which is counted down.
    pub(super) fn offset_of(mut self, sought: &[u8], skip: &mut usize) -> Option<usize> {
        let all_bytes = self.remaining_bytes();
        loop {
            let offset = all_bytes - self.remaining_bytes();
            match self.next()? {
                element if element != sought => {}
                _ if *skip > 0 => *skip -= 1,
                _ => return Some(offset),
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let first = *self.block.first()?;
        let (width, len) = if first < 0x80 {
            (1, usize::from(first))
        } else {
            read_length(self.block.iter())
        };
        let (encoded, rest) = self.block.split_at(len + 2 * width);
        self.block = rest;
        Some(&encoded[width..width + len])
    }
}

impl<'a> DoubleEndedIterator for Elements<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a [u8]> {
        let last = *self.block.last()?;
        let (width, len) = if last < 0x80 {
            (1, usize::from(last))
        } else {
            read_length(self.block.iter().rev())
        };
        let (rest, encoded) = self.block.split_at(self.block.len() - len - 2 * width);
        self.block = rest;
        Some(&encoded[width..width + len])
    }
}

/// Reads a length group by group; gives how many there are, and the length.
#[cold]
fn read_length<'a>(groups: impl Iterator<Item = &'a u8>) -> (usize, usize) {
    let mut len = 0;
    let mut width = 0;
    for group in groups {
        len |= usize::from(group & 0x7f) << (7 * width);
        width += 1;
        if *group < 0x80 {
            break;
        }
    }
    (width, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_width_are_read_from_both_ends() {
        let lengths = [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152];
        let elements: Vec<Vec<u8>> = lengths.iter().map(|&len| vec![len as u8; len]).collect();
        let mut block = Vec::new();
        let mut written = Vec::new();
        for element in &elements {
            append(&mut block, element);
            let mut slot = vec![0xff; encoded_bytes(element.len())];
            write(&mut slot, element);
            written.extend(slot);
        }
        assert!(block == written, "appended and written in place are the same");
        assert!(Elements::new(&block).eq(elements.iter()), "forwards");
        assert!(Elements::new(&block).rev().eq(elements.iter().rev()), "backwards");
    }
}
