//! One key of a shard that is lent: the only way to an entry.

use super::Visit;
use super::entry::{Entry, EntryRef, Kind};
use super::hash::KeyHash;
use super::shard::Shard;
use super::table::Position;
use crate::values::text::{Text, canonical_integer};

/// A key, looked up once. Dead entries were removed on the way; an entry of an earlier feed generation counts
/// as absent, since upstream may hold something newer.
pub struct Key<'s> {
    shard: &'s mut Shard,
    name: &'s [u8],
    hash: KeyHash,
    visit: Visit,
    position: Option<Position>,
}

impl<'s> Key<'s> {
    /// Looks `name` up. O(1).
    #[inline]
    pub fn find(shard: &'s mut Shard, name: &'s [u8], hash: KeyHash, visit: Visit) -> Self {
        let position = shard.find(visit.db, hash, name);
        let mut key = Self {
            shard,
            name,
            hash,
            visit,
            position,
        };
        if let Some(position) = position {
            key.discard_unusable(position);
        }
        key
    }

    /// The value at `name`, in a shard that is lent for looking only: nothing is counted or removed. O(1).
    pub fn peek_in<'a>(shard: &'a Shard, name: &[u8], hash: KeyHash, visit: Visit) -> Option<Text<'a>> {
        let entry = shard.entry(visit.db, shard.find(visit.db, hash, name)?);
        let dead = entry.deadline_ms().is_some_and(|at| at <= visit.now_ms);
        let outdated = entry.generation() != shard.settings().generation();
        (!dead && !outdated).then(|| entry.value())
    }

    /// The key itself.
    pub fn name(&self) -> &'s [u8] {
        self.name
    }

    /// Whether there is an entry.
    #[inline]
    pub fn exists(&self) -> bool {
        self.position.is_some()
    }

    /// The value, read for a client: counts a hit or a miss, and the hit for eviction.
    #[inline]
    pub fn read(&mut self) -> Option<Text<'_>> {
        let found = self.probe();
        found.then(|| self.peek()).flatten()
    }

    /// Counts a hit or a miss as [`Key::read`] does; tells which.
    #[inline]
    pub fn probe(&mut self) -> bool {
        let found = self.look();
        if let Some(position) = self.position {
            self.use_at(position);
        }
        found
    }

    /// Counts a hit or a miss, but no use for eviction: for what tells of an entry rather than of its value.
    #[inline]
    pub fn look(&mut self) -> bool {
        let totals = &mut self.shard.totals;
        let counter = if self.position.is_some() {
            &mut totals.hits
        } else {
            &mut totals.misses
        };
        *counter += 1;
        self.position.is_some()
    }

    /// Counts a use for eviction, but neither a hit nor a miss: what Redis does for a command that looks a key up
    /// to change it, and then leaves it.
    pub fn touch(&mut self) {
        if let Some(position) = self.position {
            self.use_at(position);
        }
    }

    /// The same, also for a client that wants its uses not to count: TOUCH asks for nothing else.
    pub fn touch_anyway(&mut self) {
        self.visit.touch = true;
        self.touch();
    }

    /// The value, without counting anything.
    #[inline]
    pub fn peek(&self) -> Option<Text<'_>> {
        self.entry().map(EntryRef::value)
    }

    /// The entry as it stands, for what inspects rather than reads.
    #[inline]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.position
            .map(|position| self.shard.entry(self.visit.db, position))
    }

    /// When the entry dies, in Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.entry().and_then(EntryRef::deadline_ms)
    }

    /// Redis's name for the value's encoding.
    pub fn encoding(&self) -> Option<&'static str> {
        /// Longest text that Redis stores in one piece with its header.
        const EMBEDDED_MAX: usize = 44;
        let entry = self.entry()?;
        Some(match entry.kind() {
            Kind::Int => "int",
            Kind::Text if entry.is_edited() || entry.value().len() > EMBEDDED_MAX => "raw",
            Kind::Text => "embstr",
        })
    }

    /// Stores `value`; bytes that are a canonical integer become one.
    #[inline]
    pub fn set(&mut self, value: &[u8], deadline_ms: Option<u64>) {
        let value = canonical_integer(value).map_or(Text::Bytes(value), Text::Int);
        self.put(value, deadline_ms);
    }

    /// Stores an integer.
    pub fn set_integer(&mut self, value: i64, deadline_ms: Option<u64>) {
        self.put(Text::Int(value), deadline_ms);
    }

    /// Stores `value` as it is.
    #[inline]
    pub fn put(&mut self, value: Text<'_>, deadline_ms: Option<u64>) {
        let Visit { db, now_ms, .. } = self.visit;
        if let Some(position) = self.position {
            self.shard.replace(db, position, value, deadline_ms, now_ms);
            self.shard.touch(db, position, now_ms);
        } else {
            self.create(value, deadline_ms);
        }
        self.changed();
    }

    /// Stores `bytes` as the outcome of an edit, which Redis reports as encoding `raw`.
    pub fn put_edited(&mut self, bytes: &[u8], deadline_ms: Option<u64>) {
        self.put(Text::Bytes(bytes), deadline_ms);
        let Visit { db, now_ms, .. } = self.visit;
        let position = self.position.expect("the entry was just stored");
        self.shard.change(db, position, now_ms, |entry| {
            entry.edit(0);
        });
    }

    /// Stores an entry that bears this key: one that was taken from another database, or copied for this key.
    pub fn adopt(&mut self, entry: Entry) {
        debug_assert_eq!(
            entry.view().key(),
            self.name,
            "an entry is stored under its own key"
        );
        if let Some(position) = self.position {
            drop(self.shard.remove(self.visit.db, position));
        }
        self.position = Some(
            self.shard
                .adopt(self.visit.db, self.hash, entry, self.visit.now_ms),
        );
        self.changed();
    }

    /// Lends the value's bytes for editing, grown with zero bytes to at least `len`; an absent key is created.
    pub fn edit<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        self.edit_counted(len, |bytes| (edit(bytes), 1))
    }

    /// The same for an edit that tells how many changes it made: writing what was there already is none.
    pub fn edit_counted<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> (R, u64)) -> R {
        let Visit { db, now_ms, .. } = self.visit;
        let position = self
            .position
            .unwrap_or_else(|| self.create(Text::Bytes(b""), None));
        self.use_at(position);
        let (result, changes) = self
            .shard
            .change(db, position, now_ms, |entry| edit(entry.edit(len)));
        self.shard.totals.changes += changes;
        result
    }

    /// Sets or clears the deadline of an entry that exists.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        let Some(position) = self.position else { return };
        let Visit { db, now_ms, .. } = self.visit;
        self.shard
            .change(db, position, now_ms, |entry| entry.set_deadline(deadline_ms));
        self.changed();
    }

    /// Removes the entry and hands it over.
    pub fn take(&mut self) -> Option<Entry> {
        let position = self.position.take()?;
        self.changed();
        Some(self.shard.remove(self.visit.db, position))
    }

    /// Removes the entry; tells whether there was one.
    pub fn remove(&mut self) -> bool {
        self.take().is_some()
    }

    /// The same key in another database.
    pub fn in_database(&mut self, db: usize) -> Key<'_> {
        Key::find(self.shard, self.name, self.hash, Visit { db, ..self.visit })
    }

    /// Whether upstream was found not to have the key, a short while ago.
    pub fn is_known_missing(&mut self) -> bool {
        let Visit { db, now_ms, .. } = self.visit;
        self.shard
            .known_absent()
            .is_some_and(|absent| absent.is_missing(db, self.name, now_ms))
    }

    /// Adds the entry, which is not there.
    #[inline]
    fn create(&mut self, value: Text<'_>, deadline_ms: Option<u64>) -> Position {
        let entry = Entry::new(self.name, value, deadline_ms);
        let position = self
            .shard
            .insert(self.visit.db, self.hash, entry, self.visit.now_ms);
        self.position = Some(position);
        position
    }

    #[inline]
    fn use_at(&mut self, position: Position) {
        if self.visit.touch {
            self.shard.touch(self.visit.db, position, self.visit.now_ms);
        }
    }

    /// Removes the entry at `position` if it is dead, and looks away from it if it is of an old generation.
    #[inline]
    fn discard_unusable(&mut self, position: Position) {
        let entry = self.shard.entry(self.visit.db, position);
        if entry.deadline_ms().is_some_and(|at| at <= self.visit.now_ms) {
            self.position = None;
            drop(self.shard.remove(self.visit.db, position));
            self.shard.totals.expired += 1;
        } else if entry.generation() != self.shard.settings().generation() {
            self.position = None;
            drop(self.shard.remove(self.visit.db, position));
        }
    }

    fn changed(&mut self) {
        self.shard.totals.changes += 1;
    }
}
