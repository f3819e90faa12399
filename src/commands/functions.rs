//! FUNCTION, as far as it is true of a server that has no functions and can load none. With an
//! upstream, its functions are meant, and it answers.

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("FUNCTION", "7.0.0", "Groups the commands about functions.", &[
        Command::new("FLUSH", -2, "async=[ASYNC | SYNC]", &[], WRITE.or(NOSCRIPT).or(KEYSPACE), "7.0.0", "O(1)",
                     Handler::Session(flush), "Deletes all libraries of functions.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        Command::new("LIST", -2, "[LIBRARYNAME library-name-pattern] [WITHCODE]", &[], NOSCRIPT.or(KEYSPACE), "7.0.0", "O(1)",
                     Handler::Session(list), "Lists the libraries of functions.")
            .tips(&["nondeterministic_output_order"]),
        Command::new("STATS", 2, "", &[], NOSCRIPT.or(ALLOW_BUSY).or(KEYSPACE), "7.0.0", "O(1)", Handler::Session(stats),
                     "Tells which function runs and which engines there are.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "7.0.0", "O(1)", Handler::Session(help),
                     "Explains the FUNCTION commands."),
    ]),
];

const HELP: &[&str] = &[
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries.",
    "STATS",
    "    Return information about the current function running, and the available engines.",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("FUNCTION", HELP)
}

fn flush(call: &mut SessionCall<'_>) -> Result {
    let is_mode = call.args.is_empty() || call.args.take_word("ASYNC") || call.args.take_word("SYNC");
    if !is_mode || !call.args.is_empty() {
        return Err(Error::FUNCTION_FLUSH_MODE);
    }
    call.reply.ok();
    Ok(())
}

fn list(call: &mut SessionCall<'_>) -> Result {
    while !call.args.is_empty() {
        if call.args.take_word("LIBRARYNAME") {
            call.args.bytes().map_err(|_| Error::NO_LIBRARY_NAME)?;
        } else if !call.args.take_word("WITHCODE") {
            return Err(Error::unknown_argument(&call.args.text()?));
        }
    }
    call.reply.array(0);
    Ok(())
}

/// No function runs, and there is no engine that could run one.
fn stats(call: &mut SessionCall<'_>) -> Result {
    call.reply.map(2);
    call.reply.bulk(b"running_script");
    call.reply.null();
    call.reply.bulk(b"engines");
    call.reply.map(0);
    Ok(())
}
