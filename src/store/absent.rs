//! What a shard knows of keys that are not resident, when an upstream may have them.
//!
//! A key that is being fetched has a placeholder here. It is the queue of those who wait for the same fetch, and
//! an invalidation or a local write that overtakes the fetch leaves its mark on it, so that the old value is not
//! kept. A key that upstream was found not to have may be remembered as missing for a while, and one whose value
//! can't be kept here as being elsewhere, both until somebody writes it.

use std::collections::HashMap;

use ahash::RandomState;
use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;

use super::Landing;
use crate::limits::ABSENT_KEYS_REMEMBERED_MAX;

/// Who waits for a fetch: one client, as a rule.
pub type Waiters = SmallVec<[oneshot::Sender<Landing>; 1]>;

/// By database: a key is rarely absent from more than one.
type OfKey = SmallVec<[(usize, Absence); 1]>;

enum Absence {
    Fetching {
        ticket: u64,
        tainted: bool,
        waiters: Waiters,
    },
    Missing {
        until_ms: u64,
    },
    Elsewhere,
}

/// What a command that meets an absent key has to do.
pub enum Approach {
    /// Fetch it, hand in the ticket with the result, and wait for the landing as the others do.
    Lead(u64, oneshot::Receiver<Landing>),
    /// Somebody fetches it; wait for the landing.
    Follow(oneshot::Receiver<Landing>),
    /// It is known to be missing.
    Missing,
    /// Upstream has a value that can't be kept here.
    Elsewhere,
}

/// Placeholders and remembered absences, by key and database.
#[derive(Default)]
pub struct AbsentKeys {
    keys: HashMap<Box<[u8]>, OfKey, RandomState>,
    tickets: u64,
    /// How many are no placeholders.
    remembered: usize,
}

