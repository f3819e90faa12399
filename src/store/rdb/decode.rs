//! Reading lists, sets, sorted sets and hashes, whatever form they are written in.
//!
//! Each function hands the elements to a closure, in the order of the payload. That there is at least one, and none
//! twice, is for the caller to see to: the structure that takes them in knows it anyway.

use super::forms;
use super::intset;
use super::listpack::Listpack;
use super::reader::{Reader, Scalar, parse_double, with_bytes};
use super::ziplist::Ziplist;
use super::zipmap::Zipmap;
use super::{Malformed, Result};
use crate::values::text::Text;

/// How a quicklist says that a node is one large element, or a listpack of many.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

/// Deadlines of fields fit in so many bits.
const DEADLINE_MS_MAX: u64 = (1 << 48) - 1;

/// How Valkey says that a field has no deadline.
const VALKEY_NO_DEADLINE: i64 = -1;

/// Reads the elements of a list.
pub(super) fn list(
    form: u8,
    reader: &mut Reader<'_>,
    mut add: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    match form {
        forms::LIST => strings(reader, add),
        forms::LIST_ZIPLIST => elements(Ziplist::new(reader.string()?.bytes()?)?, add),
        forms::LIST_QUICKLIST => repeat(reader, |reader| {
            elements(Ziplist::new(reader.string()?.bytes()?)?, &mut add)
        }),
        forms::LIST_QUICKLIST_2 => repeat(reader, |reader| node(reader, &mut add)),
        _ => Err(Malformed),
    }
}

/// Reads the members of a set.
pub(super) fn set(form: u8, reader: &mut Reader<'_>, mut add: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    match form {
        forms::SET => strings(reader, add),
        forms::SET_INTSET => intset::integers(reader.string()?.bytes()?)?
            .try_for_each(|integer| with_bytes(Text::Int(integer), &mut add)),
        forms::SET_LISTPACK => elements(Listpack::new(reader.string()?.bytes()?)?, add),
        _ => Err(Malformed),
    }
}

/// Reads the members of a sorted set with their scores, none of which is a NaN.
pub(super) fn sorted_set(
    form: u8,
    reader: &mut Reader<'_>,
    mut add: impl FnMut(&[u8], f64) -> Result<()>,
) -> Result<()> {
    let add = |member: Text<'_>, score: f64| {
        if score.is_nan() {
            return Err(Malformed);
        }
        with_bytes(member, |member| add(member, score))
    };
    match form {
        forms::SORTED_SET => scored(reader, Reader::double_text, add),
        forms::SORTED_SET_2 => scored(reader, Reader::double, add),
        forms::SORTED_SET_ZIPLIST => packed_scored(Ziplist::new(reader.string()?.bytes()?)?, add),
        forms::SORTED_SET_LISTPACK => packed_scored(Listpack::new(reader.string()?.bytes()?)?, add),
        _ => Err(Malformed),
    }
}

/// Reads the fields of a hash with their values and deadlines, in Unix milliseconds.
pub(super) fn hash(
    form: u8,
    reader: &mut Reader<'_>,
    is_valkey: bool,
    mut add: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>,
) -> Result<()> {
    match form {
        forms::HASH => repeat(reader, |reader| {
            let (field, value) = (reader.string()?, reader.string()?);
            with_both(field.text(), value.text(), |field, value| add(field, value, None))
        }),
        forms::HASH_ZIPMAP => zipmap(&reader.string()?, add),
        forms::HASH_ZIPLIST => packed_fields(Ziplist::new(reader.string()?.bytes()?)?, false, add),
        forms::HASH_LISTPACK => packed_fields(Listpack::new(reader.string()?.bytes()?)?, false, add),
        forms::HASH_DEADLINES_VALKEY if is_valkey => valkey_fields(reader, add),
        forms::HASH_DEADLINES_EARLY => fields_with_deadlines(reader, Some, add),
        forms::HASH_DEADLINES => {
            let earliest = u64::from_le_bytes(reader.array()?);
            fields_with_deadlines(reader, |behind| earliest.checked_add(behind - 1), add)
        }
        forms::HASH_LISTPACK_DEADLINES_EARLY if !is_valkey => {
            packed_fields(Listpack::new(reader.string()?.bytes()?)?, true, add)
        }
        forms::HASH_LISTPACK_DEADLINES => {
            let _earliest = reader.unix_ms()?;
            packed_fields(Listpack::new(reader.string()?.bytes()?)?, true, add)
        }
        _ => Err(Malformed),
    }
}

