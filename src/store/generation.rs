//! Generations of the feed: which copies were stored under a feed that has been lost since.
//!
//! Each entry carries the generation in force when it was stored, in one byte. A new one begins when the feed is
//! lost, which makes all copies of earlier ones *suspect*, and when the operator declares a namespace's copies void,
//! which takes the same time however many there are. A log of how each generation ended tells what is to be thought of an
//! entry of an earlier one. A review that runs aside brings what is still sound into the current generation, so
//! that a number can be used again.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::attention::FullName;
use super::freshness::CopyRules;
use super::shard::Shard;
use super::table::Position;
use super::{EntryRef, Store, Visit};

/// The generation of entries that upstream does not know of yet; they are sound, whatever happens to the feed.
pub(super) const DIRTY: u8 = 0;
/// Generations are counted from 1 to 255 and then from 1 again.
const NUMBERS: u32 = 255;
/// Generations that may begin before a review is due.
const UNREVIEWED_MAX: u32 = 100;
/// Generations that may begin before entries are reviewed at once, whoever has to wait for it.
const UNREVIEWED_LIMIT: u32 = 200;
/// Entries older than this are dropped by a review: their number will be used again.
const AGE_MAX: u32 = 50;

/// Why a generation ended: the feed was lost.
const FEED_LOST: u16 = 0;
/// All copies are void.
const ALL_VOID: u16 = u16::MAX;

/// What is to be thought of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It holds, as far as is known here.
    Sound,
    /// The feed was lost after it was stored, at this Unix millisecond.
    Suspect {
        /// When.
        since_ms: u64,
    },
    /// It was declared void.
    Void,
}

/// The current generation and how the earlier ones ended.
pub(super) struct Generations {
    current: AtomicU8,
    /// By generation: Unix milliseconds when it ended, shifted by 16 bits, and why.
    ends: Box<[AtomicU64; 256]>,
    unreviewed: AtomicU32,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            current: AtomicU8::new(1),
            ends: Box::new([const { AtomicU64::new(0) }; 256]),
            unreviewed: AtomicU32::new(0),
        }
    }
}

impl Generations {
    #[inline]
    pub(super) fn current(&self) -> u8 {
        self.current.load(Relaxed)
    }

    /// Ends the current generation. Not to be called by two threads at once.
    fn advance(&self, now_ms: u64, cause: u16) {
        let current = self.current();
        self.ends[usize::from(current)].store(now_ms << 16 | u64::from(cause), Relaxed);
        self.current.store(next(current), Relaxed);
        self.unreviewed.fetch_add(1, Relaxed);
    }

    /// What is to be thought of an entry of `generation` for which these rules hold.
    pub(super) fn trust(&self, generation: u8, rules: &CopyRules) -> Trust {
        if rules.is_local {
            return Trust::Sound;
        }
        let current = self.current();
        let mut trust = Trust::Sound;
        let mut number = generation;
        while number != current && number != DIRTY {
            let end = self.ends[usize::from(number)].load(Relaxed);
            match end as u16 {
                FEED_LOST if trust == Trust::Sound => trust = Trust::Suspect { since_ms: end >> 16 },
                FEED_LOST => {}
                cause if cause == ALL_VOID || cause == rules.namespace + 1 => return Trust::Void,
                _ => {}
            }
            number = next(number);
        }
        trust
    }

    /// How many generations have begun since this one did.
    fn age(&self, generation: u8) -> u32 {
        (u32::from(self.current()) + NUMBERS - u32::from(generation)) % NUMBERS
    }
}

fn next(generation: u8) -> u8 {
    generation.checked_add(1).unwrap_or(1)
}

impl Store {
    /// The feed is lost, or may have missed something: all copies are suspect from now on, nothing is remembered of
    /// absent keys, and fetches under way leave no copy. O(shards).
    pub fn begin_generation(&self, now_ms: u64) {
        self.begin(now_ms, FEED_LOST);
    }

