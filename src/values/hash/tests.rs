use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMITS: PackedLimits = PackedLimits {
    entries_max: 8,
    value_bytes_max: 20,
};

fn hash_of(names: impl IntoIterator<Item = usize>) -> Hash {
    let mut hash = Hash::new();
    for name in names {
        hash.set(format!("f{name}").as_bytes(), name.to_string().as_bytes(), LIMITS);
    }
    hash
}

fn names(hash: &Hash) -> Vec<String> {
    let mut names: Vec<_> = hash.iter().map(|field| text(field.name)).collect();
    names.sort();
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("names are text here")
}

#[test]
fn a_hash_takes_two_words() {
    assert_eq!((size_of::<Hash>(), size_of::<Boxed>()), (16, 32));
    assert_eq!(Hash::new().heap_bytes(), 0);
}

#[test]
fn the_form_follows_the_limits_and_stays() {
    let mut hash = hash_of(0..8);
    assert_eq!(hash.encoding(), "listpack");
    hash.set_deadline(b"f3", Some(5));
    assert_eq!(hash.encoding(), "listpackex");
    hash.set(b"one more", b"", LIMITS);
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 9));
    assert_eq!(
        (hash.earliest_deadline_ms(), hash.get(b"f3")),
        (Some(5), Some(&b"3"[..]))
    );
    hash.remove(b"one more");
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 8));

    let mut long = Hash::new();
    long.set(&[b'n'; 20], &[b'v'; 20], LIMITS);
    assert_eq!(long.encoding(), "listpack");
    long.set(b"n", &[b'v'; 21], LIMITS);
    assert_eq!(long.encoding(), "hashtable");
}

#[test]
fn a_deadline_of_a_field_that_is_not_there_changes_nothing() {
    let mut hash = hash_of(0..2);
    assert!(!hash.set_deadline(b"none", Some(1)));
    assert!(!hash.set_deadline(b"none", None));
    assert!(hash.set_deadline(b"f0", None));
    assert_eq!(hash.encoding(), "listpack");
}

#[test]
fn purging_is_bounded() {
    for count in [8, 100] {
        let mut hash = hash_of(0..count);
        for name in 0..6_u64 {
            hash.set_deadline(format!("f{name}").as_bytes(), Some(name));
        }
        assert_eq!((hash.purge(4, 2), hash.len()), (2, count - 2));
        assert_eq!((hash.purge(4, usize::MAX), hash.len()), (3, count - 5));
        assert_eq!(
            (hash.purge(4, usize::MAX), hash.earliest_deadline_ms()),
            (0, Some(5))
        );
    }
}

