//! One client: bytes in, requests to dispatch, replies out.
//!
//! All whole requests that a read brought are executed in order, then their replies are written at once. A
//! connection holds buffers only while it has something in them.

use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use super::buffers::{Input, Output};
use super::lookahead::{Lookahead, Stop};
use super::stream::Stream;
use super::vigil::Vigil;
use crate::clients::Closing;
use crate::dispatch::{self, Step, Turn};
use crate::limits::{
    INLINE_BYTES_MAX, LINGER_BYTES_MAX, LINGER_MS_MAX, LOOKAHEAD_REQUESTS, OUTPUT_BYTES_PER_TURN,
    OUTPUT_PAUSE_BYTES, REQUEST_ARGS_MAX, REQUESTS_PER_TURN,
};
use crate::resp::{DecodeLimits, Decoder, ProtocolError, Reply};
use crate::session::{ReplyMode, Session};
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
    /// Whether nothing will come any more. The client may still read.
    input_ended: bool,
}

/// Why a connection ends.
enum End {
    /// The client closed it, or somebody else wants it gone.
    Closed,
    /// After the replies, which the client should still read.
    AfterReplies,
}

/// What there is to do.
enum Event {
    /// Requests may be in the buffer.
    Input,
    /// Nothing more.
    End(End),
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
            input_ended: false,
        }
    }

    /// Serves the client until the connection ends.
    pub async fn serve(&mut self) {
        let end = self.serve_requests().await;
        let is_sent = matches!(end, Ok(End::AfterReplies)) && self.send_rest().await.is_ok();
        self.leave();
        if is_sent {
            // Whether or not the client reads its last reply, the connection is over.
            let _ = self.linger().await;
        }
    }

    /// Takes the client off all lists.
    fn leave(&mut self) {
        let services = &self.worker.services;
        let session = &mut self.session;
        session.end_transaction(&services.store);
        session.upstream = None;
        services.pubsub.leave(&session.client, &mut session.subscriptions);
        services.clients.disconnect(self.session.client.id);
        services.monitors.remove(self.session.client.id);
    }

    async fn serve_requests(&mut self) -> io::Result<End> {
        loop {
            if let Event::End(end) = poll_fn(|cx| self.poll_event(cx)).await? {
                return Ok(end);
            }
            let executed = self.execute_buffered().await;
            self.settle_deferred().await?;
            if let Err(error) = executed {
                self.refuse(error);
                return Ok(End::AfterReplies);
            }
            if self.session.closing {
                return Ok(End::AfterReplies);
            }
        }
    }

    /// Executes the whole requests in the buffer, but not so many that other connections wait for long, or that
    /// their replies take much memory.
    async fn execute_buffered(&mut self) -> Result<(), ProtocolError> {
        self.backlog = false;
        let mut turn = Turn::begin(&self.worker);
        let limits = self.decode_limits();
        self.session.client.note_activity(turn.now_ms);
        self.session
            .client
            .note_query(self.input.filled().len(), self.input.free_bytes());
        let mut ahead = self.worker.lookaheads.take();
        let result = self.execute_ahead(&mut ahead, limits, &mut turn).await;
        self.worker.lookaheads.give_back(ahead);
        if self.input.is_empty() {
            self.backlog = false;
            self.release_input();
        }
        result
    }

    async fn execute_ahead(
        &mut self,
        ahead: &mut Lookahead,
        limits: DecodeLimits,
        turn: &mut Turn,
    ) -> Result<(), ProtocolError> {
        let written_max = self.output.writer(&self.worker).len() + OUTPUT_BYTES_PER_TURN;
        for _ in 0..REQUESTS_PER_TURN / LOOKAHEAD_REQUESTS {
            let limits = DecodeLimits {
                authenticated: limits.authenticated || self.session.authenticated,
                ..limits
            };
            let input = self.input.filled();
            let stop = ahead.plan(&mut self.decoder, input, &limits, &self.session, &self.worker);
            if !self.execute_planned(ahead, written_max, turn).await {
                return Ok(());
            }
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

    /// Executes the planned requests; false if some are left for the next turn.
    #[inline]
    async fn execute_planned(&mut self, ahead: &mut Lookahead, written_max: usize, turn: &mut Turn) -> bool {
        let mut executed_bytes = 0;
        for index in 0..ahead.count() {
            let is_enough = self.output.writer(&self.worker).len() > written_max;
            // What was begun ahead must not be decoded and begun again.
            if self.session.closing || is_enough && !ahead.is_begun(index) {
                self.leave_backlog(executed_bytes);
                return false;
            }
            if self.execute(ahead, index, turn) == Step::Wait {
                // In memory of its own: an idle connection need not keep room for it.
                if self.settle_deferred().await.is_err() {
                    self.output.discard(&self.worker);
                    self.session.closing = true;
                    return false;
                }
                Box::pin(self.execute_waiting(ahead, index, turn)).await;
            }
            executed_bytes = ahead.get(index, self.input.filled()).2;
        }
        self.input.consume(ahead.end());
        true
    }

    /// Leaves the planned requests behind the first `executed_bytes` for the next turn, which decodes them again.
    #[cold]
    fn leave_backlog(&mut self, executed_bytes: usize) {
        self.input.consume(executed_bytes);
        self.decoder = Decoder::default();
        self.backlog = true;
    }

    /// Executes a planned request, unless it has to wait.
    #[inline]
    fn execute(&mut self, ahead: &Lookahead, index: usize, turn: &mut Turn) -> Step {
        if !self.session.client.mailbox().is_quiet() {
            self.take_pushes();
        }
        let (request, prepared, _) = ahead.get(index, self.input.filled());
        let out = self.output.writer(&self.worker);
        dispatch::execute(request, prepared, &mut self.session, &self.worker, out, turn)
    }

    /// Holds replies back until what they tell of is in the journal. Fails if that can't be; then the client must not
    /// see them.
    #[inline]
    async fn settle_deferred(&self) -> io::Result<()> {
        if !self.worker.has_deferred() {
            return Ok(());
        }
        // In memory of its own: an idle connection need not keep room for it.
        let settled = Box::pin(self.worker.settle_deferred()).await;
        settled
            .inspect_err(|error| tracing::error!(%error, "closed: its writes can't be noted in the journal"))
    }

    /// Executes a planned request that has to wait.
    async fn execute_waiting(&mut self, ahead: &mut Lookahead, index: usize, turn: &mut Turn) {
        if self.worker.tiers().is_some() {
            ahead.begin(index, self.input.filled(), &self.session, &self.worker, turn);
        }
        let begun = ahead.take_begun(index);
        let (client, protocol) = (Arc::clone(&self.session.client), self.session.protocol);
        let (request, ..) = ahead.get(index, self.input.filled());
        let mut reply = self.worker.buffers.take_output();
        let (is_done, received) = {
            let (session, worker) = (&mut self.session, &*self.worker);
            let mut waiting = pin!(dispatch::execute_waiting(
                request, begun, session, worker, &mut reply, turn
            ));
            let mut vigil = Vigil::new(
                &mut self.stream,
                &mut self.output,
                worker,
                &client,
                protocol,
                self.input_ended,
            );
            let is_done = poll_fn(|cx| match waiting.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => vigil.poll_over(cx).map(|()| false),
            })
            .await;
            self.input_ended = vigil.input_ended;
            (is_done, vigil.received)
        };
        // It stands behind what was planned, and may hold whole requests.
        self.backlog |= !received.is_empty();
        self.input.append(&received, &self.worker);
        if is_done {
            self.output.append(reply, &self.worker);
        } else {
            self.session.closing = true;
        }
    }

    fn decode_limits(&self) -> DecodeLimits {
        let config = self.worker.services.config.load();
        DecodeLimits {
            bulk_bytes_max: config.network.bulk_max_bytes as usize,
            args_max: REQUEST_ARGS_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            authenticated: !self.session.must_log_in(&config),
        }
    }

    /// Answers bytes that are no request.
    #[cold]
    fn refuse(&mut self, error: ProtocolError) {
        tracing::debug!(client = self.session.client.id, %error);
        self.worker.services.counters.error("ERR");
        if self.session.reply_mode == ReplyMode::On {
            let out = self.output.writer(&self.worker);
            Reply::new(out, self.session.protocol).error(format!("ERR {error}"));
        }
    }

    /// Sends what there is to send; ready when there is something else to do.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        self.send(cx)?;
        self.session.client.mailbox().watch(cx.waker());
        if !self.session.client.mailbox().is_quiet()
            && let Some(end) = self.open_mailbox(cx)?
        {
            return Poll::Ready(Ok(Event::End(end)));
        }
        if self.session.upstream.is_some() && self.take_messages(cx)?.is_break() {
            return Poll::Ready(Ok(Event::End(End::Closed)));
        }
        if self.output.unsent_bytes() > OUTPUT_PAUSE_BYTES {
            return self.poll_while_paused(cx);
        }
        if self.backlog || !self.input_ended && ready!(self.poll_receive(cx))? > 0 {
            return Poll::Ready(Ok(Event::Input));
        }
        if self.output.unsent_bytes() > 0 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(Event::End(End::Closed)))
        }
    }

    /// Does what others want of the connection.
    #[cold]
    fn open_mailbox(&mut self, cx: &mut Context<'_>) -> io::Result<Option<End>> {
        match self.session.client.mailbox().closing() {
            Some(Closing::AtOnce) => {
                self.note_overfull_mailbox();
                return Ok(Some(End::Closed));
            }
            Some(Closing::Politely) => return Ok(Some(End::AfterReplies)),
            None => {}
        }
        // What a slow reader does not take stays in the mailbox, which is bounded.
        if self.output.unsent_bytes() == 0 {
            self.take_pushes();
            self.send(cx)?;
        }
        Ok(None)
    }

    /// Counts a client that is disconnected because it did not read what others left for it.
    fn note_overfull_mailbox(&self) {
        let client = &self.session.client;
        if client.mailbox().is_overfull() {
            tracing::warn!(client = client.id, "closed: reads messages too slowly");
            self.worker.services.clients.note_output_limit();
        }
    }

    /// Writes what others left for the client: between two requests, so that what a request caused stands behind its
    /// reply.
    #[cold]
    fn take_pushes(&mut self) {
        let Session { client, protocol, .. } = &self.session;
        self.output.take_pushes(client.mailbox(), *protocol, &self.worker);
    }

    /// Passes on what upstream sends the session unasked, as long as the client takes it. Breaks when the session
    /// has lost what upstream kept for it: it has to begin anew, as if upstream had hung up on it.
    #[cold]
    fn take_messages(&mut self, cx: &mut Context<'_>) -> io::Result<ControlFlow<()>> {
        while let Some(link) = &mut self.session.upstream
            && self.output.unsent_bytes() == 0
        {
            let polled = link.poll_messages(cx, self.output.writer(&self.worker));
            match polled {
                Poll::Ready(Err(_)) => return Ok(ControlFlow::Break(())),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            // Without anything to send this gives the buffer back.
            self.send(cx)?;
            if polled.is_pending() {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads on though the client does not read its replies: it may do so only after it has sent all its requests.
    /// They are executed later. The limit of the query buffer bounds them.
    #[cold]
    fn poll_while_paused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        while !self.input_ended && ready!(self.poll_receive(cx))? > 0 {
            self.backlog = true;
        }
        Poll::Pending
    }

    /// Sends as much as the socket takes. The replies of a batch are one write.
    #[inline]
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.output.poll_send(&mut self.stream, &self.worker, cx) {
            Poll::Ready(Ok(())) => self.session.client.note_output(0),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => self.keep_unsent()?,
        }
        Ok(())
    }

    /// Fails if more waits for the client than its class allows.
    #[cold]
    fn keep_unsent(&mut self) -> io::Result<()> {
        let services = &self.worker.services;
        let client = &self.session.client;
        client.note_output(self.output.unsent_bytes());
        client.note_activity(services.clock.unix_ms());
        let hard_bytes = client
            .class()
            .limit(&services.config.load().network.output_limits)
            .hard_bytes;
        if hard_bytes == 0 || client.output_bytes() as u64 <= hard_bytes {
            return Ok(());
        }
        tracing::warn!(
            client = client.id,
            unread_bytes = client.output_bytes(),
            "closed: reads too slowly"
        );
        services.clients.note_output_limit();
        Err(io::ErrorKind::OutOfMemory.into())
    }

    /// Reads what has arrived and gives the number of bytes, 0 at the end. Fails if an unfinished request is too
    /// large.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(self.input.room(&self.worker));
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer)?;
        let received = buffer.filled().len();
        if polled.is_pending() {
            if self.input.is_empty() {
                self.release_input();
            }
            return Poll::Pending;
        }
        self.worker.counters.reads.add(1);
        self.worker.counters.input_bytes.add(received as u64);
        self.input.received(received);
        self.input_ended = received == 0;
        let unfinished_max = self.worker.services.config.load().network.query_buffer_max_bytes;
        if self.input.filled().len() as u64 > unfinished_max {
            tracing::warn!(
                client = self.session.client.id,
                unfinished_max,
                "closed: too large a request"
            );
            self.worker.services.clients.note_query_limit();
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        Poll::Ready(Ok(received))
    }

    #[inline]
    fn release_input(&mut self) {
        self.input.release(&self.worker);
        self.session.client.note_query(0, 0);
    }

    /// Sends the last replies, however long the client takes to read them.
    async fn send_rest(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            self.send(cx)?;
            let mailbox = self.session.client.mailbox();
            mailbox.watch(cx.waker());
            match mailbox.closing() {
                Some(Closing::AtOnce) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                _ if self.output.unsent_bytes() > 0 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Lets the client read what was sent: closing a socket that still has unread input would reset the connection
    /// and lose replies on their way. When the server shuts down, only what has come already is taken.
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let all_read = async {
            let mut discarded = 0;
            let mut bytes = self.worker.buffers.take_input();
            while discarded < LINGER_BYTES_MAX {
                match self.stream.read(&mut bytes).await? {
                    0 => break,
                    received => discarded += received,
                }
            }
            self.worker.buffers.give_back_input(bytes);
            Ok(())
        };
        let is_leaving = self.session.client.mailbox().closing().is_some();
        let patience = if is_leaving {
            Duration::ZERO
        } else {
            Duration::from_millis(LINGER_MS_MAX)
        };
        tokio::time::timeout(patience, all_read).await?
    }
}

impl Drop for Connection {
    /// However the task ends, by a panic too, the client is gone.
    fn drop(&mut self) {
        self.leave();
    }
}
