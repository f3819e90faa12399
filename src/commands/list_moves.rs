//! Commands that take elements from one of several lists, or from one list to another.

use smallvec::SmallVec;

use super::args::Args;
use super::call::KeysCall;
use super::error::Error;
use super::lists::{chunk_limit, pop_event, pop_into, push_event};
use super::spec::*;
use crate::values::list::{End, List};

/// A list that elements are taken from, and one that they are put to.
pub(super) const MOVED_BETWEEN: &[Keys] = &[key_at(1, TAKE), key_at(2, EXTEND)];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("LMOVE", 5, "source destination wherefrom=<LEFT | RIGHT> whereto=<LEFT | RIGHT>", MOVED_BETWEEN, WRITE.or(GROWS), "6.2.0", "O(1)",
                 Handler::Keys(lmove), "Takes an element out of a list, puts it to another, and answers with it."),
    Command::new("LMPOP", -4, "numkeys key [key ...] where=<LEFT | RIGHT> [COUNT count]", &[keys_counted_at(1, TAKE)], WRITE.or(NULL_ARRAYS), "7.0.0",
                 "O(N+M): N keys, M elements taken", Handler::Keys(lmpop), "Takes elements out of the first list that there is."),
    Command::new("RPOPLPUSH", 3, "source destination", MOVED_BETWEEN, WRITE.or(GROWS), "1.2.0", "O(1)", Handler::Keys(rpoplpush),
                 "Takes the last element out of a list, puts it in front of another, and answers with it.")
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
];

fn lmove(call: &mut KeysCall<'_>) -> Result {
    let mut ends = call.args.behind(2);
    let (from, to) = (take_end(&mut ends)?, take_end(&mut ends)?);
    move_or_reply_null(call, from, to)
}

fn rpoplpush(call: &mut KeysCall<'_>) -> Result {
    move_or_reply_null(call, End::Back, End::Front)
}

fn move_or_reply_null(call: &mut KeysCall<'_>, from: End, to: End) -> Result {
    if !move_element(call, from, to)? {
        call.reply.null();
    }
    Ok(())
}

/// The next argument as an end of a list.
pub(super) fn take_end(args: &mut Args<'_>) -> Result<End> {
    if args.take_word("LEFT") {
        Ok(End::Front)
    } else if args.take_word("RIGHT") {
        Ok(End::Back)
    } else {
        Err(Error::Syntax)
    }
}

/// Moves an element from the list at the first key to the one at the second, which may be the same, and replies with it.
/// False if there is none to move.
pub(super) fn move_element(call: &mut KeysCall<'_>, from: End, to: End) -> Result<bool> {
    let source = call.keys.peek_as::<List>(0)?;
    let Some(element) = source.and_then(|list| list.peek(from)) else {
        return Ok(false);
    };
    let element: SmallVec<[u8; 64]> = element.into();
    // The element is put before it is taken, since that is the order in which Redis tells of it.
    let limit = chunk_limit(call.services);
    call.keys.get(1).upsert(push_event(to), |list: &mut List| {
        (list.push(to, &element, limit), 1)
    })?;
    call.keys
        .get(0)
        .update(pop_event(from), |list: &mut List| (list.pop(from, |_| ()), 1))?;
    call.reply.bulk(&element);
    Ok(true)
}

fn lmpop(call: &mut KeysCall<'_>) -> Result {
    let Several { end, count } = Several::parse(call.args)?;
    for index in 0..call.keys.len() {
        if pop_several(call, index, end, count)? {
            return Ok(());
        }
    }
    call.reply.null_array();
    Ok(())
}

/// Takes up to `count` elements out of the list at one of the keys, and replies with its name and the elements. False if
/// there is no list.
pub(super) fn pop_several(call: &mut KeysCall<'_>, index: usize, end: End, count: usize) -> Result<bool> {
    let KeysCall { keys, reply, .. } = call;
    let mut key = keys.get(index);
    let name = key.name();
    let popped = key.update(pop_event(end), |list: &mut List| {
        reply.array(2);
        reply.bulk(name);
        ((), pop_into(reply, list, end, count))
    })?;
    Ok(popped.is_some())
}

/// What LMPOP and BLMPOP are told besides the keys.
pub(super) struct Several {
    /// Where the elements are taken.
    pub end: End,
    /// How many, at most.
    pub count: usize,
}

impl Several {
    /// Reads `numkeys`, passes over the keys, and reads the rest.
    pub(super) fn parse(mut args: Args<'_>) -> Result<Self> {
        let keys = args.at_least(1, Error::NUMKEYS_NOT_POSITIVE)?;
        if keys >= args.len() {
            return Err(Error::Syntax);
        }
        args = args.behind(keys);
        let end = take_end(&mut args)?;
        if args.is_empty() {
            return Ok(Self { end, count: 1 });
        }
        if args.len() < 2 || !args.take_word("COUNT") {
            return Err(Error::Syntax);
        }
        let count = args.at_least(1, Error::COUNT_NOT_POSITIVE)?;
        args.end()?;
        Ok(Self { end, count })
    }
}
