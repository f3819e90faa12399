//! What becomes of orders when their connection is lost.
//!
//! Upstream runs no request of which bytes are missing, so an order whose last byte was not sent has done nothing and
//! may be placed again, whatever it is. One that was sent may have run: it is placed again if running it twice is the
//! same as running it once, as long as its attempts and its time last.

use std::ops::Range;

use super::{Awaited, Expected, Lost, Moment, Pipeline, Terms};
use crate::commands::error::Error;
use crate::store::Fetched;
use crate::tiers::order::{Order, Repeat, Work};
use crate::tiers::status::Permit;

/// What a lost connection leaves behind.
pub struct Loss {
    /// Orders for the next connection, as they stood in line.
    pub again: Vec<Order>,
    /// How many orders were under way: so many calls failed, whatever becomes of them.
    pub calls: usize,
}

impl Pipeline {
    /// Ends all orders but those that may be placed again.
    pub fn fail(mut self, lost: &Lost, now: Moment) -> Loss {
        let trouble = format!("connection lost: {lost}");
        let under_way = self.awaited.iter().filter(|awaited| awaited.permit.is_some());
        let calls = under_way.count();
        self.answer_half_refused(now);
        let mut orders = self.take_repeatable(&trouble, now);
        orders.extend(std::mem::take(&mut self.again));
        orders.extend(self.held.take());
        let retries_max = self.services.config.load().upstream.retries_max;
        let lasts = |order: &Order| order.attempts <= retries_max && order.deadline_ms > now.monotonic_ms();
        let (again, ended): (Vec<_>, Vec<_>) = orders.into_iter().partition(lasts);
        let error = Error::Upstream(trouble.into());
        for order in ended {
            let (store, status) = (&self.services.store, &self.status);
            order.work.fail(&error, order.db, now.unix_ms, store, status);
        }
        Loss { again, calls }
    }

    /// A fetch whose PTTL was answered by an error has its answer already. It stays in line, where it is found
    /// settled.
    fn answer_half_refused(&self, now: Moment) {
        let first = self.awaited.front().filter(|_| self.overdue == 0);
        if let Some(Expected::Value { fetch, db }) = first.map(|awaited| &awaited.reply)
            && let Err(error) = &self.time_to_live
        {
            self.land(fetch, Fetched::Failed(super::text(error)), *db, now);
        }
    }

    /// Takes the orders that may be placed again out of the line and ends the others.
    fn take_repeatable(&mut self, trouble: &str, now: Moment) -> Vec<Order> {
        let line = std::mem::take(&mut self.awaited);
        let last_write = line.iter().rposition(|awaited| self.may_have_written(awaited));
        let mut orders = Vec::new();
        let mut fetches = Vec::new();
        for (index, awaited) in line.into_iter().enumerate() {
            let was_sent = self.was_sent(&awaited);
            match awaited.reply {
                Expected::Value { fetch, .. } if index >= self.overdue => {
                    fetches.push(fetch);
                    if let Some(permit) = awaited.permit {
                        let work = Work::Fill(std::mem::take(&mut fetches));
                        orders.push(awaited.terms.order(work, permit, was_sent));
                    }
                }
                Expected::Answer(mut forward) => {
                    let may_repeat = match forward.repeat {
                        _ if !was_sent => true,
                        Repeat::Never => false,
                        Repeat::BeforeWrites => last_write.is_none_or(|write| write < index),
                        Repeat::Always => true,
                    };
                    // One that was given up has no permit.
                    if let Some(permit) = awaited.permit.filter(|_| may_repeat) {
                        if !was_sent {
                            forward.request = self.written(&awaited.bytes).to_vec();
                        }
                        orders.push(awaited.terms.order(Work::Forward(forward), permit, was_sent));
                    } else {
                        forward.abandon(trouble, &self.services.store, now.unix_ms);
                    }
                }
                // Who waits for a barrier sees that it is gone.
                _ => {}
            }
        }
        orders
    }

    fn may_have_written(&self, awaited: &Awaited) -> bool {
        let is_write = matches!(&awaited.reply, Expected::Answer(forward) if forward.repeat == Repeat::Never);
        is_write && self.was_sent(awaited)
    }

    fn was_sent(&self, awaited: &Awaited) -> bool {
        awaited.bytes.end <= self.sent_total
    }

    /// The bytes of a request that was not sent as a whole.
    fn written(&self, bytes: &Range<u64>) -> &[u8] {
        let base = self.sent_total - self.sent_bytes as u64;
        &self.outgoing[(bytes.start - base) as usize..(bytes.end - base) as usize]
    }
}

impl Terms {
    /// An order with what is left of these.
    fn order(self, work: Work, permit: Permit, was_sent: bool) -> Order {
        Order {
            db: self.db,
            deadline_ms: self.deadline_ms,
            work,
            permit,
            attempts: self.attempts + u32::from(was_sent),
        }
    }
}
