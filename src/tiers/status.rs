//! What the link to upstream tells the rest of the server: whether it is worth asking, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::breaker::{Breaker, State, Tuning};
use super::check::CheckCounts;
use super::namespaces::Namespaces;
use crate::commands::error::Error;
use crate::config::{Config, Upstream as Settings};
use crate::limits::{LINK_ORDERS_MAX, LINK_PENDING_BYTES_MAX};
use crate::stats::histogram::Histogram;

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// None; the first attempt to get one is under way.
    Connecting,
    /// There is one, logged in and with tracking on.
    Up,
    /// None, and the last attempt failed.
    Down,
}

impl LinkState {
    const ALL: [Self; 3] = [Self::Connecting, Self::Up, Self::Down];

    /// The name that INFO shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How copies are kept right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedMode {
    /// Upstream tells of all changes of keys with our prefixes.
    Broadcast,
    /// It tells of the next change of each key that was read.
    Keys,
    /// It tells nothing: copies live for a short time.
    Ttl,
}

impl FeedMode {
    const ALL: [Self; 3] = [Self::Broadcast, Self::Keys, Self::Ttl];

    /// The name that INFO shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Keys => "keys",
            Self::Ttl => "ttl",
        }
    }
}

/// A number that several threads count up.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Takes back what was counted too soon, unless a reset did so already.
    pub fn take_back(&self, amount: u64) {
        let less = |number: u64| Some(number.saturating_sub(amount));
        let _always_changes = self.0.fetch_update(Relaxed, Relaxed, less);
    }

    /// Begins anew from zero.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The state of the link and of its breaker, and what was counted.
pub struct Status {
    state: AtomicU8,
    feed_mode: AtomicU8,
    /// The link has to be made anew, since its feed tells of the wrong keys.
    pub outdated: Notify,
    /// The text of the error for who needs the link while there is no connection.
    trouble: ArcSwap<String>,
    /// The same as in `namespaces`, where each request looks.
    is_off: AtomicBool,
    /// By which rules keys are treated, and what was learned about them.
    pub namespaces: ArcSwap<Namespaces>,
    /// Tells whether calls may go out.
    pub breaker: Box<dyn Breaker>,
    /// How often upstream was found to be silent.
    silences: watch::Sender<u64>,
    /// Orders that are not settled yet, and the bytes of their requests.
    pending: AtomicUsize,
    pending_bytes: AtomicUsize,
    /// Monotonic milliseconds: what upstream did before has arrived here.
    synced_at_ms: AtomicU64,
    /// Nanoseconds from sending a request to its reply. The link's thread writes.
    pub latencies: Histogram,
    /// Values that were stored.
    pub fills: Tally,
    /// Keys that upstream was found not to have.
    pub fills_missing: Tally,
    /// Values that are not kept here: of another type, too large, or there was no room.
    pub fills_not_kept: Tally,
    /// Values that were not stored because the key was written meanwhile.
    pub fills_tainted: Tally,
    /// Texts that were packed to be kept.
    pub fills_packed: Tally,
    /// Bytes by which that made them smaller.
    pub packing_saved_bytes: Tally,
    /// Fetches that failed.
    pub fill_errors: Tally,
    /// Keys that reads asked for in vain and then found in L1, after a fetch.
    pub filled_reads: Tally,
    /// Keys that were brought in before anybody asked for them.
    pub warmed: Tally,
    /// What comparisons with upstream found.
    pub checks: CheckCounts,
    /// Copies that were fetched anew while they were served.
    pub refreshes: Tally,
    /// Keys that reads waited for and that are not kept in L1.
    pub unkept_reads: Tally,
    /// Requests sent over the link for clients.
    pub forwarded: Tally,
    /// Requests sent over connections of sessions.
    pub relayed: Tally,
    /// Connections that sessions have.
    pub sessions: AtomicUsize,
    /// Connections that wait for sessions.
    pub sessions_idle: AtomicUsize,
    /// Connections that were made for sessions.
    pub sessions_opened: Tally,
    /// How often a session got a connection that another one had before.
    pub sessions_reused: Tally,
    /// Orders that got no answer in time.
    pub timeouts: Tally,
    /// Orders refused without being sent.
    pub refused: Tally,
    /// Orders placed again after their connection was lost.
    pub retries: Tally,
    /// Keys that the feed named as changed.
    pub invalidations: Tally,
    /// Times that the feed said that everything changed.
    pub flushes: Tally,
    /// Messages of others that named changed keys, and those of them that could not be read.
    pub announcements: Tally,
    /// See `announcements`.
    pub announcements_refused: Tally,
    /// Patterns of such messages for which the store is being swept.
    pub sweeps: AtomicUsize,
    /// Whether there is a connection on which such messages are heard.
    pub hears_announcements: AtomicBool,
    /// Connections made, the first included.
    pub connects: Tally,
    /// Attempts to connect that failed, and connections lost.
    pub failures: Tally,
}

