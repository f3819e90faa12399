//! The entry that would die soonest anyway.

use super::{Candidate, Policy, Tuning, lru};
use crate::values::random::Random;

/// `volatile-ttl`. The rank notes the last hit, for OBJECT IDLETIME only.
pub struct Ttl;

impl Policy for Ttl {
    fn name(&self) -> &'static str {
        "volatile-ttl"
    }

    fn volatile_only(&self) -> bool {
        true
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        lru::stamp(now_ms)
    }

    fn on_hit(&self, _rank: u32, now_ms: u64, _tuning: Tuning, _random: &mut Random) -> u32 {
        lru::stamp(now_ms)
    }

    fn badness(&self, candidate: &Candidate, _now_ms: u64, _: Tuning, _: &mut Random) -> u64 {
        u64::MAX - candidate.deadline_ms.unwrap_or(u64::MAX)
    }

    fn idle_ms(&self, rank: u32, now_ms: u64) -> Option<u64> {
        Some(lru::idle_ms(rank, now_ms))
    }

    fn rank_of_idle(&self, idle_ms: u64, now_ms: u64) -> Option<u32> {
        Some(lru::stamp(now_ms.saturating_sub(idle_ms)))
    }
}
