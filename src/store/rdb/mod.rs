//! Values as DUMP writes and RESTORE reads them: the format of Redis's RDB files, for one value.
//!
//! A payload is a byte that tells the form, the value, the version of the format in two bytes and a checksum in eight.
//! Every form is read that Redis 2.8 to 8 and Valkey 9 write, from an upstream or a client that may mean harm: what
//! is wrong is refused, and memory is only used for what is there. Values are written in the forms that
//! Redis 6.2 reads.
//!
//! | file | what |
//! |---|---|
//! | `reader`, `writer` | lengths, strings, numbers |
//! | `forms`, `decode` | collections, whatever form they are written in |
//! | `stream` | streams |
//! | `build`, `encode` | from forms to the structures of the store, and back |
//! | `lzf`, `crc64` | compressed strings, checksums |
//! | `listpack`, `ziplist`, `zipmap`, `intset` | small collections in one string |

mod build;
mod crc64;
mod decode;
mod encode;
mod forms;
mod intset;
mod listpack;
mod lzf;
mod reader;
mod stream;
#[cfg(test)]
mod tests;
mod writer;
mod ziplist;
mod zipmap;

pub use encode::encode;
pub use reader::Scalar;

use super::entry::Entry;
use super::object::{Object, Value};
use crate::values::compression::{self, Method, Packed};
use crate::values::list::ChunkLimit;
use crate::values::packed::PackedLimits;
use crate::values::set::SetLimits;
use crate::values::text::{Text, canonical_integer};
use reader::Reader;

/// The version that Redis 6.2 writes: what we write, unless it needs more.
const VERSION: u16 = 9;

/// The version of Redis 7.4, which has deadlines of fields.
const VERSION_OF_DEADLINES: u16 = 12;

/// The newest version of Redis 8. Later ones may mean something else.
const REDIS_VERSION_MAX: u16 = 13;

/// The versions of Valkey 9.
const VALKEY_VERSIONS: std::ops::RangeInclusive<u16> = forms::VALKEY_VERSION..=forms::VALKEY_VERSION + 1;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// A payload that is no value: its structure contradicts itself, or what it holds is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Why a payload is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The version is not known, or the checksum is wrong: nobody has looked at the value.
    Untrusted,
    /// It is no value.
    Malformed,
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Up to which sizes values are built packed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of hashes.
    pub hash: PackedLimits,
    /// Of chunks of lists, as in `list-max-listpack-size`.
    pub list_packed_size: i32,
    /// Of sets.
    pub set: PackedLimits,
    /// Of sets of integers.
    pub set_intset_entries_max: usize,
    /// Of sorted sets.
    pub sorted_set: PackedLimits,
}

impl Limits {
    fn list(&self) -> ChunkLimit {
        ChunkLimit::from_setting(self.list_packed_size.into())
    }

    fn set(&self) -> SetLimits {
        SetLimits {
            intset_entries_max: self.set_intset_entries_max,
            packed: self.set,
        }
    }
}

/// What a payload holds.
pub enum Decoded<'a> {
    /// A text.
    Text(Scalar<'a>),
    /// A text that is to be kept packed, and its packed form.
    Packed(Scalar<'a>, Packed),
    /// A structure that is not void, but for a stream.
    Object(Object),
}

impl<'a> Decoded<'a> {
    /// The text of these bytes, which came as no payload.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self::Text(Scalar::Plain(Text::Bytes(bytes)))
    }

    /// The same value, but a text of at least `bytes_min` bytes packed if that saves enough. O(bytes).
    #[must_use]
    pub fn packed(self, method: Method, bytes_min: usize) -> Self {
        let Self::Text(text) = self else { return self };
        let packed = match text.text() {
            Text::Bytes(bytes) if bytes.len() >= bytes_min && canonical_integer(bytes).is_none() => {
                compression::pack(method, bytes)
            }
            _ => None,
        };
        match packed {
            Some(packed) => Self::Packed(text, packed),
            None => Self::Text(text),
        }
    }

    /// The same value, but the plain text instead of one that was marked. `None` if that has more bytes than
    /// `bytes_max`. O(bytes) for a marked text.
    pub fn unmarked(self, bytes_max: usize) -> Option<Self> {
        let Self::Text(text) = &self else {
            return Some(self);
        };
        let packed = match text.text() {
            Text::Bytes(bytes) => compression::marked_form(bytes),
            Text::Int(_) => None,
        };
        let Some(packed) = packed else { return Some(self) };
        if compression::plain_bytes(packed).is_ok_and(|bytes| bytes > bytes_max) {
            return None;
        }
        match compression::unpack(packed, bytes_max) {
            Ok(plain) => Some(Self::Text(Scalar::Unpacked(plain))),
            Err(_) => Some(self),
        }
    }
}

impl Decoded<'_> {
    /// Bytes that the value has in memory, beside its key, unless it is packed.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Packed(text, _) => text.text().len(),
            Self::Object(object) => object.view().allocated_bytes(),
        }
    }

    /// Bytes that packing has saved.
    pub fn saved_bytes(&self) -> Option<usize> {
        match self {
            Self::Packed(text, packed) => Some(text.text().len() - packed.len()),
            Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// The value to look at.
    pub fn view(&self) -> Value<'_> {
        match self {
            Self::Text(text) | Self::Packed(text, _) => Value::Text(text.text()),
            Self::Object(object) => Value::Object(object.view()),
        }
    }

    /// The value as that of `key`.
    pub fn into_entry(self, key: &[u8], deadline_ms: Option<u64>) -> Entry {
        match self {
            Self::Text(text) => {
                let text = match text.text() {
                    Text::Bytes(bytes) => Text::new(bytes),
                    integer @ Text::Int(_) => integer,
                };
                Entry::new(key, text, deadline_ms)
            }
            Self::Packed(_, packed) => Entry::of_packed(key, &packed, deadline_ms),
            Self::Object(object) => Entry::of_object(key, object, deadline_ms),
        }
    }
}

/// Reads a payload. O(bytes · log elements).
pub fn decode<'a>(payload: &'a [u8], limits: &Limits) -> std::result::Result<Decoded<'a>, Refusal> {
    let (body, version) = checked(payload).ok_or(Refusal::Untrusted)?;
    let mut reader = Reader::new(body);
    let form = reader.byte()?;
    Ok(build::value(form, version, &mut reader, limits)?)
}

/// The payload whose form and value are `body`: with the version and the checksum behind it.
pub fn sealed(body: impl Into<Vec<u8>>, version: u16) -> Vec<u8> {
    let mut body = body.into();
    body.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64::crc64(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

/// The part before the version, and the version; `None` if that or the checksum is not right.
fn checked(payload: &[u8]) -> Option<(&[u8], u16)> {
    let (summed, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (body, version) = summed.split_last_chunk::<VERSION_BYTES>()?;
    let version = u16::from_le_bytes(*version);
    let is_known = version <= REDIS_VERSION_MAX || VALKEY_VERSIONS.contains(&version);
    let is_intact = || crc64::crc64(summed) == u64::from_le_bytes(*checksum);
    (is_known && is_intact()).then_some((body, version))
}
