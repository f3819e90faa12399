//! The memory budget that all shards share.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Shards report a change of their bytes once it exceeds this share of the budget, so that the shared counter
/// is not written by each request: with 1,024 shards the sum is then off by at most 1.6 % of the budget.
const REPORT_SHARE: u64 = 1024 * 64;
const REPORT_BYTES_MAX: u64 = 4096;

/// Bytes in use against `maxmemory`; all numbers are bytes.
#[derive(Default)]
pub struct Budget {
    used: AtomicI64,
    limit: AtomicU64,
    slack: AtomicU64,
}

impl Budget {
    /// A budget of `limit_bytes`; 0 means no limit.
    pub fn new(limit_bytes: u64) -> Self {
        let budget = Self::default();
        budget.set_limit(limit_bytes);
        budget
    }

    /// Changes the limit; 0 means none.
    pub fn set_limit(&self, limit_bytes: u64) {
        let slack = if limit_bytes == 0 {
            REPORT_BYTES_MAX
        } else {
            limit_bytes / REPORT_SHARE
        };
        self.slack.store(slack.min(REPORT_BYTES_MAX), Relaxed);
        self.limit.store(limit_bytes, Relaxed);
    }

    /// `maxmemory`.
    pub fn limit_bytes(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// What the shards have reported.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Relaxed).max(0) as u64
    }

    /// Whether more is used than allowed.
    #[inline]
    pub fn is_over(&self) -> bool {
        let limit = self.limit_bytes();
        limit != 0 && self.used_bytes() > limit
    }

    /// Adds to `unreported` and passes it on once it is worth it.
    #[inline]
    pub fn report(&self, unreported: &mut i64, delta: i64) {
        *unreported += delta;
        if unreported.unsigned_abs() > self.slack.load(Relaxed) {
            self.used.fetch_add(std::mem::take(unreported), Relaxed);
        }
    }
}
