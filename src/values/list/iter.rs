//! Reading a list from either end.

use std::iter::{Chain, FusedIterator};
use std::slice;

use super::chunk::Chunk;
use super::element::Elements;

/// All elements of a list, from either end. Skipping (`nth`, and so `skip`) passes over whole chunks.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    /// What is left of the chunk that the front is in.
    front: Elements<'a>,
    chunks: Chain<slice::Iter<'a, Chunk>, slice::Iter<'a, Chunk>>,
    /// What is left of the chunk that the back is in.
    back: Elements<'a>,
    len: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new((first, second): (&'a [Chunk], &'a [Chunk]), len: usize) -> Self {
        Self {
            front: Elements::default(),
            chunks: first.iter().chain(second),
            back: Elements::default(),
            len,
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.front.next() {
                self.len -= 1;
                return Some(element);
            }
            match self.chunks.next() {
                Some(chunk) => self.front = chunk.elements(),
                None if self.len == 0 => return None,
                None => std::mem::swap(&mut self.front, &mut self.back),
            }
        }
    }

    fn nth(&mut self, count: usize) -> Option<&'a [u8]> {
        if count >= self.len {
            *self = Self::new((&[], &[]), 0);
            return None;
        }
        let end = self.len - count;
        while self.len > end && self.front.next().is_some() {
            self.len -= 1;
        }
        while self.len > end {
            match self.chunks.next() {
                Some(chunk) if chunk.len() <= self.len - end => self.len -= chunk.len(),
                Some(chunk) => {
                    self.front = chunk.elements_from(self.len - end);
                    self.len = end;
                }
                None => {
                    self.back.nth(self.len - end - 1);
                    self.len = end;
                }
            }
        }
        self.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.back.next_back() {
                self.len -= 1;
                return Some(element);
            }
            match self.chunks.next_back() {
                Some(chunk) => self.back = chunk.elements(),
                None if self.len == 0 => return None,
                None => std::mem::swap(&mut self.front, &mut self.back),
            }
        }
    }

    fn nth_back(&mut self, count: usize) -> Option<&'a [u8]> {
        if count >= self.len {
            *self = Self::new((&[], &[]), 0);
            return None;
        }
        let end = self.len - count;
        while self.len > end && self.back.next_back().is_some() {
            self.len -= 1;
        }
        while self.len > end {
            match self.chunks.next_back() {
                Some(chunk) if chunk.len() <= self.len - end => self.len -= chunk.len(),
                Some(chunk) => {
                    self.back = chunk.elements_until(chunk.len() - (self.len - end));
                    self.len = end;
                }
                None => {
                    self.front.nth_back(self.len - end - 1);
                    self.len = end;
                }
            }
        }
        self.next_back()
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}
