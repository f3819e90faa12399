//! Opens after a number of failures with no answer between them; one answer closes it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::gate::Gate;
use super::{Breaker, State, Tuning};

/// See the module.
#[derive(Default)]
pub struct Consecutive {
    failures: AtomicU32,
    gate: Gate,
}

impl Breaker for Consecutive {
    #[inline]
    fn admits(&self, now_ms: u64, tuning: Tuning) -> bool {
        self.gate.admits(now_ms, tuning.open_ms)
    }

    fn succeeded(&self, _now_ms: u64) {
        self.reset();
    }

    fn heard(&self) {
        self.reset();
    }

    fn failed(&self, now_ms: u64, tuning: Tuning) {
        let failures = self.failures.load(Relaxed).saturating_add(1);
        self.failures.store(failures, Relaxed);
        if failures >= tuning.failures_max {
            self.gate.open(now_ms);
        }
    }

    fn reset(&self) {
        // Mostly there is nothing to change, and the line stays shared.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        self.gate.close();
    }

    fn state(&self, now_ms: u64, tuning: Tuning) -> State {
        self.gate.state(now_ms, tuning.open_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNING: Tuning = Tuning {
        failures_max: 3,
        open_ms: 100,
        ..Tuning::DEFAULT
    };

    fn opened_at(now_ms: u64) -> Consecutive {
        let breaker = Consecutive::default();
        (0..3).for_each(|_| breaker.failed(now_ms, TUNING));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let breaker = Consecutive::default();
        for round in 0..6 {
            breaker.failed(1, TUNING);
            breaker.failed(1, TUNING);
            match round % 3 {
                0 => breaker.succeeded(1),
                1 => breaker.heard(),
                _ => breaker.reset(),
            }
            assert!(breaker.admits(1, TUNING));
        }
        assert!(!opened_at(1).admits(100, TUNING));
    }

    #[test]
    fn one_probe_per_period_goes_through_until_one_succeeds() {
        let breaker = opened_at(0);
        assert_eq!(breaker.state(99, TUNING), State::Open);
        assert_eq!(breaker.state(100, TUNING), State::HalfOpen);
        assert!(breaker.admits(100, TUNING));
        assert!(!breaker.admits(100, TUNING) && !breaker.admits(199, TUNING));
        assert!(breaker.admits(200, TUNING));
        breaker.failed(250, TUNING);
        assert!(!breaker.admits(349, TUNING));
        assert!(breaker.admits(350, TUNING));
        breaker.succeeded(350);
        assert!(breaker.admits(351, TUNING) && breaker.admits(351, TUNING));
    }
}
