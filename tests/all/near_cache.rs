//! Forebay as a near cache in front of a real redis-server. Numbers in the names are those of the situations that
//! tier tests must contain. Without a redis-server on the machine these tests pass and say so.

mod addresses;
mod behind;
mod compression;
mod control;
mod faults;
mod fills;
mod outage;
mod rules;
mod sessions;
mod types;
mod writes;

use crate::client::{Client, Value};
use crate::deadline::{Deadline, PATIENCE};
use crate::server::{Server, redis_server};

/// A redis-server, if there is one on this machine.
fn upstream() -> Option<Server> {
    redis_server().map(|program| Server::start(&program, &[]))
}

/// A Forebay in front of a server.
fn near_cache(upstream: &Server, args: &[&str]) -> Server {
    near_cache_at(&format!("redis://{}", upstream.address()), args)
}

fn near_cache_at(url: &str, args: &[&str]) -> Server {
    // Checks would ask upstream for values while tests count who does.
    let unchecked = if args.contains(&"--checks-per-second") {
        &[][..]
    } else {
        &["--checks-per-second", "0"]
    };
    Server::forebay(&[&["--upstream", url], unchecked, args].concat())
}

/// The reply to a request, in the notation of transcripts.
fn ask(client: &mut Client, request: &[&str]) -> String {
    client
        .call(request)
        .unwrap_or_else(|error| panic!("{request:?}: {error}"))
        .to_string()
}

/// What INFO tells.
fn report(client: &mut Client, section: &str) -> String {
    match client.call(&["INFO", section]).unwrap() {
        Value::Bulk(text) | Value::Verbatim(text) => String::from_utf8(text).unwrap(),
        other => panic!("INFO is text, not {other}"),
    }
}

/// The value of `field` in INFO.
fn info(client: &mut Client, field: &str) -> String {
    let text = report(client, "everything");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("INFO has no {field}")).to_owned()
}

fn count(client: &mut Client, field: &str) -> u64 {
    info(client, field).parse().unwrap()
}

/// How often the server has run a command, by `INFO commandstats`.
fn calls(client: &mut Client, command: &str) -> u64 {
    let text = report(client, "commandstats");
    let head = format!("cmdstat_{command}:calls=");
    let calls = text
        .lines()
        .find_map(|line| line.strip_prefix(&head)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

/// The line of upstream's CLIENT LIST with `text`, if there is one.
fn client_line(direct: &mut Client, text: &str) -> Option<String> {
    let list = ask(direct, &["CLIENT", "LIST"]);
    list.split("\\n")
        .find(|line| line.contains(text))
        .map(ToOwned::to_owned)
}

/// Waits until everything that upstream did so far has been applied by the near cache: the reply to a command that
/// it has to pass on comes behind that.
fn settle(near: &mut Client) {
    assert!(ask(near, &["DBSIZE"]).starts_with(':'));
}

/// Waits until the condition holds.
fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(Deadline::after(PATIENCE).poll(condition), "never: {what}");
}