/// How the error of who needs a connection that is not there begins.
const NOT_CONNECTED: &str = "not connected: ";

/// Counts an order as pending for as long as it lives.
pub struct Permit {
    status: Arc<Status>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.status.pending.fetch_sub(1, Relaxed);
        self.status.pending_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// The breaker's knobs.
pub fn tuning(settings: &Settings) -> Tuning {
    Tuning {
        failures_max: settings.breaker_failures,
        open_ms: settings.breaker_open.as_millis() as u64,
        failures_percent: settings.breaker_failure_percent,
        calls_min: settings.breaker_calls_min,
    }
}

impl Status {
    /// The state before the first attempt to connect.
    pub fn new(breaker: Box<dyn Breaker>, config: &Config) -> Self {
        let namespaces = Namespaces::of(config, None);
        Self {
            is_off: AtomicBool::new(namespaces.is_off),
            namespaces: ArcSwap::from_pointee(namespaces),
            state: AtomicU8::new(LinkState::Connecting as u8),
            feed_mode: AtomicU8::new(FeedMode::Broadcast as u8),
            outdated: Notify::new(),
            trouble: ArcSwap::from_pointee(String::new()),
            breaker,
            silences: watch::Sender::new(0),
            pending: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            synced_at_ms: AtomicU64::new(0),
            latencies: Histogram::default(),
            fills: Tally::default(),
            fills_missing: Tally::default(),
            fills_not_kept: Tally::default(),
            fills_tainted: Tally::default(),
            fills_packed: Tally::default(),
            packing_saved_bytes: Tally::default(),
            fill_errors: Tally::default(),
            filled_reads: Tally::default(),
            warmed: Tally::default(),
            checks: CheckCounts::default(),
            refreshes: Tally::default(),
            unkept_reads: Tally::default(),
            forwarded: Tally::default(),
            relayed: Tally::default(),
            sessions: AtomicUsize::new(0),
            sessions_idle: AtomicUsize::new(0),
            sessions_opened: Tally::default(),
            sessions_reused: Tally::default(),
            timeouts: Tally::default(),
            refused: Tally::default(),
            retries: Tally::default(),
            invalidations: Tally::default(),
            flushes: Tally::default(),
            announcements: Tally::default(),
            announcements_refused: Tally::default(),
            sweeps: AtomicUsize::new(0),
            hears_announcements: AtomicBool::new(false),
            connects: Tally::default(),
            failures: Tally::default(),
        }
    }

    /// Puts changed namespaces in force.
    pub fn set_namespaces(&self, namespaces: Namespaces) {
        self.is_off.store(namespaces.is_off, Relaxed);
        self.namespaces.store(Arc::new(namespaces));
    }

    /// Whether no key has anything to do with upstream.
    pub fn is_off(&self) -> bool {
        self.is_off.load(Relaxed)
    }

    /// Sets all counters and latencies to zero.
    pub fn reset_counters(&self) {
        let tallies = [
            &self.fills,
            &self.fills_missing,
            &self.fills_not_kept,
            &self.fills_tainted,
            &self.fill_errors,
            &self.filled_reads,
            &self.refreshes,
            &self.warmed,
            &self.checks.checked,
            &self.checks.mismatched,
            &self.unkept_reads,
            &self.forwarded,
            &self.relayed,
            &self.timeouts,
            &self.refused,
            &self.invalidations,
            &self.flushes,
            &self.announcements,
            &self.announcements_refused,
            &self.connects,
            &self.failures,
        ];
        tallies.into_iter().for_each(Tally::reset);
        self.latencies.reset();
        for (_, namespace) in self.namespaces.load().iter() {
            namespace.stats.reset();
        }
    }

    /// Whether there is a connection.
    pub fn state(&self) -> LinkState {
        LinkState::ALL[usize::from(self.state.load(Relaxed))]
    }

