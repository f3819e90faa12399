//! Unions, intersections and differences of sorted sets and sets.

use std::borrow::Cow;
use std::collections::HashMap;

use ahash::RandomState;

use super::{limits, natural, reply_members, score};
use crate::commands::args::Args;
use crate::commands::call::{HeldKeys, KeysCall};
use crate::commands::error::Error;
use crate::commands::spec::*;
use crate::values::set::Set;
use crate::values::sorted_set::{Scored, SortedSet};
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("ZDIFF", -3, "numkeys key [key ...] [WITHSCORES]", SOURCES, READONLY.or(FLAT_PAIRS), "6.2.0", DIFFERENCE, Handler::Keys(zdiff),
                 "Lists the members of the first sorted set that no other has."),
    Command::new("ZDIFFSTORE", -4, "destination numkeys key [key ...]", STORED_SOURCES, WRITE.or(GROWS), "6.2.0", DIFFERENCE, Handler::Keys(zdiffstore),
                 "Stores the members of the first sorted set that no other has."),
    Command::new("ZINTER", -3, "numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate=<SUM | MIN | MAX>] [WITHSCORES]",
                 SOURCES, READONLY.or(FLAT_PAIRS), "6.2.0", INTERSECTION, Handler::Keys(zinter), "Lists the members that all sorted sets have."),
    Command::new("ZINTERCARD", -3, "numkeys key [key ...] [LIMIT limit]", SOURCES, READONLY, "7.0.0", "O(N * K), N members of the smallest of K sorted sets",
                 Handler::Keys(zintercard), "Counts the members that all sorted sets have."),
    Command::new("ZINTERSTORE", -4, "destination numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate=<SUM | MIN | MAX>]",
                 STORED_SOURCES, WRITE.or(GROWS), "2.0.0", INTERSECTION, Handler::Keys(zinterstore), "Stores the members that all sorted sets have."),
    Command::new("ZUNION", -3, "numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate=<SUM | MIN | MAX>] [WITHSCORES]",
                 SOURCES, READONLY.or(FLAT_PAIRS), "6.2.0", UNION, Handler::Keys(zunion), "Lists the members that any of the sorted sets has."),
    Command::new("ZUNIONSTORE", -4, "destination numkeys key [key ...] [WEIGHTS weight:integer [weight:integer ...]] [AGGREGATE aggregate=<SUM | MIN | MAX>]",
                 STORED_SOURCES, WRITE.or(GROWS), "2.0.0", UNION, Handler::Keys(zunionstore), "Stores the members that any of the sorted sets has."),
];

const SOURCES: &[Keys] = &[keys_counted_at(1, READ)];
const STORED_SOURCES: &[Keys] = &[key_at(1, OVERWRITE), keys_counted_at(2, READ)];
const UNION: &str = "O(N + M log M), N members of all sorted sets, M of the result";
const INTERSECTION: &str = "O(N * K + M log M), N members of the smallest of K sorted sets, M of the result";
const DIFFERENCE: &str = "O(N * K + M log M), N members of the first of K sorted sets, M of the result";

fn zunion(call: &mut KeysCall<'_>) -> Result {
    list(call, Operation::Union, "zunion")
}

fn zinter(call: &mut KeysCall<'_>) -> Result {
    list(call, Operation::Intersection, "zinter")
}

fn zdiff(call: &mut KeysCall<'_>) -> Result {
    list(call, Operation::Difference, "zdiff")
}

fn zunionstore(call: &mut KeysCall<'_>) -> Result {
    store(call, Operation::Union, "zunionstore")
}

fn zinterstore(call: &mut KeysCall<'_>) -> Result {
    store(call, Operation::Intersection, "zinterstore")
}

fn zdiffstore(call: &mut KeysCall<'_>) -> Result {
    store(call, Operation::Difference, "zdiffstore")
}

/// What is made of several sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

fn list(call: &mut KeysCall<'_>, operation: Operation, command: &str) -> Result {
    let form = Form {
        weighs: operation != Operation::Difference,
        lists: true,
        ..Form::default()
    };
    let options = parse(call, 0, form, command)?;
    let sources = sources(&call.keys, 0, &options.weights)?;
    let mut members = operation.of(sources, options.aggregate);
    members.sort_unstable_by(|one, other| one.scored().order(&other.scored()));
    reply_members(
        members.iter().map(Member::scored),
        options.with_scores,
        &mut call.reply,
    );
    Ok(())
}

