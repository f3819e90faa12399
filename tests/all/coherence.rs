//! The coherence of near caches, while everything breaks that can: two Forebays behind fault proxies in front of one
//! real redis-server, clients at both and at upstream, and faults that a seed chooses.
//!
//! Each key has one writer, and each value names its key and its version. What is checked, with every reply:
//! - *Monotonic*: through one Forebay, a client never reads an older version after a newer one, across faults too.
//! - *Own writes are read*: what was acknowledged through a Forebay is read through it, by whoever is there.
//! - *Visible within the bound*: [`world::VISIBLE_WITHIN_MS`] after its acknowledgement a write is seen everywhere, as long
//!   as the ways to upstream are undisturbed, and at once by a client that passed a barrier in between.
//! - *No reply answers another request*, no value is made up, and what was refused is never seen.
//! - *Nothing is counted twice or lost*: replies to INCR are unique, and their number is the counter's value.
//! - *Nobody hangs*, and long after a fault there are no errors.
//! - At each *rest* (every few seconds, faults over, clients paused) all agree with upstream on every key, and upstream has
//!   everything that was acknowledged.
//!
//! With write-behind the keys that clients of a Forebay write are its own, and upstream has what was acknowledged when
//! nothing is dirty any more.
//!
//! A write whose outcome is unknown may have happened or not, and may take effect late. What the seed does not
//! determine is the order in which threads run, so a run can be repeated only in kind.
//!
//! | variable | meaning |
//! |---|---|
//! | `FOREBAY_COHERENCE_SECONDS` | how long it goes on in each mode; 10 unless told otherwise |
//! | `FOREBAY_COHERENCE_SEED` | the seed |
//! | `FOREBAY_COHERENCE_MODES` | these of `near-cache`, `write-around` and `write-behind`, with commas between them |

mod actor;
mod counter;
mod faults;
mod kinds;
mod model;
mod rest;
mod weather;
mod world;

use std::env;
use std::io::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::differential::random::Random;
use crate::server::{free_port, redis_server};
use actor::Actor;
use faults::Blow;
use world::{CLIENTS, Mode, World};

/// Short deadlines, so that many faults fit into a minute.
const SETTINGS: [&str; 12] = [
    "--upstream-timeout-ms",
    "300",
    "--upstream-connect-timeout-ms",
    "300",
    "--breaker-open-ms",
    "200",
    "--upstream-retry-backoff-min-ms",
    "20",
    "--upstream-retry-backoff-max-ms",
    "200",
    "--fill-value-max-bytes",
    "4096",
];

/// The modes that are tested unless told otherwise.
const MODES: &str = "near-cache,write-around,write-behind";

#[test]
fn near_caches_are_coherent_whatever_breaks() {
    run(Mode::NearCache);
}

#[test]
fn caches_that_are_written_around_are_coherent_whatever_breaks() {
    run(Mode::WriteAround);
}

#[test]
fn caches_that_are_written_behind_are_coherent_whatever_breaks() {
    run(Mode::WriteBehind);
}

fn run(mode: Mode) {
    let Some(redis) = redis_server() else { return };
    let modes = env::var("FOREBAY_COHERENCE_MODES").unwrap_or_else(|_| MODES.to_owned());
    if !modes.split(',').any(|wanted| wanted == mode.name()) {
        return;
    }
    let seconds = number("FOREBAY_COHERENCE_SECONDS").unwrap_or(10);
    let seed = number("FOREBAY_COHERENCE_SEED").unwrap_or_else(seed_of_now);
    announce(&format!(
        "{} for {seconds} s, FOREBAY_COHERENCE_SEED={seed}",
        mode.name()
    ));
    let world = World::new(&redis, mode, &SETTINGS);
    let deadline = Deadline::after(Duration::from_secs(seconds));
    let rounds = thread::scope(|scope| {
        for client in 0..CLIENTS.len() {
            let actor = Actor::new(&world, client, seed);
            scope.spawn(move || actor.run());
        }
        let rounds = go_on(&world, deadline, &mut Random::new(seed));
        world.is_over.store(true, Relaxed);
        rounds
    });
    let (operations, answered) = (world.operations.load(Relaxed), world.answered.load(Relaxed));
    announce(&format!(
        "{}: {rounds} rounds, {operations} operations, {answered} values",
        mode.name()
    ));
    if let Some(what) = world.verdict() {
        panic!("FOREBAY_COHERENCE_SEED={seed}: {what}");
    }
    assert!(answered > 0, "nothing was tested");
}

/// Rounds of faults and rests, until time is up or something is wrong.
fn go_on(world: &World, deadline: Deadline, random: &mut Random) -> usize {
    let mut rounds = 0;
    while deadline.remaining().is_ok() && !world.is_over.load(Relaxed) {
        rounds += 1;
        let faults = disturb(world, random);
        if let Err(what) = rest::rest(world) {
            world.fail(format!("at rest: {what}"));
        }
        if world.is_over.load(Relaxed) {
            announce(&format!("in round {rounds}, {faults}"));
        }
    }
    rounds
}

/// One round: some faults, one after the other or at once, and traffic before, between and after.
fn disturb(world: &World, random: &mut Random) -> String {
    // Now and then there is time for everything to be as usual.
    pause(if random.chance(15) { 4_000 } else { 300 }, random);
    let mut blows = vec![Blow::any(random)];
    if random.chance(30) {
        blows.push(Blow::on_top(random));
    }
    for blow in &blows {
        blow.begin(world);
        pause(300, random);
    }
    pause(1_200, random);
    for blow in blows.iter().rev() {
        blow.end(world);
    }
    pause(700, random);
    format!("{blows:?}")
}

fn pause(most_ms: usize, random: &mut Random) {
    thread::sleep(Duration::from_millis(random.below(most_ms) as u64));
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
    u64::from(std::process::id()) << 32 | u64::from(free_port())
}

/// Writes past the capture of the test runner.
fn announce(text: &str) {
    writeln!(std::io::stderr(), "coherence: {text}").expect("standard error is open");
}
