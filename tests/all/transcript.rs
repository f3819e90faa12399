//! Transcripts: requests and the replies that they shall get, one file per command file, in `tests/transcripts`.
//!
//! Each is run on a fresh server in RESP2 and in RESP3, against Forebay and, where one is found, against a real
//! redis-server, which proves the transcript. A new file there needs no other change.
//! `FOREBAY_TRANSCRIPT=strings` runs only the files with that in their names.
//!
//! # Requests
//! | line | meaning |
//! |---|---|
//! | `> SET key "a b\r\n\x00"` | a request; words are bare, `"with escapes"`, `'without'`, or repeated: `"ab"*1000` |
//! | `>2 …`, `>3 …` | only in the RESP2 or the RESP3 run |
//! | `@2 > GET key` | on connection 2; connections open at their first use, and speak RESP3 then if the run does |
//! | `repeat 1..9 > SET key:${i} x` | once for each number, with the same expectation |
//! | `wait-until DBSIZE == :0 within 5s` | again and again until the reply fits |
//! | `scan-all SCAN ${cursor} COUNT 2 == (unordered ["a", "b"])` | follows the cursor, compares all elements, each once |
//!
//! # Replies
//! They are written in RESP3's types; in RESP2 each stands for what RESP2 has for it (a map for an array, a double
//! for a bulk string). An expectation goes on over several `<` lines until its brackets are closed. `<2` and `<3`
//! hold for a connection that speaks this protocol. `@2 < …` without a request reads what comes next.
//! `< (integer 1..) -> id` notes the reply for `${id}` in later lines.
//!
//! | notation | reply |
//! |---|---|
//! | `OK`, `+Background saving started`, `(simple "a b")` | simple string: a word, the rest of the line, nested |
//! | `-ERR syntax error`, `(error "ERR …")` | error: the rest of the line, nested |
//! | `:1`, `(integer 90..100)`, `(integer 1..)` | integer, exactly or within bounds |
//! | `"text"` | bulk string |
//! | `(nil)`, `(nil-array)` | null; in RESP2 the null bulk string and the null array |
//! | `[:1, "a"]`, `(unordered […])`, `(contains […])`, `(each …)` | array: exactly, in any order, with these among others, all alike |
//! | `{"a": :1}`, `(contains {…})` | map, in any order |
//! | `(set […])`, `(push […])`, `(double 1.5)`, `(bignum 12)`, `(true)`, `(verbatim "text")`, `(attributed {…} reply)` | RESP3's other types |
//! | `~"a*"`, `~+a*`, `~-ERR *` | any of the texts with wildcards; `\*` between quotes is a star |
//! | `(lines ["a:*", "b"])` | bulk string that has such lines |
//! | `(any)`, `(none)`, `(closed)` | any reply; no reply is read; the server closes the connection |
//!
//! # Directives
//! They hold to the end of their paragraph: `!forebay-only reason`, `!redis-only reason`, and `!since 7.2` for what
//! an older redis-server does not have.

mod pattern;
mod script;
mod words;

use crate::client::{Client, Value, quoted};
use crate::deadline::Deadline;
use crate::server::{Program, Server, redis_server};
use pattern::{Pattern, Protocol};
use script::{Action, Audience, ConnectionNumber, Expected, Scope, Step};
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io, thread};
use words::Variables;

/// Both servers start alike, so that their settings can be compared.
const SERVER_ARGS: [&str; 6] = [
    "--enable-debug-command",
    "yes",
    "--maxmemory",
    "0",
    "--maxmemory-policy",
    "noeviction",
];

/// Failures of one transcript that are shown; later ones mostly follow from earlier ones.
const FAILURES_SHOWN_MAX: usize = 20;

/// Longest part of a request or reply that a failure shows, in characters.
const SHOWN_CHARS_MAX: usize = 2_000;

/// Pages that a scan may have before it counts as endless.
const SCAN_PAGES_MAX: usize = 10_000;

#[test]
fn forebay_answers_as_transcribed_in_resp2() {
    run_all(&Program::Forebay, Protocol::Resp2);
}

#[test]
fn forebay_answers_as_transcribed_in_resp3() {
    run_all(&Program::Forebay, Protocol::Resp3);
}

#[test]
fn redis_proves_the_transcripts_in_resp2() {
    redis_server().inspect(|redis| run_all(redis, Protocol::Resp2));
}

