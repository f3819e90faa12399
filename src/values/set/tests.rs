//! A set against a model, and the moments at which its representation changes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::values::random::Random;

const LIMITS: SetLimits = SetLimits {
    intset_entries_max: 512,
    packed: PackedLimits {
        entries_max: 128,
        value_bytes_max: 64,
    },
};

const TINY: SetLimits = SetLimits {
    intset_entries_max: 6,
    packed: PackedLimits {
        entries_max: 8,
        value_bytes_max: 5,
    },
};

fn set_of<M: AsRef<[u8]>>(members: impl IntoIterator<Item = M>, limits: SetLimits) -> Set {
    let mut set = Set::new();
    for member in members {
        set.add(member.as_ref(), limits);
    }
    set
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| number.to_string())
}

fn words(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("word:{number}"))
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let all: BTreeSet<Vec<u8>> = set.iter().map(bytes).collect();
    assert_eq!(
        (all.len(), set.iter().len()),
        (set.len(), set.len()),
        "no member twice"
    );
    all
}

fn bytes(text: Text<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    text.write_into(&mut bytes);
    bytes
}

#[test]
fn it_is_24_bytes() {
    assert_eq!(size_of::<Set>(), 24);
}

#[test]
fn the_representation_follows_number_and_kind() {
    let encoding = |members: Vec<String>| set_of(members, LIMITS).encoding();
    assert_eq!(encoding(numbers(512).collect()), "intset");
    assert_eq!(encoding(numbers(513).collect()), "hashtable");
    assert_eq!(encoding(words(128).collect()), "listpack");
    assert_eq!(encoding(words(129).collect()), "hashtable");
    assert_eq!(encoding(vec!["x".repeat(64)]), "listpack");
    assert_eq!(encoding(vec!["x".repeat(65)]), "hashtable");
    assert_eq!(encoding(vec!["1".into(), "01".into()]), "listpack");
    assert_eq!(encoding(numbers(127).chain(words(1)).collect()), "listpack");
    assert_eq!(encoding(numbers(128).chain(words(1)).collect()), "hashtable");
    assert_eq!(encoding(vec!["1".into(), "x".repeat(65)]), "hashtable");
}

#[test]
fn an_integer_longer_than_a_packed_member_may_be_leads_to_a_table() {
    assert_eq!(set_of(["123456", "x"], TINY).encoding(), "hashtable");
    assert_eq!(set_of(["12345", "x"], TINY).encoding(), "listpack");
}

#[test]
fn only_canonical_integers_are_integers() {
    let set = set_of(["0", "-5", "9223372036854775807"], LIMITS);
    for absent in ["00", "+5", "-0", " 0", "9223372036854775808", ""] {
        assert!(!set.contains(absent.as_bytes()), "{absent:?}");
    }
    assert!(set.contains(b"-5") && set.contains_text(Text::Int(0)) && set.contains_text(Text::Bytes(b"0")));
}

#[test]
fn a_hundred_thousand_short_members_take_some_35_bytes_each() {
    let set = set_of((0..100_000).map(|number| format!("element:{number:012}")), LIMITS);
    let each = set.heap_bytes() as f64 / set.len() as f64;
    assert!(each < 36.5, "{each}");
}

#[test]
fn ten_words_take_one_block() {
    assert_eq!(set_of(words(10), LIMITS).heap_bytes(), 80);
}

