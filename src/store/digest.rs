//! One number for the contents of a value, whatever its representation.

use super::object::{ObjectRef, Value};
use super::rdb;
use crate::values::digest;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

/// The digest of a value; the order counts where the type has one. Fields of a hash that are dead count for as long as
/// nobody has met them. Of a stream, entries and groups count as they are laid out. Linear in the value's bytes.
pub fn digest(value: Value<'_>, now_ms: u64) -> u64 {
    match value {
        Value::Text(Text::Bytes(bytes)) => digest::bits(bytes),
        Value::Text(Text::Int(number)) => digest::bits(itoa::Buffer::new().format(number).as_bytes()),
        Value::Object(ObjectRef::Hash(hash)) => unordered(hash.iter().map(|field| {
            let name = digest::bits(field.name);
            digest::bits(field.value).rotate_left(1) ^ name
        })),
        Value::Object(ObjectRef::Set(set)) => unordered(set.iter().map(|member| {
            let mut scratch = [0; INTEGER_BYTES_MAX];
            digest::bits(member.as_bytes(&mut scratch))
        })),
        Value::Object(ObjectRef::List(list)) => list.range(0..list.len()).fold(1, |sum, element| {
            u64::rotate_left(sum, 5).wrapping_mul(31) ^ digest::bits(element)
        }),
        other => digest::bits(&rdb::encode(other, now_ms).unwrap_or_default()),
    }
}

fn unordered(digests: impl Iterator<Item = u64>) -> u64 {
    digests.fold(1, u64::wrapping_add)
}
