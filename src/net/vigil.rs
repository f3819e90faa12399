//! What goes on with a connection while one of its commands waits.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Sleep;

use super::buffers::Output;
use super::stream::Stream;
use crate::clients::{Client, Closing};
use crate::limits::{LEAVING_WAIT_MS_MAX, READ_AHEAD_CHUNK_BYTES};
use crate::resp::Protocol;
use crate::worker::Worker;

/// Looks after a connection whose command waits: earlier replies and messages are sent, and what comes is read, so that the end
/// of the connection is noticed.
pub struct Vigil<'a> {
    stream: &'a mut Stream,
    output: &'a mut Output,
    worker: &'a Worker,
    client: &'a Client,
    protocol: Protocol,
    /// What was read.
    pub received: Vec<u8>,
    received_max: u64,
    /// Whether nothing will come any more. The client may still read.
    pub input_ended: bool,
    /// Runs out when the command has been waited for long enough.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<'a> Vigil<'a> {
    /// Begins to look after a connection, whose input may have ended before.
    pub fn new(
        stream: &'a mut Stream,
        output: &'a mut Output,
        worker: &'a Worker,
        client: &'a Client,
        protocol: Protocol,
        input_ended: bool,
    ) -> Self {
        let received_max = worker.services.config.load().network.query_buffer_max_bytes;
        Self {
            stream,
            output,
            worker,
            client,
            protocol,
            received: Vec::new(),
            received_max,
            input_ended,
            patience: None,
        }
    }

    /// Ready when the command need not be waited for any longer.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.mailbox().watch(cx.waker());
        if !self.client.mailbox().is_quiet() && self.output.unsent_bytes() == 0 {
            self.output
                .take_pushes(self.client.mailbox(), self.protocol, self.worker);
        }
        let is_broken = matches!(
            self.output.poll_send(self.stream, self.worker, cx),
            Poll::Ready(Err(_))
        );
        self.input_ended = self.input_ended || is_broken || self.poll_input_end(cx).is_ready();
        let Some(patience) = self.patience_left() else {
            return Poll::Pending;
        };
        if patience.is_zero() {
            return Poll::Ready(());
        }
        self.patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)))
            .as_mut()
            .poll(cx)
    }

    /// Reads what has arrived. Ready when nothing more will come, or more has than may.
    fn poll_input_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut chunk = [0; READ_AHEAD_CHUNK_BYTES];
            let mut buffer = ReadBuf::new(&mut chunk);
            let is_broken = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buffer)).is_err();
            self.received.extend_from_slice(buffer.filled());
            if is_broken || buffer.filled().is_empty() || self.received.len() as u64 > self.received_max {
                return Poll::Ready(());
            }
        }
    }

    /// How much longer the command is waited for: for ever, unless the connection or the server is about to end.
    /// Even then what has been asked of upstream gets some time, as the client may still read.
    fn patience_left(&self) -> Option<Duration> {
        match self.client.mailbox().closing() {
            Some(Closing::AtOnce) => return Some(Duration::ZERO),
            None if !self.input_ended => return None,
            Some(Closing::Politely) | None => {}
        }
        Some(if self.client.is_blocked() {
            Duration::ZERO
        } else {
            Duration::from_millis(LEAVING_WAIT_MS_MAX)
        })
    }
}
