//! Commands on one list. What a list is stands in [`crate::values::list`].

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::Reply;
use crate::services::Services;
use crate::values::list::{ChunkLimit, End, List};
use crate::values::positions::{index_among, range_among};

const ADDED_TO: &[Keys] = &[key_at(1, EXTEND)];
const TAKEN_FROM: &[Keys] = &[key_at(1, TAKE)];
const SHORTENED: &[Keys] = &[key_at(1, REDUCE)];
const READ_ONLY: &[Keys] = &[key_at(1, READ)];

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("LINDEX", 3, "key index", READ_ONLY, READONLY, "1.0.0", "O(N) in the distance from the nearer end, in steps of many elements",
                 Handler::Key(lindex), "Answers with the element at an index."),
    Command::new("LINSERT", 5, "key where=<BEFORE | AFTER> pivot element", ADDED_TO, WRITE.or(GROWS), "2.2.0",
                 "O(N) in the elements before the pivot", Handler::Key(linsert), "Puts an element before or behind the first that is equal to another."),
    Command::new("LLEN", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "1.0.0", "O(1)", Handler::Key(llen),
                 "Counts the elements of a list."),
    Command::new("LPOP", -2, "key [count]", TAKEN_FROM, WRITE.or(FAST).or(NULL_ARRAYS), "1.0.0", "O(N) in the elements taken", Handler::Key(lpop),
                 "Takes the first elements out of a list."),
    Command::new("LPOS", -3, "key element [RANK rank] [COUNT num-matches:integer] [MAXLEN len]", READ_ONLY, READONLY, "6.0.6",
                 "O(N) in the elements looked at", Handler::Key(lpos), "Tells at which indexes an element stands."),
    Command::new("LPUSH", -3, "key element [element ...]", ADDED_TO, WRITE.or(GROWS).or(FAST), "1.0.0", "O(1) for each element",
                 Handler::Key(lpush), "Puts elements in front of a list, one after the other."),
    Command::new("LPUSHX", -3, "key element [element ...]", ADDED_TO, WRITE.or(GROWS).or(FAST), "2.2.0", "O(1) for each element",
                 Handler::Key(lpushx), "Puts elements in front of a list, but only if there is one."),
    Command::new("LRANGE", 4, "key start stop", READ_ONLY, READONLY, "1.0.0", "O(S+N): S to the start, in steps of many elements, N in the elements returned",
                 Handler::Key(lrange), "Answers with the elements between two indexes, both included."),
    Command::new("LREM", 4, "key count element", SHORTENED, WRITE, "1.0.0", "O(N) in the elements of the list", Handler::Key(lrem),
                 "Removes elements that are equal to another."),
    Command::new("LSET", 4, "key index element", &[key_at(1, EDIT)], WRITE.or(GROWS), "1.0.0",
                 "O(N) in the distance from the nearer end, in steps of many elements", Handler::Key(lset), "Replaces the element at an index."),
    Command::new("LTRIM", 4, "key start stop", SHORTENED, WRITE, "1.0.0", "O(N) in the elements removed", Handler::Key(ltrim),
                 "Keeps the elements between two indexes, both included, and removes the others."),
    Command::new("RPOP", -2, "key [count]", TAKEN_FROM, WRITE.or(FAST).or(NULL_ARRAYS), "1.0.0", "O(N) in the elements taken", Handler::Key(rpop),
                 "Takes the last elements out of a list."),
    Command::new("RPUSH", -3, "key element [element ...]", ADDED_TO, WRITE.or(GROWS).or(FAST), "1.0.0", "O(1) for each element",
                 Handler::Key(rpush), "Puts elements behind a list."),
    Command::new("RPUSHX", -3, "key element [element ...]", ADDED_TO, WRITE.or(GROWS).or(FAST), "2.2.0", "O(1) for each element",
                 Handler::Key(rpushx), "Puts elements behind a list, but only if there is one."),
];

/// The limit of chunks that the settings ask for.
pub(super) fn chunk_limit(services: &Services) -> ChunkLimit {
    ChunkLimit::from_setting(services.config.load().encodings.list_packed_size.into())
}

/// The event of an element put at `end`.
pub(super) fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// The event of an element taken from `end`.
pub(super) fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

fn lpush(call: &mut KeyCall<'_>) -> Result {
    push(call, End::Front)
}

fn rpush(call: &mut KeyCall<'_>) -> Result {
    push(call, End::Back)
}

