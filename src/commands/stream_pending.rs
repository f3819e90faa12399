//! Commands on the entries that consumers of a stream have not acknowledged yet.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use super::stream_ids::{self, reply_id};
use crate::resp::Reply;
use crate::values::stream::{Group, Pending, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("XACK", -4, "key group id [id ...]", &[key_at(1, EDIT)], WRITE.or(FAST), "5.0.0", "O(N) in the ids", Handler::Key(xack),
                 "Acknowledges entries for a group of consumers and tells how many were pending."),
    Command::new("XPENDING", -3, "key group filters=[[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
                 &[key_at(1, READ)], READONLY.or(RELAYED), "5.0.0", "O(N) in the entries returned, or in the consumers",
                 Handler::Key(xpending), "Tells of the entries that a group of consumers has not acknowledged.")
        .tips(&["nondeterministic_output"]),
];

fn xack(call: &mut KeyCall<'_>) -> Result {
    let group = call.args.bytes()?;
    let stream = call.key.read_as::<Stream>()?;
    if stream.is_none_or(|stream| stream.group(group).is_none()) {
        call.reply.integer(0);
        return Ok(());
    }
    let ids = stream_ids::ids(&mut call.args)?;
    let acknowledged = call.key.update::<Stream, _>("", |stream| {
        let acknowledged = stream.change_group(group, |group, _| {
            ids.iter().filter(|id| group.acknowledge(**id)).count()
        });
        let acknowledged = acknowledged.unwrap_or(0);
        (acknowledged, acknowledged as u64)
    })?;
    call.reply.integer(acknowledged.unwrap_or(0) as i64);
    Ok(())
}

fn xpending(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let filter = Filter::parse(&mut call.args)?;
    let key = call.key.name();
    let group = call
        .key
        .read_as::<Stream>()?
        .and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| Error::no_key_or_group(key, name))?;
    match filter {
        None => reply_summary(&mut call.reply, group),
        Some(filter) => filter.reply(&mut call.reply, group, call.visit.now_ms),
    }
    Ok(())
}

/// Writes how many entries are pending, from which id to which, and how many for each consumer that has any.
fn reply_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, *first);
    reply_id(reply, *last);
    let busy = || {
        group
            .consumers()
            .iter()
            .filter(|(_, consumer)| !consumer.pending().is_empty())
    };
    reply.array(busy().count());
    for (name, consumer) in busy() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}

/// Which pending entries XPENDING lists.
struct Filter<'r> {
    idle_min_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'r [u8]>,
}

impl<'r> Filter<'r> {
    fn parse(args: &mut Args<'r>) -> Result<Option<Self>> {
        if args.is_empty() {
            return Ok(None);
        }
        if !(3..=6).contains(&args.len()) {
            return Err(Error::Syntax);
        }
        let mut idle_min_ms = 0;
        if args.take_word("IDLE") {
            idle_min_ms = args.integer()?;
            if args.len() < 3 {
                return Err(Error::Syntax);
            }
        }
        let (start, end) = (args.bytes()?, args.bytes()?);
        let count = args.integer()?.max(0) as usize;
        let (start, end) = (stream_ids::start(start)?, stream_ids::end(end)?);
        Ok(Some(Self {
            idle_min_ms,
            start,
            end,
            count,
            consumer: args.next(),
        }))
    }

    fn reply(&self, reply: &mut Reply<'_>, group: &Group, now_ms: u64) {
        if self.start > self.end {
            reply.array(0);
            return;
        }
        let range = self.start..=self.end;
        let Some(name) = self.consumer else {
            let pending = group.pending().range(range).map(|(id, pending)| (*id, pending));
            return self.reply_each(reply, pending, now_ms);
        };
        let Some(consumer) = group.consumer(name) else {
            reply.array(0);
            return;
        };
        let ids = consumer.pending().range(range);
        self.reply_each(reply, ids.map(|id| (*id, &group.pending()[id])), now_ms);
    }

    fn reply_each<'g>(
        &self,
        reply: &mut Reply<'_>,
        pending: impl Iterator<Item = (StreamId, &'g Pending)>,
        now_ms: u64,
    ) {
        let is_idle =
            |pending: &Pending| self.idle_min_ms == 0 || pending.idle_ms(now_ms) >= self.idle_min_ms;
        let found = pending.filter(|(_, pending)| is_idle(pending));
        let array = reply.open_array();
        let mut count = 0;
        for (id, pending) in found.take(self.count) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(&pending.consumer);
            reply.integer(pending.idle_ms(now_ms).max(0));
            reply.integer(pending.deliveries as i64);
            count += 1;
        }
        reply.close_array(array, count);
    }
}
