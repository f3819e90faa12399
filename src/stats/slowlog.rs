//! The slow log: requests that took longer than a threshold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// Arguments that an entry keeps, and bytes of each; what is left out is counted in their place.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;
/// The threshold of a log that is off.
const NEVER: u64 = u64::MAX;

/// A logged request.
#[derive(Debug, Clone)]
pub struct SlowRequest {
    /// Unique and growing.
    pub id: u64,
    /// When it ran, in Unix seconds.
    pub at_s: u64,
    /// How long it ran, in microseconds.
    pub microseconds: u64,
    /// Its words, shortened.
    pub arguments: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: Box<str>,
    /// The client's name.
    pub name: Box<[u8]>,
}

/// The last slow requests.
pub struct Slowlog {
    threshold_ns: AtomicU64,
    len_max: AtomicUsize,
    entries: Mutex<VecDeque<SlowRequest>>,
    next_id: AtomicU64,
}

impl Default for Slowlog {
    fn default() -> Self {
        Self {
            threshold_ns: AtomicU64::new(NEVER),
            len_max: AtomicUsize::new(0),
            entries: Mutex::default(),
            next_id: AtomicU64::new(0),
        }
    }
}

impl Slowlog {
    /// Sets the threshold (`None`: log nothing) and how many entries are kept.
    pub fn configure(&self, threshold: Option<Duration>, len_max: usize) {
        self.threshold_ns
            .store(threshold.map_or(NEVER, |time| time.as_nanos() as u64), Relaxed);
        self.len_max.store(len_max, Relaxed);
    }

    /// Whether a request that ran this long is logged.
    #[inline]
    pub fn is_slow(&self, nanoseconds: u64) -> bool {
        nanoseconds >= self.threshold_ns.load(Relaxed)
    }

    /// Logs the words of a request; the oldest entries make room.
    pub fn add<'w>(
        &self,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        nanoseconds: u64,
        at_s: u64,
        peer: &str,
        name: Box<[u8]>,
    ) {
        let entry = SlowRequest {
            id: self.next_id.fetch_add(1, Relaxed),
            at_s,
            microseconds: nanoseconds / 1000,
            arguments: shortened(words),
            peer: peer.into(),
            name,
        };
        let mut entries = self.entries.lock();
        entries.push_front(entry);
        entries.truncate(self.len_max.load(Relaxed));
    }

    /// The newest entries, newest first; all of them where `count` is `None`.
    pub fn newest(&self, count: Option<usize>) -> Vec<SlowRequest> {
        let entries = self.entries.lock();
        entries
            .iter()
            .take(count.unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; ids go on.
    pub fn reset(&self) {
        self.entries.lock().clear();
    }
}

fn shortened<'w>(words: impl ExactSizeIterator<Item = &'w [u8]>) -> Vec<Vec<u8>> {
    let len = words.len();
    let kept = if len > ARGUMENTS_MAX {
        ARGUMENTS_MAX - 1
    } else {
        len
    };
    let mut arguments: Vec<Vec<u8>> = words.take(kept).map(shortened_argument).collect();
    if len > kept {
        arguments.push(format!("... ({} more arguments)", len - kept).into_bytes());
    }
    arguments
}

fn shortened_argument(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= ARGUMENT_BYTES_MAX {
        return argument.to_vec();
    }
    let mut short = argument[..ARGUMENT_BYTES_MAX].to_vec();
    short.extend(format!("... ({} more bytes)", argument.len() - ARGUMENT_BYTES_MAX).bytes());
    short
}
