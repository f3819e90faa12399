//! Removes entries whose deadline has passed and that nobody asks for again.
//!
//! A shard is visited when enough of it is dead to be worth reading through it, in slices of bounded length, so
//! that a request never waits long for its lock. The longer the dead lie, the fewer of them suffice.

use std::sync::atomic::Ordering::Relaxed;

use super::Store;
use super::shard::Shard;
use crate::limits::SWEEP_BUCKETS_PER_SLICE;

/// One dead entry in this many is worth a visit at once.
const PATIENCE: u64 = 16;
/// With each of these periods that the dead lie, one in another [`PATIENCE`] suffices.
const PATIENCE_PERIOD_MS: u64 = 4_000;

/// What a sweep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Dead entries removed.
    pub removed: usize,
    /// Entries with a deadline that are left.
    pub volatile: usize,
    /// Entries known to be dead that are left.
    pub due: usize,
}

impl Store {
    /// Visits each shard once: a slice of those that are worth it. `effort` is 1 to 10 (`active-expire-effort`).
    pub fn sweep(&self, now_ms: u64, effort: u64) -> Swept {
        let mut swept = Swept::default();
        if !self.settings.sweeps.load(Relaxed) {
            return swept;
        }
        for shard in &self.shards {
            let mut shard = shard.lock();
            while shard.is_worth_a_sweep(now_ms, effort) {
                swept.removed += shard.sweep_slice(now_ms);
                parking_lot::MutexGuard::bump(&mut shard);
            }
            if let Some(deadlines) = shard.deadlines() {
                swept.volatile += deadlines.total() as usize;
                swept.due += deadlines.due() as usize;
            }
        }
        swept
    }
}

impl Shard {
    fn is_worth_a_sweep(&mut self, now_ms: u64, effort: u64) -> bool {
        // A sweep that has begun to read through the shard reads it to its end.
        if self.sweep_at != (0, 0) {
            return true;
        }
        let waited_ms = now_ms.saturating_sub(self.swept_at_ms);
        let Some(deadlines) = self.deadlines() else { return false };
        deadlines.fold(now_ms);
        let urgency = PATIENCE * effort * (1 + waited_ms / PATIENCE_PERIOD_MS);
        deadlines.due() > 0 && u64::from(deadlines.due()) * urgency >= u64::from(deadlines.total())
    }

    /// Reads a bounded number of buckets on; returns how many dead entries it removed.
    fn sweep_slice(&mut self, now_ms: u64) -> usize {
        let (mut db, mut bucket) = self.sweep_at;
        let mut removed = 0;
        for _ in 0..SWEEP_BUCKETS_PER_SLICE {
            let buckets = self.keyspace(db).filter(|keyspace| keyspace.volatile > 0).map(|k| k.table.buckets());
            if bucket < buckets.unwrap_or(0) {
                removed += self.sweep_bucket(db, bucket, now_ms);
                bucket += 1;
            } else {
                (db, bucket) = (db + 1, 0);
            }
            if db == self.settings().databases {
                self.sweep_at = (0, 0);
                self.swept_at_ms = now_ms;
                return removed;
            }
        }
        self.sweep_at = (db, bucket);
        removed
    }

    fn sweep_bucket(&mut self, db: usize, bucket: usize, now_ms: u64) -> usize {
        let mut removed = 0;
        // Removal moves other entries into the bucket, and may make the table smaller.
        while let Some(position) = self.keyspace(db).and_then(|keyspace| {
            let table = &keyspace.table;
            let dead = |position: &_| table.get(*position).deadline_ms().is_some_and(|at| at <= now_ms);
            (bucket < table.buckets()).then(|| table.positions_in(bucket).find(dead)).flatten()
        }) {
            drop(self.remove(db, position));
            self.totals.expired += 1;
            removed += 1;
        }
        removed
    }
}
