//! Removing the older part of a stream.

use super::block::Block;
use super::entries::Entries;
use super::id::StreamId;

/// How much of a stream's older part is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// Whether it is enough to remove whole blocks.
    pub approximate: bool,
    /// Most entries to remove, as far as whole blocks go; 0 for any number.
    pub limit: u64,
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the latest entries.
    Newest(u64),
    /// The entries from this id on.
    From(StreamId),
}

impl Entries {
    /// Removes the entries that `trim` does not keep, from the first on; tells how many. Whole blocks go at once, and
    /// if that must be exact, the last ones out of a block. Which blocks count as whole is as in Redis: a deleted entry
    /// that `trim` keeps keeps its block. The ids of what was removed are added to `ids`.
    pub fn trim(&mut self, trim: Trim, mut ids: Option<&mut Vec<StreamId>>) -> u64 {
        let mut removed = 0;
        while let Some((&first, block)) = self.blocks.first_key_value() {
            let live = block.live();
            if self.is_trimmed(trim.keep) || trim.limit > 0 && removed + live > trim.limit {
                break;
            }
            if self.goes_whole(trim.keep, first, block) {
                if let Some(ids) = &mut ids {
                    ids.extend(live_ids(block, first));
                }
                self.remove_block(first);
                self.len -= live;
                removed += live;
                continue;
            }
            if !trim.approximate {
                removed += self.trim_first_block(trim.keep, ids.as_deref_mut());
            }
            break;
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    /// Whether there is nothing to do for lack of entries.
    fn is_trimmed(&self, keep: Keep) -> bool {
        matches!(keep, Keep::Newest(count) if self.len <= count)
    }

    fn goes_whole(&self, keep: Keep, first: StreamId, block: &Block) -> bool {
        match keep {
            Keep::Newest(count) => self.len - block.live() >= count,
            Keep::From(id) => block
                .scan_back(first)
                .next()
                .is_some_and(|last| last.entry.id < id),
        }
    }

    /// Removes entries out of the first block.
    fn trim_first_block(&mut self, keep: Keep, ids: Option<&mut Vec<StreamId>>) -> u64 {
        let Some((first, block)) = self.blocks.iter_mut().next() else {
            return 0;
        };
        let found = block.scan(*first).scan(self.len, |left, found| {
            let goes = match keep {
                Keep::Newest(count) => *left > count,
                Keep::From(id) => found.entry.id < id,
            };
            *left -= u64::from(goes && !found.deleted);
            goes.then_some(found)
        });
        let found: Vec<_> = found
            .filter(|found| !found.deleted)
            .map(|found| (found.at, found.entry.id))
            .collect();
        block.delete(found.iter().map(|(at, _)| *at));
        if let Some(ids) = ids {
            ids.extend(found.iter().map(|(_, id)| *id));
        }
        self.len -= found.len() as u64;
        found.len() as u64
    }
}

/// The ids of a block's entries that are not deleted.
fn live_ids(block: &Block, first: StreamId) -> impl Iterator<Item = StreamId> {
    block
        .scan(first)
        .filter(|found| !found.deleted)
        .map(|found| found.entry.id)
}
