//! All connections: what CLIENT LIST shows of them, and the ways to reach one from elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::task::Waker;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::config::{OutputLimit, OutputLimits};
use crate::resp::reply::Protocol;

/// How somebody else ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The command that runs is finished, unless only an event would finish it, and all replies are sent.
    Politely,
    /// Whatever is not sent is lost.
    AtOnce,
}

/// How a client that waits was released by CLIENT UNBLOCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time was over.
    Timeout,
    /// With an error.
    Error,
}

/// What a client is counted as for the limits of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Sends requests and reads replies.
    Normal,
    /// Reads what others cause: MONITOR, subscriptions.
    Pubsub,
}

impl Class {
    /// How much may wait to be sent to a client of this class.
    pub fn limit(self, limits: &OutputLimits) -> OutputLimit {
        match self {
            Self::Normal => limits.normal,
            Self::Pubsub => limits.pubsub,
        }
    }
}

/// One connection, as others see it. Its own task writes, everybody reads.
pub struct Client {
    /// Unique and growing.
    pub id: u64,
    /// The other end, `host:port` or the socket's path with `:0`.
    pub peer: Box<str>,
    /// This end.
    pub local: Box<str>,
    /// The file descriptor, for CLIENT LIST.
    pub fd: i32,
    /// Unix milliseconds.
    pub connected_at_ms: u64,
    /// Whether it came over the Unix socket.
    pub is_unix: bool,
    /// Whether the peer is on this host.
    pub is_local: bool,
    labels: Mutex<Labels>,
    db: AtomicUsize,
    protocol: AtomicU8,
    command: AtomicUsize,
    active_at_ms: AtomicU64,
    /// Bytes of requests that are not executed yet, and the room left beside them.
    query_bytes: AtomicUsize,
    query_free_bytes: AtomicUsize,
    /// Bytes of replies that are not sent yet.
    output_bytes: AtomicUsize,
    no_evict: AtomicBool,
    no_touch: AtomicBool,
    monitoring: AtomicBool,
    /// Channels, patterns and shard channels.
    subscriptions: [AtomicUsize; 3],
    subscription_bytes: AtomicUsize,
    mailbox: Mailbox,
    unblock: Mutex<Option<Unblock>>,
    unblocked: tokio::sync::Notify,
    /// The command waits for an event that may never come.
    blocked: AtomicBool,
    /// It waits in a way that CLIENT UNBLOCK can end.
    waiting: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct Labels {
    name: Box<[u8]>,
    lib_name: Box<[u8]>,
    lib_version: Box<[u8]>,
}

/// The end points of a connection.
pub struct Endpoints {
    /// See [`Client::peer`].
    pub peer: Box<str>,
    /// See [`Client::local`].
    pub local: Box<str>,
    /// See [`Client::fd`].
    pub fd: i32,
    /// See [`Client::is_unix`].
    pub is_unix: bool,
    /// See [`Client::is_local`].
    pub is_local: bool,
}

/// `command` of a client that has not sent one.
const NO_COMMAND: usize = usize::MAX;

impl Client {
    fn new(id: u64, ends: Endpoints, now_ms: u64) -> Self {
        Self {
            id,
            peer: ends.peer,
            local: ends.local,
            fd: ends.fd,
            connected_at_ms: now_ms,
            is_unix: ends.is_unix,
            is_local: ends.is_local,
            labels: Mutex::default(),
            db: AtomicUsize::new(0),
            protocol: AtomicU8::new(2),
            command: AtomicUsize::new(NO_COMMAND),
            active_at_ms: AtomicU64::new(now_ms),
            query_bytes: AtomicUsize::new(0),
            query_free_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            monitoring: AtomicBool::new(false),
            subscriptions: Default::default(),
            subscription_bytes: AtomicUsize::new(0),
            mailbox: Mailbox::default(),
            unblock: Mutex::new(None),
            unblocked: tokio::sync::Notify::new(),
            blocked: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
        }
    }

    /// Where others leave messages.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// CLIENT SETNAME's name; empty if there is none.
    pub fn name(&self) -> Box<[u8]> {
        self.labels.lock().name.clone()
    }

    /// Gives the connection a name.
    pub fn set_name(&self, name: &[u8]) {
        self.labels.lock().name = name.into();
    }

    /// What CLIENT SETINFO said: library name and version.
    pub fn library(&self) -> (Box<[u8]>, Box<[u8]>) {
        let labels = self.labels.lock();
        (labels.lib_name.clone(), labels.lib_version.clone())
    }

