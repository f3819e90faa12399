//! The two ends of a range of scores or members, as requests state them.

use std::ops::Bound;

use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::resp::number::parse_f64_of_c;
use crate::values::sorted_set::{LexBound, ScoreBounds};

/// Reads the lowest and the highest score: `1.5`, `(1.5` where the score itself does not belong to the range, `-inf`.
pub fn scores(min: &[u8], max: &[u8]) -> Result<ScoreBounds> {
    let bounds = score(min).zip(score(max));
    bounds.ok_or(Error::SCORE_BOUND)
}

/// Reads the least and the greatest member: `[m`, `(m` where the member itself does not belong to the range, `-` for what
/// is before all members, `+` for what is behind them.
pub fn members<'a>(min: &'a [u8], max: &'a [u8]) -> Result<(LexBound<'a>, LexBound<'a>)> {
    let bounds = member(min).zip(member(max));
    bounds.ok_or(Error::LEX_BOUND)
}

fn score(text: &[u8]) -> Option<Bound<f64>> {
    match text {
        [b'(', score @ ..] => parse_f64_of_c(score).map(Bound::Excluded),
        score => parse_f64_of_c(score).map(Bound::Included),
    }
}

fn member(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        // Redis looks no further than to a NUL.
        [b'-'] | [b'-', 0, ..] => Some(LexBound::Least),
        [b'+'] | [b'+', 0, ..] => Some(LexBound::Greatest),
        [b'[', member @ ..] => Some(LexBound::Included(member)),
        [b'(', member @ ..] => Some(LexBound::Excluded(member)),
        _ => None,
    }
}
