//! One key with its value and deadline, in one allocation behind a thin pointer.
//!
//! ```text
//! byte 0      kind (3 bits), flags (2 bits), deadline class (3 bits)
//! byte 1      feed generation, see `tiers`
//! bytes 2–5   rank, owned by the eviction policy
//! 8 bytes     deadline in Unix milliseconds, only with HAS_DEADLINE
//! varint      key length, then the key
//! Int:        8 bytes
//! Text:       varint value length, then the value
//! ```
//!
//! Numbers are little-endian and unaligned; lengths are LEB128 varints. A block is always allocated with the
//! size of its [`size_class`], so that its layout can be derived from its contents and a new value of the same
//! class is written in place.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::values::text::Text;

const GENERATION_AT: usize = 1;
const RANK_AT: usize = 2;
const DEADLINE_AT: usize = 6;
const FIXED_BYTES: usize = 6;
const DEADLINE_BYTES: usize = 8;
const INT_BYTES: usize = 8;

const KIND_MASK: u8 = 0x07;
const HAS_DEADLINE: u8 = 0x08;
const EDITED: u8 = 0x10;
const DEADLINE_CLASS_SHIFT: u32 = 5;

/// What an entry's block holds as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes.
    Text = 0,
    /// A text whose bytes are the canonical decimal form of a 64-bit integer.
    Int = 1,
}

/// An owned entry. Dropping it frees its block.
#[repr(transparent)]
pub struct Entry(NonNull<u8>);

/// An entry to look at.
#[derive(Clone, Copy)]
pub struct EntryRef<'a>(NonNull<u8>, PhantomData<&'a Entry>);

// SAFETY: an entry owns its block exclusively, like a `Box<[u8]>`.
unsafe impl Send for Entry {}
// SAFETY: shared access only reads the block.
unsafe impl Sync for Entry {}

/// Where the parts of a block lie.
#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    has_deadline: bool,
    key_len: usize,
    value_len: usize,
}

impl Shape {
    fn key_at(self) -> usize {
        head_bytes(self.has_deadline) + varint_bytes(self.key_len)
    }

    fn value_at(self) -> usize {
        let key_end = self.key_at() + self.key_len;
        match self.kind {
            Kind::Int => key_end,
            Kind::Text => key_end + varint_bytes(self.value_len),
        }
    }

    fn block_bytes(self) -> usize {
        size_class(self.value_at() + self.value_len)
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.block_bytes(), 1).expect("an entry is smaller than isize::MAX")
    }
}

