//! One shard: its share of every database's entries, and what it knows about them.
//!
//! All of a key's databases live in one shard, since the shard is chosen by the key alone: an invalidation or a
//! MOVE then touches one lock.

use std::sync::Arc;

use smallvec::SmallVec;

use super::absent::AbsentKeys;
use super::attention::{Attention, FullName};
use super::dirty::DirtyKeys;
use super::entry::{Entry, EntryRef};
use super::events::Class;
use super::eviction::{Candidate, Policy};
use super::expiry::DeadlineCounts;
use super::freshness::CopyRules;
use super::generation::DIRTY;
use super::hash::KeyHash;
use super::table::{Position, Table};
use super::{Settings, Totals};
use crate::limits::REFRESH_WISHES_MAX;
use crate::values::hash::Hash;
use crate::values::heap::Collection;
use crate::values::random::Random;
use crate::values::text::Text;

/// The entries of one database in one shard, and the books about them: taking them out is O(1).
#[derive(Default)]
pub struct Keyspace {
    pub(super) table: Table,
    /// When they die, once one of them does.
    pub(super) deadlines: Option<Box<DeadlineCounts>>,
    /// How many of them are counted only because fields of theirs die.
    due_by_fields: usize,
    /// When the dead were last searched for, in Unix milliseconds.
    pub(super) swept_at_ms: u64,
    /// Bytes of the entries, without the table.
    entry_bytes: usize,
    /// How many of them are of the current generation, or not known to upstream yet.
    pub(super) current: usize,
}

impl Keyspace {
    /// How many entries have a deadline.
    pub(super) fn volatile(&self) -> usize {
        self.mortal() - self.due_by_fields
    }

    /// How many entries have a deadline, or fields that have one.
    pub(super) fn mortal(&self) -> usize {
        self.deadlines
            .as_ref()
            .map_or(0, |counts| counts.total() as usize)
    }

    fn used_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.entry_bytes
    }

    fn counts(&mut self, now_ms: u64) -> &mut DeadlineCounts {
        self.deadlines.get_or_insert_with(|| {
            self.swept_at_ms = now_ms;
            Box::new(DeadlineCounts::new(now_ms))
        })
    }

    /// Counts when an entry is due that was counted as `before`: when it was due, and class.
    pub(super) fn recount_deadline(&mut self, position: Position, before: Option<(u64, u8)>, now_ms: u64) {
        let due_ms = self.table.get(position).due_ms();
        let counts = self.counts(now_ms);
        if let Some((due_ms, class)) = before {
            counts.subtract(due_ms, class);
        }
        if let Some(due_ms) = due_ms {
            let class = counts.add(due_ms);
            self.table.get_mut(position).set_deadline_class(class);
        }
    }
}

/// Whether nothing of the entry dies but fields of a hash.
#[inline]
fn is_due_by_fields(entry: EntryRef<'_>) -> bool {
    entry.deadline_ms().is_none() && entry.due_ms().is_some()
}

/// One shard's part of all databases.
struct Keyspaces {
    first: Keyspace,
    /// Databases 1 and up, as far as one was used.
    others: Vec<Keyspace>,
}

impl Keyspaces {
    #[inline]
    fn get(&self, db: usize) -> Option<&Keyspace> {
        if db == 0 {
            return Some(&self.first);
        }
        self.others.get(db - 1)
    }

    #[inline]
    fn get_mut(&mut self, db: usize) -> &mut Keyspace {
        if db == 0 {
            return &mut self.first;
        }
        if self.others.len() < db {
            self.others.resize_with(db, Keyspace::default);
        }
        &mut self.others[db - 1]
    }
}

/// A shard. Whoever is lent one may do anything to it and need not hurry beyond reason.
pub struct Shard {
    keyspaces: Keyspaces,
    settings: Arc<Settings>,
    absent: Option<Box<AbsentKeys>>,
    attention: Option<Box<Attention>>,
    pub(super) dirty: Option<Box<DirtyKeys>>,
    /// Copies that are to be fetched anew, though they were served.
    wishes: Vec<FullName>,
    /// Entries and tables.
    used_bytes: i64,
    /// The part of `used_bytes` that the budget does not know yet.
    unreported: i64,
    pub(super) random: Random,
    /// Counters since the start or the last CONFIG RESETSTAT.
    pub totals: Totals,
}

