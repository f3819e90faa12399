//! A session's own connection to upstream, for commands that only upstream knows: they may block, keep state in the
//! connection (MULTI, WATCH, SUBSCRIBE), or change keys that nobody can name beforehand.
//!
//! It is opened with the first such command and closed with the session, so what a session leaves behind is gone with
//! it. It speaks the client's protocol: replies are passed on byte by byte.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::AsyncWriteExt;

use super::databases::{Databases, Step};
use super::login;
use super::marked::plain;
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
    /// Ends when upstream is found to be silent on the link that all share. Commands here may wait for hours, so this
    /// is how a connection that went dead without a word is noticed.
    silence: Silence,
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

type Silence = Pin<Box<dyn Future<Output = ()> + Send>>;

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
            silence: next_silence(status),
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
        if !self.is_exclusive() {
            self.align(db, protocol, out).await?;
        }
        let has_many_answers = conduct == Conduct::Subscribes || self.is_exclusive();
        let mut bytes = Vec::new();
        push_request(&mut bytes, request.iter());
        let marks = has_many_answers && !self.in_transaction;
        let mark = marks.then(|| self.push_mark(&mut bytes));
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

    /// Passes on what upstream has sent unasked; ready when there was something. Fails when the connection ended.
    pub fn poll_messages(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let start = out.len();
        loop {
            while let Some(len) = self.frames.next()?.map(<[u8]>::len) {
                if !self.may_come_unasked(len) {
                    return Poll::Ready(Err(unasked()));
                }
                self.pass_on(len, out);
            }
            if out.len() > start {
                return Poll::Ready(Ok(()));
            }
            if self.silence.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(silent()));
            }
            std::task::ready!(self.frames.poll_fill(cx, &mut *self.stream))?;
        }
    }

    /// Whether the last frame, which has `len` bytes, may be a message. Anything else would be taken for the reply to
    /// the client's next request.
    fn may_come_unasked(&self, len: usize) -> bool {
        match self.protocol {
            Protocol::Resp2 => self.is_subscribed(),
            Protocol::Resp3 => Frame::new(self.frames.last(len)).is_push(),
        }
    }

    /// Brings the connection to the client's protocol and database.
    async fn align(&mut self, db: usize, protocol: Protocol, out: &mut Vec<u8>) -> Result {
        if self.protocol != protocol {
            let version = if protocol == Protocol::Resp3 { "3" } else { "2" };
            if let Some(error) = self.set_up(&["HELLO", version], out).await? {
                return Err(error);
            }
            self.protocol = protocol;
        }
        match self.databases.approach(db) {
            Step::Go => Ok(()),
            Step::Refuse(error) => Err(error),
            Step::Select(database) | Step::Try(database) => {
                let refusal = self.set_up(&["SELECT", &database.to_string()], out).await?;
                self.databases.learn(database, refusal.clone());
                refusal.map_or(Ok(()), Err)
            }
        }
    }

    /// Sends a request of our own; returns the error if upstream refuses it. Messages that come first are passed on.
    async fn set_up(&mut self, words: &[&str], out: &mut Vec<u8>) -> Result<Option<Error>> {
        let mut bytes = Vec::new();
        push_text_request(&mut bytes, words);
        self.stream.write_all(&bytes).await.map_err(lost)?;
        loop {
            let len = self.next_frame().await?;
            let frame = Frame::new(self.frames.last(len));
            if !frame.is_push() {
                return Ok(refusal(frame));
            }
            self.pass_on(len, out);
        }
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
            let frame = Frame::new(self.frames.last(len));
            if let Some(error) = refusal(frame).filter(|_| out.len() == start) {
                return Err(error);
            }
            let kind = frame.kind();
            self.pass_on(len, out);
            if kind != FrameKind::Push {
                return Ok(kind);
            }
        }
    }

    /// Passes on everything before the answer to the PING with this text.
    async fn pass_on_until(&mut self, mark: &str, out: &mut Vec<u8>) -> Result<FrameKind> {
        loop {
            let len = self.next_frame().await?;
            let frame = Frame::new(self.frames.last(len));
            // A subscriber in RESP2 gets an array of "pong" and the text.
            let echoed = frame.as_bulk().or_else(|| frame.children().nth(1)?.as_bulk());
            if echoed == Some(mark.as_bytes()) {
                return Ok(frame.kind());
            }
            self.pass_on(len, out);
        }
    }

    /// Waits for a whole frame; returns its length.
    async fn next_frame(&mut self) -> Result<usize> {
        loop {
            if let Some(len) = self.frames.next().map_err(lost)?.map(<[u8]>::len) {
                return Ok(len);
            }
            tokio::select! {
                biased;
                filled = self.frames.fill(&mut *self.stream) => filled,
                () = &mut self.silence => Err(silent()),
            }
            .map_err(lost)?;
        }
    }

    /// Passes on the last frame, which has `len` bytes, and keeps count of subscriptions: it may answer a change of
    /// them, or be a transaction's result with such answers in it.
    fn pass_on(&mut self, len: usize, out: &mut Vec<u8>) {
        let bytes = self.frames.last(len);
        out.extend_from_slice(&plain(bytes));
        let frame = Frame::new(bytes);
        let answers = std::iter::once(frame).chain(frame.children().filter(|_| self.in_transaction));
        let (mut plain, mut sharded) = (None, None);
        for (kind, count) in answers.filter_map(subscription) {
            let counted = if matches!(kind, b"ssubscribe" | b"sunsubscribe") {
                &mut sharded
            } else {
                &mut plain
            };
            *counted = Some(count);
        }
        let [known_plain, known_sharded] = self.subscriptions;
        self.subscriptions = [plain.unwrap_or(known_plain), sharded.unwrap_or(known_sharded)];
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

fn next_silence(status: &Status) -> Silence {
    let mut silences = status.silences();
    Box::pin(async move {
        // Nobody counts them any more when the server ends.
        let _ = silences.changed().await;
    })
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
}

fn unasked() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a reply came that nothing asked for")
}