impl Entry {
    /// Makes an entry that holds `value`; text that is a canonical integer is the caller's to recognise.
    pub fn new(key: &[u8], value: Text<'_>, deadline_ms: Option<u64>) -> Self {
        let shape = shape_for(key.len(), value, deadline_ms);
        let layout = shape.layout();
        // SAFETY: the layout's size is not zero: a block has at least its fixed part.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        assert!(
            block.as_ptr() as usize >> 48 == 0,
            "user-space addresses fit in 48 bits"
        );
        // SAFETY: the block has room for what its shape describes, and nobody else sees it yet.
        unsafe {
            ptr::write_bytes(block.as_ptr(), 0, FIXED_BYTES);
            write_head(block, shape, deadline_ms);
            ptr::copy_nonoverlapping(key.as_ptr(), block.as_ptr().add(shape.key_at()), key.len());
            write_value(block, shape, value);
        }
        Self(block)
    }

    /// The entry to look at.
    #[inline]
    pub fn view(&self) -> EntryRef<'_> {
        EntryRef(self.0, PhantomData)
    }

    /// Replaces the eviction policy's bits.
    #[inline]
    pub fn set_rank(&mut self, rank: u32) {
        self.put(RANK_AT, rank.to_le_bytes());
    }

    /// Notes in which class `expiry` counts the deadline. Replacing value or deadline forgets it.
    #[inline]
    pub fn set_deadline_class(&mut self, class: u8) {
        let rest = self.view().byte(0) & !(0xff << DEADLINE_CLASS_SHIFT);
        self.put(0, [rest | class << DEADLINE_CLASS_SHIFT]);
    }

    /// Marks the value as stored under `generation` of the invalidation feed.
    pub fn set_generation(&mut self, generation: u8) {
        self.put(GENERATION_AT, [generation]);
    }

    /// Replaces value and deadline; rank and generation stay. Writes in place when the size class is the same.
    #[inline]
    pub fn replace(&mut self, value: Text<'_>, deadline_ms: Option<u64>) {
        let old = self.view().shape();
        let new = shape_for(old.key_len, value, deadline_ms);
        if new.block_bytes() == old.block_bytes() {
            // SAFETY: old and new shape both fit the block; the value is not borrowed from it, since the
            // caller holds it mutably.
            unsafe {
                move_key(self.0, old, new);
                write_head(self.0, new, deadline_ms);
                write_value(self.0, new, value);
            }
            return;
        }
        let mut fresh = Self::new(self.view().key(), value, deadline_ms);
        fresh.set_rank(self.view().rank());
        fresh.set_generation(self.view().generation());
        *self = fresh;
    }

    /// Sets or clears the deadline; the value stays, and stays marked as edited if it was.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        if self.view().has_deadline() == deadline_ms.is_some() {
            if let Some(at) = deadline_ms {
                self.put_deadline(at);
            }
            return;
        }
        *self = self.view().copied(self.view().key(), deadline_ms);
    }

    /// Lends the value's bytes for editing, grown with zero bytes to `len` if it is shorter; an integer becomes
    /// its digits first. Marks the value as edited. O(1) amortised over growing edits, beside the zeroing.
    pub fn edit(&mut self, len: usize) -> &mut [u8] {
        if let Text::Int(number) = self.view().value() {
            let mut digits = itoa::Buffer::new();
            self.replace(
                Text::Bytes(digits.format(number).as_bytes()),
                self.view().deadline_ms(),
            );
        }
        let old = self.view().shape();
        if len > old.value_len {
            self.grow_value(old, len);
        }
        self.put(0, [self.view().byte(0) | EDITED]);
        let shape = self.view().shape();
        // SAFETY: the value's bytes are initialised and belong to this block, which is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(shape.value_at()), shape.value_len) }
    }

    /// Gives up ownership; only [`Entry::from_address`] may take it back. The upper 16 bits are zero.
    pub(super) fn into_address(self) -> u64 {
        let address = self.0.as_ptr().expose_provenance() as u64;
        std::mem::forget(self);
        address
    }

    /// Takes back an entry that [`Entry::into_address`] gave up.
    ///
    /// # Safety
    /// `address` came from `into_address`, and ownership was not taken back since.
    pub(super) unsafe fn from_address(address: u64) -> Self {
        let block = ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: the caller vouches that this is the address of a block, hence not null.
        Self(unsafe { NonNull::new_unchecked(block) })
    }

    fn grow_value(&mut self, old: Shape, len: usize) {
        let new = Shape {
            value_len: len,
            ..old
        };
        if new.block_bytes() != old.block_bytes() {
            // SAFETY: the block was allocated with the layout of its shape, and the new size is not zero.
            let block = unsafe { realloc(self.0.as_ptr(), old.layout(), new.block_bytes()) };
            let Some(block) = NonNull::new(block) else {
                handle_alloc_error(new.layout())
            };
            assert!(
                block.as_ptr() as usize >> 48 == 0,
                "user-space addresses fit in 48 bits"
            );
            self.0 = block;
        }
        let base = self.0.as_ptr();
        // SAFETY: both value ranges lie inside the block, which now has the size of the new shape. The value is
        // moved before the longer varint overwrites its first bytes.
        unsafe {
            ptr::copy(base.add(old.value_at()), base.add(new.value_at()), old.value_len);
            ptr::write_bytes(base.add(new.value_at() + old.value_len), 0, len - old.value_len);
            write_varint(base.add(new.key_at() + new.key_len), len);
        }
    }

    fn put_deadline(&mut self, at_ms: u64) {
        self.put(DEADLINE_AT, at_ms.to_le_bytes());
    }

    #[inline]
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        // SAFETY: as in `array`; the entry is borrowed mutably.
        unsafe { self.0.as_ptr().add(at).cast::<[u8; N]>().write(bytes) }
    }
}

