//! Ids and entries of streams, as several commands read and reply them.

use super::args::Args;
use super::error::Error;
use super::spec::Result;
use crate::resp::Reply;
use crate::values::stream::{Entry, StreamId};
use crate::values::text::Text;

/// The next argument as an id; one without a sequence number has 0.
pub fn id(args: &mut Args<'_>) -> Result<StreamId> {
    StreamId::parse(args.bytes()?, 0).ok_or(Error::STREAM_ID)
}

/// All arguments that are left as ids.
pub fn ids(args: &mut Args<'_>) -> Result<Vec<StreamId>> {
    args.map(|word| StreamId::parse(word, 0).ok_or(Error::STREAM_ID))
        .collect()
}

/// An id where a range begins: `-`, `+`, an id, or one with a `(` in front that is not in the range itself.
pub fn start(word: &[u8]) -> Result<StreamId> {
    bound(word, 0, StreamId::next, Error::INTERVAL_START)
}

/// An id where a range ends; one without a sequence number has the highest.
pub fn end(word: &[u8]) -> Result<StreamId> {
    bound(word, u64::MAX, StreamId::previous, Error::INTERVAL_END)
}

fn bound(
    word: &[u8],
    missing_seq: u64,
    neighbour: fn(StreamId) -> Option<StreamId>,
    no_neighbour: Error,
) -> Result<StreamId> {
    match word {
        [b'(', word @ ..] if !word.is_empty() => {
            let excluded = StreamId::parse(word, missing_seq).ok_or(Error::STREAM_ID)?;
            neighbour(excluded).ok_or(no_neighbour)
        }
        word => StreamId::parse_bound(word, missing_seq).ok_or(Error::STREAM_ID),
    }
}

/// Writes an id.
pub fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// Writes an entry: its id and its fields with their values.
pub fn reply_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(entry.len() * 2);
    for (name, value) in entry.fields() {
        reply_text(reply, name);
        reply_text(reply, value);
    }
}

/// Writes all of `entries`.
pub fn reply_entries<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'a>>) {
    let array = reply.open_array();
    let mut count = 0;
    for entry in entries {
        reply_entry(reply, &entry);
        count += 1;
    }
    reply.close_array(array, count);
}

fn reply_text(reply: &mut Reply<'_>, text: Text<'_>) {
    match text {
        Text::Bytes(bytes) => reply.bulk(bytes),
        Text::Int(number) => reply.bulk_integer(number),
    }
}
