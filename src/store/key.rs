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
        let mut key = Self { shard, name, hash, visit, position };
        if let Some(position) = position {
            key.discard_unusable(position);
        }
        key
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
        let Some(position) = self.position else {
            self.shard.totals.misses += 1;
            return false;
        };
        self.shard.totals.hits += 1;
        if self.visit.touch {
            self.shard.touch(self.visit.db, position, self.visit.now_ms);
        }
        true
    }

    /// The value, without counting anything.
    #[inline]
    pub fn peek(&self) -> Option<Text<'_>> {
        self.entry().map(EntryRef::value)
    }

    /// The entry as it stands, for what inspects rather than reads.
    #[inline]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.position.map(|position| self.shard.entry(self.visit.db, position))
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
            let entry = Entry::new(self.name, value, deadline_ms);
            self.position = Some(self.shard.insert(db, self.hash, entry, now_ms));
        }
        self.changed();
    }

    /// Stores what `source` holds, under this key: value, deadline and encoding.
    pub fn put_like(&mut self, source: &Entry) {
        let source = source.view();
        self.put(source.value(), source.deadline_ms());
        if source.is_edited() {
            self.edit(0, |_| ());
        }
    }

    /// Lends the value's bytes for editing, grown with zero bytes to at least `len`; an absent key is created.
    pub fn edit<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.position.is_none() {
            self.put(Text::Bytes(b""), None);
        }
        let Visit { db, now_ms, .. } = self.visit;
        let position = self.position.expect("the entry was just made sure of");
        let result = self.shard.change(db, position, now_ms, |entry| edit(entry.edit(len)));
        self.changed();
        result
    }

    /// Sets or clears the deadline of an entry that exists.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        let Some(position) = self.position else { return };
        let Visit { db, now_ms, .. } = self.visit;
        self.shard.change(db, position, now_ms, |entry| entry.set_deadline(deadline_ms));
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
        self.shard.known_absent().is_some_and(|absent| absent.is_missing(db, self.name, now_ms))
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
