//! All connections: what CLIENT LIST shows of them, and the ways to reach one from elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::{Acquire, Relaxed, Release}};
use std::task::Waker;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::config::OutputLimits;
use crate::resp::reply::Protocol;

/// Something that another task wants of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// Close, after what is written so far is flushed if `polite`, at once otherwise.
    Close {
        /// Whether pending replies are still sent.
        polite: bool,
    },
    /// Bytes to write between two replies.
    Push(Arc<[u8]>),
}

/// How a client that waits was released by CLIENT UNBLOCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time was over.
    Timeout,
    /// With an error.
    Error,
}

/// What a client is counted as for limits and CLIENT KILL TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Sends requests and reads replies.
    Normal,
    /// Reads what others publish, or MONITOR.
    Pubsub,
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
    monitoring: AtomicBool,
    mailbox: Mailbox,
    unblock: Mutex<Option<Unblock>>,
    unblocked: tokio::sync::Notify,
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
            monitoring: AtomicBool::new(false),
            mailbox: Mailbox::default(),
            unblock: Mutex::new(None),
            unblocked: tokio::sync::Notify::new(),
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
        self.no_evict.store(false, Relaxed);
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

    /// Notes that bytes came in: once per read.
    #[inline]
    pub fn note_input(&self, now_ms: u64, query_bytes: usize, query_free_bytes: usize) {
        self.active_at_ms.store(now_ms, Relaxed);
        self.query_bytes.store(query_bytes, Relaxed);
        self.query_free_bytes.store(query_free_bytes, Relaxed);
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
        (self.query_bytes.load(Relaxed), self.query_free_bytes.load(Relaxed))
    }

    /// Bytes of replies that are not sent yet.
    pub fn output_bytes(&self) -> usize {
        self.output_bytes.load(Relaxed) + self.mailbox.pending_bytes()
    }

    /// CLIENT NO-EVICT.
    pub fn set_no_evict(&self, on: bool) {
        self.no_evict.store(on, Relaxed);
    }

    /// Whether CLIENT NO-EVICT is on.
    pub fn no_evict(&self) -> bool {
        self.no_evict.load(Relaxed)
    }

    /// Marks the client as a monitor, or no longer.
    pub fn set_monitoring(&self, on: bool) {
        self.monitoring.store(on, Relaxed);
    }

    /// Whether the client is a monitor.
    pub fn is_monitoring(&self) -> bool {
        self.monitoring.load(Relaxed)
    }

    /// What the client is counted as.
    pub fn class(&self) -> Class {
        if self.is_monitoring() { Class::Pubsub } else { Class::Normal }
    }

    /// Whether a command of the client waits, so that CLIENT UNBLOCK has something to release.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// Releases a command of the client that waits; false if none does.
    pub fn release(&self, how: Unblock) -> bool {
        let waits = self.is_waiting();
        if waits {
            *self.unblock.lock() = Some(how);
            self.unblocked.notify_one();
        }
        waits
    }

    /// Waits until [`Client::release`]. Marks the client as waiting meanwhile.
    pub async fn released(&self) -> Unblock {
        let _waiting = WaitingMark::set(&self.waiting);
        loop {
            if let Some(how) = self.unblock.lock().take() {
                return how;
            }
            self.unblocked.notified().await;
        }
    }
}

/// Clears the flag when the wait ends, however it ends.
struct WaitingMark<'a>(&'a AtomicBool);

impl<'a> WaitingMark<'a> {
    fn set(flag: &'a AtomicBool) -> Self {
        flag.store(true, Relaxed);
        Self(flag)
    }
}

impl Drop for WaitingMark<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

/// Messages for a connection, and the waker of its task.
#[derive(Default)]
pub struct Mailbox {
    mails: Mutex<VecDeque<Mail>>,
    pending_bytes: AtomicUsize,
    full: AtomicBool,
    waker: AtomicWaker,
}

