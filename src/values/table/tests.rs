//! A table against a map, and scans of tables that change.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::values::short_bytes::ShortBytes;

#[derive(Debug, Clone)]
struct Pair(ShortBytes, ShortBytes);

impl Named for Pair {
    fn name(&self) -> &[u8] {
        &self.0
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

fn pair(name: &str, value: &str) -> Pair {
    Pair(name.as_bytes().into(), value.as_bytes().into())
}

fn filled(names: impl Iterator<Item = u32>) -> Table<Pair> {
    let mut table = Table::new();
    for name in names.map(|name| name.to_string()) {
        table.add(name.as_bytes(), || pair(&name, "")).unwrap();
    }
    table
}

fn check(table: &Table<Pair>) {
    assert_eq!(table.heap_bytes, table.count_blocks());
    assert_eq!(table.iter().count(), table.len());
    for (at, item) in table.iter().enumerate() {
        assert_eq!(table.find(item.name()), Some(at));
    }
    let entries: usize = table.segments.iter().map(|segment| segment.numbers.len()).sum();
    assert_eq!(entries, table.len());
}

#[test]
fn finds_each_of_many_while_it_grows_and_shrinks() {
    let mut table = filled(0..60_000);
    assert!(table.segments.len() > 4, "segments were split");
    check(&table);
    check(&table.clone());
    let full_bytes = table.heap_bytes();
    for name in (0..60_000).filter(|name| name % 100 != 0) {
        assert!(table.remove(name.to_string().as_bytes()).is_some());
    }
    check(&table);
    assert!(
        table.heap_bytes() < full_bytes / 20,
        "{} of {full_bytes}",
        table.heap_bytes()
    );
    while !table.is_empty() {
        table.remove_at(table.len() / 2);
    }
    check(&table);
    assert!(table.find(b"1").is_none());
}

#[test]
fn a_scan_meets_all_that_stay_whatever_goes_and_comes() {
    for count in [1, 7, 100] {
        let mut table = filled(0..1_000);
        let mut met = HashSet::new();
        let (mut cursor, mut round) = (0, 0);
        loop {
            cursor = table.scan(cursor, count, |item| {
                met.insert(item.name().to_vec());
            });
            if cursor == 0 {
                break;
            }
            for name in [round * 2 + 1, 999 - round * 2].map(|name| name.to_string()) {
                table.remove(name.as_bytes());
            }
            let new = format!("new{round}");
            table.add(new.as_bytes(), || pair(&new, "")).unwrap();
            round += 1;
        }
        for even in (0..1_000).step_by(2) {
            assert!(
                met.contains(even.to_string().as_bytes()),
                "{even} stayed and was missed"
            );
        }
    }
}

#[test]
fn cursors_that_no_table_gave_are_no_harm() {
    let table = filled(0..10);
    assert_eq!(table.scan(u64::MAX, 3, |_| ()), 7);
    assert_eq!(table.scan(4, usize::MAX, |_| ()), 0);
    assert_eq!(table.scan(4, 0, |_| ()), 3);
    assert_eq!(
        Table::<Pair>::new().scan(99, 1, |_| panic!("nothing is there")),
        0
    );
}

#[derive(Debug, Clone)]
enum Step {
    Add(u16, String),
    Update(u16, String),
    Remove(u16),
    RemoveAt(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..300_u16;
    prop_oneof![
        3 => (name.clone(), "x{0,40}").prop_map(|(name, value)| Step::Add(name, value)),
        1 => (name.clone(), "y{0,40}").prop_map(|(name, value)| Step::Update(name, value)),
        2 => name.prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::RemoveAt),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(step(), 0..600)) {
        let mut table = Table::new();
        let mut model: HashMap<Vec<u8>, String> = HashMap::new();
        for step in steps {
            match step {
                Step::Add(name, value) => {
                    let name = name.to_string();
                    let added = table.add(name.as_bytes(), || pair(&name, &value)).is_ok();
                    prop_assert_eq!(added, !model.contains_key(name.as_bytes()));
                    model.entry(name.into_bytes()).or_insert(value);
                }
                Step::Update(name, value) => {
                    let name = name.to_string().into_bytes();
                    prop_assert_eq!(table.find(&name).is_some(), model.contains_key(&name));
                    if let Some(at) = table.find(&name) {
                        table.update(at, |item| item.1 = value.as_bytes().into());
                        model.insert(name, value);
                    }
                }
                Step::Remove(name) => {
                    let name = name.to_string().into_bytes();
                    let removed = table.remove(&name).map(|item| item.1.to_vec());
                    prop_assert_eq!(removed, model.remove(&name).map(String::into_bytes));
                }
                Step::RemoveAt(at) if !table.is_empty() => {
                    let removed = table.remove_at(at % table.len());
                    prop_assert!(model.remove(removed.name()).is_some());
                }
                Step::RemoveAt(_) => {}
            }
        }
        check(&table);
        for (name, value) in model {
            let at = table.find(&name).unwrap();
            prop_assert_eq!(&*table.get(at).1, value.as_bytes());
        }
    }
}
