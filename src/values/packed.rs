//! Byte strings one behind the other in one block of memory: what small collections are made of.
//!
//! ```text
//! 4 bytes     how many strings there are
//! 4 bytes     how many bytes at the block's end are unused
//! a string    its length as a varint, its bytes
//! ...
//! ```
//!
//! A block has one of the allocator's size classes, so the unused bytes cost nothing; it grows and shrinks by a
//! class at a time. Without strings there is no block.
//!
//! *Offsets* count bytes from the first string, *indexes* count strings. An offset is good until a string before
//! it is changed; [`Packed::byte_len`] is the offset behind the last string.

use super::heap::size_class;
use super::varint;

const HEAD_BYTES: usize = 8;

/// Up to where a collection is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackedLimits {
    /// Most entries: members, or pairs of field and value.
    pub entries_max: usize,
    /// Length of the longest string.
    pub value_bytes_max: usize,
}

impl PackedLimits {
    /// No block becomes larger than this, whatever the limits: moving its bytes at every change would take too
    /// long.
    pub const BLOCK_BYTES_MAX: usize = 1 << 30;

    /// Whether `bytes` may be one of the strings.
    #[inline]
    pub fn admits(self, bytes: &[u8]) -> bool {
        bytes.len() <= self.value_bytes_max
    }

    /// Whether `entries` entries may be packed.
    #[inline]
    pub fn holds(self, entries: usize) -> bool {
        entries <= self.entries_max
    }
}

/// Byte strings in one block.
#[derive(Clone, Default)]
pub struct Packed {
    block: Box<[u8]>,
}

