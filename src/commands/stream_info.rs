//! XINFO: commands that tell of a stream, its groups and their consumers.

use super::call::{KeyCall, SessionCall};
use super::error::Error;
use super::spec::*;
use super::stream_ids::{reply_entries, reply_entry, reply_id};
use crate::resp::Reply;
use crate::resp::number::parse_i64;
use crate::values::stream::{Consumer, Entries, Group, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("XINFO", "5.0.0", "Groups the commands that tell of streams.", &[
        Command::new("CONSUMERS", 4, "key groupname", &[key_at(2, READ)], READONLY.or(OWNER), "5.0.0", "O(1)", Handler::Key(xinfo_consumers),
                     "Tells of the consumers of a group.")
            .tips(&["nondeterministic_output"]),
        Command::new("GROUPS", 3, "key", &[key_at(2, READ)], READONLY.or(OWNER), "5.0.0", "O(1)", Handler::Key(xinfo_groups),
                     "Tells of the groups of consumers of a stream."),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "5.0.0", "O(1)", Handler::Session(xinfo_help), "Explains the XINFO commands."),
        Command::new("STREAM", -3, "key [FULL full=<[COUNT count]>]", &[key_at(2, READ)], READONLY.or(OWNER), "5.0.0", "O(1), or O(N) in what is listed",
                     Handler::Key(xinfo_stream), "Tells of a stream, or all about it."),
    ]),
];

fn xinfo_stream(call: &mut KeyCall<'_>) -> Result {
    let mut args = call.args;
    let stream = call.key.read_as::<Stream>()?.ok_or(Error::NoSuchKey)?;
    let reply = &mut call.reply;
    if args.is_empty() {
        reply_brief(reply, stream);
        return Ok(());
    }
    let words = args.len();
    if !matches!(words, 1 | 3) || !args.take_word("FULL") || words == 3 && !args.take_word("COUNT") {
        return Err(Error::wrong_form(args.request().arg(1), "XINFO"));
    }
    let count = match args
        .next()
        .map(|word| parse_i64(word).ok_or(Error::NotAnInteger))
        .transpose()?
    {
        Some(0) => usize::MAX,
        Some(count @ 1..) => count as usize,
        _ => 10,
    };
    reply_full(reply, stream, count);
    Ok(())
}

/// Writes what both forms of XINFO STREAM begin with: seven pairs.
fn reply_head(reply: &mut Reply<'_>, entries: &Entries) {
    reply_count(reply, "length", entries.len());
    reply_count(reply, "radix-tree-keys", entries.block_count() as u64);
    reply_count(reply, "radix-tree-nodes", entries.radix_node_count() as u64);
    reply_named_id(reply, "last-generated-id", entries.last_id());
    reply_named_id(reply, "max-deleted-entry-id", entries.max_deleted_id());
    reply_count(reply, "entries-added", entries.added());
    reply_named_id(reply, "recorded-first-entry-id", entries.first_id());
}

fn reply_brief(reply: &mut Reply<'_>, stream: &Stream) {
    let entries = &stream.entries;
    reply.map(10);
    reply_head(reply, entries);
    reply_count(reply, "groups", stream.groups().len() as u64);
    let ends = [
        ("first-entry", entries.range(StreamId::MIN, StreamId::MAX).next()),
        (
            "last-entry",
            entries.range_back(StreamId::MIN, StreamId::MAX).next(),
        ),
    ];
    for (name, entry) in ends {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => reply_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

/// Writes all about a stream, but of each list only `count` elements.
fn reply_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.map(9);
    reply_head(reply, &stream.entries);
    reply.bulk(b"entries");
    reply_entries(
        reply,
        stream.entries.range(StreamId::MIN, StreamId::MAX).take(count),
    );
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply_full_group(reply, name, group, &stream.entries, count);
    }
}

fn reply_full_group(reply: &mut Reply<'_>, name: &[u8], group: &Group, entries: &Entries, count: usize) {
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    reply_progress(reply, group, entries);
    reply_count(reply, "pel-count", group.pending().len() as u64);
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(count));
    for (id, pending) in group.pending().iter().take(count) {
        reply.array(4);
        reply_id(reply, *id);
        reply.bulk(&pending.consumer);
        reply.integer(pending.delivered_ms as i64);
        reply.integer(pending.deliveries as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply_full_consumer(reply, name, consumer, group, count);
    }
}

fn reply_full_consumer(reply: &mut Reply<'_>, name: &[u8], consumer: &Consumer, group: &Group, count: usize) {
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(name);
    reply_count(reply, "seen-time", consumer.seen_ms);
    reply_count(reply, "pel-count", consumer.pending().len() as u64);
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(count));
    for id in consumer.pending().iter().take(count) {
        let pending = &group.pending()[id];
        reply.array(3);
        reply_id(reply, *id);
        reply.integer(pending.delivered_ms as i64);
        reply.integer(pending.deliveries as i64);
    }
}

fn xinfo_groups(call: &mut KeyCall<'_>) -> Result {
    let stream = call.key.read_as::<Stream>()?.ok_or(Error::NoSuchKey)?;
    let reply = &mut call.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_count(reply, "consumers", group.consumers().len() as u64);
        reply_count(reply, "pending", group.pending().len() as u64);
        reply_progress(reply, group, &stream.entries);
    }
    Ok(())
}

/// Writes how far a group has read: three pairs.
fn reply_progress(reply: &mut Reply<'_>, group: &Group, entries: &Entries) {
    reply_named_id(reply, "last-delivered-id", group.last_id);
    let numbers = [
        ("entries-read", group.entries_read.map(|read| read as i64)),
        ("lag", group.lag(entries)),
    ];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        match number {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
}

fn xinfo_consumers(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let (key, now_ms) = (call.key.name(), call.visit.now_ms);
    let stream = call.key.read_as::<Stream>()?.ok_or(Error::NoSuchKey)?;
    let group = stream
        .group(name)
        .ok_or_else(|| Error::no_group_of_key(name, key))?;
    let reply = &mut call.reply;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_count(reply, "pending", consumer.pending().len() as u64);
        reply_count(reply, "idle", consumer.idle_ms(now_ms).max(0) as u64);
    }
    Ok(())
}

fn reply_count(reply: &mut Reply<'_>, name: &str, count: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(count as i64);
}

fn reply_named_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, id);
}

fn xinfo_help(call: &mut SessionCall<'_>) -> Result {
    call.help(
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Tells of the consumers of <groupname>.",
            "GROUPS <key>",
            "    Tells of the stream's groups of consumers.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Tells of the stream.",
        ],
    )
}
