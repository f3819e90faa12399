//! Where the members of a large sorted set are: an index from their hashes to the leaves that hold them.
//!
//! It knows hashes and numbers of leaves, not members: whoever looks one up has to look into the leaf. Slots stand
//! in the order of their hashes, however large the index is, so a scan can go on from any hash while it grows.
//!
//! It consists of segments, each for the hashes with a common prefix (extendible hashing: Fagin et al. 1979). A
//! segment that is full divides in two, so no change touches more than one. Within a segment slots are found by
//! linear probing and kept in order (Amble and Knuth 1974), so that growing and dividing copy from front to back.

use crate::values::heap::size_class;

/// The 32 bits of a member's hash that the index keeps.
pub type MemberHash = u32;

/// Number of a leaf, below `u32::MAX`.
pub type LeafId = u32;

/// Which leaf holds the member with a hash.
#[derive(Debug, Clone)]
pub struct MemberIndex {
    /// How many leading bits of a hash choose its place in the directory.
    bits: u32,
    /// The segment for each prefix of `bits` bits; one with a shorter prefix stands in several places.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    /// Bytes of heap of all segments.
    segment_bytes: usize,
}

impl Default for MemberIndex {
    fn default() -> Self {
        let segment = Segment::new(0, 0, 0);
        Self {
            bits: 0,
            directory: vec![0],
            segment_bytes: segment.heap_bytes(),
            segments: vec![segment],
        }
    }
}

impl MemberIndex {
    /// Bytes of heap, as the allocator rounds them. O(1).
    pub fn heap_bytes(&self) -> usize {
        size_class(self.directory.capacity() * size_of::<u32>())
            + size_class(self.segments.capacity() * size_of::<Segment>())
            + self.segment_bytes
    }

    /// The first that `look` finds in one of the leaves that may hold a member with this hash: nearly always one
    /// leaf, or none if there is no such member. O(1).
    #[inline]
    pub fn find<R>(&self, hash: MemberHash, look: impl FnMut(LeafId) -> Option<R>) -> Option<R> {
        self.segments[self.segment_of(hash)].find(hash, look)
    }

    /// Notes that a member with this hash is in `leaf`. O(1).
    pub fn add(&mut self, hash: MemberHash, leaf: LeafId) {
        if self.segments[self.segment_of(hash)].len >= Segment::LEN_MAX {
            self.divide(self.segment_of(hash));
        }
        self.change(hash, |segment| segment.add(Slot { hash, leaf }));
    }

    /// Forgets one member with this hash that is in `leaf`. O(1).
    pub fn remove(&mut self, hash: MemberHash, leaf: LeafId) {
        self.change(hash, |segment| segment.remove(Slot { hash, leaf }));
    }

    /// Notes that one member with this hash is not in the leaf `from` but in `to`. O(1).
    pub fn relocate(&mut self, hash: MemberHash, from: LeafId, to: LeafId) {
        let segment = self.segment_of(hash);
        let slots = &mut self.segments[segment];
        let at = slots.position(Slot { hash, leaf: from });
        slots.slots[at].leaf = to;
    }

    /// Hashes and leaves in the order of the hashes, from this hash on.
    pub fn iter_from(&self, hash: MemberHash) -> impl Iterator<Item = (MemberHash, LeafId)> + '_ {
        let places = &self.directory[self.place_of(hash)..];
        // The places of one segment are neighbours.
        places
            .chunk_by(|one, other| one == other)
            .flat_map(|places| &self.segments[places[0] as usize].slots)
            .filter(move |slot| !slot.is_vacant() && slot.hash >= hash)
            .map(|slot| (slot.hash, slot.leaf))
    }

    #[inline]
    fn place_of(&self, hash: MemberHash) -> usize {
        hash.checked_shr(MemberHash::BITS - self.bits).unwrap_or(0) as usize
    }

    #[inline]
    fn segment_of(&self, hash: MemberHash) -> usize {
        self.directory[self.place_of(hash)] as usize
    }

    fn change(&mut self, hash: MemberHash, change: impl FnOnce(&mut Segment)) {
        let at = self.segment_of(hash);
        let segment = &mut self.segments[at];
        self.segment_bytes -= segment.heap_bytes();
        change(segment);
        self.segment_bytes += segment.heap_bytes();
    }

    /// Divides a segment by the bit behind its prefix, unless its prefix is as long as it may be.
    fn divide(&mut self, at: usize) {
        /// With more, the directory would be the larger part of the index.
        const BITS_MAX: u32 = 20;
        let old = &self.segments[at];
        if old.prefix_bits == BITS_MAX {
            return;
        }
        let (low, high) = old.divided();
        self.segment_bytes += low.heap_bytes() + high.heap_bytes();
        self.segment_bytes -= old.heap_bytes();
        if high.prefix_bits > self.bits {
            self.directory = self.directory.iter().flat_map(|place| [*place; 2]).collect();
            self.bits += 1;
        }
        let start = self.place_of(high.first_hash);
        let end = start + (1 << (self.bits - high.prefix_bits));
        self.directory[start..end].fill(self.segments.len() as u32);
        self.segments[at] = low;
        self.segments.push(high);
    }
}

