//! A connection to upstream for one session at a time, for commands that only upstream knows: they may block, keep
//! state in the connection (MULTI, WATCH, SUBSCRIBE), or change keys that nobody can name beforehand.
//!
//! A session that has state in it keeps it until the state or the session ends; the others come from the [pool] of
//! the session's worker and go back there. It takes on what upstream should know of the session: database, protocol
//! and name. Replies are passed on byte by byte.
//!
//! [pool]: super::pool

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;
use tokio::io::{AsyncWriteExt as _, ReadBuf};

use super::conduct::{Asked, Kept};
use super::databases::{Databases, Step};
use super::login;
use super::marked::plain;
use super::pool::Place;
use super::status::Status;
use super::upstream::{ByteStream, Upstream};
use super::wire::{FrameReader, push_request, push_text_request};
use crate::commands::error::Error;
use crate::commands::spec::Conduct;
use crate::config::Upstream as Settings;
use crate::resp::{Frame, FrameKind, Protocol};

/// What a session wants its connection to be.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The client's number of the database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// The name in upstream's CLIENT LIST; empty: none.
    pub name: Box<[u8]>,
}

/// Why a request was not answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Upstream refused it; the connection goes on.
    Refused(Error),
    /// The connection is lost, and nothing of the request can have been executed.
    Unsent(Error),
    /// The connection is lost, and the request may or may not have been executed.
    Lost(Error),
}

impl Failure {
    /// Upstream did not answer in time what comes before the request.
    pub fn silent() -> Self {
        unsent(io::ErrorKind::TimedOut.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Unsent(error) | Failure::Lost(error) => error,
        }
    }
}

type Result<T = ()> = std::result::Result<T, Failure>;

/// The connection and what upstream keeps with it.
pub struct SessionLink {
    stream: Box<dyn ByteStream>,
    frames: FrameReader,
    /// Ends when upstream is found to be silent on the link that all share. Commands here may wait for hours, so this
    /// is how a connection that went dead without a word is noticed.
    silence: Silence,
    protocol: Protocol,
    databases: Databases,
    name: Box<[u8]>,
    /// Upstream's id of the connection.
    pub id: i64,
    /// The place of the node that it leads to.
    pub node_place: usize,
    kept: Kept,
    /// How many markers were sent.
    marks: u64,
    /// Whether upstream may have closed it since it was used last.
    is_doubtful: bool,
    /// Whether somebody had it before, so that upstream may have closed it meanwhile.
    is_reused: bool,
    /// Whether nobody else may have it.
    is_spent: bool,
    status: Arc<Status>,
    /// How often the shared link had been lost when this one was made.
    outages: u64,
    /// While a session has it.
    place: Option<Place>,
}

type Silence = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A step of bringing a connection to an [`Identity`], in the order in which they are asked for.
enum SetUp {
    Speak(Protocol),
    Select(usize),
    Name(Box<[u8]>),
    /// Nothing is to be changed, but whether upstream is there must be known.
    Check,
}

impl SessionLink {
    /// Connects to the node that the shared link is connected to, and logs in, for a session that speaks `protocol`.
    pub async fn open(
        upstream: &dyn Upstream,
        status: &Arc<Status>,
        protocol: Protocol,
        settings: &Settings,
        place: Place,
    ) -> Result<Self> {
        let outages = status.failures.get();
        let node_place = upstream.nodes().active_place();
        let node = upstream.nodes().at(node_place);
        let mut frames = FrameReader::default();
        let attempt = async {
            let mut stream = upstream.connect(node_place).await?;
            let id = login::log_in(&mut *stream, &mut frames, protocol, node.address(), settings).await?;
            Ok((stream, id))
        };
        let timed = tokio::time::timeout(settings.connect_timeout, attempt).await;
        let (stream, id) = timed
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(not_connected)?;
        status.sessions_opened.add(1);
        Ok(Self {
            stream,
            frames,
            silence: next_silence(status),
            protocol,
            // A connection begins in database 0.
            databases: Databases::new(node.base_database(), 0),
            name: settings.client_name.as_bytes().into(),
            id,
            node_place,
            kept: Kept::default(),
            marks: 0,
            is_doubtful: false,
            is_reused: false,
            is_spent: false,
            status: Arc::clone(status),
            outages,
            place: Some(place),
        })
    }