    /// Notes the client library's name.
    pub fn set_lib_name(&self, name: &[u8]) {
        self.labels.lock().lib_name = name.into();
    }

    /// Notes the client library's version.
    pub fn set_lib_version(&self, version: &[u8]) {
        self.labels.lock().lib_version = version.into();
    }

    /// The selected database.
    pub fn db(&self) -> usize {
        self.db.load(Relaxed)
    }

    pub(crate) fn set_db(&self, db: usize) {
        self.db.store(db, Relaxed);
    }

    /// 2 or 3.
    pub fn protocol(&self) -> u8 {
        self.protocol.load(Relaxed)
    }

    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        let version = match protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        };
        self.protocol.store(version, Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.set_name(b"");
        self.set_no_evict(false);
        self.set_no_touch(false);
        self.monitoring.store(false, Relaxed);
    }

    /// The id of the command's row that ran last.
    pub fn command(&self) -> Option<usize> {
        Some(self.command.load(Relaxed)).filter(|&id| id != NO_COMMAND)
    }

    /// Notes the command that runs. On the request path.
    #[inline]
    pub fn set_command(&self, id: usize) {
        self.command.store(id, Relaxed);
    }

    /// When the client sent something last, in Unix milliseconds.
    pub fn active_at_ms(&self) -> u64 {
        self.active_at_ms.load(Relaxed)
    }

    /// Notes that the client sent or took something.
    #[inline]
    pub fn note_activity(&self, now_ms: u64) {
        self.active_at_ms.store(now_ms, Relaxed);
    }

    /// Notes the bytes in the buffer of requests, and the room beside them.
    #[inline]
    pub fn note_query(&self, bytes: usize, free_bytes: usize) {
        self.query_bytes.store(bytes, Relaxed);
        self.query_free_bytes.store(free_bytes, Relaxed);
    }

    /// Notes how many bytes of replies wait for the client to read.
    #[inline]
    pub fn note_output(&self, bytes: usize) {
        if self.output_bytes.load(Relaxed) != bytes {
            self.output_bytes.store(bytes, Relaxed);
        }
    }

    /// Bytes of requests in the buffer, and free beside them.
    pub fn query(&self) -> (usize, usize) {
        (
            self.query_bytes.load(Relaxed),
            self.query_free_bytes.load(Relaxed),
        )
    }

    /// Bytes of replies that are not sent yet.
    pub fn output_bytes(&self) -> usize {
        self.output_bytes.load(Relaxed) + self.mailbox.pending_bytes()
    }

    /// Bytes of memory that the connection takes, its buffers included.
    pub fn memory_bytes(&self) -> usize {
        let (query_bytes, query_free_bytes) = self.query();
        let subscription_bytes = self.subscription_bytes.load(Relaxed);
        size_of::<Self>() + query_bytes + query_free_bytes + self.output_bytes() + subscription_bytes
    }

    /// CLIENT NO-EVICT.
    pub fn set_no_evict(&self, on: bool) {
        self.no_evict.store(on, Relaxed);
    }

    /// Whether CLIENT NO-EVICT is on.
    pub fn no_evict(&self) -> bool {
        self.no_evict.load(Relaxed)
    }

    pub(crate) fn set_no_touch(&self, on: bool) {
        self.no_touch.store(on, Relaxed);
    }

    /// Whether CLIENT NO-TOUCH is on.
    pub fn no_touch(&self) -> bool {
        self.no_touch.load(Relaxed)
    }

    /// Marks the client as a monitor, or no longer.
    pub fn set_monitoring(&self, on: bool) {
        self.monitoring.store(on, Relaxed);
    }

    /// Whether the client is a monitor.
    pub fn is_monitoring(&self) -> bool {
        self.monitoring.load(Relaxed)
    }

    /// Notes how many channels, patterns and shard channels the client listens to, and the bytes that takes.
    pub fn note_subscriptions(&self, counts: [usize; 3], bytes: usize) {
        for (noted, count) in self.subscriptions.iter().zip(counts) {
            noted.store(count, Relaxed);
        }
        self.subscription_bytes.store(bytes, Relaxed);
    }

    /// How many channels, patterns and shard channels the client listens to.
    pub fn subscriptions(&self) -> [usize; 3] {
        [0, 1, 2].map(|kind| self.subscriptions[kind].load(Relaxed))
    }

