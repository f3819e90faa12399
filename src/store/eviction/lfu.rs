//! Least frequently used, by sampling. The rank is a logarithmic counter of hits (Morris 1978) in the low 8
//! bits, with the minute of its last decay above it, as in Redis's `evict.c`.

use super::{Candidate, Policy, Tuning};
use crate::values::random::Random;

const COUNTER_BITS: u32 = 8;
const COUNTER_MAX: u32 = 255;
/// New entries start here, so that they are not the first to go before they had a chance of a hit.
const COUNTER_START: u32 = 5;
const MINUTE_MS: u64 = 60_000;
const MINUTES_MASK: u32 = (1 << 24) - 1;

/// `allkeys-lfu` and `volatile-lfu`.
pub struct Lfu {
    /// Whether only entries with a deadline may go.
    pub volatile_only: bool,
}

fn minutes(now_ms: u64) -> u32 {
    (now_ms / MINUTE_MS) as u32 & MINUTES_MASK
}

fn pack(counter: u32, now_ms: u64) -> u32 {
    minutes(now_ms) << COUNTER_BITS | counter
}

/// The counter in `rank` after the decay that is due.
pub fn decayed(rank: u32, now_ms: u64, tuning: Tuning) -> u32 {
    let counter = rank & COUNTER_MAX;
    let passed = minutes(now_ms).wrapping_sub(rank >> COUNTER_BITS) & MINUTES_MASK;
    match passed.checked_div(tuning.lfu_decay_minutes) {
        Some(periods) => counter.saturating_sub(periods),
        None => counter,
    }
}

/// Counts a hit: the greater the counter, the less likely it grows.
pub fn incremented(counter: u32, tuning: Tuning, random: &mut Random) -> u32 {
    if counter >= COUNTER_MAX {
        return COUNTER_MAX;
    }
    let above_start = counter.saturating_sub(COUNTER_START) as usize;
    let odds = above_start * tuning.lfu_log_factor as usize + 1;
    counter + u32::from(random.below(odds) == 0)
}

impl Policy for Lfu {
    fn ranks_use(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        if self.volatile_only {
            "volatile-lfu"
        } else {
            "allkeys-lfu"
        }
    }

    fn volatile_only(&self) -> bool {
        self.volatile_only
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        pack(COUNTER_START, now_ms)
    }

    fn on_hit(&self, rank: u32, now_ms: u64, tuning: Tuning, random: &mut Random) -> u32 {
        pack(incremented(decayed(rank, now_ms, tuning), tuning, random), now_ms)
    }

    fn badness(&self, candidate: &Candidate, now_ms: u64, tuning: Tuning, _: &mut Random) -> u64 {
        u64::from(COUNTER_MAX - decayed(candidate.rank, now_ms, tuning))
    }

    fn frequency(&self, rank: u32, now_ms: u64, tuning: Tuning) -> Option<u8> {
        Some(decayed(rank, now_ms, tuning) as u8)
    }

    fn rank_of_frequency(&self, frequency: u8, now_ms: u64) -> Option<u32> {
        Some(pack(frequency.into(), now_ms))
    }
}
