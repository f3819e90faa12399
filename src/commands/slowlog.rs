//! SLOWLOG: the requests that took long.

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::resp::Reply;
use crate::stats::slowlog::SlowRequest;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("SLOWLOG", "2.2.12", "Groups the commands about the log of slow commands.", &[
        Command::new("GET", -2, "[count]", &[], OPERATOR, "2.2.12", "O(N) in the entries returned",
                     Handler::Session(get), "Shows the latest entries of the slow log.")
            .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
        Command::new("LEN", 2, "", &[], OPERATOR, "2.2.12", "O(1)", Handler::Session(len),
                     "Counts the entries of the slow log.")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
        Command::new("RESET", 2, "", &[], OPERATOR, "2.2.12", "O(N) in the entries dropped",
                     Handler::Session(reset), "Empties the slow log.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "6.2.0", "O(1)", Handler::Session(help),
                     "Explains the SLOWLOG commands."),
    ]),
];

const OPERATOR: Flags = ADMIN.or(LOADING).or(STALE);

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("SLOWLOG", HELP)
}

fn get(call: &mut SessionCall<'_>) -> Result {
    /// Entries that are shown when no count is given.
    const SHOWN: i64 = 10;
    if call.args.len() > 1 {
        return Err(Error::wrong_form(call.args.request().arg(1), "SLOWLOG"));
    }
    let count = if call.args.is_empty() {
        SHOWN
    } else {
        call.args.integer().map_err(|_| Error::SLOWLOG_COUNT)?
    };
    let count = match count {
        -1 => None,
        0.. => Some(count as usize),
        _ => return Err(Error::SLOWLOG_COUNT),
    };
    let requests = call.services.slowlog.newest(count);
    call.reply.array(requests.len());
    for request in &requests {
        reply_entry(&mut call.reply, request);
    }
    Ok(())
}

fn reply_entry(reply: &mut Reply<'_>, request: &SlowRequest) {
    reply.array(6);
    for number in [request.id, request.at_s, request.microseconds] {
        reply.integer(number as i64);
    }
    reply.array(request.arguments.len());
    for argument in &request.arguments {
        reply.bulk(argument);
    }
    reply.bulk(request.peer.as_bytes());
    reply.bulk(&request.name);
}

fn len(call: &mut SessionCall<'_>) -> Result {
    call.reply.integer(call.services.slowlog.len() as i64);
    Ok(())
}

fn reset(call: &mut SessionCall<'_>) -> Result {
    call.services.slowlog.reset();
    call.reply.ok();
    Ok(())
}
