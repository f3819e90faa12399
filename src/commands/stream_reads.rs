//! XREAD and XREADGROUP, which may wait for entries.

use smallvec::SmallVec;

use super::args::Args;
use super::call::{HeldKeys, KeysCall};
use super::error::Error;
use super::spec::*;
use super::stream_ids::{reply_entries, reply_entry, reply_id};
use crate::resp::number::parse_i64;
use crate::resp::{ArrayMark, Protocol, Reply};
use crate::store::Class;
use crate::values::stream::{Entries, Group, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("XREAD", -4, "[COUNT count] [BLOCK milliseconds] STREAMS streams=<key [key ...] id [id ...]>", &[keys_behind_word("STREAMS", 1, READ)],
                 READONLY.or(BLOCKING), "5.0.0", "O(N) in the entries returned", Handler::Blocking(xread),
                 "Answers with the entries of several streams behind given ids, and waits for some if there are none."),
    Command::new("XREADGROUP", -7, "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS streams=<key [key ...] id [id ...]>",
                 &[keys_behind_word("STREAMS", 4, READ)], WRITE.or(BLOCKING).or(SEES_REMOVAL), "5.0.0", "O(N) in the entries returned",
                 Handler::Blocking(xreadgroup),
                 "Reads entries of several streams as one consumer of a group, and waits for some if there are none."),
];

/// From where on a stream is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Behind this id; in a group, only what the consumer has not acknowledged.
    Behind(StreamId),
    /// What the group has not read yet.
    Unread,
}

/// One for each stream, in the order of the keys.
type Starts = SmallVec<[Start; 4]>;

fn xread(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let options = ReadOptions::parse(call, false)?;
    let starts = options.starts(call, start_of_read)?;
    let mut answer = Answer::begin(call);
    for (index, start) in starts.iter().enumerate() {
        let Start::Behind(seen) = *start else { continue };
        let woken = call.is_woken();
        let Some(stream) = look(&mut call.keys, index, woken)? else {
            continue;
        };
        if stream.entries.last_live_id() > Some(seen) {
            let start = seen.next().expect("an entry has a higher id");
            let entries = stream.entries.range(start, StreamId::MAX);
            answer.begin_stream(&mut call.reply, options.key(index));
            reply_entries(&mut call.reply, entries.take(options.count));
        }
    }
    Ok(answer.end_or_wait(call, &options, || options.request_from(&starts)))
}

/// What an id of XREAD means. `$` is what the stream has now; `+` its last entry and what comes.
fn start_of_read(word: &[u8], stream: Option<&Stream>) -> Result<Start> {
    let entries = stream.map(|stream| &stream.entries);
    let id = match word {
        b"$" => entries.map(Entries::last_id),
        b"+" => entries
            .and_then(Entries::last_live_id)
            .and_then(StreamId::previous),
        b">" => return Err(Error::XREAD_UNREAD),
        word => Some(StreamId::parse(word, 0).ok_or(Error::STREAM_ID)?),
    };
    Ok(Start::Behind(id.unwrap_or_default()))
}

fn xreadgroup(call: &mut KeysCall<'_>) -> Result<Attempt> {
    let options = ReadOptions::parse(call, true)?;
    let starts = options.starts(call, start_of_group_read)?;
    let mut answer = Answer::begin(call);
    for (index, start) in starts.iter().enumerate() {
        if is_ready(call, index, *start, options.group)? {
            answer.begin_stream(&mut call.reply, options.key(index));
            read_for_group(call, index, *start, &options)?;
        }
    }
    Ok(answer.end_or_wait(call, &options, || None))
}

/// What an id of XREADGROUP means.
fn start_of_group_read(word: &[u8], _: Option<&Stream>) -> Result<Start> {
    match word {
        b"$" => Err(Error::XREADGROUP_LAST),
        b">" => Ok(Start::Unread),
        word => match StreamId::parse(word, 0).ok_or(Error::STREAM_ID)? {
            // Redis has the same word for both.
            StreamId::MAX => Ok(Start::Unread),
            id => Ok(Start::Behind(id)),
        },
    }
}

/// Whether there is something to reply of a stream; of what a consumer has, that may be nothing.
fn is_ready(call: &mut KeysCall<'_>, index: usize, start: Start, group: &[u8]) -> Result<bool> {
    let woken = call.is_woken();
    let Some(stream) = look(&mut call.keys, index, woken)? else {
        return Ok(false);
    };
    let group = stream.group(group).expect("the group was looked up");
    Ok(start != Start::Unread || stream.entries.last_live_id() > Some(group.last_id))
}

