//! A hash table of entries in hash order: 8 bytes a slot, one cache line a bucket.
//!
//! A bucket has eight slots, each an entry's 48-bit address with 14 bits of its hash and 2 bits of displacement
//! above it. An entry stands in its home bucket or, where that is full, in the next that is not (linear probing
//! over buckets, so a lookup that meets a bucket with a free slot has seen enough). Removal pulls a displaced
//! entry back, so there are no tombstones.
//!
//! The home bucket is `order × buckets / 2³²`: any number of buckets will do, so a table grows by a fifth at a
//! time, along the allocator's size classes, instead of doubling; and entries stand in the order of their hash,
//! whatever the table's size, which gives SCAN a cursor that never repeats or misses an entry.
//!
//! The hash is not stored: growth reads the keys again.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use super::entry::{Entry, EntryRef};
use super::hash::{KeyHash, KeyHasher};
use crate::values::heap::size_class;
use crate::values::random::Random;

const SLOTS: usize = 8;
/// Bytes that an entry takes in its table, apart from slots that are still free.
pub const SLOT_BYTES: usize = size_of::<u64>();
const BUCKET_BYTES: usize = 64;
/// How far ahead of the bucket whose entries it moves a resize asks for keys: some 20 lines are on their way then, as
/// many as a processor takes.
const RESIZE_BUCKETS_AHEAD: usize = 3;
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const TAG_SHIFT: u32 = 50;
/// A displacement of 3 means three or more.
const DISPLACEMENT_MAX: u64 = 3;
const EMPTY: u64 = 0;

/// The table is grown when it would be fuller than this many entries a bucket. Higher saves memory and costs
/// probes: at 7 of 8 a lookup reads 1.3 buckets on the average when it finds its key.
const LOAD_MAX: usize = 7;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u64; SLOTS]);

impl Bucket {
    const EMPTY: Self = Self([EMPTY; SLOTS]);

    /// Slots are filled from the front.
    fn is_full(&self) -> bool {
        self.0[SLOTS - 1] != EMPTY
    }

    fn len(&self) -> usize {
        self.0.iter().position(|&slot| slot == EMPTY).unwrap_or(SLOTS)
    }
}

/// Where an entry stands, until the table is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(usize);

/// A table of entries, unique by key. Owns them.
#[derive(Default)]
pub struct Table {
    buckets: Vec<Bucket>,
    len: usize,
}

impl Table {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the table itself, without its entries.
    pub fn allocated_bytes(&self) -> usize {
        self.buckets.capacity() * BUCKET_BYTES
    }