/// Reads a count, and as many times what `read` reads.
pub(super) fn repeat<'a>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<()>,
) -> Result<()> {
    let count = reader.count()?;
    (0..count).try_for_each(|_| read(reader))
}

fn strings(reader: &mut Reader<'_>, mut add: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    repeat(reader, |reader| with_bytes(reader.string()?.text(), &mut add))
}

fn elements<'a>(
    mut packed: impl Iterator<Item = Result<Text<'a>>>,
    mut add: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    packed.try_for_each(|element| with_bytes(element?, &mut add))
}

/// A node of a quicklist.
fn node(reader: &mut Reader<'_>, mut add: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let container = reader.length()?;
    let node = reader.string()?;
    match (container, node.bytes()?) {
        (_, []) => Err(Malformed),
        (NODE_PLAIN, element) => add(element),
        (NODE_PACKED, listpack) => elements(Listpack::new(listpack)?, add),
        _ => Err(Malformed),
    }
}

fn scored<'a>(
    reader: &mut Reader<'a>,
    mut score: impl FnMut(&mut Reader<'a>) -> Result<f64>,
    mut add: impl FnMut(Text<'_>, f64) -> Result<()>,
) -> Result<()> {
    repeat(reader, |reader| {
        let member = reader.string()?;
        add(member.text(), score(reader)?)
    })
}

fn packed_scored<'a>(
    mut packed: impl Iterator<Item = Result<Text<'a>>>,
    mut add: impl FnMut(Text<'_>, f64) -> Result<()>,
) -> Result<()> {
    while let Some(member) = packed.next() {
        let score = match packed.next().ok_or(Malformed)?? {
            Text::Int(score) => score as f64,
            Text::Bytes(score) => parse_double(score)?,
        };
        add(member?, score)?;
    }
    Ok(())
}

fn zipmap(scalar: &Scalar<'_>, mut add: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>) -> Result<()> {
    Zipmap::new(scalar.bytes()?)?.try_for_each(|pair| {
        let (field, value) = pair?;
        add(field, value, None)
    })
}

/// Fields and values, each pair with a deadline behind it if so said.
fn packed_fields<'a>(
    mut packed: impl Iterator<Item = Result<Text<'a>>>,
    with_deadlines: bool,
    mut add: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>,
) -> Result<()> {
    while let Some(field) = packed.next() {
        let value = packed.next().ok_or(Malformed)??;
        let deadline_ms = match with_deadlines.then(|| packed.next()) {
            None => None,
            Some(Some(Ok(Text::Int(at)))) => deadline(u64::try_from(at).map_err(|_| Malformed)?)?,
            Some(_) => return Err(Malformed),
        };
        with_both(field?, value, |field, value| add(field, value, deadline_ms))?;
    }
    Ok(())
}

/// Each pair is preceded by a number, zero if it has no deadline; `deadline_of` makes one of any other.
fn fields_with_deadlines(
    reader: &mut Reader<'_>,
    deadline_of: impl Fn(u64) -> Option<u64>,
    mut add: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>,
) -> Result<()> {
    repeat(reader, |reader| {
        let deadline_ms = match reader.length()? {
            0 => None,
            number => deadline(deadline_of(number).ok_or(Malformed)?)?,
        };
        let (field, value) = (reader.string()?, reader.string()?);
        with_both(field.text(), value.text(), |field, value| {
            add(field, value, deadline_ms)
        })
    })
}

fn valkey_fields(
    reader: &mut Reader<'_>,
    mut add: impl FnMut(&[u8], &[u8], Option<u64>) -> Result<()>,
) -> Result<()> {
    repeat(reader, |reader| {
        let (field, value) = (reader.string()?, reader.string()?);
        let deadline_ms = match reader.unix_ms()? {
            VALKEY_NO_DEADLINE => None,
            at => Some(u64::try_from(at).map_err(|_| Malformed)?),
        };
        with_both(field.text(), value.text(), |field, value| {
            add(field, value, deadline_ms)
        })
    })
}

/// A deadline of a field, of which zero is none.
fn deadline(at_ms: u64) -> Result<Option<u64>> {
    match at_ms {
        0 => Ok(None),
        1..=DEADLINE_MS_MAX => Ok(Some(at_ms)),
        _ => Err(Malformed),
    }
}

fn with_both<R>(first: Text<'_>, second: Text<'_>, use_both: impl FnOnce(&[u8], &[u8]) -> R) -> R {
    with_bytes(first, |first| {
        with_bytes(second, |second| use_both(first, second))
    })
}
