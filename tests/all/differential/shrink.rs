//! Shorter runs that fail in the same way.

use std::time::Duration;

use super::domains::names_lexical_key;
use super::run::{Difference, Pair};
use super::steps::Step;
use crate::deadline::Deadline;

/// How long a shorter run is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Leaves out steps, then words, as long as the run still differs in its end as `found` does. Gives the shortest run,
/// and its difference.
pub fn shrink(pair: &mut Pair, steps: &[Step], protocol: u8, found: &Difference) -> (Vec<Step>, Difference) {
    let deadline = Deadline::after(PATIENCE);
    let mut best = (steps[..steps.len().min(found.step + 1)].to_vec(), found.clone());
    let mut size = best.0.len().div_ceil(2);
    while size > 0 && deadline.remaining().is_ok() {
        let mut end = best.0.len();
        while end > 0 && deadline.remaining().is_ok() {
            let start = end.saturating_sub(size);
            let shorter: Vec<Step> = [&best.0[..start], &best.0[end.min(best.0.len())..]].concat();
            keep_if_alike(pair, &shorter, protocol, &mut best);
            end = start;
        }
        size /= 2;
    }
    for at in 0..best.0.len() {
        leave_out_words(pair, at, protocol, &mut best, deadline);
    }
    best
}

fn leave_out_words(
    pair: &mut Pair,
    at: usize,
    protocol: u8,
    best: &mut (Vec<Step>, Difference),
    deadline: Deadline,
) {
    let words = match best.0.get(at) {
        Some(Step::Request(_, words)) if !names_lexical_key(words) => words.len(),
        _ => return,
    };
    for word in (1..words).rev() {
        if deadline.remaining().is_err() {
            return;
        }
        let mut shorter = best.0.clone();
        if let Some(Step::Request(_, words)) = shorter.get_mut(at)
            && word < words.len()
        {
            words.remove(word);
            keep_if_alike(pair, &shorter, protocol, best);
        }
    }
}

fn keep_if_alike(pair: &mut Pair, shorter: &[Step], protocol: u8, best: &mut (Vec<Step>, Difference)) {
    if let Some(difference) = pair.run(shorter, protocol)
        && difference.is_like(&best.1)
    {
        let end = shorter.len().min(difference.step + 1);
        *best = (shorter[..end].to_vec(), difference);
    }
}
