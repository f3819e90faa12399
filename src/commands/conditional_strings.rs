//! Commands that write strings only if their values are what the client believes, from Redis 8.4 and Valkey 9.

use super::args::Args;
use super::call::{KeyCall, KeysCall};
use super::error::Error;
use super::expiration::{Expiration, OF_SET};
use super::spec::*;
use super::strings::store;
use crate::resp::number::parse_i64;
use crate::store::Key;
use crate::values::digest::digest;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DELEX", -2, "key condition=[IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
                 &[key_at(1, REMOVE_VARIABLE)], WRITE.or(FAST), "8.4.0", "O(1), or O(N) in the bytes of the value for a digest", Handler::Key(delex),
                 "Removes a key if its value, or the digest of it, is or is not what it is compared with.")
        .accessing(access_of_delex),
    Command::new("DELIFEQ", 3, "key value", &[key_at(1, TAKE)], WRITE.or(FAST), "9.0.0", "O(N) in the bytes of the value", Handler::Key(delifeq),
                 "Removes a key if its value is the one given (Valkey)."),
    Command::new("DIGEST", 2, "key", &[key_at(1, READ)], READONLY.or(FAST), "8.4.0", "O(N) in the bytes of the value", Handler::Key(digest_of),
                 "Answers with the XXH3 digest of a string."),
    Command::new("MSETEX", -4, "numkeys data=<key value ...> condition=[NX | XX] \
                  expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
                 &[keys_and_values_counted_at(1, OVERWRITE)], WRITE.or(GROWS), "8.4.0", "O(N) in the keys", Handler::Keys(msetex),
                 "Stores several strings at once, optionally with a condition and a common deadline.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
];

/// What a value must be for a command to do its work.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'r> {
    kind: ConditionKind,
    operand: &'r [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConditionKind {
    Equal,
    NotEqual,
    DigestEqual,
    DigestNotEqual,
}

const WORDS: [(&str, ConditionKind); 4] = [
    ("IFEQ", ConditionKind::Equal),
    ("IFNE", ConditionKind::NotEqual),
    ("IFDEQ", ConditionKind::DigestEqual),
    ("IFDNE", ConditionKind::DigestNotEqual),
];

impl<'r> Condition<'r> {
    /// Takes one of the words, and what is compared with, if they come next. Fails if the latter is missing.
    pub fn take(args: &mut Args<'r>) -> Result<Option<Self>> {
        let Some((_, kind)) = WORDS.into_iter().find(|(word, _)| args.take_word(word)) else {
            return Ok(None);
        };
        let operand = args.bytes()?;
        Ok(Some(Self { kind, operand }))
    }

    /// Whether both came with the same word.
    pub fn is_like(self, other: Self) -> bool {
        self.kind == other.kind
    }

    /// Whether it is met by the value of a key, if there is one. Fails if that is to be compared with a digest that
    /// is none.
    pub fn is_met_by(self, value: Option<Text<'_>>) -> Result<bool> {
        let Some(value) = value else {
            return Ok(matches!(
                self.kind,
                ConditionKind::NotEqual | ConditionKind::DigestNotEqual
            ));
        };
        let mut scratch = [0; INTEGER_BYTES_MAX];
        let value = value.as_bytes(&mut scratch);
        match self.kind {
            ConditionKind::Equal => Ok(value == self.operand),
            ConditionKind::NotEqual => Ok(value != self.operand),
            ConditionKind::DigestEqual => self.has_digest_of(value),
            ConditionKind::DigestNotEqual => self.has_digest_of(value).map(|equal| !equal),
        }
    }

    fn has_digest_of(self, value: &[u8]) -> Result<bool> {
        let digest = digest(value);
        if self.operand.len() != digest.len() {
            return Err(Error::DIGEST_LENGTH);
        }
        Ok(self.operand.eq_ignore_ascii_case(&digest))
    }
}

fn delex(call: &mut KeyCall<'_>) -> Result {
    let is_wanted = match call.args.len() {
        0 => true,
        2 => is_condition_met(call)?,
        _ => return Err(Error::Arity("delex".into())),
    };
    let removed = is_wanted && call.key.remove_for_client();
    call.reply.integer(removed.into());
    Ok(())
}

/// Whether the condition in the arguments is met; without a key it is not even looked at.
fn is_condition_met(call: &mut KeyCall<'_>) -> Result<bool> {
    call.key.touch();
    let Some(value) = call.key.peek().map_err(|_| Error::CONDITION_ON_NO_STRING)? else {
        return Ok(false);
    };
    let condition = Condition::take(&mut call.args)?.ok_or(Error::UNKNOWN_CONDITION)?;
    condition.is_met_by(Some(value))
}

/// With a condition, the value matters.
fn access_of_delex(args: Args<'_>) -> Access {
    if args.len() > 1 { TAKE } else { REMOVE }
}

fn delifeq(call: &mut KeyCall<'_>) -> Result {
    let wanted = call.args.bytes()?;
    call.key.touch();
    let is_wanted = match call.key.peek()? {
        Some(value) => value.as_bytes(&mut [0; INTEGER_BYTES_MAX]) == wanted,
        None => false,
    };
    let removed = is_wanted && call.key.remove_for_client();
    call.reply.integer(removed.into());
    Ok(())
}

fn digest_of(call: &mut KeyCall<'_>) -> Result {
    match call.key.read()? {
        Some(value) => call
            .reply
            .bulk(&digest(value.as_bytes(&mut [0; INTEGER_BYTES_MAX]))),
        None => call.reply.null(),
    }
    Ok(())
}

fn msetex(call: &mut KeysCall<'_>) -> Result {
    let mut pairs = take_pairs(&mut call.args)?;
    let options = SharedOptions::parse(&mut call.args)?;
    let deadline = options.expiration.deadline(call.visit.now_ms, "msetex")?;
    let is_refused = (0..call.keys.len()).any(|index| options.refuses(&call.keys.get(index)));
    if !is_refused {
        for index in 0..call.keys.len() {
            let _key = pairs.bytes()?;
            let value = pairs.bytes()?;
            store(&mut call.keys.get(index), value, deadline);
        }
    }
    call.reply.integer((!is_refused).into());
    Ok(())
}

/// Reads the number of pairs and passes over them; they are what is left of the arguments returned.
fn take_pairs<'r>(args: &mut Args<'r>) -> Result<Args<'r>> {
    let count = parse_i64(args.bytes()?).filter(|count| (1..=i32::MAX.into()).contains(count));
    let words = count.ok_or(Error::PAIRS_NOT_A_NUMBER)? as usize * 2;
    if args.len() < words {
        return Err(Error::PAIRS_MISSING);
    }
    let pairs = *args;
    args.nth(words - 1);
    Ok(pairs)
}

/// Options of MSETEX, which hold for all its keys.
#[derive(Default)]
struct SharedOptions<'r> {
    /// NX: false, XX: true.
    if_exists: Option<bool>,
    expiration: Expiration<'r>,
}

impl<'r> SharedOptions<'r> {
    fn parse(args: &mut Args<'r>) -> Result<Self> {
        let mut options = Self::default();
        while !args.is_empty() {
            if options.if_exists != Some(true) && args.take_word("NX") {
                options.if_exists = Some(false);
            } else if options.if_exists != Some(false) && args.take_word("XX") {
                options.if_exists = Some(true);
            } else if !options.expiration.take(OF_SET, args)? {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    fn refuses(&self, key: &Key<'_>) -> bool {
        self.if_exists.is_some_and(|wanted| wanted != key.exists())
    }
}
