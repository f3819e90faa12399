//! What a sketch sees of an element.

use super::{INDEX_BITS, RANK_MAX, REGISTERS};

/// A register, and the rank that an element has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    index: u16,
    rank: u8,
}

impl Seen {
    /// What is seen of `element`. Linear in its bytes.
    pub fn of(element: &[u8]) -> Self {
        const SEED: u64 = 0xadc8_3b19;
        let hash = murmur_hash_64a(element, SEED);
        let rest = hash >> INDEX_BITS | 1 << (RANK_MAX - 1);
        Self {
            index: (hash % REGISTERS as u64) as u16,
            rank: rest.trailing_zeros() as u8 + 1,
        }
    }

    /// The register at `index` holds `rank`.
    pub(super) fn new(index: usize, rank: u8) -> Self {
        let index = u16::try_from(index).expect("there are fewer registers");
        Self { index, rank }
    }

    /// Which register.
    pub(super) fn index(self) -> usize {
        self.index.into()
    }

    /// From 1 on.
    pub(super) fn rank(self) -> u8 {
        self.rank
    }
}

/// `MurmurHash64A` of Austin Appleby, which Redis hashes elements with; as on little-endian machines.
fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}
