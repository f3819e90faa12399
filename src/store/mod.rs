//! The store: all databases, in shards that lock for the length of one visit.
//!
//! A request hashes its key once; the top bits choose the shard, the rest the place in its table. Nothing here
//! reads a clock or knows a protocol.

mod absent;
mod attention;
mod digest;
mod dirty;
mod entry;
pub mod events;
pub mod eviction;
mod expiry;
mod freshness;
mod generation;
mod hash;
mod key;
mod lock;
mod memory;
mod object;
mod plain;
pub mod rdb;
mod reclaim;
mod sample;
mod scan;
mod shard;
mod sweep;
mod table;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

pub use absent::Approach;
pub use attention::{FullName, Ticket, Watch};
pub use digest::digest;
pub use dirty::{Noted, Settled, SharedName};
pub use entry::{Entry, EntryRef};
pub use events::Class;
use events::Observer;
use eviction::{POLICIES, Policy, Tuning};
pub use freshness::{CopyRules, Freshness, FreshnessRules, Suspects};
use generation::{DIRTY, Generations};
pub use hash::KeyHash;
use hash::KeyHasher;
pub use key::{Key, WrongType};
pub use lock::ShardGuard;
use lock::{Hold, ShardLock};
use memory::Budget;
pub use object::{Object, ObjectRef, Stored, Value};
pub use plain::PlainForms;
pub use reclaim::Reclaimed;
use reclaim::Reclaimer;
pub use scan::Cursor;
use shard::Keyspace;
pub use shard::Shard;
pub use sweep::Swept;

use crate::limits::{
    EVICTION_BUCKETS_MAX, EVICTIONS_PER_REQUEST_MAX, EVICTIONS_PER_TICK_MAX, LOCK_PATIENCE_US, SHARD_BITS,
};

/// How long a request waits on its thread for a shard that another one works on, before it lets its connection's
/// neighbours go first: some commands take long, and nobody else should wait for them.
const LOCK_PATIENCE: Duration = Duration::from_micros(LOCK_PATIENCE_US);

/// What a visit to the store is made with.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// The database.
    pub db: usize,
    /// Whether reads count for eviction (not with CLIENT NO-TOUCH).
    pub touch: bool,
    /// How old a copy may be.
    pub freshness: Freshness,
    /// Whether changes are to be carried upstream later: see [`Shard::take_touched`].
    pub defers: bool,
}

impl Visit {
    /// A visit of what is sound, whose reads count.
    pub const fn new(db: usize, now_ms: u64) -> Self {
        Self {
            now_ms,
            db,
            touch: true,
            freshness: Freshness::Sound,
            defers: false,
        }
    }
}

/// How a fetch from upstream ended, for those who waited for it.
#[derive(Debug, Clone)]
pub enum Landing {
    /// The value is in the store.
    Resident,
    /// Upstream has no such key.
    Missing,
    /// There is a value, but it was not kept: ask upstream yourself.
    NotKept,
    /// Somebody wrote the key while it was fetched: fetch it again.
    Overtaken,
    /// The fetch failed; the text is for the client.
    Failed(Arc<str>),
}

/// What shards count, since the start or the last reset.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Entries removed because their deadline had passed.
    pub expired: u64,
    /// Fields of hashes removed because their deadline had passed.
    pub expired_fields: u64,
    /// Entries removed because memory was short.
    pub evicted: u64,
    /// Changes of entries asked for by clients.
    pub changes: u64,
    /// Copies served though they were suspect or dead.
    pub stale_served: u64,
    /// Changes by others of keys whose state here upstream did not know yet.
    pub conflicts: u64,
}

/// The size of one database.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseSize {
    /// Entries, the dead that nobody met yet included.
    pub entries: usize,
    /// Entries with a deadline.
    pub volatile: usize,
    /// Bytes of the tables, without entries.
    pub table_bytes: usize,
}

impl DatabaseSize {
    /// Adds what one shard has of the database.
    fn add(&mut self, keyspace: Option<&Keyspace>) {
        if let Some(keyspace) = keyspace {
            self.entries += keyspace.table.len();
            self.volatile += keyspace.volatile();
            self.table_bytes += keyspace.table.allocated_bytes();
        }
    }
}