    /// Whether the client listens to anything.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions() != [0; 3]
    }

    /// What the client is counted as.
    pub fn class(&self) -> Class {
        if self.is_monitoring() || self.is_subscribed() {
            Class::Pubsub
        } else {
            Class::Normal
        }
    }

    /// Marks the client as blocked until the result is dropped: its command waits for an event that may never come.
    pub fn block<'a>(&'a self, clients: &'a Clients) -> Blocked<'a> {
        self.blocked.store(true, Relaxed);
        clients.blocked.fetch_add(1, Relaxed);
        Blocked {
            client: self,
            clients,
        }
    }

    /// Whether [`Client::block`] is in force.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Whether a command of the client waits, so that CLIENT UNBLOCK has something to release.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// Whether the client has been silent for longer than `timeout` (zero: it may be), though nothing keeps it.
    fn is_idle(&self, timeout: Duration, now_ms: u64) -> bool {
        let silent_ms = now_ms.saturating_sub(self.active_at_ms());
        let may_be = timeout.is_zero() || self.class() != Class::Normal || self.is_blocked();
        !may_be && u128::from(silent_ms) > timeout.as_millis()
    }

    /// Releases a command of the client that waits; false if none does.
    pub fn release(&self, how: Unblock) -> bool {
        let mut unblock = self.unblock.lock();
        let waits = self.is_waiting();
        if waits {
            *unblock = Some(how);
            self.unblocked.notify_one();
        }
        waits
    }

    /// Waits until [`Client::release`]. Marks the client as waiting meanwhile.
    pub async fn released(&self) -> Unblock {
        let _waiting = WaitingMark::set(self);
        loop {
            if let Some(how) = self.unblock.lock().take() {
                return how;
            }
            self.unblocked.notified().await;
        }
    }
}

/// Clears the flag when the wait ends, however it ends, and a release that came too late for it: the next wait is
/// another one.
struct WaitingMark<'a>(&'a Client);

impl<'a> WaitingMark<'a> {
    fn set(client: &'a Client) -> Self {
        client.waiting.store(true, Relaxed);
        Self(client)
    }
}

impl Drop for WaitingMark<'_> {
    fn drop(&mut self) {
        let mut unblock = self.0.unblock.lock();
        self.0.waiting.store(false, Relaxed);
        *unblock = None;
    }
}

/// What others want of a connection, and the waker of its task.
#[derive(Default)]
pub struct Mailbox {
    /// Bits of [`PUSHES`], [`POLITELY`], [`AT_ONCE`] and [`TOO_SLOW`].
    state: AtomicU8,
    pushes: Mutex<VecDeque<Arc<[u8]>>>,
    pending_bytes: AtomicUsize,
    waker: AtomicWaker,
}

/// There may be pushes.
const PUSHES: u8 = 1;
/// The connection shall close politely.
const POLITELY: u8 = 2;
/// The connection shall close at once.
const AT_ONCE: u8 = 4;
/// It shall, since the client reads too slowly.
const TOO_SLOW: u8 = 8;

impl Mailbox {
    /// Leaves bytes to be written between two replies. With more than `bytes_max` pending bytes (0: no bound) the
    /// client reads too slowly: then its connection is closed.
    pub fn push(&self, bytes: Arc<[u8]>, bytes_max: usize) {
        let pending = self.pending_bytes.fetch_add(bytes.len(), Relaxed) + bytes.len();
        if bytes_max != 0 && pending > bytes_max {
            self.pushes.lock().clear();
            self.set(AT_ONCE | TOO_SLOW);
            return;
        }
        self.pushes.lock().push_back(bytes);
        self.set(PUSHES);
    }

    /// Asks for the end of the connection.
    pub fn close(&self, how: Closing) {
        self.set(match how {
            Closing::Politely => POLITELY,
            Closing::AtOnce => AT_ONCE,
        });
    }

    fn set(&self, bits: u8) {
        if self.state.fetch_or(bits, AcqRel) & bits != bits {
            self.waker.wake();
        }
    }

    /// Bytes of pushes that the connection has not taken yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Relaxed)
    }

    /// Has `waker` woken by whatever comes from now on.
    #[inline]
    pub fn watch(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Whether there is nothing to do.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.state.load(Acquire) == 0
    }

    /// Whether and how the connection shall close.
    pub fn closing(&self) -> Option<Closing> {
        match self.state.load(Acquire) {
            state if state & AT_ONCE != 0 => Some(Closing::AtOnce),
            state if state & POLITELY != 0 => Some(Closing::Politely),
            _ => None,
        }
    }

    /// Whether the connection shall close because the client did not read what was left for it.
    pub fn is_overfull(&self) -> bool {
        self.state.load(Acquire) & TOO_SLOW != 0
    }

    /// Takes all pushes, the oldest first.
    pub fn take_pushes(&self) -> VecDeque<Arc<[u8]>> {
        self.state.fetch_and(!PUSHES, AcqRel);
        let pushes = std::mem::take(&mut *self.pushes.lock());
        self.pending_bytes
            .fetch_sub(pushes.iter().map(|bytes| bytes.len()).sum(), Relaxed);
        pushes
    }
}

