//! The state of one client's connection that its own requests change.

use std::sync::Arc;

use crate::clients::Client;
use crate::config::Config;
use crate::resp::reply::Protocol;
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
    /// The session's own connection to upstream, once it has used a command that only upstream knows.
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

    /// Puts everything back to how a new connection has it (RESET).
    pub fn reset(&mut self, authenticated: bool) {
        self.select(0);
        self.speak(Protocol::Resp2);
        self.authenticated = authenticated;
        self.reply_mode = ReplyMode::On;
        self.no_touch = false;
        self.upstream = None;
        self.client.reset();
    }
}
