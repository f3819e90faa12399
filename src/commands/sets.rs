//! Commands on one set, and SMOVE. The structure itself is [`crate::values::set::Set`].

use super::call::{KeyCall, KeysCall};
use super::error::Error;
use super::scan_options::{Page, ScanOptions, parse_cursor};
use super::spec::*;
use crate::limits::RANDOM_PICKS_MAX;
use crate::resp::Reply;
use crate::services::Services;
use crate::values::set::{Set, SetLimits};
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("SADD", -3, "key member [member ...]", &[key_at(1, EXTEND)], WRITE.or(GROWS).or(FAST), "1.0.0",
                 "O(N) in the members given", Handler::Key(sadd), "Adds members to a set, which is created if it is not there."),
    Command::new("SCARD", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(scard),
                 "Counts the members of a set."),
    Command::new("SISMEMBER", 3, "key member", &[key_at(1, LOOK)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(sismember),
                 "Tells whether something is a member of a set."),
    Command::new("SMEMBERS", 2, "key", &[key_at(1, READ)], READONLY, "1.0.0", "O(N) in the members", Handler::Key(smembers),
                 "Lists all members of a set.")
        .tips(&["nondeterministic_output_order"]),
    Command::new("SMISMEMBER", -3, "key member [member ...]", &[key_at(1, READ)], READONLY.or(FAST), "6.2.0",
                 "O(N) in the members asked for", Handler::Key(smismember), "Tells of several things whether they are members of a set."),
    Command::new("SMOVE", 4, "source destination member", &[key_at(1, TAKE), key_at(2, EXTEND)], WRITE.or(FAST), "1.0.0", "O(1)",
                 Handler::Keys(smove), "Takes a member out of one set and adds it to another."),
    Command::new("SPOP", -2, "key [count]", &[key_at(1, TAKE)], WRITE.or(FAST), "1.0.0", "O(N) in the members taken",
                 Handler::Key(spop), "Takes members out of a set at random.")
        .tips(&["nondeterministic_output"]),
    Command::new("SRANDMEMBER", -2, "key [count]", &[key_at(1, READ)], READONLY, "1.0.0", "O(N) in the members asked for",
                 Handler::Key(srandmember), "Picks members of a set at random.")
        .tips(&["nondeterministic_output"]),
    Command::new("SREM", -3, "key member [member ...]", &[key_at(1, REDUCE)], WRITE.or(FAST), "1.0.0", "O(N) in the members given",
                 Handler::Key(srem), "Removes members from a set; the last one takes the key along."),
    Command::new("SSCAN", -3, "key cursor [MATCH pattern] [COUNT count]", &[key_at(1, READ)], READONLY.or(OWNER), "2.8.0",
                 "O(1) a call, O(N) for all of it", Handler::Key(sscan), "Goes through the members of a set a piece at a time.")
        .tips(&["nondeterministic_output"]),
];

/// Up to where sets are kept small, as configured.
pub fn limits(services: &Services) -> SetLimits {
    let encodings = &services.config.load().encodings;
    SetLimits {
        intset_entries_max: encodings.set_intset_entries_max,
        packed: encodings.set,
    }
}

fn sadd(call: &mut KeyCall<'_>) -> Result {
    let limits = limits(call.services);
    let members = call.args;
    let added = call.key.upsert::<Set, _>("sadd", |set| {
        let added = members.filter(|member| set.add(member, limits)).count();
        (added, added as u64)
    })?;
    call.reply.integer(added as i64);
    Ok(())
}