    /// How copies are kept right.
    pub fn feed_mode(&self) -> FeedMode {
        FeedMode::ALL[usize::from(self.feed_mode.load(Relaxed))]
    }

    /// Notes what upstream's feed tells.
    pub fn set_feed_mode(&self, mode: FeedMode) {
        self.feed_mode.store(mode as u8, Relaxed);
    }

    /// Notes that there is a connection, or that one is being made.
    pub fn set_state(&self, state: LinkState) {
        self.state.store(state as u8, Relaxed);
    }

    /// Notes that there is no connection, why, and whether one is being made. Returns whether that is news.
    pub fn set_lost(&self, trouble: &str, state: LinkState) -> bool {
        self.set_state(state);
        let trouble = format!("{NOT_CONNECTED}{trouble}");
        let is_news = **self.trouble.load() != trouble;
        self.trouble.store(Arc::new(trouble));
        is_news
    }

    /// Notes that upstream does not answer, though nothing was closed: other connections to it may be as dead.
    pub fn note_silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }

    /// Tells of the next silence.
    pub fn silences(&self) -> watch::Receiver<u64> {
        self.silences.subscribe()
    }

    /// Why there is no connection, or why there was none the last time; empty if there always was.
    pub fn why_down(&self) -> String {
        let trouble = self.trouble.load();
        trouble.strip_prefix(NOT_CONNECTED).unwrap_or_default().to_owned()
    }

    /// The error for who needs the link while it is down.
    pub fn trouble(&self) -> Error {
        Error::Upstream(self.trouble.load().as_str().into())
    }

    /// Fails if asking upstream makes no sense now, which counts as a failed call until the breaker is open. Takes the
    /// breaker's probe.
    pub fn check(&self, now_ms: u64, tuning: Tuning) -> Result<(), Error> {
        if self.state() == LinkState::Down {
            if self.breaker.state(now_ms, tuning) == State::Closed {
                self.breaker.failed(now_ms, tuning);
            }
            return Err(self.trouble());
        }
        if !self.breaker.admits(now_ms, tuning) {
            return Err(Error::Upstream("the breaker is open".into()));
        }
        Ok(())
    }

    /// Counts an order as pending whose requests have this many bytes.
    pub fn enter(self: &Arc<Self>, bytes: usize) -> Permit {
        self.pending.fetch_add(1, Relaxed);
        self.pending_bytes.fetch_add(bytes, Relaxed);
        Permit {
            status: Arc::clone(self),
            bytes,
        }
    }

    /// Whether so much may be pending as there is. A single order may, whatever its size.
    pub fn is_within_bounds(&self) -> bool {
        let (pending, bytes) = (self.pending.load(Relaxed), self.pending_bytes.load(Relaxed));
        pending <= 1 || pending <= LINK_ORDERS_MAX && bytes <= LINK_PENDING_BYTES_MAX
    }

    /// Orders that are not settled yet.
    pub fn pending(&self) -> usize {
        self.pending.load(Relaxed)
    }

    /// Notes a reply, which may end an order in time: what upstream did before it was sent has arrived.
    pub fn note_reply(&self, sent_ns: u64, now_ns: u64, ends_order: bool) {
        self.latencies.record(now_ns.saturating_sub(sent_ns));
        self.note_sync(sent_ns);
        if ends_order {
            self.breaker.succeeded(now_ns / 1_000_000);
        } else {
            self.breaker.heard();
        }
    }

    /// Notes that nothing of what upstream did until now can be missed from now on.
    pub fn note_sync(&self, now_ns: u64) {
        self.synced_at_ms.store(now_ns / 1_000_000, Relaxed);
    }

    /// How old L1's view of upstream may be: milliseconds since the last moment of which it is known that
    /// everything upstream did before has been applied here.
    pub fn feed_lag_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.synced_at_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiers::breaker;

    #[test]
    fn calls_that_find_no_connection_open_the_breaker() {
        let config = Config::default();
        let status = Status::new(breaker::by_name("consecutive").unwrap(), &config);
        let tuning = tuning(&config.upstream);
        status.set_lost("refused", LinkState::Down);
        for call in 0..tuning.failures_max {
            assert_eq!(status.breaker.state(call.into(), tuning), State::Closed, "{call}");
            assert!(status.check(call.into(), tuning).is_err());
        }
        assert_eq!(status.breaker.state(9, tuning), State::Open);
    }
}
