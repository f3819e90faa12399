//! String commands. What a text value is stands in [`crate::values::text`].

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::Reply;
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("GET", 2, "key", &[key_at(1, READ)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(get),
                 "Answers with the string at a key."),
    Command::new("SET", -3, "key value condition=[NX | XX] [GET] expiration=[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
                 &[key_at(1, UPDATE_VARIABLE)], WRITE.or(GROWS), "1.0.0", "O(1)", Handler::Key(set),
                 "Stores a string whatever was there, optionally with conditions and a deadline."),
];

fn get(call: &mut KeyCall<'_>) -> Result {
    reply_text(&mut call.reply, call.key.read());
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
    let options = if call.args.is_empty() {
        SetOptions::default()
    } else {
        SetOptions::parse(&mut call.args, call.visit.now_ms)?
    };
    let refused = options.if_exists.is_some_and(|wanted| wanted != call.key.exists());
    if options.get {
        reply_text(&mut call.reply, call.key.peek());
    } else if refused {
        call.reply.null();
    } else {
        call.reply.ok();
    }
    if refused {
        return Ok(());
    }
    let deadline_ms = if options.keep_ttl { call.key.deadline_ms() } else { options.deadline_ms };
    call.key.set(value, deadline_ms);
    Ok(())
}

/// Options of SET.
#[derive(Default)]
struct SetOptions {
    /// NX: false, XX: true.
    if_exists: Option<bool>,
    get: bool,
    keep_ttl: bool,
    deadline_ms: Option<u64>,
}

impl SetOptions {
    fn parse(args: &mut Args<'_>, _now_ms: u64) -> Result<Self> {
        let mut options = Self::default();
        while !args.is_empty() {
            if args.take_word("NX") && options.if_exists.is_none() {
                options.if_exists = Some(false);
            } else if args.take_word("XX") && options.if_exists.is_none() {
                options.if_exists = Some(true);
            } else if args.take_word("GET") {
                options.get = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}
