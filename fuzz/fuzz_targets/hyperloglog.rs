//! `HyperLogLog` sketches that a client wrote by hand: no panic, nothing out of bounds, and what is refused stays as it is.
//!
//! The first byte of the data says how many of the next ones are elements to add, the rest is the sketch's registers.

#![no_main]

use forebay::values::hyperloglog::{HyperLogLog, Seen, View};
use libfuzzer_sys::fuzz_target;

const SPARSE_BYTES_MAX: usize = 3000;

fuzz_target!(|data: &[u8]| {
    let Some((&elements, rest)) = data.split_first() else { return };
    let (elements, registers) = rest.split_at(usize::from(elements).min(rest.len()));
    let sketch = [b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", registers].concat();
    let Some(view) = View::new(&sketch) else { return };
    let _ = (view.count(), view.runs(), view.unpacked());
    let mut changed = HyperLogLog::from(view);
    for element in elements.chunks(2) {
        let before = changed.clone();
        if changed.add(Seen::of(element), SPARSE_BYTES_MAX).is_err() {
            assert_eq!(changed, before);
        }
    }
    let _ = changed.make_dense();
    let _ = (changed.view().count(), changed.view().runs(), changed.view().unpacked());
});
