//! Counters of requests, one set per worker.
//!
//! Each set is written by its worker alone, with plain loads and stores; whoever reports adds them up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::histogram::{Distribution, Histogram};
use crate::commands::index;
use crate::limits::ERROR_KINDS_MAX;

/// A number that one thread writes and others read.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number. Only its owner calls this.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed) + amount, Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// What one worker counts of one command.
#[derive(Default)]
pub struct CommandCounters {
    calls: Counter,
    nanoseconds: Counter,
    rejected: Counter,
    failed: Counter,
    latencies: OnceLock<Box<Histogram>>,
}

/// What all workers counted of one command.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CommandTotals {
    /// Times that it ran.
    pub calls: u64,
    /// Time that it ran, in microseconds.
    pub microseconds: u64,
    /// Times that it was refused before it ran.
    pub rejected: u64,
    /// Times that it ran and failed.
    pub failed: u64,
}

/// The counters of one worker.
pub struct WorkerCounters {
    commands: Box<[CommandCounters]>,
    /// Bytes read from clients.
    pub input_bytes: Counter,
    /// Bytes written to clients.
    pub output_bytes: Counter,
    /// Reads and writes of sockets.
    pub reads: Counter,
    /// See `reads`.
    pub writes: Counter,
}

impl WorkerCounters {
    fn new() -> Self {
        Self {
            commands: index::all().iter().map(|_| CommandCounters::default()).collect(),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            reads: Counter::default(),
            writes: Counter::default(),
        }
    }

    /// Counts a run of the command with this id.
    #[inline]
    pub fn ran(&self, command: usize, nanoseconds: u64, track_latency: bool) {
        let counters = &self.commands[command];
        counters.calls.add(1);
        counters.nanoseconds.add(nanoseconds);
        if track_latency {
            counters.latencies.get_or_init(Box::default).record(nanoseconds);
        }
    }

    /// Counts a run that failed, beside [`WorkerCounters::ran`].
    pub fn failed(&self, command: usize) {
        self.commands[command].failed.add(1);
    }

    /// Counts a request that was refused before it ran.
    pub fn rejected(&self, command: usize) {
        self.commands[command].rejected.add(1);
    }
}

/// The counters of all workers.
#[derive(Default)]
pub struct Counters {
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
    errors: Mutex<BTreeMap<String, u64>>,
    errors_total: AtomicU64,
    tracks_latency: AtomicBool,
}

/// Sums over all workers.
#[derive(Debug, Default, Clone, Copy)]
pub struct Traffic {
    /// Commands run.
    pub commands: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Reads of sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
}

impl Counters {
    /// Counters for one more worker.
    pub fn add_worker(&self) -> Arc<WorkerCounters> {
        let counters = Arc::new(WorkerCounters::new());
        self.workers.lock().push(Arc::clone(&counters));
        counters
    }

    /// How many workers count.
    pub fn workers(&self) -> usize {
        self.workers.lock().len()
    }

    /// Whether durations are kept per command (`latency-tracking`).
    #[inline]
    pub fn tracks_latency(&self) -> bool {
        self.tracks_latency.load(Relaxed)
    }

    /// Switches `latency-tracking`.
    pub fn set_latency_tracking(&self, on: bool) {
        self.tracks_latency.store(on, Relaxed);
    }

    /// Counts an error reply by its first word. A bounded number of words is told apart.
    pub fn error(&self, prefix: &str) {
        self.errors_total.fetch_add(1, Relaxed);
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(prefix) {
            *count += 1;
        } else if errors.len() < ERROR_KINDS_MAX {
            errors.insert(prefix.to_owned(), 1);
        }
    }

    /// Error replies by their first word.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// All error replies.
    pub fn errors_total(&self) -> u64 {
        self.errors_total.load(Relaxed)
    }

    /// What was counted of the command with this id.
    pub fn command(&self, id: usize) -> CommandTotals {
        let mut totals = CommandTotals::default();
        let mut nanoseconds = 0;
        for worker in self.workers.lock().iter() {
            let counters = &worker.commands[id];
            totals.calls += counters.calls.get();
            totals.rejected += counters.rejected.get();
            totals.failed += counters.failed.get();
            nanoseconds += counters.nanoseconds.get();
        }
        totals.microseconds = nanoseconds / 1000;
        totals
    }

    /// How long the command with this id ran, in nanoseconds.
    pub fn latencies(&self, id: usize) -> Distribution {
        let mut all = Distribution::default();
        for worker in self.workers.lock().iter() {
            if let Some(histogram) = worker.commands[id].latencies.get() {
                all.add(histogram);
            }
        }
        all
    }

    /// Sums over all workers and commands.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for worker in self.workers.lock().iter() {
            traffic.commands += worker
                .commands
                .iter()
                .map(|counters| counters.calls.get())
                .sum::<u64>();
            traffic.input_bytes += worker.input_bytes.get();
            traffic.output_bytes += worker.output_bytes.get();
            traffic.reads += worker.reads.get();
            traffic.writes += worker.writes.get();
        }
        traffic
    }

    /// Sets everything to zero. What workers count meanwhile may survive.
    pub fn reset(&self) {
        self.errors.lock().clear();
        self.errors_total.store(0, Relaxed);
        for worker in self.workers.lock().iter() {
            for counter in [
                &worker.input_bytes,
                &worker.output_bytes,
                &worker.reads,
                &worker.writes,
            ] {
                counter.reset();
            }
            for command in &worker.commands {
                for counter in [
                    &command.calls,
                    &command.nanoseconds,
                    &command.rejected,
                    &command.failed,
                ] {
                    counter.reset();
                }
                if let Some(histogram) = command.latencies.get() {
                    histogram.reset();
                }
            }
        }
    }
}
