//! What the tiers tell of upstream to those who report: figures only, so that nobody else has to know how it is
//! asked.

use crate::store::Totals;

/// The state of upstream, and what was counted since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamStats {
    /// The connection: `up`, `connecting` or `down`.
    pub link: &'static str,
    /// The breaker: `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Milliseconds since the last moment of which it is known that all earlier writes of others are seen here.
    pub feed_lag_ms: u64,
    /// Requests and fetches that wait for upstream.
    pub pending: u64,
    /// Fetches that found a value.
    pub hits: u64,
    /// Fetches that found that there is no such key.
    pub misses: u64,
    /// Fetches that failed.
    pub errors: u64,
    /// Fetched values that were kept in L1.
    pub fills: u64,
    /// Keys that reads waited for and then found in L1.
    pub filled_reads: u64,
    /// Keys that reads waited for and that are not kept in L1.
    pub unkept_reads: u64,
    /// Requests of clients that were passed on.
    pub forwarded: u64,
    /// Calls that had no answer in time.
    pub timeouts: u64,
    /// Calls that were refused without asking: no connection, breaker open, too much pending.
    pub refused: u64,
    /// Calls made again after their connection was lost.
    pub retries: u64,
    /// Keys that others wrote, as the feed told.
    pub invalidations: u64,
    /// Connections made, the first included.
    pub connects: u64,
}

impl UpstreamStats {
    /// Keys that reads found in L1 at once, and those that they did not: the store counts a read that had to wait
    /// for its key when it runs again, which finds the key.
    pub fn l1_hits_and_misses(&self, store: &Totals) -> (u64, u64) {
        let hits = store.hits.saturating_sub(self.filled_reads);
        (hits, store.misses + self.filled_reads + self.unkept_reads)
    }

    /// Whether a miss can be filled now.
    pub fn is_well(&self) -> bool {
        self.link == "up" && self.breaker != "open"
    }
}
