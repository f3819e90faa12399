//! Runs the steps of a transcript against a server.

use super::pattern::{Pattern, Protocol};
use super::script::{self, Action, Audience, ConnectionNumber, Expected, Scope, Step};
use super::words::{self, Variables};
use crate::client::{Client, Value, quoted};
use crate::deadline::Deadline;
use crate::server::Server;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use std::{fmt, io};

/// Longest part of a request or reply that a failure shows, in characters.
const SHOWN_CHARS_MAX: usize = 2_000;

/// Pages that a scan may have before it counts as endless.
const SCAN_PAGES_MAX: usize = 10_000;

/// A transcript in progress.
pub struct Runner<'a> {
    server: &'a Server,
    protocol: Protocol,
    /// The version, if the server is a Redis.
    redis_version: Option<Vec<u32>>,
    connections: HashMap<ConnectionNumber, Connection>,
    variables: Variables,
    failures: Vec<Failure>,
}

/// A client and the protocol that it has negotiated.
struct Connection {
    client: Client,
    protocol: Protocol,
    /// The protocol that the last request has asked for.
    asked: Option<Protocol>,
}

impl<'a> Runner<'a> {
    /// Connects to nothing yet; connections open at their first use.
    pub fn new(server: &'a Server, protocol: Protocol) -> Self {
        Self {
            server,
            protocol,
            redis_version: (!server.is_forebay()).then(|| version_of(server)),
            connections: HashMap::new(),
            variables: Variables::new(),
            failures: Vec::new(),
        }
    }

    fn concerns(&self, scope: &Scope) -> bool {
        let protocol = scope.protocol.is_none_or(|protocol| protocol == self.protocol);
        let server = scope
            .server
            .is_none_or(|server| (server == Audience::Forebay) == self.server.is_forebay());
        let version = match (&self.redis_version, &scope.since) {
            (Some(version), Some(since)) => version >= since,
            _ => true,
        };
        protocol && server && version
    }

    /// Runs the steps up to the first after which the connections can't be trusted, and tells what differed.
    pub fn run_all(mut self, steps: &[Step]) -> Vec<Failure> {
        for step in steps {
            let outcome = if self.concerns(&step.scope) {
                self.run(step)
            } else {
                Ok(())
            };
            if let Err(error) = outcome {
                self.failures.push(Failure::broken(step, &error));
                break;
            }
        }
        self.failures
    }

    fn run(&mut self, step: &Step) -> io::Result<()> {
        match &step.action {
            Action::Call {
                request,
                numbers,
                expected,
            } => self.call(step, request, numbers.clone(), expected),
            Action::Receive { expected } => self.check(step, "(no request)", expected),
            Action::WaitUntil { request, reply, time } => self.wait_until(step, request, reply, *time),
            Action::ScanAll { request, reply } => self.scan_all(step, request, reply),
        }
    }

    fn call(
        &mut self,
        step: &Step,
        request: &str,
        numbers: RangeInclusive<u64>,
        expected: &[Expected],
    ) -> io::Result<()> {
        for number in numbers {
            self.variables.insert("i".to_owned(), number.to_string());
            let request = self.substituted(request)?;
            let words = words::split(&request).map_err(io::Error::other)?;
            let connection = self.connection(step.connection)?;
            connection.client.send(&words)?;
            connection.asked = protocol_asked(&words);
            self.check(step, &request, expected)?;
        }
        Ok(())
    }

    fn check(&mut self, step: &Step, request: &str, expected: &[Expected]) -> io::Result<()> {
        let connection = self.connection(step.connection)?;
        let protocol = connection.asked.unwrap_or(connection.protocol);
        let Some(expected) = expected
            .iter()
            .find(|one| one.only.is_none_or(|only| only == protocol))
        else {
            return Err(io::Error::other("no reply is transcribed for this protocol"));
        };
        match expected.reply.as_str() {
            "(none)" => Ok(()),
            "(closed)" => self.check_closed(step, request),
            reply => {
                let got = self.connection(step.connection)?.receive()?;
                self.note(expected, &got);
                self.compare(step, request, reply, &got)
            }
        }
    }

    fn check_closed(&mut self, step: &Step, request: &str) -> io::Result<()> {
        let closed = self.connection(step.connection)?.client.is_closed();
        self.connections.remove(&step.connection);
        if !closed {
            self.fail(step, request, "(closed)", "the connection is open".to_owned());
        }
        Ok(())
    }

    fn note(&mut self, expected: &Expected, got: &Value) {
        let text = match got {
            Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
            Value::Integer(number) => number.to_string(),
            other => other.to_string(),
        };
        if let Some(name) = &expected.noted {
            self.variables.insert(name.clone(), text);
        }
    }

    fn compare(&mut self, step: &Step, request: &str, reply: &str, got: &Value) -> io::Result<()> {
        let protocol = self.connection(step.connection)?.protocol;
        if !self.pattern(reply)?.matches(got, protocol) {
            self.fail(step, request, reply, got.to_string());
        }
        Ok(())
    }

