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
//! Packed:     varint length of the packed value, then that
//! others:     8 bytes, the address of the object (see `object`), which the entry owns
//! ```
//!
//! Numbers are little-endian and unaligned; lengths are LEB128 varints. A block is always allocated with the
//! size of its [`size_class`], so that its layout can be derived from its contents and a new value of the same
//! class is written in place.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::object::{Object, ObjectRef, Stored, Value};
use crate::values::compression::{self, Packed};
use crate::values::hash::Hash;
use crate::values::heap::size_class;
use crate::values::text::Text;

const GENERATION_AT: usize = 1;
const RANK_AT: usize = 2;
const DEADLINE_AT: usize = 6;
const FIXED_BYTES: usize = 6;
const DEADLINE_BYTES: usize = 8;
const WORD_BYTES: usize = 8;

const KIND_MASK: u8 = 0x07;
const HAS_DEADLINE: u8 = 0x08;
const EDITED: u8 = 0x10;
/// Of a hash, which is never marked as edited: a field of it has a deadline.
const FIELDS_DIE: u8 = EDITED;
const DEADLINE_CLASS_SHIFT: u32 = 5;

/// What an entry's block holds as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes.
    Text = 0,
    /// A text whose bytes are the canonical decimal form of a 64-bit integer.
    Int = 1,
    /// A hash.
    Hash = 2,
    /// A list.
    List = 3,
    /// A set.
    Set = 4,
    /// A sorted set.
    SortedSet = 5,
    /// A stream.
    Stream = 6,
    /// A text as [`compression::pack`] gave it.
    Packed = 7,
}

impl Kind {
    /// The kinds by their numbers.
    const ALL: [Self; 8] = [
        Self::Text,
        Self::Int,
        Self::Hash,
        Self::List,
        Self::Set,
        Self::SortedSet,
        Self::Stream,
        Self::Packed,
    ];

    #[inline]
    fn is_object(self) -> bool {
        (Self::Hash as u8..=Self::Stream as u8).contains(&(self as u8))
    }