#[test]
fn a_scan_meets_all_that_stay_while_others_go() {
    let mut hash = hash_of(0..1000);
    let (mut cursor, mut seen) = (0, Vec::new());
    for step in 0.. {
        let (fields, next) = hash.scan(cursor, 10);
        seen.extend(fields.map(|field| text(field.name)));
        for gone in [step * 9, step * 9 + 3] {
            hash.remove(format!("f{gone}").as_bytes());
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for name in names(&hash) {
        assert!(seen.contains(&name), "{name}");
    }
}

#[test]
fn a_scan_bears_any_cursor() {
    let hash = hash_of(0..100);
    for (cursor, count) in [(u64::MAX, 1), (u64::MAX, usize::MAX), (101, 0), (1, 10)] {
        let (fields, next) = hash.scan(cursor, count);
        assert!(fields.count() > 0 && next < 100, "{cursor} {count}");
    }
    assert_eq!(hash_of(0..5).scan(77, 1).1, 0);
    assert_eq!(Hash::new().scan(0, 1).0.count(), 0);
}

#[test]
fn samples_are_uniform_and_without_repetition() {
    let mut random = Random::new(7);
    for (len, count) in [(8, 3), (100, 3), (100, 50), (100, 100), (8, 20)] {
        let hash = hash_of(0..len);
        let mut times = vec![0_u32; len];
        for _ in 0..4000 {
            let sample = hash.sample(count, &mut random);
            assert_eq!(sample.len(), count.min(len));
            let mut places: Vec<usize> = sample
                .iter()
                .map(|field| text(field.value).parse().unwrap())
                .collect();
            for place in &places {
                times[*place] += 1;
            }
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count.min(len));
        }
        assert_even(&times);
    }
    assert!(Hash::new().sample(3, &mut random).is_empty());
}

#[test]
fn picks_are_uniform() {
    let mut random = Random::new(7);
    for len in [8, 100] {
        let hash = hash_of(0..len);
        let mut times = vec![0_u32; len];
        for field in hash.pick(400 * len, &mut random) {
            times[text(field.value).parse::<usize>().unwrap()] += 1;
        }
        for _ in 0..400 * len {
            let field = hash.random(&mut random).unwrap();
            times[text(field.value).parse::<usize>().unwrap()] += 1;
        }
        assert_even(&times);
    }
    assert_eq!(Hash::new().random(&mut random), None);
    assert_eq!(Hash::new().pick(usize::MAX, &mut random).count(), 0);
}

/// Each was drawn about as often as the others: within seven standard deviations.
fn assert_even(times: &[u32]) {
    let mean = f64::from(times.iter().sum::<u32>()) / times.len() as f64;
    for time in times {
        assert!(
            (f64::from(*time) - mean).abs() < 7.0 * mean.sqrt(),
            "{time} of {mean}"
        );
    }
}

/// Recomputed from scratch, what the incremental figure must be.
fn heap_bytes(hash: &Hash) -> usize {
    hash.clone().heap_bytes()
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, Vec<u8>),
    Keep(u8, Vec<u8>),
    Remove(u8),
    Deadline(u8, Option<u64>),
    Purge(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..24);
    let name = || 0_u8..24;
    prop_oneof![
        3 => (name(), bytes()).prop_map(|(name, value)| Step::Set(name, value)),
        2 => (name(), bytes()).prop_map(|(name, value)| Step::Keep(name, value)),
        3 => name().prop_map(Step::Remove),
        4 => (name(), proptest::option::of(0_u64..100)).prop_map(|(name, at)| Step::Deadline(name, at)),
        1 => (0_u64..60).prop_map(Step::Purge),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]
    #[test]
    fn behaves_like_a_map(limit in 0_usize..24, steps in proptest::collection::vec(step(), 1..120)) {
        let limits = PackedLimits { entries_max: limit, value_bytes_max: 22 };
        let (mut hash, mut model) = (Hash::new(), BTreeMap::<Vec<u8>, (Vec<u8>, Option<u64>)>::new());
        for step in steps {
            match step {
                Step::Set(name, value) => {
                    let created = hash.set(&[name], &value, limits);
                    prop_assert_eq!(model.insert(vec![name], (value, None)).is_none(), created);
                }
                Step::Keep(name, value) => {
                    let created = hash.put(&[name], &value, Deadline::Keep, limits);
                    let at = model.get(&vec![name]).and_then(|old| old.1);
                    prop_assert_eq!(model.insert(vec![name], (value, at)).is_none(), created);
                }
                Step::Remove(name) => {
                    prop_assert_eq!(hash.remove(&[name]), model.remove(&vec![name]).is_some());
                }
                Step::Deadline(name, at) => {
                    let found = model.get_mut(&vec![name]).map(|field| field.1 = at);
                    prop_assert_eq!(hash.set_deadline(&[name], at), found.is_some());
                }
                Step::Purge(now) => {
                    let before = model.len();
                    model.retain(|_, field| field.1.is_none_or(|at| at > now));
                    prop_assert_eq!(hash.purge(now, usize::MAX), before - model.len());
                }
            }
            let mut fields: Vec<_> = hash
                .iter()
                .map(|field| (field.name.to_vec(), (field.value.to_vec(), field.deadline_ms)))
                .collect();
            fields.sort();
            prop_assert!(fields.into_iter().eq(model.clone()));
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.earliest_deadline_ms(), model.values().filter_map(|field| field.1).min());
            for name in 0..24 {
                let field = model.get(&vec![name]);
                prop_assert_eq!(hash.get(&[name]), field.map(|field| &field.0[..]));
                prop_assert_eq!(hash.field(&[name]).map(|field| field.deadline_ms), field.map(|field| field.1));
            }
        }
        prop_assert!(hash.heap_bytes() >= heap_bytes(&hash) || hash.is_empty());
    }
}
