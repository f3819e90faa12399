//! Items that are found by their names: the large form of sets and hashes.
//!
//! Items are numbered densely from 0, and removing one gives its number to the last. So a number below
//! [`Table::len`] drawn at random is a fair choice, and [`Table::scan`] walks the numbers downward: an item that is
//! moved meanwhile goes to a smaller number, which is still to come or belonged to one that was visited.
//!
//! No operation on one item takes long, however many there are. Items stand in chunks, so that growing moves at most
//! one chunk. The index from names to numbers is an extendible hash table (Fagin, Nievergelt, Pippenger, Strong
//! 1979): a directory of segments, of which a full one is split in two.

use ahash::RandomState;
use hashbrown::HashTable;

use super::heap::size_class;

/// Items in a chunk; a power of two.
const CHUNK_ITEMS: usize = 1 << 12;

/// Entries of a segment that is split before it takes another: seven eighths of 8,192 buckets, so that splitting
/// takes some 0.2 ms.
const SEGMENT_ENTRIES_MAX: usize = 7 << 10;

/// Splitting ends here, for hashes that are not told apart by so many bits.
const DEPTH_MAX: u32 = 24;

/// Bits of a hash that `hashbrown` uses as its tag, from the top; those of the directory stand below them.
const TAG_BITS: u32 = 7;

/// What a [`Table`] holds.
pub trait Named {
    /// What it is found by. Does not change while it is in a table.
    fn name(&self) -> &[u8];

    /// Bytes of heap that it owns beside the struct itself, as the allocator rounds them. O(1).
    fn heap_bytes(&self) -> usize;
}

/// Items with different names, numbered from 0. Fewer than 2³² of them.
#[derive(Debug)]
pub struct Table<T> {
    hasher: RandomState,
    chunks: Vec<Vec<T>>,
    len: usize,
    segments: Vec<Segment>,
    /// For each value of the top `depth` bits of a hash (below the tag) the segment that has it.
    directory: Vec<u32>,
    depth: u32,
    /// Bytes of all blocks, those that items own included. A test recounts it.
    heap_bytes: usize,
}

/// The numbers of the items whose hashes begin with the same `depth` bits.
#[derive(Debug, Clone, Default)]
struct Segment {
    numbers: HashTable<u32>,
    depth: u32,
}

impl<T: Named> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Named> Table<T> {
    /// An empty table.
    pub fn new() -> Self {
        let mut table = Self {
            hasher: RandomState::new(),
            chunks: Vec::new(),
            len: 0,
            segments: vec![Segment::default()],
            directory: vec![0],
            depth: 0,
            heap_bytes: 0,
        };
        table.heap_bytes = table.list_bytes();
        table
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of heap that the table and its items own, as the allocator rounds them. O(1).
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// The number of the item called `name`. O(its length).
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.find_hashed(self.hash(name), name)
    }

