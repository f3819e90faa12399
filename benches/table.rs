//! The store with 100,000 entries: what one key costs behind dispatch.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::store::{Cursor, Key, Store, Visit};

const KEYS: usize = 100_000;
/// A step that visits all keys in an order without pattern: it has no divisor in common with [`KEYS`].
const STRIDE: usize = 61_803;
const VALUE: [u8; 64] = [b'v'; 64];
const VISIT: Visit = Visit::new(0, 1_700_000_000_000);

fn key(index: usize) -> Vec<u8> {
    format!("key:{:012}", index * STRIDE % KEYS).into_bytes()
}

fn visit<R>(store: &Store, name: &[u8], run: impl FnOnce(&mut Key<'_>) -> R) -> R {
    let hash = store.hash(name);
    let mut shard = store.lock(hash);
    run(&mut Key::find(&mut shard, name, hash, VISIT))
}

fn filled(names: &[Vec<u8>]) -> Store {
    let store = Store::new(1);
    for name in names {
        visit(&store, name, |key| key.set(&VALUE, None));
    }
    store
}

fn one_key(criterion: &mut Criterion) {
    let names: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
    let store = filled(&names);
    let mut next = names.iter().cycle();
    let mut next = || next.next().expect("the names go round");
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(1));
    group.bench_function("find", |bencher| {
        bencher.iter(|| {
            visit(&store, next(), |key| {
                black_box(key.read().is_ok_and(|text| text.is_some()))
            })
        });
    });
    group.bench_function("overwrite", |bencher| {
        bencher.iter(|| visit(&store, next(), |key| key.set(&VALUE, None)));
    });
    group.bench_function("remove_and_insert", |bencher| {
        bencher.iter(|| {
            visit(&store, next(), |key| {
                key.remove();
                key.set(&VALUE, None);
            });
        });
    });
    group.finish();
}

fn all_keys(criterion: &mut Criterion) {
    let names: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
    let store = filled(&names);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("scan", |bencher| bencher.iter(|| black_box(count(&store))));
    group.bench_function("fill", |bencher| {
        bencher.iter_with_large_drop(|| filled(&names));
    });
    group.finish();
}

/// Entries that a SCAN with its default COUNT meets.
fn count(store: &Store) -> usize {
    let (mut entries, mut cursor) = (0, Cursor::START);
    loop {
        cursor = store.scan(cursor, 10, VISIT, |_| entries += 1);
        if cursor == Cursor::START {
            return entries;
        }
    }
}

criterion_group!(benches, one_key, all_keys);
criterion_main!(benches);
