//! Ranges of a sorted set: by rank, by score, or by member where all scores are the same.

use std::ops::Range;

use super::{bounds, limits, reply_members};
use crate::commands::args::Args;
use crate::commands::call::{KeyCall, KeysCall};
use crate::commands::error::Error;
use crate::commands::spec::*;
use crate::resp::number::parse_i64;
use crate::values::positions::range_among;
use crate::values::sorted_set::{LexBound, ScoreBounds, Scored, SortedSet};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("ZCOUNT", 4, "key min:double max:double", READ_KEY, READONLY.or(FAST), "2.0.0", "O(log N)", Handler::Key(zcount),
                 "Counts the members with scores in a range."),
    Command::new("ZLEXCOUNT", 4, "key min max", READ_KEY, READONLY.or(FAST), "2.8.9", "O(log N)", Handler::Key(zlexcount),
                 "Counts the members in a range, where all have one score."),
    Command::new("ZRANGE", -4, "key start:string stop:string sortby=[BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
                 READ_KEY, READONLY.or(FLAT_PAIRS), "1.2.0", IN_RANGE, Handler::Key(zrange), "Lists the members of a range."),
    Command::new("ZRANGEBYLEX", -4, "key min max [LIMIT offset count]", READ_KEY, READONLY, "2.8.9", IN_RANGE, Handler::Key(zrangebylex),
                 "Lists the members of a range of members.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    Command::new("ZRANGEBYSCORE", -4, "key min:double max:double [WITHSCORES] [LIMIT offset count]", READ_KEY, READONLY.or(FLAT_PAIRS), "1.0.5", IN_RANGE,
                 Handler::Key(zrangebyscore), "Lists the members with scores in a range.")
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    Command::new("ZRANGESTORE", -5, "dst src min max sortby=[BYSCORE | BYLEX] [REV] [LIMIT offset count]",
                 &[key_at(1, OVERWRITE), key_at(2, READ)], WRITE.or(GROWS), "6.2.0", IN_RANGE, Handler::Keys(zrangestore),
                 "Stores the members of a range as another sorted set."),
    Command::new("ZREMRANGEBYLEX", 4, "key min max", REDUCED_KEY, WRITE, "2.8.9", IN_RANGE, Handler::Key(zremrangebylex),
                 "Removes the members in a range, where all have one score."),
    Command::new("ZREMRANGEBYRANK", 4, "key start stop", REDUCED_KEY, WRITE, "2.0.0", IN_RANGE, Handler::Key(zremrangebyrank),
                 "Removes the members with ranks in a range."),
    Command::new("ZREMRANGEBYSCORE", 4, "key min:double max:double", REDUCED_KEY, WRITE, "1.2.0", IN_RANGE, Handler::Key(zremrangebyscore),
                 "Removes the members with scores in a range."),
    Command::new("ZREVRANGE", -4, "key start stop [WITHSCORES]", READ_KEY, READONLY.or(FLAT_PAIRS), "1.2.0", IN_RANGE, Handler::Key(zrevrange),
                 "Lists the members with ranks in a range, the highest score first.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    Command::new("ZREVRANGEBYLEX", -4, "key max min [LIMIT offset count]", READ_KEY, READONLY, "2.8.9", IN_RANGE, Handler::Key(zrevrangebylex),
                 "Lists the members of a range of members, the last one first.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    Command::new("ZREVRANGEBYSCORE", -4, "key max:double min:double [WITHSCORES] [LIMIT offset count]", READ_KEY, READONLY.or(FLAT_PAIRS), "2.2.0", IN_RANGE,
                 Handler::Key(zrevrangebyscore), "Lists the members with scores in a range, the highest score first.")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
];

const READ_KEY: &[Keys] = &[key_at(1, READ)];
const REDUCED_KEY: &[Keys] = &[key_at(1, REDUCE)];
const IN_RANGE: &str = "O(log N + M), M members in the range";

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// The ends of a range.
enum Ends<'a> {
    /// From the front, or from the back where the range is read from there.
    Ranks(i64, i64),
    Scores(ScoreBounds),
    Members(LexBound<'a>, LexBound<'a>),
}

impl<'a> Ends<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self> {
        Ok(match by {
            By::Rank => Self::Ranks(integer(min)?, integer(max)?),
            By::Score => Self::Scores(bounds::scores(min, max)?),
            By::Member => {
                let (min, max) = bounds::members(min, max)?;
                Self::Members(min, max)
            }
        })
    }

    /// The ranks of what is between the ends.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        match *self {
            Self::Ranks(start, stop) => range_among(set.len(), start, stop),
            Self::Scores(bounds) => set.score_ranks(bounds),
            Self::Members(min, max) => set.lex_ranks(min, max),
        }
    }
}

fn integer(text: &[u8]) -> Result<i64> {
    parse_i64(text).ok_or(Error::NotAnInteger)
}

fn zcount(call: &mut KeyCall<'_>) -> Result {
    count(call, By::Score)
}

fn zlexcount(call: &mut KeyCall<'_>) -> Result {
    count(call, By::Member)
}

fn count(call: &mut KeyCall<'_>, by: By) -> Result {
    let ends = Ends::parse(by, call.args.bytes()?, call.args.bytes()?)?;
    let set = call.key.read_as::<SortedSet>()?;
    let count = set.map_or(0, |set| ends.ranks(set).len());
    call.reply.integer(count as i64);
    Ok(())
}