    fn wait_until(&mut self, step: &Step, request: &str, reply: &str, time: Duration) -> io::Result<()> {
        let words = words::split(&self.substituted(request)?).map_err(io::Error::other)?;
        let pattern = self.pattern(reply)?;
        let connection = self.connection(step.connection)?;
        let mut got = Ok(Value::Null);
        let fits = Deadline::after(time).poll(|| {
            got = connection.client.call(&words);
            got.as_ref()
                .map_or(true, |value| pattern.matches(value, connection.protocol))
        });
        let got = got?;
        if !fits {
            self.fail(step, request, reply, got.to_string());
        }
        Ok(())
    }

    fn scan_all(&mut self, step: &Step, request: &str, reply: &str) -> io::Result<()> {
        let mut elements: Vec<Value> = Vec::new();
        self.variables.insert("cursor".to_owned(), "0".to_owned());
        for _ in 0..SCAN_PAGES_MAX {
            let words = words::split(&self.substituted(request)?).map_err(io::Error::other)?;
            let got = self.connection(step.connection)?.client.call(&words)?;
            let Some((cursor, page)) = page(&got) else {
                self.fail(step, request, reply, got.to_string());
                return Ok(());
            };
            elements.extend(page.iter().cloned());
            if cursor == "0" {
                return self.compare(step, request, reply, &Value::Array(without_repetitions(elements)));
            }
            self.variables.insert("cursor".to_owned(), cursor);
        }
        self.fail(step, request, reply, "a scan without end".to_owned());
        Ok(())
    }

    fn fail(&mut self, step: &Step, request: &str, expected: &str, got: String) {
        let (request, expected) = (request.to_owned(), expected.to_owned());
        self.failures.push(Failure {
            line: step.line,
            request,
            expected,
            got,
        });
    }

    fn connection(&mut self, number: ConnectionNumber) -> io::Result<&mut Connection> {
        if !self.connections.contains_key(&number) {
            let connection = Connection::open(self.server, self.protocol)?;
            self.connections.insert(number, connection);
        }
        Ok(self.connections.get_mut(&number).expect("it is open by now"))
    }

    fn substituted(&self, text: &str) -> io::Result<String> {
        words::substitute(text, &self.variables).map_err(io::Error::other)
    }

    fn pattern(&self, text: &str) -> io::Result<Pattern> {
        let text = self.substituted(text)?;
        Pattern::parse(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", quoted(text.as_bytes()))))
    }
}

impl Connection {
    fn open(server: &Server, protocol: Protocol) -> io::Result<Self> {
        let mut client = Client::connect(server.address())?;
        if protocol == Protocol::Resp3 {
            let hello = client.call(&["HELLO", "3"])?;
            if !matches!(hello, Value::Map(_)) {
                return Err(io::Error::other(format!("HELLO 3 is answered with {hello}")));
            }
        }
        Ok(Self {
            client,
            protocol,
            asked: None,
        })
    }

    /// Reads a reply. HELLO's is in the protocol that it asks for, unless it is an error.
    fn receive(&mut self) -> io::Result<Value> {
        let reply = self.client.receive()?;
        let asked = self.asked.take().filter(|_| !matches!(reply, Value::Error(_)));
        self.protocol = asked.unwrap_or(self.protocol);
        Ok(reply)
    }
}

/// The protocol that HELLO or RESET switches to.
fn protocol_asked(words: &[Vec<u8>]) -> Option<Protocol> {
    let name = words.first()?.to_ascii_lowercase();
    match (name.as_slice(), words.get(1).map(Vec::as_slice)) {
        (b"hello", Some(b"2")) | (b"reset", None) => Some(Protocol::Resp2),
        (b"hello", Some(b"3")) => Some(Protocol::Resp3),
        _ => None,
    }
}

/// Cursor and elements of a reply to SCAN.
fn page(reply: &Value) -> Option<(String, &[Value])> {
    let Value::Array(parts) = reply else { return None };
    let [Value::Bulk(cursor), Value::Array(elements)] = parts.as_slice() else {
        return None;
    };
    Some((String::from_utf8_lossy(cursor).into_owned(), elements))
}

fn without_repetitions(elements: Vec<Value>) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::new();
    for element in elements {
        if !once.contains(&element) {
            once.push(element);
        }
    }
    once
}

fn version_of(server: &Server) -> Vec<u32> {
    let info = server.connect().call(&["INFO", "server"]).unwrap();
    let Value::Bulk(text) = info else {
        panic!("INFO is answered with {info}")
    };
    let text = String::from_utf8_lossy(&text);
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:"));
    version
        .and_then(script::version)
        .unwrap_or_else(|| panic!("no version in {text}"))
}

/// A reply that is not as expected.
#[derive(Debug)]
pub struct Failure {
    line: usize,
    request: String,
    expected: String,
    got: String,
}

impl Failure {
    fn broken(step: &Step, error: &io::Error) -> Self {
        let expected = "an answer (the rest of the transcript was not run)".to_owned();
        Self {
            line: step.line,
            request: format!("{:?}", step.action),
            expected,
            got: error.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| -> String { text.chars().take(SHOWN_CHARS_MAX).collect() };
        write!(
            f,
            "{}\n  request:  {}\n  expected: {}\n  got:      {}",
            self.line,
            short(&self.request),
            short(&self.expected),
            short(&self.got)
        )
    }
}