#[test]
fn redis_proves_the_transcripts_in_resp3() {
    redis_server().inspect(|redis| run_all(redis, Protocol::Resp3));
}

#[test]
fn every_command_row_is_exercised() {
    let rows = Server::forebay(&[]).connect().call(&["COMMAND", "LIST"]).unwrap();
    let Value::Array(rows) = rows else {
        panic!("COMMAND LIST is answered with {rows}")
    };
    let exercised = commands_exercised();
    let missing: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            if let Value::Bulk(name) = row {
                Some(String::from_utf8_lossy(name).into_owned())
            } else {
                None
            }
        })
        .filter(|name| !exercised.contains(name))
        .collect();
    assert!(missing.is_empty(), "no transcript exercises {missing:?}");
}

/// The commands that Forebay is asked for in the transcripts and that get more than an arity error: `get`, and for
/// the subcommand of a container `config|get`. The second word is joined to every name, since only the server knows
/// which are containers: look names up in this set, do not count it.
pub fn commands_exercised() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files() {
        for step in steps(&file) {
            if step.scope.server != Some(Audience::Redis) {
                names.extend(names_in(&step.action));
            }
        }
    }
    names
}

fn names_in(action: &Action) -> Vec<String> {
    let request = match action {
        Action::Call { expected, .. } if expected.iter().all(is_refusal) => return Vec::new(),
        Action::Receive { .. } => return Vec::new(),
        Action::Call { request, .. }
        | Action::WaitUntil { request, .. }
        | Action::ScanAll { request, .. } => request,
    };
    let mut words = request.split_whitespace().map(str::to_lowercase);
    let name = words.next().unwrap_or_default();
    let with_next = words.next().map(|next| format!("{name}|{next}"));
    [Some(name), with_next].into_iter().flatten().collect()
}

/// Errors that come before the command itself is reached.
fn is_refusal(expected: &Expected) -> bool {
    ["-ERR wrong number", "-ERR unknown", "~-ERR unknown"]
        .iter()
        .any(|start| expected.reply.starts_with(start))
}

fn run_all(program: &Program, protocol: Protocol) {
    let failed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = files_wanted()
            .map(|file| scope.spawn(move || run(&file, program, protocol)))
            .collect();
        runs.into_iter()
            .filter_map(|run| run.join().expect("a transcript does not panic").err())
            .collect()
    });
    assert!(
        failed.is_empty(),
        "{program:?} in {protocol:?}:\n{}",
        failed.join("\n")
    );
}

fn files_wanted() -> impl Iterator<Item = PathBuf> {
    let wanted = env::var("FOREBAY_TRANSCRIPT").unwrap_or_default();
    files()
        .into_iter()
        .filter(move |file| shown(file).contains(&wanted))
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files
}

fn steps(file: &Path) -> Vec<Step> {
    script::parse(&fs::read_to_string(file).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", shown(file)))
}

/// The path from the crate on, which editors and terminals can open.
fn shown(file: &Path) -> String {
    format!(
        "tests/transcripts/{}",
        file.file_name().unwrap_or_default().to_string_lossy()
    )
}

/// Runs one transcript on a server of its own. The error is a readable list of what differs.
fn run(file: &Path, program: &Program, protocol: Protocol) -> Result<(), String> {
    let server = Server::start(program, &SERVER_ARGS);
    let mut runner = Runner::new(&server, protocol);
    runner.run_all(&steps(file));
    if runner.failures.is_empty() {
        Ok(())
    } else {
        Err(report(file, &runner.failures))
    }
}

fn report(file: &Path, failures: &[Failure]) -> String {
    let shown_failures = failures
        .iter()
        .take(FAILURES_SHOWN_MAX)
        .map(|failure| format!("{}:{failure}\n", shown(file)));
    format!(
        "{}{}: {} failures",
        shown_failures.collect::<String>(),
        shown(file),
        failures.len()
    )
}

/// A reply that is not as expected.
#[derive(Debug)]
struct Failure {
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

/// A transcript in progress.
struct Runner<'a> {
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
    fn new(server: &'a Server, protocol: Protocol) -> Self {
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

    /// Up to the first step after which the connections can't be trusted any more.
    fn run_all(&mut self, steps: &[Step]) {
        for step in steps {
            let outcome = if self.concerns(&step.scope) {
                self.run(step)
            } else {
                Ok(())
            };
            if let Err(error) = outcome {
                self.failures.push(Failure::broken(step, &error));
                return;
            }
        }
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
