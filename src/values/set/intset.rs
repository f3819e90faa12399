//! Sets of integers: sorted, in one block, as narrow as the widest of them allows.

use std::cmp::Ordering;

use crate::values::heap::size_class;

/// Different integers in ascending order. 24 bytes and one block.
#[derive(Debug, Clone, Default)]
pub struct IntSet {
    /// How many bytes an integer takes (2, 4 or 8), then the integers, in this machine's order of bytes. Empty
    /// where there are none.
    block: Vec<u8>,
}

/// Where the integers begin.
const HEAD_BYTES: usize = 1;

impl IntSet {
    /// How many there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.values().len() / self.width()
    }

    /// Bytes of heap, as the allocator rounds them. O(1).
    pub fn heap_bytes(&self) -> usize {
        size_class(self.block.capacity())
    }

    /// Whether `value` is there. O(log N).
    pub fn contains(&self, value: i64) -> bool {
        self.position(value).is_ok()
    }

    /// The integer at this position of the order, which is below the length. O(1).
    #[inline]
    pub fn get(&self, at: usize) -> i64 {
        let values = self.values();
        match self.width() {
            2 => i16::from_ne_bytes(values.as_chunks().0[at]).into(),
            4 => i32::from_ne_bytes(values.as_chunks().0[at]).into(),
            _ => i64::from_ne_bytes(values.as_chunks().0[at]),
        }
    }

    /// All integers in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Adds `value`; tells whether it was not there. O(N).
    pub fn add(&mut self, value: i64) -> bool {
        let Err(at) = self.position(value) else {
            return false;
        };
        let width = width_of(value);
        if width > self.width() || self.block.is_empty() {
            self.widen(width);
        }
        let width = self.width();
        let offset = HEAD_BYTES + at * width;
        let end = self.block.len();
        self.reserve(width);
        self.block.resize(end + width, 0);
        self.block.copy_within(offset..end, offset + width);
        put(&mut self.block[offset..offset + width], value);
        true
    }

    /// Removes `value`; tells whether it was there. The width stays. O(N).
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(at) = self.position(value) else {
            return false;
        };
        self.remove_at(at);
        true
    }

    /// Removes the integer at this position of the order, which is below the length. O(N).
    pub fn remove_at(&mut self, at: usize) {
        let width = self.width();
        let offset = HEAD_BYTES + at * width;
        self.block.copy_within(offset + width.., offset);
        self.truncate(self.block.len() - width);
    }

    /// Keeps the integers that `keep` is true for, which it is asked in ascending order. O(N).
    pub fn retain(&mut self, mut keep: impl FnMut(i64) -> bool) {
        let width = self.width();
        let mut end = HEAD_BYTES;
        for at in 0..self.len() {
            if keep(self.get(at)) {
                let offset = HEAD_BYTES + at * width;
                self.block.copy_within(offset..offset + width, end);
                end += width;
            }
        }
        self.truncate(end);
    }

    /// Where `value` is, or where it would belong.
    #[inline]
    fn position(&self, value: i64) -> Result<usize, usize> {
        let values = self.values();
        match self.width() {
            2 => search(
                values.as_chunks().0,
                |bytes| i16::from_ne_bytes(bytes).into(),
                value,
            ),
            4 => search(
                values.as_chunks().0,
                |bytes| i32::from_ne_bytes(bytes).into(),
                value,
            ),
            _ => search(values.as_chunks().0, i64::from_ne_bytes, value),
        }
    }

    #[inline]
    fn width(&self) -> usize {
        self.block.first().map_or(2, |width| usize::from(*width))
    }

    #[inline]
    fn values(&self) -> &[u8] {
        self.block.get(HEAD_BYTES..).unwrap_or_default()
    }

    /// Spells all integers with `width` bytes.
    fn widen(&mut self, width: usize) {
        let mut block = Vec::with_capacity(size_class(HEAD_BYTES + (self.len() + 1) * width));
        block.push(width as u8);
        block.resize(HEAD_BYTES + self.len() * width, 0);
        for (value, bytes) in self.iter().zip(block[HEAD_BYTES..].chunks_exact_mut(width)) {
            put(bytes, value);
        }
        self.block = block;
    }

    /// Makes room for `more` bytes, as much as the allocator gives anyway; a large block grows by an eighth at least.
    fn reserve(&mut self, more: usize) {
        let needed = self.block.len() + more;
        if needed > self.block.capacity() {
            let class = size_class(needed.max(self.block.len() / 8 * 9));
            self.block.reserve_exact(class - self.block.len());
        }
    }

    /// Cuts the block off at `end`, and gives room back where much is unused.
    fn truncate(&mut self, end: usize) {
        self.block.truncate(if end > HEAD_BYTES { end } else { 0 });
        if self.block.len() < self.block.capacity() / 2 {
            self.block.shrink_to(size_class(self.block.len()));
        }
    }
}

