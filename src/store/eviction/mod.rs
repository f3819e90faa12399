//! Which entry has to go when memory is short.
//!
//! A policy sees an entry's rank (32 bits that the entry keeps for it), deadline and size, never its key or
//! value. The shard samples a few entries and evicts the one with the greatest [`Policy::badness`].

mod hybrid;
mod lfu;
mod lru;
mod random;
mod ttl;

use crate::values::random::Random;

/// What a policy may know of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The bits that the policy gave last.
    pub rank: u32,
    /// When the entry dies by itself, in Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// What its eviction frees.
    pub bytes: usize,
}

/// Knobs of the configuration that policies read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// `lfu-log-factor`: how many hits saturate a frequency counter.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes without a hit that take one off a frequency counter; 0 means none does.
    pub lfu_decay_minutes: u32,
}

/// An eviction policy. Implementations are stateless: all they know of an entry is in its rank.
pub trait Policy: Sync {
    /// The name in `maxmemory-policy`.
    fn name(&self) -> &'static str;

    /// Whether only entries with a deadline may go.
    fn volatile_only(&self) -> bool;

    /// Whether anything may go at all.
    fn evicts(&self) -> bool {
        true
    }

    /// The rank of a new entry.
    fn on_insert(&self, now_ms: u64) -> u32;

    /// The rank after a hit. Called on each hit: a few instructions, no allocation.
    fn on_hit(&self, rank: u32, now_ms: u64, tuning: Tuning, random: &mut Random) -> u32;

    /// How dispensable an entry is; the greatest of a sample goes.
    fn badness(&self, candidate: &Candidate, now_ms: u64, tuning: Tuning, random: &mut Random) -> u64;

    /// Milliseconds since the last hit, where the policy keeps that.
    fn idle_ms(&self, _rank: u32, _now_ms: u64) -> Option<u64> {
        None
    }

    /// Whether it chooses by when or how often entries were used.
    fn ranks_use(&self) -> bool {
        false
    }

    /// The frequency counter, 0 to 255 on a logarithmic scale, where the policy keeps one.
    fn frequency(&self, _rank: u32, _now_ms: u64, _tuning: Tuning) -> Option<u8> {
        None
    }

    /// The rank of an entry whose last hit was so many milliseconds ago, where the policy keeps that.
    fn rank_of_idle(&self, _idle_ms: u64, _now_ms: u64) -> Option<u32> {
        None
    }

    /// The rank of an entry with this frequency counter, where the policy keeps one.
    fn rank_of_frequency(&self, _frequency: u8, _now_ms: u64) -> Option<u32> {
        None
    }
}

/// Never evicts; commands that grow the data are refused instead. Keeps the time of the last access.
struct NoEviction;

impl Policy for NoEviction {
    fn name(&self) -> &'static str {
        "noeviction"
    }

    fn volatile_only(&self) -> bool {
        false
    }

    fn evicts(&self) -> bool {
        false
    }

    fn on_insert(&self, now_ms: u64) -> u32 {
        lru::stamp(now_ms)
    }

    fn on_hit(&self, _rank: u32, now_ms: u64, _tuning: Tuning, _random: &mut Random) -> u32 {
        lru::stamp(now_ms)
    }

    fn badness(&self, _: &Candidate, _now_ms: u64, _: Tuning, _: &mut Random) -> u64 {
        0
    }

    fn idle_ms(&self, rank: u32, now_ms: u64) -> Option<u64> {
        Some(lru::idle_ms(rank, now_ms))
    }

    fn rank_of_idle(&self, idle_ms: u64, now_ms: u64) -> Option<u32> {
        Some(lru::stamp(now_ms.saturating_sub(idle_ms)))
    }
}

/// All policies.
pub const POLICIES: &[&dyn Policy] = &[
    &NoEviction,
    &hybrid::Hybrid { volatile_only: false },
    &hybrid::Hybrid { volatile_only: true },
    &lru::Lru { volatile_only: false },
    &lru::Lru { volatile_only: true },
    &lfu::Lfu { volatile_only: false },
    &lfu::Lfu { volatile_only: true },
    &random::Uniform { volatile_only: false },
    &random::Uniform { volatile_only: true },
    &ttl::Ttl,
];

/// The index in [`POLICIES`] of the policy called `name`.
pub fn by_name(name: &str) -> Option<usize> {
    POLICIES.iter().position(|policy| policy.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_made_for_some_use_tells_of_that_use() {
        const NOW_MS: u64 = 1_700_000_000_000;
        const IDLE_MS: u64 = 600_000;
        let tuning = Tuning {
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
        };
        for policy in POLICIES {
            let rank = policy.rank_of_idle(IDLE_MS, NOW_MS);
            let idle_ms = rank.and_then(|rank| policy.idle_ms(rank, NOW_MS));
            assert_eq!(idle_ms.is_some(), policy.idle_ms(0, NOW_MS).is_some());
            assert!(
                idle_ms.is_none_or(|idle_ms| idle_ms.abs_diff(IDLE_MS) < 100),
                "{}",
                policy.name()
            );
            let rank = policy.rank_of_frequency(100, NOW_MS);
            let frequency = rank.and_then(|rank| policy.frequency(rank, NOW_MS, tuning));
            assert_eq!(frequency.is_some(), policy.frequency(0, NOW_MS, tuning).is_some());
            assert!(
                frequency.is_none_or(|frequency| frequency == 100),
                "{}",
                policy.name()
            );
        }
    }
}
