//! The one hash of a request, and what its bits choose.

use ahash::RandomState;

/// Hashes keys with a seed of this process, so that nobody outside can aim at one shard or bucket.
pub struct KeyHasher {
    state: RandomState,
    shard_bits: u32,
}

/// A key's hash: the top bits choose the shard, the next 32 the place in its table, the low 14 the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    /// The shard's index.
    pub shard: u32,
    /// The place in the shard's table, as a fraction of 2³² of it. Tables keep their entries in this order,
    /// whatever their size, so that a SCAN cursor stays true while they grow.
    pub order: u32,
    /// Bits that tell most other entries of a bucket apart without touching them.
    pub tag: u16,
}

/// How many bits a [`KeyHash::tag`] has.
pub const TAG_BITS: u32 = 14;

impl KeyHasher {
    /// A hasher for `1 << shard_bits` shards; `shard_bits` is at most 16.
    pub fn new(shard_bits: u32) -> Self {
        Self {
            state: RandomState::new(),
            shard_bits,
        }
    }

    /// Hashes `key`. O(its length).
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = self.state.hash_one(key);
        let below_shard = hash << self.shard_bits;
        KeyHash {
            shard: hash.checked_shr(64 - self.shard_bits).unwrap_or(0) as u32,
            order: (below_shard >> 32) as u32,
            tag: (hash & ((1 << TAG_BITS) - 1)) as u16,
        }
    }
}

impl KeyHash {
    /// One number that tells keys apart, for those who count them.
    pub fn number(self) -> u64 {
        u64::from(self.shard) << 48 | u64::from(self.order) << 16 | u64::from(self.tag)
    }

    /// The bucket of a table with `buckets` buckets.
    #[inline]
    pub fn bucket(self, buckets: usize) -> usize {
        ((u64::from(self.order) * buckets as u64) >> 32) as usize
    }
}