fn read_for_group(call: &mut KeysCall<'_>, index: usize, start: Start, options: &ReadOptions<'_>) -> Result {
    let now_ms = call.visit.now_ms;
    let reply = &mut call.reply;
    let mut key = call.keys.get(index);
    let added = key.update::<Stream, _>("", |stream| {
        let added = stream.change_group(options.group, |group, entries| {
            let added = group.see_consumer(options.consumer, now_ms);
            match start {
                Start::Behind(id) => reply_history(reply, group, entries, id, options, now_ms),
                Start::Unread => reply_unread(reply, group, entries, options, now_ms),
            }
            added
        });
        let added = added == Some(true);
        (added, 1 + u64::from(added))
    })?;
    if added == Some(true) {
        key.notify(Class::STREAM, "xgroup-createconsumer");
    }
    Ok(())
}

/// Gives a consumer again what it has not acknowledged; of entries that are not there any more, the ids.
fn reply_history(
    reply: &mut Reply<'_>,
    group: &mut Group,
    entries: &Entries,
    behind: StreamId,
    options: &ReadOptions<'_>,
    now_ms: u64,
) {
    let start = behind.next().expect("the highest id means something else");
    let ids = group.history(options.consumer, start, options.count);
    reply.array(ids.len());
    for id in ids {
        if let Some(entry) = entries.get(id) {
            reply_entry(reply, &entry);
            group.deliver_again(id, now_ms);
        } else {
            reply.array(2);
            reply_id(reply, id);
            reply.null_array();
        }
    }
}

/// Gives a consumer what nobody of the group has read.
fn reply_unread(
    reply: &mut Reply<'_>,
    group: &mut Group,
    entries: &Entries,
    options: &ReadOptions<'_>,
    now_ms: u64,
) {
    let start = group.last_id.next().expect("an entry has a higher id");
    let array = reply.open_array();
    let mut count = 0;
    for entry in entries.range(start, StreamId::MAX).take(options.count) {
        reply_entry(reply, &entry);
        group.advance(entry.id, entries);
        if options.acknowledge_later {
            group.assign(entry.id, options.consumer, now_ms, 1);
        }
        count += 1;
    }
    reply.close_array(array, count);
    group.mark_active(options.consumer, now_ms);
}

/// The stream of a key. When the command runs again, a key that became something else counts as missing.
fn look<'k>(keys: &'k mut HeldKeys<'_>, index: usize, woken: bool) -> Result<Option<&'k Stream>> {
    if woken {
        return Ok(keys.peek_as(index).unwrap_or_default());
    }
    keys.get(index).probe();
    keys.peek_as(index)
}

/// The streams that were found to have something.
struct Answer {
    array: ArrayMark,
    streams: usize,
}

impl Answer {
    fn begin(call: &mut KeysCall<'_>) -> Self {
        Self {
            array: call.reply.open_array(),
            streams: 0,
        }
    }

    /// Writes the name of a stream; its entries follow.
    fn begin_stream(&mut self, reply: &mut Reply<'_>, key: &[u8]) {
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
        self.streams += 1;
    }

    /// Ends the reply; if no stream had anything, waits, if that was asked for.
    fn end_or_wait(
        self,
        call: &mut KeysCall<'_>,
        options: &ReadOptions<'_>,
        request: impl FnOnce() -> Option<Vec<Box<[u8]>>>,
    ) -> Attempt {
        match (self.streams, options.timeout_ms) {
            (0, Some(timeout_ms)) => {
                return Attempt::Block(Wait {
                    timeout_ms,
                    on_timeout: |reply| reply.null_array(),
                    on_refusal: |reply| reply.null_array(),
                    request: request(),
                });
            }
            (0, None) => call.reply.null_array(),
            (streams, _) if call.reply.protocol() == Protocol::Resp2 => {
                call.reply.close_array(self.array, streams);
            }
            (streams, _) => call.reply.close_map(self.array, streams),
        }
        Attempt::Done
    }
}

/// What stands in front of the ids.
struct ReadOptions<'r> {
    /// Whether a consumer of a group reads; if not, there are no names of either.
    in_group: bool,
    group: &'r [u8],
    consumer: &'r [u8],
    /// Most entries of a stream.
    count: usize,
    timeout_ms: Option<u64>,
    acknowledge_later: bool,
    /// The keys, and as many ids.
    streams: Args<'r>,
}

