//! Publish and subscribe between connections, which several threads serve.

use std::thread;

use crate::client::{Client, Value};
use crate::deadline::{Deadline, PATIENCE};
use crate::server::{Server, programs};

/// Publishers at a time.
const PUBLISHERS: usize = 4;
/// Messages that each of them sends.
const MESSAGES: usize = 500;

#[test]
fn what_one_client_publishes_arrives_in_order() {
    let server = Server::forebay(&["--workers", "4"]);
    let mut listeners: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for listener in &mut listeners {
        listener.call(&["SUBSCRIBE", "c"]).unwrap();
    }
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let client = server.connect();
            scope.spawn(move || publish_all(client, publisher));
        }
        for listener in &mut listeners {
            scope.spawn(|| expect_all_in_order(listener));
        }
    });
}

fn publish_all(mut client: Client, publisher: usize) {
    for number in 0..MESSAGES {
        let message = format!("{publisher} {number}");
        let reached = client.call(&["PUBLISH", "c", &message]).unwrap();
        assert_eq!(reached, Value::Integer(4));
    }
}

/// Reads the messages of all publishers.
fn expect_all_in_order(listener: &mut Client) {
    let mut next = [0; PUBLISHERS];
    for _ in 0..PUBLISHERS * MESSAGES {
        let (publisher, number) = message(listener);
        assert_eq!(next[publisher], number, "of publisher {publisher}");
        next[publisher] += 1;
    }
}

/// Who sent the next message, and which of its messages it is.
fn message(listener: &mut Client) -> (usize, usize) {
    let received = listener.receive().unwrap();
    let Value::Array(parts) = &received else {
        panic!("{received} is no message")
    };
    let Some(Value::Bulk(content)) = parts.last() else {
        panic!("{received} has no content")
    };
    let content = String::from_utf8_lossy(content);
    let (publisher, number) = content.split_once(' ').unwrap();
    (publisher.parse().unwrap(), number.parse().unwrap())
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected() {
    for program in programs() {
        let limits = ["--client-output-buffer-limit", "pubsub 1mb 0 0"];
        let server = Server::start(&program, &limits);
        let (mut listener, mut publisher) = (server.connect(), server.connect());
        listener.call(&["SUBSCRIBE", "c"]).unwrap();
        let message = "x".repeat(100_000);
        // What the sockets take on the way does not count.
        let is_gone = || publisher.call(&["PUBLISH", "c", &message]).unwrap() == Value::Integer(0);
        assert!(Deadline::after(PATIENCE).poll(is_gone), "{program:?} keeps it");
        let info = publisher.call(&["INFO", "stats"]).unwrap().to_string();
        let counted = "client_output_buffer_limit_disconnections:1";
        assert!(!server.is_forebay() || info.contains(counted), "{info}");
    }
}

#[test]
fn messages_arrive_while_a_command_waits() {
    for program in programs() {
        let server = Server::start(&program, &[]);
        let (mut listener, mut publisher) = (server.connect(), server.connect());
        listener.call(&["HELLO", "3"]).unwrap();
        listener.call(&["SUBSCRIBE", "c"]).unwrap();
        listener.send(&["BLPOP", "list", "0"]).unwrap();
        let waits = || {
            let info = publisher.call(&["INFO", "clients"]).unwrap();
            info.to_string().contains("blocked_clients:1")
        };
        assert!(Deadline::after(PATIENCE).poll(waits));
        publisher.call(&["PUBLISH", "c", "hi"]).unwrap();
        assert_eq!(
            listener.receive().unwrap(),
            Value::Push(bulks(["message", "c", "hi"]))
        );
        publisher.call(&["RPUSH", "list", "x"]).unwrap();
        assert_eq!(listener.receive().unwrap(), Value::Array(bulks(["list", "x"])));
    }
}

fn bulks<const N: usize>(texts: [&str; N]) -> Vec<Value> {
    texts.map(|text| Value::Bulk(text.into())).into()
}

#[test]
fn nothing_arrives_behind_the_confirmation_of_an_end() {
    let server = Server::forebay(&["--workers", "2"]);
    let mut publishers: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    let mut listener = server.connect();
    for _ in 0..200 {
        listener.call(&["SUBSCRIBE", "c"]).unwrap();
        for publisher in &mut publishers {
            publisher.send(&["PUBLISH", "c", "m"]).unwrap();
        }
        listener.send(&["UNSUBSCRIBE", "c"]).unwrap();
        listener.send(&["PING"]).unwrap();
        let is_end = |value: &Value| value.to_string().contains("unsubscribe");
        while !is_end(&listener.receive().unwrap()) {}
        assert_eq!(listener.receive().unwrap(), Value::Simple("PONG".to_owned()));
        for publisher in &mut publishers {
            publisher.receive().unwrap();
        }
    }
}

#[test]
fn a_subscription_ends_with_its_connection() {
    let server = Server::forebay(&[]);
    let mut other = server.connect();
    for _ in 0..20 {
        let mut listener = server.connect();
        listener.send(&["SUBSCRIBE", "a", "b"]).unwrap();
        listener.receive().unwrap();
        drop(listener);
    }
    let is_empty = || other.call(&["PUBSUB", "CHANNELS"]).unwrap() == Value::Array(Vec::new());
    assert!(Deadline::after(PATIENCE).poll(is_empty));
}