/// What all shards share. Changes take effect with the next visit.
pub struct Settings {
    hasher: KeyHasher,
    budget: Budget,
    databases: usize,
    policy: AtomicUsize,
    samples: AtomicUsize,
    lfu_log_factor: AtomicU32,
    lfu_decay_minutes: AtomicU32,
    generations: Generations,
    freshness: ArcSwap<FreshnessRules>,
    /// The same as in `freshness`, where a lookup looks: see [`FreshnessRules`].
    early_window_ms: AtomicU64,
    /// Whether it is known that upstream can't be asked.
    is_cut: AtomicBool,
    sweeps: AtomicBool,
    /// The classes of events that are told to the observer.
    observed: AtomicU16,
    observer: OnceLock<Box<dyn Observer>>,
    reclaimer: Reclaimer,
}

impl Settings {
    #[inline]
    fn is_observed(&self, class: Class) -> bool {
        self.observed.load(Relaxed) & class.0 != 0
    }

    #[cold]
    fn notice(&self, db: usize, key: &[u8], class: Class, event: &str) {
        if let Some(observer) = self.observer.get() {
            observer.notice(db, key, class, event);
        }
    }

    #[inline]
    fn policy(&self) -> &'static dyn Policy {
        POLICIES[self.policy.load(Relaxed)]
    }

    #[inline]
    fn tuning(&self) -> Tuning {
        Tuning {
            lfu_log_factor: self.lfu_log_factor.load(Relaxed),
            lfu_decay_minutes: self.lfu_decay_minutes.load(Relaxed),
        }
    }

    #[inline]
    fn early_window_ms(&self) -> u64 {
        self.early_window_ms.load(Relaxed)
    }

    #[inline]
    fn is_cut(&self) -> bool {
        self.is_cut.load(Relaxed)
    }

    /// Whether an entry is of the current generation, or not known to upstream yet.
    #[inline]
    fn counts_as_current(&self, entry: EntryRef<'_>) -> bool {
        let generation = entry.generation();
        generation == DIRTY || generation == self.generations.current()
    }
}

/// All entries of the server.
pub struct Store {
    shards: Box<[CachePadded<ShardLock>]>,
    settings: Arc<Settings>,
    /// The shard that evicts when the one that is written to has nothing to give.
    evict_next: AtomicUsize,
    /// The shard that the sweep goes on with.
    sweep_next: AtomicUsize,
    /// Held while a generation begins.
    beginning: Mutex<()>,
}

/// Shards locked together, in index order. Made for one command; O(keys).
pub struct LockedShards<'s> {
    guards: smallvec::SmallVec<[(u32, ShardGuard<'s>); 4]>,
}

/// Shards that a transaction holds; see [`Store::hold`].
pub struct HeldShards<'s> {
    _holds: Vec<Hold<'s>>,
}

/// The shards of these keys, each once, in the order in which they must be locked.
fn in_order(hashes: &[KeyHash]) -> smallvec::SmallVec<[u32; 16]> {
    let mut indices: smallvec::SmallVec<[u32; 16]> = hashes.iter().map(|hash| hash.shard).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

impl LockedShards<'_> {
    /// Takes the keys of these shards that were changed while a command waited for them.
    pub fn take_ready(&mut self) -> Vec<FullName> {
        self.guards
            .iter_mut()
            .flat_map(|(_, shard)| shard.take_ready())
            .collect()
    }

    /// Visits each of them.
    pub fn for_each(&mut self, mut visit: impl FnMut(&mut Shard)) {
        self.guards.iter_mut().for_each(|(_, shard)| visit(shard));
    }

    /// The locked shard of a key with this hash.
    pub fn of(&mut self, hash: KeyHash) -> &mut Shard {
        let found = self.guards.binary_search_by_key(&hash.shard, |(index, _)| *index);
        &mut self.guards[found.expect("all shards of the command's keys are locked")].1
    }

    /// The same, to look at beside others.
    pub fn view(&self, hash: KeyHash) -> &Shard {
        let found = self.guards.binary_search_by_key(&hash.shard, |(index, _)| *index);
        &self.guards[found.expect("all shards of the command's keys are locked")].1
    }
}

