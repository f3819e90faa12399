//! Texts in fewer bytes: packed for memory, and in a form that can be told from any other text for carrying upstream.
//!
//! ```text
//! packed:   method (1 byte), length of the plain text (varint), the method's own form of it
//! marked:   magic (8 bytes), a packed text, XXH3-64 of all before (8 bytes, little-endian)
//! ```
//!
//! LZ4 is a block without a frame (`lz4_Block_format.md`), Zstandard is one frame (RFC 8878). Both forms may come from
//! strangers: what is wrong is refused, and a length that is only claimed costs no memory that the bytes could not fill.

use std::cell::RefCell;
use std::ops::Deref;

use lz4_flex::block;
use twox_hash::XxHash3_64;
use zstd::bulk::{Compressor, Decompressor};

use super::varint;

/// How to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    /// Quick to pack and quicker to unpack.
    Lz4 = 1,
    /// Smaller, for several times the time.
    Zstd = 2,
}

/// A packed text: the bytes that [`pack`] made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

impl Deref for Packed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes that are no packed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What marks a packed text as ours. A byte that UTF-8 never has, a zero and a control character keep it from being the
/// beginning of a text; the last byte is the version of the form.
pub const MAGIC: [u8; 8] = *b"\xf5Fbay\x00\x1a\x01";

const CHECKSUM_BYTES: usize = 8;

/// A packed text takes at least this part of the plain one less: else unpacking it costs more than it is worth.
const SAVED_PART_MIN: usize = 8;

/// Zstandard's quickest level with entropy coding: higher ones pack texts of some kilobytes by a few percent more, in
/// a multiple of the time.
const ZSTD_LEVEL: i32 = 1;

/// One byte of an LZ4 block stands for so many at most.
const LZ4_EXPANSION_MAX: usize = 255;

/// A block of Zstandard takes four bytes at least and stands for 128 KiB at most.
const ZSTD_EXPANSION_MAX: usize = 128 * 1024 / 4;

thread_local! {
    /// Contexts are some hundred kilobytes large: each thread that packs or unpacks keeps its own.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Method {
    fn of_byte(byte: u8) -> Result<Self, Malformed> {
        [Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|method| *method as u8 == byte)
            .ok_or(Malformed)
    }

    /// How many bytes `packed_bytes` of its own form can stand for.
    fn expanded_max(self, packed_bytes: usize) -> usize {
        let expansion_max = match self {
            Self::Lz4 => LZ4_EXPANSION_MAX,
            Self::Zstd => ZSTD_EXPANSION_MAX,
        };
        packed_bytes.saturating_mul(expansion_max)
    }

    /// Packs into `room`; tells how much of it that took, `None` if it is too small.
    fn pack_into(self, plain: &[u8], room: &mut [u8]) -> Option<usize> {
        match self {
            Self::Lz4 => block::compress_into(plain, room).ok(),
            Self::Zstd => COMPRESSOR.with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = Compressor::new(ZSTD_LEVEL).ok();
                }
                slot.as_mut()?.compress_to_buffer(plain, room).ok()
            }),
        }
    }

    /// The room that packing a text of `plain_bytes` wants: LZ4's packer does not stop where it runs out, so it must
    /// have enough for any text.
    fn room_bytes(self, plain_bytes: usize, packed_bytes_max: usize) -> usize {
        match self {
            Self::Lz4 => block::get_maximum_output_size(plain_bytes),
            Self::Zstd => packed_bytes_max,
        }
    }

    fn unpack(self, form: &[u8], plain_bytes: usize) -> Result<Vec<u8>, Malformed> {
        let plain = match self {
            Self::Lz4 => block::decompress(form, plain_bytes).ok(),
            Self::Zstd => DECOMPRESSOR.with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = Decompressor::new().ok();
                }
                slot.as_mut()?.decompress(form, plain_bytes).ok()
            }),
        };
        plain.filter(|plain| plain.len() == plain_bytes).ok_or(Malformed)
    }
}

