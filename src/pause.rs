//! CLIENT PAUSE: holds back the requests of all clients for a while.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;

/// What is held back, and until when.
#[derive(Default)]
pub struct Pause {
    /// Unix milliseconds; 0 when nothing is held back.
    until_ms: AtomicU64,
    writes_only: AtomicBool,
    changed: Notify,
}

impl Pause {
    /// Holds back all requests, or those that write, until `until_ms`. A pause that is in force already is only
    /// made longer or wider.
    pub fn begin(&self, until_ms: u64, writes_only: bool, now_ms: u64) {
        let running = self.is_on(now_ms);
        let writes_only = writes_only && !(running && !self.writes_only.load(Relaxed));
        self.writes_only.store(writes_only, Relaxed);
        let until_ms = if running { until_ms.max(self.until_ms.load(Relaxed)) } else { until_ms };
        self.until_ms.store(until_ms, Relaxed);
        self.changed.notify_waiters();
    }

    /// Lets everything go on.
    pub fn end(&self) {
        self.until_ms.store(0, Relaxed);
        self.changed.notify_waiters();
    }

    /// Whether anything is held back.
    #[inline]
    pub fn is_on(&self, now_ms: u64) -> bool {
        let until_ms = self.until_ms.load(Relaxed);
        until_ms != 0 && until_ms > now_ms
    }

    /// Whether a request has to wait.
    #[inline]
    pub fn holds(&self, writes: bool, now_ms: u64) -> bool {
        self.is_on(now_ms) && (writes || !self.writes_only.load(Relaxed))
    }

    /// Waits until a request is no longer held back. `now_ms` reads the clock.
    pub async fn wait(&self, writes: bool, now_ms: impl Fn() -> u64) {
        loop {
            let changed = self.changed.notified();
            let now = now_ms();
            if !self.holds(writes, now) {
                return;
            }
            let left = Duration::from_millis(self.until_ms.load(Relaxed).saturating_sub(now).max(1));
            // Whichever comes first, the state is read again.
            let _ = tokio::time::timeout(left, changed).await;
        }
    }
}