    /// The item with number `at`, which is below [`Table::len`]. O(1).
    #[inline]
    pub fn get(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK_ITEMS][at % CHUNK_ITEMS]
    }

    /// All items, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.chunks.iter().flatten()
    }

    /// Adds what `make` gives, whose name is `name`, with the number [`Table::len`]. If the name is taken, nothing is
    /// made and the number of the item that has it is the error. O(length of the name).
    pub fn add(&mut self, name: &[u8], make: impl FnOnce() -> T) -> Result<(), usize> {
        let hash = self.hash(name);
        if let Some(at) = self.find_hashed(hash, name) {
            return Err(at);
        }
        let item = make();
        debug_assert_eq!(item.name(), name, "an item is found by its own name");
        self.index(hash, self.len as u32);
        self.push(item);
        Ok(())
    }

    /// Changes the item with number `at`, but not its name. O(1) and what `change` takes.
    pub fn update<R>(&mut self, at: usize, change: impl FnOnce(&mut T) -> R) -> R {
        let item = &mut self.chunks[at / CHUNK_ITEMS][at % CHUNK_ITEMS];
        self.heap_bytes -= item.heap_bytes();
        let result = change(item);
        self.heap_bytes += item.heap_bytes();
        result
    }

    /// Removes the item called `name`; the last one gets its number. O(length of the names of both).
    pub fn remove(&mut self, name: &[u8]) -> Option<T> {
        let hash = self.hash(name);
        let at = self.find_hashed(hash, name)?;
        Some(self.remove_hashed(hash, at))
    }

    /// Removes the item with number `at`, which is below [`Table::len`]; the last one gets its number.
    pub fn remove_at(&mut self, at: usize) -> T {
        self.remove_hashed(self.hash(self.get(at).name()), at)
    }

    /// Goes on with a scan: visits the next `count` items, at least one, and returns the cursor to go on from. 0 begins
    /// a scan and says that it is over. An item that is there from the begin to the end is visited; one that is added
    /// or removed meanwhile may be or not. O(count).
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a T)) -> u64 {
        let end = match usize::try_from(cursor) {
            Ok(cursor) if cursor != 0 => cursor.min(self.len),
            _ => self.len,
        };
        let next = end.saturating_sub(count.max(1));
        for at in (next..end).rev() {
            visit(self.get(at));
        }
        next as u64
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, name: &[u8]) -> Option<usize> {
        let is_it = |number: &u32| self.get(*number as usize).name() == name;
        let number = self.segments[self.segment_of(hash)].numbers.find(hash, is_it)?;
        Some(*number as usize)
    }

    /// Where in `segments` a hash belongs.
    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        self.directory[prefix(hash, self.depth)] as usize
    }

    /// Enters a number of an item that is not in the index.
    fn index(&mut self, hash: u64, number: u32) {
        let mut at = self.segment_of(hash);
        while self.segments[at].numbers.len() >= SEGMENT_ENTRIES_MAX && self.segments[at].depth < DEPTH_MAX {
            self.split(at);
            at = self.segment_of(hash);
        }
        let Self {
            hasher,
            chunks,
            segments,
            ..
        } = self;
        let rehash = |number: &u32| hasher.hash_one(item(chunks, *number).name());
        let numbers = &mut segments[at].numbers;
        if numbers.len() < numbers.capacity() {
            numbers.insert_unique(hash, number, rehash);
            return;
        }
        self.heap_bytes -= size_class(numbers.allocation_size());
        numbers.insert_unique(hash, number, rehash);
        self.heap_bytes += size_class(numbers.allocation_size());
    }

    /// Splits a segment by the next bit of the hashes.
    fn split(&mut self, at: usize) {
        self.heap_bytes -= self.list_bytes();
        if self.segments[at].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment; 2]).collect();
            self.depth += 1;
        }
        let depth = self.segments[at].depth + 1;
        let whole = std::mem::take(&mut self.segments[at].numbers);
        let (low, high) = self.halves(&whole, depth);
        self.heap_bytes -= size_class(whole.allocation_size());
        self.heap_bytes += size_class(low.allocation_size()) + size_class(high.allocation_size());
        self.segments[at] = Segment { numbers: low, depth };
        let new = self.segments.len() as u32;
        self.segments.push(Segment { numbers: high, depth });
        self.heap_bytes += self.list_bytes();
        let is_high = |prefix: usize| prefix >> (self.depth - depth) & 1 == 1;
        for (prefix, segment) in self.directory.iter_mut().enumerate() {
            if *segment == at as u32 && is_high(prefix) {
                *segment = new;
            }
        }
    }

    /// The numbers whose hashes have 0 and 1 as their `depth`th bit.
    fn halves(&self, whole: &HashTable<u32>, depth: u32) -> (HashTable<u32>, HashTable<u32>) {
        let room = || HashTable::with_capacity(whole.len() * 3 / 4);
        let (mut low, mut high) = (room(), room());
        let rehash = |number: &u32| self.hash(self.get(*number as usize).name());
        for number in whole {
            let hash = rehash(number);
            let half = if prefix(hash, depth) & 1 == 0 {
                &mut low
            } else {
                &mut high
            };
            half.insert_unique(hash, *number, rehash);
        }
        (low, high)
    }

    /// Removes the item with this number and hash.
    fn remove_hashed(&mut self, hash: u64, at: usize) -> T {
        let last = self.len - 1;
        self.unindex(hash, at as u32);
        if at != last {
            let hash = self.hash(self.get(last).name());
            let segment = self.segment_of(hash);
            let number = self.segments[segment]
                .numbers
                .find_mut(hash, |number| *number == last as u32);
            *number.expect("every item is in the index") = at as u32;
        }
        let moved = self.pop();
        let removed = if at == last {
            moved
        } else {
            std::mem::replace(&mut self.chunks[at / CHUNK_ITEMS][at % CHUNK_ITEMS], moved)
        };
        self.heap_bytes -= removed.heap_bytes();
        removed
    }

    /// Takes a number out of the index, and gives room back that the index no longer needs.
    fn unindex(&mut self, hash: u64, number: u32) {
        let segment = self.segment_of(hash);
        let numbers = &mut self.segments[segment].numbers;
        let entry = numbers.find_entry(hash, |other| *other == number);
        entry.expect("every item is in the index").remove();
        if numbers.capacity() > 64 && numbers.len() < numbers.capacity() / 8 {
            self.shrink(segment);
        }
    }

    #[cold]
    fn shrink(&mut self, segment: usize) {
        let Self {
            hasher,
            chunks,
            segments,
            ..
        } = self;
        let rehash = |number: &u32| hasher.hash_one(item(chunks, *number).name());
        let numbers = &mut segments[segment].numbers;
        self.heap_bytes -= size_class(numbers.allocation_size());
        numbers.shrink_to(numbers.len() * 2, rehash);
        self.heap_bytes += size_class(numbers.allocation_size());
    }

    fn push(&mut self, item: T) {
        if self.len.is_multiple_of(CHUNK_ITEMS) {
            self.heap_bytes -= self.list_bytes();
            self.chunks.push(Vec::new());
            self.heap_bytes += self.list_bytes();
        }
        self.heap_bytes += item.heap_bytes();
        let chunk = self
            .chunks
            .last_mut()
            .expect("a chunk was just made where there was none");
        if chunk.len() == chunk.capacity() {
            self.heap_bytes -= vec_bytes(chunk);
            grow(chunk);
            self.heap_bytes += vec_bytes(chunk);
        }
        chunk.push(item);
        self.len += 1;
    }

    /// Takes out the last item, which is no longer in the index, and gives room back.
    fn pop(&mut self) -> T {
        let chunk = self.chunks.last_mut().expect("a table with items has chunks");
        let item = chunk.pop().expect("no chunk is empty");
        self.len -= 1;
        if chunk.is_empty() {
            self.heap_bytes -= vec_bytes(chunk);
            self.chunks.pop();
        } else if chunk.capacity() > 16 && chunk.len() < chunk.capacity() / 4 {
            self.heap_bytes -= vec_bytes(chunk);
            chunk.shrink_to(chunk.len() * 2);
            self.heap_bytes += vec_bytes(chunk);
        }
        item
    }

    /// Bytes of the lists of chunks and segments.
    fn list_bytes(&self) -> usize {
        vec_bytes(&self.chunks) + vec_bytes(&self.segments) + vec_bytes(&self.directory)
    }

    /// What `heap_bytes` must be.
    fn count_blocks(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(vec_bytes).sum();
        let index = |segment: &Segment| size_class(segment.numbers.allocation_size());
        let items: usize = self.iter().map(Named::heap_bytes).sum();
        self.list_bytes() + chunks + self.segments.iter().map(index).sum::<usize>() + items
    }
}

