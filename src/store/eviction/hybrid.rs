//! One policy that weighs recency, frequency, size and remaining life.
//!
//! An entry is worth the hits that it is likely to bring per byte that it occupies: its frequency over the time
//! since its last hit (the estimate of hyperbolic caching, Blankstein, Sen and Freedman 2017, with a decaying
//! count), over its size (as in GDSF, Cherkasova 1998). An entry that dies before it is likely to be hit again is
//! worth only the share of that wait which it still lives.
//!
//! The rank is the time of the last hit in units of 64 ms (24 bits, which last 12 days; an entry idle for longer
//! looks younger than it is) above an 8-bit logarithmic count of hits.

use super::{Candidate, Policy, Tuning, lfu};
use crate::values::random::Random;

const COUNT_BITS: u32 = 8;
const COUNT_MAX: u32 = 255;
const UNIT_SHIFT: u32 = 6;
const UNITS_MASK: u32 = (1 << 24) - 1;

/// An entry's count halves for each of these periods without a hit.
const HALF_LIFE_MS: u64 = 10 * 60_000;

/// `allkeys-hybrid` and `volatile-hybrid`.
pub struct Hybrid {
    /// Whether only entries with a deadline may go.
    pub volatile_only: bool,
}

fn pack(count: u32, now_ms: u64) -> u32 {
    ((now_ms >> UNIT_SHIFT) as u32 & UNITS_MASK) << COUNT_BITS | count
}

fn idle_ms(rank: u32, now_ms: u64) -> u64 {
    let units = ((now_ms >> UNIT_SHIFT) as u32).wrapping_sub(rank >> COUNT_BITS) & UNITS_MASK;
    u64::from(units) << UNIT_SHIFT
}

fn decayed(rank: u32, idle_ms: u64) -> u32 {
    let halvings = (idle_ms / HALF_LIFE_MS).min(31) as u32;
    (rank & COUNT_MAX) >> halvings
}

impl Policy for Hybrid {
    fn ranks_use(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        if self.volatile_only {
            "volatile-hybrid"
        } else {
            "allkeys-hybrid"
        }
    }

    fn volatile_only(&self) -> bool {
        self.volatile_only
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        pack(1, now_ms)
    }

    #[inline]
    fn on_hit(&self, rank: u32, now_ms: u64, tuning: Tuning, random: &mut Random) -> u32 {
        let idle = idle_ms(rank, now_ms);
        pack(lfu::incremented(decayed(rank, idle), tuning, random), now_ms)
    }

    fn badness(&self, candidate: &Candidate, now_ms: u64, _: Tuning, _: &mut Random) -> u64 {
        let idle = idle_ms(candidate.rank, now_ms);
        let count = u64::from(decayed(candidate.rank, idle)) + 1;
        let waits_ms = idle + (1 << UNIT_SHIFT);
        let cost = (waits_ms << 8) / count;
        let remaining_ms = candidate
            .deadline_ms
            .map_or(u64::MAX, |at| at.saturating_sub(now_ms));
        let dies_first = (waits_ms / remaining_ms.max(1)).min(1 << 10) + 1;
        cost.saturating_mul(dies_first)
            .saturating_mul(u64::from(candidate.bytes.ilog2()) + 1)
    }

    fn idle_ms(&self, rank: u32, now_ms: u64) -> Option<u64> {
        Some(idle_ms(rank, now_ms))
    }

    fn frequency(&self, rank: u32, now_ms: u64, _: Tuning) -> Option<u8> {
        Some(decayed(rank, idle_ms(rank, now_ms)) as u8)
    }

    fn rank_of_idle(&self, idle_ms: u64, now_ms: u64) -> Option<u32> {
        let most_ms = u64::from(UNITS_MASK) << UNIT_SHIFT;
        Some(pack(1, now_ms.saturating_sub(idle_ms.min(most_ms))))
    }

    fn rank_of_frequency(&self, frequency: u8, now_ms: u64) -> Option<u32> {
        Some(pack(frequency.into(), now_ms))
    }
}
