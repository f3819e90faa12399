//! Commands that read and write whole strings. What a text value is stands in [`crate::values::text`].

use super::args::Args;
use super::call::{KeyCall, KeysCall};
use super::conditional_strings::Condition;
use super::error::Error;
use super::expiration::{Deadline, Expiration, OF_GETEX, OF_SET, Word};
use super::spec::*;
use crate::resp::Reply;
use crate::store::Key;
use crate::store::events::Class;
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("GET", 2, "key", &[key_at(1, READ)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(get),
                 "Answers with the string at a key."),
    Command::new("GETDEL", 2, "key", &[key_at(1, TAKE)], WRITE.or(FAST), "6.2.0", "O(1)", Handler::Key(getdel),
                 "Answers with a string and removes its key."),
    Command::new("GETEX", -2, "key expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
                 &[key_at(1, UPDATE)], WRITE.or(FAST), "6.2.0", "O(1)", Handler::Key(getex),
                 "Answers with a string and changes or clears its deadline."),
    Command::new("GETSET", 3, "key value", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(getset),
                 "Stores a string and answers with the one it replaced.")
        .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    Command::new("MGET", -2, "key [key ...]", &[keys_from(1, READ)], READONLY.or(FAST), "1.0.0", "O(N) in the keys", Handler::Keys(mget),
                 "Answers with the strings of several keys.")
        .tips(&["request_policy:multi_shard"]),
    Command::new("MSET", -3, "key value [key value ...]", &[keys_and_values_from(1, OVERWRITE)], WRITE.or(GROWS).or(BLIND), "1.0.1", "O(N) in the keys", Handler::Keys(mset),
                 "Stores several strings at once.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Command::new("MSETNX", -3, "key value [key value ...]", &[keys_and_values_from(1, CREATE)], WRITE.or(GROWS), "1.0.1", "O(N) in the keys", Handler::Keys(msetnx),
                 "Stores several strings, but only if not one of the keys exists.")
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    Command::new("PSETEX", 4, "key milliseconds value", &[key_at(1, OVERWRITE)], WRITE.or(GROWS).or(BLIND), "2.6.0", "O(1)", Handler::Key(psetex),
                 "Stores a string that expires after some milliseconds."),
    Command::new("SET", -3, "key value condition=[NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
                 &[key_at(1, UPDATE_VARIABLE)], WRITE.or(GROWS).or(BLIND), "1.0.0", "O(1)", Handler::Key(set),
                 "Stores a string whatever was there, optionally with conditions and a deadline.")
        .accessing(access_of_set),
    Command::new("SETEX", 4, "key seconds value", &[key_at(1, OVERWRITE)], WRITE.or(GROWS).or(BLIND), "2.0.0", "O(1)", Handler::Key(setex),
                 "Stores a string that expires after some seconds."),
    Command::new("SETNX", 3, "key value", &[key_at(1, CREATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(setnx),
                 "Stores a string only where no key is yet."),
];

fn get(call: &mut KeyCall<'_>) -> Result {
    reply_text(&mut call.reply, call.key.read()?);
    Ok(())
}

#[inline]
fn reply_text(reply: &mut Reply<'_>, value: Option<Text<'_>>) {
    match value {
        Some(Text::Bytes(bytes)) => reply.bulk(bytes),
        Some(Text::Int(number)) => reply.bulk_integer(number),
        None => reply.null(),
    }
}

fn set(call: &mut KeyCall<'_>) -> Result {
    let value = call.args.bytes()?;
    if !call.args.is_empty() {
        return set_with_options(call, value);
    }
    call.key.set(value, None);
    call.key.notify(Class::STRING, "set");
    call.reply.ok();
    Ok(())
}

/// With GET, and where it decides what happens, the value replaced matters.
fn access_of_set(args: Args<'_>) -> Access {
    const READING: [&str; 5] = ["GET", "IFEQ", "IFNE", "IFDEQ", "IFDNE"];
    let mut options = args.skip(2);
    if options.any(|option| {
        READING
            .iter()
            .any(|word| option.eq_ignore_ascii_case(word.as_bytes()))
    }) {
        UPDATE
    } else {
        OVERWRITE
    }
}

fn set_with_options(call: &mut KeyCall<'_>, value: &[u8]) -> Result {
    let options = SetOptions::parse(&mut call.args)?;
    let deadline = options.expiration.deadline(call.visit.now_ms, "set")?;
    let stored = options.allow(&call.key)?;
    if options.get {
        reply_text(&mut call.reply, call.key.read()?);
    }
    if stored {
        store(&mut call.key, value, deadline);
    } else {
        call.key.touch();
    }
    match stored {
        _ if options.get => {}
        true => call.reply.ok(),
        false => call.reply.null(),
    }
    Ok(())
}

/// Stores `value`, whatever the key holds.
pub fn store(key: &mut Key<'_>, value: &[u8], deadline: Deadline) {
    let deadline_ms = match deadline {
        Deadline::Unstated | Deadline::Cleared => None,
        Deadline::Kept => key.deadline_ms(),
        Deadline::At(at_ms) => Some(at_ms),
    };
    key.set(value, deadline_ms);
    key.notify(Class::STRING, "set");
    if let Deadline::At(_) = deadline {
        key.notify(Class::GENERIC, "expire");
    }
}

/// Options of SET.
#[derive(Default)]
struct SetOptions<'r> {
    /// NX: false, XX: true.
    if_exists: Option<bool>,
    /// IFEQ and its kin; then there is no NX or XX.
    condition: Option<Condition<'r>>,
    get: bool,
    expiration: Expiration<'r>,
}

impl<'r> SetOptions<'r> {
    fn parse(args: &mut Args<'r>) -> Result<Self> {
        let mut options = Self::default();
        while !args.is_empty() {
            if options.may_be(false) && args.take_word("NX") {
                options.if_exists = Some(false);
            } else if options.may_be(true) && args.take_word("XX") {
                options.if_exists = Some(true);
            } else if args.take_word("GET") {
                options.get = true;
            } else if !(options.expiration.take(OF_SET, args)? || options.take_condition(args)?) {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether XX (NX if not `if_exists`) goes together with what was read before.
    fn may_be(&self, if_exists: bool) -> bool {
        self.condition.is_none() && self.if_exists.is_none_or(|earlier| earlier == if_exists)
    }

    /// Takes a condition on the value, if it comes next and goes together with what was read before.
    fn take_condition(&mut self, args: &mut Args<'r>) -> Result<bool> {
        let Some(condition) = Condition::take(args)? else {
            return Ok(false);
        };
        let is_repeated = self.condition.is_none_or(|earlier| earlier.is_like(condition));
        self.condition = Some(condition);
        Ok(is_repeated && self.if_exists.is_none())
    }

    /// Whether the conditions are met.
    fn allow(&self, key: &Key<'_>) -> Result<bool> {
        match self.condition {
            Some(condition) => condition.is_met_by(key.peek()?),
            None => Ok(self.if_exists.is_none_or(|wanted| wanted == key.exists())),
        }
    }
}

fn setex(call: &mut KeyCall<'_>) -> Result {
    set_expiring(call, Word::Ex, "setex")
}

fn psetex(call: &mut KeyCall<'_>) -> Result {
    set_expiring(call, Word::Px, "psetex")
}

fn set_expiring(call: &mut KeyCall<'_>, unit: Word, command: &str) -> Result {
    let expiration = Expiration::new(unit, call.args.bytes()?);
    let value = call.args.bytes()?;
    let deadline = expiration.deadline(call.visit.now_ms, command)?;
    store(&mut call.key, value, deadline);
    call.reply.ok();
    Ok(())
}

fn setnx(call: &mut KeyCall<'_>) -> Result {
    let value = call.args.bytes()?;
    let taken = call.key.exists();
    if taken {
        call.key.touch();
    } else {
        call.key.set(value, None);
        call.key.notify(Class::STRING, "set");
    }
    call.reply.integer(i64::from(!taken));
    Ok(())
}

fn getset(call: &mut KeyCall<'_>) -> Result {
    let value = call.args.bytes()?;
    reply_text(&mut call.reply, call.key.read()?);
    call.key.set(value, None);
    call.key.notify(Class::STRING, "set");
    Ok(())
}

fn getdel(call: &mut KeyCall<'_>) -> Result {
    reply_text(&mut call.reply, call.key.read()?);
    call.key.remove_for_client();
    Ok(())
}

fn getex(call: &mut KeyCall<'_>) -> Result {
    let mut expiration = Expiration::default();
    while !call.args.is_empty() {
        if !expiration.take(OF_GETEX, &mut call.args)? {
            return Err(Error::Syntax);
        }
    }
    // Redis looks at the number only if there is a key.
    if !call.key.probe() {
        call.reply.null();
        return Ok(());
    }
    reply_text(&mut call.reply, call.key.peek()?);
    let deadline = expiration.deadline(call.visit.now_ms, "getex")?;
    change_deadline(call, deadline);
    Ok(())
}

fn change_deadline(call: &mut KeyCall<'_>, deadline: Deadline) {
    match deadline {
        Deadline::Unstated | Deadline::Kept => {}
        Deadline::Cleared if call.key.deadline_ms().is_none() => {}
        Deadline::Cleared => {
            call.key.set_deadline(None);
            call.key.notify(Class::GENERIC, "persist");
        }
        Deadline::At(at_ms) if at_ms > call.visit.now_ms => {
            call.key.set_deadline(Some(at_ms));
            call.key.notify(Class::GENERIC, "expire");
        }
        Deadline::At(_) => {
            call.key.remove_for_client();
        }
    }
}

fn mget(call: &mut KeysCall<'_>) -> Result {
    call.reply.array(call.keys.len());
    for index in 0..call.keys.len() {
        // What is no text counts as missing.
        reply_text(&mut call.reply, call.keys.get(index).read().unwrap_or(None));
    }
    Ok(())
}

fn mset(call: &mut KeysCall<'_>) -> Result {
    expect_pairs(&call.args, "mset")?;
    store_all(call)?;
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut KeysCall<'_>) -> Result {
    expect_pairs(&call.args, "msetnx")?;
    let taken = (0..call.keys.len()).find(|&index| call.keys.get(index).exists());
    if let Some(index) = taken {
        call.keys.get(index).touch();
    } else {
        store_all(call)?;
    }
    call.reply.integer(i64::from(taken.is_none()));
    Ok(())
}

fn expect_pairs(args: &Args<'_>, command: &str) -> Result {
    if args.len().is_multiple_of(2) {
        Ok(())
    } else {
        Err(Error::Arity(command.into()))
    }
}

fn store_all(call: &mut KeysCall<'_>) -> Result {
    for index in 0..call.keys.len() {
        let _key = call.args.bytes()?;
        let value = call.args.bytes()?;
        let mut key = call.keys.get(index);
        key.set(value, None);
        key.notify(Class::STRING, "set");
    }
    Ok(())
}
