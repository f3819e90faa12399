//! Copies chosen from the whole store: some at random, or those that are used most.

use super::eviction::Candidate;
use super::generation::DIRTY;
use super::shard::Shard;
use super::{EntryRef, FullName, Store};
use crate::values::random::Random;

/// Draws for each copy that a sample is to have: most databases of most shards may be empty.
const DRAWS_PER_COPY: usize = 32;

impl Store {
    /// Copies drawn at random, `count` at most, and whether each is a text. What upstream does not know of yet, or has
    /// nothing to do with, is none. O(count).
    pub fn sample_copies(&self, count: usize) -> Vec<(FullName, bool)> {
        let mut sample = Vec::new();
        let mut random = Random::new(self.lock(self.hash(b"")).random.bits());
        for _ in 0..count.saturating_mul(DRAWS_PER_COPY) {
            if sample.len() == count {
                break;
            }
            let index = random.below(self.shards.len());
            sample.extend(self.shards[index].lock().draw_copy(&mut random));
        }
        sample
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

    fn draw_copy(&self, random: &mut Random) -> Option<(FullName, bool)> {
        let db = random.below(self.settings().databases);
        let table = &self.keyspace(db)?.table;
        let entry = table.get(table.random_slot(random)?);
        let key = entry.key().into();
        self.is_copy(entry)
            .then(|| (FullName { db, key }, entry.object().is_none()))
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
