//! Deadlines of keys.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::number::parse_i64;
use crate::store::events::Class;

const CHANGED: &[Keys] = &[key_at(1, EDIT)];
const ASKED: &[Keys] = &[key_at(1, READ)];
const TIMELY: &[&str] = &["nondeterministic_output"];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("EXPIRE", -3, "key seconds condition=[NX | XX | GT | LT]", CHANGED, WRITE.or(FAST), "1.0.0", "O(1)",
                 Handler::Key(expire), "Makes a key expire after some seconds."),
    Command::new("EXPIREAT", -3, "key unix-time-seconds condition=[NX | XX | GT | LT]", CHANGED, WRITE.or(FAST), "1.2.0", "O(1)",
                 Handler::Key(expireat), "Makes a key expire at a Unix time in seconds."),
    Command::new("EXPIRETIME", 2, "key", ASKED, READONLY.or(FAST).or(OWNER), "7.0.0", "O(1)",
                 Handler::Key(expiretime), "Tells at which Unix time, in seconds, a key expires."),
    Command::new("PERSIST", 2, "key", CHANGED, WRITE.or(FAST), "2.2.0", "O(1)",
                 Handler::Key(persist), "Takes the deadline off a key."),
    Command::new("PEXPIRE", -3, "key milliseconds condition=[NX | XX | GT | LT]", CHANGED, WRITE.or(FAST), "2.6.0", "O(1)",
                 Handler::Key(pexpire), "Makes a key expire after some milliseconds."),
    Command::new("PEXPIREAT", -3, "key unix-time-milliseconds condition=[NX | XX | GT | LT]", CHANGED, WRITE.or(FAST), "2.6.0", "O(1)",
                 Handler::Key(pexpireat), "Makes a key expire at a Unix time in milliseconds."),
    Command::new("PEXPIRETIME", 2, "key", ASKED, READONLY.or(FAST).or(OWNER), "7.0.0", "O(1)",
                 Handler::Key(pexpiretime), "Tells at which Unix time, in milliseconds, a key expires."),
    Command::new("PTTL", 2, "key", ASKED, READONLY.or(FAST).or(OWNER), "2.6.0", "O(1)",
                 Handler::Key(pttl), "Tells how many milliseconds a key has left.").tips(TIMELY),
    Command::new("TTL", 2, "key", ASKED, READONLY.or(FAST).or(OWNER), "1.0.0", "O(1)",
                 Handler::Key(ttl), "Tells how many seconds a key has left.").tips(TIMELY),
];

/// How a command counts time.
#[derive(Clone, Copy)]
pub enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    /// Milliseconds in one.
    pub fn ms(self) -> u64 {
        match self {
            Self::Seconds => 1000,
            Self::Milliseconds => 1,
        }
    }
}

/// What a command counts time from.
#[derive(Clone, Copy)]
pub enum Origin {
    Now,
    Epoch,
}

impl Origin {
    /// This point in Unix milliseconds.
    pub fn ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Now => now_ms,
            Self::Epoch => 0,
        }
    }
}

fn expire(call: &mut KeyCall<'_>) -> Result {
    set_deadline(call, "expire", Unit::Seconds, Origin::Now)
}

fn expireat(call: &mut KeyCall<'_>) -> Result {
    set_deadline(call, "expireat", Unit::Seconds, Origin::Epoch)
}

fn pexpire(call: &mut KeyCall<'_>) -> Result {
    set_deadline(call, "pexpire", Unit::Milliseconds, Origin::Now)
}

fn pexpireat(call: &mut KeyCall<'_>) -> Result {
    set_deadline(call, "pexpireat", Unit::Milliseconds, Origin::Epoch)
}

/// Gives the key a deadline, if the conditions hold. One that has passed removes it.
fn set_deadline(call: &mut KeyCall<'_>, command: &str, unit: Unit, origin: Origin) -> Result {
    let time = call.args.bytes()?;
    let condition = Condition::parse(&mut call.args)?;
    let at_ms =
        deadline_ms(time, unit, origin, call.visit.now_ms)?.ok_or_else(|| Error::invalid_expire(command))?;
    call.key.touch();
    let changes = call.key.exists() && condition.allows(at_ms, call.key.deadline_ms());
    if changes {
        match u64::try_from(at_ms) {
            Ok(at_ms) if at_ms > call.visit.now_ms => {
                call.key.set_deadline(Some(at_ms));
                call.key.notify(Class::GENERIC, "expire");
            }
            _ => drop(call.key.remove_for_client()),
        }
    }
    call.reply.integer(i64::from(changes));
    Ok(())
}

