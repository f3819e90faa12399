//! DEBUG: what tests of a server need. Off unless `enable-debug-command` says otherwise.

use std::time::Duration;

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::config::DebugAccess;
use crate::resp::{Protocol, Reply};
use crate::store::{EntryRef, Key, Visit, digest};
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DEBUG", -2, "", &[], ADMIN.or(NOSCRIPT).or(LOADING).or(STALE).or(INTERNAL), "1.0.0",
                 "Depends on subcommand.", Handler::Waiting(debug), "Groups commands for testing the server itself."),
];

/// A subcommand. Not a row of the command table: Redis does not show them there either.
struct Action {
    name: &'static str,
    arguments_min: usize,
    arguments_max: usize,
    run: Run,
}

enum Run {
    Now(fn(&mut SessionCall<'_>) -> Result),
    Waiting(for<'a> fn(SessionCall<'a>) -> Waiting<'a>),
}

const fn action(name: &'static str, arguments: (usize, usize), run: Run) -> Action {
    let (arguments_min, arguments_max) = arguments;
    Action {
        name,
        arguments_min,
        arguments_max,
        run,
    }
}

const ACTIONS: &[Action] = &[
    action("CHANGE-REPL-ID", (0, 0), Run::Now(nothing)),
    action("DIGEST-VALUE", (1, usize::MAX), Run::Now(digest_value)),
    action("ERROR", (1, 1), Run::Now(error)),
    action("HELP", (0, 0), Run::Now(help)),
    action("JMAP", (0, 0), Run::Now(nothing)),
    action("LOADAOF", (0, 0), Run::Now(nothing)),
    action("LOG", (1, 1), Run::Now(log)),
    action("OBJECT", (1, 1), Run::Now(object)),
    action("POPULATE", (1, 3), Run::Waiting(populate)),
    action("PROTOCOL", (1, 1), Run::Now(protocol)),
    action("QUICKLIST-PACKED-THRESHOLD", (1, 1), Run::Now(nothing)),
    action("RELOAD", (0, 0), Run::Now(nothing)),
    action("SET-ACTIVE-EXPIRE", (1, 1), Run::Now(set_active_expire)),
    action("SLEEP", (1, 1), Run::Waiting(sleep)),
];

const HELP: &[&str] = &[
    "CHANGE-REPL-ID",
    "    Does nothing: there are no replicas.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Show a digest of each key's value; equal values have equal digests.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message.",
    "JMAP",
    "    Does nothing.",
    "LOADAOF",
    "    Does nothing: all data is in memory.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>, or <prefix>:<num>.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type: string, integer, double, bignum,",
    "    null, array, set, map, attrib, push, verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Does nothing: lists keep elements of any size in one way.",
    "RELOAD",
    "    Does nothing: all data is in memory.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    0 stops the removal of expired keys that nobody reads, 1 starts it again.",
    "SLEEP <seconds>",
    "    Wait, decimals allowed. Other clients are served meanwhile.",
];

fn debug(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        gate(&call)?;
        let name = call.args.bytes()?;
        let takes = |action: &&Action| {
            let accepted = action.arguments_min..=action.arguments_max;
            action.name.as_bytes().eq_ignore_ascii_case(name) && accepted.contains(&call.args.len())
        };
        let Some(action) = ACTIONS.iter().find(takes) else {
            return Err(Error::wrong_form(name, "DEBUG"));
        };
        match action.run {
            Run::Now(run) => run(&mut call),
            Run::Waiting(run) => run(call).await,
        }
    })
}

fn gate(call: &SessionCall<'_>) -> Result {
    let allowed = match call.services.config.load().general.debug_command {
        DebugAccess::Nobody => false,
        DebugAccess::Local => call.session.client.is_local,
        DebugAccess::Everybody => true,
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::DEBUG_REFUSED)
    }
}

/// For what concerns parts that this server does not have, and has nothing to lose by.
fn nothing(call: &mut SessionCall<'_>) -> Result {
    call.reply.ok();
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("DEBUG", HELP)
}

fn error(call: &mut SessionCall<'_>) -> Result {
    Err(Error::Verbatim(call.args.text()?.into()))
}

fn log(call: &mut SessionCall<'_>) -> Result {
    tracing::warn!("DEBUG LOG: {}", call.args.text()?);
    call.reply.ok();
    Ok(())
}

fn set_active_expire(call: &mut SessionCall<'_>) -> Result {
    call.services.store.set_sweeping(call.args.bytes()? != b"0");
    call.reply.ok();
    Ok(())
}

/// Waits on this connection only; what is no number counts as 0, as in Redis.
fn sleep(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        let seconds: f64 = call.args.text()?.parse().unwrap_or(0.0);
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if call.session.is_executing {
            // Nothing is to happen between the commands of a transaction.
            std::thread::sleep(time);
        } else {
            tokio::time::sleep(time).await;
        }
        call.reply.ok();
        Ok(())
    })
}

fn digest_value(call: &mut SessionCall<'_>) -> Result {
    call.reply.array(call.args.len());
    let store = &call.services.store;
    for name in call.args {
        let hash = store.hash(name);
        let mut shard = store.lock(hash);
        let key = Key::find(&mut shard, name, hash, call.visit);
        let digest = key
            .entry()
            .map_or(0, |entry| digest(entry.value(), call.visit.now_ms));
        call.reply.simple(&format!("{digest:040x}"));
    }
    Ok(())
}

