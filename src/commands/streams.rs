//! Commands on the entries of a stream. The structure itself is [`crate::values::stream`].

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use super::stream_ids::{self, reply_entries, reply_id};
use super::stream_trim::TrimOptions;
use crate::services::Services;
use crate::store::Class;
use crate::values::stream::{AppendError, BLOCK_BYTES_MAX, IdRequest, NodeLimits, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("XADD", -5, "key [NOMKSTREAM] trim=[strategy=<MAXLEN | MINID> operator=[equal== | approximately=~] threshold [LIMIT count]] id_or_auto=<auto_id=* | id> field value [field value ...]",
                 &[key_at(1, EDIT)], WRITE.or(GROWS).or(FAST), "5.0.0", "O(1), plus O(N) in the entries that are trimmed", Handler::Key(xadd),
                 "Appends an entry to a stream, and creates the stream if it is not there.")
        .tips(&["nondeterministic_output"]),
    Command::new("XLEN", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "5.0.0", "O(1)", Handler::Key(xlen),
                 "Counts the entries of a stream."),
    Command::new("XRANGE", -4, "key start:string end:string [COUNT count]", &[key_at(1, READ)], READONLY.or(NULL_ARRAYS), "5.0.0",
                 "O(N) in the entries returned", Handler::Key(xrange), "Answers with the entries between two ids."),
    Command::new("XREVRANGE", -4, "key end:string start:string [COUNT count]", &[key_at(1, READ)], READONLY.or(NULL_ARRAYS), "5.0.0",
                 "O(N) in the entries returned", Handler::Key(xrevrange), "Answers with the entries between two ids, the last one first."),
    Command::new("XSETID", -3, "key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]",
                 &[key_at(1, EDIT)], WRITE.or(GROWS).or(FAST), "5.0.0", "O(1)", Handler::Key(xsetid),
                 "Sets the last id of a stream; for replication."),
    Command::new("XTRIM", -4, "key trim=<strategy=<MAXLEN | MINID> operator=[equal== | approximately=~] threshold [LIMIT count]>",
                 &[key_at(1, REDUCE)], WRITE, "5.0.0", "O(N) in the entries removed", Handler::Key(xtrim),
                 "Removes the oldest entries of a stream.")
        .tips(&["nondeterministic_output"]),
];

/// When a block of a stream is full, by the settings.
fn node_limits(services: &Services) -> NodeLimits {
    let encodings = &services.config.load().encodings;
    NodeLimits {
        bytes_max: encodings.stream_node_bytes_max,
        entries_max: encodings.stream_node_entries_max,
    }
}

fn xadd(call: &mut KeyCall<'_>) -> Result {
    let limits = node_limits(call.services);
    let (options, request) = TrimOptions::of_xadd(&mut call.args, limits.entries_max)?;
    let words = call.args;
    let request = request.filter(|_| words.len() >= 2 && words.len().is_multiple_of(2));
    let request = request.ok_or_else(|| Error::Arity("xadd".into()))?;
    if request == IdRequest::Exact(StreamId::MIN) {
        return Err(Error::XADD_ZERO);
    }
    if call.key.peek_as::<Stream>()?.is_none() && !may_create(call, words, &options)? {
        call.reply.null();
        return Ok(());
    }
    let now_ms = call.visit.now_ms;
    let added = call.key.upsert::<Stream, _>("xadd", |stream| {
        let added = append(stream, request, now_ms, words, limits);
        let added = added.map(|id| (id, options.apply(stream)));
        (added, u64::from(added.is_ok()))
    })?;
    let (id, trimmed) = added?;
    if trimmed > 0 {
        call.key.notify(Class::STREAM, "xtrim");
    }
    reply_id(&mut call.reply, id);
    Ok(())
}

/// Whether XADD creates its stream. Fails where the first entry would, as then nothing is created.
fn may_create(call: &KeyCall<'_>, words: Args<'_>, options: &TrimOptions) -> Result<bool> {
    debug_assert!(!call.key.exists(), "a stream that is there needs not be created");
    if options.no_create {
        return Ok(false);
    }
    let bytes = words.map(<[u8]>::len).sum::<usize>();
    if bytes > BLOCK_BYTES_MAX {
        return Err(AppendError::TooLarge.into());
    }
    Ok(true)
}

fn append(
    stream: &mut Stream,
    request: IdRequest,
    now_ms: u64,
    words: Args<'_>,
    limits: NodeLimits,
) -> std::result::Result<StreamId, AppendError> {
    let id = stream.entries.next_id(request, now_ms)?;
    stream.entries.append(id, words, limits)?;
    Ok(id)
}

