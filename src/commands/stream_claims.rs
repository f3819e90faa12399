//! Commands by which a consumer of a stream takes over what another has not acknowledged.

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use super::stream_ids::{self, reply_entry, reply_id};
use crate::resp::Reply;
use crate::resp::number::parse_i64;
use crate::store::Class;
use crate::values::stream::{Entries, Group, Stream, StreamId};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("XAUTOCLAIM", -6, "key group consumer min-idle-time start:string [COUNT count] [JUSTID]", &[key_at(1, REDUCE)],
                 WRITE.or(FAST), "6.2.0", "O(1) if the count is small", Handler::Key(xautoclaim),
                 "Gives a consumer pending entries that were not acknowledged for long.")
        .tips(&["nondeterministic_output"]),
    Command::new("XCLAIM", -6, "key group consumer min-idle-time id [id ...] [IDLE ms:integer] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
                 &[key_at(1, EDIT)], WRITE.or(FAST), "5.0.0", "O(log N) in the group's pending entries", Handler::Key(xclaim),
                 "Gives a consumer pending entries of others.")
        .tips(&["nondeterministic_output"]),
];

/// On which terms a consumer takes entries over.
struct Terms {
    /// What an entry's idle time must be; 0 for any.
    idle_min_ms: i64,
    just_ids: bool,
    /// When the entries count as delivered.
    delivered_ms: u64,
    /// How often they count as delivered, if that is told.
    deliveries: Option<u64>,
    now_ms: u64,
}

impl Terms {
    fn new(idle_min_ms: i64, now_ms: u64) -> Self {
        Self {
            idle_min_ms: idle_min_ms.max(0),
            just_ids: false,
            delivered_ms: now_ms,
            deliveries: None,
            now_ms,
        }
    }
}

/// A consumer that takes over pending entries.
struct Claimer<'c, 'r> {
    consumer: &'r [u8],
    terms: &'c Terms,
    reply: &'c mut Reply<'r>,
    /// Whether the consumer was looked up, or added, already.
    seen: bool,
    outcome: Outcome,
}

/// What became of a claim.
#[derive(Default)]
struct Outcome {
    changes: u64,
    consumer_added: bool,
    claimed: usize,
}

impl<'c, 'r> Claimer<'c, 'r> {
    fn new(consumer: &'r [u8], terms: &'c Terms, reply: &'c mut Reply<'r>) -> Self {
        Self {
            consumer,
            terms,
            reply,
            seen: false,
            outcome: Outcome::default(),
        }
    }

    /// Gives the consumer the entry `id` and writes it. One that is not pending is left unless `force` is set; one
    /// that is not idle for long enough is left. Tells whether it was given.
    fn claim(&mut self, group: &mut Group, entries: &Entries, id: StreamId, force: bool) -> bool {
        let terms = self.terms;
        let pending = group.pending().get(&id);
        let is_busy = |idle_ms: i64| terms.idle_min_ms > 0 && idle_ms < terms.idle_min_ms;
        if pending.map_or(!force, |pending| is_busy(pending.idle_ms(terms.now_ms))) {
            return false;
        }
        // An entry that is made pending counts as delivered once before.
        let deliveries = pending.map_or(1, |pending| pending.deliveries);
        let deliveries = deliveries.wrapping_add(u64::from(!terms.just_ids));
        self.see_consumer(group);
        group.assign(
            id,
            self.consumer,
            terms.delivered_ms,
            terms.deliveries.unwrap_or(deliveries),
        );
        group.mark_active(self.consumer, terms.now_ms);
        match entries.get(id) {
            Some(entry) if !terms.just_ids => reply_entry(self.reply, &entry),
            _ => reply_id(self.reply, id),
        }
        self.outcome.changes += 1;
        self.outcome.claimed += 1;
        true
    }

