//! Members of a sorted set, and their scores and ranks.

use smallvec::SmallVec;

use super::{limits, reply_score, score};
use crate::commands::args::Args;
use crate::commands::call::KeyCall;
use crate::commands::error::Error;
use crate::commands::scan_options::{Page, ScanOptions, parse_cursor};
use crate::commands::spec::*;
use crate::resp::number::format_f64;
use crate::values::packed::PackedLimits;
use crate::values::sorted_set::{SortedSet, is_same_score};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("ZADD", -4, "key condition=[NX | XX] comparison=[GT | LT] [change=CH] [increment=INCR] score member [score member ...]",
                 &[key_at(1, EDIT)], WRITE.or(GROWS).or(FAST), "1.2.0", "O(log N) a member", Handler::Key(zadd),
                 "Adds members to a sorted set, or gives them other scores."),
    Command::new("ZCARD", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "1.2.0", "O(1)", Handler::Key(zcard),
                 "Counts the members of a sorted set."),
    Command::new("ZINCRBY", 4, "key increment member", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.2.0", "O(log N)", Handler::Key(zincrby),
                 "Adds to the score of a member."),
    Command::new("ZMSCORE", -3, "key member [member ...]", &[key_at(1, READ)], READONLY.or(FAST), "6.2.0", "O(1) a member", Handler::Key(zmscore),
                 "Tells the scores of several members."),
    Command::new("ZRANK", -3, "key member [WITHSCORE]", &[key_at(1, READ)], READONLY.or(FAST), "2.0.0", "O(log N)", Handler::Key(zrank),
                 "Tells how many members stand before one."),
    Command::new("ZREM", -3, "key member [member ...]", &[key_at(1, REDUCE)], WRITE.or(FAST), "1.2.0", "O(log N) a member", Handler::Key(zrem),
                 "Removes members from a sorted set."),
    Command::new("ZREVRANK", -3, "key member [WITHSCORE]", &[key_at(1, READ)], READONLY.or(FAST), "2.0.0", "O(log N)", Handler::Key(zrevrank),
                 "Tells how many members stand behind one."),
    Command::new("ZSCAN", -3, "key cursor [MATCH pattern] [COUNT count]", &[key_at(1, READ)], READONLY.or(OWNER), "2.8.0",
                 "O(1) a call, O(N) for all of it", Handler::Key(zscan), "Goes through the members of a sorted set a piece at a time.")
        .tips(&["nondeterministic_output"]),
    Command::new("ZSCORE", 3, "key member", &[key_at(1, READ)], READONLY.or(FAST), "1.2.0", "O(1)", Handler::Key(zscore),
                 "Tells the score of a member."),
];

fn zadd(call: &mut KeyCall<'_>) -> Result {
    add(call, Options::default())
}

/// As in Redis, this is ZADD with INCR: it refuses options of ZADD in the place of the increment.
fn zincrby(call: &mut KeyCall<'_>) -> Result {
    add(call, Options(Options::INCR))
}

fn add(call: &mut KeyCall<'_>, mut options: Options) -> Result {
    options.take(&mut call.args);
    options.check(call.args.len())?;
    let scores = scores(call.args)?;
    let limits = limits(call.services);
    let members = call.args.skip(1).step_by(2);
    let event = if options.has(Options::INCR) {
        "zincr"
    } else {
        "zadd"
    };
    let totals = call.key.upsert(event, |set: &mut SortedSet| {
        let totals = Totals::of(
            members
                .zip(&scores)
                .map(|(member, score)| options.apply(set, member, *score, limits)),
        );
        let changes = totals.as_ref().map_or(0, |totals| totals.added + totals.changed);
        (totals, changes)
    })??;
    if options.has(Options::INCR) {
        reply_score(totals.last, &mut call.reply);
    } else {
        let changed = if options.has(Options::CH) {
            totals.changed
        } else {
            0
        };
        call.reply.integer((totals.added + changed) as i64);
    }
    Ok(())
}

/// Each score stands in front of its member. All are read before anything is changed.
fn scores(mut args: Args<'_>) -> Result<SmallVec<[f64; 8]>> {
    let mut scores = SmallVec::with_capacity(args.len() / 2);
    while !args.is_empty() {
        scores.push(score(&mut args)?.ok_or(Error::NotAFloat)?);
        args.bytes()?;
    }
    Ok(scores)
}

/// A set of options of ZADD.
#[derive(Clone, Copy, Default)]
struct Options(u8);

impl Options {
    const NX: u8 = 1;
    const XX: u8 = 2;
    const GT: u8 = 4;
    const LT: u8 = 8;
    const CH: u8 = 16;
    const INCR: u8 = 32;
    const WORDS: [(&str, u8); 6] = [
        ("NX", Self::NX),
        ("XX", Self::XX),
        ("GT", Self::GT),
        ("LT", Self::LT),
        ("CH", Self::CH),
        ("INCR", Self::INCR),
    ];

    fn has(self, option: u8) -> bool {
        self.0 & option != 0
    }

    /// Takes the options that come next.
    fn take(&mut self, args: &mut Args<'_>) {
        // A score begins with none of their letters, except for an infinity.
        while let Some((_, option)) = Self::WORDS.iter().find(|(word, _)| args.take_word(word)) {
            self.0 |= option;
        }
    }

