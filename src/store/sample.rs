//! Copies chosen from the whole store: some at random, or those that are used most.

use super::eviction::Candidate;
use super::generation::DIRTY;
use super::shard::Shard;
use super::{EntryRef, FullName, Store};
use crate::values::random::Random;

impl Store {
    /// Copies drawn at random, `count` at most, and whether each is a text. What upstream does not know of yet, or has
    /// nothing to do with, is none. A copy may be drawn more than once. O(count), in a store that is nearly empty
    /// O(count × shards).
    pub fn sample_copies(&self, count: usize) -> Vec<(FullName, bool)> {
        let mut random = Random::new(self.lock(self.hash(b"")).random.bits());
        (0..count).filter_map(|_| self.draw_copy(&mut random)).collect()
    }

    fn draw_copy(&self, random: &mut Random) -> Option<(FullName, bool)> {
        let start = random.below(self.shards.len());
        let indices = (start..self.shards.len()).chain(0..start);
        indices
            .into_iter()
            .find_map(|index| self.shards[index].lock().draw_copy(random))
    }

    /// The names of the copies that the policy in force would evict last, `count` at most, best first. Linear in the
    /// entries, shard by shard.
    pub fn hottest_copies(&self, count: usize, now_ms: u64) -> Vec<FullName> {
        let mut all = Vec::new();
        for shard in &self.shards {
            shard.lock().rank_copies(now_ms, &mut all);
        }
        let count = count.min(all.len());
        if count > 0 {
            all.select_nth_unstable_by_key(count - 1, |(badness, _)| *badness);
        }
        all.truncate(count);
        all.sort_unstable_by_key(|(badness, _)| *badness);
        all.into_iter().map(|(_, name)| name).collect()
    }
}

impl Shard {
    fn is_copy(&self, entry: EntryRef<'_>) -> bool {
        entry.generation() != DIRTY && !self.settings().freshness.load().of(entry.key()).is_local
    }

    /// The first copy from a random place on.
    fn draw_copy(&self, random: &mut Random) -> Option<(FullName, bool)> {
        let databases = self.settings().databases;
        let first = random.below(databases);
        let mut tables = (0..databases).filter_map(|step| {
            let db = (first + step) % databases;
            let table = &self.keyspace(db)?.table;
            (!table.is_empty()).then_some((db, table))
        });
        let (db, table) = tables.next()?;
        let start = random.below(table.buckets());
        let buckets = (start..table.buckets()).chain(0..start);
        let mut entries = buckets
            .flat_map(|bucket| table.positions_in(bucket))
            .map(|position| table.get(position));
        let entry = entries.find(|entry| self.is_copy(*entry))?;
        let key = entry.key().into();
        Some((FullName { db, key }, entry.object().is_none()))
    }

    fn rank_copies(&mut self, now_ms: u64, all: &mut Vec<(u64, FullName)>) {
        let (policy, tuning) = (self.settings().policy(), self.settings().tuning());
        let mut random = Random::new(self.random.bits());
        for db in 0..self.settings().databases {
            let Some(table) = self.keyspace(db).map(|keyspace| &keyspace.table) else {
                continue;
            };
            for position in (0..table.buckets()).flat_map(|bucket| table.positions_in(bucket)) {
                let entry = table.get(position);
                if !self.is_copy(entry) {
                    continue;
                }
                let candidate = Candidate {
                    rank: entry.rank(),
                    deadline_ms: entry.deadline_ms(),
                    bytes: entry.allocated_bytes(),
                };
                let key = entry.key().into();
                let badness = policy.badness(&candidate, now_ms, tuning, &mut random);
                all.push((badness, FullName { db, key }));
            }
        }
    }
}