impl Packed {
    /// No strings; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many strings there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.head(0)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap, as the allocator rounds them. O(1).
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.block.len()
    }

    /// Bytes of all strings with their lengths: the offset behind the last one. O(1).
    #[inline]
    pub fn byte_len(&self) -> usize {
        if self.block.is_empty() {
            return 0;
        }
        self.block.len() - HEAD_BYTES - self.head(4)
    }

    /// How many bytes a string of `len` bytes takes.
    #[inline]
    pub const fn bytes_of(len: usize) -> usize {
        varint::width(len) + len
    }

    /// Whether a string of `len` bytes more leaves the block within [`PackedLimits::BLOCK_BYTES_MAX`].
    #[inline]
    pub fn has_room_for(&self, len: usize) -> bool {
        HEAD_BYTES + self.byte_len() + Self::bytes_of(len) <= PackedLimits::BLOCK_BYTES_MAX
    }

    /// The strings in order.
    #[inline]
    pub fn iter(&self) -> Strings<'_> {
        self.iter_from(0)
    }

    /// The strings from the one at `offset` on.
    #[inline]
    pub fn iter_from(&self, offset: usize) -> Strings<'_> {
        Strings {
            data: self.data(),
            at: offset,
        }
    }

    /// The string at `offset`, and the offset behind it. O(1).
    #[inline]
    pub fn get_at(&self, offset: usize) -> (&[u8], usize) {
        string_at(self.data(), offset)
    }

    /// Where the string of this index begins; of an index beyond the last string, the offset behind it. O(index).
    pub fn offset_of(&self, index: usize) -> usize {
        let data = self.data();
        let mut at = 0;
        for _ in 0..index {
            if at >= data.len() {
                break;
            }
            at = behind(data, at);
        }
        at
    }

    /// The string of this index. O(index).
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        (index < self.len()).then(|| self.get_at(self.offset_of(index)).0)
    }

    /// Index and offset of the first string that is `wanted`, among every `stride`th from index `from` on. O(N).
    #[inline]
    pub fn find(&self, wanted: &[u8], from: usize, stride: usize) -> Option<(usize, usize)> {
        let data = self.data();
        let mut at = self.offset_of(from);
        let mut index = from;
        while at < data.len() {
            let (len, width) = varint::read(&data[at..]);
            let start = at + width;
            if len == wanted.len() {
                // Names of one length mostly differ in their last byte.
                let string = &data[start..start + len];
                if string.last() == wanted.last() && string == wanted {
                    return Some((index, at));
                }
            }
            at = start + len;
            for _ in 1..stride {
                if at < data.len() {
                    at = behind(data, at);
                }
            }
            index += stride.max(1);
        }
        None
    }

    /// Adds a string behind the last one.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.insert_at(self.byte_len(), bytes);
    }

    /// Adds a string before the one at `offset`.
    pub fn insert_at(&mut self, offset: usize, bytes: &[u8]) {
        self.splice(offset, 0, Self::bytes_of(bytes.len()), 1);
        self.write_at(offset, bytes);
    }

    /// Puts another string in place of the one at `offset`.
    pub fn replace_at(&mut self, offset: usize, bytes: &[u8]) {
        let (old, next) = self.get_at(offset);
        if old.len() != bytes.len() {
            self.splice(offset, next - offset, Self::bytes_of(bytes.len()), 0);
        }
        self.write_at(offset, bytes);
    }

    /// Removes `count` strings from the one at `offset` on, or as many as there are; tells how many.
    pub fn remove_at(&mut self, offset: usize, count: usize) -> usize {
        let data = self.data();
        let (mut end, mut removed) = (offset, 0);
        while removed < count && end < data.len() {
            end = behind(data, end);
            removed += 1;
        }
        self.splice(offset, end - offset, 0, -(removed as isize));
        removed
    }

    #[inline]
    fn data(&self) -> &[u8] {
        if self.block.is_empty() {
            return &[];
        }
        let end = self.block.len() - self.head(4);
        &self.block[HEAD_BYTES..end]
    }

    /// One of the two numbers at the head.
    #[inline]
    fn head(&self, at: usize) -> usize {
        match self.block.get(at..at + 4) {
            Some(bytes) => u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize,
            None => 0,
        }
    }

    fn set_head(&mut self, len: usize, data_bytes: usize) {
        let unused = self.block.len() - HEAD_BYTES - data_bytes;
        self.block[..4].copy_from_slice(&(len as u32).to_le_bytes());
        self.block[4..8].copy_from_slice(&(unused as u32).to_le_bytes());
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        let target = &mut self.block[HEAD_BYTES + offset..];
        let width = varint::write(target, bytes.len());
        target[width..width + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes `inserted` bytes of room in place of `removed` ones at `offset`, and counts `strings` more strings.
    fn splice(&mut self, offset: usize, removed: usize, inserted: usize, strings: isize) {
        let (len, old_bytes) = (self.len().saturating_add_signed(strings), self.byte_len());
        let new_bytes = old_bytes - removed + inserted;
        if len == 0 {
            self.block = Box::default();
            return;
        }
        let needed = HEAD_BYTES + new_bytes;
        if needed > self.block.len() {
            self.resize_block(needed);
        }
        let tail = HEAD_BYTES + offset + removed..HEAD_BYTES + old_bytes;
        self.block.copy_within(tail, HEAD_BYTES + offset + inserted);
        if self.block.len() - needed > self.block.len() / 4 {
            self.resize_block(needed);
        }
        self.set_head(len, new_bytes);
    }

    /// Gives the block the size class for `needed` bytes.
    fn resize_block(&mut self, needed: usize) {
        let class = size_class(needed);
        let mut bytes = std::mem::take(&mut self.block).into_vec();
        bytes.reserve_exact(class.saturating_sub(bytes.len()));
        bytes.resize(class, 0);
        self.block = bytes.into_boxed_slice();
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|string| string.escape_ascii().to_string()))
            .finish()
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.data() == other.data()
    }
}

impl<'a> IntoIterator for &'a Packed {
    type Item = &'a [u8];
    type IntoIter = Strings<'a>;
    fn into_iter(self) -> Strings<'a> {
        self.iter()
    }
}

impl<'a> FromIterator<&'a [u8]> for Packed {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(strings: I) -> Self {
        let mut packed = Self::new();
        packed.extend(strings);
        packed
    }
}

impl<'a> Extend<&'a [u8]> for Packed {
    fn extend<I: IntoIterator<Item = &'a [u8]>>(&mut self, strings: I) {
        strings.into_iter().for_each(|string| self.push(string));
    }
}

/// The strings of a [`Packed`] in order.
#[derive(Debug, Clone)]
pub struct Strings<'a> {
    data: &'a [u8],
    at: usize,
}

