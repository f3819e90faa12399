//! Walking the keyspace in hash order, and picking a key at random.
//!
//! A cursor is a point in the order of hashes: shard, then place in the shard's table. Entries keep their place
//! whatever a table's size is, so an entry that is there during the whole walk is returned exactly once, however
//! the tables grow or shrink meanwhile.

use super::entry::EntryRef;
use super::shard::Shard;
use super::{Store, Visit};
use crate::values::random::Random;

const ORDER_BITS: u32 = 32;

/// A place in the walk; 0 is its beginning, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Where the walk begins, and what says that it has ended.
    pub const START: Self = Self(0);
}

impl Store {
    /// Calls `each` for the living entries from `cursor` on until `count` entries were met, the dead included, which
    /// are removed on the way as far as they are easy to find; it goes a bucket at a time, so they may be a few more. Returns the cursor
    /// to go on with. Any number is accepted as a cursor; one that is past the end ends the walk. A text may be packed:
    /// whoever wants the value looks the key up.
    pub fn scan(
        &self,
        cursor: Cursor,
        count: usize,
        visit: Visit,
        mut each: impl FnMut(EntryRef<'_>),
    ) -> Cursor {
        let first = usize::try_from(cursor.0 >> ORDER_BITS).unwrap_or(usize::MAX);
        let mut place = Some(cursor.0 as u32);
        let mut met = 0;
        for index in first..self.shards.len() {
            while let Some(order) = place {
                if met >= count {
                    return Cursor((index as u64) << ORDER_BITS | u64::from(order));
                }
                let (met_here, next) = self.shards[index].lock().scan_bucket(visit, order, &mut each);
                met += met_here;
                place = next;
            }
            place = Some(0);
        }
        Cursor::START
    }

    /// A copy of some living key of the database, each about equally likely. `None` when there is none.
    /// O(1) in a store with more entries than shards, else O(shards).
    pub fn random_key(&self, visit: Visit) -> Option<Vec<u8>> {
        /// Most tries meet an entry in a store that is not nearly empty.
        const TRIES: usize = 32;
        let mut random = Random::new(self.shards[0].lock().random.bits());
        for _ in 0..TRIES {
            let shard = self.shards[random.below(self.shards.len())].lock();
            if let Some(key) = shard.random_key(visit, &mut random) {
                return Some(key.to_vec());
            }
        }
        self.random_key_of_few(visit, &mut random)
            .or_else(|| self.first_key(visit))
    }

    /// A random key of a store with few entries: chooses among the shards by what they hold. `None` also when
    /// only dead entries are met.
    fn random_key_of_few(&self, visit: Visit, random: &mut Random) -> Option<Vec<u8>> {
        /// A shard's table is a quarter full or more, so that so many tries find an entry in it.
        const TRIES: usize = 128;
        let entries_in = |shard: &Shard| {
            shard
                .keyspace(visit.db)
                .map_or(0, |keyspace| keyspace.table.len())
        };
        let entries = self.shards.iter().map(|shard| entries_in(&shard.lock())).sum();
        let mut chosen = if entries == 0 {
            return None;
        } else {
            random.below(entries)
        };
        let shard = self.shards.iter().map(|shard| shard.lock()).find(|shard| {
            let here = entries_in(shard);
            let found = chosen < here;
            chosen = chosen.saturating_sub(here);
            found
        })?;
        (0..TRIES)
            .find_map(|_| shard.random_key(visit, random))
            .map(<[u8]>::to_vec)
    }

    /// The first living key in the order of the walk. O(entries), but most of the dead that it meets are gone after
    /// it.
    fn first_key(&self, visit: Visit) -> Option<Vec<u8>> {
        let mut first = None;
        let mut cursor = Cursor::START;
        while first.is_none() {
            cursor = self.scan(cursor, 1, visit, |entry| first = Some(entry.key().to_vec()));
            if cursor == Cursor::START {
                break;
            }
        }
        first
    }
}

impl Shard {
    /// Visits the living entries at home in the bucket that `order` falls in. Returns how many were met, the dead
    /// included, and where the next bucket begins.
    fn scan_bucket(
        &mut self,
        visit: Visit,
        order: u32,
        each: &mut impl FnMut(EntryRef<'_>),
    ) -> (usize, Option<u32>) {
        let Some(keyspace) = self
            .keyspace(visit.db)
            .filter(|keyspace| !keyspace.table.is_empty())
        else {
            return (0, None);
        };
        let mut met = 0;
        if keyspace.volatile() > 0 {
            let home = keyspace.table.home(order);
            met += self.sweep_bucket(visit.db, home, visit.now_ms);
        }
        let hasher = &self.settings().hasher;
        let next = self.keyspace(visit.db).and_then(|keyspace| {
            keyspace.table.scan(order, hasher, |entry| {
                met += 1;
                if entry.deadline_ms().is_none_or(|at| at > visit.now_ms) {
                    each(entry);
                }
            })
        });
        (met, next)
    }

    /// The living key in some slot of the table, if there is one.
    fn random_key(&self, visit: Visit, random: &mut Random) -> Option<&[u8]> {
        let table = &self.keyspace(visit.db)?.table;
        let entry = table.get(table.random_slot(random)?);
        entry
            .deadline_ms()
            .is_none_or(|at| at > visit.now_ms)
            .then(|| entry.key())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::store::Key;

    const VISIT: Visit = Visit::new(0, 1_000_000);

    fn put(store: &Store, name: &[u8], deadline_ms: Option<u64>) {
        let hash = store.hash(name);
        Key::find(&mut store.lock(hash), name, hash, VISIT).set(b"value", deadline_ms);
    }

    fn remove(store: &Store, name: &[u8]) {
        let hash = store.hash(name);
        Key::find(&mut store.lock(hash), name, hash, VISIT).remove();
    }

    /// A store, and names that all fall in two of its shards, so that their tables grow.
    static CROWDED: LazyLock<(Store, Vec<Vec<u8>>)> = LazyLock::new(|| {
        let store = Store::new(16);
        let in_few_shards = |name: &Vec<u8>| matches!(store.hash(name).shard, 7 | 1023);
        let names = (0u32..)
            .map(|number| number.to_string().into_bytes())
            .filter(in_few_shards);
        let names = names.take(1200).collect();
        (store, names)
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_stays_is_returned_exactly_once_however_tables_change(
            staying in 0usize..400,
            before in 0usize..800,
            counts in proptest::collection::vec((1usize..40, 0usize..800), 1..40),
        ) {
            let (store, names) = &*CROWDED;
            store.flush_all();
            let (stay, come_and_go) = names.split_at(staying);
            for name in stay.iter().chain(&come_and_go[..before]) {
                put(store, name, None);
            }
            let mut returned: HashMap<Vec<u8>, usize> = HashMap::new();
            let mut cursor = Cursor::START;
            for (count, there) in counts.iter().cycle() {
                cursor = store.scan(cursor, *count, VISIT, |entry| {
                    *returned.entry(entry.key().to_vec()).or_default() += 1;
                });
                if cursor == Cursor::START {
                    break;
                }
                for (index, name) in come_and_go.iter().enumerate() {
                    if index < *there { put(store, name, None) } else { remove(store, name) }
                }
            }
            prop_assert!(stay.iter().all(|name| returned.get(name) == Some(&1)));
        }
    }

    #[test]
    fn a_walk_ends_wherever_it_begins() {
        let store = Store::new(16);
        (0..5000u32).for_each(|number| put(&store, &number.to_le_bytes(), None));
        for begin in [1, 1 << 32, (1 << 42) - 1, 1 << 42, u64::MAX, u64::MAX / 3] {
            let mut cursor = Cursor(begin);
            let mut met = 0;
            while cursor != Cursor::START {
                cursor = store.scan(cursor, 100, VISIT, |_| met += 1);
                assert!(met <= 5000);
            }
        }
    }

    #[test]
    fn the_dead_are_not_returned_and_few_are_left_after_the_walk() {
        let store = Store::new(16);
        (0..3000u32).for_each(|number| {
            put(
                &store,
                &number.to_le_bytes(),
                number.is_multiple_of(3).then_some(VISIT.now_ms),
            );
        });
        let mut living = 0;
        assert_eq!(
            store.scan(Cursor::START, usize::MAX, VISIT, |_| living += 1),
            Cursor::START
        );
        assert_eq!(living, 2000);
        assert!(store.size(0).entries < 2050);
    }

    #[test]
    fn random_keys_come_about_equally_often() {
        for entries in [1u32, 2, 10, 500, 3000] {
            let store = Store::new(16);
            (0..entries).for_each(|number| put(&store, &number.to_le_bytes(), None));
            let mut drawn: HashMap<Vec<u8>, u32> = HashMap::new();
            let draws = entries.max(10) * 20;
            for _ in 0..draws {
                *drawn.entry(store.random_key(VISIT).unwrap()).or_default() += 1;
            }
            let missed = entries as usize - drawn.len();
            assert!(
                missed * 1000 <= entries as usize,
                "{missed} of {entries} keys were never drawn"
            );
            let most = drawn.values().max().unwrap();
            assert!(
                *most <= draws / entries * 6,
                "one of {entries} keys was drawn {most} times"
            );
        }
    }

    #[test]
    fn a_random_key_lives() {
        let store = Store::new(16);
        assert_eq!(store.random_key(VISIT), None);
        (0..2000u32).for_each(|number| put(&store, &number.to_le_bytes(), Some(VISIT.now_ms)));
        assert_eq!(store.random_key(VISIT), None);
        assert!(
            store.size(0).entries < 50,
            "the search removed the dead that it met"
        );
        (0..2000u32).for_each(|number| put(&store, &number.to_le_bytes(), Some(VISIT.now_ms)));
        put(&store, b"alive", None);
        let drawn: HashSet<_> = (0..100).map(|_| store.random_key(VISIT)).collect();
        assert_eq!(drawn, HashSet::from([Some(b"alive".to_vec())]));
    }
}
