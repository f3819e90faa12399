//! The state of one client's connection that its own requests change.

use std::sync::Arc;

use crate::clients::Client;
use crate::commands::index::Entry;
use crate::commands::spec::{Flags, NONE};
use crate::config::Config;
use crate::pubsub::Subscriptions;
use crate::resp::{OwnedRequest, Protocol, Request};
use crate::store::{FullName, Key, Store, Visit, Watch};
use crate::tiers::SessionLink;

/// Whether a client's requests are answered (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Each request is.
    #[default]
    On,
    /// None is.
    Off,
    /// This one is not, nor the next one.
    SkipNext,
    /// This one is not.
    Skip,
}

/// What a connection remembers between requests.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of one connection"
)]
pub struct Session {
    /// What other connections may know of this one.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Whether the client has logged in, or need not; see [`Session::must_log_in`].
    pub authenticated: bool,
    /// Whether replies are written.
    pub reply_mode: ReplyMode,
    /// Whether reads leave idle times alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Whether the connection closes after the replies that are written so far.
    pub closing: bool,
    /// Requests that EXEC will run, from MULTI on.
    pub transaction: Option<Box<Transaction>>,
    /// Whether EXEC runs them now: nothing may wait.
    pub is_executing: bool,
    watches: Option<Box<Watches>>,
    /// What the client listens to.
    pub subscriptions: Subscriptions,
    /// The session's own connection to upstream, while it has state there.
    pub upstream: Option<Box<SessionLink>>,
}

impl Session {
    /// The state of a new connection.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            reply_mode: ReplyMode::On,
            no_touch: false,
            closing: false,
            subscriptions: Subscriptions::default(),
            transaction: None,
            is_executing: false,
            watches: None,
            upstream: None,
        }
    }

    /// Selects a database.
    pub fn select(&mut self, db: usize) {
        self.db = db;
        self.client.set_db(db);
    }

    /// Switches the protocol of replies.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client.set_protocol(protocol);
    }

    /// Has reads leave idle times alone, or no longer.
    pub fn set_no_touch(&mut self, on: bool) {
        self.no_touch = on;
        self.client.set_no_touch(on);
    }

    /// Whether the client must log in before anything else. One that is connected when a password is set need not.
    pub fn must_log_in(&self, config: &Config) -> bool {
        !self.authenticated && config.network.requirepass.is_some()
    }

    /// Has the next EXEC depend on a key.
    pub fn watch(&mut self, key: &[u8], store: &Store, visit: Visit) {
        let watches = self.watches.get_or_insert_default();
        let is_watched = |name: &FullName| name.db == visit.db && *name.key == *key;
        if watches.names.iter().any(is_watched) {
            return;
        }
        let hash = store.hash(key);
        let mut shard = store.lock(hash);
        // A key that has expired already is gone when it is watched, not afterwards.
        Key::find(&mut shard, key, hash, visit);
        shard.attention().watch(visit.db, key, &watches.watch);
        watches.names.push(FullName {
            db: visit.db,
            key: key.into(),
        });
    }

    /// The keys that are watched.
    pub fn watched(&self) -> impl Iterator<Item = &FullName> {
        self.watches.iter().flat_map(|watches| &watches.names)
    }

    /// Whether a key that is watched has changed, or expired by the time of `visit`.
    pub fn is_watch_spoiled(&self, store: &Store, visit: Visit) -> bool {
        let Some(watches) = &self.watches else {
            return false;
        };
        for FullName { db, key } in &watches.names {
            let hash = store.hash(key);
            // Looking a dead entry up removes it, which is a change.
            Key::find(&mut store.lock(hash), key, hash, Visit { db: *db, ..visit });
        }
        watches.watch.is_spoiled()
    }

    /// Forgets the keys that are watched.
    pub fn unwatch(&mut self, store: &Store) {
        let Some(watches) = self.watches.take() else {
            return;
        };
        for FullName { key, .. } in &watches.names {
            let mut shard = store.lock(store.hash(key));
            shard.attention().unwatch(key, &watches.watch);
        }
    }

    /// Forgets the requests that are queued and the keys that are watched.
    pub fn end_transaction(&mut self, store: &Store) {
        self.transaction = None;
        self.unwatch(store);
    }

    /// Whether the client may only change its subscriptions: in RESP2 nothing tells a message from a reply.
    pub fn is_listening_only(&self) -> bool {
        self.protocol == Protocol::Resp2 && !self.subscriptions.is_empty()
    }

    /// Puts everything back to how a new connection has it (RESET).
    pub fn reset(&mut self, authenticated: bool, store: &Store) {
        self.end_transaction(store);
        self.select(0);
        self.speak(Protocol::Resp2);
        self.authenticated = authenticated;
        self.reply_mode = ReplyMode::On;
        self.no_touch = false;
        self.upstream = None;
        self.client.reset();
    }
}

/// The keys that a session watches.
#[derive(Default)]
struct Watches {
    watch: Arc<Watch>,
    names: Vec<FullName>,
}

/// Requests that are queued for EXEC.
#[derive(Default)]
pub struct Transaction {
    requests: Vec<(&'static Entry, OwnedRequest)>,
    bytes: u64,
    has_failed: bool,
}

impl Transaction {
    /// Adds a request; false if all together would have more than `bytes_max` bytes.
    pub fn queue(&mut self, entry: &'static Entry, request: Request<'_>, bytes_max: u64) -> bool {
        let request = OwnedRequest::from(request);
        self.bytes += request.allocated_bytes() as u64;
        let fits = self.bytes <= bytes_max;
        if fits {
            self.requests.push((entry, request));
        }
        fits
    }

    /// A request could not be queued, so that none shall run. Those before it are forgotten.
    pub fn fail(&mut self) {
        self.has_failed = true;
        self.requests = Vec::new();
    }

    /// Whether a request could not be queued.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The requests in their order.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = (&'static Entry, Request<'_>)> {
        self.requests
            .iter()
            .map(|(entry, request)| (*entry, request.view()))
    }

    /// The flags that any of the commands has.
    pub fn flags(&self) -> Flags {
        let flags = self.requests.iter().map(|(entry, _)| entry.command.flags);
        flags.fold(NONE, Flags::or)
    }
}
