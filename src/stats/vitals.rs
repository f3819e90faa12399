//! What is sampled over time: rates, the peak of memory, how much of the store is dead.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::counters::Traffic;

/// How often [`Vitals::observe`] is to be called, and over how many periods rates are averaged: as in Redis.
pub const SAMPLE_PERIOD: Duration = Duration::from_millis(100);
const PERIODS: usize = 16;

/// Figures per second, averaged over the last 1.6 seconds.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Commands run.
    pub commands: f64,
    /// Bytes read from clients.
    pub input_bytes: f64,
    /// Bytes written to clients.
    pub output_bytes: f64,
}

/// Samples of a running server.
#[derive(Default)]
pub struct Vitals {
    startup_bytes: u64,
    samples: Mutex<VecDeque<Sample>>,
    peak_bytes: AtomicU64,
    dead: AtomicU64,
    volatile: AtomicU64,
}

#[derive(Clone, Copy)]
struct Sample {
    at_ns: u64,
    traffic: Traffic,
}

impl Vitals {
    /// No samples yet, of a server that has taken `startup_bytes` of the heap before it served anybody.
    pub fn new(startup_bytes: u64) -> Self {
        Self {
            startup_bytes,
            ..Self::default()
        }
    }

    /// Bytes on the heap before the server served anybody.
    pub fn startup_bytes(&self) -> u64 {
        self.startup_bytes
    }

    /// Takes a sample: the counters and the bytes in use at `now_ns`, by the monotonic clock.
    pub fn observe(&self, traffic: Traffic, used_bytes: u64, now_ns: u64) {
        self.note_used(used_bytes);
        let mut samples = self.samples.lock();
        if samples.len() > PERIODS {
            samples.pop_front();
        }
        samples.push_back(Sample {
            at_ns: now_ns,
            traffic,
        });
    }

    /// The mean rates over the samples that are kept.
    pub fn rates(&self) -> Rates {
        let samples = self.samples.lock();
        let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
            return Rates::default();
        };
        let seconds = last.at_ns.saturating_sub(first.at_ns) as f64 / 1e9;
        let per_second = |count: fn(&Traffic) -> u64| {
            let counted = count(&last.traffic).saturating_sub(count(&first.traffic));
            if seconds > 0.0 {
                counted as f64 / seconds
            } else {
                0.0
            }
        };
        Rates {
            commands: per_second(|traffic| traffic.commands),
            input_bytes: per_second(|traffic| traffic.input_bytes),
            output_bytes: per_second(|traffic| traffic.output_bytes),
        }
    }

    /// Notes how many bytes are in use; returns the most that ever were.
    pub fn note_used(&self, used_bytes: u64) -> u64 {
        self.peak_bytes.fetch_max(used_bytes, Relaxed).max(used_bytes)
    }

    /// Notes what a sweep left: entries with a deadline, and how many of them are dead.
    pub fn note_sweep(&self, dead: usize, volatile: usize) {
        self.dead.store(dead as u64, Relaxed);
        self.volatile.store(volatile as u64, Relaxed);
    }

    /// Per cent of the entries with a deadline that the last sweep knew to be dead and left in place.
    pub fn stale_percent(&self) -> f64 {
        let volatile = self.volatile.load(Relaxed);
        if volatile == 0 {
            0.0
        } else {
            self.dead.load(Relaxed) as f64 * 100.0 / volatile as f64
        }
    }

    /// Forgets the samples, as the counters that they compare are set to zero. The peak stays.
    pub fn reset(&self) {
        self.samples.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_means_over_the_last_samples() {
        let vitals = Vitals::default();
        assert_eq!(vitals.rates(), Rates::default());
        for tick in 0..100 {
            let traffic = Traffic {
                commands: tick * 50,
                input_bytes: tick * tick,
                ..Traffic::default()
            };
            vitals.observe(traffic, 100 - tick, tick * 100_000_000);
        }
        let rates = vitals.rates();
        assert!((rates.commands - 500.0).abs() < 1e-6, "{rates:?}");
        assert!(
            (rates.input_bytes - (99.0 * 99.0 - 83.0 * 83.0) / 1.6).abs() < 1e-6,
            "{rates:?}"
        );
        assert_eq!(vitals.note_used(7), 100);
        vitals.reset();
        assert_eq!(vitals.rates(), Rates::default());
    }
}
