//! From the structures that the store keeps to a payload.

use super::writer::Writer;
use super::{VERSION, VERSION_OF_DEADLINES, forms, stream};
use crate::store::object::{ObjectRef, Value};
use crate::values::hash::{Field, Hash};
use crate::values::list::List;
use crate::values::set::Set;
use crate::values::sorted_set::SortedSet;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

/// The payload of a value; `None` for a hash whose fields are all dead at `now_ms`. O(bytes).
pub fn encode(value: Value<'_>, now_ms: u64) -> Option<Vec<u8>> {
    Some(match value {
        Value::Text(value) => text(value),
        Value::Object(ObjectRef::List(value)) => list(value),
        Value::Object(ObjectRef::Set(value)) => set(value),
        Value::Object(ObjectRef::SortedSet(value)) => sorted_set(value),
        Value::Object(ObjectRef::Stream(value)) => stream::write(value),
        Value::Object(ObjectRef::Hash(value)) => return hash(value, now_ms),
    })
}

fn text(value: Text<'_>) -> Vec<u8> {
    let mut writer = Writer::new(forms::TEXT);
    writer.string(value.as_bytes(&mut [0; INTEGER_BYTES_MAX]));
    writer.finish(VERSION)
}

fn list(list: &List) -> Vec<u8> {
    let mut writer = Writer::new(forms::LIST);
    writer.length(list.len() as u64);
    list.iter().for_each(|element| writer.string(element));
    writer.finish(VERSION)
}

fn set(set: &Set) -> Vec<u8> {
    let mut writer = Writer::new(forms::SET);
    writer.length(set.len() as u64);
    for member in set {
        writer.string(member.as_bytes(&mut [0; INTEGER_BYTES_MAX]));
    }
    writer.finish(VERSION)
}

fn sorted_set(set: &SortedSet) -> Vec<u8> {
    let mut writer = Writer::new(forms::SORTED_SET_2);
    writer.length(set.len() as u64);
    for scored in set {
        writer.string(scored.member);
        writer.double(scored.score);
    }
    writer.finish(VERSION)
}

fn hash(hash: &Hash, now_ms: u64) -> Option<Vec<u8>> {
    let is_alive = |field: &Field<'_>| field.deadline_ms.is_none_or(|at_ms| at_ms > now_ms);
    let fields = || hash.iter().filter(is_alive);
    let count = match hash.earliest_deadline_ms() {
        None => hash.len(),
        Some(_) => fields().count(),
    };
    let earliest_ms = fields().filter_map(|field| field.deadline_ms).min();
    let writer = match earliest_ms {
        None => plain_hash(count, fields()),
        Some(earliest_ms) => dated_hash(count, fields(), earliest_ms),
    };
    (count > 0).then_some(writer)
}

fn plain_hash<'a>(count: usize, fields: impl Iterator<Item = Field<'a>>) -> Vec<u8> {
    let mut writer = Writer::new(forms::HASH);
    writer.length(count as u64);
    for field in fields {
        writer.string(field.name);
        writer.string(field.value);
    }
    writer.finish(VERSION)
}

/// A deadline is written as the time behind the earliest and one more; zero is none.
fn dated_hash<'a>(count: usize, fields: impl Iterator<Item = Field<'a>>, earliest_ms: u64) -> Vec<u8> {
    let mut writer = Writer::new(forms::HASH_DEADLINES);
    writer.unix_ms(earliest_ms);
    writer.length(count as u64);
    for field in fields {
        writer.length(field.deadline_ms.map_or(0, |at_ms| at_ms - earliest_ms + 1));
        writer.string(field.name);
        writer.string(field.value);
    }
    writer.finish(VERSION_OF_DEADLINES)
}
