//! Deadlines of a hash's fields.
//!
//! Fields whose deadline has passed are gone before a handler runs: looking the key up removes them.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::key_expiry::{Condition, Origin, Unit};
use super::spec::*;
use crate::resp::number::parse_i64;
use crate::values::hash::Hash;

const EDITS: &[Keys] = &[key_at(1, EDIT)];
const READS: &[Keys] = &[key_at(1, READ)];
const TIMELY: &[&str] = &["nondeterministic_output"];
const PER_FIELD: &str = "O(N) in the fields named";

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("HEXPIRE", -6, "key seconds condition=[NX | XX | GT | LT] FIELDS fields=<numfields:integer field [field ...]>", EDITS,
                 WRITE.or(GROWS).or(FAST), "7.4.0", PER_FIELD, Handler::Key(hexpire), "Makes fields expire after some seconds."),
    Command::new("HEXPIREAT", -6, "key unix-time-seconds condition=[NX | XX | GT | LT] FIELDS fields=<numfields:integer field [field ...]>", EDITS,
                 WRITE.or(GROWS).or(FAST), "7.4.0", PER_FIELD, Handler::Key(hexpireat), "Makes fields expire at a Unix time in seconds."),
    Command::new("HEXPIRETIME", -5, "key FIELDS fields=<numfields:integer field [field ...]>", READS, READONLY.or(FAST).or(OWNER), "7.4.0", PER_FIELD,
                 Handler::Key(hexpiretime), "Tells at which Unix time, in seconds, fields expire."),
    Command::new("HPERSIST", -5, "key FIELDS fields=<numfields:integer field [field ...]>", EDITS, WRITE.or(FAST), "7.4.0", PER_FIELD,
                 Handler::Key(hpersist), "Takes the deadline off fields."),
    Command::new("HPEXPIRE", -6, "key milliseconds condition=[NX | XX | GT | LT] FIELDS fields=<numfields:integer field [field ...]>", EDITS,
                 WRITE.or(GROWS).or(FAST), "7.4.0", PER_FIELD, Handler::Key(hpexpire), "Makes fields expire after some milliseconds."),
    Command::new("HPEXPIREAT", -6, "key unix-time-milliseconds condition=[NX | XX | GT | LT] FIELDS fields=<numfields:integer field [field ...]>", EDITS,
                 WRITE.or(GROWS).or(FAST), "7.4.0", PER_FIELD, Handler::Key(hpexpireat), "Makes fields expire at a Unix time in milliseconds."),
    Command::new("HPEXPIRETIME", -5, "key FIELDS fields=<numfields:integer field [field ...]>", READS, READONLY.or(FAST).or(OWNER), "7.4.0", PER_FIELD,
                 Handler::Key(hpexpiretime), "Tells at which Unix time, in milliseconds, fields expire."),
    Command::new("HPTTL", -5, "key FIELDS fields=<numfields:integer field [field ...]>", READS, READONLY.or(FAST).or(OWNER), "7.4.0", PER_FIELD,
                 Handler::Key(hpttl), "Tells how many milliseconds fields have left.").tips(TIMELY),
    Command::new("HTTL", -5, "key FIELDS fields=<numfields:integer field [field ...]>", READS, READONLY.or(FAST).or(OWNER), "7.4.0", PER_FIELD,
                 Handler::Key(httl), "Tells how many seconds fields have left.").tips(TIMELY),
];

/// The latest deadline that Redis gives a field: 2⁴⁶ − 1 milliseconds, in the year 4199.
const DEADLINE_MAX_MS: u64 = (1 << 46) - 1;

// What a command did to a field, as a reply.
const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const CONDITION_NOT_MET: i64 = 0;
const CHANGED: i64 = 1;
const DIED: i64 = 2;

fn hexpire(call: &mut KeyCall<'_>) -> Result {
    expire(call, "hexpire", Unit::Seconds, Origin::Now)
}

fn hexpireat(call: &mut KeyCall<'_>) -> Result {
    expire(call, "hexpireat", Unit::Seconds, Origin::Epoch)
}

fn hpexpire(call: &mut KeyCall<'_>) -> Result {
    expire(call, "hpexpire", Unit::Milliseconds, Origin::Now)
}

fn hpexpireat(call: &mut KeyCall<'_>) -> Result {
    expire(call, "hpexpireat", Unit::Milliseconds, Origin::Epoch)
}

