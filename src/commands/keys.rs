//! Commands on keys of any kind.

use super::args::Args;
use super::call::{KeyCall, KeysCall, SessionCall};
use super::error::Error;
use super::spec::*;
use crate::store::events::Class;
use crate::store::{EntryRef, Key, Value};
use crate::values::text::Text;

/// A key that only its presence is told of.
const PRESENCE: &[Keys] = &[keys_from(1, LOOK)];
const INSPECTED: &[Keys] = &[key_at(2, LOOK)];
const PER_KEY: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("COPY", -3, "source destination [DB destination-db] [REPLACE]", &[key_at(1, READ), key_at(2, OVERWRITE)],
                 WRITE.or(GROWS).or(OTHER_DATABASE), "6.2.0", "O(N) in the elements copied", Handler::Keys(copy),
                 "Duplicates a value under another key or in another database."),
    Command::new("DEL", -2, "key [key ...]", &[keys_from(1, REMOVE)], WRITE, "1.0.0", "O(N) in the keys, plus the elements each held",
                 Handler::Keys(del), "Removes keys.")
        .tips(PER_KEY),
    Command::new("EXISTS", -2, "key [key ...]", PRESENCE, READONLY.or(FAST), "1.0.0", "O(N) in the keys", Handler::Keys(exists),
                 "Counts how many of the keys named are there.")
        .tips(PER_KEY),
    Command::new("MOVE", 3, "key db", &[key_at(1, UPDATE)], WRITE.or(FAST).or(OTHER_DATABASE), "1.0.0", "O(1)", Handler::Key(r#move),
                 "Takes a key over into another database."),
    Command::container("OBJECT", "2.2.3", "Groups the commands that look inside a stored value.", &[
        Command::new("ENCODING", 3, "key", INSPECTED, READONLY.or(OWNER), "2.2.3", "O(1)", Handler::Key(object_encoding),
                     "Names the internal representation of a value.")
            .tips(&["nondeterministic_output"]),
        Command::new("FREQ", 3, "key", INSPECTED, READONLY.or(OWNER), "4.0.0", "O(1)", Handler::Key(object_freq),
                     "Tells how often a key is used, on a logarithmic scale.")
            .tips(&["nondeterministic_output"]),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "6.2.0", "O(1)", Handler::Session(object_help),
                     "Explains the OBJECT commands."),
        Command::new("IDLETIME", 3, "key", INSPECTED, READONLY.or(OWNER), "2.2.3", "O(1)", Handler::Key(object_idletime),
                     "Tells how many seconds ago a key was last used.")
            .tips(&["nondeterministic_output"]),
        Command::new("REFCOUNT", 3, "key", INSPECTED, READONLY.or(OWNER), "2.2.3", "O(1)", Handler::Key(object_refcount),
                     "Tells how many references a value has.")
            .tips(&["nondeterministic_output"]),
    ]),
    Command::new("RENAME", 3, "key newkey", &[key_at(1, TAKE), key_at(2, OVERWRITE)], WRITE, "1.0.0", "O(1)", Handler::Keys(rename),
                 "Gives a key another name, replacing what was there."),
    Command::new("RENAMENX", 3, "key newkey", &[key_at(1, TAKE), key_at(2, CREATE)], WRITE.or(FAST), "1.0.0", "O(1)",
                 Handler::Keys(renamenx), "Gives a key another name, unless that name is taken."),
    Command::new("TOUCH", -2, "key [key ...]", PRESENCE, READONLY.or(FAST).or(OWNER), "3.2.1", "O(N) in the keys", Handler::Keys(touch),
                 "Marks keys as just used and counts those that are there.")
        .tips(PER_KEY),
    Command::new("TYPE", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(r#type),
                 "Tells what kind of value a key holds."),
    Command::new("UNLINK", -2, "key [key ...]", &[keys_from(1, REMOVE)], WRITE.or(FAST), "4.0.0", "O(1) a key; freeing happens aside",
                 Handler::Keys(del), "Removes keys and frees what they held in the background.")
        .tips(PER_KEY),
];

/// DEL and UNLINK: what is large is freed aside in either case.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method alone is for one lifetime of a key"
)]
fn del(call: &mut KeysCall<'_>) -> Result {
    count(call, |key| key.remove_for_client())
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method alone is for one lifetime of a key"
)]
fn exists(call: &mut KeysCall<'_>) -> Result {
    count(call, |key| key.look())
}

fn touch(call: &mut KeysCall<'_>) -> Result {
    count(call, |key| {
        key.touch_anyway();
        key.look()
    })
}

/// Replies with the number of keys that `fits` is true for.
fn count(call: &mut KeysCall<'_>, mut fits: impl FnMut(&mut Key<'_>) -> bool) -> Result {
    let count = (0..call.keys.len())
        .filter(|&index| fits(&mut call.keys.get(index)))
        .count();
    call.reply.integer(count as i64);
    Ok(())
}

fn r#type(call: &mut KeyCall<'_>) -> Result {
    call.key.look();
    call.reply.simple(call.key.type_name().unwrap_or("none"));
    Ok(())
}

fn rename(call: &mut KeysCall<'_>) -> Result {
    move_value(call, true)?;
    call.reply.ok();
    Ok(())
}