    /// Fails if they contradict each other, or the number of words behind them.
    fn check(self, words: usize) -> Result {
        if words == 0 || !words.is_multiple_of(2) {
            return Err(Error::Syntax);
        }
        if self.has(Self::NX) && self.has(Self::XX) {
            return Err(Error::XX_WITH_NX);
        }
        let exclusive = [Self::NX, Self::GT, Self::LT];
        if exclusive.iter().filter(|option| self.has(**option)).count() > 1 {
            return Err(Error::GT_LT_NX);
        }
        if self.has(Self::INCR) && words > 2 {
            return Err(Error::INCR_OF_SEVERAL);
        }
        Ok(())
    }

    /// Adds a member, or changes its score, if these options want that.
    fn apply(self, set: &mut SortedSet, member: &[u8], score: f64, limits: PackedLimits) -> Result<Outcome> {
        if self.0 & !Self::CH == 0 {
            let old = set.insert(member, score, limits);
            return Ok(Outcome::of(old, score));
        }
        let old = set.score(member);
        let unwanted = if old.is_some() { Self::NX } else { Self::XX };
        if self.has(unwanted) {
            return Ok(Outcome::Refused);
        }
        let new = match old {
            Some(old) if self.has(Self::INCR) => old + score,
            _ => score,
        };
        if new.is_nan() {
            return Err(Error::SCORE_NAN);
        }
        if old.is_some_and(|old| self.has(Self::LT) && new >= old || self.has(Self::GT) && new <= old) {
            return Ok(Outcome::Refused);
        }
        set.insert(member, new, limits);
        Ok(Outcome::of(old, new))
    }
}

/// What became of one member, and its score.
enum Outcome {
    Added(f64),
    Changed(f64),
    /// It had that score already.
    Same(f64),
    Refused,
}

impl Outcome {
    fn of(old: Option<f64>, new: f64) -> Self {
        match old {
            None => Self::Added(new),
            Some(old) if is_same_score(old, new) => Self::Same(new),
            Some(_) => Self::Changed(new),
        }
    }
}

/// What became of all members.
#[derive(Default)]
struct Totals {
    added: u64,
    changed: u64,
    /// The last one's score, unless that was refused.
    last: Option<f64>,
}

impl Totals {
    fn of(outcomes: impl Iterator<Item = Result<Outcome>>) -> Result<Self> {
        let mut totals = Self::default();
        for outcome in outcomes {
            totals.last = match outcome? {
                Outcome::Refused => None,
                Outcome::Same(score) => Some(score),
                Outcome::Added(score) => {
                    totals.added += 1;
                    Some(score)
                }
                Outcome::Changed(score) => {
                    totals.changed += 1;
                    Some(score)
                }
            };
        }
        Ok(totals)
    }
}

fn zrem(call: &mut KeyCall<'_>) -> Result {
    let members = call.args;
    let removed = call.key.update("zrem", |set: &mut SortedSet| {
        let removed = members.filter(|member| set.remove(member).is_some()).count();
        (removed, removed as u64)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn zcard(call: &mut KeyCall<'_>) -> Result {
    let len = call.key.read_as::<SortedSet>()?.map_or(0, SortedSet::len);
    call.reply.integer(len as i64);
    Ok(())
}

fn zscore(call: &mut KeyCall<'_>) -> Result {
    let member = call.args.bytes()?;
    let set = call.key.read_as::<SortedSet>()?;
    reply_score(set.and_then(|set| set.score(member)), &mut call.reply);
    Ok(())
}

fn zmscore(call: &mut KeyCall<'_>) -> Result {
    let set = call.key.read_as::<SortedSet>()?;
    call.reply.array(call.args.len());
    for member in call.args {
        reply_score(set.and_then(|set| set.score(member)), &mut call.reply);
    }
    Ok(())
}

fn zrank(call: &mut KeyCall<'_>) -> Result {
    rank(call, "zrank", |rank, _| rank)
}

fn zrevrank(call: &mut KeyCall<'_>) -> Result {
    rank(call, "zrevrank", |rank, len| len - 1 - rank)
}

/// Replies with what `counted` makes of a member's rank and of the number of members.
fn rank(call: &mut KeyCall<'_>, command: &str, counted: fn(usize, usize) -> usize) -> Result {
    let member = call.args.bytes()?;
    if call.args.len() > 1 {
        return Err(Error::Arity(command.into()));
    }
    let with_score = call.args.take_word("WITHSCORE");
    call.args.end()?;
    let set = call.key.read_as::<SortedSet>()?;
    match set.and_then(|set| Some((set.rank(member)?, set.len()))) {
        Some(((rank, score), len)) => {
            if with_score {
                call.reply.array(2);
            }
            call.reply.integer(counted(rank, len) as i64);
            if with_score {
                call.reply.double(score);
            }
        }
        None if with_score => call.reply.null_array(),
        None => call.reply.null(),
    }
    Ok(())
}

fn zscan(call: &mut KeyCall<'_>) -> Result {
    let cursor = parse_cursor(&mut call.args)?;
    let mut page = Page::default();
    let Some(set) = call.key.read_as::<SortedSet>()? else {
        page.send(0, &mut call.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(&mut call.args, |_| Ok(false))?;
    let next = set.scan(cursor, options.count, |entry| {
        if options.admits(entry.member) {
            page.push(entry.member);
            match whole(entry.score).filter(|_| set.is_packed()) {
                Some(whole) => page.push(itoa::Buffer::new().format(whole).as_bytes()),
                None => page.push(format_f64(entry.score).as_bytes()),
            }
        }
    });
    page.send(next, &mut call.reply);
    Ok(())
}

/// A score as the integer as which Redis packs it; a packed score is told with all its digits.
fn whole(score: f64) -> Option<i64> {
    const WHOLE_MAX: f64 = (1_u64 << 62) as f64;
    (score.abs() <= WHOLE_MAX && score.fract() == 0.0).then_some(score as i64)
}
