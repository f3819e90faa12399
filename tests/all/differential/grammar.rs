//! What requests look like, as COMMAND DOCS of the real server tells it.

use crate::client::{Client, Value};

/// One command or subcommand.
#[derive(Debug)]
pub struct Syntax {
    /// The name: one word, or two.
    pub name: Vec<String>,
    /// Redis's group, such as `sorted-set`.
    pub group: String,
    /// What follows the name.
    pub arguments: Vec<Argument>,
}

/// A part of a request.
#[derive(Debug, Default)]
pub struct Argument {
    /// What it is called.
    pub name: String,
    /// Redis's type: `key`, `string`, `integer`, `oneof`, `block`…
    pub kind: String,
    /// The word in front of it, or of a pure token the word itself.
    pub token: Option<String>,
    /// It may be left out.
    pub is_optional: bool,
    /// It may be repeated.
    pub is_multiple: bool,
    /// The token is repeated with it.
    pub repeats_token: bool,
    /// Parts of a block, or alternatives.
    pub parts: Vec<Argument>,
}

/// Groups whose commands are tried.
const GROUPS: [&str; 10] = [
    "bitmap",
    "generic",
    "geo",
    "hash",
    "hyperloglog",
    "list",
    "set",
    "sorted-set",
    "stream",
    "string",
];

/// Commands of those groups that are left out: they ask for what differs by nature, or have steps of their own.
const LEFT_OUT: [&str; 20] = [
    "dump",            // Encodings differ; has a step of its own.
    "restore",         // Likewise.
    "migrate",         // Needs a third server.
    "hscan",           // Cursors differ; has a step of its own.
    "scan",            // Likewise.
    "sscan",           // Likewise.
    "zscan",           // Likewise.
    "spop",            // Changes by chance; has a step of its own.
    "object|freq",     // The counter grows by chance.
    "object|help",     // Texts are our own.
    "object|idletime", // Depends on the moment.
    "object|refcount", // Shared integers are Redis's own affair.
    "pfdebug",         // For tests of Redis.
    "pfselftest",      // Takes seconds.
    "randomkey",       // By chance.
    "sort_ro",         // Has a generator of its own, as the next ones.
    "wait",            // About replicas.
    "waitaof",         // About files.
    "xgroup|help",     // Texts are our own.
    "xinfo|help",      // Likewise.
];

impl Syntax {
    /// The name as COMMAND LIST has it.
    pub fn full_name(&self) -> String {
        self.name.join("|")
    }
}

/// Reads the syntax of all commands that both servers have and that are tried. The connections speak RESP3.
pub fn read(ours: &mut Client, theirs: &mut Client) -> Vec<Syntax> {
    let known = names(ours);
    let Value::Map(documented) = theirs.call(&["COMMAND", "DOCS"]).unwrap() else {
        panic!("COMMAND DOCS is no map")
    };
    let mut syntaxes = Vec::new();
    for (name, facts) in &documented {
        add(name, facts, &mut syntaxes);
    }
    syntaxes.retain(|syntax| {
        let name = syntax.full_name();
        GROUPS.contains(&&*syntax.group) && !LEFT_OUT.contains(&&*name) && known.contains(&name)
    });
    syntaxes.sort_by_key(Syntax::full_name);
    syntaxes
}

fn names(client: &mut Client) -> Vec<String> {
    match client.call(&["COMMAND", "LIST"]).unwrap() {
        Value::Array(names) => names.iter().map(text).collect(),
        other => panic!("COMMAND LIST: {other}"),
    }
}

/// Adds a command, or the subcommands of a container.
fn add(name: &Value, facts: &Value, to: &mut Vec<Syntax>) {
    if let Some(Value::Map(subcommands)) = fact(facts, "subcommands") {
        for (name, facts) in subcommands {
            add(name, facts, to);
        }
        return;
    }
    to.push(Syntax {
        name: text(name).split('|').map(str::to_owned).collect(),
        group: fact(facts, "group").map(text).unwrap_or_default(),
        arguments: arguments(facts),
    });
}

fn arguments(facts: &Value) -> Vec<Argument> {
    match fact(facts, "arguments") {
        Some(Value::Array(arguments)) => arguments.iter().map(argument).collect(),
        _ => Vec::new(),
    }
}

fn argument(facts: &Value) -> Argument {
    let flags = match fact(facts, "flags") {
        Some(Value::Set(flags) | Value::Array(flags)) => flags.iter().map(text).collect(),
        _ => Vec::new(),
    };
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    Argument {
        name: fact(facts, "name").map(text).unwrap_or_default(),
        kind: fact(facts, "type").map(text).unwrap_or_default(),
        token: fact(facts, "token").map(text),
        is_optional: has("optional"),
        is_multiple: has("multiple"),
        repeats_token: has("multiple_token"),
        parts: arguments(facts),
    }
}

fn fact<'v>(facts: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(facts) = facts else { return None };
    let found = facts.iter().find(|(known, _)| text(known) == name);
    found.map(|(_, value)| value)
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Simple(text) => text.clone(),
        other => panic!("a text is expected, not {other}"),
    }
}
