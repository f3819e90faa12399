//! Walking the keyspace in hash order.
//!
//! A cursor is a point in the order of hashes: shard, then place in the shard's table. Entries keep their place
//! whatever a table's size is, so an entry that is there during the whole walk is returned exactly once, however
//! the tables grow or shrink meanwhile.

use super::entry::EntryRef;
use super::random::Random;
use super::{Store, Visit};
use crate::limits::SHARD_BITS;

const ORDER_BITS: u32 = 32;

/// A place in the walk; 0 is its beginning, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl Store {
    /// Visits the living entries from `cursor` on, at least `count` of them or of empty places, and returns the
    /// cursor to go on with. Any number is accepted as a cursor; one that is past the end ends the walk.
    pub fn scan(
        &self,
        cursor: Cursor,
        count: usize,
        visit: Visit,
        mut each: impl FnMut(EntryRef<'_>),
    ) -> Cursor {
        let mut shard_index = (cursor.0 >> ORDER_BITS) as usize;
        let mut order = cursor.0 as u32;
        let mut steps = 0;
        while shard_index < 1 << SHARD_BITS {
            let shard = self.shards[shard_index].lock();
            let next = shard.keyspace(visit.db).and_then(|keyspace| {
                keyspace.table.scan(order, &self.settings.hasher, |entry| {
                    steps += 1;
                    if entry.deadline_ms().is_none_or(|at| at > visit.now_ms) {
                        each(entry);
                    }
                })
            });
            match next {
                Some(next) => order = next,
                None => (shard_index, order) = (shard_index + 1, 0),
            }
            if steps >= count && shard_index < 1 << SHARD_BITS {
                return Cursor((shard_index as u64) << ORDER_BITS | u64::from(order));
            }
        }
        Cursor(0)
    }

    /// A copy of some living key of the database, each about equally likely. `None` when there is none.
    pub fn random_key(&self, visit: Visit, random: &mut Random) -> Option<Vec<u8>> {
        /// Dead entries may be met first; after so many of them the walk goes on in order.
        const TRIES: usize = 64;
        for _ in 0..TRIES {
            let at = random.bits() >> (64 - SHARD_BITS - ORDER_BITS);
            if let Some(key) = self.key_from(Cursor(at), visit, random) {
                return Some(key);
            }
        }
        self.key_from(Cursor(0), visit, random)
    }

    /// One of the first keys found at or behind `cursor`.
    fn key_from(&self, cursor: Cursor, visit: Visit, random: &mut Random) -> Option<Vec<u8>> {
        let mut chosen = None;
        let mut seen = 0;
        self.scan(cursor, 1, visit, |entry| {
            seen += 1;
            if random.below(seen) == 0 {
                chosen = Some(entry.key().to_vec());
            }
        });
        chosen
    }
}
