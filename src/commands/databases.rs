//! Commands on databases as a whole.

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::resp::number::parse_i64;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DBSIZE", 1, "", &[], READONLY.or(FAST).or(KEYSPACE), "1.0.0", "O(1)", Handler::Session(dbsize),
                 "Counts the keys of the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new("FLUSHALL", -1, "async=[ASYNC | SYNC]", &[], WRITE.or(KEYSPACE), "1.0.0", "O(N) in the keys of all databases",
                 Handler::Session(flushall), "Empties every database.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).in_categories(DANGEROUS_CATEGORY),
    Command::new("FLUSHDB", -1, "async=[ASYNC | SYNC]", &[], WRITE.or(KEYSPACE), "1.0.0", "O(N) in the keys of the database",
                 Handler::Session(flushdb), "Empties the selected database.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).in_categories(DANGEROUS_CATEGORY),
    Command::new("SWAPDB", 3, "index1 index2", &[], WRITE.or(FAST).or(KEYSPACE), "4.0.0", "O(N) in the clients that watch or wait",
                 Handler::Session(swapdb), "Exchanges the contents of two databases.")
        .in_categories(DANGEROUS_CATEGORY),
];

fn dbsize(call: &mut SessionCall<'_>) -> Result {
    let size = call.services.store.size(call.visit.db);
    call.reply.integer(size.entries as i64);
    Ok(())
}

fn flushall(call: &mut SessionCall<'_>) -> Result {
    accept_flush_mode(&mut call.args)?;
    call.services.store.flush_all();
    call.reply.ok();
    Ok(())
}

fn flushdb(call: &mut SessionCall<'_>) -> Result {
    accept_flush_mode(&mut call.args)?;
    call.services.store.flush(call.visit.db);
    call.reply.ok();
    Ok(())
}

/// Both modes take the entries out at once and free them aside: the reply waits for neither.
fn accept_flush_mode(args: &mut Args<'_>) -> Result {
    if !args.take_word("ASYNC") {
        args.take_word("SYNC");
    }
    args.end()
}

fn swapdb(call: &mut SessionCall<'_>) -> Result {
    let databases = call.services.store.databases();
    let first = database_number(&mut call.args, &Error::FIRST_DATABASE)?;
    let second = database_number(&mut call.args, &Error::SECOND_DATABASE)?;
    let exists = |number: i32| usize::try_from(number).ok().filter(|db| *db < databases);
    let (Some(first), Some(second)) = (exists(first), exists(second)) else {
        return Err(Error::NO_SUCH_DATABASE);
    };
    call.services.store.swap(first, second, call.visit.now_ms);
    call.reply.ok();
    Ok(())
}

fn database_number(args: &mut Args<'_>, otherwise: &Error) -> Result<i32> {
    let number = parse_i64(args.bytes()?).and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| otherwise.clone())
}
