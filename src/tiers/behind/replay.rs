//! The journal at start: what was acknowledged before and may not have been carried.

use std::io;

use super::super::journal::{Journal, Record, Recovered, State, bytes_max};
use super::Behind;
use super::note::state_bytes;
use crate::store::rdb::{self, Decoded};
use crate::store::{Key, SharedName, Visit};

/// Puts the records into the store, where they are dirty as before. Those of a payload that can't be read here are kept in the
/// journal and named in the log: no other version of this program should find them gone.
pub fn replay(mut recovered: Recovered, journal: &Journal, behind: &Behind) -> io::Result<()> {
    for damage in recovered.damage() {
        tracing::error!("the journal has lost records: {damage:?}");
    }
    let mut last = 0;
    while let Some((sequence, record)) = recovered.read()? {
        behind.ledger.lock().skip_to(sequence);
        if !behind.restore(sequence, &record) {
            tracing::error!(
                sequence,
                "a record of the journal has a value that is not known here"
            );
        }
        last = sequence;
    }
    let mut ledger = behind.ledger.lock();
    ledger.skip_to(journal.last_sequence().max(last) + 1);
    let keys = ledger.dirty;
    drop(ledger);
    behind.counts.replayed.add(keys as u64);
    if keys > 0 {
        tracing::info!(keys, "found in the journal, to be carried upstream");
    }
    Ok(())
}

impl Behind {
    /// Puts one state into the store; false if it has a form that is not known here.
    fn restore(&self, sequence: u64, record: &Record<'_>) -> bool {
        let Some((value, deadline_ms)) = self.decode(&record.state) else {
            return false;
        };
        let store = &self.services.store;
        let name: SharedName = (record.db as usize, record.key.into());
        let hash = store.hash(record.key);
        let mut shard = store.lock(hash);
        let visit = Visit::new(name.0, self.services.clock.unix_ms());
        let mut key = Key::find(&mut shard, record.key, hash, visit);
        match value {
            Some(value) => key.place(value.into_entry(record.key, deadline_ms)),
            None => _ = key.remove(),
        }
        let bytes = bytes_max(record.key.len(), state_bytes(&record.state));
        let noted = shard.note_dirty(&name, sequence, bytes);
        shard.mark_dirty(&name, hash);
        self.note(&name, sequence, bytes, noted);
        true
    }

    /// The value of a state, `None` for one that was removed, and its deadline; nothing if it has a form that is not
    /// known here.
    pub(super) fn decode<'s>(&self, state: &State<'s>) -> Option<(Option<Decoded<'s>>, Option<u64>)> {
        Some(match *state {
            State::Text { value, deadline_ms } => (Some(Decoded::of_bytes(value)), deadline_ms),
            State::Payload { payload, deadline_ms } => {
                let value = rdb::decode(payload, &self.services.value_limits()).ok()?;
                (Some(value), deadline_ms)
            }
            State::Removed => (None, None),
        })
    }
}
