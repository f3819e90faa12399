//! Intersections, unions and differences.

use std::ops::ControlFlow;

use super::{Set, SetLimits};
use crate::values::text::Text;

/// Tells the members that all of `sets` have, until `tell` breaks. Without sets there are none. O(N × M) at worst, N
/// being the size of the smallest set and M the number of sets.
pub fn intersection<'a>(sets: &[&'a Set], mut tell: impl FnMut(Text<'a>) -> ControlFlow<()>) {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    sets.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let Some((smallest, others)) = sets.split_first() else {
        return;
    };
    let in_all = |member: &Text<'_>| others.iter().all(|set| set.contains_text(*member));
    let _ = smallest.iter().filter(in_all).try_for_each(&mut tell);
}

/// The members that any of `sets` has. O(N) in the members of all.
pub fn union(sets: &[&Set], limits: SetLimits) -> Set {
    let mut union = Set::new();
    for member in sets.iter().flat_map(|set| set.iter()) {
        union.add_text(member, limits);
    }
    union
}

/// The members of `first` that none of `others` has. O(N) in the members of all, or less where `first` is small: as
/// in Redis, the cheaper of two ways is gone.
pub fn difference(first: &Set, others: &[&Set], limits: SetLimits) -> Set {
    if others.iter().any(|set| std::ptr::eq(*set, first)) {
        return Set::new();
    }
    let lookups = first.len().saturating_mul(others.len() + 1) / 2;
    let members_of_all = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if lookups <= members_of_all {
        remaining(first, others, limits)
    } else {
        copy_less(first, others)
    }
}

/// Looks each member of `first` up in the others, the largest first, as it is the likeliest to have it.
fn remaining(first: &Set, others: &[&Set], limits: SetLimits) -> Set {
    let mut others = others.to_vec();
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let mut remaining = Set::new();
    for member in first {
        if !others.iter().any(|set| set.contains_text(member)) {
            remaining.add_text(member, limits);
        }
    }
    remaining
}

/// Removes the members of all others from a copy of `first`.
fn copy_less(first: &Set, others: &[&Set]) -> Set {
    let mut copy = first.clone();
    for member in others.iter().flat_map(|set| set.iter()) {
        copy.remove_text(member);
        if copy.is_empty() {
            break;
        }
    }
    copy
}
