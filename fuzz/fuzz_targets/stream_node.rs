//! Nodes of streams out of a payload: refused, or harmless in everything that can be done with them.
//!
//! The first byte of the data is the node's id, the rest its elements; the head around them is always right.

#![no_main]

use forebay::values::stream::{Entries, Entry, IdRequest, Keep, NodeLimits, StreamId, Trim};
use libfuzzer_sys::fuzz_target;

const LIMITS: NodeLimits = NodeLimits { bytes_max: 0, entries_max: 0 };

fuzz_target!(|data: &[u8]| {
    let Some((&first, elements)) = data.split_first() else { return };
    let head = (elements.len() as u32 + 7).to_le_bytes();
    let node = [&head[..], &[0xff, 0xff], elements, &[0xff]].concat();
    let mut entries = Entries::default();
    if entries.load_block(StreamId::new(first.into(), 0), &node).is_err() {
        return;
    }
    let _ = entries.load_ids(StreamId::new(u64::MAX, 0), 0, StreamId::MIN);
    let fields = |entry: Entry<'_>| entry.fields().count();
    let forward = entries.range(StreamId::MIN, StreamId::MAX).map(fields).sum::<usize>();
    let back = entries.range_back(StreamId::MIN, StreamId::MAX).map(fields).sum::<usize>();
    assert_eq!(forward, back);
    if let Ok(id) = entries.next_id(IdRequest::Next, 0) {
        let _ = entries.append(id, [b"name".as_slice(), b"value"].into_iter(), LIMITS);
    }
    let ids: Vec<_> = entries.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    for id in ids.iter().step_by(2) {
        assert!(entries.remove(*id));
    }
    entries.trim(Trim { keep: Keep::Newest(0), approximate: false, limit: 0 }, None);
    assert_eq!(entries.len(), 0);
});