    /// Whether the value is bytes behind their length.
    #[inline]
    fn is_bytes(self) -> bool {
        matches!(self, Self::Text | Self::Packed)
    }
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

/// The value of an entry as it is stored.
enum Content<'a> {
    Text(Text<'a>),
    Packed(&'a [u8]),
    Object(ObjectRef<'a>),
}

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
        if self.kind.is_bytes() {
            key_end + varint_bytes(self.value_len)
        } else {
            key_end
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
        Self::build(key, shape_for(key.len(), value, deadline_ms), value, deadline_ms)
    }

    /// Makes an entry that holds a packed text.
    pub fn of_packed(key: &[u8], packed: &Packed, deadline_ms: Option<u64>) -> Self {
        Self::of_packed_bytes(key, packed, deadline_ms)
    }

    fn of_packed_bytes(key: &[u8], packed: &[u8], deadline_ms: Option<u64>) -> Self {
        let shape = Shape {
            kind: Kind::Packed,
            ..shape_for(key.len(), Text::Bytes(packed), deadline_ms)
        };
        Self::build(key, shape, Text::Bytes(packed), deadline_ms)
    }

    /// Makes an entry that holds an object.
    pub fn of_object(key: &[u8], object: Object, deadline_ms: Option<u64>) -> Self {
        let shape = Shape {
            kind: object.kind(),
            has_deadline: deadline_ms.is_some(),
            key_len: key.len(),
            value_len: WORD_BYTES,
        };
        let address = object.into_raw().expose_provenance();
        let mut entry = Self::build(key, shape, Text::Int(address as i64), deadline_ms);
        entry.note_field_deadlines();
        entry
    }

    /// Makes an entry; an object's address is given as the integer that has its bits, a packed text as its bytes.
    fn build(key: &[u8], shape: Shape, value: Text<'_>, deadline_ms: Option<u64>) -> Self {
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

    /// Notes in which class `expiry` counts when it is due. Replacing value or deadline forgets it.
    #[inline]
    pub fn set_deadline_class(&mut self, class: u8) {
        let rest = self.view().byte(0) & !(0xff << DEADLINE_CLASS_SHIFT);
        self.put(0, [rest | class << DEADLINE_CLASS_SHIFT]);
    }

    /// Notes whether fields have deadlines; to be called whenever a structure was changed.
    #[inline]
    pub(super) fn note_field_deadlines(&mut self) {
        if let Some(hash) = self.view().get::<Hash>() {
            let flag = if hash.earliest_deadline_ms().is_some() {
                FIELDS_DIE
            } else {
                0
            };
            self.put(0, [self.view().byte(0) & !FIELDS_DIE | flag]);
        }
    }

    /// Marks the value as stored under `generation` of the invalidation feed.
    pub fn set_generation(&mut self, generation: u8) {
        self.put(GENERATION_AT, [generation]);
    }

    /// Replaces value and deadline; rank and generation stay. Writes in place when the size class is the same.
    #[inline]
    pub fn replace(&mut self, value: Text<'_>, deadline_ms: Option<u64>) {
        drop(self.take_object());
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
        let fresh = self.moved(None, deadline_ms);
        *self = fresh;
    }

    /// The entry under another key, with everything else the same. An object is moved, not copied.
    #[must_use]
    pub fn renamed(mut self, key: &[u8]) -> Self {
        let deadline_ms = self.view().deadline_ms();
        self.moved(Some(key), deadline_ms)
    }

    /// The structure that the entry holds, to be changed; `None` if it holds something else.
    #[inline]
    pub fn get_mut<T: Stored>(&mut self) -> Option<&mut T> {
        let view = self.view();
        (view.kind() == T::KIND).then(|| {
            let pointer = ptr::with_exposed_provenance_mut::<T>(view.word() as usize);
            // SAFETY: the entry owns the object, of which its kind tells the type, and is borrowed mutably.
            unsafe { &mut *pointer }
        })
    }

    /// Everything of this entry in a new one with this key (its own if there is none) and this deadline. An object
    /// goes with it; then this entry holds a number.
    fn moved(&mut self, key: Option<&[u8]>, deadline_ms: Option<u64>) -> Self {
        let view = self.view();
        let flags = view.byte(0) & EDITED;
        let (rank, generation) = (view.rank(), view.generation());
        let key = key.unwrap_or(view.key());
        let mut fresh = match self.view().content() {
            Content::Text(text) => Self::new(key, text, deadline_ms),
            Content::Packed(bytes) => Self::of_packed_bytes(key, bytes, deadline_ms),
            Content::Object(_) => {
                // The view of the key ends before the object is taken: it is copied first.
                let key: smallvec::SmallVec<[u8; 64]> = key.into();
                let object = self.take_object().expect("the entry holds an object");
                Self::of_object(&key, object, deadline_ms)
            }
        };
        fresh.set_rank(rank);
        fresh.set_generation(generation);
        fresh.put(0, [fresh.view().byte(0) | flags]);
        fresh
    }

    /// Takes over what the entry of another says beside key, value and deadline.
    fn inherit(&mut self, other: EntryRef<'_>) {
        self.set_rank(other.rank());
        self.set_generation(other.generation());
        self.put(0, [self.view().byte(0) | other.byte(0) & EDITED]);
    }

    /// Takes the object out, if there is one; then the entry holds a number of no meaning.
    fn take_object(&mut self) -> Option<Object> {
        let view = self.view();
        let kind = view.kind();
        if !kind.is_object() {
            return None;
        }
        let pointer = ptr::with_exposed_provenance_mut(view.word() as usize);
        self.put(0, [view.byte(0) & !KIND_MASK | Kind::Int as u8]);
        // SAFETY: the address is that of an object of this kind, which the entry owned until the line above.
        unsafe { Object::from_raw(kind, pointer) }
    }

    /// Lends the value's bytes for editing, grown with zero bytes to `len` if it is shorter; an integer becomes
    /// its digits first, and something else than a text is dropped. Marks the value as edited. O(1) amortised over
    /// growing edits, beside the zeroing.
    pub fn edit(&mut self, len: usize) -> &mut [u8] {
        if self.view().is_packed() {
            *self = self.view().unpacked();
        }
        if self.view().kind().is_object() {
            self.replace(Text::Bytes(b""), self.view().deadline_ms());
        }
        if let Value::Text(Text::Int(number)) = self.view().value() {
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

    /// The value, if it is a text. One that is packed has to be unpacked first.
    #[inline]
    pub fn text(self) -> Option<Text<'a>> {
        match self.kind() {
            Kind::Text => {
                let at = self.key_end();
                let (len, width) = self.varint(at);
                Some(Text::Bytes(self.bytes(at + width, len)))
            }
            Kind::Int => Some(Text::Int(self.word() as i64)),
            _ => None,
        }
    }

    /// The value, if it is a structure of this type.
    #[inline]
    pub fn get<T: Stored>(self) -> Option<&'a T> {
        (self.kind() == T::KIND).then(|| {
            let pointer = ptr::with_exposed_provenance::<T>(self.word() as usize);
            // SAFETY: the entry owns the object, of which its kind tells the type, and is borrowed.
            unsafe { &*pointer }
        })
    }

    /// Whether the value is a text that is packed: see [`EntryRef::unpacked`].
    #[inline]
    pub(super) fn is_packed(self) -> bool {
        self.kind() == Kind::Packed
    }

    /// Whether the value is a structure.
    #[inline]
    pub(super) fn is_object(self) -> bool {
        self.kind().is_object()
    }

    /// The entry with its text unpacked, and everything else the same. Linear in the value.
    pub(super) fn unpacked(self) -> Entry {
        let text = match self.content() {
            Content::Packed(bytes) => {
                compression::unpack(bytes, usize::MAX).expect("the bytes were made by packing a text")
            }
            _ => unreachable!("only packed texts are unpacked"),
        };
        let mut plain = Entry::new(self.key(), Text::Bytes(&text), self.deadline_ms());
        plain.inherit(self);
        plain
    }

    /// The value, if it is a structure.
    pub fn object(self) -> Option<ObjectRef<'a>> {
        if !self.kind().is_object() {
            return None;
        }
        let pointer = ptr::with_exposed_provenance(self.word() as usize);
        // SAFETY: the entry owns the object, of which its kind tells the type, and is borrowed.
        unsafe { ObjectRef::from_raw(self.kind(), pointer) }
    }

    /// The value, which is not packed.
    pub fn value(self) -> Value<'a> {
        match self.content() {
            Content::Text(text) => Value::Text(text),
            Content::Object(object) => Value::Object(object),
            Content::Packed(_) => unreachable!("a key shows a packed text unpacked"),
        }
    }

    /// The value as it is stored.
    fn content(self) -> Content<'a> {
        if self.is_packed() {
            let at = self.key_end();
            let (len, width) = self.varint(at);
            return Content::Packed(self.bytes(at + width, len));
        }
        match (self.text(), self.object()) {
            (Some(text), _) => Content::Text(text),
            (None, object) => Content::Object(object.expect("a value is a text or an object")),
        }
    }

