//! Keys whose state upstream does not know of yet (write-behind).
//!
//! An entry that a client changed is marked, so that it is neither evicted nor taken for a copy. A key that was
//! removed is remembered as such: upstream still has it. The map tells for each of them under which sequence number its
//! state was noted in the journal last; when upstream has acknowledged that very state, the key is clean again.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use smallvec::SmallVec;

use super::entry::EntryRef;
use super::generation::DIRTY;
use super::hash::KeyHash;
use super::shard::Shard;
use super::table::Position;

/// A key of a database, shared by all who keep a list of it.
pub type SharedName = (usize, Arc<[u8]>);

/// What is known of a dirty key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dirty {
    /// Of the journal's record that has its state.
    sequence: u64,
    /// Bytes of that record.
    bytes: u64,
}

/// What became of a key when a new state of it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It was clean before.
    First,
    /// It was dirty already: the record with this sequence number and size is of no use any more.
    Again {
        /// Of the record.
        sequence: u64,
        /// Of the record.
        bytes: u64,
    },
}

/// The dirty keys of one shard.
#[derive(Default)]
pub struct DirtyKeys {
    keys: HashMap<Arc<[u8]>, SmallVec<[(usize, Dirty); 1]>, RandomState>,
    /// Keys that the running command has changed.
    touched: Vec<SharedName>,
}

impl DirtyKeys {
    fn get(&self, db: usize, key: &[u8]) -> Option<Dirty> {
        let of_key = self.keys.get(key)?;
        of_key.iter().find(|(of_db, _)| *of_db == db).map(|(_, dirty)| *dirty)
    }

    fn is_dirty(&self, db: usize, key: &[u8]) -> bool {
        let is_touched = |name: &SharedName| name.0 == db && *name.1 == *key;
        self.get(db, key).is_some() || self.touched.iter().any(is_touched)
    }

    fn touch(&mut self, db: usize, key: &[u8]) {
        let is_known = |name: &SharedName| name.0 == db && *name.1 == *key;
        if !self.touched.iter().any(is_known) {
            let known = self.keys.get_key_value(key).map(|(name, _)| Arc::clone(name));
            self.touched.push((db, known.unwrap_or_else(|| key.into())));
        }
    }

    fn note(&mut self, (db, key): &SharedName, dirty: Dirty) -> Noted {
        let of_key = self.keys.entry(Arc::clone(key)).or_default();
        match of_key.iter_mut().find(|(of_db, _)| of_db == db) {
            Some((_, known)) => {
                let Dirty { sequence, bytes } = std::mem::replace(known, dirty);
                Noted::Again { sequence, bytes }
            }
            None => {
                of_key.push((*db, dirty));
                Noted::First
            }
        }
    }

    fn forget(&mut self, (db, key): &SharedName) {
        if let Some(of_key) = self.keys.get_mut(key) {
            of_key.retain(|(of_db, _)| of_db != db);
            if of_key.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}

impl Shard {
    /// Whether upstream does not know the state of the key yet.
    pub fn is_dirty(&self, db: usize, key: &[u8]) -> bool {
        self.dirty.as_ref().is_some_and(|dirty| dirty.is_dirty(db, key))
    }

    /// Notes that the running command changed a key, whose entry is at `position` if it has one.
    pub(super) fn touch_dirty(&mut self, db: usize, key: &[u8], position: Option<Position>) {
        self.dirty.get_or_insert_default().touch(db, key);
        if let Some(position) = position {
            self.set_generation(db, position, DIRTY);
        }
    }

    /// Takes the keys that the running command has changed: each is to be noted by [`Shard::note_dirty`], or let go
    /// by [`Shard::clean`].
    #[inline]
    pub fn take_touched(&mut self) -> Vec<SharedName> {
        match &mut self.dirty {
            Some(dirty) if !dirty.touched.is_empty() => std::mem::take(&mut dirty.touched),
            _ => Vec::new(),
        }
    }

    /// Notes that the present state of a key is that of the journal's record `sequence`, which has so many bytes.
    pub fn note_dirty(&mut self, name: &SharedName, sequence: u64, bytes: u64) -> Noted {
        let dirty = self.dirty.get_or_insert_default();
        dirty.note(name, Dirty { sequence, bytes })
    }

    /// Marks the entry of a key as one that upstream does not know of: it was just put there from the journal.
    pub fn mark_dirty(&mut self, (db, key): &SharedName, hash: KeyHash) {
        if let Some(position) = self.find(*db, hash, key) {
            self.set_generation(*db, position, DIRTY);
        }
    }

    /// The sequence number of a dirty key's state, and the entry, which may be gone.
    pub fn dirty_state(&self, (db, key): &SharedName, hash: KeyHash) -> Option<(u64, Option<EntryRef<'_>>)> {
        let dirty = self.dirty.as_ref()?.get(*db, key)?;
        let entry = self.find(*db, hash, key).map(|at| self.entry(*db, at));
        Some((dirty.sequence, entry))
    }

    /// Upstream has the state of the record `sequence`. If that is the present one, the key is clean, and the size of
    /// its record is given back; its entry becomes a copy like others.
    pub fn clean(&mut self, name: &SharedName, hash: KeyHash, sequence: u64) -> Option<u64> {
        let (db, key) = name;
        let dirty = self.dirty.as_mut()?;
        let known = dirty.get(*db, key).filter(|known| known.sequence == sequence)?;
        dirty.forget(name);
        if dirty.keys.is_empty() && dirty.touched.is_empty() {
            self.dirty = None;
        }
        if let Some(position) = self.find(*db, hash, key) {
            let generation = self.settings().generations.current();
            self.set_generation(*db, position, generation);
        }
        Some(known.bytes)
    }

    /// The databases of the dirty entries that are here, each as often as it has some.
    pub(super) fn dirty_entries(&self) -> Vec<usize> {
        let Some(dirty) = &self.dirty else {
            return Vec::new();
        };
        let names = dirty.keys.iter().flat_map(|(key, of_key)| {
            let databases = of_key.iter().map(|(db, _)| *db);
            databases.map(move |db| (db, &**key))
        });
        let is_here = |(db, key): &(usize, &[u8])| self.find(*db, self.settings().hasher.hash(key), key).is_some();
        let touched = dirty.touched.iter().map(|(db, key)| (*db, &**key));
        let touched = touched.filter(|(db, key)| dirty.get(*db, key).is_none());
        names.chain(touched).filter(is_here).map(|(db, _)| db).collect()
    }
}
