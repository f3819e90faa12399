//! Any entry, with equal odds.

use super::{Candidate, Policy, Tuning, lru};
use crate::values::random::Random;

/// `allkeys-random` and `volatile-random`. The rank notes the last hit, for OBJECT IDLETIME only.
pub struct Uniform {
    /// Whether only entries with a deadline may go.
    pub volatile_only: bool,
}

impl Policy for Uniform {
    fn name(&self) -> &'static str {
        if self.volatile_only {
            "volatile-random"
        } else {
            "allkeys-random"
        }
    }

    fn volatile_only(&self) -> bool {
        self.volatile_only
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        lru::stamp(now_ms)
    }

    fn on_hit(&self, _rank: u32, now_ms: u64, _tuning: Tuning, _random: &mut Random) -> u32 {
        lru::stamp(now_ms)
    }

    fn badness(&self, _: &Candidate, _now_ms: u64, _: Tuning, random: &mut Random) -> u64 {
        random.bits()
    }

    fn idle_ms(&self, rank: u32, now_ms: u64) -> Option<u64> {
        Some(lru::idle_ms(rank, now_ms))
    }

    fn rank_of_idle(&self, idle_ms: u64, now_ms: u64) -> Option<u32> {
        Some(lru::stamp(now_ms.saturating_sub(idle_ms)))
    }
}
