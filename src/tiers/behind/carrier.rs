//! The task that carries what is dirty upstream.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Behind;
use super::carry::{Left, Packed};
use super::ledger::Next;
use crate::limits::CARRIED_TOGETHER_MAX;
use crate::store::{Settled, SharedName};
use crate::tiers::backoff::Backoff;
use crate::tiers::order::{Order, Work};
use crate::tiers::status::{LinkState, Status};

/// How often an idle carrier looks whether the oldest write has become too old, and what the journal may let go.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// See the module.
pub struct Carrier {
    behind: Arc<Behind>,
    status: Arc<Status>,
    orders: mpsc::Sender<Order>,
    backoff: Backoff,
}

impl Carrier {
    /// A carrier that orders from the link.
    pub fn new(behind: &Arc<Behind>, status: &Arc<Status>, orders: mpsc::Sender<Order>) -> Self {
        let settings = &behind.services.config.load().upstream;
        Self {
            behind: Arc::clone(behind),
            status: Arc::clone(status),
            orders,
            backoff: Backoff::new(settings.backoff_min, settings.backoff_max),
        }
    }

    /// Carries for as long as there is a link.
    pub async fn run(mut self) {
        while !self.orders.is_closed() {
            let pause = self.round().await;
            self.behind.look_at_age();
            self.behind.progress.notify_waiters();
            if !pause.is_zero() {
                // A marker or a key that has waited long enough may come meanwhile; a pause of an upstream that can't be
                // asked is not shortened.
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Carries what is due; returns how long to rest.
    async fn round(&mut self) -> Duration {
        let now_ms = self.behind.services.clock.monotonic_ms();
        let delay_ms = self.behind.services.config.load().write_behind.delay.as_millis() as u64;
        let next = if self.status.state() == LinkState::Up {
            self.behind
                .ledger
                .lock()
                .next(now_ms, delay_ms, CARRIED_TOGETHER_MAX)
        } else {
            Next::Idle
        };
        match next {
            Next::Carry(names) => self.carry(names).await,
            Next::Wait(at_ms) => {
                let pause = Duration::from_millis(at_ms.saturating_sub(now_ms));
                self.await_work(pause).await;
                Duration::ZERO
            }
            Next::Idle => {
                let is_idle = !self.await_work(LOOK_PERIOD).await;
                if is_idle {
                    self.behind.note_released();
                }
                Duration::ZERO
            }
        }
    }

    /// Whether there is work; it is time to look, whether there is or not.
    async fn await_work(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.behind.work.notified())
            .await
            .is_ok()
    }

    /// Carries keys, one database after the other; returns how long to rest because of a failure.
    async fn carry(&mut self, names: Vec<SharedName>) -> Duration {
        let mut left = Vec::new();
        for names in by_database(names) {
            left.extend(self.carry_of_one(names).await);
        }
        self.behind.release();
        let (refused, passing): (Vec<_>, Vec<_>) = left.into_iter().partition(|left| left.refusal.is_some());
        for left in refused {
            self.behind.bury(left);
        }
        if passing.is_empty() {
            self.backoff.reset();
            return Duration::ZERO;
        }
        self.behind.put_back(passing);
        self.backoff.next()
    }

    async fn carry_of_one(&self, names: Vec<SharedName>) -> Vec<Left> {
        let services = &self.behind.services;
        let db = names.first().map_or(0, |(db, _)| *db);
        let Packed {
            requests,
            carried,
            left,
        } = self.behind.pack(names, services.clock.unix_ms());
        if carried.is_empty() {
            return Vec::new();
        }
        let timeout_ms = services.config.load().upstream.timeout.as_millis() as u64;
        let order = Order::new(
            Work::Carry(requests, carried),
            db,
            services.clock.monotonic_ms() + timeout_ms,
            self.status.enter(0),
        );
        // A link that has ended drops the order, and with it the states.
        let _ = self.orders.send(order).await;
        left.await.unwrap_or_default()
    }
}

/// Keys in groups of the same database, in their order.
fn by_database(names: Vec<SharedName>) -> Vec<Vec<SharedName>> {
    let mut groups: Vec<Vec<SharedName>> = Vec::new();
    for name in names {
        match groups.last_mut() {
            Some(group) if group[0].0 == name.0 => group.push(name),
            _ => groups.push(vec![name]),
        }
    }
    groups
}

impl Behind {
    /// Lets the journal go of what was carried.
    fn release(&self) {
        if let Some(files) = self.files.get() {
            files.journal.release(self.ledger.lock().released());
        }
    }

    /// Has the journal note what was carried, so that after a crash less of it is carried again.
    fn note_released(&self) {
        if let Some(files) = self.files.get().filter(|files| files.journal.may_repeat()) {
            files.journal.note_soon();
        }
    }

    /// Queues keys again that upstream could not be told.
    pub(super) fn put_back(&self, left: Vec<Left>) {
        self.counts.retried.add(left.len() as u64);
        let store = &self.services.store;
        let is_dirty = |name: &SharedName| {
            let mut shard = store.lock(store.hash(&name.1));
            shard.put_back_dirty(name) == Settled::Dirty
        };
        let names = left.into_iter().map(|left| left.name).filter(is_dirty).collect();
        self.ledger.lock().put_back(names);
    }

    /// Notes whether the oldest dirty key is too old for more.
    fn look_at_age(&self) {
        let age_max_ms = self.services.config.load().write_behind.age_max.as_millis() as u64;
        let now_ms = self.services.clock.monotonic_ms();
        let oldest = self.oldest_dirty_since_ms();
        let is_aged = oldest.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) > age_max_ms);
        self.is_aged.store(is_aged && age_max_ms > 0, Relaxed);
    }
}
