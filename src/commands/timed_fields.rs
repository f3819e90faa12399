//! Commands that read or set fields of a hash and say what becomes of them then: HGETEX, HSETEX, HGETDEL.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::expiration::{self, OF_GETEX, OF_SET, Word};
use super::hash_expiry::{deadline_ms, event_of, field_names, set_or_remove};
use super::hashes::{bulk_or_null, limits, pairs_of};
use super::key_expiry::{Origin, Unit};
use super::spec::*;
use crate::resp::number::parse_i64;
use crate::store::Key;
use crate::store::events::Class;
use crate::values::hash::{Deadline, Hash};
use crate::values::packed::PackedLimits;

const PER_FIELD: &str = "O(N) in the fields named";

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("HGETDEL", -5, "key FIELDS fields=<numfields:integer field [field ...]>", &[key_at(1, TAKE)], WRITE.or(FAST), "8.0.0", PER_FIELD,
                 Handler::Key(hgetdel), "Returns the values of fields and removes them."),
    Command::new("HGETEX", -5, "key expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
                 FIELDS fields=<numfields:integer field [field ...]>", &[key_at(1, UPDATE)], WRITE.or(FAST), "8.0.0", PER_FIELD,
                 Handler::Key(hgetex), "Returns the values of fields and sets or clears their deadline."),
    Command::new("HSETEX", -6, "key condition=[FNX | FXX] \
                 expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] \
                 FIELDS fields=<numfields:integer data=<field value ...>>", &[key_at(1, EDIT)], WRITE.or(GROWS).or(FAST), "8.0.0", PER_FIELD,
                 Handler::Key(hsetex), "Sets fields, and when they expire."),
];

fn hgetdel(call: &mut KeyCall<'_>) -> Result {
    call.key.peek_as::<Hash>()?;
    let names = field_names(&mut call.args, &Error::FIELD_COUNT)?;
    reply_each(call, names, "hdel", Hash::remove)
}

/// Replies with the value of each field before `change` changes it; that tells whether it did.
fn reply_each(
    call: &mut KeyCall<'_>,
    names: Args<'_>,
    event: &str,
    change: impl Fn(&mut Hash, &[u8]) -> bool,
) -> Result {
    let reply = &mut call.reply;
    reply.array(names.len());
    let found = call.key.update(event, |hash: &mut Hash| {
        let mut changes = 0;
        for name in names {
            bulk_or_null(reply, hash.get(name));
            changes += u64::from(change(hash, name));
        }
        ((), changes)
    })?;
    if found.is_none() {
        names.for_each(|_| reply.null());
    }
    Ok(())
}

fn hgetex(call: &mut KeyCall<'_>) -> Result {
    use expiration::Deadline::{At, Cleared, Kept, Unstated};
    call.key.peek_as::<Hash>()?;
    let now_ms = call.visit.now_ms;
    let word = take_word(&mut call.args, OF_GETEX);
    let deadline = read_deadline(&mut call.args, word, now_ms, "hgetex")?;
    let names = field_names(&mut call.args, &Error::FIELD_COUNT)?;
    match deadline {
        Unstated | Kept => reply_each(call, names, "", |_, _| false),
        Cleared => reply_each(call, names, "hpersist", |hash, name| {
            let has_one = hash.field(name).is_some_and(|field| field.deadline_ms.is_some());
            has_one && hash.set_deadline(name, None)
        }),
        At(at_ms) => {
            let dies = at_ms <= now_ms;
            reply_each(call, names, event_of(dies), |hash, name| {
                let exists = hash.contains(name);
                set_or_remove(hash, name, at_ms, dies);
                exists
            })
        }
    }
}

fn hsetex(call: &mut KeyCall<'_>) -> Result {
    let assignment = Assignment::parse(&mut call.args, call.visit.now_ms)?;
    let limits = limits(call.services);
    let sets = call
        .key
        .upsert("hset", |hash: &mut Hash| assignment.apply(hash, limits))?;
    if sets {
        assignment.finish(&mut call.key)?;
    }
    call.reply.integer(i64::from(sets));
    Ok(())
}

/// What HSETEX is asked for.
struct Assignment<'r> {
    /// Only if all fields are there (true), or none of them is (false).
    only: Option<bool>,
    deadline: expiration::Deadline,
    /// Whether the deadline has passed.
    dies: bool,
    /// Names and values in turn.
    pairs: Args<'r>,
}

