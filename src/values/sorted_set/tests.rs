//! A sorted set beside a model of it.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SMALL: PackedLimits = PackedLimits {
    entries_max: 8,
    value_bytes_max: 64,
};
const NONE: PackedLimits = PackedLimits {
    entries_max: 0,
    value_bytes_max: 0,
};
const LARGE: PackedLimits = PackedLimits {
    entries_max: 100_000,
    value_bytes_max: 64,
};

/// What a sorted set does, done slowly.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut entries: Vec<_> = self
            .0
            .iter()
            .map(|(member, score)| (member.clone(), *score))
            .collect();
        entries.sort_by(|one, other| one.1.partial_cmp(&other.1).unwrap());
        entries
    }
}

fn owned(entry: Scored<'_>) -> (Vec<u8>, f64) {
    (entry.member.to_vec(), entry.score)
}

fn check(set: &SortedSet, model: &Model) {
    let sorted = model.sorted();
    if let Form::Tree(tree) = &set.form {
        tree.check();
    }
    assert_eq!(set.len(), sorted.len());
    assert!(set.iter().map(owned).eq(sorted.iter().cloned()));
    assert!(
        set.range_back(0..usize::MAX)
            .map(owned)
            .eq(sorted.iter().rev().cloned())
    );
    let mut shown = BTreeMap::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 7, |entry| {
            shown.insert(entry.member.to_vec(), entry.score);
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(shown, model.0);
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u16, f64),
    Remove(u16),
    RemoveRanks(usize, usize),
    Range(usize, usize),
    Scores(f64, f64),
    Rank(u16),
    /// So many members with rising, falling or equal scores.
    Many(u16, f64),
}

fn member(number: u16) -> Vec<u8> {
    // Some are empty, some longer than limits allow, some than a leaf.
    match number % 97 {
        0 if number == 0 => Vec::new(),
        1 => format!("{number}{}", "x".repeat(100)).into(),
        2 => format!("{number}{}", "y".repeat(5000)).into(),
        _ => number.to_string().into(),
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-20..20_i32).prop_map(f64::from),
        2 => -3.0..3.0_f64,
        1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(1e300)],
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..600_u16;
    prop_oneof![
        8 => (number.clone(), score()).prop_map(|(number, score)| Step::Insert(number, score)),
        3 => number.clone().prop_map(Step::Remove),
        1 => (any::<usize>(), 0..100_usize).prop_map(|(start, len)| Step::RemoveRanks(start, len)),
        2 => (any::<usize>(), 0..200_usize).prop_map(|(start, len)| Step::Range(start, len)),
        2 => (score(), score()).prop_map(|(min, max)| Step::Scores(min, max)),
        2 => number.clone().prop_map(Step::Rank),
        2 => (number, prop_oneof![Just(1.0), Just(-1.0), Just(0.0), Just(0.25)])
            .prop_map(|(count, rise)| Step::Many(count, rise)),
    ]
}

fn apply(set: &mut SortedSet, model: &mut Model, step: &Step, limits: PackedLimits) {
    let sorted = model.sorted();
    let clamp = |start: usize, len: usize| {
        let start = start % (sorted.len() + 1);
        start..(start + len).min(sorted.len())
    };
    match *step {
        Step::Insert(number, score) => insert(set, model, number, score, limits),
        Step::Many(count, rise) => {
            for number in 0..count {
                insert(set, model, number, f64::from(number) * rise, limits);
            }
        }
        Step::Remove(number) => {
            assert_eq!(set.remove(&member(number)), model.0.remove(&member(number)));
        }
        Step::RemoveRanks(start, len) => {
            let ranks = clamp(start, len);
            let mut removed = Vec::new();
            set.remove_ranks(ranks.clone(), |entry| removed.push(owned(entry)));
            assert_eq!(removed, sorted[ranks]);
            for (member, _) in removed {
                model.0.remove(&member);
            }
        }
        Step::Range(start, len) => {
            let ranks = clamp(start, len);
            let expected = &sorted[ranks.clone()];
            assert_eq!(set.range(ranks.clone()).map(owned).collect::<Vec<_>>(), expected);
            let mut back: Vec<_> = set.range_back(ranks.clone()).map(owned).collect();
            back.reverse();
            assert_eq!(back, expected);
            assert_eq!(set.get(ranks.start).map(owned), sorted.get(ranks.start).cloned());
        }
        Step::Scores(min, max) => check_scores(set, &sorted, min, max),
        Step::Rank(number) => {
            let expected = sorted.iter().position(|entry| entry.0 == member(number));
            assert_eq!(
                set.rank(&member(number)),
                expected.map(|rank| (rank, sorted[rank].1))
            );
            assert_eq!(set.score(&member(number)), model.0.get(&member(number)).copied());
        }
    }
}

fn insert(set: &mut SortedSet, model: &mut Model, number: u16, score: f64, limits: PackedLimits) {
    let member = member(number);
    assert_eq!(set.insert(&member, score, limits), model.0.get(&member).copied());
    // A zero of the other sign is no other score.
    if model.0.get(&member).is_none_or(|old| !is_same_score(*old, score)) {
        model.0.insert(member, score);
    }
}

