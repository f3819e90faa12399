//! DUMP and RESTORE: values as payloads, which other servers read and write, too. See [`crate::store::rdb`].

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::store::events::Class;
use crate::store::{EntryRef, rdb};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DUMP", 2, "key", &[key_at(1, READ)], READONLY.or(OWNER), "2.6.0", "O(N) in the bytes of the value", Handler::Key(dump),
                 "Answers with a value in a form that can be restored.")
        .tips(&["nondeterministic_output"]),
    Command::new("RESTORE", -4, "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency:integer]",
                 &[key_at(1, OVERWRITE)], WRITE.or(GROWS), "2.6.0", "O(N) in the bytes of the value, O(N*log(N)) for a sorted set",
                 Handler::Key(restore), "Creates a key with the value that DUMP answered with.")
        .in_categories(DANGEROUS_CATEGORY),
];

fn dump(call: &mut KeyCall<'_>) -> Result {
    call.key.probe();
    let value = call.key.entry().map(EntryRef::value);
    match value.and_then(|value| rdb::encode(value, call.visit.now_ms)) {
        Some(payload) => call.reply.bulk(&payload),
        None => call.reply.null(),
    }
    Ok(())
}

fn restore(call: &mut KeyCall<'_>) -> Result {
    let mut args = call.args;
    let (_ttl, payload) = (args.bytes()?, args.bytes()?);
    let options = Options::parse(&mut args)?;
    if !options.replace && call.key.exists() {
        return Err(Error::KeyTaken);
    }
    let deadline_ms = deadline_ms(call.args.integer()?, options.absolute, call.visit.now_ms)?;
    let limits = call.services.value_limits();
    let value = rdb::decode(payload, &limits).map_err(|refusal| match refusal {
        rdb::Refusal::Untrusted => Error::PAYLOAD_UNTRUSTED,
        rdb::Refusal::Malformed => Error::PAYLOAD_MALFORMED,
    })?;
    if deadline_ms.is_some_and(|at_ms| at_ms <= call.visit.now_ms) {
        call.key.remove_for_client();
    } else {
        let entry = value.into_entry(call.key.name(), deadline_ms);
        call.key.place(entry);
        let idle_ms = options.idle_seconds.map(|seconds| seconds.saturating_mul(1000));
        call.key.set_use(idle_ms, options.frequency);
        call.key.notify(Class::GENERIC, "restore");
    }
    call.reply.ok();
    Ok(())
}

/// When a key dies that has `ttl` milliseconds to live, or dies at that time. A sum that has no name in 64 bits is
/// in the past, as it is for Redis.
fn deadline_ms(ttl: i64, is_absolute: bool, now_ms: u64) -> Result<Option<u64>> {
    let ttl = u64::try_from(ttl).map_err(|_| Error::TTL_NEGATIVE)?;
    Ok(match ttl {
        0 => None,
        at_ms if is_absolute => Some(at_ms),
        ttl_ms => Some(
            ttl_ms
                .checked_add(now_ms)
                .filter(|at_ms| i64::try_from(*at_ms).is_ok())
                .unwrap_or(0),
        ),
    })
}

/// Options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !args.is_empty() {
            if args.take_word("REPLACE") {
                options.replace = true;
            } else if args.take_word("ABSTTL") {
                options.absolute = true;
            } else if options.frequency.is_none() && args.take_word("IDLETIME") {
                options.idle_seconds =
                    Some(u64::try_from(args.integer()?).map_err(|_| Error::IDLE_TIME_NEGATIVE)?);
            } else if options.idle_seconds.is_none() && args.take_word("FREQ") {
                options.frequency = Some(u8::try_from(args.integer()?).map_err(|_| Error::FREQUENCY_RANGE)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}