/// A member's hash and its leaf, or a place for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    hash: MemberHash,
    leaf: LeafId,
}

impl Slot {
    const VACANT: Self = Self {
        hash: 0,
        leaf: LeafId::MAX,
    };

    #[inline]
    fn is_vacant(self) -> bool {
        self.leaf == Self::VACANT.leaf
    }
}

/// The slots of all hashes with one prefix.
///
/// A hash's home is its fraction of `homes`. Its slot stands there or, if others do, behind them, with no vacant
/// slot in between; all stand in the order of their hashes.
#[derive(Debug, Clone)]
struct Segment {
    slots: Vec<Slot>,
    /// How many slots are homes; the last of their slots may stand in a few behind them.
    homes: u32,
    len: u32,
    /// The prefix, followed by zeros.
    first_hash: MemberHash,
    prefix_bits: u32,
}

impl Segment {
    /// More entries than this are divided between two segments.
    const LEN_MAX: u32 = 4096;
    /// Slots behind the homes.
    const MARGIN: usize = 8;

    /// A segment with room for `len` entries and some more.
    fn new(first_hash: MemberHash, prefix_bits: u32, len: u32) -> Self {
        let needed = Self::MARGIN + len as usize * 5 / 4 + 1;
        let slots = size_class(needed * size_of::<Slot>()) / size_of::<Slot>();
        Self {
            slots: vec![Slot::VACANT; slots],
            homes: (slots - Self::MARGIN) as u32,
            len: 0,
            first_hash,
            prefix_bits,
        }
    }

    fn heap_bytes(&self) -> usize {
        size_class(self.slots.capacity() * size_of::<Slot>())
    }

    #[inline]
    fn home(&self, hash: MemberHash) -> usize {
        let fraction = u64::from(hash << self.prefix_bits);
        ((fraction * u64::from(self.homes)) >> MemberHash::BITS) as usize
    }

    #[inline]
    fn find<R>(&self, hash: MemberHash, look: impl FnMut(LeafId) -> Option<R>) -> Option<R> {
        self.slots[self.home(hash)..]
            .iter()
            .take_while(|slot| !slot.is_vacant() && slot.hash <= hash)
            .filter(|slot| slot.hash == hash)
            .map(|slot| slot.leaf)
            .find_map(look)
    }

    /// Where `slot` stands, which is there.
    fn position(&self, slot: Slot) -> usize {
        let home = self.home(slot.hash);
        let behind_home = self.slots[home..].iter().position(|other| *other == slot);
        home + behind_home.expect("every member is indexed")
    }

    fn add(&mut self, slot: Slot) {
        if self.len >= self.homes / 5 * 4 {
            // The next size class is at least an eighth larger.
            self.rebuild(self.len + self.len / 8 + 2);
        }
        self.len += 1;
        let home = self.home(slot.hash);
        let is_behind = |other: &Slot| other.is_vacant() || other.hash > slot.hash;
        let at = home
            + self.slots[home..]
                .iter()
                .position(is_behind)
                .unwrap_or(self.slots.len() - home);
        let vacant = self.slots[at..].iter().position(|other| other.is_vacant());
        if let Some(distance) = vacant {
            self.slots.copy_within(at..at + distance, at + 1);
            self.slots[at] = slot;
        } else {
            self.lengthen();
            self.slots.insert(at, slot);
        }
    }

    fn remove(&mut self, slot: Slot) {
        let at = self.position(slot);
        let is_in_place = |at: usize| self.slots[at].is_vacant() || self.home(self.slots[at].hash) == at;
        let end = (at + 1..self.slots.len())
            .find(|at| is_in_place(*at))
            .unwrap_or(self.slots.len());
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = Slot::VACANT;
        self.len -= 1;
        if self.len < self.homes / 4 && self.homes as usize > 4 * Self::MARGIN {
            self.rebuild(self.len);
        }
    }