/// Gives each field a deadline, if the condition holds for it. One that has passed removes the field.
fn expire(call: &mut KeyCall<'_>, command: &str, unit: Unit, origin: Origin) -> Result {
    call.key.peek_as::<Hash>()?;
    let now_ms = call.visit.now_ms;
    let at_ms = deadline_ms(&mut call.args, unit, origin, now_ms, command)?;
    let mut condition = Condition::default();
    condition.take(&mut call.args);
    let names = field_names(&mut call.args, &Error::FIELD_COUNT_TOO_SMALL)?;
    let dies = at_ms <= now_ms;
    change_each(call, names, event_of(dies), |hash, name| {
        let Some(field) = hash.field(name) else {
            return NO_FIELD;
        };
        if !condition.allows(at_ms as i64, field.deadline_ms) {
            return CONDITION_NOT_MET;
        }
        set_or_remove(hash, name, at_ms, dies);
        if dies { DIED } else { CHANGED }
    })
}

/// What listeners are told of when fields are given a deadline, which may have passed.
pub fn event_of(dies: bool) -> &'static str {
    if dies { "hdel" } else { "hexpire" }
}

/// Gives a field a deadline, or removes the field if that has passed.
pub fn set_or_remove(hash: &mut Hash, name: &[u8], at_ms: u64, dies: bool) {
    if dies {
        hash.remove(name);
    } else {
        hash.set_deadline(name, Some(at_ms));
    }
}

fn hpersist(call: &mut KeyCall<'_>) -> Result {
    call.key.peek_as::<Hash>()?;
    let names = field_names(&mut call.args, &Error::FIELD_COUNT)?;
    change_each(call, names, "hpersist", |hash, name| {
        match hash.field(name).map(|field| field.deadline_ms) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(_)) => {
                hash.set_deadline(name, None);
                CHANGED
            }
        }
    })
}

/// Replies with what `change` did to each field; a positive number means that it changed something.
fn change_each(
    call: &mut KeyCall<'_>,
    names: Args<'_>,
    event: &str,
    change: impl Fn(&mut Hash, &[u8]) -> i64,
) -> Result {
    let reply = &mut call.reply;
    reply.array(names.len());
    let found = call.key.update(event, |hash: &mut Hash| {
        let mut changes = 0;
        for name in names {
            let outcome = change(hash, name);
            changes += u64::from(outcome > 0);
            reply.integer(outcome);
        }
        ((), changes)
    })?;
    if found.is_none() {
        names.for_each(|_| reply.integer(NO_FIELD));
    }
    Ok(())
}

fn httl(call: &mut KeyCall<'_>) -> Result {
    reply_deadlines(call, Unit::Seconds, Origin::Now)
}

fn hpttl(call: &mut KeyCall<'_>) -> Result {
    reply_deadlines(call, Unit::Milliseconds, Origin::Now)
}

fn hexpiretime(call: &mut KeyCall<'_>) -> Result {
    reply_deadlines(call, Unit::Seconds, Origin::Epoch)
}

fn hpexpiretime(call: &mut KeyCall<'_>) -> Result {
    reply_deadlines(call, Unit::Milliseconds, Origin::Epoch)
}

/// Replies with the deadline of each field, rounded up to the unit.
fn reply_deadlines(call: &mut KeyCall<'_>, unit: Unit, origin: Origin) -> Result {
    let hash = call.key.read_as::<Hash>()?;
    let names = field_names(&mut call.args, &Error::FIELD_COUNT)?;
    let start_ms = origin.ms(call.visit.now_ms);
    call.reply.array(names.len());
    for name in names {
        let deadline_ms = hash
            .and_then(|hash| hash.field(name))
            .map(|field| field.deadline_ms);
        call.reply.integer(match deadline_ms {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at_ms)) => at_ms.saturating_sub(start_ms).div_ceil(unit.ms()) as i64,
        });
    }
    Ok(())
}

/// Reads a time, which may have passed, as Unix milliseconds.
pub fn deadline_ms(
    args: &mut Args<'_>,
    unit: Unit,
    origin: Origin,
    now_ms: u64,
    command: &str,
) -> Result<u64> {
    let time = u64::try_from(args.integer()?).map_err(|_| Error::FIELD_DEADLINE_NEGATIVE)?;
    time.checked_mul(unit.ms())
        .and_then(|time_ms| time_ms.checked_add(origin.ms(now_ms)))
        .filter(|at_ms| *at_ms <= DEADLINE_MAX_MS)
        .ok_or_else(|| Error::invalid_expire(command))
}

/// Reads FIELDS and the number of names, and checks that so many follow: they are what is left.
pub fn field_names<'r>(args: &mut Args<'r>, count_error: &Error) -> Result<Args<'r>> {
    if !args.take_word("FIELDS") {
        return Err(Error::FIELDS_MISSING);
    }
    let count = args.next().and_then(parse_i64).filter(|count| *count > 0);
    let count = count.ok_or_else(|| count_error.clone())?;
    if args.len() as i64 == count {
        Ok(*args)
    } else {
        Err(Error::FIELD_COUNT_MISMATCH)
    }
}
