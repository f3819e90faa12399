//! A run of entries of a stream in one piece of memory, laid out as a node of a Redis stream, which is a listpack:
//!
//! ```text
//! entries, deleted entries, names, name…, 0                       the head
//! flags, ms, seq, value…, elements                                an entry with the names of the head
//! flags, ms, seq, fields, name, value…, elements                  an entry with names of its own
//! ```
//!
//! Times and sequence numbers count from the id under which the block is kept, the number of elements at an entry's
//! end is for those who come from behind. A deleted entry stays with a flag set until its whole block goes.

use super::check;
use super::entry::{DELETED, Found, Reader, SHARES_NAMES, Scan, ScanBack};
use super::id::StreamId;
use super::listpack::{self, ELEMENTS_UNKNOWN, END, HEAD_BYTES};
use crate::values::heap::size_class;
use crate::values::text::Text;

/// Most bytes of an entry's own integers: flags, two numbers of 64 bits, two that count what is there. And the byte at
/// the block's end.
const ENTRY_INTEGERS_BYTES_MAX: usize = 2 + 10 + 10 + 6 + 6 + 1;
/// Most bytes of the head's integers, in a block without entries.
const HEAD_INTEGERS_BYTES_MAX: usize = 2 + 2 + 6 + 2;

/// How many words there are, and how many bytes they take at most.
fn sizes<'w>(words: impl Iterator<Item = &'w [u8]>) -> (usize, usize) {
    words.fold((0, 0), |(count, bytes), word| {
        (count + 1, bytes + listpack::text_bytes_max(word.len()))
    })
}

/// Entries one behind the other.
#[derive(Clone, Debug)]
pub struct Block {
    bytes: Vec<u8>,
}

/// What the head of a block says.
#[derive(Clone, Copy)]
struct Head {
    live: i64,
    deleted_at: usize,
    deleted: i64,
    names: usize,
    names_at: usize,
}