/// Packs `plain`; `None` unless that saves an eighth of it. O(bytes).
pub fn pack(method: Method, plain: &[u8]) -> Option<Packed> {
    let packed_bytes_max = plain.len() - plain.len().div_ceil(SAVED_PART_MIN);
    let head_bytes = 1 + varint::width(plain.len());
    let form_bytes_max = packed_bytes_max.checked_sub(head_bytes)?;
    let mut packed = vec![0; head_bytes + method.room_bytes(plain.len(), form_bytes_max)];
    packed[0] = method as u8;
    varint::write(&mut packed[1..], plain.len());
    let form_bytes = method.pack_into(plain, &mut packed[head_bytes..])?;
    packed.truncate(head_bytes + form_bytes);
    (form_bytes <= form_bytes_max).then_some(Packed(packed))
}

/// The text that `packed` stands for, of `plain_bytes_max` at most. O(bytes of the text).
pub fn unpack(packed: &[u8], plain_bytes_max: usize) -> Result<Vec<u8>, Malformed> {
    let (method, plain_bytes, form) = taken_apart(packed)?;
    if plain_bytes > plain_bytes_max {
        return Err(Malformed);
    }
    method.unpack(form, plain_bytes)
}

/// How many bytes the text has that `packed` claims to stand for: never more than it could. O(1).
pub fn plain_bytes(packed: &[u8]) -> Result<usize, Malformed> {
    taken_apart(packed).map(|(_, plain_bytes, _)| plain_bytes)
}

/// The method, the length of the plain text, and the method's own form of it.
fn taken_apart(packed: &[u8]) -> Result<(Method, usize, &[u8]), Malformed> {
    let (&method, rest) = packed.split_first().ok_or(Malformed)?;
    let method = Method::of_byte(method)?;
    let (plain_bytes, width) = varint::checked_read(rest).ok_or(Malformed)?;
    let form = &rest[width..];
    if plain_bytes > method.expanded_max(form.len()) {
        return Err(Malformed);
    }
    Ok((method, plain_bytes, form))
}

/// A packed text in the form that is carried upstream, where it stands among texts that are not ours. O(bytes).
pub fn mark(packed: &[u8]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(MAGIC.len() + packed.len() + CHECKSUM_BYTES);
    marked.extend_from_slice(&MAGIC);
    marked.extend_from_slice(packed);
    let checksum = XxHash3_64::oneshot(&marked);
    marked.extend_from_slice(&checksum.to_le_bytes());
    marked
}

/// The plain text, of `plain_bytes_max` at most, if `bytes` are a packed one that was marked; any other bytes are the
/// user's own. O(1) for those, but for bytes that begin like a marked text; else O(bytes of the text).
pub fn marked(bytes: &[u8], plain_bytes_max: usize) -> Option<Vec<u8>> {
    unpack(marked_form(bytes)?, plain_bytes_max).ok()
}