/// χ² of draws of single members; with 19 degrees of freedom 60 is exceeded once in several million runs.
fn deviation(set: &Set, mut draw: impl FnMut(&mut dyn FnMut(Text<'_>))) -> f64 {
    let mut counts: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut draws = 0_u32;
    while draws < 20_000 {
        draw(&mut |member| {
            *counts.entry(bytes(member)).or_default() += 1;
            draws += 1;
        });
    }
    let expected = f64::from(draws) / set.len() as f64;
    let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.values().map(square).sum::<f64>() + (set.len() - counts.len()) as f64 * expected
}

#[test]
fn every_member_has_the_same_chance() {
    let mut random = Random::new(7);
    let table = set_of(words(20), TINY);
    assert_eq!(table.encoding(), "hashtable");
    for set in [set_of(numbers(20), LIMITS), set_of(words(20), LIMITS), table] {
        let found = deviation(&set, |tell| tell(set.random(&mut random).unwrap()));
        assert!(found < 60.0, "random of {}: {found}", set.encoding());
        for count in [1, 3, 6, 7, 15, 19] {
            let found = deviation(&set, |tell| set.sample(count, &mut random, tell));
            assert!(found < 60.0, "sample {count} of {}: {found}", set.encoding());
            let found = deviation(&set, |tell| {
                set.clone().pop_many(count, LIMITS, &mut random, tell);
            });
            assert!(found < 60.0, "pop {count} of {}: {found}", set.encoding());
        }
    }
}

#[test]
fn samples_have_as_many_members_as_asked_for() {
    let mut random = Random::new(1);
    for set in [
        set_of(numbers(300), LIMITS),
        set_of(words(100), LIMITS),
        set_of(words(3_000), LIMITS),
    ] {
        for count in [0, 1, 50, 99, 100, 1_000, 2_999, 3_000, usize::MAX] {
            let mut told = HashSet::new();
            set.sample(count, &mut random, |member| {
                assert!(set.contains_text(member));
                told.insert(bytes(member));
            });
            assert_eq!(told.len(), count.min(set.len()), "of {}", set.len());
        }
    }
}

#[test]
fn what_is_left_of_a_table_is_small_again() {
    let mut random = Random::new(3);
    let mut set = set_of(words(10_000), LIMITS);
    set.pop_many(9_950, LIMITS, &mut random, |_| ());
    assert_eq!((set.len(), set.encoding()), (50, "listpack"));
    let mut set = set_of(words(200), LIMITS);
    set.pop_many(100, LIMITS, &mut random, |_| ());
    assert_eq!((set.len(), set.encoding()), (100, "hashtable"));
}

#[test]
fn an_intersection_is_sought_no_further_than_wanted() {
    let (all, even) = (
        set_of(numbers(100), LIMITS),
        set_of((0..50).map(|n| (n * 2).to_string()), LIMITS),
    );
    let mut told = 0;
    algebra::intersection(&[&all, &even], |_| {
        told += 1;
        if told == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(told, 3);
    algebra::intersection(&[], |_| panic!("nothing is in common"));
}

#[test]
fn a_difference_is_the_same_on_either_way() {
    let first = set_of(words(1_000), LIMITS);
    let others: Vec<Set> = (0..10).map(|part| set_of(words(part * 3), LIMITS)).collect();
    let expected: BTreeSet<Vec<u8>> = words(1_000).skip(27).map(String::into_bytes).collect();
    let others: Vec<&Set> = others.iter().collect();
    assert_eq!(members(&algebra::difference(&first, &others, LIMITS)), expected);
    assert_eq!(
        members(&algebra::difference(&first, &others[8..], LIMITS)),
        members(&set_of(words(1_000).skip(27), LIMITS))
    );
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    Pop,
    PopMany(usize),
    Scan(usize),
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-6..12_i64).prop_map(|number| number.to_string().into_bytes()),
        1 => "[ab]{0,7}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => member().prop_map(Step::Add),
        6 => member().prop_map(Step::Remove),
        1 => Just(Step::Pop),
        1 => (0..9_usize).prop_map(Step::PopMany),
        1 => (0..9_usize).prop_map(Step::Scan),
    ]
}

proptest! {
    #[test]
    fn algebra_is_that_of_sets(groups in prop::collection::vec(prop::collection::vec(member(), 0..25), 1..7), same: bool) {
        let sets: Vec<Set> = groups.iter().map(|group| set_of(group, TINY)).collect();
        let models: Vec<BTreeSet<Vec<u8>>> = sets.iter().map(members).collect();
        let mut all: Vec<&Set> = sets.iter().collect();
        if same {
            all.push(&sets[sets.len() / 2]);
        }
        let mut common = Vec::new();
        algebra::intersection(&all, |member| {
            common.push(bytes(member));
            ControlFlow::Continue(())
        });
        let in_all = |member: &Vec<u8>| models.iter().all(|model| model.contains(member));
        let expected: BTreeSet<_> = models[0].iter().filter(|member| in_all(member)).cloned().collect();
        prop_assert_eq!(common.len(), expected.len());
        prop_assert_eq!(common.into_iter().collect::<BTreeSet<_>>(), expected);
        let expected: BTreeSet<_> = models.iter().flatten().cloned().collect();
        prop_assert_eq!(members(&algebra::union(&all, TINY)), expected);
        let others: BTreeSet<_> = models[1..].iter().flatten().cloned().collect();
        let mut expected: BTreeSet<_> = models[0].difference(&others).cloned().collect();
        if same && sets.len() == 1 {
            expected.clear();
        }
        prop_assert_eq!(members(&algebra::difference(all[0], &all[1..], TINY)), expected);
    }

    #[test]
    fn behaves_like_a_set(steps in prop::collection::vec(step(), 0..150), seed: u64) {
        let mut random = Random::new(seed);
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Add(member) => prop_assert_eq!(set.add(&member, TINY), model.insert(member)),
                Step::Remove(member) => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                Step::Pop => {
                    let mut told = None;
                    prop_assert_eq!(set.pop(&mut random, |member| told = Some(bytes(member))), !model.is_empty());
                    if let Some(member) = told {
                        prop_assert!(model.remove(&member));
                    }
                }
                Step::PopMany(count) => {
                    let mut told = Vec::new();
                    set.pop_many(count, TINY, &mut random, |member| told.push(bytes(member)));
                    prop_assert_eq!(told.len(), count.min(model.len()));
                    for member in told {
                        prop_assert!(model.remove(&member));
                    }
                }
                Step::Scan(count) => {
                    let mut cursor = 0;
                    let mut met = BTreeSet::new();
                    loop {
                        cursor = set.scan(cursor, count, |member| {
                            met.insert(bytes(member));
                        });
                        if cursor == 0 {
                            break;
                        }
                    }
                    prop_assert_eq!(&met, &model);
                }
            }
            prop_assert_eq!(set.len(), model.len());
        }
        prop_assert_eq!(members(&set), model.clone());
        let mut copy = Set::new();
        for member in &set {
            prop_assert!(set.contains_text(member) && copy.add_text(member, LIMITS));
        }
        prop_assert_eq!(members(&copy), model);
    }
}
