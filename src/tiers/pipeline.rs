//! One connection's requests and replies, without the connection: orders go in and bytes to send come out, frames go
//! in and orders are settled.
//!
//! Replies come in the order of requests, so they are matched by a queue. A request that timed out stays in the queue
//! until its late reply comes, which is then dropped: no reply is ever matched to another request. Nothing here
//! waits or reads a clock, so that every order of replies, invalidations, timeouts and losses can be tested.

mod loss;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

pub use loss::Loss;

use super::behind::Carried;
use super::check::{Comparison, Original};
use super::databases::{Databases, Step};
use super::effect::Effect;
use super::feed;
use super::namespaces::Namespace;
use super::order::{Answer, Fetch, Form, Forward, Order, Repeat, Work};
use super::status::{FeedMode, Permit, Status, tuning};
use super::wire::{push_request, push_text_request};
use crate::commands::error::Error;
use crate::config::{Compression, Rules, TierMode};
use crate::limits::{
    BULK_BYTES_MAX, FEED_PROBE_MS, LINK_AWAITED_MAX, LINK_OVERDUE_TIMEOUTS, LINK_UNSENT_PAUSE_BYTES,
};
use crate::resp::Frame;
use crate::services::Services;
use crate::store::Fetched;
use crate::store::rdb::{self, Decoded};
use crate::values::compression::Method;
use crate::values::random::Random;
use crate::values::stampede::copy_deadline_ms;

/// A point in time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix milliseconds, for deadlines of entries.
    pub unix_ms: u64,
    /// Monotonic nanoseconds, for everything else.
    pub monotonic_ns: u64,
}

impl Moment {
    fn monotonic_ms(self) -> u64 {
        self.monotonic_ns / 1_000_000
    }
}

/// Why a connection can't be used any further.
#[derive(Debug)]
pub enum Lost {
    /// It was closed or broke, or upstream sent what is no frame.
    Broken(io::Error),
    /// A reply came that no request asked for.
    Unasked,
    /// Upstream does not answer.
    Silent,
    /// Upstream has its data no more, or not yet.
    Loading,
    /// The feed has to tell of other keys than it was made for.
    Outdated,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "{error}"),
            Self::Unasked => f.write_str("a reply came that nothing asked for"),
            Self::Silent => f.write_str("it does not answer"),
            Self::Outdated => f.write_str("the namespaces have changed"),
            Self::Loading => f.write_str("it is loading its data"),
        }
    }
}

/// A request that was sent, or will be next, and what its reply is for.
struct Awaited {
    sent: Moment,
    /// Of the order.
    terms: Terms,
    reply: Expected,
    /// Of the order, with its last request.
    permit: Option<Permit>,
    /// Where the request is among all bytes of the connection.
    bytes: Range<u64>,
}

/// What holds for all requests of an order.
#[derive(Clone, Copy)]
struct Terms {
    db: usize,
    deadline_ms: u64,
    attempts: u32,
}

enum Expected {
    /// Of a SELECT that others follow at once.
    Selected,
    /// Of a SELECT that others wait for.
    Tried {
        database: usize,
    },
    /// Milliseconds that the key of the next [`Expected::Value`] has to live.
    TimeToLive,
    Value {
        fetch: Fetch,
        db: usize,
    },
    Answer(Forward),
    /// Whether a state was taken over.
    Carried(Carried),
    /// A value to compare a copy with.
    Compared(Comparison),
    /// A barrier, or a probe of an idle link.
    Pong {
        probe: bool,
        waiting: Option<tokio::sync::oneshot::Sender<()>>,
    },
}

/// The requests of one connection that are not settled.
pub struct Pipeline {
    services: Arc<Services>,
    status: Arc<Status>,
    databases: Databases,
    /// Bytes to send: `outgoing[sent_bytes..]`.
    outgoing: Vec<u8>,
    sent_bytes: usize,
    /// How many bytes were sent, of all there ever were.
    sent_total: u64,
    /// Where the next request begins among them.
    written_total: u64,
    awaited: VecDeque<Awaited>,
    /// How many of `awaited`, from its front, were given up.
    overdue: usize,
    /// Waits for a database to be selected.
    held: Option<Order>,
    /// Fetches of what turned out to be no texts, to be sent again.
    again: VecDeque<Order>,
    /// The last reply to PTTL: an error, or milliseconds.
    time_to_live: Result<i64, Error>,
    random: Random,
    /// When a request was sent last.
    active_ms: u64,
}

