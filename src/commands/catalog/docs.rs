//! COMMAND DOCS: what commands do, and the tree of their arguments.

use super::info::write_set;
use crate::commands::call::SessionCall;
use crate::commands::index::{self, Entry};
use crate::commands::spec::{Command, INTERNAL, Result};
use crate::commands::syntax::{self, Argument};
use crate::resp::Reply;

/// Replies with a map from full names to documentation, of the commands named or of all. Leaves out names that
/// name nothing.
pub(super) fn docs(call: &mut SessionCall<'_>) -> Result {
    let documented = if call.args.is_empty() {
        index::top_level().collect()
    } else {
        call.args.filter_map(index::find_full_name).collect()
    };
    Fact::Commands(documented).write(&mut call.reply);
    Ok(())
}

/// What is told of a command or an argument under one name.
enum Fact<'a> {
    Text(Option<&'a str>),
    Index(Option<usize>),
    Flags(Vec<&'static str>),
    Arguments(&'a [Argument]),
    Commands(Vec<&'static Entry>),
}

impl Fact<'_> {
    /// A fact that is not told.
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Index(index) => index.is_none(),
            Self::Flags(names) => names.is_empty(),
            Self::Arguments(arguments) => arguments.is_empty(),
            Self::Commands(entries) => entries.is_empty(),
        }
    }

    fn write(self, reply: &mut Reply<'_>) {
        match self {
            Self::Text(text) => reply.bulk(text.unwrap_or_default().as_bytes()),
            Self::Index(index) => reply.integer(index.unwrap_or_default() as i64),
            Self::Flags(names) => write_set(reply, names.into_iter()),
            Self::Arguments(arguments) => {
                reply.array(arguments.len());
                for argument in arguments {
                    write_argument(reply, argument);
                }
            }
            Self::Commands(entries) => {
                reply.map(entries.len());
                for entry in entries {
                    reply.bulk(entry.full_name.as_bytes());
                    write_command(reply, entry);
                }
            }
        }
    }
}

fn write_command(reply: &mut Reply<'_>, entry: &Entry) {
    let command = entry.command;
    let (deprecated_since, replaced_by) = command.deprecated.unzip();
    let complexity = Some(command.complexity).filter(|text| !text.is_empty());
    let arguments = syntax::parse(command.arguments).expect("a test reads the notation of every row");
    write_facts(
        reply,
        vec![
            ("summary", Fact::Text(Some(command.summary))),
            ("since", Fact::Text(Some(command.since))),
            ("group", Fact::Text(Some(entry.group.name))),
            ("complexity", Fact::Text(complexity)),
            ("doc_flags", Fact::Flags(doc_flags(command))),
            ("deprecated_since", Fact::Text(deprecated_since)),
            ("replaced_by", Fact::Text(replaced_by)),
            ("arguments", Fact::Arguments(&arguments)),
            ("subcommands", Fact::Commands(entry.subcommands().collect())),
        ],
    );
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument) {
    write_facts(
        reply,
        vec![
            ("name", Fact::Text(Some(&argument.name))),
            ("type", Fact::Text(Some(argument.kind.as_str()))),
            ("key_spec_index", Fact::Index(argument.key_spec_index)),
            ("token", Fact::Text(argument.token)),
            ("flags", Fact::Flags(argument_flags(argument))),
            ("arguments", Fact::Arguments(&argument.arguments)),
        ],
    );
}

/// Writes a map of the facts that are told.
fn write_facts(reply: &mut Reply<'_>, mut facts: Vec<(&str, Fact<'_>)>) {
    facts.retain(|(_, fact)| !fact.is_empty());
    reply.map(facts.len());
    for (name, fact) in facts {
        reply.bulk(name.as_bytes());
        fact.write(reply);
    }
}

fn doc_flags(command: &Command) -> Vec<&'static str> {
    set_of([
        (command.deprecated.is_some(), "deprecated"),
        (command.flags.contains(INTERNAL), "syscmd"),
    ])
}

fn argument_flags(argument: &Argument) -> Vec<&'static str> {
    set_of([
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ])
}

/// The names of the flags that are set.
fn set_of<const N: usize>(flags: [(bool, &'static str); N]) -> Vec<&'static str> {
    flags
        .into_iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| name)
        .collect()
}