fn push(call: &mut KeyCall<'_>, end: End) -> Result {
    let (limit, elements) = (chunk_limit(call.services), call.args);
    let len = call
        .key
        .upsert(push_event(end), |list| push_all(list, end, elements, limit))?;
    call.reply.integer(len as i64);
    Ok(())
}

/// Gives the length that results, and the number of changes.
fn push_all(list: &mut List, end: End, elements: Args<'_>, limit: ChunkLimit) -> (usize, u64) {
    let changes = elements.len() as u64;
    elements.for_each(|element| list.push(end, element, limit));
    (list.len(), changes)
}

fn lpushx(call: &mut KeyCall<'_>) -> Result {
    push_to_existing(call, End::Front)
}

fn rpushx(call: &mut KeyCall<'_>) -> Result {
    push_to_existing(call, End::Back)
}

fn push_to_existing(call: &mut KeyCall<'_>, end: End) -> Result {
    let (limit, elements) = (chunk_limit(call.services), call.args);
    let len = call
        .key
        .update(push_event(end), |list| push_all(list, end, elements, limit))?;
    call.reply.integer(len.unwrap_or(0) as i64);
    Ok(())
}

fn lpop(call: &mut KeyCall<'_>) -> Result {
    pop(call, End::Front, "lpop")
}

fn rpop(call: &mut KeyCall<'_>) -> Result {
    pop(call, End::Back, "rpop")
}

fn pop(call: &mut KeyCall<'_>, end: End, command: &str) -> Result {
    if call.args.len() > 1 {
        return Err(Error::Arity(command.into()));
    }
    if !call.args.is_empty() {
        return pop_several(call, end);
    }
    let KeyCall { key, reply, .. } = call;
    let popped = key.update(pop_event(end), |list: &mut List| {
        (list.pop(end, |element| reply.bulk(element)), 1)
    })?;
    if popped.is_none() {
        reply.null();
    }
    Ok(())
}

fn pop_several(call: &mut KeyCall<'_>, end: End) -> Result {
    let count = call.args.at_least(0, Error::NOT_POSITIVE)?;
    let KeyCall { key, reply, .. } = call;
    let popped = key.update(pop_event(end), |list| ((), pop_into(reply, list, end, count)))?;
    if popped.is_none() {
        reply.null_array();
    }
    Ok(())
}

/// Takes `count` elements, or as many as there are, and replies with them; gives how many those were.
pub(super) fn pop_into(reply: &mut Reply<'_>, list: &mut List, end: End, count: usize) -> u64 {
    let len = list.len();
    let count = count.min(len);
    reply.array(count);
    match end {
        End::Front => list.range(0..count).for_each(|element| reply.bulk(element)),
        End::Back => list
            .range_back(len - count..len)
            .for_each(|element| reply.bulk(element)),
    }
    list.remove_from(end, count);
    count as u64
}

fn llen(call: &mut KeyCall<'_>) -> Result {
    let len = call.key.read_as::<List>()?.map_or(0, List::len);
    call.reply.integer(len as i64);
    Ok(())
}

fn lindex(call: &mut KeyCall<'_>) -> Result {
    // Redis looks at the number only if there is a list.
    let Some(list) = call.key.read_as::<List>()? else {
        call.reply.null();
        return Ok(());
    };
    let index = index_among(list.len(), call.args.integer()?);
    match index.and_then(|index| list.get(index)) {
        Some(element) => call.reply.bulk(element),
        None => call.reply.null(),
    }
    Ok(())
}

fn lrange(call: &mut KeyCall<'_>) -> Result {
    let (start, stop) = (call.args.integer()?, call.args.integer()?);
    let Some(list) = call.key.read_as::<List>()? else {
        call.reply.array(0);
        return Ok(());
    };
    let range = range_among(list.len(), start, stop);
    call.reply.array(range.len());
    list.range(range).for_each(|element| call.reply.bulk(element));
    Ok(())
}

fn lset(call: &mut KeyCall<'_>) -> Result {
    let len = call.key.peek_as::<List>()?.map(List::len);
    let len = len.ok_or(Error::NoSuchKey)?;
    let index = index_among(len, call.args.integer()?).ok_or(Error::INDEX_OUT_OF_RANGE)?;
    let (element, limit) = (call.args.bytes()?, chunk_limit(call.services));
    call.key
        .update("lset", |list: &mut List| (list.set(index, element, limit), 1))?;
    call.reply.ok();
    Ok(())
}

