//! Room that was allocated on the disk and is not spoken for.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};

use tokio::sync::Notify;

use crate::limits::JOURNAL_UNPROVEN_BYTES_MAX;

/// Why nothing can be promised now. All of these end without help from outside but `Limit`, which needs records to
/// be released, and those of the disk, which needs room or mending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The segments take all the bytes that they may.
    Limit,
    /// The file system gives no room.
    Disk,
    /// Syncs, or the allocation of the next segment, don't keep up.
    Behind,
    /// What was appended can't be written.
    Broken,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "the journal has reached journal-max-bytes",
            Self::Disk => "there is no room on the disk of the journal",
            Self::Behind => "the disk of the journal does not keep up",
            Self::Broken => "the journal can't be written",
        })
    }
}

/// Why the next segment is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Shortage {
    /// It is, or will be in a moment.
    None,
    /// All segments together would be too large.
    Limit,
    /// The file system refused.
    Disk,
}

/// Counts room. Everything here is a few atomic operations.
#[derive(Default)]
pub struct Room {
    /// Bytes that were allocated and are not reserved. Below zero when what was promised can't be held: a segment was
    /// closed early, or a record is longer than its reservation.
    free: AtomicI64,
    /// Bytes that were appended, ever.
    appended: AtomicU64,
    /// Those of them that need not be kept in memory any more.
    settled: AtomicU64,
    broken: AtomicBool,
    shortage: AtomicUsize,
    /// Something was refused, and since then there is no more room.
    has_refused: AtomicBool,
    waiting: AtomicUsize,
    changed: Notify,
}

impl Room {
    /// No room yet; `appended` bytes were appended and are settled.
    pub fn new(appended: u64) -> Self {
        let (appended, settled) = (AtomicU64::new(appended), AtomicU64::new(appended));
        Self {
            appended,
            settled,
            ..Self::default()
        }
    }

    /// Takes `bytes`, or says why it can't.
    pub fn take(&self, bytes: u64) -> Result<(), Full> {
        if self.broken.load(Ordering::Acquire) {
            return Err(Full::Broken);
        }
        if self.unsettled_bytes() > JOURNAL_UNPROVEN_BYTES_MAX {
            return Err(Full::Behind);
        }
        let free = self.free.fetch_sub(bytes as i64, Ordering::AcqRel);
        if free >= bytes as i64 {
            return Ok(());
        }
        self.free.fetch_add(bytes as i64, Ordering::AcqRel);
        self.has_refused.store(true, Ordering::Release);
        Err(self.reason())
    }

    fn reason(&self) -> Full {
        match self.shortage.load(Ordering::Acquire) {
            it if it == Shortage::Limit as usize => Full::Limit,
            it if it == Shortage::Disk as usize => Full::Disk,
            _ => Full::Behind,
        }
    }

    /// Runs `attempt` until it succeeds, each time that there may be more room.
    pub async fn when_changed<T>(&self, mut attempt: impl FnMut() -> Result<T, Full>) -> T {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            // Who makes room after this fence sees that somebody waits; what was made before, the attempt sees.
            fence(Ordering::SeqCst);
            if let Ok(done) = attempt() {
                return done;
            }
            changed.await;
        }
    }

    /// Adds the room of a new segment.
    pub fn add_segment(&self, bytes: u64) {
        self.has_refused.store(false, Ordering::Release);
        self.add(bytes as i64);
    }

    /// Adds or, below zero, takes away.
    pub fn add(&self, bytes: i64) {
        self.free.fetch_add(bytes, Ordering::AcqRel);
        if bytes > 0 {
            self.notify();
        }
    }

    /// Counts what was appended. The caller holds the lock that orders appends.
    pub fn count_appended(&self, bytes: u64) {
        let appended = self.appended.load(Ordering::Relaxed) + bytes;
        self.appended.store(appended, Ordering::Release);
    }

    /// Bytes that were appended, ever.
    pub fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// Of everything appended ever, so much need not be kept in memory.
    pub fn settle(&self, appended: u64) {
        self.settled.fetch_max(appended, Ordering::AcqRel);
        self.notify();
    }

    /// Bytes that are kept in memory, to be written, or to be written again.
    pub fn unsettled_bytes(&self) -> u64 {
        let settled = self.settled.load(Ordering::Acquire);
        self.appended_bytes().saturating_sub(settled)
    }

    /// Bytes that could be reserved.
    pub fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Acquire).max(0) as u64
    }

    /// Below zero if more was promised than there is.
    #[cfg(test)]
    pub fn free(&self) -> i64 {
        self.free.load(Ordering::Acquire)
    }

    /// Nothing is promised from now on, or again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Release);
        self.notify();
    }

    /// Whether what was appended can't be written.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Says why there is no next segment.
    pub fn set_shortage(&self, shortage: Shortage) {
        self.shortage.store(shortage as usize, Ordering::Release);
    }

    /// Why what was asked for was refused, if so.
    pub fn full(&self) -> Option<Full> {
        if self.is_broken() {
            return Some(Full::Broken);
        }
        self.has_refused.load(Ordering::Acquire).then(|| self.reason())
    }

    fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_waiters();
        }
    }
}

/// Counts one that waits for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
