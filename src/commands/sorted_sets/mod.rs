//! Sorted set commands. The structure itself is [`crate::values::sorted_set`].

pub mod algebra;
pub mod members;
pub mod pops;
pub mod random;
pub mod ranges;

mod bounds;

use super::args::Args;
use super::spec::Result;
use crate::resp::number::{parse_f64, parse_i64};
use crate::resp::{Protocol, Reply};
use crate::services::Services;
use crate::values::packed::PackedLimits;
use crate::values::sorted_set::Scored;

/// Up to where sorted sets are packed.
fn limits(services: &Services) -> PackedLimits {
    services.config.load().encodings.sorted_set
}

/// Reads the next argument as a score, an increment or a weight: any double but NaN; `None` for anything else.
fn score(args: &mut Args<'_>) -> Result<Option<f64>> {
    /// Whole numbers up to here are doubles.
    const WHOLE_MAX: u64 = 1 << 53;
    let text = args.bytes()?;
    // Most scores are whole numbers, which are read faster.
    let whole = parse_i64(text).filter(|whole| whole.unsigned_abs() <= WHOLE_MAX);
    Ok(whole.map(|whole| whole as f64).or_else(|| parse_f64(text)))
}

/// Replies with members; with their scores in pairs, which RESP2 does not tell apart.
fn reply_members<'a>(
    members: impl ExactSizeIterator<Item = Scored<'a>>,
    with_scores: bool,
    reply: &mut Reply<'_>,
) {
    match (with_scores, reply.protocol()) {
        (false, _) => {
            reply.array(members.len());
            members.for_each(|entry| reply.bulk(entry.member));
        }
        (true, Protocol::Resp2) => {
            reply.array(members.len() * 2);
            members.for_each(|entry| reply_pair(entry, reply));
        }
        (true, Protocol::Resp3) => reply_pairs(members, reply),
    }
}

/// Replies with members and their scores in arrays of two.
fn reply_pairs<'a>(members: impl ExactSizeIterator<Item = Scored<'a>>, reply: &mut Reply<'_>) {
    reply.array(members.len());
    members.for_each(|entry| {
        reply.array(2);
        reply_pair(entry, reply);
    });
}

fn reply_pair(entry: Scored<'_>, reply: &mut Reply<'_>) {
    reply.bulk(entry.member);
    reply.double(entry.score);
}

fn reply_score(score: Option<f64>, reply: &mut Reply<'_>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// Reads the next argument as a number of something; `None` for anything else.
fn natural(args: &mut Args<'_>) -> Option<usize> {
    let number = args.next().and_then(parse_i64)?;
    usize::try_from(number).ok()
}
