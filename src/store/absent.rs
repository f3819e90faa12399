//! What a shard knows of keys that are not resident, when an upstream may have them.
//!
//! A key that is being fetched has a placeholder here. It is the queue of those who wait for the same fetch, and
//! an invalidation or a local write that overtakes the fetch leaves its mark on it, so that the old value is not
//! kept. A key that upstream was found not to have may be remembered as missing for a while.

use std::collections::HashMap;

use ahash::RandomState;
use tokio::sync::oneshot;

use super::Landing;

/// How many keys a shard remembers as missing; beyond that it forgets all that have expired, then any.
const MISSING_MAX: usize = 4096;

enum Absence {
    Fetching { ticket: u64, tainted: bool, waiters: Vec<oneshot::Sender<Landing>> },
    Missing { until_ms: u64 },
}

/// What a command that meets an absent key has to do.
pub enum Approach {
    /// Fetch it, and hand in the ticket with the result.
    Lead(u64),
    /// Somebody fetches it; wait for the landing.
    Follow(oneshot::Receiver<Landing>),
    /// It is known to be missing.
    Missing,
}

/// Placeholders and remembered misses, by key and database.
#[derive(Default)]
pub struct AbsentKeys {
    keys: HashMap<Box<[u8]>, Vec<(usize, Absence)>, RandomState>,
    tickets: u64,
    missing: usize,
}

impl AbsentKeys {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Joins the fetch of a key, or begins it.
    pub fn approach(&mut self, db: usize, key: &[u8], now_ms: u64) -> Approach {
        if let Some(position) = self.position(db, key) {
            let of_key = self.keys.get_mut(key).expect("it has a position");
            match &mut of_key[position].1 {
                Absence::Missing { until_ms } if *until_ms > now_ms => return Approach::Missing,
                Absence::Fetching { tainted: false, waiters, .. } => {
                    let (sender, receiver) = oneshot::channel();
                    waiters.push(sender);
                    return Approach::Follow(receiver);
                }
                // A fetch that was overtaken answers those who wait already; who comes now wants the new value.
                Absence::Fetching { .. } | Absence::Missing { .. } => self.discard(key, position),
            }
        }
        self.tickets += 1;
        let fetching = Absence::Fetching { ticket: self.tickets, tainted: false, waiters: Vec::new() };
        self.keys.entry(key.into()).or_default().push((db, fetching));
        Approach::Lead(self.tickets)
    }

    /// Whether the key is remembered as missing.
    pub fn is_missing(&self, db: usize, key: &[u8], now_ms: u64) -> bool {
        let of_key = self.keys.get(key).map_or(&[][..], |of_key| of_key);
        of_key.iter().any(|(of_db, absence)| {
            *of_db == db && matches!(absence, Absence::Missing { until_ms } if *until_ms > now_ms)
        })
    }

    /// Ends the fetch with this ticket: whether its result may be kept, and who waits for it. A fetch that was
    /// overtaken and replaced has no placeholder any more; its result is not kept.
    pub fn land(&mut self, db: usize, key: &[u8], ticket: u64) -> (bool, Vec<oneshot::Sender<Landing>>) {
        let of_key = self.keys.get(key).map_or(&[][..], |of_key| of_key);
        let position = of_key.iter().position(|(of_db, absence)| {
            *of_db == db && matches!(absence, Absence::Fetching { ticket: of_fetch, .. } if *of_fetch == ticket)
        });
        let Some(position) = position else { return (false, Vec::new()) };
        match self.take(key, position) {
            Absence::Fetching { tainted, waiters, .. } => (!tainted, waiters),
            Absence::Missing { .. } => unreachable!("the position is that of a fetch"),
        }
    }

    /// Remembers that upstream has no such key.
    pub fn remember_missing(&mut self, db: usize, key: &[u8], now_ms: u64, until_ms: u64) {
        if self.missing >= MISSING_MAX {
            self.forget_missing(|until_ms| until_ms <= now_ms);
        }
        if self.missing >= MISSING_MAX {
            self.forget_missing(|_| true);
        }
        self.missing += 1;
        self.keys.entry(key.into()).or_default().push((db, Absence::Missing { until_ms }));
    }

    /// The key was written by somebody: what is being fetched is old, and it may exist now. In all databases.
    pub fn overtake(&mut self, key: &[u8]) {
        let Some(of_key) = self.keys.get_mut(key) else { return };
        overtake(of_key, &mut self.missing);
        if of_key.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Any key may have been written.
    pub fn overtake_all(&mut self) {
        let missing = &mut self.missing;
        self.keys.retain(|_, of_key| {
            overtake(of_key, missing);
            !of_key.is_empty()
        });
    }

    fn position(&self, db: usize, key: &[u8]) -> Option<usize> {
        self.keys.get(key)?.iter().position(|(of_db, _)| *of_db == db)
    }

    fn take(&mut self, key: &[u8], position: usize) -> Absence {
        let of_key = self.keys.get_mut(key).expect("the key has a position");
        let (_, absence) = of_key.swap_remove(position);
        if of_key.is_empty() {
            self.keys.remove(key);
        }
        absence
    }

    /// Drops what is known; waiters of an overtaken fetch are told to ask for themselves.
    fn discard(&mut self, key: &[u8], position: usize) {
        match self.take(key, position) {
            Absence::Missing { .. } => self.missing -= 1,
            Absence::Fetching { waiters, .. } => {
                for waiter in waiters {
                    // A waiter that went away needs no answer.
                    let _ = waiter.send(Landing::NotKept);
                }
            }
        }
    }

    fn forget_missing(&mut self, forget: impl Fn(u64) -> bool) {
        let missing = &mut self.missing;
        self.keys.retain(|_, of_key| {
            of_key.retain(|(_, absence)| match absence {
                Absence::Missing { until_ms } if forget(*until_ms) => {
                    *missing -= 1;
                    false
                }
                _ => true,
            });
            !of_key.is_empty()
        });
    }
}

fn overtake(of_key: &mut Vec<(usize, Absence)>, missing: &mut usize) {
    of_key.retain_mut(|(_, absence)| match absence {
        Absence::Fetching { tainted, .. } => {
            *tainted = true;
            true
        }
        Absence::Missing { .. } => {
            *missing -= 1;
            false
        }
    });
}
