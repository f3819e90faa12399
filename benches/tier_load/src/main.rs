//! What `benches/tiers.py` needs and Python is too slow for. Linux only. Each prints one line of JSON when it is done.
//!
//! ```text
//! tier-load load  --port P [--clients 50] [--pipeline 1] [--op get|set] [--keys zipf|uniform|once] [--universe N]
//!                 [--requests N] [--rate N] [--value-bytes N] [--prefix key:] [--seed N]
//! tier-load crowd --port P [--clients 10000] [--key K]
//! tier-load proxy --to P [--delay-us N]
//! ```

#![expect(clippy::disallowed_methods, reason = "a clock is what this measures with")]

mod clients;
mod crowd;
mod flags;
mod keys;
mod load;
mod proxy;
mod replies;

use std::process::ExitCode;

use flags::Flags;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let done = Flags::parse(words).and_then(|flags| match what.as_str() {
        "load" => load::run(&flags),
        "crowd" => crowd::run(&flags),
        "proxy" => proxy::run(&flags),
        _ => Err("expected load, crowd or proxy".into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tier-load {what}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What everything here may fail with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
