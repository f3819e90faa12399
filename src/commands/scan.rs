//! Commands that go through the keyspace. They look at a bounded number of keys at a time, and other connections
//! of the worker get a turn in between.

use tokio::task::yield_now;

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::limits::SCAN_ENTRIES_PER_PIECE;
use crate::resp::Reply;
use crate::store::{Cursor, EntryRef};
use crate::values::glob::{Case, Glob};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("KEYS", 2, "pattern", &[], READONLY.or(KEYSPACE), "1.0.0", "O(N) in the keys of the database",
                 Handler::Waiting(|call| Box::pin(keys(call))), "Lists all keys that match a pattern.")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]).in_categories(DANGEROUS_CATEGORY),
    Command::new("RANDOMKEY", 1, "", &[], READONLY.or(KEYSPACE), "1.0.0", "O(1)",
                 Handler::Session(randomkey), "Picks any key of the database.")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    Command::new("SCAN", -2, "cursor [MATCH pattern] [COUNT count] [TYPE type]", &[], READONLY.or(KEYSPACE), "2.8.0",
                 "O(1) a call, O(N) for all of it", Handler::Waiting(|call| Box::pin(scan(call))),
                 "Goes through the keys of the database a piece at a time.")
        .tips(&["nondeterministic_output", "request_policy:special"]),
];

async fn keys(mut call: SessionCall<'_>) -> Result {
    let filter = Filter {
        pattern: Some(glob(call.args.bytes()?)),
        type_name: None,
    };
    let array = call.reply.open_array();
    let mut len = 0;
    let mut cursor = Cursor::START;
    loop {
        cursor = call
            .services
            .store
            .scan(cursor, SCAN_ENTRIES_PER_PIECE, call.visit, |entry| {
                if filter.passes(entry) {
                    call.reply.bulk(entry.key());
                    len += 1;
                }
            });
        if cursor == Cursor::START {
            break;
        }
        yield_now().await;
    }
    call.reply.close_array(array, len);
    Ok(())
}

fn randomkey(call: &mut SessionCall<'_>) -> Result {
    match call.services.store.random_key(call.visit) {
        Some(key) => call.reply.bulk(&key),
        None => call.reply.null(),
    }
    Ok(())
}

async fn scan(mut call: SessionCall<'_>) -> Result {
    let mut cursor = parse_cursor(call.args.bytes()?).ok_or(Error::INVALID_CURSOR)?;
    let (filter, count) = Filter::parse(&mut call.args)?;
    // The cursor stands before the keys, and is known after them.
    let mut bytes = Vec::new();
    let mut found = Reply::new(&mut bytes, call.reply.protocol());
    let mut len = 0;
    let mut left = count;
    loop {
        let piece = left.min(SCAN_ENTRIES_PER_PIECE);
        cursor = call.services.store.scan(cursor, piece, call.visit, |entry| {
            if filter.passes(entry) {
                found.bulk(entry.key());
                len += 1;
            }
        });
        left -= piece;
        if cursor == Cursor::START || left == 0 {
            break;
        }
        yield_now().await;
    }
    call.reply.array(2);
    call.reply.bulk_integer(cursor.0 as i64);
    call.reply.array(len);
    call.reply.encoded(&bytes);
    Ok(())
}

/// Which of the keys that are met are returned.
struct Filter<'a> {
    pattern: Option<Glob<'a>>,
    type_name: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// The options of SCAN: filter and count.
    fn parse(args: &mut Args<'a>) -> Result<(Self, usize)> {
        let mut filter = Self {
            pattern: None,
            type_name: None,
        };
        let mut count = 10;
        while !args.is_empty() {
            if args.take_word("MATCH") {
                filter.pattern = Some(glob(args.bytes()?));
            } else if args.take_word("TYPE") {
                filter.type_name = Some(args.bytes()?);
            } else if args.take_word("COUNT") {
                count = args.integer()?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok((filter, usize::try_from(count).unwrap_or(usize::MAX)))
    }

    fn passes(&self, entry: EntryRef<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| pattern.is_star() || pattern.matches(entry.key()))
            && self
                .type_name
                .is_none_or(|name| name.eq_ignore_ascii_case(entry.type_name().as_bytes()))
    }
}

fn glob(pattern: &[u8]) -> Glob<'_> {
    Glob::new(pattern, Case::Sensitive)
}

/// Reads a cursor as C's `strtoul` does, which Redis asks: a sign is accepted, and so is no digit at all.
fn parse_cursor(text: &[u8]) -> Option<Cursor> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() && !text.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    Some(Cursor(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    }))
}
