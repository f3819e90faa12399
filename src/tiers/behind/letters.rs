//! States that upstream refused for good: kept until an operator decides.

use std::io;

use super::super::journal::dead_letters::{Bounds, DeadLetters, Letter};
use super::super::journal::{Record, State, bytes_max};
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

/// A state that is kept while its shard is not.
enum OwnedState {
    Text(Vec<u8>, Option<u64>),
    Payload(Vec<u8>, Option<u64>),
    Removed,
}

impl OwnedState {
    fn of(state: State<'_>) -> Self {
        match state {
            State::Text { value, deadline_ms } => Self::Text(value.to_vec(), deadline_ms),
            State::Payload { payload, deadline_ms } => Self::Payload(payload.to_vec(), deadline_ms),
            State::Removed => Self::Removed,
        }
    }

    fn as_record<'s>(&'s self, (db, key): &'s SharedName) -> Record<'s> {
        let state = match self {
            Self::Text(value, deadline_ms) => State::Text {
                value,
                deadline_ms: *deadline_ms,
            },
            Self::Payload(payload, deadline_ms) => State::Payload {
                payload,
                deadline_ms: *deadline_ms,
            },
            Self::Removed => State::Removed,
        };
        Record {
            db: *db as u32,
            key,
            state,
        }
    }
}

impl Behind {
    /// Puts a state that upstream refused among the dead letters, unless the key was changed meanwhile. The copy here
    /// goes: from now on the key has the value that upstream has. May wait for the disk.
    pub(super) fn bury(&self, left: Left) {
        let (Some(files), Some(refusal)) = (self.files.get(), &left.refusal) else {
            return;
        };
        let Some(record) = self.refused_state(&left) else {
            return;
        };
        let now_ms = self.services.clock.unix_ms();
        let appended = files
            .dead_letters
            .lock()
            .append(&record.as_record(&left.name), refusal, now_ms);
        match appended {
            Ok(id) => self.give_up(&left, id),
            Err(error) => {
                tracing::error!(%error, "a write that upstream refused can't be put aside; it is tried again");
                self.put_back(vec![left]);
            }
        }
    }

    /// The state that upstream refused, if it still is the present one.
    fn refused_state(&self, left: &Left) -> Option<OwnedState> {
        let (db, key) = &left.name;
        let hash = self.services.store.hash(key);
        let shard = self.services.store.lock(hash);
        let is_present = shard.is_carrying(&left.name, left.sequence);
        let now_ms = self.services.clock.unix_ms();
        is_present.then(|| with_state(shard.resident(*db, key, hash), now_ms, OwnedState::of))
    }

    /// A state is among the dead letters: its key is clean, unless it was changed meanwhile.
    fn give_up(&self, left: &Left, id: u64) {
        let (db, key) = &left.name;
        let hash = self.services.store.hash(key);
        let mut shard = self.services.store.lock(hash);
        if shard.is_carrying(&left.name, left.sequence)
            && let Settled::Clean(bytes) = shard.end_carrying(&left.name, hash, left.sequence)
        {
            shard.drop_copy(*db, key, hash);
            drop(shard);
            self.ledger.lock().settle(left.sequence, bytes);
            self.counts.refused.add(1);
            tracing::warn!(
                refusal = left.refusal.as_deref(),
                "upstream refused a write for good"
            );
            return;
        }
        drop(shard);
        // A letter of a state that is not the last one is of no use; should it stay, it does no harm.
        let _ = self.with_letters(|letters| letters.remove(&[id]));
    }

    /// How many states were refused and are kept.
    pub fn dead_letters(&self) -> usize {
        self.files
            .get()
            .map_or(0, |files| files.dead_letters.lock().len())
    }

    /// The oldest of them, `count_max` at most.
    pub fn letters(&self, count_max: usize) -> io::Result<Vec<Letter>> {
        self.with_letters(|letters| letters.letters(0, count_max))
    }

    /// Has those with these numbers (`None`: all) carried again; how many there were. One whose key has been changed
    /// since and not been carried is dropped, as it is older.
    pub fn retry_letters(&self, id: Option<u64>) -> io::Result<usize> {
        let letters = self.chosen(id)?;
        let revived: Vec<u64> = letters
            .iter()
            .map_while(|letter| self.revive(letter).ok().map(|()| letter.id))
            .collect();
        self.with_letters(|letters| letters.remove(&revived))
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
        Ok(letters
            .into_iter()
            .filter(|letter| id.is_none_or(|id| letter.id == id))
            .collect())
    }

    fn with_letters<T: Default>(
        &self,
        work: impl FnOnce(&mut DeadLetters) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.files.get() {
            Some(files) => work(&mut files.dead_letters.lock()),
            None => Ok(T::default()),
        }
    }

    /// Makes the state of a letter the present one of its key, to be carried.
    fn revive(&self, letter: &Letter) -> io::Result<()> {
        let Some(files) = self.files.get() else {
            return Ok(());
        };
        let record = letter.record();
        let now_ms = self.services.clock.unix_ms();
        let name: SharedName = (record.db as usize, record.key.into());
        let Some((value, deadline_ms)) = self.decode(&record.state) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let state_bytes = super::note::state_bytes(&record.state);
        let bytes = bytes_max(record.key.len(), state_bytes);
        let mut reservation = files
            .journal
            .reserve(bytes)
            .map_err(|full| io::Error::other(full.to_string()))?;
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
