//! Commands that remove single entries of a stream.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use super::stream_ids;
use super::stream_trim::take_references;
use crate::resp::Reply;
use crate::resp::number::parse_i64;
use crate::values::stream::{References, Removal, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("XACKDEL", -6, "key group condition=[KEEPREF | DELREF | ACKED] IDS ids=<numids:integer id [id ...]>", &[key_at(1, REDUCE)],
                 WRITE.or(FAST), "8.2.0", "O(N) in the ids", Handler::Key(xackdel),
                 "Acknowledges entries for a group of consumers and removes them from the stream."),
    Command::new("XDEL", -3, "key id [id ...]", &[key_at(1, REDUCE)], WRITE.or(FAST), "5.0.0", "O(N) in the ids", Handler::Key(xdel),
                 "Removes entries from a stream and tells how many there were."),
    Command::new("XDELEX", -5, "key condition=[KEEPREF | DELREF | ACKED] IDS ids=<numids:integer id [id ...]>", &[key_at(1, REDUCE)],
                 WRITE.or(FAST), "8.2.0", "O(N) in the ids", Handler::Key(xdelex),
                 "Removes entries from a stream, as far as groups of consumers allow it."),
];

fn xdel(call: &mut KeyCall<'_>) -> Result {
    if call.key.peek_as::<Stream>()?.is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    let ids = stream_ids::ids(&mut call.args)?;
    let removed = call.key.update::<Stream, _>("xdel", |stream| {
        let removed = ids.iter().filter(|id| stream.entries.remove(**id)).count() as u64;
        (removed, removed)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn xdelex(call: &mut KeyCall<'_>) -> Result {
    let is_there = call.key.peek_as::<Stream>()?.is_some();
    let (references, words) = parse_removal(&mut call.args)?;
    if !is_there {
        reply_absent(&mut call.reply, words.len());
        return Ok(());
    }
    let ids = parse_ids(&words)?;
    call.reply.array(ids.len());
    let reply = &mut call.reply;
    call.key.update::<Stream, _>("xdel", |stream| {
        let mut changes = 0;
        for id in ids {
            let (removal, changed) = stream.remove(id, references);
            changes += u64::from(changed);
            reply.integer(code(removal));
        }
        ((), changes)
    })?;
    Ok(())
}

fn xackdel(call: &mut KeyCall<'_>) -> Result {
    let group = call.args.bytes()?;
    let is_there = call
        .key
        .peek_as::<Stream>()?
        .is_some_and(|stream| stream.group(group).is_some());
    let (references, words) = parse_removal(&mut call.args)?;
    if !is_there {
        reply_absent(&mut call.reply, words.len());
        return Ok(());
    }
    let ids = parse_ids(&words)?;
    call.reply.array(ids.len());
    let reply = &mut call.reply;
    call.key.update::<Stream, _>("xdel", |stream| {
        let mut changes = 0;
        for id in ids {
            let removal = acknowledge_and_remove(stream, group, id, references);
            changes += u64::from(removal != Removal::Absent);
            reply.integer(code(removal));
        }
        ((), changes)
    })?;
    Ok(())
}

/// Absent is what was not pending; what was removed from the stream before counts as done.
fn acknowledge_and_remove(
    stream: &mut Stream,
    group: &[u8],
    id: StreamId,
    references: References,
) -> Removal {
    if stream.change_group(group, |group, _| group.acknowledge(id)) != Some(true) {
        return Removal::Absent;
    }
    match stream.remove(id, references) {
        (Removal::Refused, _) => Removal::Refused,
        _ => Removal::Done,
    }
}

/// What the reply tells of one id.
fn code(removal: Removal) -> i64 {
    match removal {
        Removal::Absent => -1,
        Removal::Done => 1,
        Removal::Refused => 2,
    }
}

fn reply_absent(reply: &mut Reply<'_>, count: usize) {
    reply.array(count);
    for _ in 0..count {
        reply.integer(code(Removal::Absent));
    }
}

/// Reads `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]`, in any order.
fn parse_removal<'r>(args: &mut Args<'r>) -> Result<(References, Vec<&'r [u8]>)> {
    let (mut references, mut ids) = (None, None);
    while !args.is_empty() {
        if args.len() > 1 && args.take_word("IDS") {
            let count = parse_i64(args.bytes()?).filter(|count| *count > 0);
            let count = count.ok_or(Error::ID_COUNT)? as usize;
            if count > args.len() {
                return Err(Error::ID_COUNT_MISMATCH);
            }
            ids = Some(args.by_ref().take(count).collect());
        } else {
            let first = references.is_none();
            references = Some(take_references(args).filter(|_| first).ok_or(Error::Syntax)?);
        }
    }
    Ok((references.unwrap_or_default(), ids.ok_or(Error::IDS_MISSING)?))
}

fn parse_ids(words: &[&[u8]]) -> Result<Vec<StreamId>> {
    let ids = words
        .iter()
        .map(|word| StreamId::parse(word, 0).ok_or(Error::STREAM_ID));
    ids.collect()
}