fn check_scores(set: &SortedSet, sorted: &[(Vec<u8>, f64)], min: f64, max: f64) {
    use Bound::{Excluded, Included, Unbounded};
    let bounds = [
        (Included(min), Included(max)),
        (Excluded(min), Included(max)),
        (Included(min), Excluded(max)),
        (Excluded(min), Excluded(max)),
        (Unbounded, Included(max)),
        (Excluded(min), Unbounded),
    ];
    for (min, max) in bounds {
        let within = |score: f64| {
            let above = match min {
                Included(min) => score >= min,
                Excluded(min) => score > min,
                Unbounded => true,
            };
            above
                && match max {
                    Included(max) => score <= max,
                    Excluded(max) => score < max,
                    Unbounded => true,
                }
        };
        let expected: Vec<_> = sorted.iter().filter(|entry| within(entry.1)).cloned().collect();
        let ranks = set.score_ranks((min, max));
        assert_eq!(set.range(ranks).map(owned).collect::<Vec<_>>(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]
    #[test]
    fn behaves_like_a_sorted_list(
        steps in proptest::collection::vec(step(), 1..80),
        limits in prop_oneof![Just(NONE), Just(SMALL), Just(LARGE)],
    ) {
        let (mut set, mut model) = (SortedSet::new(), Model::default());
        for step in steps {
            apply(&mut set, &mut model, &step, limits);
            check(&set, &model);
        }
        let copy = SortedSet::from_scored(model.0.iter().map(|(member, score)| (*score, member)), limits);
        check(&copy, &model);
        let clone = set.clone();
        check(&clone, &model);
    }

    #[test]
    fn what_stays_is_scanned_whatever_else_changes(
        numbers in proptest::collection::vec(0..2000_u16, 50..2000), count in 1..40_usize
    ) {
        let mut set = SortedSet::new();
        for number in 0..500_u16 {
            set.insert(&number.to_be_bytes(), number.into(), NONE);
        }
        let mut shown = BTreeSet::new();
        let mut cursor = 0;
        for numbers in numbers.chunks(count) {
            cursor = set.scan(cursor, count, |entry| {
                shown.insert(entry.member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            for number in numbers {
                // Members below 500 stay, with another score; others come and go.
                let member = number.to_be_bytes();
                if *number < 500 || set.score(&member).is_none() {
                    set.insert(&member, f64::from(number % 7), NONE);
                } else {
                    set.remove(&member);
                }
            }
        }
        while cursor != 0 {
            cursor = set.scan(cursor, count, |entry| {
                shown.insert(entry.member.to_vec());
            });
        }
        for number in 0..500_u16 {
            prop_assert!(shown.contains(&number.to_be_bytes()[..]));
        }
    }
}

#[test]
fn members_of_one_score_are_found_by_their_bytes() {
    for limits in [NONE, LARGE] {
        let mut set = SortedSet::new();
        for number in 0..3000 {
            set.insert(format!("{number:04}").as_bytes(), 0.0, limits);
        }
        let ranks = |min, max| set.lex_ranks(min, max);
        assert_eq!(ranks(LexBound::Least, LexBound::Greatest), 0..3000);
        assert_eq!(
            ranks(LexBound::Included(b"0100"), LexBound::Excluded(b"0200")),
            100..200
        );
        assert_eq!(
            ranks(LexBound::Excluded(b"0100"), LexBound::Included(b"0200")),
            101..201
        );
        assert_eq!(
            ranks(LexBound::Excluded(b"01"), LexBound::Included(b"01999")),
            100..200
        );
        assert!(ranks(LexBound::Greatest, LexBound::Least).is_empty());
        assert!(ranks(LexBound::Included(b"2"), LexBound::Included(b"1")).is_empty());
    }
}

#[test]
fn representations_change_where_redis_changes_them() {
    let mut set = SortedSet::new();
    for number in 0..8_u8 {
        set.insert(&[number], 0.0, SMALL);
    }
    set.insert(&[0], 1.0, SMALL);
    assert_eq!(set.encoding(), "listpack");
    set.insert(&[8], 0.0, SMALL);
    assert_eq!(set.encoding(), "skiplist");
    set.remove(&[8]);
    assert_eq!(set.encoding(), "skiplist");
    let mut set = SortedSet::new();
    set.insert(&[b'x'; 64], 0.0, SMALL);
    assert!(set.is_packed());
    set.insert(&[b'x'; 65], 0.0, SMALL);
    assert!(!set.is_packed());
    assert_eq!(size_of::<SortedSet>(), 16);
}

#[test]
fn a_member_that_comes_twice_is_taken_once() {
    let entries =
        || (0..300_u16).flat_map(|number| [(2.0, number.to_be_bytes()), (1.0, number.to_be_bytes())]);
    for limits in [LARGE, NONE] {
        let set = SortedSet::from_scored(entries(), limits);
        assert_eq!(
            (set.len(), set.iter().all(|entry| entry.score < 2.0)),
            (300, true)
        );
    }
}

#[test]
fn samples_have_different_members_and_all_of_them_in_turn() {
    let mut random = Random::new(7);
    for limits in [NONE, LARGE] {
        let set = SortedSet::from_scored(
            (0..1000_u16).map(|number| (number.into(), number.to_be_bytes())),
            limits,
        );
        for count in [0, 1, 100, 500, 999, 1000, usize::MAX] {
            let mut picked = BTreeSet::new();
            set.sample(count, &mut random, |entry| {
                picked.insert(entry.member);
            });
            assert_eq!(picked.len(), count.min(1000));
        }
        let mut seen = BTreeSet::new();
        for _ in 0..2000 {
            set.sample(10, &mut random, |entry| {
                seen.insert(entry.member);
            });
        }
        assert_eq!(seen.len(), 1000);
    }
}

#[test]
fn a_packed_zero_has_no_sign() {
    let mut set = SortedSet::new();
    set.insert(b"zero", -0.0, SMALL);
    assert!(set.score(b"zero").unwrap().is_sign_positive());
    set.insert(b"zero", -1.0, SMALL);
    set.insert(b"zero", -0.0, SMALL);
    assert!(set.score(b"zero").unwrap().is_sign_positive());
    let tree = SortedSet::from_scored([(-0.0, b"zero")], NONE);
    assert!(tree.score(b"zero").unwrap().is_sign_negative());
}
