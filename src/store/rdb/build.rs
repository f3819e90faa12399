//! From a payload to the structures that the store keeps.

use super::reader::Reader;
use super::{Decoded, Limits, Malformed, Result, decode, forms, stream};
use crate::store::object::Stored;
use crate::values::hash::Hash;
use crate::values::list::{End, List};
use crate::values::set::Set;
use crate::values::sorted_set::SortedSet;

/// Reads a value of this form. Bytes behind it are no matter: later forms may have more to say.
pub(super) fn value<'a>(
    form: u8,
    version: u16,
    reader: &mut Reader<'a>,
    limits: &Limits,
) -> Result<Decoded<'a>> {
    match form {
        forms::TEXT => reader.string().map(Decoded::Text),
        forms::LIST | forms::LIST_ZIPLIST | forms::LIST_QUICKLIST | forms::LIST_QUICKLIST_2 => {
            list(form, reader, limits).and_then(not_void)
        }
        forms::SET | forms::SET_INTSET | forms::SET_LISTPACK => set(form, reader, limits).and_then(not_void),
        forms::SORTED_SET | forms::SORTED_SET_2 | forms::SORTED_SET_ZIPLIST | forms::SORTED_SET_LISTPACK => {
            sorted_set(form, reader, limits).and_then(not_void)
        }
        forms::STREAM | forms::STREAM_2 | forms::STREAM_3 => stream::read(form, reader).and_then(not_void),
        _ => hash(form, version, reader, limits).and_then(not_void),
    }
}

fn not_void<'a, T: Stored>(value: T) -> Result<Decoded<'a>> {
    if value.is_void() {
        return Err(Malformed);
    }
    Ok(Decoded::Object(Box::new(value).into_object()))
}

fn list(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<List> {
    let mut list = List::default();
    let limit = limits.list();
    decode::list(form, reader, |element| {
        list.push(End::Back, element, limit);
        Ok(())
    })?;
    Ok(list)
}

fn set(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Set> {
    let mut set = Set::default();
    let limits = limits.set();
    decode::set(form, reader, |member| once(set.add(member, limits)))?;
    Ok(set)
}

fn sorted_set(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<SortedSet> {
    let mut set = SortedSet::default();
    decode::sorted_set(form, reader, |member, score| {
        once(set.insert(member, score, limits.sorted_set).is_none())
    })?;
    Ok(set)
}

fn hash(form: u8, version: u16, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash> {
    let mut hash = Hash::default();
    let is_valkey = version >= forms::VALKEY_VERSION;
    decode::hash(form, reader, is_valkey, |field, value, deadline_ms| {
        once(hash.set(field, value, limits.hash))?;
        if deadline_ms.is_some() {
            hash.set_deadline(field, deadline_ms);
        }
        Ok(())
    })?;
    Ok(hash)
}

/// Fails unless the element is new.
fn once(is_new: bool) -> Result<()> {
    if is_new { Ok(()) } else { Err(Malformed) }
}
