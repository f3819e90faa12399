//! Write-behind: changes are made here, noted in the journal, and carried upstream soon after.
//!
//! | file | what |
//! |---|---|
//! | `ledger` | which keys are to be carried, and which records are still needed |
//! | `note` | the state of a changed key, into the journal |
//! | `carrier` | the task that carries |
//! | `carry` | states as requests, and what upstream's answers mean |
//! | `replay` | the journal at start |
//! | `letters` | what upstream refused for good |
//! | `room` | when a write may be made at all |
//!
//! # What holds
//! - A change is in the journal before its reply goes out. What is noted and carried is the *state* of the key after
//!   it, so carrying twice does no harm, and of many changes of a key only the last is carried.
//! - Each key is on its way at most once at a time, and all go over the one link, so upstream sees the states of a
//!   key in their order.
//! - A key is clean again when upstream has acknowledged the very state that it has here. That happens on the link's
//!   own thread, between the frames before and behind the acknowledgement, so that no invalidation is mistaken.
//! - When others change a key whose state upstream does not know yet, the state here wins: it will overwrite theirs. That
//!   is counted (`conflicts`).

mod carrier;
mod carry;
mod ledger;
mod letters;
mod note;
mod replay;
mod room;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use carrier::Carrier;
pub use carry::Carried;
use ledger::Ledger;
pub use note::Deferral;

use super::journal::dead_letters::DeadLetters;
use super::journal::{self, Journal};
use super::status::{Status, Tally};
use crate::config::{Config, JournalSync};
use crate::services::Services;

/// What there is to carry, and what was counted.
pub struct Behind {
    services: Arc<Services>,
    status: Arc<Status>,
    files: OnceLock<Files>,
    ledger: Mutex<Ledger>,
    /// There is something to carry, or somebody waits.
    work: Notify,
    /// Something was carried, so there may be room.
    progress: Notify,
    /// When nothing was found that may be evicted, in Unix milliseconds.
    stuffed_at_ms: AtomicU64,
    /// Whether the oldest dirty key is too old for more of them.
    is_aged: AtomicBool,
    /// What is counted.
    pub counts: Counts,
}

struct Files {
    journal: Journal,
    dead_letters: Mutex<DeadLetters>,
}

/// What write-behind counts.
#[derive(Default)]
pub struct Counts {
    /// States that upstream has acknowledged.
    pub carried: Tally,
    /// Changes that were not carried because later ones of the same key were.
    pub coalesced: Tally,
    /// States that upstream refused and that are tried again.
    pub retried: Tally,
    /// States that upstream refused for good.
    pub refused: Tally,
    /// Keys that were found in the journal at start.
    pub replayed: Tally,
    /// Writes that were dropped by the operator.
    pub lost: Tally,
}

impl Behind {
    /// Without a journal: see [`Behind::open`].
    pub fn new(services: &Arc<Services>, status: &Arc<Status>) -> Self {
        Self {
            services: Arc::clone(services),
            status: Arc::clone(status),
            files: OnceLock::new(),
            ledger: Mutex::default(),
            work: Notify::new(),
            progress: Notify::new(),
            stuffed_at_ms: AtomicU64::new(0),
            is_aged: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Opens the journal, unless it is open, and puts what it holds into the store.
    pub fn open(&self, config: &Config) -> io::Result<()> {
        if self.is_open() {
            return Ok(());
        }
        let dir = config.journal_dir();
        let settings = journal::Settings {
            sync: sync_policy(config.write_behind.sync),
            bytes_max: config.write_behind.journal_max_bytes,
            ignores_damage: config.write_behind.ignores_damage,
        };
        let (journal, recovered) = Journal::open(&dir, &settings, self.services.clock.clone())?;
        let dead_letters = DeadLetters::open(&dir, letters::BOUNDS)?;
        replay::replay(recovered, &journal, self)?;
        let opened = Files {
            journal,
            dead_letters: Mutex::new(dead_letters),
        };
        // Nobody else opens it: its directory is locked.
        let _ = self.files.set(opened);
        self.work.notify_one();
        Ok(())
    }

    /// Whether writes can be deferred.
    pub fn is_open(&self) -> bool {
        self.files.get().is_some()
    }

    /// Puts changed settings in force.
    pub fn configure(&self, config: &Config) {
        if let Some(files) = self.files.get() {
            files.journal.set_sync(sync_policy(config.write_behind.sync));
            files.journal.set_bytes_max(config.write_behind.journal_max_bytes);
        }
    }

    /// The last record that was appended; 0 if none was.
    pub fn last_sequence(&self) -> u64 {
        self.files.get().map_or(0, |files| files.journal.last_sequence())
    }

    /// Sees to it that everything up to the record `sequence` survives the end of this process, or whatever else
    /// `journal-sync` asks for. Fails if it can't be written; then nobody may be told that it was.
    pub async fn settle(&self, sequence: u64) -> io::Result<()> {
        let Some(files) = self.files.get() else {
            return Ok(());
        };
        files.journal.commit()?;
        if files.journal.must_settle(sequence) {
            files.journal.settled(sequence).await?;
        }
        Ok(())
    }

    /// Writes everything that is left to the disk, at the end.
    pub fn close(&self) -> io::Result<()> {
        match self.files.get() {
            Some(files) => {
                files.journal.release(self.ledger.lock().released());
                files.journal.close()
            }
            None => Ok(()),
        }
    }

    /// What can be seen of the journal, if there is one.
    pub fn journal_figures(&self) -> Option<journal::Figures> {
        self.files.get().map(|files| files.journal.figures())
    }

    /// Writes that were acknowledged and will not reach upstream, because an operator dropped them or there were too
    /// many dead letters.
    pub fn lost(&self) -> u64 {
        let dropped = self
            .files
            .get()
            .map_or(0, |files| files.dead_letters.lock().dropped());
        self.counts.lost.get() + dropped
    }

    /// Keys that are dirty.
    pub fn dirty_keys(&self) -> usize {
        self.ledger.lock().dirty
    }

    /// Since when the oldest dirty key is, in monotonic milliseconds.
    pub fn oldest_dirty_since_ms(&self) -> Option<u64> {
        self.ledger.lock().oldest_since_ms()
    }

    /// Bytes of the records that are still needed.
    pub fn dirty_bytes(&self) -> u64 {
        self.ledger.lock().bytes
    }

    /// Whether a restart could carry something that was carried already.
    pub fn may_repeat(&self) -> bool {
        self.files.get().is_some_and(|files| files.journal.may_repeat())
    }

    /// Sees to it that what was carried is not carried again after a crash, which would undo what is written upstream
    /// in another way afterwards.
    pub fn forget_carried(&self) -> io::Result<()> {
        let released = self.ledger.lock().released();
        self.files
            .get()
            .map_or(Ok(()), |files| files.journal.release_now(released))
    }

    /// Waits until everything that is dirty now was carried.
    pub async fn drained(&self) {
        let waiting = self.ledger.lock().wait();
        if let Some(waiting) = waiting {
            self.work.notify_one();
            // The carrier lives as long as there is a link.
            let _ = waiting.await;
        }
    }
}

fn sync_policy(sync: JournalSync) -> journal::SyncPolicy {
    match sync {
        JournalSync::Always => journal::SyncPolicy::Always,
        JournalSync::Every10Ms => journal::SyncPolicy::Periodic,
        JournalSync::Os => journal::SyncPolicy::Os,
    }
}
