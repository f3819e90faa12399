//! When a write may be deferred: back-pressure.

use std::sync::atomic::Ordering::Relaxed;

use super::super::journal::{Full, bytes_max};
use super::{Behind, Deferral};
use tokio::sync::futures::Notified;

use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::config::WhenFull;
use crate::store::EntryRef;

/// For how long nobody looks again for something to evict where there was nothing.
const STUFFED_MS: u64 = 50;

impl Behind {
    /// Takes room in the journal for a change of a key with `key_len` bytes whose state will have `state_bytes` at most.
    /// Fails when too much waits to be carried.
    #[inline]
    pub fn defer(&self, key_len: usize, state_bytes: usize) -> std::result::Result<Deferral<'_>, Reason> {
        let files = self.files.get().ok_or(Reason::Closed)?;
        if self.is_aged.load(Relaxed) {
            return Err(Reason::Aged);
        }
        let reservation = files.journal.reserve(bytes_max(key_len, state_bytes));
        Ok(Deferral::new(
            self,
            &files.journal,
            reservation.map_err(Reason::Full)?,
        ))
    }

    /// Whether there is room in memory for what a change may add, if need be after evicting something.
    #[inline]
    pub fn has_memory(&self, now_ms: u64) -> bool {
        let store = &self.services.store;
        !store.is_over_budget() || self.make_room(now_ms)
    }

    /// Evicts something, unless it was found a moment ago that nothing may be evicted: finding that out means to look
    /// at everything.
    #[cold]
    fn make_room(&self, now_ms: u64) -> bool {
        let stuffed_at_ms = self.stuffed_at_ms.load(Relaxed);
        if now_ms.abs_diff(stuffed_at_ms) < STUFFED_MS {
            return false;
        }
        let store = &self.services.store;
        let has_room = store.make_room(store.hash(b""), now_ms);
        if !has_room {
            self.stuffed_at_ms.store(now_ms, Relaxed);
        }
        has_room
    }

    /// Whether an entry that is no text is small enough to be carried as a whole with each change.
    pub fn may_carry(&self, entry: EntryRef<'_>) -> bool {
        entry.allocated_bytes() as u64 <= self.services.config.load().write_behind.value_max_bytes
    }

    /// Waits until a change with so many bytes could be deferred, as `write-behind-when-full` says.
    pub async fn wait_for_room(&self, bytes: usize) -> Result {
        let config = self.services.config.load_full();
        let patience = match config.write_behind.when_full {
            WhenFull::Wait => config.upstream.timeout,
            WhenFull::Error => std::time::Duration::ZERO,
        };
        let mut over = std::pin::pin!(tokio::time::sleep(patience));
        loop {
            let progress = self.progress.notified();
            let room = if self.has_memory(self.services.clock.unix_ms()) {
                self.defer(0, bytes).map(drop)
            } else {
                Err(Reason::Memory)
            };
            let Err(reason) = room else {
                return Ok(());
            };
            tokio::select! {
                biased;
                () = self.room(progress, reason, bytes) => {}
                () = &mut over => return Err(reason.error()),
            }
        }
    }

    /// Waits until something may have changed.
    async fn room(&self, progress: Notified<'_>, reason: Reason, bytes: usize) {
        let Some(files) = self.files.get().filter(|_| matches!(reason, Reason::Full(_))) else {
            return progress.await;
        };
        tokio::select! {
            () = progress => {}
            _ = files.journal.reserve_in_turn(bytes_max(0, bytes)) => {}
        }
    }
}

/// Why a write can't be deferred now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no journal.
    Closed,
    /// The oldest write is too old.
    Aged,
    /// `maxmemory` is reached, and nothing may be evicted before it was carried.
    Memory,
    /// The journal takes no more.
    Full(Full),
}

impl Reason {
    /// For the client.
    fn error(self) -> Error {
        Error::Verbatim(match self {
            Self::Memory => return Error::OutOfMemory,
            Self::Closed => "MISCONF Write-behind has no journal, see the log".into(),
            Self::Aged => {
                "MISCONF Too many writes wait for upstream: write-behind-max-age-ms is exceeded".into()
            }
            Self::Full(full) => format!("MISCONF Errors writing to the journal: {full}").into(),
        })
    }
}