/// All connections by id.
#[derive(Default)]
pub struct Clients {
    by_id: DashMap<u64, Arc<Client>>,
    last_id: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    blocked: AtomicUsize,
    query_limit_disconnections: AtomicU64,
    output_limit_disconnections: AtomicU64,
}

/// See [`Client::block`].
pub struct Blocked<'a> {
    client: &'a Client,
    clients: &'a Clients,
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.client.blocked.store(false, Relaxed);
        self.clients.blocked.fetch_sub(1, Relaxed);
    }
}

impl Clients {
    /// Adds a connection; `None` when there are `clients_max` already.
    pub fn connect(&self, ends: Endpoints, clients_max: usize, now_ms: u64) -> Option<Arc<Client>> {
        if self.by_id.len() >= clients_max {
            self.reject();
            return None;
        }
        self.accepted.fetch_add(1, Relaxed);
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let client = Arc::new(Client::new(id, ends, now_ms));
        self.by_id.insert(id, Arc::clone(&client));
        Some(client)
    }

    /// Counts a connection that was refused.
    pub fn reject(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    /// Takes a connection off the list.
    pub fn disconnect(&self, id: u64) {
        self.by_id.remove(&id);
    }

    /// The connection with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.get(&id).map(|client| Arc::clone(&client))
    }

    /// All connections, by id. O(n log n).
    pub fn list(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.by_id.iter().map(|client| Arc::clone(&client)).collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Clients whose command waits for something.
    pub fn blocked(&self) -> usize {
        self.blocked.load(Relaxed)
    }

    /// Connections accepted and refused since the start or the last reset.
    pub fn accepted_and_rejected(&self) -> (u64, u64) {
        (self.accepted.load(Relaxed), self.rejected.load(Relaxed))
    }

    /// Counts a client whose unfinished request was too large.
    pub fn note_query_limit(&self) {
        self.query_limit_disconnections.fetch_add(1, Relaxed);
    }

    /// Counts a client that read its replies too slowly.
    pub fn note_output_limit(&self) {
        self.output_limit_disconnections.fetch_add(1, Relaxed);
    }

    /// Clients disconnected because of too large requests, and because of too slow reading, since the start or the
    /// last reset.
    pub fn limit_disconnections(&self) -> (u64, u64) {
        (
            self.query_limit_disconnections.load(Relaxed),
            self.output_limit_disconnections.load(Relaxed),
        )
    }

    /// Sets the counters to zero.
    pub fn reset_counters(&self) {
        let counters = [
            &self.accepted,
            &self.rejected,
            &self.query_limit_disconnections,
            &self.output_limit_disconnections,
        ];
        for counter in counters {
            counter.store(0, Relaxed);
        }
    }
}

/// What a check of all clients remembers until the next.
#[derive(Default)]
pub struct Watch {
    /// Since when a client has been above its soft limit, in Unix milliseconds.
    above_soft_since: HashMap<u64, u64>,
}

impl Watch {
    /// Closes clients that have been silent for too long (zero: never) or whose unread replies exceed their limits.
    /// O(n).
    pub fn check(&mut self, clients: &Clients, idle_timeout: Duration, limits: &OutputLimits, now_ms: u64) {
        let mut above_soft_since = HashMap::new();
        for client in &clients.by_id {
            let limit = client.class().limit(limits);
            let unread_bytes = client.output_bytes() as u64;
            let above_soft = limit.soft_bytes != 0 && unread_bytes > limit.soft_bytes;
            let since = *self.above_soft_since.get(&client.id).unwrap_or(&now_ms);
            if above_soft {
                above_soft_since.insert(client.id, since);
            }
            let above_hard = limit.hard_bytes != 0 && unread_bytes > limit.hard_bytes;
            if above_hard || above_soft && now_ms.saturating_sub(since) >= limit.soft_seconds * 1000 {
                tracing::warn!(client = client.id, unread_bytes, "closed: reads too slowly");
                clients.note_output_limit();
                client.mailbox().close(Closing::AtOnce);
            } else if client.is_idle(idle_timeout, now_ms) {
                tracing::debug!(client = client.id, "closed: silent for too long");
                client.mailbox().close(Closing::AtOnce);
            }
        }
        self.above_soft_since = above_soft_since;
    }
}
