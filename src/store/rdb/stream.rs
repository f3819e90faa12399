//! Streams: the nodes, each the id that it is kept under and a listpack; counts and ids; the groups of consumers.

use super::decode::repeat;
use super::forms;
use super::reader::{Reader, with_bytes};
use super::writer::Writer;
use super::{Malformed, Result, VERSION};
use crate::values::stream::{Consumer, ConsumerState, Corrupt, Group, Stream, StreamId};

const ID_BYTES: u64 = 16;

/// How a group says that it does not know how many entries it has read.
const ENTRIES_READ_UNKNOWN: u64 = u64::MAX;

impl From<Corrupt> for Malformed {
    fn from(_: Corrupt) -> Self {
        Self
    }
}

/// Reads a stream of this form.
pub(super) fn read(form: u8, reader: &mut Reader<'_>) -> Result<Stream> {
    let mut stream = Stream::default();
    repeat(reader, |reader| node(reader, &mut stream))?;
    ids(form, reader, &mut stream)?;
    repeat(reader, |reader| {
        let name = reader.string()?;
        let group = group(form, reader, &stream)?;
        let is_new = with_bytes(name.text(), |name| stream.add_group(name, group));
        if is_new { Ok(()) } else { Err(Malformed) }
    })?;
    Ok(stream)
}

/// A node; all its entries may be deleted ones.
fn node(reader: &mut Reader<'_>, stream: &mut Stream) -> Result<()> {
    let first = reader.string()?;
    let first = StreamId::from_bytes(first.bytes()?.try_into().map_err(|_| Malformed)?);
    Ok(stream.entries.load_block(first, reader.string()?.bytes()?)?)
}

/// What is known of all entries, those that are gone included. Where the form does not tell, none is gone.
fn ids(form: u8, reader: &mut Reader<'_>, stream: &mut Stream) -> Result<()> {
    let len = reader.length()?;
    let last_id = id(reader)?;
    let (mut added, mut max_deleted_id) = (len, StreamId::MIN);
    if form != forms::STREAM {
        let _first_id = id(reader)?;
        max_deleted_id = id(reader)?;
        added = reader.length()?;
    }
    if len != stream.entries.len() {
        return Err(Malformed);
    }
    Ok(stream.entries.load_ids(last_id, added, max_deleted_id)?)
}

fn group(form: u8, reader: &mut Reader<'_>, stream: &Stream) -> Result<Group> {
    let last_id = id(reader)?;
    let entries_read = match form {
        forms::STREAM => stream.entries.added_up_to(last_id),
        _ => Some(reader.length()?).filter(|count| *count != ENTRIES_READ_UNKNOWN),
    };
    let mut pending = Vec::new();
    repeat(reader, |reader| {
        let id = raw_id(reader)?;
        pending.push((id, time(reader)?, reader.length()?));
        Ok(())
    })?;
    let mut names = Vec::new();
    let mut states = Vec::new();
    repeat(reader, |reader| {
        names.push(reader.string()?);
        states.push(consumer(form, reader)?);
        Ok(())
    })?;
    let names: Vec<Vec<u8>> = names
        .iter()
        .map(|name| with_bytes(name.text(), <[u8]>::to_vec))
        .collect();
    let consumers = names
        .iter()
        .zip(states)
        .map(|(name, state)| ConsumerState { name, ..state });
    Ok(Group::load(last_id, entries_read, &pending, consumers.collect())?)
}

/// A consumer without its name. Where the form does not tell when it last got entries, that was when it asked.
fn consumer(form: u8, reader: &mut Reader<'_>) -> Result<ConsumerState<'static>> {
    let seen_ms = time(reader)?;
    let active_ms = match form {
        forms::STREAM | forms::STREAM_2 => Some(seen_ms),
        _ => u64::try_from(reader.unix_ms()?).ok(),
    };
    let mut pending = Vec::new();
    repeat(reader, |reader| {
        pending.push(raw_id(reader)?);
        Ok(())
    })?;
    Ok(ConsumerState {
        name: b"",
        seen_ms,
        active_ms,
        pending,
    })
}

/// An id as two numbers.
fn id(reader: &mut Reader<'_>) -> Result<StreamId> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

/// An id as 16 bytes.
fn raw_id(reader: &mut Reader<'_>) -> Result<StreamId> {
    reader.array().map(StreamId::from_bytes)
}

/// A time that has come; one before 1970 is as good as that.
fn time(reader: &mut Reader<'_>) -> Result<u64> {
    reader.unix_ms().map(|unix_ms| unix_ms.max(0) as u64)
}

/// The payload of a stream.
pub(super) fn write(stream: &Stream) -> Vec<u8> {
    let mut writer = Writer::new(forms::STREAM);
    let blocks = stream.entries.blocks();
    writer.length(blocks.len() as u64);
    for (first, listpack) in blocks {
        writer.length(ID_BYTES);
        writer.raw(&first.to_bytes());
        writer.blob(listpack);
    }
    writer.length(stream.entries.len());
    write_id(&mut writer, stream.entries.last_id());
    writer.length(stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        writer.string(name);
        write_group(&mut writer, group);
    }
    writer.finish(VERSION)
}

fn write_group(writer: &mut Writer, group: &Group) {
    write_id(writer, group.last_id);
    writer.length(group.pending().len() as u64);
    for (id, pending) in group.pending() {
        writer.raw(&id.to_bytes());
        writer.unix_ms(pending.delivered_ms);
        writer.length(pending.deliveries);
    }
    writer.length(group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        writer.string(name);
        write_consumer(writer, consumer);
    }
}

fn write_consumer(writer: &mut Writer, consumer: &Consumer) {
    writer.unix_ms(consumer.seen_ms);
    writer.length(consumer.pending().len() as u64);
    for id in consumer.pending() {
        writer.raw(&id.to_bytes());
    }
}

fn write_id(writer: &mut Writer, id: StreamId) {
    writer.length(id.ms);
    writer.length(id.seq);
}
