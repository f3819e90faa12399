//! Cheap randomness for sampling. Not for secrets.

use std::collections::HashSet;

use ahash::RandomState;

/// A xorshift64* generator (Marsaglia 2003; Vigna 2016).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts a sequence; different seeds give different ones.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }
}

/// Chooses a number of items while going through them once (selection sampling: Knuth, The Art of Computer
/// Programming 3.4.2, algorithm S).
pub struct Choice {
    wanted: usize,
    ahead: usize,
}

impl Choice {
    /// To choose `wanted` of `ahead` items.
    pub fn new(wanted: usize, ahead: usize) -> Self {
        Self { wanted, ahead }
    }

    /// Whether the next item is chosen.
    pub fn takes_next(&mut self, random: &mut Random) -> bool {
        let takes = random.below(self.ahead.max(1)) < self.wanted;
        self.ahead = self.ahead.saturating_sub(1);
        self.wanted -= usize::from(takes);
        takes
    }
}

/// Draws `count` different numbers below `bound`, which is not smaller (R. W. Floyd: Bentley, Programming Pearls, 1987).
/// O(count).
pub fn numbers_below(bound: usize, count: usize, random: &mut Random) -> HashSet<usize, RandomState> {
    let mut drawn = HashSet::with_capacity_and_hasher(count, RandomState::new());
    for top in bound - count..bound {
        let number = random.below(top + 1);
        if !drawn.insert(number) {
            drawn.insert(top);
        }
    }
    drawn
}
