//! The entries of a stream, in blocks that are ordered by their first ids.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::block::Block;
use super::entry::Entry;
use super::id::{IdRequest, StreamId};
use super::radix;
use super::range::{Backward, Forward};
use crate::values::heap::size_class;

/// When a block is full.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes that a block may have; 0 for as many as possible.
    pub bytes_max: usize,
    /// Entries that a block may have, deleted ones included; 0 for any number.
    pub entries_max: usize,
}

/// Most bytes of a block, and of the fields and values of one entry.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// Why an entry can't be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The id is not greater than the last one.
    NotGreater,
    /// The last one was the highest there is.
    Exhausted,
    /// Fields and values have more bytes than a block may have.
    TooLarge,
}

/// A payload that does not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// All entries of a stream.
#[derive(Debug, Default)]
pub struct Entries {
    pub(super) blocks: BTreeMap<StreamId, Block>,
    /// The sum of the blocks' heap bytes.
    blocks_bytes: usize,
    pub(super) len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

impl Entries {
    /// How many there are. O(1).
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first one, 0-0 if there is none. O(1).
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The highest id that was given, which no new entry may go below; the entry itself may be gone.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The highest id that was removed other than by trimming; 0-0 if none was.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// How many nodes the radix tree has in which Redis would keep the blocks. O(blocks).
    pub fn radix_node_count(&self) -> usize {
        radix::node_count(self.blocks.keys().copied())
    }

    /// The blocks as nodes of a Redis stream: the id that each is kept under, and its listpack.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (StreamId, &[u8])> {
        self.blocks
            .iter()
            .map(|(first, block)| (*first, block.as_bytes()))
    }

