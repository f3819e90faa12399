//! Payloads from anybody: no panic, memory in proportion to the payload, and a value that was read is written so that
//! it can be read again.
//!
//! The first byte of the data is the version. It and the checksum are put behind the rest, or no input would get past
//! them.

#![no_main]

use forebay::store::rdb::{self, Limits};
use forebay::values::packed::PackedLimits;
use libfuzzer_sys::fuzz_target;

const PACKED: PackedLimits = PackedLimits { entries_max: 16, value_bytes_max: 64 };
const LIMITS: Limits = Limits {
    hash: PACKED,
    list_packed_size: 16,
    set: PACKED,
    set_intset_entries_max: 16,
    sorted_set: PACKED,
};

fuzz_target!(|data: &[u8]| {
    let Some((&version, body)) = data.split_first() else { return };
    let _ = rdb::decode(data, &LIMITS);
    let payload = rdb::sealed(body, u16::from(version));
    let Ok(value) = rdb::decode(&payload, &LIMITS) else { return };
    if let Some(written) = rdb::encode(value.view(), 0) {
        assert!(rdb::decode(&written, &LIMITS).is_ok());
    }
});