/// The Unix time in milliseconds that `time` states, which may lie before 1970; `None` if it overflows.
fn deadline_ms(time: &[u8], unit: Unit, origin: Origin, now_ms: u64) -> Result<Option<i64>> {
    let time = parse_i64(time).ok_or(Error::NotAnInteger)?;
    let milliseconds = match unit {
        Unit::Seconds => time.checked_mul(1000),
        Unit::Milliseconds => Some(time),
    };
    Ok(match origin {
        Origin::Now => milliseconds.and_then(|after_ms| after_ms.checked_add_unsigned(now_ms)),
        Origin::Epoch => milliseconds,
    })
}

/// The options NX, XX, GT and LT. A key without a deadline counts as one that dies at the end of time.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "options that a client may combine")]
pub struct Condition {
    /// Only a key that has none.
    nx: bool,
    /// Only a key that has one.
    xx: bool,
    /// Only a later one than it has.
    gt: bool,
    /// Only an earlier one than it has.
    lt: bool,
}

impl Condition {
    fn parse(options: &mut Args<'_>) -> Result<Self> {
        let mut condition = Self::default();
        while let Some(option) = options.peek() {
            if !condition.take(options) {
                let option = String::from_utf8_lossy(option);
                return Err(Error::plain(format!("Unsupported option {option}")));
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Error::EXPIRE_NX_WITH_OTHERS);
        }
        if condition.gt && condition.lt {
            return Err(Error::EXPIRE_GT_WITH_LT);
        }
        Ok(condition)
    }

    /// Takes one of the options, if one comes next; tells whether it did.
    pub fn take(&mut self, options: &mut Args<'_>) -> bool {
        let flags = [
            ("NX", &mut self.nx),
            ("XX", &mut self.xx),
            ("GT", &mut self.gt),
            ("LT", &mut self.lt),
        ];
        let taken = flags.into_iter().find(|(word, _)| options.take_word(word));
        taken.map(|(_, flag)| *flag = true).is_some()
    }

    /// Whether a deadline `at_ms` may take the place of the one that there is.
    pub fn allows(&self, at_ms: i64, current_ms: Option<u64>) -> bool {
        let later = current_ms.is_some_and(|current| i128::from(at_ms) > i128::from(current));
        let earlier = current_ms.is_none_or(|current| i128::from(at_ms) < i128::from(current));
        !(self.nx && current_ms.is_some()
            || self.xx && current_ms.is_none()
            || self.gt && !later
            || self.lt && !earlier)
    }
}

fn persist(call: &mut KeyCall<'_>) -> Result {
    let changes = call.key.deadline_ms().is_some();
    if changes {
        call.key.set_deadline(None);
        call.key.notify(Class::GENERIC, "persist");
    }
    call.reply.integer(i64::from(changes));
    Ok(())
}

fn ttl(call: &mut KeyCall<'_>) -> Result {
    reply_deadline(call, Unit::Seconds, Origin::Now)
}

fn pttl(call: &mut KeyCall<'_>) -> Result {
    reply_deadline(call, Unit::Milliseconds, Origin::Now)
}

fn expiretime(call: &mut KeyCall<'_>) -> Result {
    reply_deadline(call, Unit::Seconds, Origin::Epoch)
}

fn pexpiretime(call: &mut KeyCall<'_>) -> Result {
    reply_deadline(call, Unit::Milliseconds, Origin::Epoch)
}

/// Replies with the deadline, rounded to the unit; -1 if there is none, -2 if there is no key.
fn reply_deadline(call: &mut KeyCall<'_>, unit: Unit, origin: Origin) -> Result {
    let exists = call.key.look();
    let time = call.key.deadline_ms().map(|at_ms| {
        let milliseconds = match origin {
            Origin::Now => at_ms.saturating_sub(call.visit.now_ms),
            Origin::Epoch => at_ms,
        };
        match unit {
            Unit::Seconds => (milliseconds + 500) / 1000,
            Unit::Milliseconds => milliseconds,
        }
    });
    let absent = if exists { -1 } else { -2 };
    call.reply.integer(time.map_or(absent, |time| time as i64));
    Ok(())
}
