//! A session's own connection to upstream, for commands that only upstream knows: they may block, keep state in the
//! connection (MULTI, WATCH, SUBSCRIBE), or change keys that nobody can name beforehand.
//!
//! It is opened with the first such command and closed with the session, so what a session leaves behind is gone with
//! it. It speaks the client's protocol: replies are passed on byte by byte.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::AsyncWriteExt;

use super::databases::{Databases, Step};
use super::login;
use super::status::Status;
use super::upstream::{ByteStream, Upstream};
use super::wire::{FrameReader, push_request, push_text_request};
use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::config::Upstream as Settings;
use crate::limits::SESSION_LINKS_MAX;
use crate::resp::number::parse_u64;
use crate::resp::{Frame, FrameKind, Protocol, Request};

/// What a command does to the state of its connection, for commands that have no row here yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Nothing; one reply follows.
    Plain,
    /// Begins a transaction.
    Begins,
    /// Runs or discards the transaction, and forgets the watched keys.
    Ends,
    /// Watches keys.
    Watches,
    /// Forgets the watched keys.
    Unwatches,
    /// Selects a database, which comes into force here when it was done in a transaction.
    Selects,
    /// Replies with any number of messages.
    Subscribes,
    /// Turns the connection into something that can't be passed on.
    Refused,
}

#[rustfmt::skip] // A table: one command a line.
const CONDUCTS: &[(&str, Conduct)] = &[
    ("MULTI",        Conduct::Begins),
    ("EXEC",         Conduct::Ends),
    ("DISCARD",      Conduct::Ends),
    ("WATCH",        Conduct::Watches),
    ("UNWATCH",      Conduct::Unwatches),
    ("SELECT",       Conduct::Selects),
    ("SUBSCRIBE",    Conduct::Subscribes),
    ("PSUBSCRIBE",   Conduct::Subscribes),
    ("SSUBSCRIBE",   Conduct::Subscribes),
    ("UNSUBSCRIBE",  Conduct::Subscribes),
    ("PUNSUBSCRIBE", Conduct::Subscribes),
    ("SUNSUBSCRIBE", Conduct::Subscribes),
    ("SYNC",         Conduct::Refused),
    ("PSYNC",        Conduct::Refused),
    ("REPLCONF",     Conduct::Refused),
];

impl Conduct {
    /// Of the command called `name`, in any case.
    pub fn of(name: &[u8]) -> Self {
        let row = CONDUCTS
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        row.map_or(Self::Plain, |(_, conduct)| *conduct)
    }
}

/// The connection and what upstream keeps with it.
pub struct SessionLink {
    stream: Box<dyn ByteStream>,
    frames: FrameReader,
    protocol: Protocol,
    databases: Databases,
    /// Upstream's id of the connection.
    pub id: i64,
    in_transaction: bool,
    watches: bool,
    /// The database that a transaction will have selected at its end.
    selects: Option<usize>,
    /// Channels and patterns, and shard channels.
    subscriptions: [i64; 2],
    /// How many markers were sent.
    marks: u64,
    _place: Place,
}

/// One of the connections that sessions may have.
struct Place(Arc<Status>);

impl Place {
    fn take(status: &Arc<Status>) -> Result<Self> {
        let taken = status.sessions.fetch_add(1, Relaxed);
        let place = Self(Arc::clone(status));
        if taken < SESSION_LINKS_MAX {
            return Ok(place);
        }
        Err(Error::Upstream(
            "too many sessions have a connection of their own".into(),
        ))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}

impl SessionLink {
    /// Connects and logs in.
    pub async fn open(
        upstream: &dyn Upstream,
        status: &Arc<Status>,
        protocol: Protocol,
        settings: &Settings,
    ) -> Result<Self> {
        let place = Place::take(status)?;
        let mut frames = FrameReader::default();
        let attempt = async {
            let mut stream = upstream.connect().await?;
            let id = login::log_in(&mut *stream, &mut frames, protocol, settings).await?;
            Ok((stream, id))
        };
        let timed = tokio::time::timeout(settings.connect_timeout, attempt).await;
        let (stream, id) = timed
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(not_connected)?;
        // A connection begins in database 0.
        let databases = Databases::new(login::base_database(settings), 0);
        Ok(Self {
            stream,
            frames,
            protocol,
            databases,
            id,
            in_transaction: false,
            watches: false,
            selects: None,
            subscriptions: [0; 2],
            marks: 0,
            _place: place,
        })
    }