impl Store {
    /// An empty store with this many databases.
    pub fn new(databases: usize) -> Self {
        let settings = Arc::new(Settings {
            hasher: KeyHasher::new(SHARD_BITS),
            budget: Budget::new(0),
            databases,
            policy: AtomicUsize::new(0),
            samples: AtomicUsize::new(5),
            lfu_log_factor: AtomicU32::new(10),
            lfu_decay_minutes: AtomicU32::new(1),
            generations: Generations::default(),
            freshness: ArcSwap::default(),
            early_window_ms: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            sweeps: AtomicBool::new(true),
            observed: AtomicU16::new(0),
            observer: OnceLock::new(),
            reclaimer: Reclaimer::default(),
        });
        let shard = |seed| CachePadded::new(ShardLock::new(Shard::new(Arc::clone(&settings), seed)));
        let shards = (1..=1u64 << SHARD_BITS).map(shard).collect();
        Self {
            shards,
            settings,
            evict_next: AtomicUsize::new(0),
            sweep_next: AtomicUsize::new(0),
            beginning: Mutex::new(()),
        }
    }

    /// Puts the rules on how old copies may be in force.
    pub fn set_freshness(&self, rules: FreshnessRules) {
        self.settings
            .early_window_ms
            .store(rules.early_window_ms, Relaxed);
        self.settings.freshness.store(Arc::new(rules));
    }

    /// Notes whether upstream can't be asked: what may be served then is served without asking.
    pub fn set_cut(&self, is_cut: bool) {
        self.settings.is_cut.store(is_cut, Relaxed);
    }

    /// How many databases there are.
    pub fn databases(&self) -> usize {
        self.settings.databases
    }

    /// Changes `maxmemory` (0: no limit), its policy (an index in [`POLICIES`]) and the policy's knobs. O(shards).
    pub fn configure(&self, maxmemory_bytes: u64, policy: usize, samples: usize, tuning: Tuning) {
        self.settings.budget.set_limit(maxmemory_bytes);
        for shard in &self.shards {
            shard.lock().report_bytes();
        }
        self.settings.policy.store(policy, Relaxed);
        self.settings.samples.store(samples, Relaxed);
        self.settings.lfu_log_factor.store(tuning.lfu_log_factor, Relaxed);
        self.settings
            .lfu_decay_minutes
            .store(tuning.lfu_decay_minutes, Relaxed);
    }

    /// The policy in force and its knobs.
    pub fn policy(&self) -> (&'static dyn Policy, Tuning) {
        (self.settings.policy(), self.settings.tuning())
    }

    /// Whether the sweep for dead entries runs (DEBUG SET-ACTIVE-EXPIRE, CLIENT PAUSE).
    pub fn set_sweeping(&self, on: bool) {
        self.settings.sweeps.store(on, Relaxed);
    }

