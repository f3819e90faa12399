//! A sequence of byte strings that is quick at both ends.
//!
//! A small list is one chunk: one packed block of heap. When that is full (see [`ChunkLimit`]), the list becomes a
//! deque of chunks. Each chunk keeps room at both ends and counts its elements, so that pushing and popping cost a few
//! instructions and an index passes over whole chunks. An element larger than a chunk may be gets a chunk of its own.

mod chunk;
mod chunks;
mod element;
mod iter;

pub use chunk::End;
pub use iter::Iter;

use std::ops::Range;
use std::slice;

use super::heap::{Collection, size_class};
use chunk::{Chunk, Growth};
use chunks::Chunks;

/// What a chunk may hold. One element is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimit {
    bytes_max: usize,
    entries_max: usize,
}

impl ChunkLimit {
    /// The limit that `list-max-listpack-size` stands for: from -1 to -5 chunks of 4, 8, 16, 32 or 64 KiB; a positive
    /// number is one of elements, and a chunk then has 8 KiB at most. Numbers beyond those mean the nearest of them.
    pub fn from_setting(size: i64) -> Self {
        /// Bounds what a change in the middle moves, where the setting only counts elements.
        const COUNTED_BYTES_MAX: usize = 8 << 10;
        if size < 0 {
            Self {
                bytes_max: (2 << 10) << size.unsigned_abs().min(5),
                entries_max: usize::MAX,
            }
        } else {
            Self {
                bytes_max: COUNTED_BYTES_MAX,
                entries_max: size.max(1) as usize,
            }
        }
    }

    /// Whether a chunk of `entries` elements in `used_bytes` may get `entries_added` more in `bytes_added`.
    #[inline]
    fn admits(self, chunk: &Chunk, entries_added: usize, bytes_added: usize) -> bool {
        chunk.used_bytes() + bytes_added <= self.bytes_max && chunk.len() + entries_added <= self.entries_max
    }
}

/// A sequence of byte strings. Takes 32 bytes, beside what is on the heap.
#[derive(Debug, Clone, Default)]
pub struct List(Shape);

#[derive(Debug, Clone)]
enum Shape {
    /// All of it in one block.
    One(Chunk),
    /// Two chunks or more.
    Many(Box<Chunks>),
}

impl Default for Shape {
    fn default() -> Self {
        Self::One(Chunk::default())
    }
}

impl List {
    /// How many elements it has. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Shape::One(chunk) => chunk.len(),
            Shape::Many(chunks) => chunks.len(),
        }
    }

    /// Whether it has none. O(1).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element at `end`. O(1) on average.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        let added = element::encoded_bytes(element.len());
        match &mut self.0 {
            Shape::One(chunk) if chunk.len() == 0 || limit.admits(chunk, 1, added) => {
                chunk.push(end, element, Growth::Lean);
            }
            Shape::One(_) => self.chunks().push(end, element, limit),
            Shape::Many(chunks) => chunks.push(end, element, limit),
        }
    }

    /// The element at `end`. O(1).
    pub fn peek(&self, end: End) -> Option<&[u8]> {
        match &self.0 {
            Shape::One(chunk) => chunk.peek(end),
            Shape::Many(chunks) => chunks.peek(end),
        }
    }

    /// Removes the element at `end` after `read` has seen it. O(1) on average.
    #[inline]
    pub fn pop<R>(&mut self, end: End, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match &mut self.0 {
            Shape::One(chunk) => chunk.pop(end, read),
            Shape::Many(chunks) => {
                let (result, is_one) = chunks.pop(end, read);
                if is_one {
                    self.unify();
                }
                result
            }
        }
    }

    /// Removes `count` elements at `end`, or all if there are fewer. O(chunks).
    pub fn remove_from(&mut self, end: End, count: usize) {
        if count >= self.len() {
            self.0 = Shape::default();
            return;
        }
        match &mut self.0 {
            Shape::One(chunk) => chunk.remove_from(end, count),
            Shape::Many(chunks) => chunks.remove_from(end, count),
        }
        self.unify();
    }

    /// The element at `index`. O(chunks).
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        match &self.0 {
            Shape::One(chunk) => chunk.elements_from(index).next(),
            Shape::Many(chunks) => chunks.get(index),
        }
    }

    /// Replaces the element at `index`; tells whether there is one. O(chunks).
    pub fn set(&mut self, index: usize, element: &[u8], limit: ChunkLimit) -> bool {
        if index >= self.len() {
            return false;
        }
        match &mut self.0 {
            Shape::One(chunk) if limit.admits_in_place(chunk, index, element) => {
                chunk.set(index, element, Growth::Lean);
            }
            _ => {
                self.chunks().set(index, element, limit);
                self.unify();
            }
        }
        true
    }

    /// Puts an element before the one at `index`, or at the back where `index` is the length or more. O(chunks).
    pub fn insert(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        if index >= self.len() {
            return self.push(End::Back, element, limit);
        }
        match &mut self.0 {
            Shape::One(chunk) if limit.admits(chunk, 1, element::encoded_bytes(element.len())) => {
                chunk.insert(index, element, Growth::Lean);
            }
            _ => self.chunks().insert(index, element, limit),
        }
    }

    /// Removes elements equal to `element`, seeking from `end`, but not more than `most`. Gives how many those were.
    /// O(N).
    pub fn remove_equal(&mut self, element: &[u8], end: End, most: usize, limit: ChunkLimit) -> usize {
        let removed = match &mut self.0 {
            Shape::One(chunk) => chunks::remove_equal(chunk, element, end, most),
            Shape::Many(chunks) => chunks.remove_equal(element, end, most, limit),
        };
        self.unify();
        removed
    }

    /// All elements, from either end; skipping is O(chunks).
    pub fn iter(&self) -> Iter<'_> {
        match &self.0 {
            Shape::One(chunk) => Iter::new((slice::from_ref(chunk), &[]), chunk.len()),
            Shape::Many(chunks) => Iter::new(chunks.as_slices(), chunks.len()),
        }
    }

    /// The elements at the positions in `range`, cut to those that exist, first to last. O(chunks + elements).
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> + Clone {
        let mut elements = self.iter();
        if let Some(last_skipped) = range.start.checked_sub(1) {
            elements.nth(last_skipped);
        }
        elements.take(range.len())
    }

    /// The same elements, last to first.
    pub fn range_back(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> + Clone {
        let end = range.end.min(self.len());
        let mut elements = self.iter().rev();
        if let Some(last_skipped) = (self.len() - end).checked_sub(1) {
            elements.nth(last_skipped);
        }
        elements.take(end.saturating_sub(range.start))
    }

    /// The list as several chunks, which is what it becomes if it is not. There may be fewer than two for a moment.
    fn chunks(&mut self) -> &mut Chunks {
        if let Shape::One(chunk) = &mut self.0 {
            let chunks = Chunks::new(std::mem::take(chunk));
            self.0 = Shape::Many(Box::new(chunks));
        }
        match &mut self.0 {
            Shape::Many(chunks) => chunks,
            Shape::One(_) => unreachable!("it was just made of several"),
        }
    }

    /// Makes one block of what was several chunks, if one or none is left.
    fn unify(&mut self) {
        if let Shape::Many(chunks) = &mut self.0
            && let Some(chunk) = chunks.take_only()
        {
            self.0 = Shape::One(chunk);
        }
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Collection for List {
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Shape::One(chunk) => chunk.heap_bytes(),
            Shape::Many(chunks) => size_class(size_of::<Chunks>()) + chunks.heap_bytes(),
        }
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }

    fn elements(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        "quicklist"
    }
}

#[cfg(test)]
mod tests;
