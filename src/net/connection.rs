//! One client: bytes in, requests to dispatch, replies out.
//!
//! All whole requests that a read brought are executed in order, then their replies are written at once. A
//! connection holds buffers only while it has something in them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::lookahead::{Lookahead, Stop};
use super::stream::Stream;
use crate::clients::Mail;
use crate::dispatch::{self, Step, Turn};
use crate::limits::{
    BUFFER_BYTES, INLINE_BYTES_MAX, LINGER_BYTES_MAX, LINGER_MS_MAX, LOOKAHEAD_REQUESTS, OUTPUT_PAUSE_BYTES, REQUEST_ARGS_MAX,
    REQUESTS_PER_TURN,
};
use crate::resp::{DecodeLimits, Decoder, ProtocolError, Reply};
use crate::session::Session;
use crate::worker::Worker;

/// A connection and its task's state.
pub struct Connection {
    stream: Stream,
    session: Session,
    worker: Rc<Worker>,
    decoder: Decoder,
    input: Input,
    output: Output,
    /// Whether `input` may hold whole requests.
    backlog: bool,
}

/// Bytes read and not yet executed: `bytes[start..end]`. All of `bytes` is initialised.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Replies written and not yet sent: `bytes[sent..]`.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

/// Why a connection ends.
enum End {
    /// The client closed it, or it broke, or somebody else ended it.
    Closed,
    /// After a reply that the client should still read.
    AfterReply,
}

/// What there is to do.
enum Event {
    /// Requests may be in the buffer.
    Input,
    /// Somebody wants something of the connection.
    Mail(Mail),
}

impl Connection {
    /// A connection of a client that was just accepted.
    pub fn new(stream: Stream, session: Session, worker: Rc<Worker>) -> Self {
        Self {
            stream,
            session,
            worker,
            decoder: Decoder::default(),
            input: Input::default(),
            output: Output::default(),
            backlog: false,
        }
    }

    /// Serves the client until the connection ends.
    pub async fn serve(mut self) {
        let end = self.serve_requests().await;
        self.worker.services.clients.disconnect(self.session.client.id);
        self.worker.services.monitors.remove(self.session.client.id);
        if matches!(end, Ok(End::AfterReply)) {
            // Whether or not the client reads its last reply, the connection is over.
            let _ = self.linger().await;
        }
    }

    async fn serve_requests(&mut self) -> io::Result<End> {
        loop {
            match self.exchange().await? {
                Event::Input => {}
                Event::Mail(Mail::Push(bytes)) => self.output.pooled(&self.worker).extend_from_slice(&bytes),
                Event::Mail(Mail::Close { polite: true }) => return Ok(End::AfterReply),
                Event::Mail(Mail::Close { polite: false }) => return Ok(End::Closed),
            }
            if let Err(error) = self.execute_buffered().await {
                let out = self.output.pooled(&self.worker);
                Reply::new(out, self.session.protocol).error(format!("ERR {error}"));
                return Ok(End::AfterReply);
            }
            if self.session.closing {
                return Ok(End::AfterReply);
            }
        }
    }

    /// Executes the whole requests in the buffer: as long as the client reads its replies, and not so many that
    /// other connections wait for long.
    async fn execute_buffered(&mut self) -> Result<(), ProtocolError> {
        self.backlog = false;
        if self.input.is_empty() {
            return Ok(());
        }
        let mut turn = Turn::begin(&self.worker);
        let limits = self.decode_limits();
        let (filled, free) = (self.input.filled().len(), self.input.bytes.len() - self.input.end);
        self.session.client.note_input(turn.now_ms, filled, free);
        let mut ahead = self.worker.lookaheads.take();
        let result = self.execute_ahead(&mut ahead, limits, &mut turn).await;
        self.worker.lookaheads.give_back(ahead);
        if self.input.is_empty() {
            self.input.release(&self.worker);
        }
        result
    }