impl<'r> ReadOptions<'r> {
    /// Most entries that a command which has waited returns of a stream, if it did not say how many.
    const WOKEN_COUNT: usize = 1000;

    fn parse(call: &KeysCall<'r>, in_group: bool) -> Result<Self> {
        let mut args = call.args;
        let mut options = Self {
            in_group,
            group: b"",
            consumer: b"",
            count: if call.is_woken() {
                Self::WOKEN_COUNT
            } else {
                usize::MAX
            },
            timeout_ms: None,
            acknowledge_later: true,
            streams: args,
        };
        let mut has_group = false;
        while args.len() < 2 || !args.take_word("STREAMS") {
            has_group |= options.take(&mut args)?;
        }
        if !args.len().is_multiple_of(2) {
            return Err(Error::XREAD_UNBALANCED);
        }
        if in_group && !has_group {
            return Err(Error::XREADGROUP_WITHOUT_GROUP);
        }
        Ok(Self {
            streams: args,
            ..options
        })
    }

    /// Takes one option; tells whether it was the group.
    fn take(&mut self, args: &mut Args<'r>) -> Result<bool> {
        let has_value = args.len() > 1;
        if has_value && args.take_word("BLOCK") {
            let ms = parse_i64(args.bytes()?).ok_or(Error::TIMEOUT_NOT_AN_INTEGER)?;
            self.timeout_ms = Some(u64::try_from(ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?);
        } else if has_value && args.take_word("COUNT") {
            if let count @ 1.. = args.integer()? {
                self.count = count as usize;
            }
        } else if args.len() > 2 && args.take_word("GROUP") {
            if !self.in_group {
                return Err(Error::XREAD_GROUP);
            }
            (self.group, self.consumer) = (args.bytes()?, args.bytes()?);
            return Ok(true);
        } else if args.take_word("NOACK") {
            if !self.in_group {
                return Err(Error::XREAD_NOACK);
            }
            self.acknowledge_later = false;
        } else {
            return Err(Error::Syntax);
        }
        Ok(false)
    }

    /// The key of a stream.
    fn key(&self, index: usize) -> &'r [u8] {
        let request = self.streams.request();
        request.arg(request.len() - self.streams.len() + index)
    }

    /// Reads the ids. Fails where a stream or its group is missing that must be there.
    fn starts(
        &self,
        call: &mut KeysCall<'_>,
        parse: fn(&[u8], Option<&Stream>) -> Result<Start>,
    ) -> Result<Starts> {
        let count = self.streams.len() / 2;
        // Where something else is called like the word in front of the keys, the row finds other keys.
        let keys = &mut call.keys;
        if keys.len() != count || !(0..count).all(|index| keys.get(index).name() == self.key(index)) {
            return Err(Error::Syntax);
        }
        let mut starts = Starts::new();
        for (index, word) in self.streams.skip(count).enumerate() {
            let woken = call.is_woken();
            let stream = look(&mut call.keys, index, woken)?;
            if self.in_group {
                self.expect_group(stream, self.key(index), woken)?;
            }
            starts.push(parse(word, stream)?);
        }
        Ok(starts)
    }

    fn expect_group(&self, stream: Option<&Stream>, key: &[u8], woken: bool) -> Result {
        match stream.map(|stream| stream.group(self.group).is_some()) {
            Some(true) => Ok(()),
            None if woken => Err(Error::stream_gone()),
            Some(false) if woken => Err(Error::group_gone()),
            _ => Err(Error::no_group_to_read(key, self.group)),
        }
    }

    /// The words of the request with the ids that `$` and `+` stood for, where there are any.
    fn request_from(&self, starts: &Starts) -> Option<Vec<Box<[u8]>>> {
        let request = self.streams.request();
        let ids_at = request.len() - starts.len();
        let mut words: Vec<Box<[u8]>> = (0..request.len()).map(|at| request.arg(at).into()).collect();
        let mut is_changed = false;
        for (word, start) in words[ids_at..].iter_mut().zip(starts) {
            if let (b"$" | b"+", Start::Behind(id)) = (&**word, start) {
                *word = id.text().as_bytes().into();
                is_changed = true;
            }
        }
        is_changed.then_some(words)
    }
}