    /// What the value is stored as.
    #[inline]
    pub fn kind(self) -> Kind {
        Kind::ALL[usize::from(self.byte(0) & KIND_MASK)]
    }

    /// The eight bytes behind the key.
    #[inline]
    fn word(self) -> u64 {
        u64::from_le_bytes(self.array(self.key_end()))
    }

    #[inline]
    fn key_end(self) -> usize {
        let key = self.key();
        key.as_ptr() as usize + key.len() - self.0.as_ptr() as usize
    }

    /// When the entry dies, in Unix milliseconds; `None` means never.
    #[inline]
    pub fn deadline_ms(self) -> Option<u64> {
        self.has_deadline()
            .then(|| u64::from_le_bytes(self.array(DEADLINE_AT)))
    }

    /// When something of the entry dies, in Unix milliseconds: all of it, or the first field of a hash.
    #[inline]
    pub fn due_ms(self) -> Option<u64> {
        if self.byte(0) & (KIND_MASK | FIELDS_DIE) == Kind::Hash as u8 | FIELDS_DIE {
            let fields = self.get::<Hash>().and_then(Hash::earliest_deadline_ms);
            return self.deadline_ms().into_iter().chain(fields).min();
        }
        self.deadline_ms()
    }

    /// The class in which `expiry` counts when it is due.
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
        self.object().map_or("string", ObjectRef::type_name)
    }

    /// An entry with another key and everything else the same. Linear in the value.
    pub fn copied_for(self, key: &[u8]) -> Entry {
        let deadline_ms = self.deadline_ms();
        let mut copy = match self.content() {
            Content::Text(text) => Entry::new(key, text, deadline_ms),
            Content::Packed(bytes) => Entry::of_packed_bytes(key, bytes, deadline_ms),
            Content::Object(object) => Entry::of_object(key, object.cloned(), deadline_ms),
        };
        copy.inherit(self);
        copy
    }

    /// Bytes of the entry's allocation, and of those of its object. O(1).
    #[inline]
    pub fn allocated_bytes(self) -> usize {
        let block = self.shape().block_bytes();
        if !self.kind().is_object() {
            return block;
        }
        block + self.object().map_or(0, ObjectRef::allocated_bytes)
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
        let value_len = if kind.is_bytes() {
            self.varint(head + width + key_len).0
        } else {
            WORD_BYTES
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
        drop(self.take_object());
        // SAFETY: the block was allocated with the layout of its shape and is not used again.
        unsafe { dealloc(self.0.as_ptr(), self.view().shape().layout()) }
    }
}

