//! One block of a list's elements, with room to grow at either end.

use super::element::{self, Elements};
use crate::values::heap::size_class;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where index 0 is; clients call it left, or head.
    Front,
    /// Where index -1 is; clients call it right, or tail.
    Back,
}

impl End {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Front => Self::Back,
            Self::Back => Self::Front,
        }
    }
}

/// How much more than needed a chunk takes when it has to move to a larger block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Growth {
    /// Next to nothing: most lists are small, and there are many of them. Still each byte is moved only a bounded
    /// number of times on average.
    Lean,
    /// Twice as much, up to this many bytes: the chunk is one of several and will soon be full.
    UpTo(usize),
}

impl Growth {
    /// The capacity for `used` bytes and `added` more.
    fn capacity(self, used: usize, added: usize) -> usize {
        let needed = used + added;
        size_class(match self {
            Self::Lean => needed + used / 8,
            Self::UpTo(bytes_max) => needed.max(bytes_max.min(2 * needed)),
        })
    }
}

/// Blocks of at most this many bytes are moved rather than grown, and are not shrunk: a move costs little.
const SMALL_BYTES: usize = 512;

/// Room at the front of a chunk that holds one enormous element would be of no use, and `start` has 32 bits.
const FRONT_ROOM_MAX: usize = 1 << 20;

fn half_of_room(bytes: usize) -> usize {
    (bytes / 2).min(FRONT_ROOM_MAX)
}

/// Some elements in one block of heap: `bytes[start..]`. What is before `start` and behind the end is room for more.
/// The capacity is always one of the allocator's size classes.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    start: u32,
    count: u32,
}

impl Clone for Chunk {
    /// A copy without room for more.
    fn clone(&self) -> Self {
        let mut copy = Self::with_room(End::Back, self.used_bytes());
        copy.bytes.extend_from_slice(self.used());
        copy.count = self.count;
        copy
    }
}

impl Chunk {
    /// An empty chunk with room for `bytes` bytes at `end`.
    pub(super) fn with_room(end: End, bytes: usize) -> Self {
        let capacity = size_class(bytes);
        match end {
            End::Back => Self {
                bytes: Vec::with_capacity(capacity),
                start: 0,
                count: 0,
            },
            End::Front => Self {
                bytes: vec![0; capacity],
                start: capacity as u32,
                count: 0,
            },
        }
    }

