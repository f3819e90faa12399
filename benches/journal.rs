//! The journal of write-behind: what a write pays for being durable, beside the one system call of its batch.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::clock::Clock;
use forebay::tiers::journal::{Journal, Record, Settings, State, SyncPolicy, bytes_max};

/// Writes in one batch, as a pipelining client sends them.
const PIPELINE: u64 = 16;
const KEY: &[u8] = b"key:000000000042";
const VALUE: [u8; 59] = [b'v'; 59];

/// Of each record, with a head of 25 bytes.
const RECORD_BYTES: usize = 100;

/// In memory, so that what is measured is the journal and not a disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a directory can be made")
}

fn append(journal: &Journal) -> u64 {
    let bytes = bytes_max(KEY.len(), VALUE.len());
    let mut reservation = loop {
        match journal.reserve(bytes) {
            Ok(reservation) => break reservation,
            Err(_) => std::thread::yield_now(),
        }
    };
    let state = State::Text {
        value: black_box(&VALUE),
        deadline_ms: None,
    };
    journal.append(
        &mut reservation,
        &Record {
            db: 0,
            key: black_box(KEY),
            state,
        },
    )
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(PIPELINE));
    for (name, sync) in [("os", SyncPolicy::Os), ("periodic", SyncPolicy::Periodic)] {
        let dir = directory();
        let settings = Settings {
            sync,
            bytes_max: 1 << 30,
            ignores_damage: false,
        };
        let (journal, _) = Journal::open(dir.path(), &settings, Clock::new()).expect("the directory is new");
        group.bench_function(format!("append 16, commit ({name})"), |bencher| {
            bencher.iter(|| {
                let last = (1..PIPELINE).fold(append(&journal), |_, _| append(&journal));
                journal.commit().expect("there is room");
                journal.release(last);
            });
        });
    }
    let file = tempfile::tempfile_in(directory().path()).expect("a file can be made");
    group.bench_function("the system call alone", |bencher| write_alone(bencher, &file));
    group.finish();
}

/// As many bytes, at rising offsets as in a segment.
fn write_alone(bencher: &mut criterion::Bencher<'_>, file: &File) {
    const FILE_BYTES: u64 = 64 << 20;
    let batch = [0; RECORD_BYTES * PIPELINE as usize];
    let mut offset = 0;
    bencher.iter(|| {
        file.write_all_at(black_box(&batch), offset)
            .expect("there is room");
        offset = (offset + batch.len() as u64) % FILE_BYTES;
    });
}

criterion_group!(benches, batches);
criterion_main!(benches);
