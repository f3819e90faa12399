//! Entries of several blocks, in either direction.

use std::collections::btree_map;

use super::block::Block;
use super::entry::{Entry, Scan, ScanBack};
use super::id::StreamId;

type Blocks<'a> = btree_map::Range<'a, StreamId, Block>;

/// Entries from one id to another.
#[derive(Clone)]
pub struct Forward<'a> {
    blocks: Blocks<'a>,
    scan: Option<Scan<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Forward<'a> {
    /// The entries of `scan` and of these blocks behind it, both ends included.
    pub(super) fn new(blocks: Blocks<'a>, scan: Option<Scan<'a>>, start: StreamId, end: StreamId) -> Self {
        Self {
            blocks,
            scan,
            start,
            end,
        }
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(scan) = &mut self.scan else {
                let (first, block) = self.blocks.next().filter(|(first, _)| **first <= self.end)?;
                self.scan = Some(block.scan(*first));
                continue;
            };
            if let Some(found) = scan.find(|found| !found.deleted && found.entry.id >= self.start) {
                // What follows an entry behind the end is behind it, too.
                return (found.entry.id <= self.end).then_some(found.entry);
            }
            self.scan = None;
        }
    }
}

/// The same from the last one on.
#[derive(Clone)]
pub struct Backward<'a> {
    blocks: Blocks<'a>,
    scan: Option<ScanBack<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Backward<'a> {
    /// The entries of these blocks, both ends included.
    pub(super) fn new(blocks: Blocks<'a>, start: StreamId, end: StreamId) -> Self {
        Self {
            blocks,
            scan: None,
            start,
            end,
        }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(scan) = &mut self.scan else {
                let (first, block) = self.blocks.next_back()?;
                self.scan = Some(block.scan_back(*first));
                continue;
            };
            if let Some(found) = scan.find(|found| !found.deleted && found.entry.id <= self.end) {
                return (found.entry.id >= self.start).then_some(found.entry);
            }
            self.scan = None;
        }
    }
}