    /// Puts it at the disposal of nobody, and frees what it holds. False if nobody else may have it.
    pub fn vacate(&mut self) -> bool {
        self.place = None;
        let is_clean = !self.is_spent && !self.has_state() && self.frames.is_empty();
        self.frames = FrameReader::default();
        is_clean
    }

    /// Gives it to a session. `is_doubtful`: it was idle for so long that upstream has to answer something harmless
    /// before it is trusted with a request.
    pub fn occupy(&mut self, place: Place, is_doubtful: bool) {
        self.place = Some(place);
        self.is_doubtful = is_doubtful;
        self.is_reused = true;
    }

    /// Sees to it that nobody else gets it: something may still happen to it that is meant for this session.
    pub fn spend(&mut self) {
        self.is_spent = true;
    }

    /// Whether somebody had it before, so that upstream may have closed it meanwhile.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether an idle connection may still be used, as far as that can be seen from here: upstream has neither
    /// closed it nor said something, and was not gone meanwhile.
    pub fn is_usable(&mut self) -> bool {
        let (mut byte, mut context) = ([0], Context::from_waker(Waker::noop()));
        let mut room = ReadBuf::new(&mut byte);
        self.outages == self.status.failures.get()
            && Pin::new(&mut *self.stream)
                .poll_read(&mut context, &mut room)
                .is_pending()
    }

    /// Whether it is all that a session wants already.
    pub fn is_as(&self, identity: &Identity) -> bool {
        self.protocol == identity.protocol
            && self.name == identity.name
            && self.databases.is_selected(identity.db)
    }

    /// Whether all requests of the session belong here: what they mean depends on the connection.
    pub fn is_exclusive(&self) -> bool {
        self.kept.is_in_transaction() || (self.kept.is_subscribed() && self.protocol == Protocol::Resp2)
    }

    /// Whether a transaction is being collected.
    pub fn is_in_transaction(&self) -> bool {
        self.kept.is_in_transaction()
    }

    /// Whether the session has something in it that it would miss in another one.
    pub fn has_state(&self) -> bool {
        self.kept.is_any()
    }

    /// Brings the connection to what a session wants, in one round trip; if there is nothing to do and no doubt, in
    /// none. In a transaction, and where RESP2 delivers messages, it stays as it is. Messages that come meanwhile are
    /// passed on. No request is lost with the connection.
    pub async fn align(&mut self, wanted: &Identity, out: &mut Vec<u8>) -> Result {
        if self.is_exclusive() {
            return Ok(());
        }
        let (steps, bytes) = self.set_up(wanted)?;
        if steps.is_empty() {
            return Ok(());
        }
        self.send(&bytes).await.map_err(|(_, error)| unsent(error))?;
        let mut refused = None;
        for step in steps {
            let refusal = self.set_up_refusal(out).await.map_err(unsent)?;
            match step {
                SetUp::Speak(protocol) if refusal.is_none() => self.protocol = protocol,
                SetUp::Select(database) => self.databases.learn(database, refusal.clone()),
                // A name is not worth an error, nor a second attempt.
                SetUp::Name(name) => {
                    self.name = name;
                    continue;
                }
                SetUp::Check => continue,
                SetUp::Speak(_) => {}
            }
            refused = refused.or(refusal);
        }
        self.is_doubtful = false;
        refused.map_or(Ok(()), |error| Err(Failure::Refused(error)))
    }

    /// What has to be done for a session, and the requests for that.
    fn set_up(&mut self, wanted: &Identity) -> Result<(SmallVec<[SetUp; 3]>, Vec<u8>)> {
        let (mut steps, mut bytes) = (SmallVec::new(), Vec::new());
        match self.databases.approach(wanted.db) {
            Step::Go => {}
            Step::Refuse(error) => return Err(Failure::Refused(error)),
            Step::Select(database) | Step::Try(database) => {
                push_text_request(&mut bytes, &["SELECT", &database.to_string()]);
                steps.push(SetUp::Select(database));
            }
        }
        if self.protocol != wanted.protocol {
            let version = match wanted.protocol {
                Protocol::Resp2 => "2",
                Protocol::Resp3 => "3",
            };
            push_text_request(&mut bytes, &["HELLO", version]);
            steps.push(SetUp::Speak(wanted.protocol));
        }
        if self.name != wanted.name {
            push_request(&mut bytes, [b"CLIENT", &b"SETNAME"[..], &wanted.name].into_iter());
            steps.push(SetUp::Name(wanted.name.clone()));
        }
        if steps.is_empty() && self.is_doubtful {
            push_text_request(&mut bytes, &["PING"]);
            steps.push(SetUp::Check);
        }
        Ok((steps, bytes))
    }

