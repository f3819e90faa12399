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
mod runner;
mod script;
mod words;

use crate::client::Value;
use crate::server::{Program, Server, redis_server};
use pattern::Protocol;
use runner::{Failure, Runner};
use script::{Action, Audience, Expected, Step};
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::{env, fs, thread};

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
    let names = rows.iter().map(|row| row.to_string().replace('"', ""));
    let missing: Vec<String> = names.filter(|name| !exercised.contains(name)).collect();
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
    [
        "-ERR wrong number",
        "-ERR unknown",
        "~-ERR unknown",
        "(error \"ERR unknown",
    ]
    .iter()
    .any(|start| expected.reply.starts_with(start))
}

fn run_all(program: &Program, protocol: Protocol) {
    let failed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = files_wanted()
            .map(|file| scope.spawn(move || run(&file, program, protocol)))
            .collect();
        runs.into_iter()
            .filter_map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic)).err())
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
    let failures = Runner::new(&server, protocol).run_all(&steps(file));
    if failures.is_empty() {
        Ok(())
    } else {
        Err(report(file, &failures))
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