impl Pipeline {
    /// Of a connection that has just logged in and selected database `base`.
    pub fn new(services: &Arc<Services>, status: &Arc<Status>, base: usize, now: Moment) -> Self {
        Self {
            services: Arc::clone(services),
            status: Arc::clone(status),
            databases: Databases::new(base, base),
            outgoing: Vec::new(),
            sent_bytes: 0,
            sent_total: 0,
            written_total: 0,
            awaited: VecDeque::new(),
            overdue: 0,
            held: None,
            again: VecDeque::new(),
            time_to_live: Ok(-1),
            random: Random::new(now.monotonic_ns),
            active_ms: now.monotonic_ms(),
        }
    }

    /// Whether one more order may be placed.
    pub fn has_room(&self) -> bool {
        self.held.is_none()
            && self.awaited.len() < LINK_AWAITED_MAX
            && self.unsent().len() < LINK_UNSENT_PAUSE_BYTES
    }

    /// Bytes to send.
    pub fn unsent(&self) -> &[u8] {
        &self.outgoing[self.sent_bytes..]
    }

    /// Notes that so many of them were sent.
    pub fn note_sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes;
        self.sent_total += bytes as u64;
        if self.sent_bytes == self.outgoing.len() {
            self.sent_bytes = 0;
            self.outgoing.clear();
            self.outgoing.shrink_to(LINK_UNSENT_PAUSE_BYTES);
        }
    }

    /// Takes an order on; [`Pipeline::has_room`] was asked before.
    pub fn place(&mut self, order: Order, now: Moment) {
        if order.deadline_ms <= now.monotonic_ms() {
            return self.refuse(order, &self.timed_out(), now);
        }
        match self.databases.approach(order.db) {
            Step::Go => {}
            Step::Refuse(error) => return self.refuse(order, &error, now),
            Step::Select(database) => self.select(database, Expected::Selected, &order, now),
            Step::Try(database) => {
                self.select(database, Expected::Tried { database }, &order, now);
                self.held = Some(order);
                return;
            }
        }
        self.send(order, now);
    }

    /// Takes an order on again whose connection was lost. What overtook its fetches so far is no matter, since they
    /// are sent behind it; fetches that nobody waits for any more are not sent.
    pub fn place_again(&mut self, mut order: Order, now: Moment) {
        if let Work::Fill(fetches) = &mut order.work {
            let store = &self.services.store;
            fetches.retain(|fetch| store.renew(order.db, &fetch.key, fetch.ticket));
            if fetches.is_empty() {
                return;
            }
        }
        self.status.retries.add(1);
        self.place(order, now);
    }

    /// Settles what a frame from upstream is about.
    pub fn take(&mut self, frame: &[u8], now: Moment) -> Result<(), Lost> {
        let frame_bytes = frame;
        let frame = Frame::new(frame);
        if frame.is_push() {
            feed::apply(frame, &self.services.store, &self.status, now.unix_ms);
            return Ok(());
        }
        let awaited = self.awaited.pop_front().ok_or(Lost::Unasked)?;
        let was_given_up = self.overdue > 0;
        self.overdue = self.overdue.saturating_sub(1);
        let is_loading = frame
            .as_error()
            .is_some_and(|error| error.starts_with(b"LOADING"));
        if !is_loading {
            let ends_order = awaited.permit.is_some();
            self.status
                .note_reply(awaited.sent.monotonic_ns, now.monotonic_ns, ends_order);
        }
        self.settle(awaited, frame, frame_bytes, was_given_up, now);
        while self.held.is_none()
            && let Some(order) = self.again.pop_front()
        {
            self.place(order, now);
        }
        if is_loading { Err(Lost::Loading) } else { Ok(()) }
    }

    /// Gives up what is due and keeps an idle connection under watch. Fails when upstream is silent for too long.
    pub fn tick(&mut self, now: Moment) -> Result<(), Lost> {
        let now_ms = now.monotonic_ms();
        while let Some(awaited) = self.awaited.get_mut(self.overdue)
            && awaited.terms.deadline_ms <= now_ms
        {
            self.overdue += 1;
            self.give_up(self.overdue - 1, now);
        }
        if let Some(oldest) = self.awaited.front() {
            let more_ms = self.timeout_ms() * (LINK_OVERDUE_TIMEOUTS - 1);
            let is_probe = matches!(oldest.reply, Expected::Pong { probe: true, .. });
            if self.overdue > 0 && (is_probe || oldest.terms.deadline_ms + more_ms <= now_ms) {
                return Err(Lost::Silent);
            }
        } else if now_ms >= self.active_ms + FEED_PROBE_MS {
            push_text_request(&mut self.outgoing, &["PING"]);
            let reply = Expected::Pong {
                probe: true,
                waiting: None,
            };
            let terms = Terms {
                db: 0,
                deadline_ms: now_ms + self.timeout_ms(),
                attempts: 0,
            };
            self.wait_for(reply, terms, None, now);
        }
        Ok(())
    }

    /// When [`Pipeline::tick`] has something to do next, in monotonic milliseconds.
    pub fn next_tick_ms(&self) -> u64 {
        let due = self
            .awaited
            .get(self.overdue)
            .map(|awaited| awaited.terms.deadline_ms);
        let oldest = self.awaited.front().filter(|_| self.overdue > 0);
        let silent =
            oldest.map(|oldest| oldest.terms.deadline_ms + self.timeout_ms() * (LINK_OVERDUE_TIMEOUTS - 1));
        due.into_iter()
            .chain(silent)
            .min()
            .unwrap_or(self.active_ms + FEED_PROBE_MS)
    }

    fn refuse(&self, order: Order, error: &Error, now: Moment) {
        order
            .work
            .refuse(error, order.db, now.unix_ms, &self.services.store, &self.status);
    }

    fn select(&mut self, database: usize, reply: Expected, before: &Order, now: Moment) {
        push_text_request(&mut self.outgoing, &["SELECT", &database.to_string()]);
        let terms = Terms {
            db: before.db,
            deadline_ms: before.deadline_ms,
            attempts: before.attempts,
        };
        self.wait_for(reply, terms, None, now);
    }

    fn send(&mut self, order: Order, now: Moment) {
        let Order {
            db,
            deadline_ms,
            work,
            permit,
            attempts,
        } = order;
        let terms = Terms {
            db,
            deadline_ms,
            attempts,
        };
        match work {
            Work::Fill(fetches) => self.send_fetches(fetches, terms, permit, now),
            Work::Forward(mut forward) => {
                self.outgoing.extend_from_slice(&forward.request);
                if forward.repeat == Repeat::Never {
                    forward.request = Vec::new();
                }
                self.status.forwarded.add(1);
                self.wait_for(Expected::Answer(forward), terms, Some(permit), now);
            }
            Work::Carry(requests, states) => {
                self.outgoing.extend_from_slice(&requests);
                for state in states {
                    self.wait_for(Expected::Carried(state), terms, None, now);
                }
                if let Some(last) = self.awaited.back_mut() {
                    last.permit = Some(permit);
                }
            }
            Work::Compare(comparisons) => {
                for comparison in comparisons {
                    push_fetch(&mut self.outgoing, comparison.form, &comparison.name.key);
                    self.wait_for(Expected::TimeToLive, terms, None, now);
                    self.wait_for(Expected::Compared(comparison), terms, None, now);
                }
            }
            Work::Barrier(waiting) => {
                push_text_request(&mut self.outgoing, &["PING"]);
                let reply = Expected::Pong {
                    probe: false,
                    waiting: Some(waiting),
                };
                self.wait_for(reply, terms, Some(permit), now);
            }
        }
    }

    /// PTTL goes before GET or DUMP, so that the value can be stored from where it was received. A write between the two is
    /// followed by an invalidation.
    fn send_fetches(&mut self, fetches: Vec<Fetch>, terms: Terms, permit: Permit, now: Moment) {
        let last = fetches.len() - 1;
        let mut permit = Some(permit);
        for (index, fetch) in fetches.into_iter().enumerate() {
            push_fetch(&mut self.outgoing, fetch.form, &fetch.key);
            self.wait_for(Expected::TimeToLive, terms, None, now);
            let permit = permit.take_if(|_| index == last);
            self.wait_for(Expected::Value { fetch, db: terms.db }, terms, permit, now);
        }
    }

    /// Expects a reply to the request that was written last.
    fn wait_for(&mut self, reply: Expected, terms: Terms, permit: Option<Permit>, now: Moment) {
        self.active_ms = now.monotonic_ms();
        let end = self.sent_total + self.unsent().len() as u64;
        let bytes = self.written_total..end;
        self.written_total = end;
        self.awaited.push_back(Awaited {
            sent: now,
            terms,
            reply,
            permit,
            bytes,
        });
    }

    fn settle(&mut self, awaited: Awaited, frame: Frame<'_>, bytes: &[u8], was_given_up: bool, now: Moment) {
        match awaited.reply {
            Expected::Selected => {}
            Expected::Carried(state) => state.answer(frame),
            Expected::Compared(comparison) => self.compare(&comparison, frame, awaited.sent, now),
            Expected::Tried { database } => {
                self.databases.learn(database, refusal(frame));
                if let Some(order) = self.held.take() {
                    self.place(order, now);
                }
            }
            Expected::TimeToLive => {
                self.time_to_live = refusal(frame).map_or(Ok(frame.as_integer().unwrap_or(0)), Err);
            }
            Expected::Value { .. } if was_given_up => {}
            Expected::Value { fetch, .. } if fetch.form == Form::Text && is_no_text(frame) => {
                self.fetch_again(fetch, awaited.terms);
            }
            Expected::Value { fetch, db } => {
                let fetched = self.fetched(&fetch, frame, awaited.sent, now);
                self.land(&fetch, fetched, db, now);
            }
            Expected::Answer(mut forward) => {
                match &forward.effect {
                    _ if frame.is_error() => {}
                    Effect::Take(taken) => taken.apply(awaited.sent.unix_ms, &self.services),
                    effect => effect.apply(&self.services.store, now.unix_ms),
                }
                forward.answer(answer(frame, bytes));
            }
            Expected::Pong { waiting, .. } => {
                // Who waited may be gone.
                _ = waiting.map(|waiting| waiting.send(()));
            }
        }
    }

    /// Asks for a value in the form that any has. The placeholder stays, and with it what it knows of writes.
    fn fetch_again(&mut self, fetch: Fetch, terms: Terms) {
        let form = Form::Payload;
        self.again.push_back(Order {
            db: terms.db,
            deadline_ms: terms.deadline_ms,
            work: Work::Fill(vec![Fetch { form, ..fetch }]),
            permit: self.status.enter(0),
            attempts: terms.attempts,
        });
    }

    /// What the reply to GET or DUMP means, with that to PTTL before it. Upstream read both after they were sent, so
    /// an entry here never outlives upstream's.
    fn fetched<'f>(&mut self, fetch: &Fetch, value: Frame<'f>, sent: Moment, now: Moment) -> Fetched<'f> {
        let form = fetch.form;
        let namespaces = self.status.namespaces.load();
        let namespace = namespaces.of_key(&fetch.key);
        let rules = &namespace.rules;
        if let Some(error) = refusal(value) {
            // An upstream that gives nobody payloads answers for itself.
            let is_unavailable = form == Form::Payload && matches!(&*error.prefix(), "NOPERM" | "ERR");
            return if is_unavailable {
                Fetched::NotKept
            } else {
                Fetched::Failed(text(&error))
            };
        }
        let Some(bytes) = value.as_bulk() else {
            let until_ms = now.unix_ms + rules.negative_ttl.as_millis() as u64;
            return Fetched::Missing { until_ms };
        };
        let Some(value) = self.kept(form, bytes, rules.fill_value_max_bytes) else {
            return Fetched::NotKept;
        };
        let upstream_deadline_ms = match &self.time_to_live {
            Err(error) => return Fetched::Failed(text(error)),
            Ok(-1) => None,
            // The key was gone (-2) when it was asked for its time, so its new time is not known: none is assumed.
            Ok(left_ms) => Some(sent.unix_ms + (*left_ms).max(0) as u64),
        };
        let value = self.packed(value, rules);
        let deadline_ms = self.copy_deadline_ms(namespace, upstream_deadline_ms, now);
        Fetched::Value { value, deadline_ms }
    }

    /// When a copy ends: as upstream's value, or sooner where the rules say so. What is changed here and carried as a whole
    /// must have upstream's own deadline.
    fn copy_deadline_ms(
        &mut self,
        namespace: &Namespace,
        upstream_deadline_ms: Option<u64>,
        now: Moment,
    ) -> Option<u64> {
        let is_tracked = self.status.feed_mode() != FeedMode::Ttl;
        if namespace.mode == TierMode::WriteBehind && is_tracked {
            return upstream_deadline_ms;
        }
        let rules = &namespace.rules;
        let bound_ms = rules.copy_ttl_max.as_millis() as u64;
        let untracked_ms = self.services.config.load().upstream.untracked_ttl.as_millis() as u64;
        let ttl_max_ms = match bound_ms {
            _ if is_tracked => bound_ms,
            0 => untracked_ms,
            _ => bound_ms.min(untracked_ms),
        };
        let random = self.random.bits();
        copy_deadline_ms(
            upstream_deadline_ms,
            ttl_max_ms,
            rules.ttl_jitter_percent,
            now.unix_ms,
            random,
        )
    }

    /// Compares a copy with the reply to GET or DUMP, and that to PTTL before it. One that says nothing about the value
    /// proves nothing.
    fn compare(&self, comparison: &Comparison, value: Frame<'_>, sent: Moment, now: Moment) {
        let Ok(left_ms) = self.time_to_live else { return };
        let value = match value.as_bulk() {
            None if value.is_error() => return,
            None => None,
            Some(bytes) => match self.kept(comparison.form, bytes, u64::MAX) {
                None => return,
                kept => kept,
            },
        };
        let deadline_ms = (left_ms >= 0).then(|| sent.unix_ms + left_ms as u64);
        let original = Original { value, deadline_ms };
        comparison.settle(&original, now.unix_ms, &self.services, &self.status.checks);
    }

    /// The value, if it may be kept: it is known here, and not too large, neither as it came nor plain in memory. A text
    /// that a Forebay has marked is plain then.
    fn kept<'f>(&self, form: Form, bytes: &'f [u8], bytes_max: u64) -> Option<Decoded<'f>> {
        if bytes.len() as u64 > bytes_max {
            return None;
        }
        let value = match form {
            Form::Text => Decoded::of_bytes(bytes),
            Form::Payload => rdb::decode(bytes, &self.services.value_limits()).ok()?,
        };
        value
            .unmarked(bytes_max.min(BULK_BYTES_MAX as u64) as usize)
            .filter(|value| value.bytes() as u64 <= bytes_max)
    }

    /// The value as the rules have it kept.
    fn packed<'f>(&self, value: Decoded<'f>, rules: &Rules) -> Decoded<'f> {
        let Some(method) = method(rules.compression) else {
            return value;
        };
        let value = value.packed(method, rules.compression_min_bytes as usize);
        if let Some(saved_bytes) = value.saved_bytes() {
            self.status.fills_packed.add(1);
            self.status.packing_saved_bytes.add(saved_bytes as u64);
        }
        value
    }

    fn give_up(&mut self, index: usize, now: Moment) {
        let error = self.timed_out();
        let awaited = &mut self.awaited[index];
        if awaited.permit.take().is_some() {
            self.status.timeouts.add(1);
            let settings = &self.services.config.load().upstream;
            self.status.breaker.failed(now.monotonic_ms(), tuning(settings));
        }
        let awaited = &mut self.awaited[index];
        match &mut awaited.reply {
            Expected::Value { fetch, db } => {
                let (store, status) = (&self.services.store, &self.status);
                fetch.land(Fetched::Failed(text(&error)), *db, now.unix_ms, store, status);
            }
            Expected::Answer(forward) => {
                forward.abandon(&no_answer(&self.services), &self.services.store, now.unix_ms);
            }
            Expected::Pong { waiting, .. } => *waiting = None,
            Expected::Tried { .. } => {
                if let Some(order) = self.held.take() {
                    self.refuse(order, &error, now);
                }
            }
            // Nobody waits for these, and a late answer is as good.
            Expected::Carried(_) | Expected::Compared(_) | Expected::Selected | Expected::TimeToLive => {}
        }
    }

    fn land(&self, fetch: &Fetch, fetched: Fetched<'_>, db: usize, now: Moment) {
        fetch.land(fetched, db, now.unix_ms, &self.services.store, &self.status);
    }

    fn timed_out(&self) -> Error {
        Error::Upstream(no_answer(&self.services).into())
    }

    fn timeout_ms(&self) -> u64 {
        self.services.config.load().upstream.timeout.as_millis() as u64
    }
}

