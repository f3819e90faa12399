//! Commands that wait for an element of a list.

use super::call::KeysCall;
use super::error::Error;
use super::list_moves::{MOVED_BETWEEN, Several, move_element, pop_several, take_end};
use super::lists::pop_event;
use super::spec::*;
use crate::resp::Reply;
use crate::values::list::{End, List};

const AWAITED: &[Keys] = &[keys_until(1, -2, TAKE)];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("BLMOVE", 6, "source destination wherefrom=<LEFT | RIGHT> whereto=<LEFT | RIGHT> timeout:double", MOVED_BETWEEN,
                 WRITE.or(GROWS).or(NOSCRIPT).or(BLOCKING), "6.2.0", "O(1)", Handler::Blocking(blmove),
                 "Takes an element out of a list, waiting for one if need be, puts it to another, and answers with it."),
    Command::new("BLMPOP", -5, "timeout:double numkeys key [key ...] where=<LEFT | RIGHT> [COUNT count]", &[keys_counted_at(2, TAKE)],
                 WRITE.or(BLOCKING), "7.0.0", "O(N+M): N keys, M elements taken", Handler::Blocking(blmpop),
                 "Takes elements out of the first list that there is, waiting for one if need be."),
    Command::new("BLPOP", -3, "key [key ...] timeout:double", AWAITED, WRITE.or(NOSCRIPT).or(BLOCKING), "2.0.0", "O(N) in the keys",
                 Handler::Blocking(blpop), "Takes the first element out of the first list that there is, waiting for one if need be."),
    Command::new("BRPOP", -3, "key [key ...] timeout:double", AWAITED, WRITE.or(NOSCRIPT).or(BLOCKING), "2.0.0", "O(N) in the keys",
                 Handler::Blocking(brpop), "Takes the last element out of the first list that there is, waiting for one if need be."),
    Command::new("BRPOPLPUSH", 4, "source destination timeout:double", MOVED_BETWEEN, WRITE.or(GROWS).or(NOSCRIPT).or(BLOCKING), "2.2.0", "O(1)",
                 Handler::Blocking(brpoplpush),
                 "Takes the last element out of a list, waiting for one if need be, puts it in front of another, and answers with it.")
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
];

fn blpop(call: &mut KeysCall<'_>) -> Result<Attempt> {
    pop_one_of(call, End::Front)
}

fn brpop(call: &mut KeysCall<'_>) -> Result<Attempt> {
    pop_one_of(call, End::Back)
}

fn pop_one_of(call: &mut KeysCall<'_>, end: End) -> Result<Attempt> {
    let timeout_ms = call.args.behind(call.keys.len()).timeout()?;
    pop_first(call, timeout_ms, |call, index| pop_one(call, index, end))
}

fn pop_one(call: &mut KeysCall<'_>, index: usize, end: End) -> Result<bool> {
    let KeysCall { keys, reply, .. } = call;
    let mut key = keys.get(index);
    let name = key.name();
    let popped = key.update(pop_event(end), |list: &mut List| {
        reply.array(2);
        reply.bulk(name);
        (list.pop(end, |element| reply.bulk(element)), 1)
    })?;
    Ok(popped.is_some())
}

fn blmpop(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let Several { end, count } = Several::parse(call.args.behind(1))?;
    let timeout_ms = call.args.timeout()?;
    pop_first(call, timeout_ms, |call, index| {
        pop_several(call, index, end, count)
    })
}

/// Lets `pop` try one key after the other. While the command waits, a key that holds something else is like none.
fn pop_first(
    call: &mut KeysCall<'_>,
    timeout_ms: u64,
    pop: impl Fn(&mut KeysCall<'_>, usize) -> Result<bool>,
) -> Result<Attempt> {
    for index in call.candidates() {
        match pop(call, index) {
            Err(Error::WrongType) if call.is_woken() => {}
            Ok(false) => {}
            Ok(true) => return Ok(Attempt::Done),
            Err(error) => return Err(error),
        }
    }
    Ok(wait(timeout_ms, write_null_array))
}

fn wait(timeout_ms: u64, on_refusal: fn(&mut Reply<'_>)) -> Attempt {
    Attempt::Block(Wait {
        timeout_ms,
        on_timeout: write_null_array,
        on_refusal,
        request: None,
    })
}

fn write_null_array(reply: &mut Reply<'_>) {
    reply.null_array();
}

fn write_null(reply: &mut Reply<'_>) {
    reply.null();
}

fn blmove(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let mut args = call.args.behind(2);
    let (from, to) = (take_end(&mut args)?, take_end(&mut args)?);
    let timeout_ms = args.timeout()?;
    move_when_there(call, from, to, timeout_ms)
}

fn brpoplpush(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let timeout_ms = call.args.behind(2).timeout()?;
    move_when_there(call, End::Back, End::Front, timeout_ms)
}

fn move_when_there(call: &mut KeysCall<'_>, from: End, to: End, timeout_ms: u64) -> Result<Attempt> {
    // A change of the destination is no reason to take what is for those who waited for the source before.
    let is_for_us = match call.keys.peek_as::<List>(0) {
        Err(_) if call.is_woken() => false,
        source => source?.is_some() && call.candidates().contains(&0),
    };
    if is_for_us && move_element(call, from, to)? {
        return Ok(Attempt::Done);
    }
    Ok(wait(timeout_ms, write_null))
}