    /// Bytes of heap. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.blocks_bytes + tree_bytes::<StreamId, Block>(self.blocks.len())
    }

    /// The same, counted anew.
    #[cfg(test)]
    pub(super) fn recounted_heap_bytes(&self) -> usize {
        let blocks: usize = self.blocks.values().map(Block::heap_bytes).sum();
        blocks + tree_bytes::<StreamId, Block>(self.blocks.len())
    }

    /// The id that a new entry would have. `now_ms`: Unix time.
    pub fn next_id(&self, request: IdRequest, now_ms: u64) -> Result<StreamId, AppendError> {
        let last = self.last_id;
        let behind_last = last.next().ok_or(AppendError::Exhausted)?;
        let id = match request {
            IdRequest::Exact(id) => id,
            IdRequest::InMillisecond(ms) if ms == last.ms => StreamId::new(ms, last.seq.wrapping_add(1)),
            IdRequest::InMillisecond(ms) => StreamId::new(ms, 0),
            IdRequest::Next if now_ms > last.ms => StreamId::new(now_ms, 0),
            IdRequest::Next => behind_last,
        };
        if id > last {
            Ok(id)
        } else {
            Err(AppendError::NotGreater)
        }
    }

    /// Adds an entry of the fields and values `words`: name, value, name, value… `id` is of [`Entries::next_id`].
    /// Amortised O(bytes).
    pub fn append<'w>(
        &mut self,
        id: StreamId,
        words: impl Iterator<Item = &'w [u8]> + Clone,
        limits: NodeLimits,
    ) -> Result<(), AppendError> {
        let words_bytes = words
            .clone()
            .fold(0_usize, |sum, word| sum.saturating_add(word.len()));
        if words_bytes > BLOCK_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        debug_assert!(id > self.last_id, "ids only grow");
        if !self.append_to_last(id, words.clone(), words_bytes, limits) {
            self.append_block(id, words);
        }
        self.len += 1;
        self.added = self.added.wrapping_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// Appends to the last block, unless it is full or there is none.
    fn append_to_last<'w>(
        &mut self,
        id: StreamId,
        words: impl Iterator<Item = &'w [u8]> + Clone,
        words_bytes: usize,
        limits: NodeLimits,
    ) -> bool {
        let Some(mut last) = self.blocks.last_entry() else {
            return false;
        };
        let (first, block) = (*last.key(), last.get_mut());
        let heap_bytes = block.heap_bytes();
        let full = is_full(block, words_bytes, limits);
        if full {
            block.shrink();
        } else {
            block.append(first, id, words);
        }
        self.blocks_bytes = self.blocks_bytes - heap_bytes + block.heap_bytes();
        !full
    }

    fn append_block<'w>(&mut self, id: StreamId, words: impl Iterator<Item = &'w [u8]> + Clone) {
        let mut block = Block::new(words.clone());
        block.append(id, id, words);
        self.blocks_bytes += block.heap_bytes();
        self.blocks.insert(id, block);
    }

    /// Removes an entry; tells whether there was one. O(entries of a block).
    pub fn remove(&mut self, id: StreamId) -> bool {
        let Some((&first, block)) = self.blocks.range_mut(..=id).next_back() else {
            return false;
        };
        let Some(at) = block.find(first, id).map(|found| found.at) else {
            return false;
        };
        if block.live() == 1 {
            self.remove_block(first);
        } else {
            block.delete(std::iter::once(at));
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    pub(super) fn remove_block(&mut self, first: StreamId) {
        let block = self.blocks.remove(&first).expect("the block was just found");
        self.blocks_bytes -= block.heap_bytes();
    }

    pub(super) fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = first.map_or(StreamId::MIN, |entry| entry.id);
    }

    /// The entry `id`. O(entries of a block).
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (first, block) = self.blocks.range(..=id).next_back()?;
        block.find(*first, id).map(|found| found.entry)
    }

    /// Whether there is an entry `id`.
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// The last id that an entry has, which may be lower than [`Entries::last_id`].
    pub fn last_live_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX)
            .next()
            .map(|entry| entry.id)
    }

    /// The entries from `start` to `end`, both included, in order.
    pub fn range(&self, start: StreamId, end: StreamId) -> Forward<'_> {
        let Some((first, block)) = self.blocks.range(..=start).next_back() else {
            return Forward::new(self.blocks.range(start..), None, start, end);
        };
        let rest = self.blocks.range((Bound::Excluded(first), Bound::Unbounded));
        let is_last = self.blocks.last_key_value().map(|(last, _)| last) == Some(first);
        // Who reads on in a stream begins near its end.
        let scan = if is_last && start > *first {
            block.scan_from(*first, start)
        } else {
            block.scan(*first)
        };
        Forward::new(rest, Some(scan), start, end)
    }

    /// The same from `end` to `start`.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> Backward<'_> {
        Backward::new(self.blocks.range(..=end), start, end)
    }

    /// Sets the last id, and where given the number of entries ever added and the highest removed id, which is not
    /// greater. No entry has a greater id than `last_id`.
    pub fn set_ids(&mut self, last_id: StreamId, added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.added = added.unwrap_or(self.added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
        // What comes next may be before a block that has only deleted entries.
        while let Some((&first, _)) = self.blocks.last_key_value()
            && first > last_id
        {
            self.remove_block(first);
        }
    }

    /// Whether an entry was removed, other than by trimming, that is not before the first one and not before
    /// `start`: then nobody can tell how many entries are behind `start`.
    pub fn has_gap_behind(&self, start: StreamId) -> bool {
        let gap = self.max_deleted_id;
        self.len > 0 && gap != StreamId::MIN && self.first_id <= gap && start <= gap
    }

    /// How many entries were added up to `id`, if that can be told: it can for the first and the last one and outside
    /// of them, as long as no entry was removed but from the front. O(1).
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id || id == self.last_id {
            return Some(self.added);
        }
        let has_gap = self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= self.first_id;
        if id > self.last_id || has_gap {
            return None;
        }
        let before_first = self.added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Adds the node of a Redis stream that is kept under `first`, behind those that are there already. Fails if its
    /// bytes are not those of one, or its entries are not all behind those before. O(bytes).
    pub fn load_block(&mut self, first: StreamId, listpack: &[u8]) -> Result<(), Corrupt> {
        let block = Block::load(first, listpack).ok_or(Corrupt)?;
        let last = self.blocks.last_key_value().map(|(last, _)| *last);
        if last.max(self.last_live_id()) >= Some(first) {
            return Err(Corrupt);
        }
        self.len += block.live();
        self.blocks_bytes += block.heap_bytes();
        self.blocks.insert(first, block);
        Ok(())
    }

    /// Ends loading. Fails if an entry has a greater id than `last_id`.
    pub fn load_ids(
        &mut self,
        last_id: StreamId,
        added: u64,
        max_deleted_id: StreamId,
    ) -> Result<(), Corrupt> {
        if self.last_live_id().is_some_and(|last| last > last_id) {
            return Err(Corrupt);
        }
        self.set_ids(last_id, Some(added), Some(max_deleted_id));
        self.find_first();
        Ok(())
    }
}

impl Clone for Entries {
    fn clone(&self) -> Self {
        let blocks = self.blocks.clone();
        Self {
            // Copies have no room for more.
            blocks_bytes: blocks.values().map(Block::heap_bytes).sum(),
            blocks,
            ..*self
        }
    }
}

/// Whether an entry with so many bytes of fields and values belongs into the next block.
fn is_full(block: &Block, words_bytes: usize, limits: NodeLimits) -> bool {
    let bytes_max = match limits.bytes_max {
        0 => BLOCK_BYTES_MAX,
        bytes => bytes.min(BLOCK_BYTES_MAX),
    };
    block.len() + words_bytes >= bytes_max
        || limits.entries_max > 0 && block.entries() >= limits.entries_max as u64
}

/// About how many bytes of heap a `BTreeMap` of `len` pairs has. Its nodes have eleven pairs; appending at the end leaves
/// them with six and one in the node above, and this counts all of them as filled like that.
pub(super) fn tree_bytes<K, V>(len: usize) -> usize {
    const PAIRS_MAX: usize = 11;
    const PAIRS_USUAL: usize = 7;
    let leaf = size_class(PAIRS_MAX * (size_of::<K>() + size_of::<V>()) + 16);
    match len {
        0 => 0,
        1..=PAIRS_MAX => leaf,
        _ => len * (leaf + leaf / PAIRS_USUAL) / PAIRS_USUAL,
    }
}
