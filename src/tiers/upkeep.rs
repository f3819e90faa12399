//! What is done for the copies beside all requests, a little with each tick: suspects are fetched anew, keys are brought in
//! ahead, copies are compared with upstream, and old generations are looked through.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Tiers;
use super::status::LinkState;
use super::warm;
use crate::commands::spec::Result;
use crate::limits::{CHECK_ROUND_MAX, SCAN_KEYS_PER_CALL};
use crate::resp::Frame;
use crate::store::FullName;

/// How often.
const PERIOD: Duration = Duration::from_millis(100);
/// Ticks in a second.
const TICKS: usize = 10;

/// Tends the copies for as long as there are tiers.
pub async fn run(tiers: Weak<Tiers>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = Round::default();
    loop {
        ticks.tick().await;
        let Some(tiers) = tiers.upgrade() else { return };
        if tiers.status.state() == LinkState::Up && !tiers.is_cut_off() {
            round.revalidate(&tiers);
            round.warm(&tiers);
            round.compare(&tiers);
        }
        if tiers.services.store.wants_review() {
            tiers.review().await;
        }
    }
}

/// Where the tending stands.
#[derive(Default)]
struct Round {
    /// The shard that suspects are looked for in next.
    shard: usize,
    /// What is owed of fractions of a tick.
    owed_checks: usize,
    owed_suspects: usize,
    owed_names: usize,
}

impl Round {
    fn revalidate(&mut self, tiers: &Tiers) {
        let rate = tiers.services.config.load().upstream.revalidations_per_second as usize;
        let count = share(rate, &mut self.owed_suspects);
        if count > 0 {
            let (names, next) = tiers.services.store.some_suspects(self.shard, count);
            self.shard = next;
            tiers.refresh(names);
        }
    }

    fn warm(&mut self, tiers: &Tiers) {
        let rate = tiers.services.config.load().warming.keys_per_second as usize;
        let count = share(rate, &mut self.owed_names);
        let mut names = tiers.warming.take(count);
        let store = &tiers.services.store;
        names.retain(|FullName { db, key }| {
            let hash = store.hash(key);
            store.lock(hash).resident(*db, key, hash).is_none()
        });
        tiers.status.warmed.add(names.len() as u64);
        tiers.refresh(names);
    }

    fn compare(&mut self, tiers: &Tiers) {
        let rate = tiers.services.config.load().checks.per_second as usize;
        let count = share(rate, &mut self.owed_checks);
        if count > 0 {
            // What it finds is counted.
            drop(tiers.begin_check(count.min(CHECK_ROUND_MAX)));
        }
    }
}

/// How many of `rate` a second are due with this tick.
fn share(rate: usize, owed: &mut usize) -> usize {
    *owed += rate;
    let due = *owed / TICKS;
    *owed %= TICKS;
    due
}

impl Tiers {
    /// Looks through all entries of old generations, with rests.
    async fn review(&self) {
        let services = Arc::clone(&self.services);
        for _ in services.store.review(services.clock.unix_ms()) {
            tokio::task::yield_now().await;
        }
    }

    /// Queues the names that were saved when the server ended last.
    pub(super) fn load_warm_keys(&self) {
        let config = self.services.config.load();
        match warm::load(&warm::path(&config)) {
            Ok(names) => self.warming.begin(names),
            Err(error) => tracing::warn!(%error, "the names of the keys that were hot can't be read"),
        }
    }

    /// Saves the names of the hottest copies.
    pub(super) fn save_warm_keys(&self) {
        let config = self.services.config.load();
        if config.warming.keys_max == 0 {
            return;
        }
        let now_ms = self.services.clock.unix_ms();
        let names = self
            .services
            .store
            .hottest_copies(config.warming.keys_max, now_ms);
        if let Err(error) = warm::save(&warm::path(&config), &names) {
            tracing::warn!(%error, "the names of the hot keys can't be saved");
        }
    }

    /// Queues all keys of a database of upstream's that match a glob; returns how many.
    pub(super) async fn warm_matching(&self, glob: &[u8], db: usize) -> Result<u64> {
        let (mut cursor, mut queued) = (b"0".to_vec(), 0);
        loop {
            let count = SCAN_KEYS_PER_CALL.to_string();
            let words = [&b"SCAN"[..], &cursor, b"MATCH", glob, b"COUNT", count.as_bytes()];
            let reply = self.ask_upstream(&words, db).await?;
            let mut parts = Frame::new(&reply).children();
            let next = parts
                .next()
                .and_then(|next| next.as_bulk())
                .unwrap_or(b"0")
                .to_vec();
            let keys = parts
                .next()
                .into_iter()
                .flat_map(|keys| keys.children().collect::<Vec<_>>());
            let names = keys.filter_map(|key| key.as_bulk().map(|key| FullName { db, key: key.into() }));
            queued += self.queue_warming(names) as u64;
            if next == b"0" {
                return Ok(queued);
            }
            cursor = next;
        }
    }

    /// Queues keys to be brought in; returns how many there was room for.
    pub(super) fn queue_warming(&self, names: impl IntoIterator<Item = FullName>) -> usize {
        let keys_max = self.services.config.load().warming.keys_max;
        self.warming.push(names, keys_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_time_however_small() {
        for rate in [0, 1, 7, 10, 1001] {
            let mut owed = 0;
            let sum: usize = (0..5 * TICKS).map(|_| share(rate, &mut owed)).sum();
            assert_eq!(sum, 5 * rate);
        }
    }
}
