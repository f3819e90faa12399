//! When a write may be deferred: back-pressure.

use std::sync::atomic::Ordering::Relaxed;

use super::super::journal::{Full, bytes_max};
use super::{Behind, Deferral};
use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::config::WhenFull;

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
        Ok(Deferral::new(self, &files.journal, reservation.map_err(Reason::Full)?))
    }

    /// Waits until a change with so many bytes could be deferred, as `write-behind-when-full` says.
    pub async fn wait_for_room(&self, bytes: usize) -> Result {
        let config = self.services.config.load_full();
        let patience = match config.write_behind.when_full {
            WhenFull::Wait => config.upstream.timeout,
            WhenFull::Error => std::time::Duration::ZERO,
        };
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let progress = self.progress.notified();
            let Err(reason) = self.defer(0, bytes) else {
                return Ok(());
            };
            if tokio::time::timeout_at(deadline, self.room(progress, bytes)).await.is_err() {
                return Err(reason.error());
            }
        }
    }

    /// Waits until something may have changed.
    async fn room(&self, progress: tokio::sync::futures::Notified<'_>, bytes: usize) {
        let Some(files) = self.files.get().filter(|_| !self.is_aged.load(Relaxed)) else {
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
    /// The journal takes no more.
    Full(Full),
}

impl Reason {
    /// For the client.
    fn error(self) -> Error {
        Error::Verbatim(match self {
            Self::Closed => "MISCONF Write-behind has no journal, see the log".into(),
            Self::Aged => "MISCONF Too many writes wait for upstream: write-behind-max-age-ms is exceeded".into(),
            Self::Full(full) => format!("MISCONF Errors writing to the journal: {full}").into(),
        })
    }
}