fn renamenx(call: &mut KeysCall<'_>) -> Result {
    let renamed = move_value(call, false)?;
    call.reply.integer(i64::from(renamed));
    Ok(())
}

/// Moves what the first key holds to the second; if that has something, only when it may be replaced. A key stays
/// where it is when both are the same, and counts as something. Fails when there is nothing to move.
fn move_value(call: &mut KeysCall<'_>, replace: bool) -> Result<bool> {
    let (name, destination) = (call.args.bytes()?, call.args.bytes()?);
    if !call.keys.get(0).exists() {
        return Err(Error::NoSuchKey);
    }
    if !replace && call.keys.get(1).exists() {
        return Ok(false);
    }
    if name != destination {
        let source = call.keys.get(0).take().expect("the key exists");
        call.keys.get(1).adopt(source.renamed(destination));
        call.keys.get(0).notify(Class::GENERIC, "rename_from");
        call.keys.get(1).notify(Class::GENERIC, "rename_to");
    }
    Ok(true)
}

fn copy(call: &mut KeysCall<'_>) -> Result {
    let (name, destination) = (call.args.bytes()?, call.args.bytes()?);
    let options = CopyOptions::parse(&mut call.args, call.visit.db, call.services.store.databases())?;
    if options.db == call.visit.db && name == destination {
        return Err(Error::SAME_KEY);
    }
    let mut source = call.keys.get(0);
    source.probe();
    let copy = source.entry().map(|entry| entry.copied_for(destination));
    let mut target = call.keys.get_in(1, options.db);
    let copied = match copy {
        Some(copy) if options.replace || !target.exists() => {
            target.adopt(copy);
            target.notify(Class::GENERIC, "copy_to");
            true
        }
        _ => false,
    };
    call.reply.integer(i64::from(copied));
    Ok(())
}

/// What stands behind the keys of COPY.
struct CopyOptions {
    db: usize,
    replace: bool,
}

impl CopyOptions {
    fn parse(args: &mut Args<'_>, db: usize, databases: usize) -> Result<Self> {
        let mut options = Self { db, replace: false };
        while !args.is_empty() {
            if args.take_word("REPLACE") {
                options.replace = true;
            } else if args.take_word("DB") {
                options.db = args.database(databases)?;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

fn r#move(call: &mut KeyCall<'_>) -> Result {
    let db = call.args.database(call.services.store.databases())?;
    if db == call.visit.db {
        return Err(Error::SAME_KEY);
    }
    let moves = call.key.exists() && !call.key.in_database(db).exists();
    if moves {
        let entry = call.key.take().expect("the key exists");
        call.key.in_database(db).adopt(entry);
        call.key.notify(Class::GENERIC, "move_from");
        call.key.in_database(db).notify(Class::GENERIC, "move_to");
    }
    call.reply.integer(i64::from(moves));
    Ok(())
}

fn object_encoding(call: &mut KeyCall<'_>) -> Result {
    call.key.look_quietly();
    match call.key.encoding() {
        Some(encoding) => call.reply.bulk(encoding.as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

fn object_refcount(call: &mut KeyCall<'_>) -> Result {
    /// Redis shares the objects of small integers among all keys, and shows the largest count for them.
    const SHARED: std::ops::Range<i64> = 0..10_000;
    call.key.look_quietly();
    // Not where each key has its own idle time or frequency.
    let may_share = call.services.store.limit_bytes() == 0 || !call.services.store.policy().0.ranks_use();
    match call.key.entry().map(EntryRef::value) {
        Some(Value::Text(Text::Int(number))) if may_share && SHARED.contains(&number) => {
            call.reply.integer(i32::MAX.into());
        }
        Some(_) => call.reply.integer(1),
        None => call.reply.null(),
    }
    Ok(())
}

fn object_idletime(call: &mut KeyCall<'_>) -> Result {
    let (policy, _) = call.services.store.policy();
    let now_ms = call.visit.now_ms;
    reply_rank(
        call,
        |rank| policy.idle_ms(rank, now_ms).map(|ms| ms / 1000),
        &Error::IDLE_TIME_UNKNOWN,
    )
}

fn object_freq(call: &mut KeyCall<'_>) -> Result {
    let (policy, tuning) = call.services.store.policy();
    let now_ms = call.visit.now_ms;
    reply_rank(
        call,
        |rank| policy.frequency(rank, now_ms, tuning).map(u64::from),
        &Error::FREQUENCY_UNKNOWN,
    )
}

/// Replies with what the policy knows by the entry's rank, or the error that tells that it does not know.
fn reply_rank(call: &mut KeyCall<'_>, known: impl Fn(u32) -> Option<u64>, otherwise: &Error) -> Result {
    call.key.look_quietly();
    match call.key.entry() {
        Some(entry) => call
            .reply
            .integer(known(entry.rank()).ok_or_else(|| otherwise.clone())? as i64),
        None => call.reply.null(),
    }
    Ok(())
}

fn object_help(call: &mut SessionCall<'_>) -> Result {
    call.help(
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Names the internal representation of the value.",
            "FREQ <key>",
            "    Tells how often the key is used, as the logarithmic counter of an LFU policy.",
            "IDLETIME <key>",
            "    Tells how many seconds ago the key was last used.",
            "REFCOUNT <key>",
            "    Tells how many references to the value there are.",
        ],
    )
}
