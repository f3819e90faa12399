//! Opens after a number of failures with no success between them; one success closes it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{Breaker, State, Tuning};

/// `open_until_ms` of a closed breaker.
const CLOSED: u64 = 0;

/// See the module.
#[derive(Default)]
pub struct Consecutive {
    failures: AtomicU32,
    /// Until when calls are refused. A probe that is let through moves it on, so that the next one follows a
    /// whole period later even if nobody hears of the first again.
    open_until_ms: AtomicU64,
}

impl Breaker for Consecutive {
    #[inline]
    fn admits(&self, now_ms: u64, tuning: Tuning) -> bool {
        let until_ms = self.open_until_ms.load(Relaxed);
        if until_ms == CLOSED {
            return true;
        }
        let next_ms = now_ms + tuning.open_ms;
        now_ms >= until_ms
            && self
                .open_until_ms
                .compare_exchange(until_ms, next_ms, Relaxed, Relaxed)
                .is_ok()
    }

    fn succeeded(&self) {
        // Mostly there is nothing to change, and the line stays shared.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.open_until_ms.load(Relaxed) != CLOSED {
            self.open_until_ms.store(CLOSED, Relaxed);
        }
    }

    fn failed(&self, now_ms: u64, tuning: Tuning) {
        let failures = self.failures.load(Relaxed).saturating_add(1);
        self.failures.store(failures, Relaxed);
        if failures >= tuning.failures_max {
            self.open_until_ms
                .store((now_ms + tuning.open_ms).max(CLOSED + 1), Relaxed);
        }
    }

    fn state(&self, now_ms: u64) -> State {
        match self.open_until_ms.load(Relaxed) {
            CLOSED => State::Closed,
            until_ms if now_ms < until_ms => State::Open,
            _ => State::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNING: Tuning = Tuning {
        failures_max: 3,
        open_ms: 100,
    };

    fn opened_at(now_ms: u64) -> Consecutive {
        let breaker = Consecutive::default();
        (0..3).for_each(|_| breaker.failed(now_ms, TUNING));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breaker = Consecutive::default();
        for _ in 0..5 {
            breaker.failed(1, TUNING);
            breaker.failed(1, TUNING);
            breaker.succeeded();
            assert!(breaker.admits(1, TUNING));
        }
        assert!(!opened_at(1).admits(100, TUNING));
    }

    #[test]
    fn one_probe_per_period_goes_through_until_one_succeeds() {
        let breaker = opened_at(0);
        assert_eq!(breaker.state(99), State::Open);
        assert_eq!(breaker.state(100), State::HalfOpen);
        assert!(breaker.admits(100, TUNING));
        assert!(!breaker.admits(100, TUNING) && !breaker.admits(199, TUNING));
        assert!(breaker.admits(200, TUNING));
        breaker.failed(250, TUNING);
        assert!(!breaker.admits(349, TUNING));
        assert!(breaker.admits(350, TUNING));
        breaker.succeeded();
        assert!(breaker.admits(351, TUNING) && breaker.admits(351, TUNING));
    }
}
