//! XGROUP: commands on the groups of consumers of a stream.

use super::args::Args;
use super::call::{KeyCall, SessionCall};
use super::error::Error;
use super::spec::*;
use crate::resp::number::parse_i64;
use crate::values::stream::{Group, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("XGROUP", "5.0.0", "Groups the commands on the groups of consumers of a stream.", &[
        Command::new("CREATE", -5, "key groupname id=<id | new_id=$> [MKSTREAM] [ENTRIESREAD entries_read:integer]", &[key_at(2, EXTEND)],
                     WRITE.or(GROWS), "5.0.0", "O(1)", Handler::Key(xgroup_create), "Adds a group of consumers to a stream."),
        Command::new("CREATECONSUMER", 5, "key groupname consumername", &[key_at(2, EXTEND)], WRITE.or(GROWS), "6.2.0", "O(1)",
                     Handler::Key(xgroup_createconsumer), "Adds a consumer to a group."),
        Command::new("DELCONSUMER", 5, "key groupname consumername", &[key_at(2, REDUCE)], WRITE, "5.0.0", "O(1)",
                     Handler::Key(xgroup_delconsumer), "Removes a consumer from its group, with the entries that it has not acknowledged."),
        Command::new("DESTROY", 4, "key groupname", &[key_at(2, REDUCE)], WRITE, "5.0.0", "O(N) in the group's pending entries",
                     Handler::Key(xgroup_destroy), "Removes a group of consumers."),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "5.0.0", "O(1)", Handler::Session(xgroup_help), "Explains the XGROUP commands."),
        Command::new("SETID", -5, "key groupname id=<id | new_id=$> [ENTRIESREAD entries_read:integer]", &[key_at(2, EDIT)],
                     WRITE, "5.0.0", "O(1)", Handler::Key(xgroup_setid), "Sets the last id that a group has read."),
    ]),
];

fn xgroup_create(call: &mut KeyCall<'_>) -> Result {
    let words = call.args.len();
    let (name, id) = (call.args.bytes()?, call.args.bytes()?);
    let options = GroupOptions::parse(&mut call.args, true)?;
    let last_id = call
        .key
        .peek_as::<Stream>()?
        .map(|stream| stream.entries.last_id());
    if last_id.is_none() && !options.create_stream {
        return Err(Error::XGROUP_WITHOUT_KEY);
    }
    expect_words(call, words, 2..=5)?;
    let id = match id {
        b"$" => last_id.unwrap_or_default(),
        id => StreamId::parse(id, 0).ok_or(Error::STREAM_ID)?,
    };
    let added = call.key.upsert::<Stream, _>("xgroup-create", |stream| {
        let added = stream.add_group(name, Group::new(id, options.entries_read));
        (added, u64::from(added))
    })?;
    if !added {
        return Err(Error::busy_group());
    }
    call.reply.ok();
    Ok(())
}

fn xgroup_setid(call: &mut KeyCall<'_>) -> Result {
    let words = call.args.len();
    let (name, id) = (call.args.bytes()?, call.args.bytes()?);
    let options = GroupOptions::parse(&mut call.args, false)?;
    let stream = existing(call, Some(name))?;
    let last_id = stream.entries.last_id();
    expect_words(call, words, 2..=4)?;
    let id = match id {
        b"$" => last_id,
        id => StreamId::parse_bound(id, 0).ok_or(Error::STREAM_ID)?,
    };
    call.key.update::<Stream, _>("xgroup-setid", |stream| {
        let set = stream.change_group(name, |group, _| {
            group.last_id = id;
            group.entries_read = options.entries_read;
        });
        (set, 1)
    })?;
    call.reply.ok();
    Ok(())
}

fn xgroup_destroy(call: &mut KeyCall<'_>) -> Result {
    let name = call.args.bytes()?;
    existing(call, None)?;
    let removed = call.key.update::<Stream, _>("xgroup-destroy", |stream| {
        let removed = stream.remove_group(name);
        (removed, u64::from(removed))
    })?;
    call.reply.integer(i64::from(removed == Some(true)));
    Ok(())
}

fn xgroup_createconsumer(call: &mut KeyCall<'_>) -> Result {
    let (name, consumer) = (call.args.bytes()?, call.args.bytes()?);
    existing(call, Some(name))?;
    let now_ms = call.visit.now_ms;
    let added = call.key.update::<Stream, _>("xgroup-createconsumer", |stream| {
        let added = stream.change_group(name, |group, _| group.add_consumer(consumer, now_ms));
        (added, u64::from(added == Some(true)))
    })?;
    call.reply.integer(i64::from(added.flatten() == Some(true)));
    Ok(())
}

fn xgroup_delconsumer(call: &mut KeyCall<'_>) -> Result {
    let (name, consumer) = (call.args.bytes()?, call.args.bytes()?);
    existing(call, Some(name))?;
    let pending = call.key.update::<Stream, _>("xgroup-delconsumer", |stream| {
        let pending = stream
            .change_group(name, |group, _| group.remove_consumer(consumer))
            .flatten();
        (pending, u64::from(pending.is_some()))
    })?;
    call.reply.integer(pending.flatten().unwrap_or(0) as i64);
    Ok(())
}

/// The stream, which must be there, with the group of that name if one is given.
fn existing<'c>(call: &'c KeyCall<'_>, group: Option<&[u8]>) -> Result<&'c Stream> {
    let stream = call.key.peek_as::<Stream>()?.ok_or(Error::XGROUP_WITHOUT_KEY)?;
    match group {
        Some(name) if stream.group(name).is_none() => Err(Error::no_group_of_key(name, call.key.name())),
        _ => Ok(stream),
    }
}

/// Fails if an option was given so often that there are more words behind the group's name than make sense.
fn expect_words(call: &KeyCall<'_>, words: usize, expected: std::ops::RangeInclusive<usize>) -> Result {
    if expected.contains(&words) {
        Ok(())
    } else {
        Err(wrong_form(call.args))
    }
}

fn wrong_form(args: Args<'_>) -> Error {
    Error::wrong_form(args.request().arg(1), "XGROUP")
}

/// What stands behind the id of CREATE and SETID.
struct GroupOptions {
    create_stream: bool,
    entries_read: Option<u64>,
}

impl GroupOptions {
    fn parse(args: &mut Args<'_>, creates: bool) -> Result<Self> {
        let mut options = Self {
            create_stream: false,
            entries_read: None,
        };
        while !args.is_empty() {
            if creates && args.take_word("MKSTREAM") {
                options.create_stream = true;
            } else if args.len() > 1 && args.take_word("ENTRIESREAD") {
                options.entries_read = match parse_i64(args.bytes()?).ok_or(Error::NotAnInteger)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| Error::XGROUP_ENTRIES_READ)?),
                };
            } else {
                return Err(wrong_form(*args));
            }
        }
        Ok(options)
    }
}

fn xgroup_help(call: &mut SessionCall<'_>) -> Result {
    call.help(
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Adds a group of consumers. The options are:",
            "    * MKSTREAM",
            "      Creates the stream if it is not there.",
            "    * ENTRIESREAD entries_read",
            "      Sets how many entries the group has read (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Adds a consumer to the group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Removes the consumer.",
            "DESTROY <key> <groupname>",
            "    Removes the group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Sets the group's last id and how many entries it has read.",
        ],
    )
}
