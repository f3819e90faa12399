//! Hash commands. The structure itself is [`crate::values::hash::Hash`]; deadlines of fields are in `hash_expiry`.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::scan_options::{Page, ScanOptions, parse_cursor};
use super::spec::*;
use crate::limits::RANDOM_PICKS_MAX;
use crate::resp::number::parse_i64;
use crate::resp::{NumberError, Protocol, Reply, add_decimal};
use crate::services::Services;
use crate::values::hash::{Deadline, Field, Hash};
use crate::values::packed::PackedLimits;

const READS: &[Keys] = &[key_at(1, READ)];
const LOOKS: &[Keys] = &[key_at(1, LOOK)];
const EDITS: &[Keys] = &[key_at(1, EDIT)];
const ADDS: &[Keys] = &[key_at(1, UPDATE)];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const RANDOM: &[&str] = &["nondeterministic_output"];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("HDEL", -3, "key field [field ...]", &[key_at(1, REDUCE)], WRITE.or(FAST), "2.0.0", "O(N) in the fields named",
                 Handler::Key(hdel), "Removes fields; the key goes with the last of them."),
    Command::new("HEXISTS", 3, "key field", LOOKS, READONLY.or(FAST), "2.0.0", "O(1)", Handler::Key(hexists),
                 "Tells whether a hash has a field."),
    Command::new("HGET", 3, "key field", READS, READONLY.or(FAST), "2.0.0", "O(1)", Handler::Key(hget),
                 "Returns the value of a field."),
    Command::new("HGETALL", 2, "key", READS, READONLY, "2.0.0", "O(N) in the fields of the hash", Handler::Key(hgetall),
                 "Returns all fields with their values.").tips(UNORDERED),
    Command::new("HINCRBY", 4, "key field increment", ADDS, WRITE.or(GROWS).or(FAST), "2.0.0", "O(1)", Handler::Key(hincrby),
                 "Adds a given amount to the integer in a field; a missing field counts from 0."),
    Command::new("HINCRBYFLOAT", 4, "key field increment:double", ADDS, WRITE.or(GROWS).or(FAST), "2.6.0", "O(1)",
                 Handler::Key(hincrbyfloat), "Adds a decimal number to the number in a field; a missing field counts from 0."),
    Command::new("HKEYS", 2, "key", READS, READONLY, "2.0.0", "O(N) in the fields of the hash", Handler::Key(hkeys),
                 "Returns the names of all fields.").tips(UNORDERED),
    Command::new("HLEN", 2, "key", LOOKS, READONLY.or(FAST), "2.0.0", "O(1)", Handler::Key(hlen),
                 "Counts the fields of a hash."),
    Command::new("HMGET", -3, "key field [field ...]", READS, READONLY.or(FAST), "2.0.0", "O(N) in the fields named",
                 Handler::Key(hmget), "Returns the values of several fields."),
    Command::new("HMSET", -4, "key field value [field value ...]", EDITS, WRITE.or(GROWS).or(FAST), "2.0.0", "O(N) in the fields named",
                 Handler::Key(hmset), "Sets several fields.")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    Command::new("HRANDFIELD", -2, "key options=[count [WITHVALUES]]", READS, READONLY.or(FLAT_PAIRS), "6.2.0", "O(N) in the fields returned",
                 Handler::Key(hrandfield), "Returns fields that are picked at random.").tips(RANDOM),
    Command::new("HSCAN", -3, "key cursor [MATCH pattern] [COUNT count]", READS, READONLY.or(OWNER), "2.8.0", "O(1) a call, O(N) for all of it",
                 Handler::Key(hscan), "Goes through the fields of a hash a piece at a time.").tips(RANDOM),
    Command::new("HSET", -4, "key field value [field value ...]", EDITS, WRITE.or(GROWS).or(FAST), "2.0.0", "O(N) in the fields named",
                 Handler::Key(hset), "Sets fields and counts those that are new."),
    Command::new("HSETNX", 4, "key field value", &[key_at(1, EXTEND)], WRITE.or(GROWS).or(FAST), "2.0.0", "O(1)", Handler::Key(hsetnx),
                 "Sets a field that is not there yet."),
    Command::new("HSTRLEN", 3, "key field", LOOKS, READONLY.or(FAST), "3.2.0", "O(1)", Handler::Key(hstrlen),
                 "Tells how many bytes the value of a field has."),
    Command::new("HVALS", 2, "key", READS, READONLY, "2.0.0", "O(N) in the fields of the hash", Handler::Key(hvals),
                 "Returns the values of all fields.").tips(UNORDERED),
];

