//! A list as a deque of chunks.

use std::collections::VecDeque;

use super::ChunkLimit;
use super::chunk::{Chunk, End, Growth};
use super::element;
use crate::values::heap::size_class;

/// Chunks in their order, none of them empty between two calls.
#[derive(Debug)]
pub(super) struct Chunks {
    deque: VecDeque<Chunk>,
    /// Elements of all chunks.
    len: usize,
    /// Bytes of all chunks' blocks.
    chunk_bytes: usize,
}

impl Clone for Chunks {
    /// A copy whose chunks have no room for more.
    fn clone(&self) -> Self {
        let deque = self.deque.clone();
        Self {
            len: self.len,
            chunk_bytes: deque.iter().map(Chunk::heap_bytes).sum(),
            deque,
        }
    }
}

impl Chunks {
    /// A deque of this chunk.
    pub(super) fn new(chunk: Chunk) -> Self {
        Self {
            len: chunk.len(),
            chunk_bytes: chunk.heap_bytes(),
            deque: VecDeque::from([chunk]),
        }
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of heap of the chunks and of the deque.
    pub(super) fn heap_bytes(&self) -> usize {
        size_class(self.deque.capacity() * size_of::<Chunk>()) + self.chunk_bytes
    }

    /// The chunks in order.
    pub(super) fn as_slices(&self) -> (&[Chunk], &[Chunk]) {
        self.deque.as_slices()
    }

    /// The only chunk, if there are not several.
    pub(super) fn take_only(&mut self) -> Option<Chunk> {
        if self.deque.len() > 1 {
            return None;
        }
        Some(self.deque.pop_front().unwrap_or_default())
    }

    /// Adds an element at `end`.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limit: ChunkLimit) {
        let added = element::encoded_bytes(element.len());
        if !limit.admits(self.last(end), 1, added) {
            self.add_chunk(end, added, limit);
        }
        let chunk = self.last_mut(end);
        let bytes = chunk.heap_bytes();
        chunk.push(end, element, Growth::UpTo(limit.bytes_max));
        let grown = chunk.heap_bytes() - bytes;
        self.chunk_bytes += grown;
        self.len += 1;
    }

    /// Adds an empty chunk at `end`, for an element of `bytes` bytes. What was the last chunk will not grow for a while.
    #[cold]
    fn add_chunk(&mut self, end: End, bytes: usize, limit: ChunkLimit) {
        let last = self.position_of_last(end);
        self.change(last, Chunk::shrink_to_fit);
        let chunk = if bytes > limit.bytes_max {
            Chunk::default()
        } else {
            Chunk::with_room(end, bytes.max(limit.bytes_max / 4))
        };
        self.chunk_bytes += chunk.heap_bytes();
        match end {
            End::Front => self.deque.push_front(chunk),
            End::Back => self.deque.push_back(chunk),
        }
    }

    #[inline]
    fn position_of_last(&self, end: End) -> usize {
        match end {
            End::Front => 0,
            End::Back => self.deque.len() - 1,
        }
    }

    #[inline]
    fn last(&self, end: End) -> &Chunk {
        let chunk = match end {
            End::Front => self.deque.front(),
            End::Back => self.deque.back(),
        };
        chunk.expect("there is a chunk")
    }

    #[inline]
    fn last_mut(&mut self, end: End) -> &mut Chunk {
        let chunk = match end {
            End::Front => self.deque.front_mut(),
            End::Back => self.deque.back_mut(),
        };
        chunk.expect("there is a chunk")
    }

