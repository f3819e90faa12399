//! Least recently used, by sampling. The rank is the time of the last hit.

use super::{Candidate, Policy, Tuning};
use crate::values::random::Random;

/// Time is kept in units of 16 ms: 32 bits of it last two years.
const UNIT_SHIFT: u32 = 4;

/// `allkeys-lru` and `volatile-lru`.
pub struct Lru {
    /// Whether only entries with a deadline may go.
    pub volatile_only: bool,
}

/// The rank for a hit at `now_ms`.
#[inline]
pub fn stamp(now_ms: u64) -> u32 {
    (now_ms >> UNIT_SHIFT) as u32
}

/// Milliseconds between the hit that `rank` notes and `now_ms`.
pub fn idle_ms(rank: u32, now_ms: u64) -> u64 {
    u64::from(stamp(now_ms).wrapping_sub(rank)) << UNIT_SHIFT
}

impl Policy for Lru {
    fn ranks_use(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        if self.volatile_only {
            "volatile-lru"
        } else {
            "allkeys-lru"
        }
    }

    fn volatile_only(&self) -> bool {
        self.volatile_only
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        stamp(now_ms)
    }

    #[inline]
    fn on_hit(&self, _rank: u32, now_ms: u64, _tuning: Tuning, _random: &mut Random) -> u32 {
        stamp(now_ms)
    }

    fn badness(&self, candidate: &Candidate, now_ms: u64, _: Tuning, _: &mut Random) -> u64 {
        idle_ms(candidate.rank, now_ms)
    }

    fn idle_ms(&self, rank: u32, now_ms: u64) -> Option<u64> {
        Some(idle_ms(rank, now_ms))
    }

    fn rank_of_idle(&self, idle_ms: u64, now_ms: u64) -> Option<u32> {
        Some(stamp(now_ms.saturating_sub(idle_ms)))
    }
}
