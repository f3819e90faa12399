//! Requests from their bytes to the bytes of their replies, without sockets.

mod local_client;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use local_client::{LocalClient, encode};

/// Requests in one read, as a pipelining client sends them.
const PIPELINE: usize = 16;

/// Enough for most of their entries to be in no cache of the processor.
const KEYS: usize = 100_000;

/// A step that visits all keys in an order without pattern: it has no divisor in common with [`KEYS`].
const STRIDE: usize = 61_803;

/// Reads of [`PIPELINE`] requests each that visit every key once.
fn reads(request: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let key = |index: usize| format!("key:{:012}", index * STRIDE % KEYS);
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    keys.chunks(PIPELINE)
        .map(|keys| keys.iter().flat_map(|key| request(key.as_bytes())).collect())
        .collect()
}

fn requests(criterion: &mut Criterion) {
    let value = [b'v'; 64];
    let cases: [(&str, Vec<Vec<u8>>); 5] = [
        ("set", reads(|key| encode(&[b"SET", key, &value]))),
        ("get", reads(|key| encode(&[b"GET", key]))),
        (
            "get_missing",
            reads(|key| encode(&[b"GET", &[b"no:", key].concat()])),
        ),
        (
            "set_ex",
            reads(|key| encode(&[b"SET", key, &value, b"EX", b"3600"])),
        ),
        ("ping", reads(|_| encode(&[b"PING"]))),
    ];
    let mut client = LocalClient::new();
    for read in &cases[0].1 {
        client.run(read);
    }
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, reads) in &cases {
        let mut reads = reads.iter().cycle();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let read = reads.next().expect("the reads go round");
                black_box(client.run(black_box(read)));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