impl Shard {
    pub(super) fn new(settings: Arc<Settings>, seed: u64) -> Self {
        Self {
            keyspaces: Keyspaces {
                first: Keyspace::default(),
                others: Vec::new(),
            },
            settings,
            absent: None,
            attention: None,
            dirty: None,
            wishes: Vec::new(),
            used_bytes: 0,
            unreported: 0,
            random: Random::new(seed),
            totals: Totals::default(),
        }
    }

    /// Bytes of entries and tables.
    pub fn used_bytes(&self) -> i64 {
        self.used_bytes
    }

    /// What upstream may know of keys that are not resident.
    pub fn absent(&mut self) -> &mut AbsentKeys {
        self.absent.get_or_insert_default()
    }

    /// The same, unless nothing was ever asked.
    pub fn known_absent(&mut self) -> Option<&mut AbsentKeys> {
        self.absent.as_deref_mut().filter(|absent| !absent.is_empty())
    }

    /// Who wants to know of changes.
    pub fn attention(&mut self) -> &mut Attention {
        self.attention.get_or_insert_default()
    }

    /// Does something with who wants to know of changes, if anybody does.
    pub(super) fn with_attention<R>(&mut self, visit: impl FnOnce(&mut Attention) -> R) -> Option<R> {
        let attention = self.attention.as_deref_mut()?;
        let result = visit(attention);
        if attention.is_empty() {
            self.attention = None;
        }
        Some(result)
    }

    /// Takes the keys that were changed while a command waited for them.
    #[inline]
    pub fn take_ready(&mut self) -> Vec<FullName> {
        if self.attention.is_none() {
            return Vec::new();
        }
        self.with_attention(Attention::take_ready).unwrap_or_default()
    }

    /// Removes a copy, whatever its generation; tells whether there was one. What upstream does not know of yet stays.
    pub fn drop_copy(&mut self, db: usize, key: &[u8], hash: KeyHash) -> bool {
        let position = self.find(db, hash, key);
        let position = position.filter(|at| self.entry(db, *at).generation() != DIRTY);
        if let Some(position) = position {
            let entry = self.remove(db, position);
            self.discard(entry);
        }
        position.is_some()
    }

    /// Removes the copies whose keys are wanted, and lets no fetch of such a key leave one. What has
    /// nothing to do with upstream is no copy; see [`super::Store::drop_copies_of_shard`].
    pub(super) fn drop_copies(&mut self, is_wanted: &dyn Fn(&[u8]) -> bool) -> usize {
        if let Some(absent) = self.known_absent() {
            absent.overtake_where(is_wanted);
        }
        let mut dropped = 0;
        for db in 0..self.settings.databases {
            let Some(table) = self.keyspace(db).map(|keyspace| &keyspace.table) else {
                continue;
            };
            let positions = (0..table.buckets()).flat_map(|bucket| table.positions_in(bucket));
            let keys = positions.map(|position| table.get(position).key());
            let freshness = self.settings.freshness.load();
            let wanted = keys.filter(|key| is_wanted(key) && !freshness.of(key).is_local);
            for key in wanted.map(Box::from).collect::<Vec<Box<[u8]>>>() {
                dropped += usize::from(self.drop_copy(db, &key, self.settings.hasher.hash(&key)));
            }
        }
        dropped
    }

    /// Wishes that a copy be fetched anew, unless too many are wished for already.
    #[cold]
    pub(super) fn wish(&mut self, db: usize, key: &[u8]) {
        if self.wishes.len() < REFRESH_WISHES_MAX {
            self.wishes.push(FullName { db, key: key.into() });
        }
    }

    /// Takes the copies that are to be fetched anew.
    #[inline]
    pub fn take_wishes(&mut self) -> Vec<FullName> {
        if self.wishes.is_empty() {
            return Vec::new();
        }
        std::mem::take(&mut self.wishes)
    }

    /// The rules for the entry at `position`.
    pub(super) fn rules_of(&self, db: usize, position: Position) -> CopyRules {
        *self.settings.freshness.load().of(self.entry(db, position).key())
    }

    /// Brings an entry into the current generation.
    pub(super) fn renew(&mut self, db: usize, position: Position) {
        self.set_generation(db, position, self.settings.generations.current());
    }

    /// Gives an entry the current generation, or marks it as dirty.
    pub(super) fn set_generation(&mut self, db: usize, position: Position, generation: u8) {
        let counted = self.settings.counts_as_current(self.entry(db, position));
        let keyspace = self.keyspace_mut(db);
        keyspace.current += usize::from(!counted);
        keyspace.table.get_mut(position).set_generation(generation);
    }