fn srem(call: &mut KeyCall<'_>) -> Result {
    let members = call.args;
    let removed = call.key.update::<Set, _>("srem", |set| {
        let removed = members.filter(|member| set.remove(member)).count();
        (removed, removed as u64)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn scard(call: &mut KeyCall<'_>) -> Result {
    let members = call.key.read_as::<Set>()?.map_or(0, Set::len);
    call.reply.integer(members as i64);
    Ok(())
}

fn sismember(call: &mut KeyCall<'_>) -> Result {
    let member = call.args.bytes()?;
    let is_member = call.key.read_as::<Set>()?.is_some_and(|set| set.contains(member));
    call.reply.integer(is_member.into());
    Ok(())
}

fn smismember(call: &mut KeyCall<'_>) -> Result {
    let set = call.key.read_as::<Set>()?;
    call.reply.array(call.args.len());
    for member in call.args {
        let is_member = set.is_some_and(|set| set.contains(member));
        call.reply.integer(is_member.into());
    }
    Ok(())
}

fn smembers(call: &mut KeyCall<'_>) -> Result {
    match call.key.read_as::<Set>()? {
        Some(set) => {
            call.reply.set(set.len());
            set.iter().for_each(|member| push(&mut call.reply, member));
        }
        None => call.reply.set(0),
    }
    Ok(())
}

/// Replies with a member.
pub fn push(reply: &mut Reply<'_>, member: Text<'_>) {
    match member {
        Text::Bytes(bytes) => reply.bulk(bytes),
        Text::Int(number) => reply.bulk_integer(number),
    }
}

fn smove(call: &mut KeysCall<'_>) -> Result {
    let (source, destination, member) = (call.args.bytes()?, call.args.bytes()?, call.args.bytes()?);
    let Some(set) = call.keys.peek_as::<Set>(0)? else {
        call.reply.integer(0);
        return Ok(());
    };
    call.keys.peek_as::<Set>(1)?;
    let is_member = set.contains(member);
    if is_member && source != destination {
        let limits = limits(call.services);
        call.keys
            .get(0)
            .update::<Set, _>("srem", |set| (set.remove(member), 1))?;
        call.keys.get(1).upsert::<Set, _>("sadd", |set| {
            let added = set.add(member, limits);
            (added, added.into())
        })?;
    }
    call.reply.integer(is_member.into());
    Ok(())
}

fn spop(call: &mut KeyCall<'_>) -> Result {
    match call.args.len() {
        0 => spop_one(call),
        1 => spop_many(call),
        _ => Err(Error::Syntax),
    }
}

fn spop_one(call: &mut KeyCall<'_>) -> Result {
    let mut random = call.key.random();
    let reply = &mut call.reply;
    let popped = call.key.update::<Set, _>("spop", |set| {
        (set.pop(&mut random, |member| push(reply, member)), 1)
    })?;
    if popped.is_none() {
        call.reply.null();
    }
    Ok(())
}

fn spop_many(call: &mut KeyCall<'_>) -> Result {
    let count = call.args.at_least(0, Error::NOT_POSITIVE)?;
    let limits = limits(call.services);
    let mut random = call.key.random();
    let reply = &mut call.reply;
    let popped = call.key.update::<Set, _>("spop", |set| {
        let count = count.min(set.len());
        reply.set(count);
        set.pop_many(count, limits, &mut random, |member| push(reply, member));
        ((), count as u64)
    })?;
    if popped.is_none() {
        call.reply.set(0);
    }
    Ok(())
}

fn srandmember(call: &mut KeyCall<'_>) -> Result {
    match call.args.len() {
        0 => srandmember_one(call),
        1 => srandmember_many(call),
        _ => Err(Error::Syntax),
    }
}

fn srandmember_one(call: &mut KeyCall<'_>) -> Result {
    let mut random = call.key.random();
    let set = call.key.read_as::<Set>()?;
    match set.and_then(|set| set.random(&mut random)) {
        Some(member) => push(&mut call.reply, member),
        None => call.reply.null(),
    }
    Ok(())
}

/// A negative count asks for so many draws, of which several may be the same.
fn srandmember_many(call: &mut KeyCall<'_>) -> Result {
    let count = call.args.integer()?;
    if count == i64::MIN {
        return Err(Error::not_between(-i64::MAX, i64::MAX));
    }
    let mut random = call.key.random();
    let Some(set) = call.key.read_as::<Set>()? else {
        call.reply.array(0);
        return Ok(());
    };
    let reply = &mut call.reply;
    let draws = count.unsigned_abs() as usize;
    if count >= 0 {
        reply.array(draws.min(set.len()));
        set.sample(draws, &mut random, |member| push(reply, member));
        return Ok(());
    }
    if draws > RANDOM_PICKS_MAX {
        return Err(Error::OutOfRange);
    }
    reply.array(draws);
    for _ in 0..draws {
        push(reply, set.random(&mut random).expect("no key holds an empty set"));
    }
    Ok(())
}

fn sscan(call: &mut KeyCall<'_>) -> Result {
    let cursor = parse_cursor(&mut call.args)?;
    let mut page = Page::default();
    let Some(set) = call.key.read_as::<Set>()? else {
        page.send(0, &mut call.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(&mut call.args, |_| Ok(false))?;
    let next = set.scan(cursor, options.count, |member| {
        if options.admits_text(member) {
            page.push_text(member);
        }
    });
    page.send(next, &mut call.reply);
    Ok(())
}