impl Mailbox {
    /// Leaves a message and wakes the connection's task. Pushes beyond `bytes_max` pending bytes (0: no bound)
    /// are replaced by a request to close: the reader is too slow.
    pub fn send(&self, mail: Mail, bytes_max: usize) {
        let bytes = if let Mail::Push(bytes) = &mail { bytes.len() } else { 0 };
        let pending = self.pending_bytes.fetch_add(bytes, Relaxed) + bytes;
        let mut mails = self.mails.lock();
        if bytes_max != 0 && pending > bytes_max {
            mails.clear();
            mails.push_back(Mail::Close { polite: false });
        } else {
            mails.push_back(mail);
        }
        self.full.store(true, Release);
        drop(mails);
        self.waker.wake();
    }

    /// Bytes of pushes that the connection has not taken yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Relaxed)
    }

    /// Whether somebody wants the connection closed; other messages stay. If not, `waker` is woken by the next.
    pub fn poll_close(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.full.load(Acquire) && self.mails.lock().iter().any(|mail| matches!(mail, Mail::Close { .. }))
    }

    /// The oldest message; without any, `waker` is woken by the next.
    #[inline]
    pub fn poll(&self, waker: &Waker) -> Option<Mail> {
        self.waker.register(waker);
        if !self.full.load(Acquire) {
            return None;
        }
        let mut mails = self.mails.lock();
        let mail = mails.pop_front();
        if let Some(Mail::Push(bytes)) = &mail {
            self.pending_bytes.fetch_sub(bytes.len(), Relaxed);
        }
        self.full.store(!mails.is_empty(), Relaxed);
        mail
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
}

/// Counts a client as blocked for as long as it lives.
pub struct Blocked<'a>(&'a AtomicUsize);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Clients {
    /// Adds a connection; `None` when there are `clients_max` already.
    pub fn connect(&self, ends: Endpoints, clients_max: usize, now_ms: u64) -> Option<Arc<Client>> {
        if self.by_id.len() >= clients_max {
            self.rejected.fetch_add(1, Relaxed);
            return None;
        }
        self.accepted.fetch_add(1, Relaxed);
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let client = Arc::new(Client::new(id, ends, now_ms));
        self.by_id.insert(id, Arc::clone(&client));
        Some(client)
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

    /// Counts a client as blocked until the result is dropped.
    pub fn count_blocked(&self) -> Blocked<'_> {
        self.blocked.fetch_add(1, Relaxed);
        Blocked(&self.blocked)
    }

    /// Clients whose command waits for something.
    pub fn blocked(&self) -> usize {
        self.blocked.load(Relaxed)
    }

    /// Connections accepted and refused since the start or the last reset.
    pub fn accepted_and_rejected(&self) -> (u64, u64) {
        (self.accepted.load(Relaxed), self.rejected.load(Relaxed))
    }

    /// Sets the counters to zero.
    pub fn reset_counters(&self) {
        self.accepted.store(0, Relaxed);
        self.rejected.store(0, Relaxed);
    }
}

/// What a check of all clients remembers until the next.
#[derive(Default)]
pub struct Watch {
    /// Since when a client has been above its soft limit, in Unix milliseconds.
    above_soft_since: std::collections::HashMap<u64, u64>,
}

impl Watch {
    /// Closes clients that have been silent for too long (zero: never) or whose unread replies exceed their limits.
    pub fn check(&mut self, clients: &Clients, idle_timeout: Duration, limits: &OutputLimits, now_ms: u64) {
        let idle_max_ms = idle_timeout.as_millis() as u64;
        let mut above = std::collections::HashMap::new();
        for client in clients.list() {
            let limit = match client.class() {
                Class::Normal => limits.normal,
                Class::Pubsub => limits.pubsub,
            };
            let waiting = client.output_bytes() as u64;
            let mut close = limit.hard_bytes != 0 && waiting > limit.hard_bytes;
            if limit.soft_bytes != 0 && waiting > limit.soft_bytes {
                let since = self.above_soft_since.get(&client.id).copied().unwrap_or(now_ms);
                above.insert(client.id, since);
                close |= now_ms.saturating_sub(since) >= limit.soft_seconds * 1000;
            }
            let may_idle = idle_max_ms == 0 || client.class() != Class::Normal || client.is_waiting();
            close |= !may_idle && now_ms.saturating_sub(client.active_at_ms()) > idle_max_ms;
            if close {
                client.mailbox().send(Mail::Close { polite: false }, 0);
            }
        }
        self.above_soft_since = above;
    }
}
