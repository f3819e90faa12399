//! Consistency checks: copies compared with what upstream has.
//!
//! The comparison happens on the link, when the reply comes: all invalidations of what upstream did before have been
//! applied then, so a copy that still differs is wrong, whatever the reason. It is dropped and counted.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Tiers;
use super::order::{Form, Work};
use super::status::Tally;
use crate::services::Services;
use crate::store::rdb::Decoded;
use crate::store::{Freshness, FullName, Key, Visit, digest};

/// What was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Findings {
    /// Copies that were compared.
    pub checked: u64,
    /// Those that differed, and were dropped.
    pub mismatched: u64,
}

/// What was found since the start.
#[derive(Default)]
pub struct CheckCounts {
    /// Copies that were compared.
    pub checked: Tally,
    /// Those that differed, and were dropped.
    pub mismatched: Tally,
}

/// Comparisons that were asked for together.
pub struct Round {
    findings: Mutex<Findings>,
    done: Mutex<Option<oneshot::Sender<Findings>>>,
}

impl Drop for Round {
    fn drop(&mut self) {
        if let Some(done) = self.done.get_mut().take() {
            // Who asked may be gone.
            let _ = done.send(*self.findings.get_mut());
        }
    }
}

/// One copy to compare.
pub struct Comparison {
    /// Its key.
    pub name: FullName,
    /// How upstream's value is asked for.
    pub form: Form,
    round: Arc<Round>,
}

/// What upstream has.
pub struct Original<'a> {
    /// Its value; `None`: no such key.
    pub value: Option<Decoded<'a>>,
    /// When it dies, as far as PTTL tells.
    pub deadline_ms: Option<u64>,
}

impl Comparison {
    /// One of a text in database 0 that nothing else belongs to.
    #[cfg(test)]
    pub fn alone(key: &str) -> (Self, oneshot::Receiver<Findings>) {
        let (done, found) = oneshot::channel();
        let round = Arc::new(Round {
            findings: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let name = FullName {
            db: 0,
            key: key.as_bytes().into(),
        };
        (
            Self {
                name,
                form: Form::Text,
                round,
            },
            found,
        )
    }

    /// Compares the copy, if there still is one, and drops it if it differs.
    pub fn settle(&self, original: &Original<'_>, now_ms: u64, services: &Services, counts: &CheckCounts) {
        let hash = services.store.hash(&self.name.key);
        let mut shard = services.store.lock(hash);
        let visit = Visit {
            touch: false,
            freshness: Freshness::Lenient,
            ..Visit::new(self.name.db, now_ms)
        };
        if shard.is_dirty(self.name.db, &self.name.key) {
            return;
        }
        let key = Key::find(&mut shard, &self.name.key, hash, visit);
        let Some(entry) = key.entry() else { return };
        let tolerance_ms = services.config.load().checks.ttl_tolerance.as_millis() as u64;
        let is_same = match &original.value {
            None => entry.deadline_ms().is_some_and(|at| at <= now_ms + tolerance_ms),
            Some(value) => {
                digest(entry.value(), now_ms) == digest(value.view(), now_ms)
                    && outlives_not(entry.deadline_ms(), original.deadline_ms, tolerance_ms)
            }
        };
        drop(key);
        counts.checked.add(1);
        self.round.findings.lock().checked += 1;
        if !is_same {
            counts.mismatched.add(1);
            self.round.findings.lock().mismatched += 1;
            shard.drop_copy(self.name.db, &self.name.key, hash);
            tracing::warn!("a copy differed from upstream and was dropped");
        }
    }
}

/// Whether a copy does not live longer than upstream's value. It may live shorter: the rules bound it.
fn outlives_not(copy_ms: Option<u64>, upstream_ms: Option<u64>, tolerance_ms: u64) -> bool {
    match (copy_ms, upstream_ms) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(copy_ms), Some(upstream_ms)) => copy_ms <= upstream_ms + tolerance_ms,
    }
}

impl Tiers {
    /// Compares so many copies, chosen at random, with upstream; gives what was found when all replies have come.
    pub(super) fn begin_check(&self, count: usize) -> oneshot::Receiver<Findings> {
        let (done, found) = oneshot::channel();
        let round = Arc::new(Round {
            findings: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let sample = self.services.store.sample_copies(count);
        let mut by_database: Vec<(usize, Vec<Comparison>)> = Vec::new();
        for (name, is_text) in sample {
            let comparison = Comparison {
                form: if is_text { Form::Text } else { Form::Payload },
                round: Arc::clone(&round),
                name,
            };
            let db = comparison.name.db;
            match by_database.iter_mut().find(|(of, _)| *of == db) {
                Some((_, comparisons)) => comparisons.push(comparison),
                None => by_database.push((db, vec![comparison])),
            }
        }
        for (db, comparisons) in by_database {
            self.submit(Work::Compare(comparisons), db, 0);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_may_end_sooner_than_upstreams_value_but_not_later() {
        assert!(outlives_not(Some(5), None, 0));
        assert!(!outlives_not(None, Some(1_000_000), 10));
        assert!(outlives_not(Some(20), Some(10), 10));
        assert!(!outlives_not(Some(21), Some(10), 10));
    }
}
