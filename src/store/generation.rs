//! Generations of the feed that tells which copies are old.
//!
//! Every entry carries the generation in which it was stored. When the feed was interrupted, nobody knows which
//! copies were changed meanwhile, so a new generation begins and older entries count as absent: each is fetched
//! again when it is read, and none is removed for it. The generation in an entry has 8 bits. That is enough as long
//! as entries of a generation are gone before its number comes again, so those that are older than the previous
//! generation are removed, shard by shard, some time after a generation began; and at once when that was put off
//! for too long.

use std::sync::atomic::Ordering::Relaxed;

use super::Store;
use super::shard::Shard;

/// Generations that may begin before old entries are removed, whoever has to wait for it: a few less than 8 bits
/// tell apart.
const UNPURGED_MAX: u32 = 250;

impl Store {
    /// Begins a new generation: entries of earlier ones are fetched again when they are read, and nothing is
    /// remembered of absent keys. Fetches under way leave no copy.
    pub fn begin_generation(&self) {
        if self.settings.generations_unpurged.fetch_add(1, Relaxed) >= UNPURGED_MAX {
            self.purge().for_each(drop);
        }
        self.settings.generation.fetch_add(1, Relaxed);
        for shard in &self.shards {
            if let Some(absent) = shard.lock().known_absent() {
                absent.overtake_all();
            }
        }
    }

    /// Removes the entries of generations before the previous one: those of one shard with each step of the
    /// iterator, which tells how many there were. To be run to its end, with rests, after a generation began.
    pub fn purge(&self) -> impl Iterator<Item = usize> + '_ {
        let begun = self.settings.generations_unpurged.load(Relaxed);
        let steps = self.shards.iter().map(|shard| shard.lock().purge());
        steps.chain(std::iter::once_with(move || {
            self.settings.generations_unpurged.fetch_sub(begun, Relaxed);
            0
        }))
    }
}

impl Shard {
    /// Linear in the shard's entries, of which there are a thousandth of the store's.
    fn purge(&mut self) -> usize {
        (0..self.settings().databases)
            .map(|db| self.purge_database(db))
            .sum()
    }

    fn purge_database(&mut self, db: usize) -> usize {
        let current = self.settings().generation();
        let (mut bucket, mut removed) = (0, 0);
        while let Some(table) = self.keyspace(db).map(|keyspace| &keyspace.table)
            && bucket < table.buckets()
        {
            let buckets = table.buckets();
            let is_old = |position: &_| current.wrapping_sub(table.get(*position).generation()) >= 2;
            let Some(position) = table.positions_in(bucket).find(is_old) else {
                bucket += 1;
                continue;
            };
            drop(self.remove(db, position));
            removed += 1;
            // A table that has shrunk has entries in front of those that were looked at.
            if self
                .keyspace(db)
                .is_some_and(|keyspace| keyspace.table.buckets() != buckets)
            {
                bucket = 0;
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Key, Store, Visit};

    const VISIT: Visit = Visit {
        now_ms: 1,
        db: 0,
        touch: true,
    };

    fn put(store: &Store, name: &str) {
        let hash = store.hash(name.as_bytes());
        Key::find(&mut store.lock(hash), name.as_bytes(), hash, VISIT).set(b"value", None);
    }

    fn has(store: &Store, name: &str) -> bool {
        let hash = store.hash(name.as_bytes());
        Key::find(&mut store.lock(hash), name.as_bytes(), hash, VISIT).exists()
    }

    #[test]
    fn entries_of_an_earlier_generation_count_as_absent() {
        let store = Store::new(16);
        put(&store, "old");
        store.begin_generation();
        put(&store, "new");
        assert!(has(&store, "new") && !has(&store, "old"));
    }

    #[test]
    fn a_purge_removes_what_is_older_than_the_previous_generation() {
        let store = Store::new(16);
        (0..5000).for_each(|number| put(&store, &format!("oldest {number}")));
        store.begin_generation();
        (0..5000).for_each(|number| put(&store, &format!("old {number}")));
        store.begin_generation();
        put(&store, "new");
        assert_eq!(store.purge().sum::<usize>(), 5000);
        assert_eq!(store.size(0).entries, 5001);
    }

    #[test]
    fn no_entry_outlives_the_numbers_of_generations() {
        let store = Store::new(16);
        put(&store, "old");
        for _ in 0..1000 {
            store.begin_generation();
            put(&store, "other");
            assert_eq!(store.size(0).entries.min(2), store.size(0).entries);
        }
        assert!(!has(&store, "old"));
    }
}