    /// All copies of a namespace are void from now on. O(shards), whatever they hold.
    pub fn begin_version(&self, namespace: u16, now_ms: u64) {
        self.begin(now_ms, namespace + 1);
    }

    /// All copies are void from now on. O(shards), whatever they hold.
    pub fn void_all(&self, now_ms: u64) {
        self.begin(now_ms, ALL_VOID);
    }

    fn begin(&self, now_ms: u64, cause: u16) {
        let _alone = self.beginning.lock();
        if self.settings.generations.unreviewed.load(Relaxed) >= UNREVIEWED_LIMIT {
            self.review_all(now_ms);
        }
        self.settings.generations.advance(now_ms, cause);
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.count_anew();
            if let Some(absent) = shard.known_absent() {
                absent.overtake_all();
            }
        }
    }

    /// Whether a review is due soon; see [`Store::review`].
    pub fn wants_review(&self) -> bool {
        self.settings.generations.unreviewed.load(Relaxed) >= UNREVIEWED_MAX
    }

    /// Brings sound entries into the current generation and drops those that are of no use any more, shard by shard
    /// with each step of the iterator, which gives the number of entries dropped. To be run to its end, with rests.
    pub fn review(&self, now_ms: u64) -> impl Iterator<Item = usize> + '_ {
        let begun = self.settings.generations.unreviewed.load(Relaxed);
        let steps = self.shards.iter().map(move |shard| shard.lock().review(now_ms));
        steps.chain(std::iter::once_with(move || {
            self.settings.generations.unreviewed.fetch_sub(begun, Relaxed);
            0
        }))
    }

    fn review_all(&self, now_ms: u64) {
        self.review(now_ms).for_each(drop);
    }

    /// Copies of which nobody knows whether they hold. Until a review has been through, those that it will find sound
    /// count as well. O(shards).
    pub fn suspects(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().suspects()).sum()
    }

    /// Some copies that are suspect, `max` at most, of the shards from `from` on, and the shard to go on with. Reads
    /// one shard at least.
    pub fn some_suspects(&self, from: usize, max: usize) -> (Vec<FullName>, usize) {
        let mut found = Vec::new();
        let mut index = from;
        loop {
            index %= self.shards.len();
            self.shards[index].lock().collect_suspects(max, &mut found);
            index += 1;
            if found.len() >= max || index % self.shards.len() == from % self.shards.len() {
                return (found, index % self.shards.len());
            }
        }
    }
}

impl Shard {
    /// Whether a visit may see an entry that is dead or of an earlier generation.
    #[cold]
    pub(super) fn serves_old(&self, entry: EntryRef<'_>, visit: Visit) -> bool {
        let settings = self.settings();
        let freshness_rules = settings.freshness.load();
        let rules = freshness_rules.of(entry.key());
        let dead_for_ms = entry.deadline_ms().and_then(|at| visit.now_ms.checked_sub(at));
        if dead_for_ms.is_some_and(|age_ms| !rules.serves_dead(age_ms, visit.freshness)) {
            return false;
        }
        match settings.generations.trust(entry.generation(), rules) {
            Trust::Sound => true,
            Trust::Suspect { since_ms } => {
                let age_ms = visit.now_ms.saturating_sub(since_ms);
                rules.serves_suspect(age_ms, visit.freshness, settings.is_cut())
            }
            Trust::Void => false,
        }
    }

    /// Entries that are suspect.
    fn suspects(&self) -> usize {
        let databases = 0..self.settings().databases;
        databases
            .filter_map(|db| self.keyspace(db))
            .map(|keyspace| keyspace.table.len() - keyspace.current)
            .sum()
    }

    /// A generation has begun: only what upstream does not know of yet is of the current one.
    fn count_anew(&mut self) {
        let dirty = self.dirty_entries();
        for db in 0..self.settings().databases {
            if self.keyspace(db).is_some() {
                self.keyspace_mut(db).current = 0;
            }
        }
        for db in dirty {
            self.keyspace_mut(db).current += 1;
        }
    }