/// Up to where hashes are packed.
pub fn limits(services: &Services) -> PackedLimits {
    services.config.load().encodings.hash
}

fn hget(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let value = call.key.read_as::<Hash>()?.and_then(|hash| hash.get(name));
    bulk_or_null(&mut call.reply, value);
    Ok(())
}

fn hmget(call: &mut KeyCall<'_>) -> Result {
    let hash = call.key.read_as::<Hash>()?;
    call.reply.array(call.args.len());
    for name in call.args {
        bulk_or_null(&mut call.reply, hash.and_then(|hash| hash.get(name)));
    }
    Ok(())
}

/// Replies with a value, or with its absence.
pub fn bulk_or_null(reply: &mut Reply<'_>, value: Option<&[u8]>) {
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

fn hexists(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let exists = call
        .key
        .read_as::<Hash>()?
        .is_some_and(|hash| hash.contains(name));
    call.reply.integer(i64::from(exists));
    Ok(())
}

fn hstrlen(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let value = call.key.read_as::<Hash>()?.and_then(|hash| hash.get(name));
    call.reply.integer(value.map_or(0, <[u8]>::len) as i64);
    Ok(())
}

fn hlen(call: &mut KeyCall<'_>) -> Result {
    let len = call.key.read_as::<Hash>()?.map_or(0, Hash::len);
    call.reply.integer(len as i64);
    Ok(())
}

fn hgetall(call: &mut KeyCall<'_>) -> Result {
    let hash = call.key.read_as::<Hash>()?;
    call.reply.map(hash.map_or(0, Hash::len));
    for field in hash.into_iter().flatten() {
        call.reply.bulk(field.name);
        call.reply.bulk(field.value);
    }
    Ok(())
}

fn hkeys(call: &mut KeyCall<'_>) -> Result {
    reply_each(call, |field| field.name)
}

fn hvals(call: &mut KeyCall<'_>) -> Result {
    reply_each(call, |field| field.value)
}

/// Replies with a part of every field.
fn reply_each(call: &mut KeyCall<'_>, part: impl Fn(Field<'_>) -> &[u8]) -> Result {
    let hash = call.key.read_as::<Hash>()?;
    call.reply.array(hash.map_or(0, Hash::len));
    for field in hash.into_iter().flatten() {
        call.reply.bulk(part(field));
    }
    Ok(())
}

fn hset(call: &mut KeyCall<'_>) -> Result {
    let created = set_fields(call, "hset")?;
    call.reply.integer(created as i64);
    Ok(())
}

fn hmset(call: &mut KeyCall<'_>) -> Result {
    set_fields(call, "hmset")?;
    call.reply.ok();
    Ok(())
}

/// Sets the fields that are named; tells how many of them are new.
fn set_fields(call: &mut KeyCall<'_>, command: &str) -> Result<usize> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Error::Arity(command.into()));
    }
    let limits = limits(call.services);
    let pairs = call.args;
    let created = call.key.upsert("hset", |hash: &mut Hash| {
        let created = pairs_of(pairs)
            .filter(|(name, value)| hash.set(name, value, limits))
            .count();
        (created, pairs.len() as u64 / 2)
    })?;
    Ok(created)
}

/// The arguments that are left, two by two: a field's name and its value.
pub fn pairs_of(mut args: Args<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || args.next().zip(args.next()))
}

fn hsetnx(call: &mut KeyCall<'_>) -> Result {
    let (name, value) = (call.args.bytes()?, call.args.bytes()?);
    let limits = limits(call.services);
    let created = call.key.upsert("hset", |hash: &mut Hash| {
        let created = !hash.contains(name) && hash.set(name, value, limits);
        (created, u64::from(created))
    })?;
    call.reply.integer(i64::from(created));
    Ok(())
}