fn linsert(call: &mut KeyCall<'_>) -> Result {
    let behind = usize::from(take_whether_behind(&mut call.args)?);
    let (pivot, element) = (call.args.bytes()?, call.args.bytes()?);
    let limit = chunk_limit(call.services);
    let len = call.key.update("linsert", |list: &mut List| {
        match list.iter().position(|other| other == pivot) {
            Some(index) => {
                list.insert(index + behind, element, limit);
                (list.len() as i64, 1)
            }
            None => (-1, 0),
        }
    })?;
    call.reply.integer(len.unwrap_or(0));
    Ok(())
}

fn take_whether_behind(args: &mut Args<'_>) -> Result<bool> {
    if args.take_word("AFTER") {
        Ok(true)
    } else if args.take_word("BEFORE") {
        Ok(false)
    } else {
        Err(Error::Syntax)
    }
}

/// A positive count is for the first equal elements, a negative one for the last, 0 for all.
fn lrem(call: &mut KeyCall<'_>) -> Result {
    let (count, element) = (call.args.integer()?, call.args.bytes()?);
    let end = if count < 0 { End::Back } else { End::Front };
    let most = match count.unsigned_abs() {
        0 => usize::MAX,
        most => most as usize,
    };
    let limit = chunk_limit(call.services);
    let removed = call.key.update("lrem", |list: &mut List| {
        let removed = list.remove_equal(element, end, most, limit);
        (removed, removed as u64)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn ltrim(call: &mut KeyCall<'_>) -> Result {
    let (start, stop) = (call.args.integer()?, call.args.integer()?);
    call.key.update("ltrim", |list: &mut List| {
        let len = list.len();
        let kept = range_among(len, start, stop);
        list.remove_from(End::Back, len - kept.end);
        list.remove_from(End::Front, kept.start);
        // Redis tells of it even where nothing was to be removed.
        ((), ((len - kept.len()) as u64).max(1))
    })?;
    call.reply.ok();
    Ok(())
}

fn lpos(call: &mut KeyCall<'_>) -> Result {
    let element = call.args.bytes()?;
    let sought = Sought::parse(&mut call.args)?;
    let KeyCall { key, reply, .. } = call;
    let list = key.read_as::<List>()?;
    let mut indexes = list.into_iter().flat_map(|list| sought.indexes(list, element));
    if let Some(count) = sought.count {
        let mark = reply.open_array();
        let len = indexes
            .take(count)
            .map(|index| reply.integer(index as i64))
            .count();
        reply.close_array(mark, len);
    } else if let Some(index) = indexes.next() {
        reply.integer(index as i64);
    } else {
        reply.null();
    }
    Ok(())
}

/// Options of LPOS.
struct Sought {
    /// Where the search begins.
    from: End,
    /// How many equal elements are passed over.
    skipped: usize,
    /// How many to reply with, as an array.
    count: Option<usize>,
    /// How many elements to look at.
    looked_at_max: usize,
}

impl Sought {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let mut sought = Self {
            from: End::Front,
            skipped: 0,
            count: None,
            looked_at_max: usize::MAX,
        };
        while !args.is_empty() {
            if args.len() == 1 {
                return Err(Error::Syntax);
            }
            if args.take_word("RANK") {
                sought.set_rank(args.integer()?)?;
            } else if args.take_word("COUNT") {
                sought.count = Some(unbounded_if_zero(args.at_least(0, Error::COUNT_NEGATIVE)?));
            } else if args.take_word("MAXLEN") {
                sought.looked_at_max = unbounded_if_zero(args.at_least(0, Error::MAXLEN_NEGATIVE)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(sought)
    }

    fn set_rank(&mut self, rank: i64) -> Result {
        match rank {
            0 => return Err(Error::RANK_ZERO),
            i64::MIN => return Err(Error::not_between(-i64::MAX, i64::MAX)),
            _ => {}
        }
        self.from = if rank < 0 { End::Back } else { End::Front };
        self.skipped = rank.unsigned_abs() as usize - 1;
        Ok(())
    }

    /// The indexes of the elements sought, in the order in which they are met.
    fn indexes<'l>(&self, list: &'l List, element: &'l [u8]) -> impl Iterator<Item = usize> + use<'l> {
        let mut elements = list.iter().enumerate();
        let from = self.from;
        let in_order = std::iter::from_fn(move || match from {
            End::Front => elements.next(),
            End::Back => elements.next_back(),
        });
        in_order
            .take(self.looked_at_max)
            .filter(move |(_, other)| *other == element)
            .skip(self.skipped)
            .map(|(index, _)| index)
    }
}

fn unbounded_if_zero(number: usize) -> usize {
    if number == 0 { usize::MAX } else { number }
}
