//! Taking members from either end of sorted sets, at once or as soon as there are some.

use super::{natural, reply_members, reply_pair, reply_pairs};
use crate::commands::args::Args;
use crate::commands::call::{KeyCall, KeysCall};
use crate::commands::error::Error;
use crate::commands::spec::*;
use crate::resp::Reply;
use crate::store::Key;
use crate::values::sorted_set::{Scored, SortedSet};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("BZMPOP", -5, "timeout:double numkeys key [key ...] where=<MIN | MAX> [COUNT count]", &[keys_counted_at(2, TAKE)],
                 WRITE.or(BLOCKING), "7.0.0", EACH, Handler::Blocking(bzmpop),
                 "Takes members from an end of the first sorted set that has some; waits for one."),
    Command::new("BZPOPMAX", -3, "key [key ...] timeout:double", &[keys_until(1, -2, TAKE)], WRITE.or(NOSCRIPT).or(BLOCKING).or(FAST), "5.0.0", EACH,
                 Handler::Blocking(bzpopmax), "Takes the member with the highest score; waits for one."),
    Command::new("BZPOPMIN", -3, "key [key ...] timeout:double", &[keys_until(1, -2, TAKE)], WRITE.or(NOSCRIPT).or(BLOCKING).or(FAST), "5.0.0", EACH,
                 Handler::Blocking(bzpopmin), "Takes the member with the lowest score; waits for one."),
    Command::new("ZMPOP", -4, "numkeys key [key ...] where=<MIN | MAX> [COUNT count]", &[keys_counted_at(1, TAKE)], WRITE.or(NULL_ARRAYS), "7.0.0", EACH,
                 Handler::Keys(zmpop), "Takes members from an end of the first sorted set that has some."),
    Command::new("ZPOPMAX", -2, "key [count]", &[key_at(1, TAKE)], WRITE.or(FAST).or(FLAT_PAIRS), "5.0.0", EACH, Handler::Key(zpopmax),
                 "Takes the members with the highest scores."),
    Command::new("ZPOPMIN", -2, "key [count]", &[key_at(1, TAKE)], WRITE.or(FAST).or(FLAT_PAIRS), "5.0.0", EACH, Handler::Key(zpopmin),
                 "Takes the members with the lowest scores."),
];

const EACH: &str = "O(log N) and O(1) a member";

/// An end of a sorted set.
#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

impl End {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        if args.take_word("MIN") {
            Ok(Self::Min)
        } else if args.take_word("MAX") {
            Ok(Self::Max)
        } else {
            Err(Error::Syntax)
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }

    /// Takes up to `count` members from a key, after they were replied with by `reply`, the outermost first. Tells
    /// whether there are any.
    fn pop(
        self,
        key: &mut Key<'_>,
        count: usize,
        reply: impl FnOnce(&mut dyn ExactSizeIterator<Item = Scored<'_>>),
    ) -> Result<bool> {
        let popped = key.update(self.event(), |set: &mut SortedSet| {
            let len = set.len();
            let count = count.min(len);
            let ranks = match self {
                Self::Min => 0..count,
                Self::Max => len - count..len,
            };
            match self {
                Self::Min => reply(&mut set.range(ranks.clone())),
                Self::Max => reply(&mut set.range_back(ranks.clone())),
            }
            set.remove_ranks(ranks, |_| ());
            ((), count as u64)
        })?;
        Ok(popped.is_some())
    }
}

fn zpopmin(call: &mut KeyCall<'_>) -> Result {
    pop(call, End::Min)
}

fn zpopmax(call: &mut KeyCall<'_>) -> Result {
    pop(call, End::Max)
}

fn pop(call: &mut KeyCall<'_>, end: End) -> Result {
    let count = match call.args.len() {
        0 => None,
        1 => Some(natural(&mut call.args).ok_or(Error::NOT_POSITIVE)?),
        _ => return Err(Error::Syntax),
    };
    let reply = &mut call.reply;
    let popped = end.pop(&mut call.key, count.unwrap_or(1), |members| {
        if count.is_some() {
            reply_members(members, true, reply);
        } else {
            reply.array(2);
            members.for_each(|entry| reply_pair(entry, reply));
        }
    })?;
    if !popped {
        call.reply.array(0);
    }
    Ok(())
}

fn bzpopmin(call: &mut KeysCall<'_>) -> Result<Attempt> {
    pop_waiting(call, End::Min)
}

fn bzpopmax(call: &mut KeysCall<'_>) -> Result<Attempt> {
    pop_waiting(call, End::Max)
}

fn pop_waiting(call: &mut KeysCall<'_>, end: End) -> Result<Attempt> {
    let mut timeout = call.args;
    timeout.nth(call.keys.len() - 1);
    let timeout_ms = timeout.timeout()?;
    let popped = pop_first(call, end, 1, |name, members, reply| {
        reply.array(3);
        reply.bulk(name);
        members.for_each(|entry| reply_pair(entry, reply));
    })?;
    Ok(done_or_waiting(popped, timeout_ms))
}

fn zmpop(call: &mut KeysCall<'_>) -> Result {
    let (end, count) = end_and_count(call.args)?;
    if !pop_first(call, end, count, reply_key_and_members)? {
        call.reply.null_array();
    }
    Ok(())
}

fn bzmpop(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let mut timeout = call.args;
    call.args.bytes()?;
    let (end, count) = end_and_count(call.args)?;
    let timeout_ms = timeout.timeout()?;
    let popped = pop_first(call, end, count, reply_key_and_members)?;
    Ok(done_or_waiting(popped, timeout_ms))
}

/// Reads what follows from the number of keys on.
fn end_and_count(mut args: Args<'_>) -> Result<(End, usize)> {
    let keys = natural(&mut args)
        .filter(|keys| *keys > 0)
        .ok_or(Error::NUMKEYS_NOT_POSITIVE)?;
    if keys >= args.len() {
        return Err(Error::Syntax);
    }
    args.nth(keys - 1);
    let end = End::parse(&mut args)?;
    let count = if args.len() > 1 && args.take_word("COUNT") {
        natural(&mut args)
            .filter(|count| *count > 0)
            .ok_or(Error::COUNT_NOT_POSITIVE)?
    } else {
        1
    };
    args.end()?;
    Ok((end, count))
}

fn reply_key_and_members(
    name: &[u8],
    members: &mut dyn ExactSizeIterator<Item = Scored<'_>>,
    reply: &mut Reply<'_>,
) {
    reply.array(2);
    reply.bulk(name);
    reply_pairs(members, reply);
}

/// Takes members from the first key that has some, and replies; false if none has. After a wait, a key that holds
/// something else has none.
fn pop_first(
    call: &mut KeysCall<'_>,
    end: End,
    count: usize,
    reply: impl Fn(&[u8], &mut dyn ExactSizeIterator<Item = Scored<'_>>, &mut Reply<'_>),
) -> Result<bool> {
    for index in call.candidates() {
        let mut key = call.keys.get(index);
        let name = key.name();
        match end.pop(&mut key, count, |members| reply(name, members, &mut call.reply)) {
            Err(Error::WrongType) if call.is_woken() => {}
            Ok(false) => {}
            popped => return popped,
        }
    }
    Ok(false)
}

fn done_or_waiting(is_done: bool, timeout_ms: u64) -> Attempt {
    if is_done {
        return Attempt::Done;
    }
    Attempt::Block(Wait {
        timeout_ms,
        on_timeout: |reply| reply.null_array(),
        on_refusal: |reply| reply.null_array(),
        request: None,
    })
}
