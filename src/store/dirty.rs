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

/// Keys that one command has changed: mostly a single one.
pub type Touched = SmallVec<[SharedName; 1]>;

/// What is known of a dirty key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dirty {
    /// Of the journal's record that has its state.
    sequence: u64,
    /// Bytes of that record.
    bytes: u64,
    /// Whether it stands in the queue of what is to be carried, and is not on its way.
    is_queued: bool,
}

/// What became of a key when a new state of it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The sequence number and size of the record that had its state before, if it was dirty already.
    pub before: Option<(u64, u64)>,
    /// Whether it has to be queued.
    pub must_queue: bool,
}

/// What became of a key whose state upstream was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is clean; its record had so many bytes.
    Clean(u64),
    /// It was changed again meanwhile, and is queued.
    Changed,
    /// It must be queued again.
    Dirty,
}

/// What is dirty of one key: that of each database which has it.
type OfKey = SmallVec<[(usize, Dirty); 1]>;

/// The dirty keys of one shard.
#[derive(Default)]
pub struct DirtyKeys {
    keys: HashMap<Arc<[u8]>, OfKey, RandomState>,
    /// Keys that the running command has changed.
    touched: Touched,
}

impl DirtyKeys {
    fn get(&self, db: usize, key: &[u8]) -> Option<Dirty> {
        let of_key = self.keys.get(key)?;
        of_key
            .iter()
            .find(|(of_db, _)| *of_db == db)
            .map(|(_, dirty)| *dirty)
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

    fn get_mut(&mut self, (db, key): &SharedName) -> Option<&mut Dirty> {
        let of_key = self.keys.get_mut(key)?;
        of_key
            .iter_mut()
            .find(|(of_db, _)| of_db == db)
            .map(|(_, dirty)| dirty)
    }

    fn note(&mut self, name: &SharedName, dirty: Dirty) -> Noted {
        if let Some(known) = self.get_mut(name) {
            let before = std::mem::replace(known, dirty);
            return Noted {
                before: Some((before.sequence, before.bytes)),
                must_queue: !before.is_queued,
            };
        }
        let (db, key) = name;
        self.keys.entry(Arc::clone(key)).or_default().push((*db, dirty));
        Noted {
            before: None,
            must_queue: true,
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

    /// Takes the keys that the running command has changed: each is to be noted by [`Shard::note_dirty`].
    #[inline]
    pub fn take_touched(&mut self) -> Touched {
        match &mut self.dirty {
            Some(dirty) if !dirty.touched.is_empty() => std::mem::take(&mut dirty.touched),
            _ => Touched::new(),
        }
    }

    /// Notes that the present state of a key is that of the journal's record `sequence`, which has so many bytes.
    pub fn note_dirty(&mut self, name: &SharedName, sequence: u64, bytes: u64) -> Noted {
        let dirty = Dirty {
            sequence,
            bytes,
            is_queued: true,
        };
        self.dirty.get_or_insert_default().note(name, dirty)
    }

    /// The entry of a key, whatever its generation.
    pub fn resident(&self, db: usize, key: &[u8], hash: KeyHash) -> Option<EntryRef<'_>> {
        self.find(db, hash, key).map(|at| self.entry(db, at))
    }

    /// Marks the entry of a key, which was just put there from the journal, as one that upstream does not know of.
    pub fn mark_dirty(&mut self, (db, key): &SharedName, hash: KeyHash) {
        if let Some(position) = self.find(*db, hash, key) {
            self.set_generation(*db, position, DIRTY);
        }
    }

    /// Begins to carry a dirty key: the sequence number of its state, and its entry, which may be gone. From now on a
    /// change queues it again.
    pub fn begin_carrying(
        &mut self,
        name: &SharedName,
        hash: KeyHash,
    ) -> Option<(u64, Option<EntryRef<'_>>)> {
        let dirty = self.dirty.as_mut()?.get_mut(name)?;
        dirty.is_queued = false;
        let sequence = dirty.sequence;
        let (db, key) = name;
        let entry = self.find(*db, hash, key).map(|at| self.entry(*db, at));
        Some((sequence, entry))
    }

    /// Whether the state of the record `sequence` is the present one of a dirty key, and on its way.
    pub fn is_carrying(&self, (db, key): &SharedName, sequence: u64) -> bool {
        let dirty = self.dirty.as_ref().and_then(|dirty| dirty.get(*db, key));
        dirty.is_some_and(|dirty| dirty.sequence == sequence && !dirty.is_queued)
    }

    /// Upstream has the state of the record `sequence`. If that is the present one, the key is clean, and its entry a
    /// copy like others.
    pub fn end_carrying(&mut self, name: &SharedName, hash: KeyHash, sequence: u64) -> Settled {
        let Some(dirty) = self.dirty.as_mut().and_then(|dirty| dirty.get_mut(name)) else {
            return Settled::Changed;
        };
        if dirty.sequence != sequence {
            return Settled::Changed;
        }
        let bytes = dirty.bytes;
        self.forget_dirty(name);
        let (db, key) = name;
        if let Some(position) = self.find(*db, hash, key) {
            self.renew(*db, position);
        }
        Settled::Clean(bytes)
    }

    /// Upstream could not be told: the key is to be queued again, unless a change has done so.
    pub fn put_back_dirty(&mut self, name: &SharedName) -> Settled {
        match self.dirty.as_mut().and_then(|dirty| dirty.get_mut(name)) {
            Some(dirty) if !dirty.is_queued => {
                dirty.is_queued = true;
                Settled::Dirty
            }
            _ => Settled::Changed,
        }
    }

    fn forget_dirty(&mut self, name: &SharedName) {
        let Some(dirty) = &mut self.dirty else { return };
        dirty.forget(name);
        if dirty.keys.is_empty() && dirty.touched.is_empty() {
            self.dirty = None;
        }
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
        let is_here =
            |(db, key): &(usize, &[u8])| self.find(*db, self.settings().hasher.hash(key), key).is_some();
        let touched = dirty.touched.iter().map(|(db, key)| (*db, &**key));
        let touched = touched.filter(|(db, key)| dirty.get(*db, key).is_none());
        names.chain(touched).filter(is_here).map(|(db, _)| db).collect()
    }
}
