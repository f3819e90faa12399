//! Spikes of latency by event, for the LATENCY command.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// Spikes that are kept of one event.
const SPIKES_MAX: usize = 160;
/// The threshold of a monitor that is off.
const NEVER: u64 = u64::MAX;

/// The spikes of one event.
#[derive(Debug, Clone, Default)]
pub struct Spikes {
    /// When, in Unix seconds, and how long, in milliseconds; oldest first.
    pub history: VecDeque<(u64, u64)>,
    /// The longest since the last reset, in milliseconds.
    pub max_ms: u64,
}

/// Spikes above a threshold.
pub struct LatencyMonitor {
    threshold_ns: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Spikes>>,
}

impl Default for LatencyMonitor {
    fn default() -> Self {
        Self {
            threshold_ns: AtomicU64::new(NEVER),
            events: Mutex::default(),
        }
    }
}

impl LatencyMonitor {
    /// Sets the threshold (`None`: keep nothing).
    pub fn configure(&self, threshold: Option<Duration>) {
        self.threshold_ns
            .store(threshold.map_or(NEVER, |time| time.as_nanos() as u64), Relaxed);
    }

    /// The threshold in milliseconds; `None` when the monitor is off.
    pub fn threshold_ms(&self) -> Option<u64> {
        Some(self.threshold_ns.load(Relaxed))
            .filter(|&ns| ns != NEVER)
            .map(|ns| ns / 1_000_000)
    }

    /// Whether an event of this length is kept.
    #[inline]
    pub fn is_spike(&self, nanoseconds: u64) -> bool {
        nanoseconds >= self.threshold_ns.load(Relaxed)
    }

    /// Notes an event if it is a spike. Spikes of one second are one, the longest.
    pub fn note(&self, event: &'static str, nanoseconds: u64, at_s: u64) {
        if !self.is_spike(nanoseconds) {
            return;
        }
        let ms = nanoseconds / 1_000_000;
        let mut events = self.events.lock();
        let spikes = events.entry(event).or_default();
        spikes.max_ms = spikes.max_ms.max(ms);
        match spikes.history.back_mut() {
            Some((last_s, last_ms)) if *last_s == at_s => *last_ms = ms.max(*last_ms),
            _ => spikes.history.push_back((at_s, ms)),
        }
        if spikes.history.len() > SPIKES_MAX {
            spikes.history.pop_front();
        }
    }

    /// All events that had a spike.
    pub fn events(&self) -> BTreeMap<&'static str, Spikes> {
        self.events.lock().clone()
    }

    /// Forgets the events named, or all if none is; returns how many were forgotten.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|event, _| {
            !names.is_empty()
                && !names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
        });
        before - events.len()
    }
}