/// The packed text in `bytes`, if that was marked: its checksum is right.
pub fn marked_form(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (packed, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>()?;
    let summed = &bytes[..MAGIC.len() + packed.len()];
    (XxHash3_64::oneshot(summed) == u64::from_le_bytes(*checksum)).then_some(packed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METHODS: [Method; 2] = [Method::Lz4, Method::Zstd];
    const MIB: usize = 1 << 20;

    fn record(bytes: usize) -> Vec<u8> {
        let line = |number: usize| format!("{{\"id\":{number},\"name\":\"a name\",\"active\":true}}\n");
        let mut text = (0..).flat_map(|number| line(number).into_bytes());
        text.by_ref().take(bytes).collect()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn texts_of_any_size_come_back_and_take_less() {
        for method in METHODS {
            for bytes in [200, 1024, 5000, 70_000, MIB] {
                let plain = record(bytes);
                let packed = pack(method, &plain).unwrap();
                assert!(
                    packed.len() * 8 <= bytes * 7,
                    "{method:?} {bytes}: {}",
                    packed.len()
                );
                assert_eq!(plain_bytes(&packed), Ok(bytes));
                assert_eq!(unpack(&packed, bytes), Ok(plain));
            }
        }
    }

    #[test]
    fn what_does_not_get_smaller_by_an_eighth_is_not_packed() {
        for method in METHODS {
            for plain in [vec![], b"abc".to_vec(), record(20), noise(10_000)] {
                assert_eq!(pack(method, &plain), None, "{method:?}");
            }
            // One part in ten could be saved.
            let plain = [noise(9_000), vec![0; 1_000]].concat();
            assert_eq!(pack(method, &plain), None, "{method:?}");
        }
    }

    #[test]
    fn the_most_that_a_byte_stands_for_is_not_refused() {
        for method in METHODS {
            let plain = vec![b'a'; 32 * MIB];
            let packed = pack(method, &plain).unwrap();
            assert!(packed.len() < MIB);
            assert!(unpack(&packed, plain.len()) == Ok(plain));
        }
    }

    #[test]
    fn a_length_is_bounded_by_the_caller_and_by_the_bytes() {
        let packed = pack(Method::Lz4, &record(1000)).unwrap();
        assert_eq!(unpack(&packed, 999), Err(Malformed));
        // An LZ4 block of 4 bytes that claims a terabyte, one of Zstandard that claims a gigabyte.
        for lie in [
            &b"\x01\x80\x80\x80\x80\x80\x20abcd"[..],
            b"\x02\x80\x80\x80\x80\x04abcd",
        ] {
            assert_eq!(plain_bytes(lie), Err(Malformed));
            assert_eq!(unpack(lie, usize::MAX), Err(Malformed));
        }
    }

    #[test]
    fn a_wrong_length_method_or_end_is_refused() {
        for method in METHODS {
            let plain = record(100);
            let mut packed = pack(method, &plain).unwrap().to_vec();
            assert_eq!(unpack(&packed[..packed.len() - 1], MIB), Err(Malformed));
            for wrong in [99, 101] {
                packed[1] = wrong;
                assert_eq!(unpack(&packed, MIB), Err(Malformed), "{method:?}");
            }
            packed[1] = 100;
            assert_eq!(unpack(&packed, MIB), Ok(plain));
            packed[0] = 3;
            assert_eq!(unpack(&packed, MIB), Err(Malformed));
        }
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x02\x80",
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(unpack(bytes, MIB), Err(Malformed));
        }
    }

    #[test]
    fn only_what_was_marked_and_is_whole_counts_as_marked() {
        let plain = record(3000);
        let whole = mark(&pack(Method::Zstd, &plain).unwrap());
        assert_eq!(marked(&whole, MIB), Some(plain));
        assert_eq!(marked(&whole, 2999), None);
        for len in 0..whole.len() {
            assert_eq!(marked(&whole[..len], MIB), None);
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            assert_eq!(marked(&broken, MIB), None);
        }
        assert_eq!(marked(&[whole, b"x".to_vec()].concat(), MIB), None);
        // A checksum alone makes no packed text.
        assert_eq!(marked(&mark(b"\x07nonsense"), MIB), None);
    }

    #[test]
    fn the_marked_form_is_the_same_in_every_build() {
        let marked_text = mark(b"\x01\x03\x30abc");
        assert_eq!(marked_text[..MAGIC.len()], MAGIC);
        assert_eq!(marked(&marked_text, MIB), Some(b"abc".to_vec()));
        assert_eq!(
            marked_text[MAGIC.len() + 6..],
            [18, 23, 184, 151, 150, 216, 215, 98]
        );
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::collection::vec(any::<u8>(), 0..40);
        let pieces = (
            proptest::collection::vec(piece, 1..8),
            proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
        );
        pieces.prop_map(|(pieces, order)| {
            order
                .iter()
                .flat_map(|index| index.get(&pieces).clone())
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(plain in text()) {
            for method in METHODS {
                if let Some(packed) = pack(method, &plain) {
                    prop_assert!(packed.len() <= plain.len() - plain.len() / 8);
                    prop_assert_eq!(marked(&mark(&packed), plain.len()), Some(plain.clone()));
                    prop_assert_eq!(unpack(&packed, plain.len()), Ok(plain.clone()));
                }
            }
        }

        #[test]
        fn bytes_of_strangers_do_no_harm(
            plain in text(), method in 0u8..4, at in any::<prop::sample::Index>(), flip in 1u8..,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let is_within_bounds = |bytes: &[u8]| unpack(bytes, 5000).map_or(0, |plain| plain.len()) <= 5000;
            prop_assert!(is_within_bounds(&bytes));
            prop_assert!(is_within_bounds(&[&[method, 100], &bytes[..]].concat()));
            if let Some(packed) = pack(METHODS[usize::from(method & 1)], &plain) {
                let mut packed = packed.to_vec();
                let at = at.index(packed.len());
                packed[at] ^= flip;
                prop_assert!(is_within_bounds(&packed));
            }
        }
    }
}