    /// Hashes a key; once per request.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.settings.hasher.hash(key)
    }

    /// Asks the processor to load the entry of a key that will be looked up soon. Does nothing while the shard is
    /// locked.
    #[inline]
    pub fn prefetch(&self, db: usize, hash: KeyHash) {
        let shard = self.shards[hash.shard as usize].try_lock();
        if let Some(keyspace) = shard.as_deref().and_then(|shard| shard.keyspace(db)) {
            keyspace.table.prefetch(hash);
        }
    }

    /// Tells `observer` of all events from now on whose class [`Store::observe`] chooses.
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        let _first_wins = self.settings.observer.set(observer);
    }

    /// Chooses the classes of events that the observer is told, as their bits.
    pub fn observe(&self, classes: u16) {
        self.settings.observed.store(classes, Relaxed);
    }

    /// Locks the shard of one key, unless somebody else keeps it for long.
    #[inline]
    pub fn lock_soon(&self, hash: KeyHash) -> Option<ShardGuard<'_>> {
        self.shards[hash.shard as usize].lock_within(LOCK_PATIENCE)
    }

    /// The same for the shards of several keys, in index order.
    pub fn lock_all_soon(&self, hashes: &[KeyHash]) -> Option<LockedShards<'_>> {
        let lock = |index: u32| Some((index, self.shards[index as usize].lock_within(LOCK_PATIENCE)?));
        let guards = in_order(hashes).into_iter().map(lock).collect::<Option<_>>()?;
        Some(LockedShards { guards })
    }

    /// Holds the shards of these keys for a transaction, unless somebody keeps one for long: until the result is
    /// dropped they are this thread's alone, and locking one takes no time.
    pub fn hold(&self, hashes: &[KeyHash]) -> Option<HeldShards<'_>> {
        let indices = in_order(hashes);
        self.hold_shards(indices.into_iter().map(|index| index as usize))
    }

    /// The same for all shards.
    pub fn hold_all(&self) -> Option<HeldShards<'_>> {
        self.hold_shards(0..self.shards.len())
    }

    fn hold_shards(&self, indices: impl Iterator<Item = usize>) -> Option<HeldShards<'_>> {
        let hold = |index: usize| self.shards[index].hold_within(LOCK_PATIENCE);
        Some(HeldShards {
            _holds: indices.map(hold).collect::<Option<_>>()?,
        })
    }

    /// Locks the shard of one key.
    #[inline]
    pub fn lock(&self, hash: KeyHash) -> ShardGuard<'_> {
        self.shards[hash.shard as usize].lock()
    }

    /// Locks the shards of several keys, each once, in index order.
    pub fn lock_all_of(&self, hashes: &[KeyHash]) -> LockedShards<'_> {
        let guards = in_order(hashes)
            .into_iter()
            .map(|index| (index, self.shards[index as usize].lock()))
            .collect();
        LockedShards { guards }
    }

    /// Locks all shards: nothing else happens until the result is dropped.
    pub fn lock_all(&self) -> LockedShards<'_> {
        let shards = self.shards.iter().enumerate();
        LockedShards {
            guards: shards
                .map(|(index, shard)| (index as u32, shard.lock()))
                .collect(),
        }
    }

    /// Evicts until the budget is kept, a bounded number of entries. Returns false when nothing may be evicted
    /// and the budget is still exceeded. Half of the victims come from the shard that is about to be written,
    /// the other half from all shards in turn, so that shards with larger entries don't suffer for them.
    pub fn make_room(&self, hash: KeyHash, now_ms: u64) -> bool {
        if !self.settings.budget.is_over() {
            return true;
        }
        if !self.settings.policy().evicts() {
            return false;
        }
        let mut progress = false;
        for attempt in 0..EVICTIONS_PER_REQUEST_MAX {
            let home = attempt % 2 == 0;
            progress |= self.evict_one(home.then_some(hash.shard as usize), now_ms, EVICTION_BUCKETS_MAX);
            if !self.settings.budget.is_over() {
                return true;
            }
        }
        progress || self.evict_anywhere(now_ms)
    }

    /// Evicts for a budget that was lowered, though nobody writes: a bounded number of entries.
    pub fn evict_aside(&self, now_ms: u64) {
        let hash = self.hash(b"");
        for _ in 0..EVICTIONS_PER_TICK_MAX / EVICTIONS_PER_REQUEST_MAX {
            if !self.is_over_budget() || !self.make_room(hash, now_ms) {
                return;
            }
        }
    }

    /// Whether more memory is used than `maxmemory` allows.
    #[inline]
    pub fn is_over_budget(&self) -> bool {
        self.settings.budget.is_over()
    }

    /// Bytes that count against `maxmemory`, as far as the shards have told. O(1).
    pub fn budgeted_bytes(&self) -> u64 {
        self.settings.budget.used_bytes()
    }

    /// `maxmemory`; 0 means no limit.
    pub fn limit_bytes(&self) -> u64 {
        self.settings.budget.limit_bytes()
    }

    /// Entries of one database. O(shards).
    pub fn size(&self, db: usize) -> DatabaseSize {
        let mut size = DatabaseSize::default();
        for shard in &self.shards {
            size.add(shard.lock().keyspace(db));
        }
        size
    }

    /// Entries of all databases, by their numbers. O(shards × databases); each shard is locked once.
    pub fn sizes(&self) -> Vec<DatabaseSize> {
        let mut sizes = vec![DatabaseSize::default(); self.databases()];
        for shard in &self.shards {
            let shard = shard.lock();
            for (db, size) in sizes.iter_mut().enumerate() {
                size.add(shard.keyspace(db));
            }
        }
        sizes
    }

    /// Counters and bytes of all shards. O(shards).
    pub fn totals(&self) -> (Totals, u64) {
        let mut sum = Totals::default();
        let mut bytes = 0;
        for shard in &self.shards {
            let shard = shard.lock();
            bytes += shard.used_bytes();
            sum.hits += shard.totals.hits;
            sum.misses += shard.totals.misses;
            sum.expired += shard.totals.expired;
            sum.expired_fields += shard.totals.expired_fields;
            sum.evicted += shard.totals.evicted;
            sum.changes += shard.totals.changes;
            sum.stale_served += shard.totals.stale_served;
            sum.conflicts += shard.totals.conflicts;
        }
        (sum, bytes.max(0) as u64)
    }

    /// Sets the counters to zero, but for the changes, which CONFIG RESETSTAT keeps.
    pub fn reset_totals(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.totals = Totals {
                changes: shard.totals.changes,
                ..Totals::default()
            };
        }
        self.settings.reclaimer.reset();
    }

    /// Empties one database, shard by shard; what it held is freed aside. Returns how many entries there were.
    /// O(shards), whatever they hold.
    pub fn flush(&self, db: usize) -> usize {
        self.flush_databases(db..db + 1)
    }

    /// Empties all databases; otherwise like [`Store::flush`].
    pub fn flush_all(&self) -> usize {
        self.flush_databases(0..self.settings.databases)
    }

    fn flush_databases(&self, databases: Range<usize>) -> usize {
        let mut keyspaces = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            if let Some(absent) = shard.known_absent() {
                absent.overtake_all();
            }
            for taken in databases
                .clone()
                .filter_map(|db| shard.take_all(db))
                .collect::<Vec<_>>()
            {
                shard.totals.changes += taken.table.len() as u64;
                keyspaces.push(taken);
            }
        }
        let entries = keyspaces.iter().map(|keyspace| keyspace.table.len()).sum();
        self.settings.reclaimer.free_keyspaces(keyspaces);
        entries
    }

    /// Frees an entry that was taken out: aside, where that would take a while.
    pub fn free(&self, entry: Entry) {
        self.settings.reclaimer.free_entry(entry);
    }

    /// What is freed aside.
    pub fn reclaimed(&self) -> Reclaimed {
        self.settings.reclaimer.reclaimed()
    }

    /// Takes the keys of all shards that were changed while a command waited for them. O(shards).
    pub fn take_ready(&self) -> Vec<FullName> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().take_ready())
            .collect()
    }

    /// Exchanges two databases at once: all shards are locked.
    pub fn swap(&self, a: usize, b: usize, now_ms: u64) {
        let mut guards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        for shard in &mut guards {
            shard.swap(a, b, now_ms);
        }
    }

    /// Stores what upstream answered for a key whose fetch has this ticket, unless the fetch was overtaken or there
    /// is no room; those who waited learn how it ended.
    pub fn land(&self, key: &[u8], ticket: u64, fetched: Fetched<'_>, visit: Visit) -> Landing {
        let hash = self.hash(key);
        let has_room = !self.is_over_budget() || self.make_room(hash, visit.now_ms);
        let mut shard = self.lock(hash);
        let (keep, waiters) = shard.absent().land(visit.db, key, ticket);
        let landing = match fetched {
            Fetched::Failed(error) => Landing::Failed(error),
            _ if !keep => Landing::Overtaken,
            // What a client changed here meanwhile is newer.
            _ if shard.is_dirty(visit.db, key) => Landing::Overtaken,
            Fetched::Value { value, deadline_ms } if has_room => {
                Key::find(&mut shard, key, hash, visit).place(value.into_entry(key, deadline_ms));
                Landing::Resident
            }
            Fetched::Value { .. } => {
                shard.drop_copy(visit.db, key, hash);
                Landing::NotKept
            }
            Fetched::Missing { until_ms } => {
                shard.drop_copy(visit.db, key, hash);
                if until_ms > visit.now_ms {
                    shard
                        .absent()
                        .remember_missing(visit.db, key, visit.now_ms, until_ms);
                }
                Landing::Missing
            }
            Fetched::NotKept => {
                shard.drop_copy(visit.db, key, hash);
                shard.absent().remember_elsewhere(visit.db, key, visit.now_ms);
                Landing::NotKept
            }
        };
        drop(shard);
        for waiter in waiters {
            // A waiter that went away needs no answer.
            let _ = waiter.send(landing.clone());
        }
        landing
    }

    /// The fetch of a key that has this ticket is about to be sent once more: what overtook it so far does not matter
    /// any longer. False if nobody waits for it.
    pub fn renew(&self, db: usize, key: &[u8], ticket: u64) -> bool {
        self.lock(self.hash(key)).absent().renew(db, key, ticket)
    }

    /// Somebody wrote `key`: no database keeps a copy, and no fetch that is under way may leave one.
    pub fn invalidate(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let mut shard = self.lock(hash);
        if let Some(absent) = shard.known_absent() {
            absent.overtake(key);
        }
        let mut removed = false;
        if self.settings.freshness.load().of(key).is_local {
            return false;
        }
        for db in 0..self.settings.databases {
            if shard.is_dirty(db, key) {
                shard.totals.conflicts += 1;
            } else {
                removed |= shard.drop_copy(db, key, hash);
            }
        }
        removed
    }

    /// No database keeps a copy of `key`; what is known of absent keys stays, and what upstream does not know of yet.
    pub fn drop_copies_of(&self, key: &[u8]) {
        let hash = self.hash(key);
        let mut shard = self.lock(hash);
        if !self.settings.freshness.load().of(key).is_local {
            (0..self.settings.databases).for_each(|db| _ = shard.drop_copy(db, key, hash));
        }
    }

    /// Everything may have been written: all copies go, and fetches under way leave none. What upstream does not know
    /// of yet stays.
    pub fn invalidate_all(&self, now_ms: u64) {
        let has_local = self.settings.freshness.load().has_local;
        if !has_local && self.shards.iter().all(|shard| shard.lock().dirty.is_none()) {
            self.flush_all();
        } else {
            self.void_all(now_ms);
        }
    }

    /// Removes the copies of one shard for which `is_wanted` holds; gives their number, and whether there are more
    /// shards. What upstream does not know of yet stays. Linear in the shard's entries.
    pub fn drop_copies_of_shard(&self, index: usize, is_wanted: &dyn Fn(&[u8]) -> bool) -> Option<usize> {
        Some(self.shards.get(index)?.lock().drop_copies(is_wanted))
    }

    fn evict_one(&self, home: Option<usize>, now_ms: u64, buckets_max: usize) -> bool {
        let index = home.unwrap_or_else(|| self.evict_next.fetch_add(1, Relaxed) % self.shards.len());
        let samples = self.settings.samples.load(Relaxed);
        let victim = self.shards[index].lock().evict_one(now_ms, samples, buckets_max);
        victim.is_some()
    }

    /// The last resort, where few entries may go: reads whole shards until one of those is found.
    fn evict_anywhere(&self, now_ms: u64) -> bool {
        (0..self.shards.len()).any(|_| self.evict_one(None, now_ms, usize::MAX))
    }
}

/// What upstream answered for one key.
pub enum Fetched<'a> {
    /// A value, and when it dies.
    Value {
        /// Of any type.
        value: rdb::Decoded<'a>,
        /// Unix milliseconds, not later than upstream's.
        deadline_ms: Option<u64>,
    },
    /// No such key; to be remembered until then.
    Missing {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// There is something that is not kept here: too large, or of a type that is not known here.
    NotKept,
    /// No answer, or an error.
    Failed(Arc<str>),
}
