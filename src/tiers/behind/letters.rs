//! States that upstream refused for good: kept until an operator decides.

use std::io;

use super::super::journal::dead_letters::{Bounds, DeadLetters, Letter};
use super::super::journal::{Record, bytes_max};
use super::Behind;
use super::carry::Left;
use super::note::with_state;
use crate::limits::{DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX};
use crate::store::{Key, Settled, SharedName, Visit};

/// How many are kept.
pub(super) const BOUNDS: Bounds = Bounds {
    letters_max: DEAD_LETTERS_MAX,
    bytes_max: DEAD_LETTERS_BYTES_MAX,
};

impl Behind {
    /// Puts a state that upstream refused among the dead letters, unless the key was changed meanwhile. The copy here
    /// goes: from now on the key has the value that upstream has.
    pub(super) fn bury(&self, left: Left) {
        let (Some(files), Some(refusal)) = (self.files.get(), &left.refusal) else {
            return;
        };
        let services = &self.services;
        let now_ms = services.clock.unix_ms();
        let name = &left.name;
        let hash = services.store.hash(&name.1);
        let mut shard = services.store.lock(hash);
        if !shard.is_carrying(name, left.sequence) {
            return;
        }
        let appended = with_state(shard.resident(name.0, &name.1, hash), now_ms, |state| {
            let record = Record {
                db: name.0 as u32,
                key: &name.1,
                state,
            };
            files.dead_letters.lock().append(&record, refusal, now_ms)
        });
        if let Err(error) = appended {
            drop(shard);
            tracing::error!(%error, "a write that upstream refused can't be put aside; it is tried again");
            return self.put_back(vec![left]);
        }
        if let Settled::Clean(bytes) = shard.end_carrying(name, hash, left.sequence) {
            self.ledger.lock().settle(left.sequence, bytes);
        }
        shard.drop_copy(name.0, &name.1, hash);
        drop(shard);
        self.counts.refused.add(1);
        tracing::warn!(refusal, "upstream refused a write for good");
    }

    /// How many states were refused and are kept.
    pub fn dead_letters(&self) -> usize {
        self.files.get().map_or(0, |files| files.dead_letters.lock().len())
    }

    /// The oldest of them, `count_max` at most.
    pub fn letters(&self, count_max: usize) -> io::Result<Vec<Letter>> {
        self.with_letters(|letters| letters.letters(0, count_max))
    }

    /// Has those with these numbers (`None`: all) carried again; how many there were. One whose key has been changed
    /// since and not been carried is dropped, as it is older.
    pub fn retry_letters(&self, id: Option<u64>) -> io::Result<usize> {
        let letters = self.chosen(id)?;
        for letter in &letters {
            self.revive(letter)?;
            self.with_letters(|letters| letters.remove(&[letter.id]))?;
        }
        Ok(letters.len())
    }

    /// Forgets those with these numbers (`None`: all); how many there were. They are lost.
    pub fn drop_letters(&self, id: Option<u64>) -> io::Result<usize> {
        let dropped = self.with_letters(|letters| match id {
            Some(id) => letters.remove(&[id]),
            None => letters.clear(),
        })?;
        self.counts.lost.add(dropped as u64);
        Ok(dropped)
    }

    fn chosen(&self, id: Option<u64>) -> io::Result<Vec<Letter>> {
        let letters = self.letters(usize::MAX)?;
        Ok(letters.into_iter().filter(|letter| id.is_none_or(|id| letter.id == id)).collect())
    }

    fn with_letters<T: Default>(&self, work: impl FnOnce(&mut DeadLetters) -> io::Result<T>) -> io::Result<T> {
        match self.files.get() {
            Some(files) => work(&mut files.dead_letters.lock()),
            None => Ok(T::default()),
        }
    }

    /// Makes the state of a letter the present one of its key, to be carried.
    fn revive(&self, letter: &Letter) -> io::Result<()> {
        let Some(files) = self.files.get() else { return Ok(()) };
        let record = letter.record();
        let now_ms = self.services.clock.unix_ms();
        let name: SharedName = (record.db as usize, record.key.into());
        let Some((value, deadline_ms)) = self.decode(&record.state) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let state_bytes = super::note::state_bytes(&record.state);
        let bytes = bytes_max(record.key.len(), state_bytes);
        let mut reservation = files.journal.reserve(bytes).map_err(|full| io::Error::other(full.to_string()))?;
        let hash = self.services.store.hash(record.key);
        let mut shard = self.services.store.lock(hash);
        if shard.is_dirty(name.0, &name.1) {
            return Ok(());
        }
        let mut key = Key::find(&mut shard, record.key, hash, Visit::new(name.0, now_ms));
        match value {
            Some(value) => key.place(value.into_entry(record.key, deadline_ms)),
            None => _ = key.remove(),
        }
        let sequence = files.journal.append(&mut reservation, &record);
        let noted = shard.note_dirty(&name, sequence, bytes);
        shard.mark_dirty(&name, hash);
        self.note(&name, sequence, bytes, noted);
        drop(shard);
        files.journal.commit()
    }
}