impl<'a> EntryRef<'a> {
    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let head = head_bytes(self.has_deadline());
        let (len, width) = self.varint(head);
        self.bytes(head + width, len)
    }

    /// The value.
    #[inline]
    pub fn value(self) -> Text<'a> {
        let key = self.key();
        let key_end = key.as_ptr() as usize + key.len() - self.0.as_ptr() as usize;
        match self.kind() {
            Kind::Int => Text::Int(i64::from_le_bytes(self.array(key_end))),
            Kind::Text => {
                let (len, width) = self.varint(key_end);
                Text::Bytes(self.bytes(key_end + width, len))
            }
        }
    }

    /// What the value is stored as.
    #[inline]
    pub fn kind(self) -> Kind {
        match self.byte(0) & KIND_MASK {
            0 => Kind::Text,
            _ => Kind::Int,
        }
    }

    /// When the entry dies, in Unix milliseconds; `None` means never.
    #[inline]
    pub fn deadline_ms(self) -> Option<u64> {
        self.has_deadline()
            .then(|| u64::from_le_bytes(self.array(DEADLINE_AT)))
    }

    /// The class in which `expiry` counts the deadline.
    #[inline]
    pub fn deadline_class(self) -> u8 {
        self.byte(0) >> DEADLINE_CLASS_SHIFT
    }

    /// Whether the value was edited in place (APPEND, SETRANGE, SETBIT…), which Redis reports as encoding `raw`.
    pub fn is_edited(self) -> bool {
        self.byte(0) & EDITED != 0
    }

    /// The eviction policy's bits.
    #[inline]
    pub fn rank(self) -> u32 {
        u32::from_le_bytes(self.array(RANK_AT))
    }

    /// The generation of the invalidation feed under which the value was stored.
    #[inline]
    pub fn generation(self) -> u8 {
        self.byte(GENERATION_AT)
    }

    /// Redis's name for the type of the value.
    pub fn type_name(self) -> &'static str {
        match self.kind() {
            Kind::Text | Kind::Int => "string",
        }
    }

    /// An entry with another key and everything else the same.
    pub fn copied_for(self, key: &[u8]) -> Entry {
        self.copied(key, self.deadline_ms())
    }

    fn copied(self, key: &[u8], deadline_ms: Option<u64>) -> Entry {
        let mut copy = Entry::new(key, self.value(), deadline_ms);
        copy.set_rank(self.rank());
        copy.set_generation(self.generation());
        copy.put(0, [copy.view().byte(0) | self.byte(0) & EDITED]);
        copy
    }

    /// Bytes of the entry's allocation. O(1).
    pub fn allocated_bytes(self) -> usize {
        self.shape().block_bytes()
    }

    /// The entry behind an address that [`Entry::into_address`] gave.
    ///
    /// # Safety
    /// The entry is not changed or dropped for as long as `'a`.
    #[inline]
    pub(super) unsafe fn from_address(address: u64) -> Self {
        let block = ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: the caller vouches that this is the address of a block, hence not null.
        Self(unsafe { NonNull::new_unchecked(block) }, PhantomData)
    }

    #[inline]
    fn has_deadline(self) -> bool {
        self.byte(0) & HAS_DEADLINE != 0
    }

    #[inline]
    fn shape(self) -> Shape {
        let has_deadline = self.has_deadline();
        let head = head_bytes(has_deadline);
        let (key_len, width) = self.varint(head);
        let kind = self.kind();
        let value_len = match kind {
            Kind::Int => INT_BYTES,
            Kind::Text => self.varint(head + width + key_len).0,
        };
        Shape {
            kind,
            has_deadline,
            key_len,
            value_len,
        }
    }

    #[inline]
    fn byte(self, at: usize) -> u8 {
        let [byte] = self.array(at);
        byte
    }

    #[inline]
    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        // SAFETY: callers name a field that the block's flags say is there; alignment of bytes is 1.
        unsafe { self.0.as_ptr().add(at).cast::<[u8; N]>().read() }
    }

    #[inline]
    fn bytes(self, at: usize, len: usize) -> &'a [u8] {
        // SAFETY: `at` and `len` were read from the block itself, whose parts are initialised.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    /// The varint at `at` and its width in bytes.
    #[inline]
    fn varint(self, at: usize) -> (usize, usize) {
        let first = self.byte(at);
        if first < 0x80 {
            return (usize::from(first), 1);
        }
        let mut value = usize::from(first & 0x7f);
        let mut width = 1;
        loop {
            let byte = self.byte(at + width);
            value |= usize::from(byte & 0x7f) << (7 * width);
            width += 1;
            if byte < 0x80 {
                return (value, width);
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with the layout of its shape and is not used again.
        unsafe { dealloc(self.0.as_ptr(), self.view().shape().layout()) }
    }
}

/// The size that the allocator gives for a request of `bytes`: multiples of 16 up to 128, then four classes per
/// doubling. These are jemalloc's classes (jemalloc(3), "size classes"), so rounding up costs nothing.
#[inline]
pub fn size_class(bytes: usize) -> usize {
    if bytes <= 128 {
        return bytes.next_multiple_of(16);
    }
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

fn shape_for(key_len: usize, value: Text<'_>, deadline_ms: Option<u64>) -> Shape {
    let (kind, value_len) = match value {
        Text::Int(_) => (Kind::Int, INT_BYTES),
        Text::Bytes(bytes) => (Kind::Text, bytes.len()),
    };
    Shape {
        kind,
        has_deadline: deadline_ms.is_some(),
        key_len,
        value_len,
    }
}

#[inline]
fn head_bytes(has_deadline: bool) -> usize {
    FIXED_BYTES + if has_deadline { DEADLINE_BYTES } else { 0 }
}

#[inline]
fn varint_bytes(value: usize) -> usize {
    if value < 0x80 {
        1
    } else {
        (value.ilog2() as usize) / 7 + 1
    }
}

/// Writes `value` as a varint.
///
/// # Safety
/// `at` is valid for writing [`varint_bytes`] of `value`.
#[inline]
unsafe fn write_varint(mut at: *mut u8, mut value: usize) {
    while value >= 0x80 {
        // SAFETY: one more byte follows, by the caller's promise.
        unsafe {
            at.write(value as u8 | 0x80);
            at = at.add(1);
        }
        value >>= 7;
    }
    // SAFETY: the last byte of the promise.
    unsafe { at.write(value as u8) }
}

/// Writes kind, flags, deadline and the key's length; leaves rank and generation.
///
/// # Safety
/// `block` has at least the size of `shape`.
#[inline]
unsafe fn write_head(block: NonNull<u8>, shape: Shape, deadline_ms: Option<u64>) {
    let base = block.as_ptr();
    let flags = if shape.has_deadline { HAS_DEADLINE } else { 0 };
    // SAFETY: head and key length lie inside the block.
    unsafe {
        base.write(shape.kind as u8 | flags);
        if let Some(at_ms) = deadline_ms {
            base.add(DEADLINE_AT)
                .cast::<[u8; DEADLINE_BYTES]>()
                .write(at_ms.to_le_bytes());
        }
        write_varint(base.add(head_bytes(shape.has_deadline)), shape.key_len);
    }
}

/// Writes the value and, for text, its length.
///
/// # Safety
/// `block` has at least the size of `shape`, and `value` is the value that the shape was made for.
#[inline]
unsafe fn write_value(block: NonNull<u8>, shape: Shape, value: Text<'_>) {
    let base = block.as_ptr();
    // SAFETY: the value lies inside the block, behind the key.
    unsafe {
        match value {
            Text::Int(number) => base
                .add(shape.value_at())
                .cast::<[u8; 8]>()
                .write(number.to_le_bytes()),
            Text::Bytes(bytes) => {
                write_varint(base.add(shape.key_at() + shape.key_len), bytes.len());
                ptr::copy_nonoverlapping(bytes.as_ptr(), base.add(shape.value_at()), bytes.len());
            }
        }
    }
}

/// Moves the key from where `old` has it to where `new` has it.
///
/// # Safety
/// `block` has at least the size of both shapes and holds a key as `old` describes.
#[inline]
unsafe fn move_key(block: NonNull<u8>, old: Shape, new: Shape) {
    if old.key_at() != new.key_at() {
        // SAFETY: both ranges lie inside the block; they may overlap.
        unsafe {
            ptr::copy(
                block.as_ptr().add(old.key_at()),
                block.as_ptr().add(new.key_at()),
                new.key_len,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn size_classes_are_those_of_the_allocator() {
        let pairs = [
            (1, 16),
            (86, 96),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (1046, 1280),
            (4097, 5120),
        ];
        for (bytes, class) in pairs {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
    }

    #[test]
    fn an_entry_of_64_bytes_costs_16_beyond_key_and_value() {
        let plain = Entry::new(&[b'k'; 16], Text::Bytes(&[b'v'; 64]), None);
        let dated = Entry::new(&[b'k'; 16], Text::Bytes(&[b'v'; 64]), Some(1));
        assert_eq!(
            (plain.view().allocated_bytes(), dated.view().allocated_bytes()),
            (96, 96)
        );
    }

    #[derive(Debug, Clone)]
    enum Step {
        Text(Vec<u8>, Option<u64>),
        Int(i64, Option<u64>),
        Deadline(Option<u64>),
        Edit(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let deadline = || proptest::option::of(any::<u64>());
        prop_oneof![
            (proptest::collection::vec(any::<u8>(), 0..300), deadline()).prop_map(|(v, d)| Step::Text(v, d)),
            (any::<i64>(), deadline()).prop_map(|(v, d)| Step::Int(v, d)),
            deadline().prop_map(Step::Deadline),
            (0usize..40_000).prop_map(Step::Edit),
        ]
    }

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        match entry.view().value() {
            Text::Int(number) => number.to_string().into_bytes(),
            Text::Bytes(bytes) => bytes.to_vec(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]
        #[test]
        fn behaves_like_a_tuple(key in proptest::collection::vec(any::<u8>(), 0..200),
                                steps in proptest::collection::vec(step(), 1..20)) {
            let mut entry = Entry::new(&key, Text::Bytes(b""), None);
            entry.set_rank(0xdead_beef);
            entry.set_generation(7);
            let (mut value, mut deadline) = (Vec::new(), None);
            for step in steps {
                match step {
                    Step::Text(v, d) => {
                        entry.replace(Text::Bytes(&v), d);
                        (value, deadline) = (v, d);
                    }
                    Step::Int(v, d) => {
                        entry.replace(Text::Int(v), d);
                        (value, deadline) = (v.to_string().into_bytes(), d);
                    }
                    Step::Deadline(d) => {
                        entry.set_deadline(d);
                        deadline = d;
                    }
                    Step::Edit(len) => {
                        value.resize(value.len().max(len), 0);
                        let bytes = entry.edit(len);
                        if let (Some(last), Some(model)) = (bytes.last_mut(), value.last_mut()) {
                            *last = b'!';
                            *model = b'!';
                        }
                        prop_assert!(entry.view().is_edited());
                    }
                }
                prop_assert_eq!(entry.view().key(), &key[..]);
                prop_assert_eq!(bytes_of(&entry), &value[..]);
                prop_assert_eq!(entry.view().deadline_ms(), deadline);
                prop_assert_eq!((entry.view().rank(), entry.view().generation()), (0xdead_beef, 7));
            }
        }
    }
}