    /// Makes sure that there is room behind the last slot.
    fn lengthen(&mut self) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(Self::MARGIN);
        }
    }

    /// Makes room for `len` entries and some more.
    fn rebuild(&mut self, len: u32) {
        let mut rebuilt = Self::new(self.first_hash, self.prefix_bits, len);
        rebuilt.extend(self.slots.iter().copied());
        *self = rebuilt;
    }

    /// Its entries in two segments, whose prefix is longer by a bit.
    fn divided(&self) -> (Self, Self) {
        let prefix_bits = self.prefix_bits + 1;
        let first_of_high = self.first_hash | 1 << (MemberHash::BITS - prefix_bits);
        let (mut low, mut high) = (
            Self::new(self.first_hash, prefix_bits, self.len / 2),
            Self::new(first_of_high, prefix_bits, self.len / 2),
        );
        low.extend(
            self.slots
                .iter()
                .copied()
                .filter(|slot| slot.hash < first_of_high),
        );
        high.extend(
            self.slots
                .iter()
                .copied()
                .filter(|slot| slot.hash >= first_of_high),
        );
        (low, high)
    }

    /// Adds entries, in the order of their hashes, to a segment without any.
    fn extend(&mut self, slots: impl Iterator<Item = Slot>) {
        let mut next = 0;
        for slot in slots.filter(|slot| !slot.is_vacant()) {
            let at = self.home(slot.hash).max(next);
            if at == self.slots.len() {
                self.lengthen();
                self.slots.push(slot);
            } else {
                self.slots[at] = slot;
            }
            next = at + 1;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    impl MemberIndex {
        fn check(&self) {
            let mut seen = BTreeSet::new();
            for (at, segment) in self.segments.iter().enumerate() {
                segment.check();
                assert_eq!(self.segment_of(segment.first_hash), at);
                seen.insert(segment.first_hash);
            }
            assert_eq!(seen.len(), self.segments.len());
            let bytes: usize = self.segments.iter().map(Segment::heap_bytes).sum();
            assert_eq!(self.segment_bytes, bytes);
            let hashes: Vec<_> = self.iter_from(0).map(|(hash, _)| hash).collect();
            assert!(hashes.is_sorted());
        }
    }

    impl Segment {
        fn check(&self) {
            let mut len = 0;
            for (at, slot) in self
                .slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| !slot.is_vacant())
            {
                let home = self.home(slot.hash);
                assert!(home <= at && self.slots[home..at].iter().all(|other| !other.is_vacant()));
                len += 1;
            }
            assert_eq!(len, self.len);
        }
    }

    fn hash_of(number: u32) -> MemberHash {
        number.wrapping_mul(0x9e37_79b1) ^ number >> 15
    }

    #[test]
    fn segments_divide_and_every_slot_is_found() {
        const LEN: u32 = 100_000;
        let mut index = MemberIndex::default();
        for number in 0..LEN {
            index.add(hash_of(number), number);
        }
        index.check();
        assert!(index.segments.len() > 16);
        assert!(index.heap_bytes() < LEN as usize * 14, "{}", index.heap_bytes());
        for number in 0..LEN {
            assert_eq!(
                index.find(hash_of(number), |leaf| (leaf == number).then_some(())),
                Some(())
            );
            index.remove(hash_of(number), number);
        }
        index.check();
        assert_eq!(index.iter_from(0).count(), 0);
        assert!(index.heap_bytes() < 20_000);
    }

    /// Symptom: a panic, "attempt to subtract with overflow", when a segment divided. Cause: its slots had doubled when
    /// those behind the homes were all taken, so its halves together were smaller, and their difference was below 0.
    #[test]
    fn a_segment_with_a_crowded_end_grows_little_and_divides() {
        let mut index = MemberIndex::default();
        for number in 0..=Segment::LEN_MAX {
            let is_at_end = number % 8 == 0;
            index.add(
                if is_at_end {
                    u32::MAX - number
                } else {
                    hash_of(number)
                },
                number,
            );
            let slots = &index.segments[0].slots;
            assert!(
                slots.capacity() < 2 * number as usize + 20,
                "{} for {number}",
                slots.capacity()
            );
        }
        index.check();
        assert_eq!(index.segments.len(), 2);
    }

    #[test]
    fn hashes_that_are_all_the_same_are_borne() {
        let mut index = MemberIndex::default();
        for leaf in 0..2 * Segment::LEN_MAX {
            index.add(u32::MAX, leaf);
        }
        index.check();
        assert_eq!(index.iter_from(u32::MAX).count(), 2 * Segment::LEN_MAX as usize);
        assert_eq!(index.find(u32::MAX, |leaf| (leaf == 7).then_some(leaf)), Some(7));
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_pairs(steps in proptest::collection::vec((0..3_u8, 0..40_u32, 0..4_u32), 1..400), spread in 0..3_u32) {
            let mut index = MemberIndex::default();
            let mut model = BTreeSet::new();
            for (step, number, leaf) in steps {
                // Hashes that are far apart, near each other, or mostly at the end.
                let hash = [hash_of(number), number, u32::MAX - number / 4][spread as usize];
                if step > 0 {
                    if model.insert((hash, leaf)) {
                        index.add(hash, leaf);
                    }
                } else if model.remove(&(hash, leaf)) {
                    index.remove(hash, leaf);
                } else if model.remove(&(hash, leaf + 1)) {
                    model.insert((hash, leaf));
                    index.relocate(hash, leaf + 1, leaf);
                }
                index.check();
            }
            let found: BTreeSet<_> = index.iter_from(0).collect();
            prop_assert_eq!(&found, &model);
            let from: BTreeSet<_> = index.iter_from(u32::MAX / 2).collect();
            let expected: BTreeSet<_> = model.range((u32::MAX / 2, 0)..).copied().collect();
            prop_assert_eq!(from, expected);
        }
    }
}
