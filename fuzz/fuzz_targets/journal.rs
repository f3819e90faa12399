//! Segments of the journal from anybody: no panic, no more memory than the bytes are worth, sequences that rise, and
//! records that lie within the bytes.
//!
//! The data is read as it is, and as bodies under valid checksums, or nothing would get past them; then with a hole in
//! it, behind which everything must be found again.

#![no_main]

use forebay::tiers::journal::{Record, State, sealed_segment, visit_segment};
use libfuzzer_sys::fuzz_target;

fn value_len(record: &Record<'_>) -> usize {
    match record.state {
        State::Text { value, .. } => value.len(),
        State::Payload { payload, .. } => payload.len(),
        State::Removed => 0,
    }
}

/// The sequences of all records in a segment.
fn sequences(segment: &[u8]) -> Vec<u64> {
    let mut sequences: Vec<u64> = Vec::new();
    let visited = visit_segment(segment, |sequence, record| {
        assert!(sequences.last().is_none_or(|last| *last < sequence));
        assert!(record.key.len() + value_len(record) < segment.len());
        sequences.push(sequence);
    });
    if visited.is_err() {
        assert!(sequences.is_empty());
    }
    sequences
}

fuzz_target!(|data: &[u8]| {
    sequences(data);
    let Some((&[first, step, hole], bodies)) = data.split_first_chunk() else { return };
    let chunks = bodies.chunks(usize::from(step).max(1)).filter(|body| !body.is_empty());
    let mut segment = sealed_segment(u64::from(first), chunks);
    let all = sequences(&segment);
    let at = segment.len() * usize::from(hole) / 256;
    segment[at] ^= 0x55;
    let left = sequences(&segment);
    assert!(left.iter().all(|sequence| all.contains(sequence)));
    assert!(at < 40 || left.len() + 1 >= all.len());
});