fn object(call: &mut SessionCall<'_>) -> Result {
    let name = call.args.bytes()?;
    let store = &call.services.store;
    let hash = store.hash(name);
    let mut shard = store.lock(hash);
    let key = Key::find(&mut shard, name, hash, call.visit);
    let entry = key.entry().ok_or(Error::NoSuchKey)?;
    let encoding = key.encoding().unwrap_or_default();
    let idle_s = store
        .policy()
        .0
        .idle_ms(entry.rank(), call.visit.now_ms)
        .unwrap_or(0)
        / 1000;
    let line = format!(
        "Value at:{:p} refcount:1 encoding:{encoding} serializedlength:{} lru:{} lru_seconds_idle:{idle_s}",
        entry.key().as_ptr(),
        serialized_len(entry),
        (call.visit.now_ms / 1000).saturating_sub(idle_s) & 0x00ff_ffff,
    );
    call.reply.simple(&line);
    Ok(())
}

/// Bytes of the value in an RDB file, uncompressed: an integer of up to 32 bits behind one byte, another text behind
/// its length. Of a structure, the memory that it takes.
fn serialized_len(entry: EntryRef<'_>) -> usize {
    let text_len = |len: usize| match len {
        0..64 => 1 + len,
        64..16_384 => 2 + len,
        _ => 5 + len,
    };
    let Some(text) = entry.text() else {
        return entry.allocated_bytes();
    };
    match text {
        Text::Int(value) if i8::try_from(value).is_ok() => 2,
        Text::Int(value) if i16::try_from(value).is_ok() => 3,
        Text::Int(value) if i32::try_from(value).is_ok() => 5,
        Text::Int(value) => text_len(value.to_string().len()),
        Text::Bytes(bytes) => text_len(bytes.len()),
    }
}

/// What POPULATE was asked to create.
struct Population {
    count: usize,
    prefix: Vec<u8>,
    /// Values are cut or filled with zero bytes to this length; 0 leaves them alone.
    value_bytes: usize,
}

fn populate(mut call: SessionCall<'_>) -> Waiting<'_> {
    /// Keys created before others get a turn.
    const SLICE: usize = 1000;
    Box::pin(async move {
        let population = Population::parse(&mut call)?;
        for index in 0..population.count {
            if index % SLICE == SLICE - 1 {
                tokio::task::yield_now().await;
            }
            population.create(index, &call);
        }
        call.reply.ok();
        Ok(())
    })
}

impl Population {
    fn parse(call: &mut SessionCall<'_>) -> Result<Self> {
        let count = positive(call)?;
        let prefix = call.args.next().unwrap_or(b"key").to_vec();
        let value_bytes = if call.args.is_empty() { 0 } else { positive(call)? };
        Ok(Self {
            count,
            prefix,
            value_bytes,
        })
    }

    fn create(&self, index: usize, call: &SessionCall<'_>) {
        let name = [&self.prefix, format!(":{index}").as_bytes()].concat();
        let mut value = format!("value:{index}").into_bytes();
        if self.value_bytes > 0 {
            value.resize(self.value_bytes, 0);
        }
        let store = &call.services.store;
        let hash = store.hash(&name);
        let mut shard = store.lock(hash);
        let visit = Visit {
            touch: false,
            ..call.visit
        };
        let mut key = Key::find(&mut shard, &name, hash, visit);
        if !key.exists() {
            key.set(&value, None);
        }
    }
}

fn positive(call: &mut SessionCall<'_>) -> Result<usize> {
    let number = call
        .args
        .integer()
        .ok()
        .and_then(|number| usize::try_from(number).ok());
    number.ok_or(Error::NOT_POSITIVE)
}

#[expect(
    clippy::approx_constant,
    reason = "Redis's test value, three digits of pi, is what its tests expect"
)]
fn protocol(call: &mut SessionCall<'_>) -> Result {
    let name = call.args.text()?.to_ascii_lowercase();
    let reply = &mut call.reply;
    match name.as_str() {
        "string" => reply.bulk(b"Hello World"),
        "integer" => reply.integer(12_345),
        "double" => reply.double(3.141),
        "null" => reply.null(),
        "bignum" => reply.big_number("1234567999999999999999999999999999999"),
        "true" => reply.boolean(true),
        "false" => reply.boolean(false),
        "verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        "array" => {
            reply.array(3);
            numbers(reply);
        }
        "set" => {
            reply.set(3);
            numbers(reply);
        }
        "map" => map(reply),
        "attrib" => attributed(reply),
        "push" => return push(reply),
        _ => return Err(Error::PROTOCOL_TYPE),
    }
    Ok(())
}

fn numbers(reply: &mut Reply<'_>) {
    (0..3).for_each(|number| reply.integer(number));
}

fn map(reply: &mut Reply<'_>) {
    reply.map(3);
    for number in 0..3 {
        reply.integer(number);
        reply.boolean(number == 1);
    }
}

/// Attributes are for RESP3; RESP2 shows only what they describe.
fn attributed(reply: &mut Reply<'_>) {
    if reply.protocol() == Protocol::Resp3 {
        reply.encoded(b"|1\r\n");
        reply.bulk(b"key-popularity");
        reply.array(2);
        reply.bulk(b"key:123");
        reply.integer(90);
    }
    reply.bulk(b"Some real reply following the attribute");
}

fn push(reply: &mut Reply<'_>) -> Result {
    if reply.protocol() == Protocol::Resp2 {
        return Err(Error::RESP3_ONLY);
    }
    reply.push(2);
    reply.bulk(b"server-cpu-usage");
    reply.integer(42);
    reply.bulk(b"Some real reply following the push reply");
    Ok(())
}