    /// Whether all requests of the session belong here: what they mean depends on the connection.
    pub fn is_exclusive(&self) -> bool {
        self.in_transaction || (self.is_subscribed() && self.protocol == Protocol::Resp2)
    }

    /// Whether a transaction is being collected.
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether the client would miss something if the connection were replaced by another.
    pub fn has_state(&self) -> bool {
        self.in_transaction || self.watches || self.is_subscribed()
    }

    fn is_subscribed(&self) -> bool {
        self.subscriptions.iter().any(|&count| count > 0)
    }

    /// Sends a request for a client that is in database `db` and speaks `protocol`, and passes on what comes until
    /// it is answered. Gives the database that the client is in afterwards. An error reply is an error;
    /// [`Error::Upstream`] means that the connection is lost.
    pub async fn ask(
        &mut self,
        request: Request<'_>,
        conduct: Conduct,
        db: usize,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        if !self.in_transaction {
            self.align(db, protocol).await?;
        }
        let many =
            conduct == Conduct::Subscribes || (self.is_subscribed() && self.protocol == Protocol::Resp2);
        let mut bytes = Vec::new();
        push_request(&mut bytes, request.iter());
        let mark = many.then(|| self.push_mark(&mut bytes));
        self.stream.write_all(&bytes).await.map_err(lost)?;
        let answered = match mark {
            Some(mark) => self.pass_on_until(&mark, out).await,
            None => self.pass_on_one(out).await,
        };
        if conduct == Conduct::Selects && self.in_transaction && answered.is_ok() {
            self.selects = request.iter().nth(1).and_then(parse_u64).map(|db| db as usize);
        }
        let is_done = conduct == Conduct::Ends && matches!(answered, Ok(FrameKind::Array));
        let selected = self.selects.filter(|_| is_done);
        self.note(conduct, answered.is_ok());
        answered.map(|_| selected.unwrap_or(db))
    }

    /// Ready when upstream has sent something unasked. Fails when the connection ended.
    pub fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.poll_fill(cx, &mut *self.stream)
    }

    /// Passes on the whole messages that were received.
    pub fn take_messages(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while let Some(len) = self.frames.next()?.map(<[u8]>::len) {
            out.extend_from_slice(self.frames.last(len));
            self.note_message(len);
        }
        Ok(())
    }

    /// Brings the connection to the client's protocol and database.
    async fn align(&mut self, db: usize, protocol: Protocol) -> Result {
        if self.protocol != protocol {
            let version = if protocol == Protocol::Resp3 { "3" } else { "2" };
            if let Some(error) = self.set_up(&["HELLO", version]).await? {
                return Err(error);
            }
            self.protocol = protocol;
        }
        match self.databases.approach(db) {
            Step::Go => Ok(()),
            Step::Refuse(error) => Err(error),
            Step::Select(database) | Step::Try(database) => {
                let refusal = self.set_up(&["SELECT", &database.to_string()]).await?;
                self.databases.learn(database, refusal.clone());
                refusal.map_or(Ok(()), Err)
            }
        }
    }

    /// Sends a request of our own; returns the error if upstream refuses it.
    async fn set_up(&mut self, words: &[&str]) -> Result<Option<Error>> {
        let mut bytes = Vec::new();
        push_text_request(&mut bytes, words);
        self.stream.write_all(&bytes).await.map_err(lost)?;
        let reply = login::next_reply(&mut *self.stream, &mut self.frames)
            .await
            .map_err(lost)?;
        Ok(refusal(Frame::new(reply)))
    }