fn shape_for(key_len: usize, value: Text<'_>, deadline_ms: Option<u64>) -> Shape {
    let (kind, value_len) = match value {
        Text::Int(_) => (Kind::Int, WORD_BYTES),
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
    use crate::values::compression::Method;
    use proptest::prelude::*;

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
        /// So many bytes, packed.
        Packed(usize, Option<u64>),
        Rename,
        Copy,
        Deadline(Option<u64>),
        Edit(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let deadline = || proptest::option::of(any::<u64>());
        prop_oneof![
            (proptest::collection::vec(any::<u8>(), 0..300), deadline()).prop_map(|(v, d)| Step::Text(v, d)),
            (any::<i64>(), deadline()).prop_map(|(v, d)| Step::Int(v, d)),
            (100usize..9000, deadline()).prop_map(|(len, d)| Step::Packed(len, d)),
            Just(Step::Rename),
            Just(Step::Copy),
            deadline().prop_map(Step::Deadline),
            (0usize..40_000).prop_map(Step::Edit),
        ]
    }

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        let plain = entry.view().is_packed().then(|| entry.view().unpacked());
        let plain = plain.as_ref().unwrap_or(entry).view();
        let text = plain.text().expect("the value is a text");
        text.write_into(&mut bytes);
        assert_eq!(
            (plain.key(), plain.deadline_ms(), plain.rank(), plain.generation()),
            (
                entry.view().key(),
                entry.view().deadline_ms(),
                entry.view().rank(),
                entry.view().generation()
            )
        );
        bytes
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
                    Step::Packed(len, d) => {
                        value = b"packed ".repeat(len);
                        let packed = compression::pack(Method::Lz4, &value).unwrap();
                        let fresh = Entry::of_packed(&key, &packed, d);
                        let is_smaller = fresh.view().allocated_bytes() < value.len();
                        prop_assert!(is_smaller && fresh.view().text().is_none() && !fresh.view().is_object());
                        entry = fresh;
                        entry.set_rank(0xdead_beef);
                        entry.set_generation(7);
                        deadline = d;
                    }
                    Step::Rename => {
                        let was_packed = entry.view().is_packed();
                        entry = entry.renamed(b"another").renamed(&key);
                        prop_assert_eq!(entry.view().is_packed(), was_packed);
                    }
                    Step::Copy => {
                        let was_packed = entry.view().is_packed();
                        entry = entry.view().copied_for(b"another").view().copied_for(&key);
                        prop_assert_eq!(entry.view().is_packed(), was_packed);
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