/// The error of an order whose time is over.
pub fn no_answer(services: &Services) -> String {
    format!(
        "no answer within {} ms",
        services.config.load().upstream.timeout.as_millis()
    )
}

/// Whether the reply to GET says that there is a value of another type.
fn is_no_text(reply: Frame<'_>) -> bool {
    reply
        .as_error()
        .is_some_and(|error| error.starts_with(b"WRONGTYPE"))
}

/// How texts are packed.
pub fn method(compression: Compression) -> Option<Method> {
    match compression {
        Compression::None => None,
        Compression::Lz4 => Some(Method::Lz4),
        Compression::Zstd => Some(Method::Zstd),
    }
}

/// Appends the requests for a key's time to live and its value.
fn push_fetch(out: &mut Vec<u8>, form: Form, key: &[u8]) {
    let value = match form {
        Form::Text => &b"GET"[..],
        Form::Payload => b"DUMP",
    };
    for name in [b"PTTL", value] {
        push_request(out, [name, key].into_iter());
    }
}

/// The error that a reply is, if it is one.
fn refusal(reply: Frame<'_>) -> Option<Error> {
    reply
        .as_error()
        .map(|error| Error::Verbatim(String::from_utf8_lossy(error).into()))
}

fn answer(frame: Frame<'_>, bytes: &[u8]) -> Answer {
    refusal(frame).map_or_else(|| Ok(bytes.into()), Err)
}

fn text(error: &Error) -> Arc<str> {
    error.to_string().into()
}