    /// How many buckets there are, for walking with [`Table::positions_in`].
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Finds the entry with `key`. O(1).
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &[u8]) -> Option<Position> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut at = hash.bucket(self.buckets.len());
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            for (index, &slot) in bucket.0.iter().enumerate() {
                if slot == EMPTY {
                    return None;
                }
                if slot >> TAG_SHIFT == u64::from(hash.tag) && view(slot).key() == key {
                    return Some(Position(at * SLOTS + index));
                }
            }
            at = self.next(at);
        }
        None
    }

    /// Asks the processor to load what [`Table::find`] with this hash will read: the entries in the home bucket
    /// whose tag fits.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        if self.buckets.is_empty() {
            return;
        }
        let bucket = &self.buckets[hash.bucket(self.buckets.len())];
        for &slot in bucket
            .0
            .iter()
            .filter(|&&slot| slot >> TAG_SHIFT == u64::from(hash.tag))
        {
            prefetch(slot & ADDRESS_MASK);
        }
    }

    /// The entry at `position`.
    #[inline]
    pub fn get(&self, position: Position) -> EntryRef<'_> {
        view(self.slot(position))
    }

    /// The entry at `position`, to be changed; its key must stay.
    #[inline]
    pub fn get_mut(&mut self, position: Position) -> EntryMut<'_> {
        let slot = &mut self.buckets[position.0 / SLOTS].0[position.0 % SLOTS];
        let entry = ManuallyDrop::new(owned(*slot));
        EntryMut { slot, entry }
    }

    /// Adds an entry whose key is not in the table. O(1) amortised.
    pub fn insert(&mut self, hash: KeyHash, entry: Entry, hasher: &KeyHasher) -> Position {
        if self.len >= self.buckets.len() * LOAD_MAX {
            self.resize(grown(self.buckets.len()), hasher);
        }
        self.len += 1;
        self.place(hash, entry.into_address())
    }

    /// Takes the entry at `position` out. O(1).
    pub fn remove(&mut self, position: Position, hasher: &KeyHasher) -> Entry {
        let entry = owned(self.slot(position));
        self.close_gap(position, hasher);
        self.len -= 1;
        if self.len * 4 < self.buckets.len() * LOAD_MAX && self.buckets.len() > 1 {
            self.resize(fitted(self.len * 2), hasher);
        }
        entry
    }

    /// The bucket that entries of this order have their home in.
    pub fn home(&self, order: u32) -> usize {
        ((u64::from(order) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The order where the homes in the bucket behind `bucket` begin; `None` behind the last.
    pub fn order_behind(&self, bucket: usize) -> Option<u32> {
        let order = ((bucket as u64 + 1) << 32).div_ceil(self.buckets.len() as u64);
        u32::try_from(order).ok()
    }

    /// The positions of bucket `at`'s entries.
    pub fn positions_in(&self, at: usize) -> impl Iterator<Item = Position> + use<> {
        let len = self.buckets[at].len();
        (0..len).map(move |index| Position(at * SLOTS + index))
    }

    /// A slot chosen with equal odds; `None` if it is empty, or there is none.
    pub fn random_slot(&self, random: &mut Random) -> Option<Position> {
        let slots = self.buckets.len() * SLOTS;
        let position = (slots > 0).then(|| Position(random.below(slots)))?;
        (self.slot(position) != EMPTY).then_some(position)
    }

    /// Calls `visit` for each entry whose home is the bucket that `order` falls in and whose own order is not
    /// below it. Returns the order where the next bucket begins, `None` after the last.
    pub fn scan(&self, order: u32, hasher: &KeyHasher, mut visit: impl FnMut(EntryRef<'_>)) -> Option<u32> {
        let buckets = self.buckets.len();
        if buckets == 0 {
            return None;
        }
        let home = self.home(order);
        let mut at = home;
        for _ in 0..buckets {
            for position in self.positions_in(at) {
                let entry = self.get(position);
                let hash = hasher.hash(entry.key());
                if hash.bucket(buckets) == home && hash.order >= order {
                    visit(entry);
                }
            }
            if !self.buckets[at].is_full() {
                break;
            }
            at = self.next(at);
        }
        self.order_behind(home)
    }

    fn slot(&self, position: Position) -> u64 {
        self.buckets[position.0 / SLOTS].0[position.0 % SLOTS]
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }

    /// Buckets from `home` forward to `at`.
    fn distance(&self, home: usize, at: usize) -> usize {
        if at >= home {
            at - home
        } else {
            at + self.buckets.len() - home
        }
    }

    /// Puts an entry's address into the first free slot at or behind its home.
    fn place(&mut self, hash: KeyHash, address: u64) -> Position {
        let mut at = hash.bucket(self.buckets.len());
        let mut displacement = 0;
        while self.buckets[at].is_full() {
            at = self.next(at);
            displacement += 1;
        }
        let index = self.buckets[at].len();
        self.buckets[at].0[index] = pack(address, hash.tag, displacement);
        Position(at * SLOTS + index)
    }

    /// Fills the slot at `position`, which is given up, and whatever slot that leaves free.
    fn close_gap(&mut self, position: Position, hasher: &KeyHasher) {
        let (mut at, mut index) = (position.0 / SLOTS, position.0 % SLOTS);
        loop {
            let was_full = self.buckets[at].is_full();
            let last = self.buckets[at].len() - 1;
            let bucket = &mut self.buckets[at].0;
            bucket[index] = bucket[last];
            bucket[last] = EMPTY;
            if !was_full {
                return;
            }
            let Some((from, from_index, displacement)) = self.find_displaced(at, hasher) else {
                return;
            };
            let slot = self.buckets[from].0[from_index];
            let moved = displacement - self.distance(at, from);
            self.buckets[at].0[last] = pack(slot & ADDRESS_MASK, (slot >> TAG_SHIFT) as u16, moved);
            (at, index) = (from, from_index);
        }
    }

    /// The first entry behind bucket `at` that could stand in it: bucket, slot and displacement.
    fn find_displaced(&self, at: usize, hasher: &KeyHasher) -> Option<(usize, usize, usize)> {
        let mut from = self.next(at);
        for distance in 1..self.buckets.len() {
            for index in 0..self.buckets[from].len() {
                let displacement = self.displacement(from, index, hasher);
                if displacement >= distance {
                    return Some((from, index, displacement));
                }
            }
            if !self.buckets[from].is_full() {
                return None;
            }
            from = self.next(from);
        }
        None
    }

    fn displacement(&self, at: usize, index: usize, hasher: &KeyHasher) -> usize {
        let slot = self.buckets[at].0[index];
        let stored = (slot >> ADDRESS_BITS) & DISPLACEMENT_MAX;
        if stored < DISPLACEMENT_MAX {
            return stored as usize;
        }
        self.distance(hasher.hash(view(slot).key()).bucket(self.buckets.len()), at)
    }

    fn resize(&mut self, buckets: usize, hasher: &KeyHasher) {
        let mut fresh = Vec::with_capacity(buckets);
        fresh.resize(buckets, Bucket::EMPTY);
        let old = std::mem::replace(&mut self.buckets, fresh);
        for (at, bucket) in old.iter().enumerate() {
            // The keys of buckets further on are fetched from memory while those of this one are hashed.
            if let Some(ahead) = old.get(at + RESIZE_BUCKETS_AHEAD) {
                ahead
                    .0
                    .iter()
                    .for_each(|&slot| prefetch_line(slot & ADDRESS_MASK));
            }
            let mut hashes = [None; SLOTS];
            for (hash, &slot) in hashes.iter_mut().zip(&bucket.0) {
                if slot != EMPTY {
                    *hash = Some(hasher.hash(view(slot).key()));
                }
            }
            for (hash, &slot) in hashes.into_iter().zip(&bucket.0) {
                if let Some(hash) = hash {
                    self.place(hash, slot & ADDRESS_MASK);
                }
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for bucket in &self.buckets {
            for &slot in bucket.0.iter().filter(|&&slot| slot != EMPTY) {
                drop(owned(slot));
            }
        }
    }
}

/// An entry lent by its table for changing. What becomes of its block is put back into the slot.
pub struct EntryMut<'a> {
    slot: &'a mut u64,
    entry: ManuallyDrop<Entry>,
}

impl Deref for EntryMut<'_> {
    type Target = Entry;
    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl DerefMut for EntryMut<'_> {
    fn deref_mut(&mut self) -> &mut Entry {
        &mut self.entry
    }
}

impl Drop for EntryMut<'_> {
    fn drop(&mut self) {
        // SAFETY: the entry is not used after this; its slot owns it again.
        let entry = unsafe { ManuallyDrop::take(&mut self.entry) };
        *self.slot = (*self.slot & !ADDRESS_MASK) | entry.into_address();
    }
}

/// Loads the cache line at `address` and the one behind it.
#[inline]
fn prefetch(address: u64) {
    const LINE_BYTES: u64 = 64;
    prefetch_line(address);
    prefetch_line(address + LINE_BYTES);
}

/// Loads the cache line at `address`. Any address will do: nothing is read that the program could see.
#[inline]
fn prefetch_line(address: u64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = std::ptr::without_provenance::<i8>(address as usize);
        // SAFETY: a prefetch does not fault and has no effect beside the caches.
        unsafe { _mm_prefetch(line, _MM_HINT_T0) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[inline]
fn pack(address: u64, tag: u16, displacement: usize) -> u64 {
    let displacement = (displacement as u64).min(DISPLACEMENT_MAX);
    address | (displacement << ADDRESS_BITS) | (u64::from(tag) << TAG_SHIFT)
}

/// The entry in a filled slot of a table that is borrowed for `'a`.
#[inline]
fn view<'a>(slot: u64) -> EntryRef<'a> {
    // SAFETY: a filled slot holds what `Entry::into_address` gave; callers bind `'a` to the borrow of the table.
    unsafe { EntryRef::from_address(slot & ADDRESS_MASK) }
}

/// The entry in a filled slot. The caller either removes the slot or does not drop the entry.
#[inline]
fn owned(slot: u64) -> Entry {
    // SAFETY: a filled slot holds what `Entry::into_address` gave, once.
    unsafe { Entry::from_address(slot & ADDRESS_MASK) }
}

/// The next number of buckets: the allocator's next size class.
fn grown(buckets: usize) -> usize {
    size_class((buckets + 1) * BUCKET_BYTES) / BUCKET_BYTES
}

/// The number of buckets for `len` entries.
fn fitted(len: usize) -> usize {
    size_class((len / LOAD_MAX + 1) * BUCKET_BYTES) / BUCKET_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::values::text::Text;

    /// Keys whose homes are all over the table, and keys that meet in its first and in its last bucket, however
    /// the table grows: the first run into each other, the last around the end.
    fn keys(hasher: &KeyHasher, of_each: usize) -> Vec<Vec<u8>> {
        const EDGE: u32 = u32::MAX / 64;
        let candidates = || (0u32..).map(|number| number.to_string().into_bytes());
        let with = |fits: fn(u32) -> bool| {
            candidates()
                .filter(move |key| fits(hasher.hash(key).order))
                .take(of_each)
                .collect::<Vec<_>>()
        };
        let within = |order: u32| (EDGE..=u32::MAX - EDGE).contains(&order);
        [
            with(|order| order < EDGE),
            with(|order| order > u32::MAX - EDGE),
            with(within),
        ]
        .concat()
    }

    fn entry(key: &[u8], value: i64) -> Entry {
        Entry::new(key, Text::Int(value), None)
    }

    /// What find, removal and growth rely on.
    fn check_invariants(table: &Table, hasher: &KeyHasher) {
        let mut entries = 0;
        for at in 0..table.buckets() {
            let slots = &table.buckets[at].0;
            assert!(
                slots[table.buckets[at].len()..].iter().all(|&slot| slot == EMPTY),
                "filled from the front"
            );
            for position in table.positions_in(at) {
                let hash = hasher.hash(table.get(position).key());
                let slot = table.slot(position);
                let displacement = table.distance(hash.bucket(table.buckets()), at);
                let stored = (slot >> ADDRESS_BITS) & DISPLACEMENT_MAX;
                assert_eq!(stored, (displacement as u64).min(DISPLACEMENT_MAX));
                assert_eq!(slot >> TAG_SHIFT, u64::from(hash.tag));
                let mut passed = hash.bucket(table.buckets());
                while passed != at {
                    assert!(
                        table.buckets[passed].is_full(),
                        "an entry passes only full buckets"
                    );
                    passed = table.next(passed);
                }
                entries += 1;
            }
        }
        assert_eq!(table.len(), entries);
    }

    /// All keys that a scan visits, in its order.
    fn scanned(table: &Table, hasher: &KeyHasher) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let mut order = Some(0);
        while let Some(at) = order {
            order = table.scan(at, hasher, |entry| keys.push(entry.key().to_vec()));
        }
        keys
    }

    fn check_contents(table: &Table, hasher: &KeyHasher, keys: &[Vec<u8>], model: &HashMap<usize, i64>) {
        for (index, key) in keys.iter().enumerate() {
            let found = table
                .find(hasher.hash(key), key)
                .map(|position| table.get(position).text().expect("a text"));
            assert_eq!(found, model.get(&index).map(|&value| Text::Int(value)));
        }
        let scanned = scanned(table, hasher);
        assert_eq!(scanned.len(), model.len(), "a scan visits each entry once");
        let homes = scanned.iter().map(|key| hasher.hash(key).bucket(table.buckets()));
        assert!(homes.is_sorted(), "a scan goes from bucket to bucket");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(usize, i64),
        Remove(usize),
        /// Inserts or removes all keys from one on, so that the table grows and shrinks for good.
        InsertFrom(usize),
        RemoveFrom(usize),
    }

    const OF_EACH: usize = if cfg!(miri) { 12 } else { 60 };

    fn step() -> impl Strategy<Value = Step> {
        let key = || 0..3 * OF_EACH;
        prop_oneof![
            8 => (key(), any::<i64>()).prop_map(|(key, value)| Step::Insert(key, value)),
            8 => key().prop_map(Step::Remove),
            1 => key().prop_map(Step::InsertFrom),
            1 => key().prop_map(Step::RemoveFrom),
        ]
    }

    struct Model {
        hasher: KeyHasher,
        keys: Vec<Vec<u8>>,
        table: Table,
        values: HashMap<usize, i64>,
    }

    impl Model {
        fn new() -> Self {
            let hasher = KeyHasher::new(0);
            let keys = keys(&hasher, OF_EACH);
            Self {
                hasher,
                keys,
                table: Table::default(),
                values: HashMap::new(),
            }
        }

        fn insert(&mut self, index: usize, value: i64) {
            let key = &self.keys[index];
            let hash = self.hasher.hash(key);
            match self.table.find(hash, key) {
                Some(position) => self.table.get_mut(position).replace(Text::Int(value), None),
                None => drop(self.table.insert(hash, entry(key, value), &self.hasher)),
            }
            self.values.insert(index, value);
        }

        fn remove(&mut self, index: usize) {
            let key = &self.keys[index];
            let position = self.table.find(self.hasher.hash(key), key);
            let removed = position.map(|position| self.table.remove(position, &self.hasher));
            let value = removed.as_ref().map(|entry| entry.view().text().expect("a text"));
            assert_eq!(value, self.values.remove(&index).map(Text::Int));
        }

        fn run(&mut self, step: &Step) {
            match *step {
                Step::Insert(index, value) => self.insert(index, value),
                Step::Remove(index) => self.remove(index),
                Step::InsertFrom(first) => {
                    for index in first..self.keys.len() {
                        self.insert(index, 0);
                    }
                }
                Step::RemoveFrom(first) => {
                    for index in first..self.keys.len() {
                        self.remove(index);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]
        #[test]
        fn behaves_like_a_map_however_keys_collide(steps in proptest::collection::vec(step(), 1..60)) {
            let mut model = Model::new();
            for step in steps {
                model.run(&step);
                check_invariants(&model.table, &model.hasher);
                check_contents(&model.table, &model.hasher, &model.keys, &model.values);
            }
        }
    }

    #[test]
    fn it_grows_by_a_fifth_and_shrinks_when_little_is_left() {
        let hasher = KeyHasher::new(0);
        let mut table = Table::default();
        for number in 0..5_000u32 {
            let key = number.to_le_bytes();
            table.insert(hasher.hash(&key), entry(&key, 0), &hasher);
            let needed = table.len().div_ceil(LOAD_MAX);
            assert!(table.buckets() >= needed && table.buckets() <= needed + needed / 4 + 1);
        }
        check_invariants(&table, &hasher);
        let full = table.allocated_bytes();
        for number in 0..4_990u32 {
            let key = number.to_le_bytes();
            let position = table.find(hasher.hash(&key), &key).unwrap();
            table.remove(position, &hasher);
        }
        check_invariants(&table, &hasher);
        assert!(table.allocated_bytes() * 100 < full);
    }
}
