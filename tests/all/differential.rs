//! Random requests of all types, the same to Forebay and to a real redis-server: their replies must be the same, and
//! so must the events of keys and the data in the end. Forebay stands alone, and as a near cache in front of another
//! redis-server.
//!
//! A run begins with empty servers, fills them, and goes on with requests that are made from the syntax that
//! redis-server tells of its commands, in RESP2 or RESP3, with transactions, cursors, waiting clients and deadlines
//! among them. What a reply leaves open, and what is meant to differ, stands in [`compare`].
//!
//! | variable | meaning |
//! |---|---|
//! | `FOREBAY_DIFFERENTIAL_SECONDS` | how long it goes on; 5 unless told otherwise |
//! | `FOREBAY_DIFFERENTIAL_SEED` | the seed of the first run; each further run has the next one |
//! | `FOREBAY_DIFFERENTIAL_COMMANDS` | only commands with one of these parts, between spaces, in their names |
//! | `FOREBAY_DIFFERENTIAL_AGAINST` | a redis-server in Forebay's place: with the same one, nothing may differ |
//!
//! A difference is shown with its seed and with the shortest requests found that lead to it.

mod compare;
mod domains;
mod grammar;
mod options;
pub mod random;
mod run;
mod shrink;
mod state;
mod steps;
mod words;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use crate::client::Client;
use crate::deadline::Deadline;
use crate::server::{Program, Server, redis_server};
use grammar::Syntax;
use random::Random;
use run::Pair;
use steps::Plan;

/// Kinds of differences after which nothing more is tried.
const DIFFERENCES_MAX: usize = 12;

/// Both servers have these settings: what one of them does by itself would differ.
const SETTINGS: [&str; 6] = [
    "--enable-debug-command",
    "yes",
    "--maxmemory",
    "0",
    "--maxmemory-policy",
    "noeviction",
];

#[test]
fn forebay_and_redis_answer_alike() {
    let Some(redis) = redis_server() else { return };
    let ours = env::var_os("FOREBAY_DIFFERENTIAL_AGAINST");
    let ours = ours.map_or(Program::Forebay, |path| Program::Redis(path.into()));
    let (forebay, redis) = (Server::start(&ours, &SETTINGS), Server::start(&redis, &SETTINGS));
    compare_all(&forebay, &redis, Place::Alone);
}

#[test]
fn a_near_cache_and_redis_answer_alike() {
    let Some(program) = redis_server() else { return };
    let (upstream, redis) = (
        Server::start(&program, &SETTINGS),
        Server::start(&program, &SETTINGS),
    );
    let url = format!("redis://{}", upstream.address());
    let near_cache = Server::forebay(&[&["--upstream", &url], &SETTINGS[..]].concat());
    compare_all(&near_cache, &redis, Place::NearCache);
}

/// Where Forebay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It holds the data.
    Alone,
    /// In front of a server that holds them, whose settings and events it does not pass on.
    NearCache,
}

fn compare_all(forebay: &Server, redis: &Server, place: Place) {
    let syntaxes = grammar::read(&mut speaking_resp3(forebay), &mut speaking_resp3(redis));
    let plan = wanted(syntaxes);
    let plan = Plan::new(&plan, place);
    let first_seed = number("FOREBAY_DIFFERENTIAL_SEED").unwrap_or_else(seed_of_now);
    let seconds = number("FOREBAY_DIFFERENTIAL_SECONDS").unwrap_or(5);
    announce(&format!(
        "{place:?}, {} commands for {seconds} s, FOREBAY_DIFFERENTIAL_SEED={first_seed}",
        plan.commands()
    ));
    let deadline = Deadline::after(Duration::from_secs(seconds));
    let mut pair = Pair::new(forebay, redis, place);
    let (mut reports, mut runs) = (BTreeMap::new(), 0);
    for seed in first_seed.. {
        if deadline.remaining().is_err() || reports.len() >= DIFFERENCES_MAX {
            break;
        }
        runs += 1;
        if let Some((kind, report)) = try_seed(seed, &plan, &mut pair, &reports) {
            announce(&report);
            reports.insert(kind, report);
            pair = Pair::new(forebay, redis, place);
        }
    }
    let never = pair.outcomes.iter().filter(|(_, [succeeded, _])| *succeeded == 0);
    let never: Vec<&str> = never.map(|(command, _)| &**command).collect();
    announce(&format!(
        "{place:?}, {runs} runs, {} differences; never succeeded: {never:?}",
        reports.len()
    ));
    assert!(reports.is_empty(), "{} differences, see above", reports.len());
}

/// The report of a difference that this seed leads to, unless that kind is known.
fn try_seed(
    seed: u64,
    plan: &Plan<'_>,
    pair: &mut Pair,
    known: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let mut random = Random::new(seed);
    let protocol = if random.chance(50) { 2 } else { 3 };
    let steps = plan.steps(&mut random);
    let found = pair.run(&steps, protocol)?;
    if known.contains_key(&found.kind()) {
        return None;
    }
    let (steps, difference) = shrink::shrink(pair, &steps, protocol, &found);
    let mut report = format!("FOREBAY_DIFFERENTIAL_SEED={seed} (RESP{protocol})\n");
    for step in &steps {
        writeln!(report, "> {step}").expect("a String takes everything");
    }
    write!(report, "{difference}").expect("a String takes everything");
    Some((found.kind(), report))
}

fn wanted(mut syntaxes: Vec<Syntax>) -> Vec<Syntax> {
    if let Ok(parts) = env::var("FOREBAY_DIFFERENTIAL_COMMANDS") {
        syntaxes.retain(|syntax| {
            parts
                .split_whitespace()
                .any(|part| syntax.full_name().contains(part))
        });
    }
    syntaxes
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text:?} is no number")),
    )
}

/// A seed that nobody chose.
fn seed_of_now() -> u64 {
    u64::from(std::process::id()) << 32 | u64::from(crate::server::free_port())
}

fn speaking_resp3(server: &Server) -> Client {
    let mut client = server.connect();
    client.call(&["HELLO", "3"]).unwrap();
    client
}

/// Writes past the capture of the test runner.
fn announce(text: &str) {
    writeln!(std::io::stderr(), "differential: {text}").expect("standard error is open");
}
