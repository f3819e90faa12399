//! What is left of a lost connection until there is the next: orders to be placed again, and calls that the breaker has
//! not been told of.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::order::Order;
use super::pipeline::{Loss, no_answer};
use super::status::{Status, tuning};
use crate::commands::error::Error;
use crate::limits::LINK_GRACE_MS;
use crate::services::Services;

/// See the module.
pub struct Returned {
    services: Arc<Services>,
    status: Arc<Status>,
    orders: VecDeque<Order>,
    /// Calls that were lost, and when the breaker is to be told, in monotonic milliseconds.
    untold: Option<(usize, u64)>,
}

impl Returned {
    /// Nothing yet.
    pub fn new(services: &Arc<Services>, status: &Arc<Status>) -> Self {
        Self {
            services: Arc::clone(services),
            status: Arc::clone(status),
            orders: VecDeque::new(),
            untold: None,
        }
    }

    /// Takes over what a connection leaves. Its loss is a failure even if nothing was under way.
    pub fn take(&mut self, loss: Loss) {
        self.orders.extend(loss.again);
        self.untold = Some((loss.calls.max(1), self.now_ms() + LINK_GRACE_MS));
    }

    /// The next order to be placed again.
    pub fn next(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// There is a connection: lost calls tell nothing of it.
    pub fn note_connection(&mut self) {
        self.untold = None;
    }

    /// There is none. Orders that have waited for as many as they may are given up.
    pub fn note_failed_attempt(&mut self) {
        self.untold.get_or_insert((1, 0));
        self.tell_breaker();
        let retries_max = self.services.config.load().upstream.retries_max;
        self.orders.iter_mut().for_each(|order| order.attempts += 1);
        self.give_up(|order| order.attempts > retries_max, Status::trouble);
    }

    /// Tells the breaker of lost calls.
    pub fn tell_breaker(&mut self) {
        let (calls, _) = self.untold.take().unwrap_or_default();
        let tuning = tuning(&self.services.config.load().upstream);
        (0..calls).for_each(|_| self.status.breaker.failed(self.now_ms(), tuning));
    }

    /// Waits for `work`. Meanwhile orders end whose time is over, and the breaker is told when that is due.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let due_ms = self.end_due();
            let pause = Duration::from_millis(due_ms.unwrap_or(0).saturating_sub(self.now_ms()) + 1);
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(pause), if due_ms.is_some() => {}
            }
        }
    }

    /// Does what is due. Returns when something is due next, in monotonic milliseconds.
    fn end_due(&mut self) -> Option<u64> {
        let now_ms = self.now_ms();
        if self.untold.is_some_and(|(_, at_ms)| at_ms <= now_ms) {
            self.tell_breaker();
        }
        let services = Arc::clone(&self.services);
        self.give_up(
            |order| order.deadline_ms <= now_ms,
            |_| Error::Upstream(no_answer(&services).into()),
        );
        let deadlines = self.orders.iter().map(|order| order.deadline_ms);
        deadlines.chain(self.untold.map(|(_, at_ms)| at_ms)).min()
    }

    /// Ends the orders for which `is_over`.
    fn give_up(&mut self, is_over: impl Fn(&Order) -> bool, error: impl Fn(&Status) -> Error) {
        if !self.orders.iter().any(&is_over) {
            return;
        }
        let error = error(&self.status);
        let unix_ms = self.services.clock.unix_ms();
        for order in std::mem::take(&mut self.orders) {
            if is_over(&order) {
                let (store, status) = (&self.services.store, &self.status);
                order.work.fail(&error, order.db, unix_ms, store, status);
            } else {
                self.orders.push_back(order);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.services.clock.monotonic_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::tiers::breaker::{self, State};

    fn lost(calls: usize, settings: &[(&str, &str)]) -> (Returned, Arc<Status>) {
        let config = Config::default().set_many(settings).unwrap();
        let services = Arc::new(Services::new(config, None));
        let status = Arc::new(Status::new(
            breaker::by_name("consecutive").unwrap(),
            &services.config.load(),
        ));
        let mut returned = Returned::new(&services, &status);
        let again = Vec::new();
        returned.take(Loss { again, calls });
        (returned, status)
    }

    fn breaker(returned: &Returned) -> State {
        let tuning = tuning(&returned.services.config.load().upstream);
        returned.status.breaker.state(returned.now_ms(), tuning)
    }

    #[tokio::test]
    async fn s15_calls_lost_under_load_open_the_breaker_unless_there_is_a_connection_at_once() {
        for (calls, state) in [(4, State::Closed), (5, State::Open)] {
            let (mut returned, _) = lost(calls, &[("breaker-failures", "5")]);
            assert_eq!(breaker(&returned), State::Closed);
            returned
                .meanwhile(tokio::time::sleep(Duration::from_millis(LINK_GRACE_MS * 2)))
                .await;
            assert_eq!(breaker(&returned), state, "{calls} calls");
        }
        let (mut returned, _) = lost(100, &[]);
        returned.meanwhile(async {}).await;
        returned.note_connection();
        returned
            .meanwhile(tokio::time::sleep(Duration::from_millis(LINK_GRACE_MS * 2)))
            .await;
        assert_eq!(breaker(&returned), State::Closed);
    }

    #[test]
    fn s15_an_attempt_to_connect_that_fails_ends_the_grace() {
        let (mut returned, _) = lost(4, &[("breaker-failures", "4")]);
        returned.note_failed_attempt();
        assert_eq!(breaker(&returned), State::Open);
        let (mut returned, _) = lost(0, &[("breaker-failures", "2")]);
        returned.note_failed_attempt();
        assert_eq!(
            breaker(&returned),
            State::Closed,
            "an idle link's loss is one failure"
        );
        returned.note_failed_attempt();
        assert_eq!(breaker(&returned), State::Open);
    }
}