impl<'r> Assignment<'r> {
    fn parse(args: &mut Args<'r>, now_ms: u64) -> Result<Self> {
        let (mut only, mut deadline) = (None, expiration::Deadline::Unstated);
        while !args.take_word("FIELDS") {
            if let Some(there) = take_existence(args) {
                if only.replace(there).is_some() {
                    return Err(Error::FIELDS_THERE_AND_NOT);
                }
            } else if let Some(word) = take_word(args, OF_SET) {
                if deadline != expiration::Deadline::Unstated {
                    return Err(Error::FIELD_DEADLINES);
                }
                deadline = read_deadline(args, Some(word), now_ms, "hsetex")?;
            } else {
                let word = args.next().ok_or_else(arity)?;
                let word = String::from_utf8_lossy(word);
                return Err(Error::plain(format!("unknown argument: {word}")));
            }
        }
        let pairs = field_pairs(args)?;
        let dies = matches!(deadline, expiration::Deadline::At(at_ms) if at_ms <= now_ms);
        Ok(Self {
            only,
            deadline,
            dies,
            pairs,
        })
    }

    /// Sets the fields, if all or none are there as it was asked. Tells whether it did, and how many changes it made.
    fn apply(&self, hash: &mut Hash, limits: PackedLimits) -> (bool, u64) {
        let is_there = |name| Some(hash.contains(name));
        if self.only.is_some() && pairs_of(self.pairs).any(|(name, _)| is_there(name) != self.only) {
            return (false, 0);
        }
        let kept = match self.deadline {
            expiration::Deadline::Unstated => Deadline::Clear,
            _ => Deadline::Keep,
        };
        for (name, value) in pairs_of(self.pairs) {
            hash.put(name, value, kept, limits);
            if let expiration::Deadline::At(at_ms) = self.deadline
                && !self.dies
            {
                hash.set_deadline(name, Some(at_ms));
            }
        }
        (true, self.pairs.len() as u64 / 2)
    }

    /// Removes the fields that were set if their deadline has passed; tells of a deadline that has not.
    fn finish(&self, key: &mut Key<'_>) -> Result {
        if self.dies {
            key.update("hdel", |hash: &mut Hash| {
                let names = pairs_of(self.pairs).map(|(name, _)| name);
                let removed = names.filter(|name| hash.remove(name)).count();
                ((), removed as u64)
            })?;
        } else if matches!(self.deadline, expiration::Deadline::At(_)) {
            key.notify(Class::HASH, event_of(false));
        }
        Ok(())
    }
}

/// Takes FXX (true) or FNX (false), if one of them comes next.
fn take_existence(args: &mut Args<'_>) -> Option<bool> {
    let there = args.take_word("FXX");
    (there || args.take_word("FNX")).then_some(there)
}

/// Reads the number of fields and checks that so many names and values follow.
fn field_pairs<'r>(args: &mut Args<'r>) -> Result<Args<'r>> {
    if args.len() < 3 {
        return Err(arity());
    }
    let count = args.bytes().map(parse_i64)?;
    let count = count
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or(Error::FIELD_PAIR_COUNT)?;
    if args.len() as i64 == 2 * count {
        Ok(*args)
    } else {
        Err(arity())
    }
}

fn arity() -> Error {
    Error::Arity("hsetex".into())
}

/// Takes one of these words, if one comes next.
fn take_word(args: &mut Args<'_>, words: &[(&str, Word)]) -> Option<Word> {
    words
        .iter()
        .find(|(name, _)| args.take_word(name))
        .map(|(_, word)| *word)
}

/// What a word, and the number behind it, make of the deadlines of fields.
fn read_deadline(
    args: &mut Args<'_>,
    word: Option<Word>,
    now_ms: u64,
    command: &str,
) -> Result<expiration::Deadline> {
    let (unit, origin) = match word {
        None => return Ok(expiration::Deadline::Unstated),
        Some(Word::Keepttl) => return Ok(expiration::Deadline::Kept),
        Some(Word::Persist) => return Ok(expiration::Deadline::Cleared),
        Some(Word::Ex) => (Unit::Seconds, Origin::Now),
        Some(Word::Px) => (Unit::Milliseconds, Origin::Now),
        Some(Word::Exat) => (Unit::Seconds, Origin::Epoch),
        Some(Word::Pxat) => (Unit::Milliseconds, Origin::Epoch),
    };
    deadline_ms(args, unit, origin, now_ms, command).map(expiration::Deadline::At)
}