/// The kind of a message that answers a change of subscriptions, and how many there are now.
fn subscription(message: Frame<'_>) -> Option<(&[u8], i64)> {
    let mut children = message.children();
    let kind = children
        .next()?
        .as_bulk()
        .filter(|kind| kind.ends_with(b"subscribe"))?;
    Some((kind, children.nth(1)?.as_integer()?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::resp::{DecodeLimits, Decoder};
    use crate::tiers::breaker;
    use crate::tiers::fake::{Fake, Peer};

    /// A connection that is logged in, and its other end.
    async fn open(protocol: Protocol) -> (SessionLink, Peer) {
        let (fake, mut peers, _) = Fake::new();
        let config = Config::default();
        let status = Arc::new(Status::new(breaker::by_name("none").unwrap(), &config));
        let opening = SessionLink::open(&fake, &status, protocol, &config.upstream);
        let (link, peer) = tokio::join!(opening, async {
            let mut peer = peers.recv().await.unwrap();
            peer.hears("forebay\r\n").await;
            peer.says("*2\r\n$2\r\nid\r\n:7\r\n").await;
            peer
        });
        (link.unwrap(), peer)
    }

    /// Asks in database `db` while the other end hears what ends so, and says that; gives what was passed on.
    async fn ask(
        link: &mut SessionLink,
        peer: &mut Peer,
        request: &str,
        db: usize,
        talk: &[(&str, &str)],
    ) -> Result<(String, usize)> {
        let inline = format!("{request}\r\n");
        let mut decoder = Decoder::default();
        decoder
            .decode(inline.as_bytes(), &DecodeLimits::default())
            .unwrap();
        let request = decoder.request(inline.as_bytes());
        let (conduct, protocol) = (Conduct::of(request.name()), link.protocol);
        let mut out = Vec::new();
        let asking = link.ask(request, conduct, db, protocol, &mut out);
        let (answered, ()) = tokio::join!(asking, async {
            for (heard, said) in talk {
                peer.hears(heard).await;
                peer.says(said).await;
            }
        });
        answered.map(|db| (String::from_utf8(out).unwrap(), db))
    }

    #[tokio::test]
    async fn a_reply_is_passed_on_byte_by_byte_behind_the_messages_before_it() {
        let (mut link, mut peer) = open(Protocol::Resp3).await;
        let reply = ">3\r\n+message\r\n+a\r\n+b\r\n%1\r\n+k\r\n,1.50\r\n";
        let answered = ask(&mut link, &mut peer, "HGETALL h", 0, &[("h\r\n", reply)]).await;
        assert_eq!(answered, Ok((reply.to_owned(), 0)));
        assert!(!link.has_state());
    }

    #[tokio::test]
    async fn the_clients_database_is_selected_before_its_request() {
        let (mut link, mut peer) = open(Protocol::Resp2).await;
        let talk = [("3\r\n", "+OK\r\n"), ("k\r\n", ":1\r\n")];
        assert_eq!(
            ask(&mut link, &mut peer, "LLEN k", 3, &talk).await,
            Ok((":1\r\n".to_owned(), 3))
        );
        let refused = [("9\r\n", "-ERR DB index is out of range\r\n")];
        let answered = ask(&mut link, &mut peer, "LLEN k", 9, &refused).await;
        assert_eq!(
            answered,
            Err(Error::Verbatim("ERR DB index is out of range".into()))
        );
    }

    #[tokio::test]
    async fn a_transaction_binds_the_session_until_its_end() {
        let (mut link, mut peer) = open(Protocol::Resp2).await;
        ask(&mut link, &mut peer, "MULTI", 0, &[("MULTI\r\n", "+OK\r\n")])
            .await
            .unwrap();
        assert!(link.is_exclusive());
        ask(&mut link, &mut peer, "SELECT 4", 0, &[("4\r\n", "+QUEUED\r\n")])
            .await
            .unwrap();
        ask(
            &mut link,
            &mut peer,
            "SUBSCRIBE a",
            0,
            &[("a\r\n", "+QUEUED\r\n")],
        )
        .await
        .unwrap();
        let done = "*2\r\n+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
        let answered = ask(&mut link, &mut peer, "EXEC", 0, &[("EXEC\r\n", done)]).await;
        assert_eq!(
            answered,
            Ok((done.to_owned(), 4)),
            "the client is in database 4 now"
        );
        assert!(
            !link.is_in_transaction() && link.is_exclusive(),
            "a subscriber in RESP2"
        );
    }

    #[tokio::test]
    async fn a_watch_is_state_until_the_transaction_ends_however_it_does() {
        for (end, reply) in [
            ("EXEC", "*-1\r\n"),
            ("EXEC", "-EXECABORT no\r\n"),
            ("UNWATCH", "+OK\r\n"),
        ] {
            let (mut link, mut peer) = open(Protocol::Resp2).await;
            ask(&mut link, &mut peer, "WATCH k", 0, &[("k\r\n", "+OK\r\n")])
                .await
                .unwrap();
            assert!(link.has_state() && !link.is_exclusive());
            _ = ask(&mut link, &mut peer, end, 0, &[("\r\n", reply)]).await;
            assert!(!link.has_state(), "{end} {reply}");
        }
    }

    #[tokio::test]
    async fn all_answers_to_a_subscription_are_passed_on_and_the_mark_is_not() {
        let (mut link, mut peer) = open(Protocol::Resp2).await;
        let joined = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n";
        let marked = "*2\r\n$4\r\npong\r\n$11\r\nforebay:7:1\r\n";
        let talk = [("forebay:7:1\r\n", &*format!("{joined}{message}{marked}{message}"))];
        let (passed_on, _) = ask(&mut link, &mut peer, "SUBSCRIBE a", 0, &talk).await.unwrap();
        assert_eq!(passed_on, format!("{joined}{message}"));
        assert!(link.is_exclusive());
        let mut out = Vec::new();
        std::future::poll_fn(|cx| link.poll_messages(cx, &mut out))
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            message,
            "what came with the mark is not forgotten"
        );
        let left = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n";
        let talk = [("forebay:7:2\r\n", &*format!("{left}$11\r\nforebay:7:2\r\n"))];
        ask(&mut link, &mut peer, "UNSUBSCRIBE", 0, &talk).await.unwrap();
        assert!(!link.has_state());
    }

    #[tokio::test]
    async fn a_connection_that_ends_says_that_the_outcome_is_unknown() {
        let (mut link, peer) = open(Protocol::Resp2).await;
        drop(peer);
        let (_, mut nobody) = open(Protocol::Resp2).await;
        let answered = ask(&mut link, &mut nobody, "LPUSH l x", 0, &[]).await;
        assert!(matches!(answered, Err(Error::Upstream(text)) if text.contains("may or may not have run")));
    }
}