impl AbsentKeys {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Joins the fetch of a key, or begins it.
    pub fn approach(&mut self, db: usize, key: &[u8], now_ms: u64) -> Approach {
        let (sender, receiver) = oneshot::channel();
        if let Some(position) = self.position(db, key) {
            let of_key = self.keys.get_mut(key).expect("it has a position");
            match &mut of_key[position].1 {
                Absence::Missing { until_ms } if *until_ms > now_ms => return Approach::Missing,
                Absence::Elsewhere => return Approach::Elsewhere,
                Absence::Fetching {
                    tainted: false,
                    waiters,
                    ..
                } => {
                    waiters.push(sender);
                    return Approach::Follow(receiver);
                }
                // A fetch that was overtaken is of no use to who comes now.
                Absence::Fetching { .. } | Absence::Missing { .. } => self.discard(key, position),
            }
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let fetching = Absence::Fetching {
            ticket,
            tainted: false,
            waiters: smallvec![sender],
        };
        self.keys.entry(key.into()).or_default().push((db, fetching));
        Approach::Lead(ticket, receiver)
    }

    /// Whether the key is remembered as missing.
    pub fn is_missing(&self, db: usize, key: &[u8], now_ms: u64) -> bool {
        let of_key = self.keys.get(key).map_or(&[][..], |of_key| of_key);
        of_key.iter().any(|(of_db, absence)| {
            *of_db == db && matches!(absence, Absence::Missing { until_ms } if *until_ms > now_ms)
        })
    }

    /// Begins the fetch with this ticket anew; false if it has no placeholder any more.
    pub fn renew(&mut self, db: usize, key: &[u8], ticket: u64) -> bool {
        let of_key = self.keys.get_mut(key).map_or(&mut [][..], |of_key| of_key);
        let fetching = of_key.iter_mut().find_map(|(of_db, absence)| match absence {
            Absence::Fetching {
                ticket: of_fetch,
                tainted,
                ..
            } if *of_db == db && *of_fetch == ticket => Some(tainted),
            _ => None,
        });
        fetching.map(|tainted| *tainted = false).is_some()
    }

    /// Ends the fetch with this ticket: whether its result may be kept, and who waits for it. A fetch that was
    /// overtaken and replaced has no placeholder any more; its result is not kept.
    pub fn land(&mut self, db: usize, key: &[u8], ticket: u64) -> (bool, Waiters) {
        let of_key = self.keys.get(key).map_or(&[][..], |of_key| of_key);
        let position = of_key.iter().position(|(of_db, absence)| {
            *of_db == db
                && matches!(absence, Absence::Fetching { ticket: of_fetch, .. } if *of_fetch == ticket)
        });
        let Some(position) = position else {
            return (false, Waiters::new());
        };
        match self.take(key, position) {
            Absence::Fetching { tainted, waiters, .. } => (!tainted, waiters),
            Absence::Missing { .. } | Absence::Elsewhere => unreachable!("the position is that of a fetch"),
        }
    }

    /// Remembers that upstream has no such key. The key has no placeholder.
    pub fn remember_missing(&mut self, db: usize, key: &[u8], now_ms: u64, until_ms: u64) {
        self.remember(db, key, now_ms, Absence::Missing { until_ms });
    }

    /// Remembers that upstream has a value that can't be kept here. The key has no placeholder.
    pub fn remember_elsewhere(&mut self, db: usize, key: &[u8], now_ms: u64) {
        self.remember(db, key, now_ms, Absence::Elsewhere);
    }

    /// The key was written by somebody: what is being fetched is old, and what is remembered may be wrong. In all
    /// databases.
    pub fn overtake(&mut self, key: &[u8]) {
        let Some(of_key) = self.keys.get_mut(key) else {
            return;
        };
        overtake(of_key, &mut self.remembered);
        if of_key.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Any key may have been written.
    pub fn overtake_all(&mut self) {
        let remembered = &mut self.remembered;
        self.keys.retain(|_, of_key| {
            overtake(of_key, remembered);
            !of_key.is_empty()
        });
    }

    /// Any key for which `concerns` holds may have been written.
    pub fn overtake_where(&mut self, concerns: &dyn Fn(&[u8]) -> bool) {
        let remembered = &mut self.remembered;
        self.keys.retain(|key, of_key| {
            if concerns(key) {
                overtake(of_key, remembered);
            }
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

    /// Drops what is known; those who wait for an overtaken fetch learn that it was.
    fn discard(&mut self, key: &[u8], position: usize) {
        match self.take(key, position) {
            Absence::Missing { .. } | Absence::Elsewhere => self.remembered -= 1,
            Absence::Fetching { waiters, .. } => {
                for waiter in waiters {
                    // A waiter that went away needs no answer.
                    let _ = waiter.send(Landing::Overtaken);
                }
            }
        }
    }

    fn remember(&mut self, db: usize, key: &[u8], now_ms: u64, absence: Absence) {
        if self.remembered >= ABSENT_KEYS_REMEMBERED_MAX {
            self.forget(|absence| matches!(absence, Absence::Missing { until_ms } if *until_ms <= now_ms));
        }
        if self.remembered >= ABSENT_KEYS_REMEMBERED_MAX {
            self.forget(|_| true);
        }
        self.remembered += 1;
        self.keys.entry(key.into()).or_default().push((db, absence));
    }

    /// Drops what is remembered, as far as `forgets` says; placeholders stay.
    fn forget(&mut self, forgets: impl Fn(&Absence) -> bool) {
        let remembered = &mut self.remembered;
        self.keys.retain(|_, of_key| {
            of_key.retain(|(_, absence)| {
                let goes = !matches!(absence, Absence::Fetching { .. }) && forgets(absence);
                *remembered -= usize::from(goes);
                !goes
            });
            !of_key.is_empty()
        });
    }
}

fn overtake(of_key: &mut OfKey, remembered: &mut usize) {
    of_key.retain_mut(|(_, absence)| match absence {
        Absence::Fetching { tainted, .. } => {
            *tainted = true;
            true
        }
        Absence::Missing { .. } | Absence::Elsewhere => {
            *remembered -= 1;
            false
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(keys: &mut AbsentKeys, key: &[u8]) -> (u64, oneshot::Receiver<Landing>) {
        match keys.approach(0, key, 0) {
            Approach::Lead(ticket, landing) => (ticket, landing),
            _ => panic!("somebody else leads"),
        }
    }

    #[test]
    fn one_leads_and_the_others_follow_until_the_landing() {
        let mut keys = AbsentKeys::default();
        let (ticket, _) = lead(&mut keys, b"k");
        assert!(matches!(keys.approach(0, b"k", 0), Approach::Follow(_)));
        lead(&mut keys, b"other");
        let (keep, waiters) = keys.land(0, b"k", ticket);
        assert!(keep);
        assert_eq!(waiters.len(), 2);
        lead(&mut keys, b"k");
    }

    #[test]
    fn an_overtaken_fetch_is_not_kept_and_not_joined() {
        let mut keys = AbsentKeys::default();
        let (first, mut landing) = lead(&mut keys, b"k");
        keys.overtake(b"k");
        let (second, _) = lead(&mut keys, b"k");
        assert!(matches!(landing.try_recv(), Ok(Landing::Overtaken)));
        assert!(
            !keys.land(0, b"k", first).0,
            "the second fetch has the placeholder"
        );
        assert!(keys.land(0, b"k", second).0);
        assert!(keys.is_empty());
    }

    #[test]
    fn a_fetch_that_is_sent_once_more_sees_what_overtook_it() {
        let mut keys = AbsentKeys::default();
        let (ticket, mut landing) = lead(&mut keys, b"k");
        keys.overtake_all();
        assert!(keys.renew(0, b"k", ticket) && !keys.renew(1, b"k", ticket));
        assert!(matches!(keys.approach(0, b"k", 0), Approach::Follow(_)));
        assert!(keys.land(0, b"k", ticket).0);
        assert!(landing.try_recv().is_err(), "the caller tells those who wait");

        let (first, _) = lead(&mut keys, b"k");
        keys.overtake(b"k");
        let (second, _) = lead(&mut keys, b"k");
        assert!(!keys.renew(0, b"k", first) && keys.renew(0, b"k", second));
    }

    #[test]
    fn what_is_remembered_ends_with_its_time_or_a_write() {
        let mut keys = AbsentKeys::default();
        keys.remember_missing(0, b"gone", 0, 10);
        keys.remember_elsewhere(0, b"list", 0);
        assert!(keys.is_missing(0, b"gone", 9) && !keys.is_missing(0, b"gone", 10));
        assert!(!keys.is_missing(1, b"gone", 9));
        assert!(matches!(keys.approach(0, b"gone", 9), Approach::Missing));
        assert!(matches!(keys.approach(0, b"list", 9), Approach::Elsewhere));
        keys.overtake_all();
        assert!(keys.is_empty());
        assert_eq!(keys.remembered, 0);
    }

    #[test]
    fn memory_for_what_is_remembered_is_bounded() {
        let mut keys = AbsentKeys::default();
        let (ticket, _) = lead(&mut keys, b"k");
        for number in 0..3 * ABSENT_KEYS_REMEMBERED_MAX {
            keys.remember_missing(0, number.to_string().as_bytes(), 0, 10);
        }
        assert!(keys.keys.len() <= ABSENT_KEYS_REMEMBERED_MAX + 1);
        assert!(keys.land(0, b"k", ticket).0);
    }
}