    /// Waits for the answer to one request of our own; gives the error if upstream refuses it. Messages that come
    /// first are passed on.
    async fn set_up_refusal(&mut self, out: &mut Vec<u8>) -> io::Result<Option<Error>> {
        loop {
            let len = self.next_frame().await?;
            let frame = Frame::new(self.frames.last(len));
            if !frame.is_push() {
                return Ok(refusal(frame));
            }
            self.pass_on(len, out);
        }
    }

    /// Sends a request for a client that is in database `db` and passes on what comes until it is answered. Gives the
    /// database that the client is in afterwards.
    pub async fn ask(&mut self, asked: Asked<'_>, db: usize, out: &mut Vec<u8>) -> Result<usize> {
        let has_many_answers = asked.conduct == Conduct::Subscribes || self.is_exclusive();
        let mut bytes = Vec::new();
        push_request(&mut bytes, asked.request.iter());
        let request_len = bytes.len();
        let marks = has_many_answers && !self.is_in_transaction();
        let mark = marks.then(|| self.push_mark(&mut bytes));
        self.kept.note_request(asked);
        self.send(&bytes).await.map_err(|(sent, error)| {
            // Upstream executes whole requests only.
            if sent < request_len {
                unsent(error)
            } else {
                lost(error)
            }
        })?;
        let answered = match mark {
            Some(mark) => self.pass_on_until(&mark, out).await,
            None => self.pass_on_one(out).await,
        };
        let kind = answered.as_ref().ok().copied();
        let selected = self.kept.note_answer(asked, kind);
        if selected.is_some() {
            self.databases.forget_selected();
        }
        answered?;
        Ok(selected.filter(|_| kind == Some(FrameKind::Array)).unwrap_or(db))
    }

    /// Sends everything; if that fails, tells how many bytes of it were sent.
    async fn send(&mut self, bytes: &[u8]) -> std::result::Result<(), (usize, io::Error)> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]).await {
                Ok(0) => return Err((sent, io::ErrorKind::WriteZero.into())),
                Ok(written) => sent += written,
                Err(error) => return Err((sent, error)),
            }
        }
        self.stream.flush().await.map_err(|error| (sent, error))
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
            Protocol::Resp2 => self.kept.is_subscribed(),
            Protocol::Resp3 => Frame::new(self.frames.last(len)).is_push(),
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
            let len = self.next_frame().await.map_err(lost)?;
            let frame = Frame::new(self.frames.last(len));
            if let Some(error) = refusal(frame).filter(|_| out.len() == start) {
                return Err(Failure::Refused(error));
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
            let len = self.next_frame().await.map_err(lost)?;
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
    async fn next_frame(&mut self) -> io::Result<usize> {
        loop {
            if let Some(len) = self.frames.next()?.map(<[u8]>::len) {
                return Ok(len);
            }
            tokio::select! {
                biased;
                filled = self.frames.fill(&mut *self.stream) => filled,
                () = &mut self.silence => Err(silent()),
            }?;
        }
    }

    /// Passes on the last frame, which has `len` bytes.
    fn pass_on(&mut self, len: usize, out: &mut Vec<u8>) {
        let bytes = self.frames.last(len);
        out.extend_from_slice(&plain(bytes));
        self.kept.note_frame(Frame::new(bytes));
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

fn refusal(reply: Frame<'_>) -> Option<Error> {
    reply
        .as_error()
        .map(|error| Error::Verbatim(String::from_utf8_lossy(error).into()))
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn not_connected(error: io::Error) -> Failure {
    Failure::Unsent(Error::Upstream(format!("not connected: {error}").into()))
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn unsent(error: io::Error) -> Failure {
    Failure::Unsent(Error::Upstream(format!("connection lost: {error}").into()))
}

#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn lost(error: io::Error) -> Failure {
    let text = format!("connection lost, the command may or may not have run: {error}");
    Failure::Lost(Error::Upstream(text.into()))
}
