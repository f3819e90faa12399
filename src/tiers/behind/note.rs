//! The state of a key that a command has changed, into the journal.

use super::super::journal::{Journal, Record, Reservation, State, bytes_max};
use super::Behind;
use crate::store::rdb;
use crate::store::{EntryRef, Shard, SharedName, Value};
use crate::values::text::Text;

/// Room in the journal for what one command changes.
pub struct Deferral<'b> {
    behind: &'b Behind,
    journal: &'b Journal,
    reservation: Reservation<'b>,
}

impl<'b> Deferral<'b> {
    pub(super) fn new(behind: &'b Behind, journal: &'b Journal, reservation: Reservation<'b>) -> Self {
        Self {
            behind,
            journal,
            reservation,
        }
    }

    /// Notes the states of the keys of this shard that the command has changed. To be called before the shard is
    /// given back, so that states are noted in the order in which they came to be.
    #[inline]
    pub fn note(&mut self, shard: &mut Shard, now_ms: u64) {
        for name in shard.take_touched() {
            self.note_key(&name, shard, now_ms);
        }
    }

    /// The last record that was appended, by whomever.
    pub fn sequence(&self) -> u64 {
        self.journal.last_sequence()
    }

    fn note_key(&mut self, name: &SharedName, shard: &mut Shard, now_ms: u64) {
        let hash = self.behind.services.store.hash(&name.1);
        let (sequence, bytes) = self.append(name, shard.resident(name.0, &name.1, hash), now_ms);
        let noted = shard.note_dirty(name, sequence, bytes);
        self.behind.note(name, sequence, bytes, noted);
    }

    fn append(&mut self, (db, key): &SharedName, entry: Option<EntryRef<'_>>, now_ms: u64) -> (u64, u64) {
        with_state(entry, now_ms, |state| {
            let bytes = bytes_max(key.len(), state_bytes(&state));
            let db = *db as u32;
            (
                self.journal
                    .append(&mut self.reservation, &Record { db, key, state }),
                bytes,
            )
        })
    }
}

/// Does something with the state that an entry, or its absence, stands for.
pub(super) fn with_state<R>(
    entry: Option<EntryRef<'_>>,
    now_ms: u64,
    work: impl FnOnce(State<'_>) -> R,
) -> R {
    let mut digits = itoa::Buffer::new();
    let deadline_ms = entry.and_then(EntryRef::deadline_ms);
    let payload;
    work(match entry.map(EntryRef::value) {
        None => State::Removed,
        Some(Value::Text(Text::Bytes(value))) => State::Text { value, deadline_ms },
        Some(Value::Text(Text::Int(number))) => State::Text {
            value: digits.format(number).as_bytes(),
            deadline_ms,
        },
        Some(value) => {
            payload = rdb::encode(value, now_ms);
            let state = |payload| State::Payload { payload, deadline_ms };
            payload.as_deref().map_or(State::Removed, state)
        }
    })
}

/// Bytes of the value in a state.
pub(super) fn state_bytes(state: &State<'_>) -> usize {
    match state {
        State::Text { value, .. } => value.len(),
        State::Payload { payload, .. } => payload.len(),
        State::Removed => 0,
    }
}

impl Behind {
    /// The state of a key is in a record now.
    pub(super) fn note(&self, name: &SharedName, sequence: u64, bytes: u64, noted: crate::store::Noted) {
        let mut ledger = self.ledger.lock();
        ledger.note(sequence, bytes, noted.before);
        if noted.must_queue {
            let is_first = ledger.push(name.clone(), self.services.clock.monotonic_ms());
            drop(ledger);
            // The carrier looks at the queue again before it sleeps, so the others need not wake it.
            if is_first {
                self.work.notify_one();
            }
        } else {
            self.counts.coalesced.add(1);
        }
    }
}
