//! COMMAND INFO: arity, flags, keys and categories of commands.

use crate::commands::call::SessionCall;
use crate::commands::index::{self, Entry};
use crate::commands::spec::{Access, Begin, Command, Find, Keys, Mode, Result, SHOWN_FLAGS, Uses};
use crate::resp::Reply;

/// Replies with a description per name, null for those that name nothing; without names with all.
pub(super) fn info(call: &mut SessionCall<'_>) -> Result {
    if call.args.is_empty() {
        write_all(&mut call.reply);
        return Ok(());
    }
    call.reply.array(call.args.len());
    for name in call.args {
        match index::find_full_name(name) {
            Some(entry) => write(&mut call.reply, entry),
            None => call.reply.null(),
        }
    }
    Ok(())
}

/// Describes every command; subcommands stand within their containers.
pub(super) fn write_all(reply: &mut Reply<'_>) {
    reply.array(index::top_level().count());
    for entry in index::top_level() {
        write(reply, entry);
    }
}

fn write(reply: &mut Reply<'_>, entry: &Entry) {
    let command = entry.command;
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.integer(command.arity.into());
    let flags = SHOWN_FLAGS
        .iter()
        .filter(|(flag, _)| command.flags.contains(*flag));
    let is_movable = !command.keys.iter().all(Keys::is_fixed);
    let movable = is_movable.then_some("movablekeys");
    write_set(reply, flags.map(|(_, name)| *name).chain(movable));
    for number in key_range(command) {
        reply.integer(number);
    }
    let categories: Vec<String> = entry
        .categories()
        .names()
        .map(|name| format!("@{name}"))
        .collect();
    write_set(reply, categories.iter().map(String::as_str));
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(command.keys.len() + command.shard_channels.len());
    for keys in command.keys {
        write_keys(reply, keys, key_flags(keys.access));
    }
    for channels in command.shard_channels {
        write_keys(reply, channels, std::iter::once("not_key"));
    }
    reply.set(command.subcommands.len());
    for subcommand in entry.subcommands() {
        write(reply, subcommand);
    }
}

/// The first key, the last and the step between keys, which is how clients of before Redis 7 find them. Those
/// specifications of a row that stand at fixed places follow one another, so that one range covers them all.
fn key_range(command: &Command) -> [i64; 3] {
    let all = command.keys.iter().chain(command.shard_channels);
    let fixed = all.filter(|keys| keys.is_fixed());
    let ranges = fixed.filter_map(|keys| match (keys.begin, keys.find) {
        (Begin::At(first), Find::Range { last, step, .. }) => {
            Some((first as i64, i64::from(last), step as i64))
        }
        _ => None,
    });
    let ranges: Vec<_> = ranges.collect();
    match ranges[..] {
        [] => [0, 0, 0],
        [(first, _, step), .., (begin, last, _)] => [first, end_of(begin, last), step],
        [(first, last, step)] => [first, end_of(first, last), step],
    }
}

fn end_of(first: i64, last: i64) -> i64 {
    if last < 0 { last } else { first + last }
}

fn write_keys(reply: &mut Reply<'_>, keys: &Keys, flags: impl Iterator<Item = &'static str> + Clone) {
    reply.map(3);
    reply.bulk(b"flags");
    write_set(reply, flags);
    reply.bulk(b"begin_search");
    if keys.is_secretive {
        write_search(reply, "unknown", &[]);
        reply.bulk(b"find_keys");
        write_search(reply, "unknown", &[]);
        return;
    }
    match keys.begin {
        Begin::At(position) => write_search(reply, "index", &[("index", Fact::Number(position as i64))]),
        Begin::Behind(word, start) => write_search(
            reply,
            "keyword",
            &[
                ("keyword", Fact::Word(word)),
                ("startfrom", Fact::Number(start as i64)),
            ],
        ),
        Begin::Option { .. } => write_search(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    let number = |number: usize| Fact::Number(number as i64);
    match keys.find {
        Find::Range { last, step, part } => write_search(
            reply,
            "range",
            &[
                ("lastkey", Fact::Number(last.into())),
                ("keystep", number(step)),
                ("limit", number(part)),
            ],
        ),
        Find::Counted { step } => write_search(
            reply,
            "keynum",
            &[
                ("keynumidx", number(0)),
                ("firstkey", number(1)),
                ("keystep", number(step)),
            ],
        ),
    }
}

/// One fact of a key specification.
#[derive(Clone, Copy)]
enum Fact {
    Number(i64),
    Word(&'static str),
}

fn write_search(reply: &mut Reply<'_>, kind: &str, spec: &[(&str, Fact)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(spec.len());
    for (name, fact) in spec {
        reply.bulk(name.as_bytes());
        match fact {
            Fact::Number(number) => reply.integer(*number),
            Fact::Word(word) => reply.bulk(word.as_bytes()),
        }
    }
}

/// What Redis calls an access to a key.
pub(super) fn key_flags(access: Access) -> impl Iterator<Item = &'static str> + Clone {
    let mode = match access.mode {
        Mode::Read => "RO",
        Mode::Update => "RW",
        Mode::Overwrite => "OW",
        Mode::Remove => "RM",
    };
    let uses = [
        (Uses::ACCESS, "access"),
        (Uses::UPDATE, "update"),
        (Uses::INSERT, "insert"),
        (Uses::DELETE, "delete"),
        (Uses::VARIABLE, "variable_flags"),
    ];
    let uses = uses
        .into_iter()
        .filter(move |(bit, _)| access.uses.contains(*bit));
    std::iter::once(mode).chain(uses.map(|(_, name)| name))
}

/// A set of statuses.
pub(super) fn write_set<'n>(reply: &mut Reply<'_>, names: impl Iterator<Item = &'n str> + Clone) {
    reply.set(names.clone().count());
    for name in names {
        reply.simple(name);
    }
}
