//! Sorting only a part of what would be the sorted order: the first ten of a million, say.
//!
//! Elements that compare as equal come in the order in which Redis's sorting leaves them, so that clients who ask for
//! the first few of them get the same ones: the partitions are those of Bentley and `McIlroy`, "Engineering a Sort
//! Function" (1993), and those that have nothing of the part are left alone.

use std::cmp::Ordering;
use std::ops::Range;

/// Puts those elements at `wanted` that would be there if all were sorted, in their order. The others are before or
/// behind as they should be, in any order. O(n + k log k) as a rule, for k wanted of n, O(n log n) at worst.
pub fn sort_range<T>(items: &mut [T], wanted: &Range<usize>, mut compare: impl FnMut(&T, &T) -> Ordering) {
    let partitions_max = 4 * (items.len().max(1).ilog2() as usize + 1);
    let mut unsorted = vec![(0..items.len(), partitions_max)];
    while let Some((part, partitions_left)) = unsorted.pop() {
        if part.len() < 2 || part.end <= wanted.start || wanted.end <= part.start {
            continue;
        }
        let segment = &mut items[part.clone()];
        if segment.len() < SMALL {
            sort_small(segment, &mut compare);
        } else if partitions_left == 0 {
            segment.sort_by(&mut compare);
        } else {
            let (smaller, larger) = partition(segment, &mut compare);
            unsorted.push((part.end - larger..part.end, partitions_left - 1));
            unsorted.push((part.start..part.start + smaller, partitions_left - 1));
        }
    }
}

/// Segments below this length are sorted by insertion.
const SMALL: usize = 7;
/// Segments above this length have their pivot chosen from nine elements.
const LARGE: usize = 40;

fn sort_small<T>(segment: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) {
    for sorted in 1..segment.len() {
        let mut at = sorted;
        while at > 0 && compare(&segment[at - 1], &segment[at]).is_gt() {
            segment.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Moves what is smaller than a pivot to the front, what is larger to the end; tells how many both are.
fn partition<T>(segment: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> (usize, usize) {
    let pivot = choose_pivot(segment, compare);
    segment.swap(0, pivot);
    let last = segment.len() - 1;
    let mut gap = Gap {
        equal_low: 1,
        low: 1,
        high: last,
        equal_high: last,
    };
    loop {
        gap.pass_smaller(segment, compare);
        gap.pass_larger(segment, compare);
        if gap.low > gap.high {
            break;
        }
        segment.swap(gap.low, gap.high);
        gap.low += 1;
        gap.high -= 1;
    }
    let (smaller, larger) = (gap.low - gap.equal_low, gap.equal_high - gap.high);
    swap_blocks(segment, 0, gap.low, gap.equal_low.min(smaller));
    swap_blocks(segment, gap.low, last + 1, larger.min(last - gap.equal_high));
    (smaller, larger)
}

/// What is not yet compared with the pivot, which is the first element. Equal to it are those in front of `equal_low`
/// and behind `equal_high`; of the rest, those in front of `low` are smaller, and those behind `high` are larger.
struct Gap {
    equal_low: usize,
    low: usize,
    high: usize,
    equal_high: usize,
}

impl Gap {
    /// Moves `low` up to the first element that is larger than the pivot.
    fn pass_smaller<T>(&mut self, segment: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) {
        while self.low <= self.high {
            match compare(&segment[self.low], &segment[0]) {
                Ordering::Greater => return,
                Ordering::Equal => {
                    segment.swap(self.equal_low, self.low);
                    self.equal_low += 1;
                }
                Ordering::Less => {}
            }
            self.low += 1;
        }
    }

    /// Moves `high` down to the last element that is smaller than the pivot.
    fn pass_larger<T>(&mut self, segment: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) {
        while self.low <= self.high {
            match compare(&segment[self.high], &segment[0]) {
                Ordering::Less => return,
                Ordering::Equal => {
                    segment.swap(self.high, self.equal_high);
                    self.equal_high -= 1;
                }
                Ordering::Greater => {}
            }
            self.high -= 1;
        }
    }
}

/// Exchanges the `len` elements from `start` on with those in front of `end`.
fn swap_blocks<T>(segment: &mut [T], start: usize, end: usize, len: usize) {
    for offset in 0..len {
        segment.swap(start + offset, end - len + offset);
    }
}

/// Of a small segment the middle element, of a larger one the median of three, of a large one that of three medians.
fn choose_pivot<T>(segment: &[T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let (first, middle, last) = (0, segment.len() / 2, segment.len() - 1);
    let mut median = |a, b, c| median_of_three(segment, [a, b, c], compare);
    if segment.len() <= SMALL {
        return middle;
    }
    if segment.len() <= LARGE {
        return median(first, middle, last);
    }
    let apart = segment.len() / 8;
    let low = median(first, first + apart, first + 2 * apart);
    let central = median(middle - apart, middle, middle + apart);
    let high = median(last - 2 * apart, last - apart, last);
    median(low, central, high)
}

fn median_of_three<T>(
    segment: &[T],
    [a, b, c]: [usize; 3],
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) -> usize {
    let mut is = |one: usize, ordering, other: usize| compare(&segment[one], &segment[other]) == ordering;
    if is(a, Ordering::Less, b) {
        match () {
            () if is(b, Ordering::Less, c) => b,
            () if is(a, Ordering::Less, c) => c,
            () => a,
        }
    } else {
        match () {
            () if is(b, Ordering::Greater, c) => b,
            () if is(a, Ordering::Less, c) => a,
            () => c,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_elements_come_as_redis_leaves_them() {
        let first_five = |compare: fn(&u8, &u8) -> Ordering| {
            let mut items: Vec<(u8, usize)> = (0..20).map(|number| ((number / 7) as u8, number)).collect();
            sort_range(&mut items, &(0..5), |one, other| compare(&one.0, &other.0));
            items
                .iter()
                .take(5)
                .map(|(_, number)| *number)
                .collect::<Vec<_>>()
        };
        assert_eq!(first_five(u8::cmp), [0, 2, 3, 1, 4]);
        assert_eq!(first_five(|one, other| other.cmp(one)), [14, 19, 18, 17, 16]);
    }

    #[test]
    fn the_worst_order_takes_no_square_of_time() {
        const LEN: usize = 20_000;
        let mut compared = 0_usize;
        let mut items: Vec<usize> = (0..LEN)
            .map(|at| if at % 2 == 0 { at } else { LEN + at % 5 })
            .collect();
        sort_range(&mut items, &(0..LEN), |one, other| {
            compared += 1;
            one.cmp(other)
        });
        assert!(items.is_sorted());
        assert!(compared < LEN * 60, "{compared}");
    }

    proptest! {
        #[test]
        fn the_part_is_that_of_all_sorted(items in vec(0..50_u8, 0..300), start in 0..300_usize, len in 0..300_usize) {
            let wanted = start.min(items.len())..(start + len).min(items.len());
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let mut partial = items;
            sort_range(&mut partial, &wanted, Ord::cmp);
            prop_assert_eq!(&partial[wanted.clone()], &sorted[wanted.clone()]);
            partial.sort_unstable();
            prop_assert_eq!(partial, sorted);
        }
    }
}