fn store(call: &mut KeysCall<'_>, operation: Operation, command: &str) -> Result {
    let _destination = call.args.bytes()?;
    let form = Form {
        weighs: operation != Operation::Difference,
        ..Form::default()
    };
    let options = parse(call, 1, form, command)?;
    let sources = sources(&call.keys, 1, &options.weights)?;
    let members = operation.of(sources, options.aggregate);
    let members = members.into_iter().map(|member| (member.score, member.name));
    let result = SortedSet::from_scored(members, limits(call.services));
    call.reply.integer(result.len() as i64);
    call.keys.get(0).store_value(command, result);
    Ok(())
}

fn zintercard(call: &mut KeysCall<'_>) -> Result {
    let form = Form {
        counts: true,
        ..Form::default()
    };
    let options = parse(call, 0, form, "zintercard")?;
    let sources = by_size(sources(&call.keys, 0, &options.weights)?);
    let [smallest, others @ ..] = &sources[..] else {
        unreachable!("there is one key at least");
    };
    let common = smallest
        .members()
        .filter(|(name, _)| others.iter().all(|other| other.score(name).is_some()));
    call.reply.integer(common.take(options.limit).count() as i64);
    Ok(())
}

/// Which options a command has.
#[derive(Clone, Copy, Default)]
struct Form {
    /// WEIGHTS and AGGREGATE.
    weighs: bool,
    /// WITHSCORES.
    lists: bool,
    /// LIMIT.
    counts: bool,
}

/// What a request says behind its keys.
struct Options {
    /// One for each key.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Reads the request from the number of keys on. The keys, which are held from index `first` on, must hold sets of
/// either kind, or nothing.
fn parse(call: &mut KeysCall<'_>, first: usize, form: Form, command: &str) -> Result<Options> {
    let keys = call.args.integer()?;
    if keys < 1 {
        return Err(Error::no_input_keys(command));
    }
    let keys = keys as usize;
    if keys > call.args.len() {
        return Err(Error::Syntax);
    }
    call.args.nth(keys - 1);
    for index in first..first + keys {
        call.keys.get(index).probe();
        Members::of(&call.keys, index)?;
    }
    Options::parse(&mut call.args, keys, form)
}

impl Options {
    fn parse(args: &mut Args<'_>, keys: usize, form: Form) -> Result<Self> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        while !args.is_empty() {
            if form.weighs && args.len() > keys && args.take_word("WEIGHTS") {
                for weight in &mut options.weights {
                    *weight = score(args)?.ok_or(Error::WEIGHT_NOT_A_FLOAT)?;
                }
            } else if form.weighs && args.len() > 1 && args.take_word("AGGREGATE") {
                options.aggregate = Aggregate::parse(args)?;
            } else if form.lists && args.take_word("WITHSCORES") {
                options.with_scores = true;
            } else if form.counts && args.len() > 1 && args.take_word("LIMIT") {
                options.limit = parse_limit(args)?;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// Reads how many members to count at most; 0 means all.
fn parse_limit(args: &mut Args<'_>) -> Result<usize> {
    match natural(args).ok_or(Error::LIMIT_NEGATIVE)? {
        0 => Ok(usize::MAX),
        limit => Ok(limit),
    }
}

/// What becomes of the scores of a member of several sets.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let words = [("SUM", Self::Sum), ("MIN", Self::Min), ("MAX", Self::Max)];
        let found = words.into_iter().find(|(word, _)| args.take_word(word));
        found.map(|(_, aggregate)| aggregate).ok_or(Error::Syntax)
    }

    /// A sum of opposite infinities is 0.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => zero_for_nan(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }
}

/// Also what 0 times an infinity is.
fn zero_for_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A member of a result.
struct Member<'a> {
    name: Cow<'a, [u8]>,
    score: f64,
}

impl Member<'_> {
    fn scored(&self) -> Scored<'_> {
        Scored::new(&self.name, self.score)
    }
}