    /// Tells those who want to know that a key was changed.
    #[inline]
    pub(super) fn note_change(&mut self, db: usize, key: &[u8]) {
        if let Some(attention) = &mut self.attention {
            attention.changed(db, key);
        }
    }

    /// Tells of an event, if anybody listens.
    #[inline]
    pub(super) fn notice(&self, db: usize, key: &[u8], class: Class, event: &str) {
        if self.settings.is_observed(class) && !event.is_empty() {
            self.settings.notice(db, key, class, event);
        }
    }

    /// Frees an entry that was removed: aside, where that would take a while.
    pub(super) fn discard(&self, entry: Entry) {
        self.settings.reclaimer.free_entry(entry);
    }

    /// Removes an entry whose deadline has passed.
    #[cold]
    pub(super) fn expire(&mut self, db: usize, position: Position) {
        let entry = self.remove(db, position);
        self.totals.expired += 1;
        let key = entry.view().key();
        self.note_change(db, key);
        self.notice(db, key, Class::EXPIRED, "expired");
        self.discard(entry);
    }

    /// Removes what is dead of an entry that is due: all of it, or fields, `fields_max` at most. Tells whether the
    /// entry is still there.
    #[cold]
    pub(super) fn remove_dead(
        &mut self,
        db: usize,
        position: Position,
        now_ms: u64,
        fields_max: usize,
    ) -> bool {
        let entry = self.entry(db, position);
        if entry.deadline_ms().is_some_and(|at| at <= now_ms) {
            self.expire(db, position);
            return false;
        }
        let key: SmallVec<[u8; 64]> = entry.key().into();
        let (removed, is_void) = self.change(db, position, now_ms, |entry| {
            let hash = entry
                .get_mut::<Hash>()
                .expect("of other entries nothing dies alone");
            let outcome = (hash.purge(now_ms, fields_max), hash.is_void());
            entry.note_field_deadlines();
            outcome
        });
        self.totals.expired_fields += removed as u64;
        self.note_change(db, &key);
        self.notice(db, &key, Class::HASH, "hexpired");
        if is_void {
            let entry = self.remove(db, position);
            self.notice(db, &key, Class::GENERIC, "del");
            self.discard(entry);
        }
        !is_void
    }

    #[inline]
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The entries of database `db`; `None` while it was never written here.
    #[inline]
    pub(super) fn keyspace(&self, db: usize) -> Option<&Keyspace> {
        self.keyspaces.get(db)
    }

    #[inline]
    pub(super) fn keyspace_mut(&mut self, db: usize) -> &mut Keyspace {
        self.keyspaces.get_mut(db)
    }

    #[inline]
    pub(super) fn find(&self, db: usize, hash: KeyHash, key: &[u8]) -> Option<Position> {
        self.keyspace(db)?.table.find(hash, key)
    }