    async fn execute_ahead(
        &mut self,
        ahead: &mut Lookahead,
        limits: DecodeLimits,
        turn: &mut Turn,
    ) -> Result<(), ProtocolError> {
        for _ in 0..REQUESTS_PER_TURN / LOOKAHEAD_REQUESTS {
            let limits = DecodeLimits { authenticated: self.session.authenticated, ..limits };
            let input = self.input.filled();
            let stop = ahead.plan(&mut self.decoder, input, &limits, &self.session, &self.worker);
            let mut consumed = 0;
            for index in 0..ahead.len() {
                if self.session.closing || self.output.unsent() > OUTPUT_PAUSE_BYTES {
                    self.input.consume(consumed);
                    self.decoder = Decoder::default();
                    self.backlog = true;
                    return Ok(());
                }
                consumed = self.execute(ahead, index, turn).await;
            }
            self.input.consume(ahead.end());
            match stop {
                Stop::Full => {}
                Stop::Partial { needed } => {
                    self.input.make_room(needed);
                    return Ok(());
                }
                Stop::Broken(error) => return Err(error),
            }
            if self.input.is_empty() {
                return Ok(());
            }
        }
        self.backlog = true;
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Executes a planned request; returns where it ends.
    #[inline]
    async fn execute(&mut self, ahead: &Lookahead, index: usize, turn: &mut Turn) -> usize {
        let (request, prepared, end) = ahead.get(index, self.input.filled());
        let out = self.output.pooled(&self.worker);
        if dispatch::execute(request, prepared, &mut self.session, &self.worker, out, turn) == Step::Done {
            return end;
        }
        let client = std::sync::Arc::clone(&self.session.client);
        let mut waiting =
            Box::pin(dispatch::execute_waiting(request, &mut self.session, &self.worker, out, turn));
        let finished = poll_fn(|cx| match client.mailbox().poll_close(cx.waker()) {
            true => Poll::Ready(false),
            false => waiting.as_mut().poll(cx).map(|()| true),
        })
        .await;
        drop(waiting);
        if !finished {
            self.session.closing = true;
        }
        end
    }

    fn decode_limits(&self) -> DecodeLimits {
        let bulk_bytes_max = self.worker.services.config.load().network.bulk_max_bytes as usize;
        DecodeLimits {
            bulk_bytes_max,
            args_max: REQUEST_ARGS_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            authenticated: self.session.authenticated,
        }
    }

    /// Sends what there is to send; returns when something came in.
    async fn exchange(&mut self) -> io::Result<Event> {
        poll_fn(|cx| self.poll_exchange(cx)).await
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        self.poll_send(cx)?;
        if let Some(mail) = self.session.client.mailbox().poll(cx.waker()) {
            return Poll::Ready(Ok(Event::Mail(mail)));
        }
        if self.output.unsent() > OUTPUT_PAUSE_BYTES {
            return Poll::Pending;
        }
        if self.backlog {
            return Poll::Ready(Ok(Event::Input));
        }
        self.poll_receive(cx).map_ok(|()| Event::Input)
    }

    /// Sends as much as the socket takes. The replies of a batch are one write.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.output.unsent() > 0 {
            let bytes = &self.output.bytes[self.output.sent..];
            match Pin::new(&mut self.stream).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.worker.counters.writes.add(1);
                    self.worker.counters.output_bytes.add(written as u64);
                    self.output.sent += written;
                }
                Poll::Pending => break,
            }
        }
        self.session.client.note_output(self.output.unsent());
        if self.output.unsent() == 0 {
            self.output.release(&self.worker);
        }
        Ok(())
    }

    /// Reads what has arrived; fails when the client closed or its unfinished request is too large.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = self.input.room(&self.worker);
        let mut buffer = ReadBuf::new(room);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer)?;
        let received = buffer.filled().len();
        if polled.is_pending() {
            self.input.release_if_empty(&self.worker);
            return Poll::Pending;
        }
        if received == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.worker.counters.reads.add(1);
        self.worker.counters.input_bytes.add(received as u64);
        self.input.end += received;
        let unfinished_max = self.worker.services.config.load().network.query_buffer_max_bytes;
        if self.input.filled().len() as u64 > unfinished_max {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the last replies and lets the client read them: closing a socket that still has unread input would
    /// reset the connection and lose what was sent.
    async fn linger(&mut self) -> io::Result<()> {
        let all_sent_and_read = async {
            self.stream.write_all(&self.output.bytes[self.output.sent..]).await?;
            self.stream.shutdown().await?;
            let mut discarded = 0;
            let mut bytes = self.worker.buffers.take_input();
            while discarded < LINGER_BYTES_MAX {
                match tokio::io::AsyncReadExt::read(&mut self.stream, &mut bytes).await? {
                    0 => break,
                    received => discarded += received,
                }
            }
            Ok(())
        };
        let deadline = std::time::Duration::from_millis(LINGER_MS_MAX);
        tokio::time::timeout(deadline, all_sent_and_read).await?
    }
}

impl Input {
    #[inline]
    fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Where to read into: never empty.
    #[inline]
    fn room(&mut self, worker: &Worker) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = worker.buffers.take_input();
        }
        if self.end == self.bytes.len() {
            self.make_room(BUFFER_BYTES);
        }
        &mut self.bytes[self.end..]
    }

    /// Makes room for `needed` more bytes: by moving what is there to the front, then by growing.
    fn make_room(&mut self, needed: usize) {
        if self.end + needed <= self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end + needed > self.bytes.len() {
            let grown = (self.end + needed).max(self.bytes.len() + self.bytes.len() / 2);
            self.bytes.resize(grown, 0);
        }
    }

    #[inline]
    fn release_if_empty(&mut self, worker: &Worker) {
        if self.is_empty() {
            self.release(worker);
        }
    }

    #[inline]
    fn release(&mut self, worker: &Worker) {
        (self.start, self.end) = (0, 0);
        worker.buffers.give_back_input(std::mem::take(&mut self.bytes));
    }
}

impl Output {
    #[inline]
    fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// The buffer to append to.
    #[inline]
    fn pooled(&mut self, worker: &Worker) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = worker.buffers.take_output();
        }
        &mut self.bytes
    }

    #[inline]
    fn release(&mut self, worker: &Worker) {
        self.sent = 0;
        worker.buffers.give_back_output(std::mem::take(&mut self.bytes));
    }
}