impl Operation {
    /// The members of the result, in any order. Scores are added up from the smallest set to the largest, as their
    /// sum depends on that.
    fn of(self, sources: Vec<Source<'_>>, aggregate: Aggregate) -> Vec<Member<'_>> {
        match self {
            Self::Union => union(&by_size(sources), aggregate),
            Self::Intersection => intersection(&by_size(sources), aggregate),
            Self::Difference => difference(&sources),
        }
    }
}

fn by_size(mut sources: Vec<Source<'_>>) -> Vec<Source<'_>> {
    sources.sort_by_key(Source::len);
    sources
}

fn union<'a>(sources: &[Source<'a>], aggregate: Aggregate) -> Vec<Member<'a>> {
    let largest = sources.last().map_or(0, Source::len);
    let mut scores = HashMap::with_capacity_and_hasher(largest, RandomState::new());
    for source in sources {
        for (name, score) in source.members() {
            let score = zero_for_nan(score * source.weight);
            scores
                .entry(name)
                .and_modify(|sum| *sum = aggregate.of(*sum, score))
                .or_insert(score);
        }
    }
    scores
        .into_iter()
        .map(|(name, score)| Member { name, score })
        .collect()
}

fn intersection<'a>(sources: &[Source<'a>], aggregate: Aggregate) -> Vec<Member<'a>> {
    let [smallest, others @ ..] = sources else {
        return Vec::new();
    };
    let common = smallest.members().filter_map(|(name, score)| {
        let first = zero_for_nan(score * smallest.weight);
        let score = others.iter().try_fold(first, |sum, other| {
            let score = other.score(&name)?;
            Some(aggregate.of(sum, score * other.weight))
        })?;
        Some(Member { name, score })
    });
    common.collect()
}

fn difference<'a>(sources: &[Source<'a>]) -> Vec<Member<'a>> {
    let [first, others @ ..] = sources else {
        return Vec::new();
    };
    let left = first
        .members()
        .filter(|(name, _)| others.iter().all(|other| other.score(name).is_none()));
    left.map(|(name, score)| Member { name, score }).collect()
}

/// One of the sets that a result is made of.
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

/// The sets at the keys from index `first` on, with their weights.
fn sources<'a>(keys: &'a HeldKeys<'_>, first: usize, weights: &[f64]) -> Result<Vec<Source<'a>>> {
    let sources = weights.iter().enumerate().map(|(index, weight)| {
        Ok(Source {
            members: Members::of(keys, first + index)?,
            weight: *weight,
        })
    });
    sources.collect()
}

/// What a key holds. Members of a set have the score 1.
enum Members<'a> {
    None,
    Set(&'a Set),
    SortedSet(&'a SortedSet),
}

impl<'a> Members<'a> {
    fn of(keys: &'a HeldKeys<'_>, index: usize) -> Result<Self> {
        Ok(match keys.peek_as(index) {
            Ok(Some(set)) => Self::SortedSet(set),
            Ok(None) => Self::None,
            Err(_) => keys.peek_as(index)?.map_or(Self::None, Self::Set),
        })
    }
}

impl<'a> Source<'a> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Set(set) => set.len(),
            Members::SortedSet(set) => set.len(),
        }
    }

    /// The score of a member, without the weight.
    fn score(&self, name: &[u8]) -> Option<f64> {
        match self.members {
            Members::None => None,
            Members::Set(set) => set.contains(name).then_some(1.0),
            Members::SortedSet(set) => set.score(name),
        }
    }

    /// All members with their scores, without the weight.
    fn members(&self) -> Box<dyn Iterator<Item = (Cow<'a, [u8]>, f64)> + 'a> {
        match self.members {
            Members::None => Box::new(std::iter::empty()),
            Members::Set(set) => Box::new(set.iter().map(|name| (bytes(name), 1.0))),
            Members::SortedSet(set) => Box::new(set.iter().map(|entry| (entry.member.into(), entry.score))),
        }
    }
}

fn bytes(name: Text<'_>) -> Cow<'_, [u8]> {
    match name {
        Text::Bytes(bytes) => bytes.into(),
        Text::Int(number) => itoa::Buffer::new().format(number).as_bytes().to_vec().into(),
    }
}