fn hdel(call: &mut KeyCall<'_>) -> Result {
    let names = call.args;
    let removed = call.key.update("hdel", |hash: &mut Hash| {
        let removed = names.filter(|name| hash.remove(name)).count();
        (removed, removed as u64)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn hincrby(call: &mut KeyCall<'_>) -> Result {
    let (name, increment) = (call.args.bytes()?, call.args.integer()?);
    let sum = compute(call, "hincrby", name, |value| {
        let current = value
            .map_or(Some(0), parse_i64)
            .ok_or(Error::HASH_VALUE_NOT_AN_INTEGER)?;
        let sum = current.checked_add(increment).ok_or(Error::SUM_OVERFLOW)?;
        Ok((sum, itoa::Buffer::new().format(sum).to_owned()))
    })?;
    call.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(call: &mut KeyCall<'_>) -> Result {
    let (name, increment) = (call.args.bytes()?, call.args.bytes()?);
    add_decimal(b"0", increment).map_err(|error| match error {
        NumberError::NotAFloat => Error::NotAFloat,
        NumberError::NanOrInfinity => Error::NOT_FINITE,
    })?;
    let sum = compute(call, "hincrbyfloat", name, |value| {
        let sum = add_decimal(value.unwrap_or(b"0"), increment).map_err(|error| match error {
            NumberError::NotAFloat => Error::HASH_VALUE_NOT_A_FLOAT,
            NumberError::NanOrInfinity => Error::SUM_NOT_FINITE,
        })?;
        Ok((sum.clone(), sum))
    })?;
    call.reply.bulk(sum.as_bytes());
    Ok(())
}

/// Gives a field the value that `compute` makes of the one it has, and keeps its deadline. If that fails, nothing
/// changes.
fn compute<R>(
    call: &mut KeyCall<'_>,
    event: &str,
    name: &[u8],
    compute: impl FnOnce(Option<&[u8]>) -> Result<(R, String)>,
) -> Result<R> {
    let limits = limits(call.services);
    call.key
        .upsert(event, |hash: &mut Hash| match compute(hash.get(name)) {
            Ok((result, value)) => {
                hash.put(name, value.as_bytes(), Deadline::Keep, limits);
                (Ok(result), 1)
            }
            Err(error) => (Err(error), 0),
        })?
}

fn hrandfield(call: &mut KeyCall<'_>) -> Result {
    let mut random = call.key.random();
    if call.args.is_empty() {
        let field = call
            .key
            .read_as::<Hash>()?
            .and_then(|hash| hash.random(&mut random));
        bulk_or_null(&mut call.reply, field.map(|field| field.name));
        return Ok(());
    }
    let (count, with_values) = parse_pick(&mut call.args)?;
    let wanted = count.unsigned_abs() as usize;
    let reply = &mut call.reply;
    let Some(hash) = call.key.read_as::<Hash>()? else {
        reply.array(0);
        return Ok(());
    };
    if count < 0 {
        if wanted > RANDOM_PICKS_MAX {
            return Err(Error::OutOfRange);
        }
        reply_picked(reply, wanted, hash.pick(wanted, &mut random), with_values);
    } else if wanted < hash.len() {
        let sample = hash.sample(wanted, &mut random);
        reply_picked(reply, wanted, sample.into_iter(), with_values);
    } else {
        reply_picked(reply, hash.len(), hash.iter(), with_values);
    }
    Ok(())
}

/// The count of HRANDFIELD, and whether values are wanted.
fn parse_pick(args: &mut Args<'_>) -> Result<(i64, bool)> {
    let count = args.integer()?;
    if count == i64::MIN {
        return Err(Error::not_between(-i64::MAX, i64::MAX));
    }
    let with_values = args.take_word("WITHVALUES");
    args.end()?;
    if with_values && count.abs() > i64::MAX / 2 {
        return Err(Error::OutOfRange);
    }
    Ok((count, with_values))
}

/// Replies with `len` fields; with their values, in RESP3, each is an array of its own.
fn reply_picked<'a>(
    reply: &mut Reply<'_>,
    len: usize,
    fields: impl Iterator<Item = Field<'a>>,
    with_values: bool,
) {
    let nested = with_values && reply.protocol() == Protocol::Resp3;
    let flat = with_values && !nested;
    reply.array(if flat { len * 2 } else { len });
    for field in fields {
        if nested {
            reply.array(2);
        }
        reply.bulk(field.name);
        if with_values {
            reply.bulk(field.value);
        }
    }
}

fn hscan(call: &mut KeyCall<'_>) -> Result {
    let cursor = parse_cursor(&mut call.args)?;
    let mut page = Page::default();
    let Some(hash) = call.key.read_as::<Hash>()? else {
        page.send(0, &mut call.reply);
        return Ok(());
    };
    let mut with_values = true;
    let options = ScanOptions::parse(&mut call.args, |args| {
        let taken = args.take_word("NOVALUES");
        with_values &= !taken;
        Ok(taken)
    })?;
    let (fields, next) = hash.scan(cursor, options.count);
    for field in fields.filter(|field| options.admits(field.name)) {
        page.push(field.name);
        if with_values {
            page.push(field.value);
        }
    }
    page.send(next, &mut call.reply);
    Ok(())
}