    /// Changes one chunk; the sums follow.
    #[inline]
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Chunk) -> R) -> R {
        let chunk = &mut self.deque[at];
        let (len, bytes) = (chunk.len(), chunk.heap_bytes());
        let result = change(chunk);
        self.len = self.len - len + chunk.len();
        self.chunk_bytes = self.chunk_bytes - bytes + chunk.heap_bytes();
        result
    }

    /// The element at `end`.
    pub(super) fn peek(&self, end: End) -> Option<&[u8]> {
        self.last(end).peek(end)
    }

    /// Removes the element at `end` after `read` has seen it; tells whether only one chunk is left.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, read: impl FnOnce(&[u8]) -> R) -> (Option<R>, bool) {
        let chunk = self.last_mut(end);
        let bytes = chunk.heap_bytes();
        let result = chunk.pop(end, read);
        let (shrunk, is_empty) = (bytes - chunk.heap_bytes(), chunk.len() == 0);
        self.chunk_bytes -= shrunk;
        self.len -= usize::from(result.is_some());
        if is_empty {
            self.remove_chunk(self.position_of_last(end));
        }
        (result, self.deque.len() == 1)
    }

    #[cold]
    fn remove_chunk(&mut self, at: usize) -> Option<Chunk> {
        let chunk = self.deque.remove(at)?;
        self.len -= chunk.len();
        self.chunk_bytes -= chunk.heap_bytes();
        self.shrink_if_sparse();
        Some(chunk)
    }

    /// Takes a smaller deque when three quarters of it are free.
    fn shrink_if_sparse(&mut self) {
        /// Deques of this size are not worth shrinking.
        const SMALL: usize = 16;
        if self.deque.capacity() > SMALL && self.deque.len() < self.deque.capacity() / 4 {
            self.deque.shrink_to(2 * self.deque.len());
        }
    }

    /// Removes `count` elements at `end`; there are more than that.
    pub(super) fn remove_from(&mut self, end: End, mut count: usize) {
        while count > 0 {
            let at = self.position_of_last(end);
            let len = self.deque[at].len();
            if count < len {
                return self.change(at, |chunk| chunk.remove_from(end, count));
            }
            count -= len;
            self.remove_chunk(at);
        }
    }

    /// The element at `index`, which exists.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let (at, inside) = self.locate(index);
        self.deque[at].elements_from(inside).next()
    }

    /// The chunk that the element at `index` is in, and its position there. Counts from the nearer end.
    fn locate(&self, index: usize) -> (usize, usize) {
        let mut start = if index < self.len / 2 { 0 } else { self.len };
        if start == 0 {
            for (at, chunk) in self.deque.iter().enumerate() {
                if index < start + chunk.len() {
                    return (at, index - start);
                }
                start += chunk.len();
            }
        } else {
            for (at, chunk) in self.deque.iter().enumerate().rev() {
                start -= chunk.len();
                if index >= start {
                    return (at, index - start);
                }
            }
        }
        unreachable!("the caller looked that index {index} exists among {}", self.len)
    }

    /// Replaces the element at `index`, which exists.
    pub(super) fn set(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        let (at, inside) = self.locate(index);
        if limit.admits_in_place(&self.deque[at], inside, element) {
            self.change(at, |chunk| chunk.set(inside, element, Growth::Lean));
        } else {
            self.change(at, |chunk| chunk.remove(inside));
            self.insert(index, element, limit);
        }
    }

    /// Puts an element before the one at `index`, or at the back.
    pub(super) fn insert(&mut self, index: usize, element: &[u8], limit: ChunkLimit) {
        if index >= self.len {
            return self.push(End::Back, element, limit);
        }
        let added = element::encoded_bytes(element.len());
        let (at, inside) = self.locate(index);
        if limit.admits(&self.deque[at], 1, added) {
            self.change(at, |chunk| chunk.insert(inside, element, Growth::Lean));
        } else if inside > 0 {
            self.insert_splitting(at, inside, element, limit);
        } else if at > 0 && limit.admits(&self.deque[at - 1], 1, added) {
            self.change(at - 1, |chunk| chunk.push(End::Back, element, Growth::Lean));
        } else {
            self.insert_chunk_of(at, element);
        }
    }

    fn insert_chunk_of(&mut self, at: usize, element: &[u8]) {
        self.deque.insert(at, Chunk::default());
        self.change(at, |chunk| chunk.push(End::Back, element, Growth::Lean));
    }

    /// Puts an element between two of a chunk that is full: behind the first part, if that has the room now.
    fn insert_splitting(&mut self, at: usize, inside: usize, element: &[u8], limit: ChunkLimit) {
        let tail = self.change(at, |chunk| {
            let tail = chunk.split_off(inside);
            chunk.shrink_to_fit();
            tail
        });
        self.len += tail.len();
        self.chunk_bytes += tail.heap_bytes();
        self.deque.insert(at + 1, tail);
        let behind = if limit.admits(&self.deque[at], 1, element::encoded_bytes(element.len())) {
            self.change(at, |chunk| chunk.push(End::Back, element, Growth::Lean));
            at + 1
        } else {
            self.insert_chunk_of(at + 1, element);
            at + 2
        };
        self.merge_with_next(behind, limit);
        if at > 0 {
            self.merge_with_next(at - 1, limit);
        }
    }

    /// Makes one chunk of the one at `at` and the next, if there is one and it fits: or repeated insertion would leave a
    /// trail of tiny chunks.
    fn merge_with_next(&mut self, at: usize, limit: ChunkLimit) {
        let Some(next) = self.deque.get(at + 1) else {
            return;
        };
        if limit.admits(&self.deque[at], next.len(), next.used_bytes()) {
            let next = self.remove_chunk(at + 1).expect("it was just looked at");
            self.change(at, |chunk| chunk.append(&next, Growth::Lean));
        }
    }

    /// Removes elements equal to `element`, seeking from `end`, but not more than `most`. Gives how many those were.
    pub(super) fn remove_equal(&mut self, element: &[u8], end: End, most: usize, limit: ChunkLimit) -> usize {
        let (mut removed, mut is_sparse) = (0, false);
        for step in 0..self.deque.len() {
            let at = match end {
                End::Front => step,
                End::Back => self.deque.len() - 1 - step,
            };
            let removed_here = self.change(at, |chunk| remove_equal(chunk, element, end, most - removed));
            removed += removed_here;
            is_sparse |= removed_here > 0 && self.deque[at].used_bytes() < limit.bytes_max / 4;
            if removed == most {
                break;
            }
        }
        if is_sparse {
            self.merge_sparse(limit);
        }
        removed
    }

    /// Drops empty chunks, and merges neighbours that together fill no more than half a chunk. O(chunks).
    fn merge_sparse(&mut self, limit: ChunkLimit) {
        let half = ChunkLimit {
            bytes_max: limit.bytes_max / 2,
            entries_max: limit.entries_max / 2,
        };
        let mut merged: VecDeque<Chunk> = VecDeque::new();
        for chunk in std::mem::take(&mut self.deque) {
            match merged.back_mut() {
                Some(last) if half.admits(last, chunk.len(), chunk.used_bytes()) => {
                    last.append(&chunk, Growth::Lean);
                }
                _ if chunk.len() == 0 => {}
                _ => merged.push_back(chunk),
            }
        }
        self.chunk_bytes = merged.iter().map(Chunk::heap_bytes).sum();
        self.deque = merged;
    }
}

impl ChunkLimit {
    /// Whether the element at `index` of a chunk may become `element` without leaving it.
    pub(super) fn admits_in_place(self, chunk: &Chunk, index: usize, element: &[u8]) -> bool {
        let old = chunk.elements_from(index).next().map_or(0, <[u8]>::len);
        let bytes = chunk.used_bytes() - element::encoded_bytes(old) + element::encoded_bytes(element.len());
        bytes <= self.bytes_max || element.len() <= old || chunk.len() == 1
    }
}

/// Removes from a chunk elements equal to `element`, those closest to `end` first, but not more than `most`.
pub(super) fn remove_equal(chunk: &mut Chunk, element: &[u8], end: End, most: usize) -> usize {
    let kept = match end {
        End::Front => 0,
        End::Back => chunk.count_equal(element).saturating_sub(most),
    };
    chunk.remove_equal(element, kept, most)
}
