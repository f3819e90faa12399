//! Intersections, unions and differences of sets, told or stored.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::args::Args;
use super::call::{HeldKeys, KeysCall};
use super::error::Error;
use super::sets::{limits, push};
use super::spec::*;
use crate::values::set::{Set, SetLimits, algebra};
use crate::values::text::Text;

const TOLD: &[Keys] = &[keys_from(1, READ)];
const STORED: &[Keys] = &[key_at(1, OVERWRITE), keys_from(2, READ)];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("SDIFF", -2, "key [key ...]", TOLD, READONLY, "1.0.0", "O(N) in the members of all sets", Handler::Keys(sdiff),
                 "Lists the members of the first set that none of the others has.")
        .tips(&["nondeterministic_output_order"]),
    Command::new("SDIFFSTORE", -3, "destination key [key ...]", STORED, WRITE.or(GROWS), "1.0.0", "O(N) in the members of all sets",
                 Handler::Keys(sdiffstore), "Stores the members of the first set that none of the others has."),
    Command::new("SINTER", -2, "key [key ...]", TOLD, READONLY, "1.0.0", "O(N*M) in the members of the smallest set and the number of sets",
                 Handler::Keys(sinter), "Lists the members that all sets have.")
        .tips(&["nondeterministic_output_order"]),
    Command::new("SINTERCARD", -3, "numkeys key [key ...] [LIMIT limit]", &[keys_counted_at(1, READ)], READONLY, "7.0.0",
                 "O(N*M) in the members of the smallest set and the number of sets", Handler::Keys(sintercard),
                 "Counts the members that all sets have, up to a limit."),
    Command::new("SINTERSTORE", -3, "destination key [key ...]", &[key_at(1, EDIT), keys_from(2, READ)], WRITE.or(GROWS), "1.0.0",
                 "O(N*M) in the members of the smallest set and the number of sets", Handler::Keys(sinterstore),
                 "Stores the members that all sets have."),
    Command::new("SUNION", -2, "key [key ...]", TOLD, READONLY, "1.0.0", "O(N) in the members of all sets", Handler::Keys(sunion),
                 "Lists the members that any of the sets has.")
        .tips(&["nondeterministic_output_order"]),
    Command::new("SUNIONSTORE", -3, "destination key [key ...]", STORED, WRITE.or(GROWS), "1.0.0", "O(N) in the members of all sets",
                 Handler::Keys(sunionstore), "Stores the members that any of the sets has."),
];

/// The sets of a command; `None` for a key that is not there.
type Sources<'s> = SmallVec<[Option<&'s Set>; 8]>;

/// The sets of the keys from index `from` on, read for a client.
fn sources<'s>(keys: &'s mut HeldKeys<'_>, from: usize) -> Result<Sources<'s>> {
    for index in from..keys.len() {
        keys.get(index).read_as::<Set>()?;
    }
    (from..keys.len()).map(|index| keys.peek_as(index)).collect()
}

/// The members that all sets have.
fn intersection<'s>(sources: &[Option<&'s Set>], mut tell: impl FnMut(Text<'s>) -> ControlFlow<()>) {
    let present: Option<Vec<&Set>> = sources.iter().copied().collect();
    if let Some(sets) = present {
        algebra::intersection(&sets, &mut tell);
    }
}

fn union(sources: &[Option<&Set>], limits: SetLimits) -> Set {
    let present: Vec<&Set> = sources.iter().flatten().copied().collect();
    algebra::union(&present, limits)
}

fn difference(sources: &[Option<&Set>], limits: SetLimits) -> Set {
    match sources {
        [Some(first), others @ ..] => {
            let present: Vec<&Set> = others.iter().flatten().copied().collect();
            algebra::difference(first, &present, limits)
        }
        _ => Set::new(),
    }
}

fn sinter(call: &mut KeysCall<'_>) -> Result {
    let mut members = Vec::new();
    let sources = sources(&mut call.keys, 0)?;
    intersection(&sources, |member| {
        members.push(member);
        ControlFlow::Continue(())
    });
    call.reply.set(members.len());
    for member in members {
        push(&mut call.reply, member);
    }
    Ok(())
}

fn sinterstore(call: &mut KeysCall<'_>) -> Result {
    let limits = limits(call.services);
    let mut common = Set::new();
    intersection(&sources(&mut call.keys, 1)?, |member| {
        common.add_text(member, limits);
        ControlFlow::Continue(())
    });
    store(call, "sinterstore", common)
}

fn sintercard(call: &mut KeysCall<'_>) -> Result {
    let limit = parse_limit(&mut call.args)?;
    let mut count = 0;
    intersection(&sources(&mut call.keys, 0)?, |_| {
        count += 1;
        if count == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    call.reply.integer(count as i64);
    Ok(())
}

/// The limit of SINTERCARD, 0 for none.
fn parse_limit(args: &mut Args<'_>) -> Result<usize> {
    let keys = args.at_least(1, Error::NUMKEYS_NOT_POSITIVE)?;
    if keys > args.len() {
        return Err(Error::NUMKEYS_TOO_LARGE);
    }
    let mut options = args.behind(keys);
    let mut limit = 0;
    while !options.is_empty() {
        if options.len() < 2 || !options.take_word("LIMIT") {
            return Err(Error::Syntax);
        }
        limit = options.at_least(0, Error::LIMIT_NEGATIVE)?;
    }
    Ok(limit)
}

fn sunion(call: &mut KeysCall<'_>) -> Result {
    let limits = limits(call.services);
    let members = union(&sources(&mut call.keys, 0)?, limits);
    tell(call, &members)
}

fn sunionstore(call: &mut KeysCall<'_>) -> Result {
    let limits = limits(call.services);
    let members = union(&sources(&mut call.keys, 1)?, limits);
    store(call, "sunionstore", members)
}

fn sdiff(call: &mut KeysCall<'_>) -> Result {
    let limits = limits(call.services);
    let members = difference(&sources(&mut call.keys, 0)?, limits);
    tell(call, &members)
}

fn sdiffstore(call: &mut KeysCall<'_>) -> Result {
    let limits = limits(call.services);
    let members = difference(&sources(&mut call.keys, 1)?, limits);
    store(call, "sdiffstore", members)
}

fn tell(call: &mut KeysCall<'_>, members: &Set) -> Result {
    call.reply.set(members.len());
    members.iter().for_each(|member| push(&mut call.reply, member));
    Ok(())
}

/// Stores the outcome at the first key, in place of what is there, and replies with its size.
fn store(call: &mut KeysCall<'_>, event: &str, members: Set) -> Result {
    let len = members.len();
    call.keys.get(0).store_value(event, members);
    call.reply.integer(len as i64);
    Ok(())
}
