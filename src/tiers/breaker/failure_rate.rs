//! Opens when, of the calls that ended within the last ten seconds, too large a share failed; a probe that succeeds
//! closes it.
//!
//! Unlike failures in a row this finds an upstream that answers every other call. Answers to calls that were given up
//! count for nothing: a call that came too late has failed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::gate::Gate;
use super::{Breaker, State, Tuning};

/// Seconds that the window reaches back, the current one included.
const WINDOW_SECONDS: u32 = 10;

/// See the module.
#[derive(Default)]
pub struct FailureRate {
    ended: Window,
    failed: Window,
    gate: Gate,
}

impl Breaker for FailureRate {
    #[inline]
    fn admits(&self, now_ms: u64, tuning: Tuning) -> bool {
        self.gate.admits(now_ms, tuning.open_ms)
    }

    fn succeeded(&self, now_ms: u64) {
        if self.gate.is_probed() {
            return self.reset();
        }
        self.ended.count(now_ms);
    }

    fn heard(&self) {}

    fn failed(&self, now_ms: u64, tuning: Tuning) {
        self.ended.count(now_ms);
        self.failed.count(now_ms);
        let may_open = self.gate.is_probed() || self.gate.is_closed() && self.is_too_much(now_ms, tuning);
        if may_open {
            self.gate.open(now_ms);
        }
    }

    fn reset(&self) {
        self.ended.clear();
        self.failed.clear();
        self.gate.close();
    }

    fn state(&self, now_ms: u64, tuning: Tuning) -> State {
        self.gate.state(now_ms, tuning.open_ms)
    }
}

impl FailureRate {
    fn is_too_much(&self, now_ms: u64, tuning: Tuning) -> bool {
        let (ended, failed) = (self.ended.sum(now_ms), self.failed.sum(now_ms));
        ended >= u64::from(tuning.calls_min) && failed * 100 >= ended * u64::from(tuning.failures_percent)
    }
}

/// Counts events of the last [`WINDOW_SECONDS`]. Each second has a cell, which belongs to another second when
/// the window has gone round; a cell is the second in its upper half and the count in its lower. Time that
/// jumps begins the window anew.
#[derive(Default)]
struct Window {
    cells: [AtomicU64; WINDOW_SECONDS as usize],
}

impl Window {
    fn count(&self, now_ms: u64) {
        let second = second(now_ms);
        let cell = &self.cells[(second % WINDOW_SECONDS) as usize];
        let counted = |word: u64| {
            let (of_second, count) = unpack(word);
            let count = if of_second == second { count } else { 0 };
            pack(second, count.saturating_add(1))
        };
        cell.update(Relaxed, Relaxed, counted);
    }

    fn sum(&self, now_ms: u64) -> u64 {
        let now = second(now_ms);
        let cells = self.cells.iter().map(|cell| unpack(cell.load(Relaxed)));
        cells
            .filter(|(of_second, _)| now.wrapping_sub(*of_second) < WINDOW_SECONDS)
            .map(|(_, count)| u64::from(count))
            .sum()
    }

    fn clear(&self) {
        self.cells.iter().for_each(|cell| cell.store(0, Relaxed));
    }
}

/// The second of a time; comes round after 136 years.
fn second(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32
}