    /// Linear in the shard's entries, of which there are a thousandth of the store's.
    fn review(&mut self, now_ms: u64) -> usize {
        (0..self.settings().databases)
            .map(|db| self.review_database(db, now_ms))
            .sum()
    }

    fn review_database(&mut self, db: usize, now_ms: u64) -> usize {
        let (mut bucket, mut removed) = (0, 0);
        while let Some(buckets) = self.keyspace(db).map(|keyspace| keyspace.table.buckets())
            && bucket < buckets
        {
            let positions: smallvec::SmallVec<[Position; 16]> =
                self.keyspace_mut(db).table.positions_in(bucket).collect();
            let useless = positions
                .into_iter()
                .find(|position| !self.keep_reviewed(db, *position, now_ms));
            let Some(position) = useless else {
                bucket += 1;
                continue;
            };
            let entry = self.remove(db, position);
            self.discard(entry);
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

    /// Brings the entry into the current generation if it is sound; whether it is worth keeping.
    fn keep_reviewed(&mut self, db: usize, position: Position, now_ms: u64) -> bool {
        let generation = self.entry(db, position).generation();
        let generations = &self.settings().generations;
        if generation == DIRTY || generation == generations.current() {
            return true;
        }
        let rules = self.rules_of(db, position);
        match generations.trust(generation, &rules) {
            Trust::Sound => {
                self.renew(db, position);
                true
            }
            Trust::Suspect { since_ms } => {
                generations.age(generation) <= AGE_MAX && rules.keeps_suspect(now_ms.saturating_sub(since_ms))
            }
            Trust::Void => false,
        }
    }

    fn collect_suspects(&self, max: usize, found: &mut Vec<FullName>) {
        if self.suspects() == 0 {
            return;
        }
        let generations = &self.settings().generations;
        let current = generations.current();
        for db in 0..self.settings().databases {
            let Some(table) = self.keyspace(db).map(|keyspace| &keyspace.table) else {
                continue;
            };
            for position in (0..table.buckets()).flat_map(|bucket| table.positions_in(bucket)) {
                if found.len() >= max {
                    return;
                }
                let entry = table.get(position);
                let is_old = entry.generation() != current && entry.generation() != DIRTY;
                if is_old {
                    let trust = generations.trust(entry.generation(), &self.rules_of(db, position));
                    if matches!(trust, Trust::Suspect { .. }) {
                        found.push(FullName {
                            db,
                            key: entry.key().into(),
                        });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Freshness, FreshnessRules, Key, Suspects};
    use crate::values::prefix_map::PrefixMap;

    const MAX_STALE_MS: u64 = 1000;

    /// A store whose copies with the prefix `own:` are of namespace 1.
    fn store(suspects: Suspects) -> Store {
        let store = Store::new(16);
        let rules = CopyRules {
            suspects,
            max_stale_ms: MAX_STALE_MS,
            rescues: true,
            ..CopyRules::default()
        };
        let own = CopyRules {
            namespace: 1,
            ..rules
        };
        let rules = vec![(Vec::new(), rules), (b"own:".to_vec(), own)];
        store.set_freshness(FreshnessRules::new(PrefixMap::new(rules)));
        store
    }

    fn put(store: &Store, name: &str) {
        let hash = store.hash(name.as_bytes());
        Key::find(&mut store.lock(hash), name.as_bytes(), hash, Visit::new(0, 1)).set(b"value", None);
    }

    fn is_served(store: &Store, name: &str, now_ms: u64, freshness: Freshness) -> bool {
        let hash = store.hash(name.as_bytes());
        let visit = Visit {
            freshness,
            ..Visit::new(0, now_ms)
        };
        Key::find(&mut store.lock(hash), name.as_bytes(), hash, visit).exists()
    }

    #[test]
    fn suspects_are_fetched_anew_but_kept_for_when_that_is_not_possible() {
        let store = store(Suspects::Revalidate);
        put(&store, "old");
        store.begin_generation(10);
        assert_eq!(store.suspects(), 1);
        assert!(!is_served(&store, "old", 11, Freshness::Lenient));
        assert!(is_served(&store, "old", 11, Freshness::Rescue));
        store.set_cut(true);
        assert!(is_served(&store, "old", 11, Freshness::Lenient));
        assert!(is_served(&store, "old", 10 + MAX_STALE_MS, Freshness::Rescue));
        assert!(!is_served(&store, "old", 11 + MAX_STALE_MS, Freshness::Rescue));
        assert_eq!(store.size(0).entries, 0, "too old to be of any use");
    }

    #[test]
    fn entries_that_are_looked_at_beside_others_follow_the_same_rules() {
        let store = store(Suspects::Revalidate);
        put(&store, "old");
        store.begin_generation(10);
        let hash = store.hash(b"old");
        let sees = |freshness, now_ms| {
            let visit = Visit {
                freshness,
                ..Visit::new(0, now_ms)
            };
            Key::peek_in(&store.lock(hash), b"old", hash, visit).is_some()
        };
        assert!(!sees(Freshness::Sound, 11) && !sees(Freshness::Lenient, 11));
        assert!(sees(Freshness::Rescue, 11) && !sees(Freshness::Rescue, 11 + MAX_STALE_MS));
    }

    #[test]
    fn suspects_are_served_or_refused_as_the_rules_say() {
        let lenient = store(Suspects::Serve);
        put(&lenient, "old");
        lenient.begin_generation(10);
        assert!(is_served(&lenient, "old", 11, Freshness::Lenient));
        let hash = lenient.hash(b"old");
        let wishes = lenient.lock(hash).take_wishes();
        assert_eq!(wishes.len(), 1, "it is fetched anew meanwhile");
        assert!(!is_served(&lenient, "old", 11, Freshness::Sound));
        let strict = store(Suspects::Refuse);
        put(&strict, "old");
        strict.begin_generation(10);
        strict.set_cut(true);
        assert!(!is_served(&strict, "old", 11, Freshness::Rescue));
    }

    #[test]
    fn a_new_version_of_a_namespace_voids_its_copies_only() {
        let store = store(Suspects::Serve);
        put(&store, "own:a");
        put(&store, "other");
        store.begin_version(1, 10);
        put(&store, "own:b");
        assert!(!is_served(&store, "own:a", 11, Freshness::Rescue));
        assert!(is_served(&store, "other", 11, Freshness::Sound));
        assert!(is_served(&store, "own:b", 11, Freshness::Sound));
        put(&store, "own:c");
        store.begin_version(1, 12);
        assert_eq!(store.review(13).sum::<usize>(), 2);
        assert_eq!(store.suspects(), 0);
    }

    #[test]
    fn no_entry_outlives_the_numbers_of_generations() {
        let store = store(Suspects::Serve);
        put(&store, "old");
        for _ in 0..1000 {
            store.begin_generation(10);
            put(&store, "other");
        }
        assert!(!is_served(&store, "old", 11, Freshness::Rescue));
        assert!(is_served(&store, "other", 11, Freshness::Sound));
    }

    #[test]
    fn what_is_sound_outlives_all_numbers() {
        let store = store(Suspects::Refuse);
        put(&store, "other");
        (0..1000).for_each(|_| store.begin_version(1, 10));
        assert!(is_served(&store, "other", 11, Freshness::Sound));
    }

    #[test]
    fn some_suspects_are_found_shard_by_shard() {
        let store = store(Suspects::Serve);
        (0..100).for_each(|number| put(&store, &number.to_string()));
        store.begin_generation(10);
        put(&store, "new");
        let (mut found, mut from) = (0, 0);
        while found < 100 {
            let (some, next) = store.some_suspects(from, 100 - found);
            assert!(some.iter().all(|name| *name.key != *b"new"));
            (found, from) = (found + some.len(), next);
        }
    }
}
