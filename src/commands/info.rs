//! INFO: what the server says of itself. The sections are in [`crate::stats::info`].

use super::call::SessionCall;
use super::spec::*;
use crate::stats::info::{Wanted, report};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("INFO", -1, "[section ...]", &[], LOADING.or(STALE), "1.0.0", "O(1)", Handler::Session(info),
                 "Reports what the server is and does, by section.")
        .in_categories(DANGEROUS_CATEGORY)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];

fn info(call: &mut SessionCall<'_>) -> Result {
    let wanted = Wanted::new(call.args);
    call.reply
        .verbatim("txt", report(call.services, &wanted).as_bytes());
    Ok(())
}
