//! A number that all clients count up: no reply may come twice, and nothing that was counted may be lost.

use std::collections::HashSet;
use std::sync::Mutex;

use super::model::Outcome;
use super::world::{CLIENTS, locked};

/// The counter.
pub struct Counter {
    pub name: String,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// What it was at the last rest, or 0 since it was removed.
    base: u64,
    done: u64,
    unknown: u64,
    replies: HashSet<u64>,
    /// By client: what it saw last.
    seen: [u64; CLIENTS.len()],
    /// Whether it was removed since the last rest: what is read may be of before.
    was_removed: bool,
}

impl Counter {
    /// At 0.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            counts: Mutex::default(),
        }
    }

    /// Checks the reply to INCR.
    pub fn counted(&self, client: usize, reply: u64) -> Result<(), String> {
        let mut counts = locked(&self.counts);
        counts.done += 1;
        if !counts.replies.insert(reply) {
            return Err(format!("{}: two were answered {reply}", self.name));
        }
        counts.look(client, reply, &self.name)
    }

    /// Notes that INCR ended without a number.
    pub fn failed(&self, outcome: Outcome) {
        locked(&self.counts).unknown += u64::from(outcome == Outcome::Unknown);
    }

    /// Checks what a client read.
    pub fn read(&self, client: usize, value: u64) -> Result<(), String> {
        locked(&self.counts).look(client, value, &self.name)
    }

    /// It was removed, while nobody counted.
    pub fn removed(&self) {
        let mut counts = locked(&self.counts);
        *counts = Counts {
            unknown: counts.unknown,
            was_removed: true,
            ..Counts::default()
        };
    }

    /// Nothing is under way any more, and upstream holds this.
    pub fn rest(&self, value: u64) -> Result<(), String> {
        let mut counts = locked(&self.counts);
        let least = counts.base + counts.done;
        if !(least..=least + counts.unknown).contains(&value) {
            return Err(format!(
                "{} is {value}: {least} were counted and {} may have been",
                self.name, counts.unknown
            ));
        }
        *counts = Counts {
            base: value,
            seen: [value; CLIENTS.len()],
            ..Counts::default()
        };
        Ok(())
    }
}

impl Counts {
    fn look(&mut self, client: usize, value: u64, name: &str) -> Result<(), String> {
        let before = self.seen[client];
        if value < before && !self.was_removed {
            return Err(format!("{name}: client {client} read {value} after {before}"));
        }
        self.seen[client] = value;
        Ok(())
    }
}