/// A copy has exactly the room that it needs, so its bytes are counted anew.
impl<T: Named + Clone> Clone for Table<T> {
    fn clone(&self) -> Self {
        let mut copy = Self {
            hasher: self.hasher.clone(),
            chunks: self.chunks.clone(),
            len: self.len,
            segments: self.segments.clone(),
            directory: self.directory.clone(),
            depth: self.depth,
            heap_bytes: 0,
        };
        copy.heap_bytes = copy.count_blocks();
        copy
    }
}

#[inline]
fn item<T>(chunks: &[Vec<T>], number: u32) -> &T {
    let at = number as usize;
    &chunks[at / CHUNK_ITEMS][at % CHUNK_ITEMS]
}

/// The first `depth` bits of a hash below the tag.
#[inline]
fn prefix(hash: u64, depth: u32) -> usize {
    (hash << TAG_BITS).checked_shr(u64::BITS - depth).unwrap_or(0) as usize
}

/// Makes room for a quarter more, as much as the allocator gives anyway, but not for more than a chunk.
fn grow<T>(chunk: &mut Vec<T>) {
    let wanted = chunk.len() + (chunk.len() / 4).max(4);
    let given = size_class(wanted * size_of::<T>()) / size_of::<T>();
    chunk.reserve_exact(given.min(CHUNK_ITEMS) - chunk.len());
}

#[inline]
fn vec_bytes<T>(vec: &Vec<T>) -> usize {
    size_class(vec.capacity() * size_of::<T>())
}

#[cfg(test)]
mod tests;
