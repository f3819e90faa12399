//! The whole command table: what Forebay tells of its commands, compared with what a real Redis 7.0 tells of them.

use crate::client::{Client, Value};
use crate::server::{Server, redis_server};
use std::collections::{BTreeMap, BTreeSet};

/// The Redis that is compared with has no command of a later version.
const VERSION: [u32; 2] = [7, 0];

/// Commands that are Forebay's own, with their subcommands.
const OWN: [&str; 1] = ["tier"];

/// What is meant to differ: facts of commands.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("set", "arguments"), // IFEQ and its kin, which Redis has from 8.4 on.
    // WITHSCORE, which Redis has from 7.2 on.
    ("zrank", "arity"),
    ("zrank", "arguments"),
    ("zrevrank", "arity"),
    ("zrevrank", "arguments"),
    ("client|kill", "arguments"), // MAXAGE, which Redis has from 7.4 on.
];

/// Facts that are not compared: those in Redis's own words, and subcommands, which are compared as commands.
const FACTS_LEFT_OUT: [&str; 4] = ["summary", "complexity", "history", "subcommands"];

/// What is not compared within facts, as rows do not have it: the history of arguments, and notes on keys.
const DETAILS_LEFT_OUT: [&str; 3] = ["since", "deprecated_since", "notes"];

/// What COMMAND INFO tells of a command, in this order.
const INFO: [&str; 10] = [
    "name",
    "arity",
    "flags",
    "first key",
    "last key",
    "key step",
    "categories",
    "tips",
    "key specifications",
    "subcommands",
];

type Facts = BTreeMap<String, Value>;

#[test]
fn commands_are_what_they_are_in_redis() {
    compare(|client, name| match information(client, name) {
        Value::Array(facts) => Some(INFO.map(str::to_owned).into_iter().zip(facts).collect()),
        Value::Null => None,
        other => panic!("COMMAND INFO {name}: {other}"),
    });
}

#[test]
fn commands_are_documented_as_in_redis() {
    compare(|client, name| {
        let facts = documentation(client, name)?.into_iter();
        let named = facts.map(|(fact, value)| (text(&fact).to_owned(), value));
        Some(named.collect())
    });
}

#[test]
fn containers_show_their_subcommands() {
    let forebay = Server::forebay(&[]);
    let mut client = speaking_resp3(&forebay);
    for name in names(&mut client) {
        let Some((container, _)) = name.split_once('|') else {
            continue;
        };
        let shown = information(&mut client, container).to_string();
        assert!(
            shown.contains(&information(&mut client, &name).to_string()),
            "INFO {name}"
        );
        let shown = Value::Map(documentation(&mut client, container).unwrap()).to_string();
        let own = Value::Map(documentation(&mut client, &name).unwrap()).to_string();
        assert!(shown.contains(&format!("\"{name}\": {own}")), "DOCS {name}");
    }
}

/// What COMMAND INFO tells of one command.
fn information(client: &mut Client, name: &str) -> Value {
    match client.call(&["COMMAND", "INFO", name]).unwrap() {
        Value::Array(mut told) if told.len() == 1 => told.remove(0),
        other => panic!("COMMAND INFO {name}: {other}"),
    }
}

/// What COMMAND DOCS tells of one command, if anything.
fn documentation(client: &mut Client, name: &str) -> Option<Vec<(Value, Value)>> {
    let Value::Map(mut told) = client.call(&["COMMAND", "DOCS", name]).unwrap() else {
        panic!("COMMAND DOCS {name} is no map")
    };
    match told.pop()? {
        (_, Value::Map(facts)) => Some(facts),
        (_, other) => panic!("COMMAND DOCS {name}: {other}"),
    }
}

/// Compares what `describe` finds of each command, in RESP3.
fn compare(describe: impl Fn(&mut Client, &str) -> Option<Facts>) {
    let Some(redis) = redis_server() else { return };
    let (forebay, redis) = (Server::forebay(&[]), Server::start(&redis, &[]));
    let (mut ours, mut theirs) = (speaking_resp3(&forebay), speaking_resp3(&redis));
    let mut differences = BTreeSet::new();
    for name in names(&mut ours) {
        let described = describe(&mut ours, &name).expect("it was listed");
        match describe(&mut theirs, &name) {
            Some(expected) => differences.extend(differing(&name, described, expected)),
            None if is_own(&name) || is_later(&mut ours, &name) => {}
            None => drop(differences.insert(format!("{name} is not in Redis"))),
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Whether no Redis has the command.
fn is_own(name: &str) -> bool {
    let container = name.split('|').next().unwrap_or(name);
    OWN.contains(&container)
}

/// Whether the command is from a version of Redis after the one that is compared with.
fn is_later(client: &mut Client, name: &str) -> bool {
    let facts = documentation(client, name).expect("it was listed");
    let since = facts.iter().find(|(fact, _)| text(fact) == "since");
    let (_, since) = since.expect("every row tells its version");
    let numbers = text(since)
        .split('.')
        .map(|number| number.parse::<u32>().unwrap());
    numbers.take(VERSION.len()).gt(VERSION)
}

fn speaking_resp3(server: &Server) -> Client {
    let mut client = server.connect();
    client.call(&["HELLO", "3"]).unwrap();
    client
}

/// The full names of all commands and subcommands.
fn names(client: &mut Client) -> Vec<String> {
    let Value::Array(names) = client.call(&["COMMAND", "LIST"]).unwrap() else {
        panic!("COMMAND LIST is no array")
    };
    names.iter().map(|name| text(name).to_owned()).collect()
}

/// What is told of a command, but not of its model, or the other way round.
fn differing(name: &str, described: Facts, expected: Facts) -> Vec<String> {
    let (described, expected) = (comparable(described), comparable(expected));
    let facts: BTreeSet<&String> = described.keys().chain(expected.keys()).collect();
    let mut differences = Vec::new();
    for fact in facts {
        let (is, should_be) = (described.get(fact), expected.get(fact));
        if is != should_be && !EXCEPTIONS.contains(&(name, fact)) {
            differences.push(format!(
                "{name}: {fact} is {}, in Redis {}",
                shown(is),
                shown(should_be)
            ));
        }
    }
    differences
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), Value::to_string)
}

fn comparable(facts: Facts) -> Facts {
    let compared = facts
        .into_iter()
        .filter(|(fact, _)| !FACTS_LEFT_OUT.contains(&&**fact));
    compared.map(|(fact, value)| (fact, canonical(value))).collect()
}

/// The value without what is left out, sets and maps in order.
fn canonical(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Set(items) => {
            let mut items: Vec<Value> = items.into_iter().map(canonical).collect();
            items.sort_by_key(Value::to_string);
            Value::Set(items)
        }
        Value::Map(mut pairs) => {
            pairs.retain(|(key, _)| !DETAILS_LEFT_OUT.contains(&text(key)));
            pairs.sort_by_key(|(key, _)| key.to_string());
            let pairs = pairs.into_iter().map(|(key, value)| (key, canonical(value)));
            Value::Map(pairs.collect())
        }
        other => other,
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Bulk(bytes) => std::str::from_utf8(bytes).unwrap(),
        other => panic!("{other} is no text"),
    }
}
