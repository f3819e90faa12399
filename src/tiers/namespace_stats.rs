//! What is counted of one namespace. Hits in L1 are not: a request that hits shall not have to find out where its key
//! belongs.

use super::status::Tally;
use crate::tier_control::{Figure, Page};

/// What was counted of one namespace.
#[derive(Debug, Default)]
pub struct NamespaceStats {
    /// Reads of keys that were not in L1.
    pub misses: Tally,
    /// Values that were stored.
    pub fills: Tally,
    /// Keys that upstream was found not to have.
    pub missing: Tally,
    /// Values that were not kept: too large, or not admitted, or there was no room.
    pub not_kept: Tally,
    /// Values that were not stored because the key was written meanwhile.
    pub tainted: Tally,
    /// Fetches that failed.
    pub errors: Tally,
    /// Requests of clients that were passed on.
    pub forwarded: Tally,
    /// Copies fetched anew before they had to be.
    pub refreshes: Tally,
    /// Reads of absent keys that the promotion policy was asked about.
    pub considered: Tally,
    /// Those of them that it did not let in.
    pub unadmitted: Tally,
}

impl NamespaceStats {
    fn tallies(&self) -> [(&'static str, &Tally); 10] {
        [
            ("misses", &self.misses),
            ("fills", &self.fills),
            ("missing", &self.missing),
            ("not-kept", &self.not_kept),
            ("tainted", &self.tainted),
            ("errors", &self.errors),
            ("forwarded", &self.forwarded),
            ("refreshes", &self.refreshes),
            ("considered", &self.considered),
            ("unadmitted", &self.unadmitted),
        ]
    }

    /// All of it, as TIER STATS shows it.
    pub fn page(&self) -> Page {
        let tallies = self.tallies().into_iter();
        tallies
            .map(|(name, tally)| (name.into(), Figure::Number(tally.get())))
            .collect()
    }

    /// What became of reads of absent keys by this policy, as TIER PROMOTION shows it.
    pub fn promotion_page(&self, policy: &'static str) -> Page {
        let (seen, refused) = (self.considered.get(), self.unadmitted.get());
        vec![
            ("policy".into(), Figure::text(policy)),
            ("seen".into(), Figure::Number(seen)),
            ("admitted".into(), Figure::Number(seen.saturating_sub(refused))),
            ("refused".into(), Figure::Number(refused)),
        ]
    }

    /// Sets all counters to zero.
    pub fn reset(&self) {
        self.tallies().into_iter().for_each(|(_, tally)| tally.reset());
    }
}