    /// How many elements it has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of all elements as they stand in the block.
    #[inline]
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.len() - self.start as usize
    }

    /// Bytes of its block of heap.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// All elements.
    #[inline]
    pub(super) fn elements(&self) -> Elements<'_> {
        Elements::new(self.used())
    }

    /// The elements from `index` on.
    pub(super) fn elements_from(&self, index: usize) -> Elements<'_> {
        Elements::new(&self.bytes[self.offset_of(index)..])
    }

    /// The elements before `index`.
    pub(super) fn elements_until(&self, index: usize) -> Elements<'_> {
        Elements::new(&self.bytes[self.start as usize..self.offset_of(index)])
    }

    #[inline]
    fn used(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }

    /// Where in the block the element at `index` begins; the end for the index behind the last. Reads the lengths from
    /// the nearer end.
    fn offset_of(&self, index: usize) -> usize {
        let len = self.len();
        let mut elements = self.elements();
        if index <= len / 2 {
            elements.by_ref().take(index).for_each(drop);
            self.bytes.len() - elements.remaining_bytes()
        } else {
            elements.by_ref().rev().take(len - index).for_each(drop);
            self.start as usize + elements.remaining_bytes()
        }
    }

    /// Adds an element at `end`.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], growth: Growth) {
        let added = element::encoded_bytes(element.len());
        if self.room(end) < added {
            self.make_room(end, added, growth);
        }
        match end {
            End::Front if self.start as usize >= added => {
                let end = self.start as usize;
                let start = end - added;
                element::write(&mut self.bytes[start..end], element);
                self.start = start as u32;
            }
            _ => element::append(&mut self.bytes, element),
        }
        self.count += 1;
    }

    #[inline]
    fn room(&self, end: End) -> usize {
        match end {
            End::Front => self.start as usize,
            End::Back => self.bytes.capacity() - self.bytes.len(),
        }
    }

    /// Gets `added` bytes of room at `end`: what is free at the other end, if that is worth a move, or a larger block.
    ///
    /// Of a move both ends get their share of the room, so that alternating between the ends does not move the elements
    /// each time.
    #[cold]
    fn make_room(&mut self, end: End, added: usize, growth: Growth) {
        let (used, old_capacity) = (self.used_bytes(), self.heap_bytes());
        let free = old_capacity - used;
        if used == 0 {
            *self = Self::with_room(End::Back, added);
        } else if free >= added && (used <= SMALL_BYTES || free >= used / 8) {
            let shared = half_of_room(free - added);
            self.relocate(
                old_capacity,
                if end == End::Front { added + shared } else { shared },
            );
        } else {
            let capacity = growth.capacity(used, added).max(old_capacity);
            self.relocate(capacity, if end == End::Front { capacity - used } else { 0 });
        }
    }

    /// Moves the elements to `start` in a block of `capacity` bytes.
    fn relocate(&mut self, capacity: usize, start: usize) {
        let old = self.start as usize..self.bytes.len();
        let end = start + old.len();
        if capacity == self.bytes.capacity() {
            self.bytes.resize(end.max(old.end), 0);
            self.bytes.copy_within(old, start);
            self.bytes.truncate(end);
        } else if capacity > self.bytes.capacity() && start == 0 && old.start == 0 {
            self.bytes.reserve_exact(capacity - old.end);
        } else {
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(start, 0);
            bytes.extend_from_slice(&self.bytes[old]);
            self.bytes = bytes;
        }
        self.start = start as u32;
    }

    /// The element at `end`.
    #[inline]
    pub(super) fn peek(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Front => self.elements().next(),
            End::Back => self.elements().next_back(),
        }
    }

    /// Removes the element at `end` after `read` has seen it.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut elements = self.elements();
        let element = match end {
            End::Front => elements.next(),
            End::Back => elements.next_back(),
        }?;
        let remaining = elements.remaining_bytes();
        let result = read(element);
        if self.count == 1 {
            *self = Self::default();
            return Some(result);
        }
        match end {
            End::Front => self.start = (self.bytes.len() - remaining) as u32,
            End::Back => self.bytes.truncate(self.start as usize + remaining),
        }
        self.count -= 1;
        self.shrink_if_sparse();
        Some(result)
    }

    /// Removes `count` elements at `end`; there are more than that.
    pub(super) fn remove_from(&mut self, end: End, count: usize) {
        match end {
            End::Front => self.start = self.offset_of(count) as u32,
            End::Back => self.bytes.truncate(self.offset_of(self.len() - count)),
        }
        self.count -= count as u32;
        self.shrink_if_sparse();
    }

    /// Takes a smaller block when three quarters of this one are free.
    #[inline]
    fn shrink_if_sparse(&mut self) {
        if self.bytes.capacity() > SMALL_BYTES && self.used_bytes() < self.bytes.capacity() / 4 {
            self.shrink_to(2 * self.used_bytes());
        }
    }

    /// Gives back what is free, as the chunk is not expected to grow soon.
    pub(super) fn shrink_to_fit(&mut self) {
        self.shrink_to(self.used_bytes());
    }

    #[cold]
    fn shrink_to(&mut self, bytes: usize) {
        let capacity = size_class(bytes);
        if capacity < self.bytes.capacity() {
            self.relocate(capacity, half_of_room(capacity - self.used_bytes()));
        }
    }

    /// Puts an element before the one at `index`, or at the end.
    pub(super) fn insert(&mut self, index: usize, element: &[u8], growth: Growth) {
        let added = element::encoded_bytes(element.len());
        let closer_to_front = index < self.len() / 2;
        if closer_to_front && self.room(End::Front) >= added {
            let (start, at) = (self.start as usize, self.offset_of(index));
            self.bytes.copy_within(start..at, start - added);
            self.start = (start - added) as u32;
            element::write(&mut self.bytes[at - added..at], element);
        } else {
            if self.room(End::Back) < added {
                self.make_room(End::Back, added, growth);
            }
            let (at, end) = (self.offset_of(index), self.bytes.len());
            self.bytes.resize(end + added, 0);
            self.bytes.copy_within(at..end, at + added);
            element::write(&mut self.bytes[at..at + added], element);
        }
        self.count += 1;
    }

    /// Removes the element at `index`.
    pub(super) fn remove(&mut self, index: usize) {
        let (start, at, next) = (
            self.start as usize,
            self.offset_of(index),
            self.offset_of(index + 1),
        );
        if index < self.len() / 2 {
            self.bytes.copy_within(start..at, start + (next - at));
            self.start += (next - at) as u32;
        } else {
            self.bytes.drain(at..next);
        }
        self.count -= 1;
    }

    /// Replaces the element at `index`.
    pub(super) fn set(&mut self, index: usize, element: &[u8], growth: Growth) {
        let (at, next) = (self.offset_of(index), self.offset_of(index + 1));
        if next - at == element::encoded_bytes(element.len()) {
            element::write(&mut self.bytes[at..next], element);
        } else {
            self.remove(index);
            self.insert(index, element, growth);
            self.shrink_if_sparse();
        }
    }

    /// Takes the elements from `index` on into a chunk of their own.
    #[must_use]
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let at = self.offset_of(index);
        let mut tail = Self::with_room(End::Back, self.bytes.len() - at);
        tail.bytes.extend_from_slice(&self.bytes[at..]);
        tail.count = self.count - index as u32;
        self.bytes.truncate(at);
        self.count = index as u32;
        tail
    }

    /// Adds all elements of `other` at the back.
    pub(super) fn append(&mut self, other: &Self, growth: Growth) {
        if self.room(End::Back) < other.used_bytes() {
            self.make_room(End::Back, other.used_bytes(), growth);
        }
        self.bytes.extend_from_slice(other.used());
        self.count += other.count;
    }

    /// How many elements are equal to `element`.
    pub(super) fn count_equal(&self, element: &[u8]) -> usize {
        self.elements().filter(|other| *other == element).count()
    }

    /// Removes the elements equal to `element`, except the first `kept`, and `most` at most. Gives how many those were.
    pub(super) fn remove_equal(&mut self, element: &[u8], mut kept: usize, most: usize) -> usize {
        let taken = element::encoded_bytes(element.len());
        let mut removed = 0;
        // Elements that stay are moved run by run: `run` is where the present one begins, `end` where it goes to.
        let (mut run, mut end) = (self.start as usize, self.start as usize);
        while removed < most {
            let rest = Elements::new(&self.bytes[run..]);
            let Some(run_bytes) = rest.offset_of(element, &mut kept) else {
                break;
            };
            self.bytes.copy_within(run..run + run_bytes, end);
            end += run_bytes;
            run += run_bytes + taken;
            removed += 1;
        }
        self.bytes.drain(end..run);
        self.count -= removed as u32;
        self.shrink_if_sparse();
        removed
    }
}
