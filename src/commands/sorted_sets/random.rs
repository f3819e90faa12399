//! Members picked at random.

use super::reply_members;
use crate::commands::call::KeyCall;
use crate::commands::error::Error;
use crate::commands::spec::*;
use crate::limits::RANDOM_PICKS_MAX;
use crate::resp::number::parse_i64;
use crate::values::random::Random;
use crate::values::sorted_set::{Scored, SortedSet};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("ZRANDMEMBER", -2, "key options=[count [WITHSCORES]]", &[key_at(1, READ)], READONLY.or(FLAT_PAIRS), "6.2.0", "O(log N) a member",
                 Handler::Key(zrandmember), "Picks members of a sorted set at random.")
        .tips(&["nondeterministic_output"]),
];

fn zrandmember(call: &mut KeyCall<'_>) -> Result {
    if call.args.is_empty() {
        return reply_one(call);
    }
    let count = parse_i64(call.args.bytes()?).ok_or(Error::NotAnInteger)?;
    if count == i64::MIN {
        return Err(Error::not_between(-i64::MAX, i64::MAX));
    }
    let with_scores = call.args.take_word("WITHSCORES");
    call.args.end()?;
    let count_max = if with_scores { i64::MAX / 2 } else { i64::MAX };
    if count.abs() > count_max {
        return Err(Error::OutOfRange);
    }
    let mut random = call.key.random();
    let Some(set) = call.key.read_as::<SortedSet>()? else {
        call.reply.array(0);
        return Ok(());
    };
    let picks = count.unsigned_abs() as usize;
    if count < 0 && picks > RANDOM_PICKS_MAX {
        return Err(Error::OutOfRange);
    }
    if count < 0 {
        let picked = (0..picks).map(|_| pick(set, &mut random));
        reply_members(picked, with_scores, &mut call.reply);
    } else if picks < set.len() {
        let mut picked: Vec<Scored<'_>> = Vec::with_capacity(picks);
        set.sample(picks, &mut random, |entry| picked.push(entry));
        reply_members(picked.into_iter(), with_scores, &mut call.reply);
    } else {
        // In the order of Redis.
        reply_members(set.range_back(0..set.len()), with_scores, &mut call.reply);
    }
    Ok(())
}

fn reply_one(call: &mut KeyCall<'_>) -> Result {
    let mut random = call.key.random();
    match call.key.read_as::<SortedSet>()? {
        Some(set) => call.reply.bulk(pick(set, &mut random).member),
        None => call.reply.null(),
    }
    Ok(())
}

fn pick<'a>(set: &'a SortedSet, random: &mut Random) -> Scored<'a> {
    let rank = random.below(set.len());
    set.get(rank).expect("a sorted set that is stored has members")
}