    /// Appends a PING whose answer can't be taken for anything else.
    fn push_mark(&mut self, bytes: &mut Vec<u8>) -> String {
        self.marks += 1;
        let mark = format!("forebay:{}:{}", self.id, self.marks);
        push_text_request(bytes, &["PING", &mark]);
        mark
    }

    /// Passes on one reply, and the messages before it. An error is an error, unless messages came before it.
    async fn pass_on_one(&mut self, out: &mut Vec<u8>) -> Result<FrameKind> {
        let start = out.len();
        loop {
            let len = self.next_frame().await?;
            let bytes = self.frames.last(len);
            let frame = Frame::new(bytes);
            if let Some(error) = refusal(frame).filter(|_| out.len() == start) {
                return Err(error);
            }
            out.extend_from_slice(bytes);
            if !frame.is_push() {
                return Ok(frame.kind());
            }
            self.note_message(len);
        }
    }

    /// Passes on everything before the answer to the PING with this text.
    async fn pass_on_until(&mut self, mark: &str, out: &mut Vec<u8>) -> Result<FrameKind> {
        loop {
            let len = self.next_frame().await?;
            let bytes = self.frames.last(len);
            let frame = Frame::new(bytes);
            // A subscriber in RESP2 gets an array of "pong" and the text.
            let echoed = frame.as_bulk().or_else(|| frame.children().nth(1)?.as_bulk());
            if echoed == Some(mark.as_bytes()) {
                return Ok(frame.kind());
            }
            out.extend_from_slice(bytes);
            self.note_message(len);
        }
    }

    /// Waits for a whole frame; returns its length.
    async fn next_frame(&mut self) -> Result<usize> {
        loop {
            if let Some(len) = self.frames.next().map_err(lost)?.map(<[u8]>::len) {
                return Ok(len);
            }
            self.frames.fill(&mut *self.stream).await.map_err(lost)?;
        }
    }

    /// Keeps count of subscriptions: the last frame, of `len` bytes, may be the answer to a change of them.
    fn note_message(&mut self, len: usize) {
        let mut children = Frame::new(self.frames.last(len)).children();
        let kind = children
            .next()
            .and_then(|kind| kind.as_bulk())
            .unwrap_or_default();
        let count = children.nth(1).and_then(|count| count.as_integer());
        if kind.ends_with(b"subscribe")
            && let Some(count) = count
        {
            let is_shard =
                kind.starts_with(b"s") && kind[1..].starts_with(b"subscribe") || kind.starts_with(b"sun");
            self.subscriptions[usize::from(is_shard)] = count;
        }
    }

    /// What the connection remembers of a command that was answered.
    fn note(&mut self, conduct: Conduct, succeeded: bool) {
        match conduct {
            // Whatever EXEC answers, the transaction is over; a lost connection is not used any more.
            Conduct::Ends => {
                (self.in_transaction, self.watches) = (false, false);
                if self.selects.take().is_some() {
                    self.databases.forget_selected();
                }
            }
            Conduct::Begins if succeeded => self.in_transaction = true,
            Conduct::Watches if succeeded => self.watches |= !self.in_transaction,
            Conduct::Unwatches if succeeded => self.watches &= self.in_transaction,
            _ => {}
        }
    }
}

fn refusal(reply: Frame<'_>) -> Option<Error> {
    reply
        .as_error()
        .map(|error| Error::Verbatim(String::from_utf8_lossy(error).into()))
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn not_connected(error: io::Error) -> Error {
    Error::Upstream(format!("not connected: {error}").into())
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn lost(error: io::Error) -> Error {
    Error::Upstream(format!("connection lost, the command may or may not have run: {error}").into())
}