#[inline]
fn search<const W: usize>(
    values: &[[u8; W]],
    read: impl Fn([u8; W]) -> i64,
    wanted: i64,
) -> Result<usize, usize> {
    // Counters and identifiers mostly come in ascending order.
    match values.last().map(|last| read(*last).cmp(&wanted)) {
        None => Err(0),
        Some(Ordering::Less) => Err(values.len()),
        Some(_) => values.binary_search_by(|bytes| read(*bytes).cmp(&wanted)),
    }
}

/// How many bytes `value` takes at least.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// Writes `value` with as many bytes as there are, which are enough.
#[inline]
fn put(bytes: &mut [u8], value: i64) {
    match bytes.len() {
        2 => bytes.copy_from_slice(&(value as i16).to_ne_bytes()),
        4 => bytes.copy_from_slice(&(value as i32).to_ne_bytes()),
        _ => bytes.copy_from_slice(&value.to_ne_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_as_little_room_as_the_widest_needs() {
        let mut set = IntSet::default();
        (0..512).for_each(|value| assert!(set.add(value)));
        assert_eq!(set.heap_bytes(), 1280);
        set.add(40_000);
        assert_eq!(set.heap_bytes(), 2560);
        set.add(i64::MIN);
        assert_eq!(set.heap_bytes(), 5120);
        assert_eq!((set.get(0), set.get(1), set.get(513)), (i64::MIN, 0, 40_000));
    }

    #[test]
    fn an_empty_one_has_no_block_and_begins_narrow_again() {
        let mut set = IntSet::default();
        set.add(i64::MAX);
        assert!(set.remove(i64::MAX) && !set.remove(i64::MAX));
        assert_eq!((set.len(), set.heap_bytes()), (0, 0));
        set.add(1);
        assert_eq!(set.heap_bytes(), 16);
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            6 => -40..40_i64,
            1 => prop::sample::select(vec![
                i64::MIN, i64::MAX, i64::from(i16::MIN), i64::from(i16::MAX), i64::from(i16::MAX) + 1,
                i64::from(i32::MIN) - 1, i64::from(i32::MIN), i64::from(i32::MAX),
            ]),
            1 => any::<i64>(),
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(i64),
        Remove(i64),
        RemoveAt(usize),
        KeepMultiplesOf(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => number().prop_map(Step::Add),
            10 => number().prop_map(Step::Remove),
            5 => any::<usize>().prop_map(Step::RemoveAt),
            1 => (1..4_i64).prop_map(Step::KeepMultiplesOf),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(steps in prop::collection::vec(step(), 0..200)) {
            let (mut set, mut model) = (IntSet::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Add(value) => prop_assert_eq!(set.add(value), model.insert(value)),
                    Step::Remove(value) => prop_assert_eq!(set.remove(value), model.remove(&value)),
                    Step::RemoveAt(at) if !model.is_empty() => {
                        let value = set.get(at % set.len());
                        set.remove_at(at % set.len());
                        prop_assert!(model.remove(&value));
                    }
                    Step::RemoveAt(_) => {}
                    Step::KeepMultiplesOf(factor) => {
                        set.retain(|value| value % factor == 0);
                        model.retain(|value| value % factor == 0);
                    }
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.len(), model.len());
            }
            for value in -50..50 {
                prop_assert_eq!(set.contains(value), model.contains(&value));
            }
        }
    }
}