fn xlen(call: &mut KeyCall<'_>) -> Result {
    let stream = call.key.read_as::<Stream>()?;
    call.reply
        .integer(stream.map_or(0, |stream| stream.entries.len() as i64));
    Ok(())
}

fn xrange(call: &mut KeyCall<'_>) -> Result {
    let (start, end) = (call.args.bytes()?, call.args.bytes()?);
    let range = Range::parse(start, end, &mut call.args)?;
    reply_range(call, &range, false)
}

fn xrevrange(call: &mut KeyCall<'_>) -> Result {
    let (end, start) = (call.args.bytes()?, call.args.bytes()?);
    let range = Range::parse(start, end, &mut call.args)?;
    reply_range(call, &range, true)
}

/// What XRANGE was asked for.
struct Range {
    start: StreamId,
    end: StreamId,
    count: Option<usize>,
}

impl Range {
    fn parse(start: &[u8], end: &[u8], args: &mut Args<'_>) -> Result<Self> {
        let (start, end) = (stream_ids::start(start)?, stream_ids::end(end)?);
        let mut count = None;
        while !args.is_empty() {
            if args.len() < 2 || !args.take_word("COUNT") {
                return Err(Error::Syntax);
            }
            // What -1 means to Redis itself.
            count = match args.integer()? {
                wanted @ 0.. => Some(wanted as usize),
                _ => Some(0),
            };
        }
        Ok(Self { start, end, count })
    }
}

fn reply_range(call: &mut KeyCall<'_>, range: &Range, reverse: bool) -> Result {
    let Some(stream) = call.key.read_as::<Stream>()? else {
        call.reply.array(0);
        return Ok(());
    };
    let count = range.count.unwrap_or(usize::MAX);
    if count == 0 {
        call.reply.null_array();
    } else if reverse {
        let entries = stream.entries.range_back(range.start, range.end);
        reply_entries(&mut call.reply, entries.take(count));
    } else {
        let entries = stream.entries.range(range.start, range.end);
        reply_entries(&mut call.reply, entries.take(count));
    }
    Ok(())
}

fn xtrim(call: &mut KeyCall<'_>) -> Result {
    let limits = node_limits(call.services);
    let options = TrimOptions::of_xtrim(&mut call.args, limits.entries_max)?;
    let trimmed = call.key.update::<Stream, _>("xtrim", |stream| {
        let trimmed = options.apply(stream);
        (trimmed, trimmed)
    })?;
    call.reply.integer(trimmed.unwrap_or(0) as i64);
    Ok(())
}

fn xsetid(call: &mut KeyCall<'_>) -> Result {
    let ids = Ids::parse(&mut call.args)?;
    let Some(stream) = call.key.peek_as::<Stream>()? else {
        return Err(Error::NoSuchKey);
    };
    let entries = &stream.entries;
    if entries.last_live_id().is_some_and(|last| last > ids.last) {
        return Err(Error::XSETID_BELOW_TOP);
    }
    if ids.added.is_some_and(|added| added < entries.len()) {
        return Err(Error::XSETID_BELOW_LENGTH);
    }
    call.key.update::<Stream, _>("xsetid", |stream| {
        (stream.entries.set_ids(ids.last, ids.added, ids.max_deleted), 1)
    })?;
    call.reply.ok();
    Ok(())
}

/// What XSETID sets.
struct Ids {
    last: StreamId,
    added: Option<u64>,
    max_deleted: Option<StreamId>,
}

impl Ids {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let last = stream_ids::id(args)?;
        let mut ids = Self {
            last,
            added: None,
            max_deleted: None,
        };
        while !args.is_empty() {
            let has_value = args.len() > 1;
            if has_value && args.take_word("ENTRIESADDED") {
                let added = u64::try_from(args.integer()?).map_err(|_| Error::XSETID_ADDED_NEGATIVE)?;
                ids.added = Some(added);
            } else if has_value && args.take_word("MAXDELETEDID") {
                let max_deleted = stream_ids::id(args)?;
                if max_deleted > last {
                    return Err(Error::XSETID_BELOW_DELETED);
                }
                ids.max_deleted = Some(max_deleted).filter(|id| *id != StreamId::MIN);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(ids)
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotGreater => Self::XADD_NOT_GREATER,
            AppendError::Exhausted => Self::XADD_EXHAUSTED,
            AppendError::TooLarge => Self::XADD_TOO_LARGE,
        }
    }
}
