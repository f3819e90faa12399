//! Encoding of replies: what stands behind every command.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::resp::{Protocol, Reply};

/// Replies in one write, as to a pipelining client.
const PIPELINE: usize = 16;

fn replies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    let mut out = Vec::with_capacity(64 * 1024);
    let mut bench = |name: &str, write: &dyn Fn(&mut Reply<'_>)| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut reply = Reply::new(&mut out, Protocol::Resp3);
                for _ in 0..PIPELINE {
                    write(&mut reply);
                }
                black_box(&mut out);
            });
        });
    };
    let value = [b'v'; 64];
    let large_value = [b'v'; 1024];
    bench("ok", &|reply| reply.ok());
    bench("null", &|reply| reply.null());
    bench("bulk_64", &|reply| reply.bulk(black_box(&value)));
    bench("bulk_1024", &|reply| reply.bulk(black_box(&large_value)));
    bench("integer_small", &|reply| reply.integer(black_box(7)));
    bench("integer_large", &|reply| {
        reply.integer(black_box(1_234_567_890_123));
    });
    bench("bulk_integer", &|reply| reply.bulk_integer(black_box(1_234_567)));
    bench("double", &|reply| reply.double(black_box(0.1)));
    bench("mget_10", &|reply| {
        reply.array(10);
        for _ in 0..10 {
            reply.bulk(black_box(&value));
        }
    });
    group.finish();
}

criterion_group!(benches, replies);
criterion_main!(benches);
