//! Commands that go through the keyspace. They look at a bounded number of keys at a time, and other connections
//! of the worker get a turn in between.

use tokio::task::yield_now;

use super::call::SessionCall;
use super::scan_options::{Page, ScanOptions, parse_cursor};
use super::spec::*;
use crate::limits::SCAN_ENTRIES_PER_PIECE;
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
    let pattern = Glob::new(call.args.bytes()?, Case::Sensitive);
    let array = call.reply.open_array();
    let mut len = 0;
    let mut cursor = Cursor::START;
    loop {
        cursor = call
            .services
            .store
            .scan(cursor, SCAN_ENTRIES_PER_PIECE, call.visit, |entry| {
                if pattern.is_star() || pattern.matches(entry.key()) {
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
    let mut cursor = Cursor(parse_cursor(&mut call.args)?);
    let mut type_name = None;
    let options = ScanOptions::parse(&mut call.args, |args| {
        let is_type = args.take_word("TYPE");
        if is_type {
            type_name = Some(args.bytes()?);
        }
        Ok(is_type)
    })?;
    let is_wanted = |entry: EntryRef<'_>| {
        let is_of_type = |name: &[u8]| name.eq_ignore_ascii_case(entry.type_name().as_bytes());
        type_name.is_none_or(is_of_type) && options.admits(entry.key())
    };
    let mut page = Page::default();
    let mut left = options.count;
    loop {
        let piece = left.min(SCAN_ENTRIES_PER_PIECE);
        cursor = call.services.store.scan(cursor, piece, call.visit, |entry| {
            if is_wanted(entry) {
                page.push(entry.key());
            }
        });
        left -= piece;
        if cursor == Cursor::START || left == 0 {
            break;
        }
        yield_now().await;
    }
    page.send(cursor.0, &mut call.reply);
    Ok(())
}
