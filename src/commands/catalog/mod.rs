//! COMMAND: the table of commands, shown to clients.
//!
//! | file | what |
//! |---|---|
//! | `info` | COMMAND INFO: what clients and proxies route by |
//! | `docs` | COMMAND DOCS: what people read |
//! | `list` | COMMAND LIST and its filters |
//! | `keys` | COMMAND GETKEYS: the keys of a request |

mod docs;
mod info;
mod keys;
mod list;

use super::call::SessionCall;
use super::index;
use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command {
        subcommands: SUBCOMMANDS,
        ..row("COMMAND", -1, "", "2.8.13", "O(N) in the commands", command, "Describes every command.").tips(UNORDERED)
    },
];

const UNORDERED: &[&str] = &["nondeterministic_output_order"];

#[rustfmt::skip] // A table: one row per command.
const SUBCOMMANDS: &[Command] = &[
    row("COUNT", 2, "", "2.8.13", "O(1)", count, "Counts the commands."),
    row("DOCS", -2, "[command-name ...]", "7.0.0", "O(N) in the names given", docs::docs,
        "Shows the documentation of the commands named, or of all.").tips(UNORDERED),
    row("GETKEYS", -4, "", "2.8.13", "O(N) in the arguments", keys::getkeys, "Picks the keys out of a full command."),
    row("GETKEYSANDFLAGS", -4, "", "7.0.0", "O(N) in the arguments", keys::getkeysandflags,
        "Picks the keys out of a full command, with how each is used."),
    row("HELP", 2, "", "5.0.0", "O(1)", help, "Explains the COMMAND commands."),
    row("INFO", -2, "[command-name ...]", "2.8.13", "O(N) in the names given", info::info,
        "Describes the commands named, or all.").tips(UNORDERED),
    row("LIST", -2, "[FILTERBY filterby=<MODULE module-name | ACLCAT category | PATTERN pattern>]", "7.0.0",
        "O(N) in the commands", list::list, "Lists command names, filtered if asked.").tips(UNORDERED),
];

const fn row(
    name: &'static str,
    arity: i32,
    arguments: &'static str,
    since: &'static str,
    complexity: &'static str,
    handler: fn(&mut SessionCall<'_>) -> Result,
    summary: &'static str,
) -> Command {
    let handler = Handler::Session(handler);
    Command::new(
        name,
        arity,
        arguments,
        &[],
        LOADING.or(STALE),
        since,
        complexity,
        handler,
        summary,
    )
    .in_categories(CONNECTION_CATEGORY)
}

fn command(call: &mut SessionCall<'_>) -> Result {
    info::write_all(&mut call.reply);
    Ok(())
}

fn count(call: &mut SessionCall<'_>) -> Result {
    call.reply.integer(index::top_level().count() as i64);
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all commands.",
            "COUNT",
            "    Return the number of commands, subcommands not counted.",
            "LIST [FILTERBY MODULE <name>|ACLCAT <category>|PATTERN <pattern>]",
            "    Return the names of commands and subcommands.",
            "INFO [<command-name> ...]",
            "    Return details about these commands, or about all.",
            "DOCS [<command-name> ...]",
            "    Return the documentation of these commands, or of all.",
            "GETKEYS <full-command>",
            "    Return the keys of a full command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys of a full command, each with how it is used.",
        ],
    )
}
