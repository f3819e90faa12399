//! CLIENT PAUSE: holds back the requests of all clients for a while.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;

/// What is held back, and until when.
#[derive(Default)]
pub struct Pause {
    /// Twice the end in Unix milliseconds, plus one if only writes are held back; 0 when nothing is.
    state: AtomicU64,
    changed: Notify,
}

/// The latest end that fits in `Pause::state`.
const END_MAX_MS: u64 = u64::MAX >> 1;

impl Pause {
    /// Holds back all requests, or those that write, until `until_ms`. A pause that is in force already is only
    /// made longer or wider.
    pub fn begin(&self, until_ms: u64, writes_only: bool, now_ms: u64) {
        let longer_or_wider = |state| {
            let running = now_ms < state >> 1;
            let until_ms = until_ms.min(END_MAX_MS).max(if running { state >> 1 } else { 0 });
            let writes_only = writes_only && (!running || state & 1 == 1);
            Some(until_ms << 1 | u64::from(writes_only))
        };
        // The closure never declines.
        let _ = self.state.fetch_update(Relaxed, Relaxed, longer_or_wider);
        self.changed.notify_waiters();
    }

    /// Lets everything go on.
    pub fn end(&self) {
        self.state.store(0, Relaxed);
        self.changed.notify_waiters();
    }

    /// Whether anything is held back.
    #[inline]
    pub fn is_on(&self, now_ms: u64) -> bool {
        now_ms < self.state.load(Relaxed) >> 1
    }

    /// Whether a request has to wait.
    #[inline]
    pub fn holds(&self, writes: bool, now_ms: u64) -> bool {
        let state = self.state.load(Relaxed);
        now_ms < state >> 1 && (writes || state & 1 == 0)
    }

    /// Waits until a request is no longer held back. `now_ms` reads the clock.
    pub async fn wait(&self, writes: bool, now_ms: impl Fn() -> u64) {
        loop {
            let changed = self.changed.notified();
            let now = now_ms();
            if !self.holds(writes, now) {
                return;
            }
            let left = Duration::from_millis((self.state.load(Relaxed) >> 1).saturating_sub(now).max(1));
            // Whichever comes first, the state is read again.
            let _ = tokio::time::timeout(left, changed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_runs_only_grows() {
        let pause = Pause::default();
        pause.begin(200, true, 100);
        assert!(pause.holds(true, 199) && !pause.holds(false, 199) && !pause.is_on(200));
        pause.begin(150, false, 110);
        assert!(pause.holds(false, 199));
        pause.begin(300, true, 120);
        assert!(pause.holds(false, 299));
    }

    #[test]
    fn a_pause_that_is_over_counts_no_more() {
        let pause = Pause::default();
        pause.begin(200, false, 100);
        pause.begin(400, true, 300);
        assert!(pause.holds(true, 399) && !pause.holds(false, 399));
        pause.end();
        assert!(!pause.is_on(399));
    }

    #[test]
    fn a_pause_may_be_endless() {
        let pause = Pause::default();
        pause.begin(u64::MAX, false, 100);
        assert!(pause.is_on(1 << 60));
    }
}