fn zremrangebyrank(call: &mut KeyCall<'_>) -> Result {
    remove(call, By::Rank, "zremrangebyrank")
}

fn zremrangebyscore(call: &mut KeyCall<'_>) -> Result {
    remove(call, By::Score, "zremrangebyscore")
}

fn zremrangebylex(call: &mut KeyCall<'_>) -> Result {
    remove(call, By::Member, "zremrangebylex")
}

fn remove(call: &mut KeyCall<'_>, by: By, event: &str) -> Result {
    let ends = Ends::parse(by, call.args.bytes()?, call.args.bytes()?)?;
    let removed = call.key.update(event, |set: &mut SortedSet| {
        let removed = set.remove_ranks(ends.ranks(set), |_| ());
        (removed, removed as u64)
    })?;
    call.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn zrange(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::default())
}

fn zrevrange(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::of(By::Rank, true))
}

fn zrangebyscore(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::of(By::Score, false))
}

fn zrevrangebyscore(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::of(By::Score, true))
}

fn zrangebylex(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::of(By::Member, false))
}

fn zrevrangebylex(call: &mut KeyCall<'_>) -> Result {
    list(call, Form::of(By::Member, true))
}

fn list(call: &mut KeyCall<'_>, form: Form) -> Result {
    let selection = Selection::parse(&mut call.args, form)?;
    match call.key.read_as::<SortedSet>()? {
        None => call.reply.array(0),
        Some(set) => {
            let ranks = selection.ranks(set);
            if selection.reversed {
                reply_members(set.range_back(ranks), selection.with_scores, &mut call.reply);
            } else {
                reply_members(set.range(ranks), selection.with_scores, &mut call.reply);
            }
        }
    }
    Ok(())
}

fn zrangestore(call: &mut KeysCall<'_>) -> Result {
    let (_destination, _source) = (call.args.bytes()?, call.args.bytes()?);
    let form = Form {
        stores: true,
        ..Form::default()
    };
    let selection = Selection::parse(&mut call.args, form)?;
    let limits = limits(call.services);
    let stored = match call.keys.get(1).read_as::<SortedSet>()? {
        Some(set) => {
            let members: Vec<Scored<'_>> = set.range(selection.ranks(set)).collect();
            SortedSet::from_sorted(&members, limits)
        }
        None => SortedSet::new(),
    };
    call.reply.integer(stored.len() as i64);
    call.keys.get(0).store_value("zrangestore", stored);
    Ok(())
}

/// What a command says about a range by its name; what it leaves open, options say.
#[derive(Clone, Copy, Default)]
struct Form {
    by: Option<By>,
    reversed: Option<bool>,
    /// Members are stored, always with their scores.
    stores: bool,
}

impl Form {
    fn of(by: By, reversed: bool) -> Self {
        Self {
            by: Some(by),
            reversed: Some(reversed),
            stores: false,
        }
    }
}

/// Which members a request asks for.
struct Selection<'a> {
    ends: Ends<'a>,
    reversed: bool,
    /// How many members to leave out; negative: all.
    offset: i64,
    /// How many members at most; negative: all.
    count: i64,
    with_scores: bool,
}

impl<'a> Selection<'a> {
    /// Reads the ends and the options behind them.
    fn parse(args: &mut Args<'a>, mut form: Form) -> Result<Self> {
        let (first, second) = (args.bytes()?, args.bytes()?);
        let (mut offset, mut count, mut with_scores) = (0, -1, false);
        while !args.is_empty() {
            if !form.stores && args.take_word("WITHSCORES") {
                with_scores = true;
            } else if args.len() > 2 && args.take_word("LIMIT") {
                (offset, count) = (args.integer()?, args.integer()?);
            } else if !form.take(args) {
                return Err(Error::Syntax);
            }
        }
        let (by, reversed) = (form.by.unwrap_or(By::Rank), form.reversed.unwrap_or(false));
        if count != -1 && by == By::Rank {
            return Err(Error::LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Member {
            return Err(Error::WITHSCORES_OF_MEMBERS);
        }
        let ends = if reversed && by != By::Rank {
            Ends::parse(by, second, first)?
        } else {
            Ends::parse(by, first, second)?
        };
        Ok(Self {
            ends,
            reversed,
            offset,
            count,
            with_scores,
        })
    }

    /// The ranks of the members to list.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let all = self.ends.ranks(set);
        if let Ends::Ranks(..) = self.ends {
            return if self.reversed {
                mirrored(all, set.len())
            } else {
                all
            };
        }
        let offset = usize::try_from(self.offset).map_or(all.len(), |offset| offset.min(all.len()));
        let left = all.len() - offset;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        if self.reversed {
            left - count + all.start..left + all.start
        } else {
            all.start + offset..all.start + offset + count
        }
    }
}

impl Form {
    /// Takes the next argument if it says what the command's name does not.
    fn take(&mut self, args: &mut Args<'_>) -> bool {
        if self.reversed.is_none() && args.take_word("REV") {
            self.reversed = Some(true);
        } else if self.by.is_none() && args.take_word("BYLEX") {
            self.by = Some(By::Member);
        } else if self.by.is_none() && args.take_word("BYSCORE") {
            self.by = Some(By::Score);
        } else {
            return false;
        }
        true
    }
}

/// The ranks that these are when they are counted from the other end.
fn mirrored(ranks: Range<usize>, len: usize) -> Range<usize> {
    len - ranks.end..len - ranks.start
}