    fn see_consumer(&mut self, group: &mut Group) {
        if !self.seen {
            self.seen = true;
            let added = group.see_consumer(self.consumer, self.terms.now_ms);
            self.outcome.consumer_added = added;
            self.outcome.changes += u64::from(added);
        }
    }

    /// Takes the entry `id` off the pending ones if it is not there any more; tells whether it is not there.
    fn clear(&mut self, group: &mut Group, entries: &Entries, id: StreamId) -> bool {
        let is_gone = !entries.contains(id);
        if is_gone && group.acknowledge(id) {
            self.outcome.changes += 1;
        }
        is_gone
    }
}

fn xclaim(call: &mut KeyCall<'_>) -> Result {
    let (name, consumer) = (call.args.bytes()?, call.args.bytes()?);
    call.key.probe();
    expect_group(call, name)?;
    let options = ClaimOptions::parse(&mut call.args, call.visit.now_ms)?;
    let array = call.reply.open_array();
    let mut claimer = Claimer::new(consumer, &options.terms, &mut call.reply);
    call.key.update::<Stream, _>("", |stream| {
        stream.change_group(name, |group, entries| {
            let moved = options.last_id > group.last_id;
            group.last_id = group.last_id.max(options.last_id);
            for id in &options.ids {
                if !claimer.clear(group, entries, *id) {
                    claimer.claim(group, entries, *id, options.force);
                }
            }
            if moved && claimer.outcome.changes == 0 {
                claimer.outcome.changes = 1;
            }
        });
        ((), claimer.outcome.changes)
    })?;
    let outcome = claimer.outcome;
    call.reply.close_array(array, outcome.claimed);
    tell_added(call, &outcome);
    Ok(())
}

fn expect_group(call: &mut KeyCall<'_>, name: &[u8]) -> Result {
    let key = call.key.name();
    let stream = call.key.peek_as::<Stream>()?;
    match stream.and_then(|stream| stream.group(name)) {
        Some(_) => Ok(()),
        None => Err(Error::no_key_or_group(key, name)),
    }
}

fn tell_added(call: &KeyCall<'_>, outcome: &Outcome) {
    if outcome.consumer_added {
        call.key.notify(Class::STREAM, "xgroup-createconsumer");
    }
}

/// What stands behind the consumer of XCLAIM.
struct ClaimOptions {
    terms: Terms,
    ids: Vec<StreamId>,
    force: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(args: &mut Args<'_>, now_ms: u64) -> Result<Self> {
        let idle_min_ms = parse_i64(args.bytes()?).ok_or(Error::XCLAIM_IDLE_MIN)?;
        let mut options = Self {
            terms: Terms::new(idle_min_ms, now_ms),
            ids: Vec::new(),
            force: false,
            last_id: StreamId::MIN,
        };
        while let Some(id) = args.peek().and_then(|word| StreamId::parse(word, 0)) {
            options.ids.push(id);
            args.next();
        }
        while !args.is_empty() {
            options.take(args)?;
        }
        Ok(options)
    }

    fn take(&mut self, args: &mut Args<'_>) -> Result {
        let has_value = args.len() > 1;
        if args.take_word("FORCE") {
            self.force = true;
        } else if args.take_word("JUSTID") {
            self.terms.just_ids = true;
        } else if has_value && args.take_word("IDLE") {
            let idle_ms = parse_i64(args.bytes()?).ok_or(Error::XCLAIM_IDLE)?;
            self.set_delivered((self.terms.now_ms as i64).wrapping_sub(idle_ms));
        } else if has_value && args.take_word("TIME") {
            let delivered_ms = parse_i64(args.bytes()?).ok_or(Error::XCLAIM_TIME)?;
            self.set_delivered(delivered_ms);
        } else if has_value && args.take_word("RETRYCOUNT") {
            let deliveries = parse_i64(args.bytes()?).ok_or(Error::XCLAIM_RETRY_COUNT)?;
            self.terms.deliveries = u64::try_from(deliveries).ok();
        } else if has_value && args.take_word("LASTID") {
            self.last_id = stream_ids::id(args)?;
        } else {
            return Err(Error::xclaim_option(args.bytes()?));
        }
        Ok(())
    }