fn pack(second: u32, count: u32) -> u64 {
    u64::from(second) << 32 | u64::from(count)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNING: Tuning = Tuning {
        open_ms: 1000,
        failures_percent: 50,
        calls_min: 20,
        ..Tuning::DEFAULT
    };

    fn end(breaker: &FailureRate, now_ms: u64, succeeded: u32, failed: u32) {
        (0..succeeded).for_each(|_| breaker.succeeded(now_ms));
        (0..failed).for_each(|_| breaker.failed(now_ms, TUNING));
    }

    fn is_open(breaker: &FailureRate, now_ms: u64) -> bool {
        breaker.state(now_ms, TUNING) == State::Open
    }

    #[test]
    fn it_opens_at_the_share_and_not_below_it_nor_with_fewer_calls() {
        let breaker = FailureRate::default();
        end(&breaker, 0, 0, 19);
        assert!(!is_open(&breaker, 0), "too few calls");
        end(&breaker, 0, 0, 1);
        assert!(is_open(&breaker, 0));

        let breaker = FailureRate::default();
        end(&breaker, 0, 100, 99);
        assert!(!is_open(&breaker, 0), "less than half");
        end(&breaker, 0, 0, 1);
        assert!(is_open(&breaker, 0));
    }

    #[test]
    fn calls_fall_out_of_the_window_second_by_second() {
        let breaker = FailureRate::default();
        for second in 0..10 {
            end(&breaker, second * 1000, 10, 9);
        }
        assert!(!is_open(&breaker, 9999));
        assert_eq!((breaker.ended.sum(9999), breaker.failed.sum(9999)), (190, 90));
        assert_eq!((breaker.ended.sum(10_000), breaker.failed.sum(10_000)), (171, 81));
        assert_eq!(breaker.ended.sum(18_999), 19);
        assert_eq!(breaker.ended.sum(19_000), 0);
        end(&breaker, 19_000, 0, 19);
        assert!(!is_open(&breaker, 19_000), "what was before is forgotten");
        end(&breaker, 19_000, 0, 1);
        assert!(is_open(&breaker, 19_000));
    }

    #[test]
    fn successes_do_not_close_it_before_a_probe_went_out_and_one_does_after_that() {
        let breaker = FailureRate::default();
        end(&breaker, 0, 0, 20);
        end(&breaker, 10, 100, 0);
        breaker.heard();
        assert!(is_open(&breaker, 10), "calls that were under way");
        end(&breaker, 500, 0, 5);
        assert!(breaker.admits(1000, TUNING), "their failing prolongs nothing");
        assert!(!breaker.admits(1000, TUNING));
        breaker.succeeded(1001);
        assert_eq!(breaker.state(1001, TUNING), State::Closed);
        end(&breaker, 1002, 0, 19);
        assert!(!is_open(&breaker, 1002), "the window began anew");
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_another_period() {
        let breaker = FailureRate::default();
        end(&breaker, 0, 0, 20);
        // Long after: the window is empty, and the probe alone decides.
        assert!(breaker.admits(60_000, TUNING));
        breaker.failed(60_500, TUNING);
        assert!(is_open(&breaker, 61_499) && !breaker.admits(61_499, TUNING));
        assert!(breaker.admits(61_500, TUNING));
    }

    #[test]
    fn a_new_connection_closes_it() {
        let breaker = FailureRate::default();
        end(&breaker, 0, 0, 20);
        breaker.reset();
        assert_eq!(breaker.state(0, TUNING), State::Closed);
        end(&breaker, 0, 0, 19);
        assert!(!is_open(&breaker, 0));
    }

    #[test]
    fn time_that_jumps_begins_the_window_anew() {
        let breaker = FailureRate::default();
        end(&breaker, 100_000, 0, 19);
        for now_ms in [50_000, 3_000_000, 0, u64::MAX - 1, 10_000] {
            assert_eq!(breaker.ended.sum(now_ms), 0, "{now_ms}");
            end(&breaker, now_ms, 0, 19);
            assert!(!is_open(&breaker, now_ms), "{now_ms}");
        }
        end(&breaker, 10_000, 0, 1);
        assert!(is_open(&breaker, 10_999));
        assert!(
            breaker.admits(5_000, TUNING),
            "an open period does not last for ever"
        );
    }

    #[test]
    fn percentages_and_counts_at_their_ends_do_not_overflow() {
        let whole = Tuning {
            failures_percent: 100,
            calls_min: 0,
            ..TUNING
        };
        let breaker = FailureRate::default();
        breaker.succeeded(0);
        breaker.failed(0, whole);
        assert_eq!(breaker.state(0, whole), State::Closed);
        breaker.ended.cells[0].store(pack(0, u32::MAX), Relaxed);
        breaker.failed.cells[0].store(pack(0, u32::MAX), Relaxed);
        breaker.failed(0, whole);
        assert_eq!(breaker.ended.sum(0), u64::from(u32::MAX));
        assert_eq!(breaker.state(0, whole), State::Open);
    }

    #[test]
    fn threads_lose_no_count() {
        const EACH: u32 = 20_000;
        let breaker = FailureRate::default();
        let tuning = Tuning {
            calls_min: u32::MAX,
            ..TUNING
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..EACH).for_each(|_| breaker.succeeded(7)));
                scope.spawn(|| (0..EACH).for_each(|_| breaker.failed(7, tuning)));
            }
        });
        let counted = (breaker.ended.sum(7), breaker.failed.sum(7));
        assert_eq!(counted, (u64::from(EACH) * 4, u64::from(EACH) * 2));
    }
}
