//! What policies have in common: closed, open for a period, then one probe per period until it is closed again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::State;

/// The word of a closed gate; an open one's is the start of its period, plus one.
const CLOSED: u64 = 0;

/// The bit of an open gate that has let a probe through.
const PROBED: u64 = 1 << 63;

/// Whether calls may go out. Times are monotonic milliseconds; should they jump back, an open gate lets the next
/// call probe.
#[derive(Debug, Default)]
pub struct Gate {
    word: AtomicU64,
}

impl Gate {
    /// Whether a call may go out now. A call that probes begins the next period, so that another one probes after
    /// it even if nobody hears of the first again.
    #[inline]
    pub fn admits(&self, now_ms: u64, open_ms: u64) -> bool {
        let word = self.word.load(Relaxed);
        if word == CLOSED {
            return true;
        }
        let probed = begun_at(now_ms) | PROBED;
        is_over(word, now_ms, open_ms) && self.word.compare_exchange(word, probed, Relaxed, Relaxed).is_ok()
    }

    /// Refuses for a period that begins now.
    pub fn open(&self, now_ms: u64) {
        self.word.store(begun_at(now_ms), Relaxed);
    }

    /// Refuses nothing from now on.
    pub fn close(&self) {
        // Mostly there is nothing to change, and the line stays shared.
        if !self.is_closed() {
            self.word.store(CLOSED, Relaxed);
        }
    }

    /// Whether it refuses nothing.
    pub fn is_closed(&self) -> bool {
        self.word.load(Relaxed) == CLOSED
    }

    /// Whether a probe went out since it was opened.
    pub fn is_probed(&self) -> bool {
        self.word.load(Relaxed) & PROBED != 0
    }

    /// What [`Gate::admits`] would say.
    pub fn state(&self, now_ms: u64, open_ms: u64) -> State {
        match self.word.load(Relaxed) {
            CLOSED => State::Closed,
            word if is_over(word, now_ms, open_ms) => State::HalfOpen,
            _ => State::Open,
        }
    }
}

fn begun_at(now_ms: u64) -> u64 {
    (now_ms + 1) & !PROBED
}

fn is_over(word: u64, now_ms: u64, open_ms: u64) -> bool {
    let since_ms = (word & !PROBED) - 1;
    now_ms.wrapping_sub(since_ms) >= open_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_per_period_goes_through_until_it_is_closed() {
        let gate = Gate::default();
        assert!(gate.admits(0, 100) && gate.is_closed());
        gate.open(0);
        assert_eq!(gate.state(99, 100), State::Open);
        assert!(!gate.admits(99, 100) && !gate.is_probed());
        assert_eq!(gate.state(100, 100), State::HalfOpen);
        assert!(gate.admits(100, 100) && gate.is_probed());
        assert!(!gate.admits(100, 100) && !gate.admits(199, 100));
        assert!(gate.admits(200, 100));
        gate.open(250);
        assert!(!gate.is_probed() && !gate.admits(349, 100));
        gate.close();
        assert!(gate.admits(350, 100) && gate.admits(350, 100));
    }

    #[test]
    fn a_shorter_period_counts_at_once_and_time_that_jumps_back_ends_one() {
        let gate = Gate::default();
        gate.open(1000);
        assert!(!gate.admits(1050, 100));
        assert!(gate.admits(1050, 50));
        gate.open(1000);
        assert!(gate.admits(10, 100));
        assert!(!gate.admits(10, 100) && !gate.admits(109, 100));
    }

    #[test]
    fn of_threads_that_ask_at_once_one_probes() {
        let gate = Gate::default();
        for period in 1..200 {
            gate.open(0);
            let ask = || u32::from(gate.admits(period, 1));
            let probes: u32 = std::thread::scope(|scope| {
                let threads = [scope.spawn(ask), scope.spawn(ask), scope.spawn(ask)];
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(probes, 1);
        }
    }
}
