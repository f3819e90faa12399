//! Commands about the connection itself.

use super::call::SessionCall;
use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("PING", -1, "[message]", &[], FAST, "1.0.0", "O(1)", Handler::Session(ping),
                 "Answers, so that a client knows that the server is there."),
];

fn ping(call: &mut SessionCall<'_>) -> Result {
    match call.args.next() {
        Some(message) => call.reply.bulk(message),
        None => call.reply.simple("PONG"),
    }
    Ok(())
}