    #[inline]
    pub(super) fn entry(&self, db: usize, position: Position) -> EntryRef<'_> {
        self.keyspace(db)
            .expect("a position is of a database that has entries")
            .table
            .get(position)
    }

    /// Counts a hit of the entry: whatever the policy makes of it.
    #[inline]
    pub(super) fn touch(&mut self, db: usize, position: Position, now_ms: u64) {
        let rank = self.entry(db, position).rank();
        let policy = self.settings.policy();
        let fresh = policy.on_hit(rank, now_ms, self.settings.tuning(), &mut self.random);
        if fresh != rank {
            self.keyspace_mut(db).table.get_mut(position).set_rank(fresh);
        }
    }

    /// Gives an entry another rank.
    pub(super) fn set_rank(&mut self, db: usize, position: Position, rank: u32) {
        self.keyspace_mut(db).table.get_mut(position).set_rank(rank);
    }

    /// Adds an entry whose key is not there, as one that was never hit.
    pub(super) fn insert(&mut self, db: usize, hash: KeyHash, mut entry: Entry, now_ms: u64) -> Position {
        entry.set_rank(self.settings.policy().on_insert(now_ms));
        self.adopt(db, hash, entry, now_ms)
    }

    /// Adds an entry whose key is not there, with the rank that it has.
    pub(super) fn adopt(&mut self, db: usize, hash: KeyHash, mut entry: Entry, now_ms: u64) -> Position {
        entry.set_generation(self.settings.generations.current());
        let keyspace = self.keyspaces.get_mut(db);
        keyspace.current += 1;
        let used_bytes = keyspace.used_bytes();
        if let Some(due_ms) = entry.view().due_ms() {
            entry.set_deadline_class(keyspace.counts(now_ms).add(due_ms));
            keyspace.due_by_fields += usize::from(is_due_by_fields(entry.view()));
        }
        keyspace.entry_bytes += entry.view().allocated_bytes();
        let position = keyspace.table.insert(hash, entry, &self.settings.hasher);
        let delta = keyspace.used_bytes() as i64 - used_bytes as i64;
        self.charge(delta);
        position
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, db: usize, position: Position) -> Entry {
        let keyspace = self.keyspaces.get_mut(db);
        let used_bytes = keyspace.used_bytes();
        let entry = keyspace.table.remove(position, &self.settings.hasher);
        let view = entry.view();
        keyspace.current -= usize::from(self.settings.counts_as_current(view));
        if let Some(due_ms) = view.due_ms() {
            let counts = keyspace.deadlines.as_mut().expect("the deadline was counted");
            counts.subtract(due_ms, view.deadline_class());
            keyspace.due_by_fields -= usize::from(is_due_by_fields(view));
        }
        keyspace.entry_bytes -= view.allocated_bytes();
        let delta = keyspace.used_bytes() as i64 - used_bytes as i64;
        self.charge(delta);
        entry
    }

    /// Gives an entry another value and deadline.
    #[inline]
    pub(super) fn replace(
        &mut self,
        db: usize,
        position: Position,
        value: Text<'_>,
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) {
        self.change(db, position, now_ms, |entry| entry.replace(value, deadline_ms));
        self.renew(db, position);
    }

    /// Runs `change` on an entry and keeps the books: bytes and deadlines.
    #[inline]
    pub(super) fn change<R>(
        &mut self,
        db: usize,
        position: Position,
        now_ms: u64,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> R {
        let keyspace = self.keyspaces.get_mut(db);
        let before = keyspace.table.get(position);
        let (bytes_before, due_before) = (before.allocated_bytes(), before.due_ms());
        let (class, by_fields_before) = (before.deadline_class(), is_due_by_fields(before));
        let mut entry = keyspace.table.get_mut(position);
        let result = change(&mut entry);
        let (bytes, due) = (entry.view().allocated_bytes(), entry.view().due_ms());
        let by_fields = is_due_by_fields(entry.view());
        drop(entry);
        if due.is_some() || due_before.is_some() {
            keyspace.recount_deadline(position, due_before.map(|at| (at, class)), now_ms);
            keyspace.due_by_fields += usize::from(by_fields);
            keyspace.due_by_fields -= usize::from(by_fields_before);
        }
        if bytes != bytes_before {
            keyspace.entry_bytes = keyspace.entry_bytes + bytes - bytes_before;
            self.charge(bytes as i64 - bytes_before as i64);
        }
        result
    }

    /// Takes all entries of a database out; dropping them is the caller's. O(1).
    pub(super) fn take_all(&mut self, db: usize) -> Option<Keyspace> {
        if self
            .keyspace(db)
            .is_none_or(|keyspace| keyspace.table.buckets() == 0)
        {
            return None;
        }
        self.note_changes(db, None);
        let taken = std::mem::take(self.keyspace_mut(db));
        self.charge(-(taken.used_bytes() as i64));
        Some(taken)
    }

    /// All of `db` goes, and what is alive by that time in another database may come instead: tells those who want to
    /// know of a key that this concerns.
    fn note_changes(&mut self, db: usize, comes: Option<(usize, u64)>) {
        let Some(mut attention) = self.attention.take() else {
            return;
        };
        attention.changed_where(db, |key| {
            let hash = self.settings.hasher.hash(key);
            let goes = self.find(db, hash, key).is_some();
            goes || comes.is_some_and(|(other, now_ms)| {
                let position = self.find(other, hash, key);
                let deadline_ms = position.map(|position| self.entry(other, position).deadline_ms());
                deadline_ms.is_some_and(|at| at.is_none_or(|at| at > now_ms))
            })
        });
        self.attention = Some(attention);
    }

    /// Removes the dead among the keys of a database that are watched, without a word to those who watch.
    fn bury_watched(&mut self, db: usize, now_ms: u64) {
        let Some(attention) = self.attention.take() else {
            return;
        };
        for key in attention.watched() {
            let position = self.find(db, self.settings.hasher.hash(key), key);
            let is_dead = |at: &Position| self.entry(db, *at).deadline_ms().is_some_and(|at| at <= now_ms);
            if let Some(position) = position.filter(is_dead) {
                self.expire(db, position);
            }
        }
        self.attention = Some(attention);
    }

    /// Exchanges two databases.
    pub(super) fn swap(&mut self, a: usize, b: usize, now_ms: u64) {
        if a == b {
            return;
        }
        self.note_changes(a, Some((b, now_ms)));
        self.note_changes(b, Some((a, now_ms)));
        // Met dead by those who watch its name, it would count as a key of theirs that has expired.
        self.bury_watched(a, now_ms);
        self.bury_watched(b, now_ms);
        let of_a = std::mem::take(self.keyspace_mut(a));
        let of_b = std::mem::replace(self.keyspace_mut(b), of_a);
        *self.keyspace_mut(a) = of_b;
    }

    /// Evicts the most dispensable entry of a small sample, for which at most `buckets_max` buckets are read.
    /// `None` when no entry met may go.
    pub(super) fn evict_one(&mut self, now_ms: u64, samples: usize, buckets_max: usize) -> Option<()> {
        let (db, position, dead) = self.sample_victim(now_ms, samples, buckets_max)?;
        if dead {
            self.expire(db, position);
        } else {
            let entry = self.remove(db, position);
            self.totals.evicted += 1;
            let key = entry.view().key();
            self.note_change(db, key);
            self.notice(db, key, Class::EVICTED, "evicted");
            self.discard(entry);
        }
        Some(())
    }

    /// Looks at `samples` entries from a random place on: the one to go, and whether it was dead anyway.
    fn sample_victim(
        &mut self,
        now_ms: u64,
        samples: usize,
        buckets_max: usize,
    ) -> Option<(usize, Position, bool)> {
        let (policy, tuning) = (self.settings.policy(), self.settings.tuning());
        let db = self.sample_database(policy)?;
        let random = &mut self.random;
        let table = &self.keyspaces.get(db)?.table;
        let buckets = table.buckets();
        let start = random.below(buckets);
        let mut seen = 0;
        let mut victim: Option<(u64, Position)> = None;
        for step in 0..buckets.min(buckets_max) {
            for position in table.positions_in((start + step) % buckets) {
                let entry = table.get(position);
                let deadline_ms = entry.deadline_ms();
                if deadline_ms.is_some_and(|at| at <= now_ms) {
                    return Some((db, position, true));
                }
                if entry.generation() == DIRTY {
                    continue;
                }
                if policy.volatile_only() && deadline_ms.is_none() {
                    continue;
                }
                let candidate = Candidate {
                    rank: entry.rank(),
                    deadline_ms,
                    bytes: entry.allocated_bytes(),
                };
                let badness = policy.badness(&candidate, now_ms, tuning, random);
                if victim.is_none_or(|(worst, _)| badness > worst) {
                    victim = Some((badness, position));
                }
                seen += 1;
            }
            if seen >= samples {
                break;
            }
        }
        victim.map(|(_, position)| (db, position, false))
    }

    /// A database with entries that may go, chosen with odds by their number.
    fn sample_database(&mut self, policy: &dyn Policy) -> Option<usize> {
        let eligible = |shard: &Self, db| {
            shard.keyspace(db).map_or(0, |keyspace: &Keyspace| {
                if policy.volatile_only() {
                    keyspace.volatile()
                } else {
                    keyspace.table.len()
                }
            })
        };
        let total: usize = (0..self.settings.databases).map(|db| eligible(self, db)).sum();
        if total == 0 {
            return None;
        }
        let mut chosen = self.random.below(total);
        (0..self.settings.databases).find(|&db| {
            let here = eligible(self, db);
            let found = chosen < here;
            chosen = chosen.wrapping_sub(here);
            found
        })
    }

    #[inline]
    fn charge(&mut self, delta: i64) {
        self.used_bytes += delta;
        self.settings.budget.report(&mut self.unreported, delta);
    }

    /// Tells the budget what it does not know yet, as far as that counts against its limit now.
    pub(super) fn report_bytes(&mut self) {
        self.settings.budget.report(&mut self.unreported, 0);
    }
}