impl Strings<'_> {
    /// The offset of the string that comes next.
    #[inline]
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.at >= self.data.len() {
            return None;
        }
        let (string, next) = string_at(self.data, self.at);
        self.at = next;
        Some(string)
    }
}

impl std::iter::FusedIterator for Strings<'_> {}

#[inline]
fn string_at(data: &[u8], at: usize) -> (&[u8], usize) {
    let (len, width) = varint::read(&data[at..]);
    let start = at + width;
    (&data[start..start + len], start + len)
}

/// The offset behind the string at `at`.
#[inline]
fn behind(data: &[u8], at: usize) -> usize {
    let (len, width) = varint::read(&data[at..]);
    at + width + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_pairs_of_eight_bytes_take_a_block_of_192() {
        let mut packed = Packed::new();
        for index in 0..10 {
            packed.push(format!("field:{index:02}").as_bytes());
            packed.push(b"value678");
        }
        assert_eq!(
            (packed.len(), packed.byte_len(), packed.heap_bytes()),
            (20, 180, 192)
        );
        assert_eq!(size_of::<Packed>(), 16);
    }

    #[test]
    fn find_looks_at_every_stride_only() {
        let packed: Packed = [b"b" as &[u8], b"a", b"a", b"b", b"", b"c"].into_iter().collect();
        assert_eq!(packed.find(b"a", 0, 2), Some((2, 4)));
        assert_eq!(packed.find(b"a", 0, 1), Some((1, 2)));
        assert_eq!(packed.find(b"b", 1, 2), Some((3, 6)));
        assert_eq!(packed.find(b"", 0, 2), Some((4, 8)));
        assert_eq!(packed.find(b"c", 0, 2), None);
        assert_eq!(packed.find(b"a", 9, 2), None);
        assert_eq!(Packed::new().find(b"", 0, 1), None);
    }

    #[test]
    fn a_block_of_nothing_is_given_back() {
        let mut packed: Packed = [b"one" as &[u8], b"two"].into_iter().collect();
        assert_eq!(packed.remove_at(0, usize::MAX), 2);
        assert_eq!(
            (packed.len(), packed.heap_bytes(), packed.iter().count()),
            (0, 0, 0)
        );
        assert_eq!(packed.remove_at(0, 1), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
    }

    fn string() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..6),
            1 => proptest::collection::vec(any::<u8>(), 100..300),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<usize>(), string()).prop_map(|(at, bytes)| Step::Insert(at, bytes)),
            2 => (any::<usize>(), string()).prop_map(|(at, bytes)| Step::Replace(at, bytes)),
            2 => (any::<usize>(), 0_usize..5).prop_map(|(at, count)| Step::Remove(at, count)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]
        #[test]
        fn behaves_like_a_vec_of_strings(steps in proptest::collection::vec(step(), 1..60)) {
            let (mut packed, mut model) = (Packed::new(), Vec::<Vec<u8>>::new());
            for step in steps {
                match step {
                    Step::Insert(at, bytes) => {
                        let at = at % (model.len() + 1);
                        packed.insert_at(packed.offset_of(at), &bytes);
                        model.insert(at, bytes);
                    }
                    Step::Replace(at, bytes) if !model.is_empty() => {
                        let at = at % model.len();
                        packed.replace_at(packed.offset_of(at), &bytes);
                        model[at] = bytes;
                    }
                    Step::Remove(at, count) => {
                        let at = at % (model.len() + 1);
                        let end = (at + count).min(model.len());
                        prop_assert_eq!(packed.remove_at(packed.offset_of(at), count), end - at);
                        model.drain(at..end);
                    }
                    Step::Replace(..) => {}
                }
                prop_assert!(packed.iter().eq(model.iter().map(Vec::as_slice)));
                prop_assert_eq!(packed.len(), model.len());
                let bytes: usize = model.iter().map(|string| Packed::bytes_of(string.len())).sum();
                prop_assert_eq!(packed.byte_len(), bytes);
                prop_assert_eq!(packed.heap_bytes(), size_class(packed.heap_bytes()));
                for (index, string) in model.iter().enumerate() {
                    let first = model.iter().position(|other| other == string);
                    prop_assert_eq!(packed.find(string, 0, 1).map(|found| found.0), first);
                    prop_assert_eq!(packed.get(index), Some(&string[..]));
                }
            }
        }
    }
}
