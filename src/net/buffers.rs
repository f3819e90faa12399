//! A connection's buffers. They are borrowed from the worker's pool for as long as there is something in them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::stream::Stream;
use crate::clients::Mailbox;
use crate::limits::{BUFFER_BYTES, POOLED_BUFFER_BYTES_MAX};
use crate::resp::{Protocol, Reply};
use crate::worker::Worker;

/// Bytes read and not yet executed: `bytes[start..end]`. All of `bytes` is initialised.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// What is not executed yet.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether all is executed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that can be read without making room.
    #[inline]
    pub fn free_bytes(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Drops what was executed.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Where to read into: never empty.
    #[inline]
    pub fn room(&mut self, worker: &Worker) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = worker.buffers.take_input();
        }
        if self.end == self.bytes.len() {
            self.make_room(BUFFER_BYTES);
        }
        &mut self.bytes[self.end..]
    }

    /// Notes that so many bytes were read into [`Input::room`].
    #[inline]
    pub fn received(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// Adds bytes that were read elsewhere.
    pub fn append(&mut self, bytes: &[u8], worker: &Worker) {
        if !bytes.is_empty() {
            self.room(worker);
            self.make_room(bytes.len());
            self.bytes[self.end..][..bytes.len()].copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }

    /// Makes room for `needed` more bytes: by moving what is there to the front, then by growing. What a large
    /// request has left is given back.
    pub fn make_room(&mut self, needed: usize) {
        if needed <= self.free_bytes() {
            return;
        }
        let filled = self.end - self.start;
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, filled);
        let len = self.bytes.len();
        if filled + needed > len {
            self.bytes.resize((filled + needed).max(len + len / 2), 0);
        } else if len > POOLED_BUFFER_BYTES_MAX && filled + needed < POOLED_BUFFER_BYTES_MAX / 2 {
            self.bytes.truncate(POOLED_BUFFER_BYTES_MAX);
            self.bytes.shrink_to_fit();
        }
    }

    /// Gives the buffer back; what it holds is forgotten.
    #[inline]
    pub fn release(&mut self, worker: &Worker) {
        (self.start, self.end) = (0, 0);
        worker.buffers.give_back_input(std::mem::take(&mut self.bytes));
    }
}

/// Replies written and not yet sent: `bytes[sent..]`.
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// Bytes that are not sent yet.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Where to write: behind what is there.
    #[inline]
    pub fn writer(&mut self, worker: &Worker) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = worker.buffers.take_output();
        }
        &mut self.bytes
    }

    /// Writes what others left for the client.
    #[cold]
    pub fn take_pushes(&mut self, mailbox: &Mailbox, protocol: Protocol, worker: &Worker) {
        let mut reply = Reply::new(self.writer(worker), protocol);
        for push in mailbox.take_pushes() {
            reply.pushed(&push);
        }
    }

    /// Adds replies that were written elsewhere, and takes over their buffer where that saves copying them.
    pub fn append(&mut self, replies: Vec<u8>, worker: &Worker) {
        if self.unsent_bytes() == 0 {
            self.release(worker);
            self.bytes = replies;
        } else {
            self.bytes.extend_from_slice(&replies);
            worker.buffers.give_back_output(replies);
        }
    }

    /// Forgets what is not sent yet.
    pub fn discard(&mut self, worker: &Worker) {
        self.sent = self.bytes.len();
        self.release(worker);
    }

    /// Sends as much as the socket takes; ready when all is sent.
    #[inline]
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unsent_bytes() > 0 {
            match Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.sent..])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => {
                    worker.counters.writes.add(1);
                    worker.counters.output_bytes.add(written as u64);
                    self.sent += written;
                }
                Poll::Pending => {
                    self.forget_sent();
                    return Poll::Pending;
                }
            }
        }
        self.release(worker);
        Poll::Ready(Ok(()))
    }

    /// Drops what was sent once that is half of the buffer, so that moving the rest costs no more than sending did.
    #[cold]
    fn forget_sent(&mut self) {
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.bytes.shrink_to(self.bytes.len() * 2);
            self.sent = 0;
        }
    }

    #[inline]
    fn release(&mut self, worker: &Worker) {
        self.sent = 0;
        worker.buffers.give_back_output(std::mem::take(&mut self.bytes));
    }
}