    /// A time that is none, or is yet to come, is the present.
    fn set_delivered(&mut self, delivered_ms: i64) {
        let now_ms = self.terms.now_ms;
        self.terms.delivered_ms = u64::try_from(delivered_ms).unwrap_or(now_ms).min(now_ms);
    }
}

fn xautoclaim(call: &mut KeyCall<'_>) -> Result {
    let (name, consumer) = (call.args.bytes()?, call.args.bytes()?);
    call.key.probe();
    let options = AutoclaimOptions::parse(&mut call.args, call.visit.now_ms)?;
    expect_group(call, name)?;
    // The claimed entries stand behind the cursor that is known only after them.
    let mut claimed = Vec::new();
    let mut claims = Reply::new(&mut claimed, call.reply.protocol());
    let mut claimer = Claimer::new(consumer, &options.terms, &mut claims);
    let walk = call.key.update::<Stream, _>("", |stream| {
        let walk = stream.change_group(name, |group, entries| options.walk(&mut claimer, group, entries));
        (walk, claimer.outcome.changes)
    })?;
    let Walk { cursor, gone } = walk.flatten().expect("the group was looked up");
    let outcome = claimer.outcome;
    call.reply.array(3);
    reply_id(&mut call.reply, cursor);
    call.reply.array(outcome.claimed);
    call.reply.encoded(&claimed);
    call.reply.array(gone.len());
    for id in gone {
        reply_id(&mut call.reply, id);
    }
    tell_added(call, &outcome);
    Ok(())
}

/// What stands behind the consumer of XAUTOCLAIM.
struct AutoclaimOptions {
    terms: Terms,
    start: StreamId,
    count: u64,
}

/// Where XAUTOCLAIM goes on the next time (0-0 at the end), and which pending entries were not there any more.
struct Walk {
    cursor: StreamId,
    gone: Vec<StreamId>,
}

impl AutoclaimOptions {
    fn parse(args: &mut Args<'_>, now_ms: u64) -> Result<Self> {
        const COUNT_MAX: i64 = i64::MAX / 16;
        let idle_min_ms = parse_i64(args.bytes()?).ok_or(Error::XAUTOCLAIM_IDLE_MIN)?;
        let mut options = Self {
            terms: Terms::new(idle_min_ms, now_ms),
            start: stream_ids::start(args.bytes()?)?,
            count: 100,
        };
        while !args.is_empty() {
            if args.len() > 1 && args.take_word("COUNT") {
                let count = parse_i64(args.bytes()?).filter(|count| (1..=COUNT_MAX).contains(count));
                options.count = count.ok_or(Error::XAUTOCLAIM_COUNT)? as u64;
            } else if args.take_word("JUSTID") {
                options.terms.just_ids = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    /// Looks at ten times as many pending entries as may be claimed.
    fn walk(&self, claimer: &mut Claimer<'_, '_>, group: &mut Group, entries: &Entries) -> Walk {
        const LOOKS_PER_CLAIM: u64 = 10;
        let (mut looks, mut count) = (self.count * LOOKS_PER_CLAIM, self.count);
        let mut next = Some(self.start);
        let mut gone = Vec::new();
        while looks > 0 && count > 0 {
            let Some(id) = next.and_then(|start| group.next_pending(start)) else {
                break;
            };
            looks -= 1;
            next = id.next();
            if claimer.clear(group, entries, id) {
                gone.push(id);
                count -= 1;
            } else if claimer.claim(group, entries, id, false) {
                count -= 1;
            }
        }
        let cursor = next.and_then(|start| group.next_pending(start));
        Walk {
            cursor: cursor.unwrap_or_default(),
            gone,
        }
    }
}
