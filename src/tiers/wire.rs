//! What goes over a connection to upstream: requests out, frames in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::limits::{BUFFER_BYTES, POOLED_BUFFER_BYTES_MAX};
use crate::resp::{FrameLimits, FrameScanner, Protocol, Reply, Scanned};

/// Appends a request of these words.
pub fn push_request<'w>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'w [u8]>) {
    // An array of byte strings is the same in both protocols.
    let mut request = Reply::new(out, Protocol::Resp2);
    request.array(words.len());
    words.for_each(|word| request.bulk(word));
}

/// Appends a request of words that are text.
pub fn push_text_request(out: &mut Vec<u8>, words: &[&str]) {
    push_request(out, words.iter().map(|word| word.as_bytes()));
}

/// Reads a stream and takes it apart into frames. Holds memory only while there is something in it.
#[derive(Default)]
pub struct FrameReader {
    /// Received and not yet taken: `bytes[start..end]`. All of it is initialised.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Room that the frame at `start` needs behind `end`.
    needed: usize,
    scanner: FrameScanner,
}

impl FrameReader {
    /// Waits until more bytes have come in. The end of the stream is an error.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_fill(cx, stream)).await
    }

    /// See [`FrameReader::fill`].
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin + ?Sized),
    ) -> Poll<io::Result<()>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        let polled = Pin::new(stream).poll_read(cx, &mut room);
        let received = room.filled().len();
        if polled.is_pending() && self.start == self.end {
            *self = Self {
                scanner: std::mem::take(&mut self.scanner),
                ..Self::default()
            };
        }
        ready!(polled)?;
        if received == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.end += received;
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is left of what was received.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The next whole frame that was received, `None` if there is none. Fails when upstream sent what is no frame.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let scanned = self
            .scanner
            .scan(&self.bytes[self.start..self.end], &FrameLimits::default());
        match scanned.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Scanned::Partial { needed } => {
                self.needed = needed;
                Ok(None)
            }
            Scanned::Whole { bytes } => {
                let frame = self.start..self.start + bytes;
                self.start = frame.end;
                self.needed = 0;
                Ok(Some(&self.bytes[frame]))
            }
        }
    }

    /// The frame of `len` bytes that [`FrameReader::next`] returned last.
    pub fn last(&self, len: usize) -> &[u8] {
        &self.bytes[self.start - len..self.start]
    }

    /// Moves what is left to the front, and grows if that does not give the room that is needed.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > POOLED_BUFFER_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
        let needed = self.needed.max(1);
        if self.end + needed <= self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end + needed > self.bytes.len() {
            let grown = (self.end + needed)
                .max(self.bytes.len() * 3 / 2)
                .max(BUFFER_BYTES);
            self.bytes.resize(grown, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_array_of_byte_strings() {
        let mut out = Vec::new();
        push_text_request(&mut out, &["GET", ""]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let large = format!("${}\r\n{}\r\n", 100_000, "x".repeat(100_000));
        let frames = ["+OK\r\n", &large, ":1\r\n", "*2\r\n+a\r\n+b\r\n"];
        let stream = frames.concat();
        for step in [1, 7, 4096, 200_000] {
            let mut reader = FrameReader::default();
            let mut found = Vec::new();
            for mut piece in stream.as_bytes().chunks(step) {
                while !piece.is_empty() {
                    reader.fill(&mut piece).await.unwrap();
                    while let Some(frame) = reader.next().unwrap() {
                        found.push(String::from_utf8(frame.to_vec()).unwrap());
                    }
                }
            }
            assert_eq!(found, frames);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_stream_and_nonsense_are_errors() {
        let mut reader = FrameReader::default();
        let ended = reader.fill(&mut &b""[..]).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        reader.fill(&mut &b"HTTP/1.1 400\r\n"[..]).await.unwrap();
        assert_eq!(reader.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
