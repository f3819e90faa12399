//! Decoding of requests: what stands before every command.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::resp::{DecodeLimits, Decoded, Decoder};

/// Requests in one read, as a pipelining client sends them.
const PIPELINE: usize = 16;

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

/// Decodes all of `input` and touches every word; the number of requests.
fn decode_all(decoder: &mut Decoder, mut input: &[u8]) -> usize {
    let mut requests = 0;
    while let Decoded::Whole { consumed } = decoder
        .decode(input, &DecodeLimits::default())
        .expect("the requests are valid")
    {
        for word in decoder.request(input).iter() {
            black_box(word);
        }
        input = &input[consumed..];
        requests += 1;
    }
    requests
}

fn pipelines(criterion: &mut Criterion) {
    let key = b"key:000000000042";
    let value = [b'v'; 64];
    let fields: Vec<&[u8]> = [b"MSET".as_slice()]
        .into_iter()
        .chain([key.as_slice(); 20])
        .collect();
    let requests = [
        ("get", encode(&[b"GET", key])),
        ("set", encode(&[b"SET", key, &value])),
        ("set_ex", encode(&[b"SET", key, &value, b"EX", b"3600"])),
        ("mset_10", encode(&fields)),
        ("inline_get", b"GET key:000000000042\r\n".to_vec()),
    ];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, request) in requests {
        let input = request.repeat(PIPELINE);
        let mut decoder = Decoder::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode_all(&mut decoder, black_box(&input)));
        });
    }
    group.finish();
}

/// A value of 1 MiB in reads of 16 KiB: the time must follow the number of reads, not the bytes.
fn large_value_in_pieces(criterion: &mut Criterion) {
    let input = encode(&[b"SET", b"key", &vec![b'v'; 1 << 20]]);
    let mut decoder = Decoder::default();
    criterion.bench_function("decode/large_value_in_pieces", |bencher| {
        bencher.iter(|| {
            for end in (0..input.len()).step_by(16 * 1024).skip(1).chain([input.len()]) {
                let decoded = decoder.decode(black_box(&input[..end]), &DecodeLimits::default());
                black_box(decoded.expect("the request is valid"));
            }
        });
    });
}

criterion_group!(benches, pipelines, large_value_in_pieces);
criterion_main!(benches);