impl Block {
    /// A block without entries, whose head has the names among `words`: name, value, name, value… There is room
    /// for an entry of these words.
    pub fn new<'w>(words: impl Iterator<Item = &'w [u8]> + Clone) -> Self {
        let names = words.clone().step_by(2);
        let (count, names_bytes) = sizes(names.clone());
        let needed = HEAD_BYTES + HEAD_INTEGERS_BYTES_MAX + names_bytes + ENTRY_INTEGERS_BYTES_MAX;
        let (_, values_bytes) = sizes(words.skip(1).step_by(2));
        let mut bytes = Vec::with_capacity(size_class(needed + values_bytes));
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        for number in [0, 0, count as i64] {
            listpack::push_integer(&mut bytes, number);
        }
        names.for_each(|name| listpack::push_text(&mut bytes, name));
        listpack::push_integer(&mut bytes, 0);
        let mut block = Self { bytes };
        block.finish(count + 4);
        block
    }

    /// A block out of the bytes of a Redis node that is kept under `first`. None if they are not those of one: then
    /// using them could go astray. O(bytes).
    pub fn load(first: StreamId, node: &[u8]) -> Option<Self> {
        check::is_block(first, node).then(|| Self { bytes: node.to_vec() })
    }

    /// The bytes of the Redis node that this is.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes the block has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of heap.
    pub fn heap_bytes(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// How many entries there are that are not deleted.
    pub fn live(&self) -> u64 {
        listpack::get_integer(&self.bytes, HEAD_BYTES).0 as u64
    }

    /// How many entries there are, deleted ones included.
    pub fn entries(&self) -> u64 {
        let head = self.head();
        (head.live + head.deleted) as u64
    }

    /// Appends an entry of the fields and values `words`. The block is kept under `first`.
    pub fn append<'w>(
        &mut self,
        first: StreamId,
        id: StreamId,
        words: impl Iterator<Item = &'w [u8]> + Clone,
    ) {
        self.set_integer(HEAD_BYTES, self.head().live + 1);
        let head = self.head();
        self.bytes.pop();
        let fields = words.clone().step_by(2).count();
        let elements = if self.has_names(&head, words.clone(), fields) {
            self.push_entry(SHARES_NAMES, first, id, None, words.skip(1).step_by(2))
        } else {
            self.push_entry(0, first, id, Some(fields), words)
        };
        self.finish(elements);
    }

    /// Pushes the elements of an entry; tells how many these are.
    fn push_entry<'w>(
        &mut self,
        flags: i64,
        first: StreamId,
        id: StreamId,
        fields: Option<usize>,
        words: impl Iterator<Item = &'w [u8]> + Clone,
    ) -> usize {
        let (count, words_bytes) = sizes(words.clone());
        self.make_room(ENTRY_INTEGERS_BYTES_MAX + words_bytes);
        let bytes = &mut self.bytes;
        listpack::push_integer(bytes, flags);
        listpack::push_integer(bytes, id.ms.wrapping_sub(first.ms) as i64);
        listpack::push_integer(bytes, id.seq.wrapping_sub(first.seq) as i64);
        if let Some(fields) = fields {
            listpack::push_integer(bytes, fields as i64);
        }
        words.for_each(|word| listpack::push_text(bytes, word));
        let elements = 3 + usize::from(fields.is_some()) + count;
        listpack::push_integer(bytes, elements as i64);
        elements + 1
    }

    /// Gives back memory that was kept for more entries.
    pub fn shrink(&mut self) {
        let class = size_class(self.bytes.len());
        if class < self.bytes.capacity() {
            self.bytes.shrink_to(class);
        }
    }

    /// All entries, deleted ones too, from the first on.
    pub fn scan(&self, first: StreamId) -> Scan<'_> {
        self.reader(first).scan()
    }

    /// The same, but without some of the entries before `start`. O(entries from there on).
    pub fn scan_from(&self, first: StreamId, start: StreamId) -> Scan<'_> {
        self.reader(first).scan_from(start)
    }

    /// All entries, deleted ones too, from the last on.
    pub fn scan_back(&self, first: StreamId) -> ScanBack<'_> {
        self.reader(first).scan_back()
    }

    fn reader(&self, first: StreamId) -> Reader<'_> {
        let Head { names, names_at, .. } = self.head();
        Reader {
            bytes: &self.bytes,
            first,
            names,
            names_at,
        }
    }

    /// The entry `id`, unless there is none or it is deleted. O(entries).
    pub fn find(&self, first: StreamId, id: StreamId) -> Option<Found<'_>> {
        self.scan(first)
            .find(|found| found.entry.id == id && !found.deleted)
    }

    /// Marks entries that are not deleted yet as such, given where [`Found::at`] says that they are.
    pub fn delete(&mut self, positions: impl Iterator<Item = usize>) {
        let mut count = 0;
        for at in positions {
            self.bytes[at] |= DELETED as u8;
            count += 1;
        }
        let head = self.head();
        // From the back, so that the other does not move meanwhile.
        self.set_integer(head.deleted_at, head.deleted + count);
        self.set_integer(HEAD_BYTES, head.live - count);
    }

    fn head(&self) -> Head {
        let bytes = &self.bytes;
        let (live, deleted_at) = listpack::get_integer(bytes, HEAD_BYTES);
        let (deleted, names_count_at) = listpack::get_integer(bytes, deleted_at);
        let (names, names_at) = listpack::get_integer(bytes, names_count_at);
        Head {
            live,
            deleted_at,
            deleted,
            names: names as usize,
            names_at,
        }
    }

    /// Whether the head has the names of `count` fields among `words`.
    fn has_names<'w>(&self, head: &Head, words: impl Iterator<Item = &'w [u8]>, count: usize) -> bool {
        let mut at = head.names_at;
        count == head.names
            && words.step_by(2).all(|word| {
                let (name, next) = listpack::get(&self.bytes, at);
                at = next;
                match name {
                    Text::Bytes(name) => name == word,
                    Text::Int(_) => name == Text::new(word),
                }
            })
    }

    /// Sees that `additional` bytes fit. Grows by half, as most blocks go on growing.
    fn make_room(&mut self, additional: usize) {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity - len < additional {
            let wanted = size_class((len + additional).max(len + len / 2));
            self.bytes.reserve_exact(wanted - len);
        }
    }

    /// Puts another integer in the place of the one at `at`.
    fn set_integer(&mut self, at: usize, number: i64) {
        let (encoded, len) = listpack::encode_integer(number);
        let old = at..listpack::next(&self.bytes, at) - 1;
        if old.len() == len {
            self.bytes[old].copy_from_slice(&encoded[..len]);
        } else {
            // The length behind an integer has one byte.
            self.bytes.splice(
                old.start..=old.end,
                encoded[..len].iter().copied().chain([len as u8]),
            );
            self.tell_length();
        }
    }

    /// Ends the block behind what was just appended: so many elements.
    fn finish(&mut self, appended: usize) {
        self.bytes.push(END);
        let elements = usize::from(listpack::told_elements(&self.bytes));
        let elements = (elements + appended).min(usize::from(ELEMENTS_UNKNOWN)) as u16;
        self.bytes[4..HEAD_BYTES].copy_from_slice(&elements.to_le_bytes());
        self.tell_length();
    }

    fn tell_length(&mut self) {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
    }
}
