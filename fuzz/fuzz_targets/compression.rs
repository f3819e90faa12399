//! Packed texts from anybody: no panic, no more bytes than allowed, and what is packed here comes back.
//!
//! A checksum is put behind the bytes, since no input would get past it.

#![no_main]

use forebay::values::compression::{Method, mark, marked, pack, plain_bytes, unpack};
use libfuzzer_sys::fuzz_target;

const PLAIN_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let unpacked = unpack(data, PLAIN_BYTES_MAX).ok();
    if let Some(plain) = &unpacked {
        assert_eq!(plain_bytes(data), Ok(plain.len()));
        assert!(plain.len() <= PLAIN_BYTES_MAX);
    }
    assert_eq!(marked(&mark(data), PLAIN_BYTES_MAX), unpacked);
    let _ = marked(data, PLAIN_BYTES_MAX);
    for method in [Method::Lz4, Method::Zstd] {
        if let Some(packed) = pack(method, data) {
            assert_eq!(unpack(&packed, data.len()).as_deref(), Ok(data));
        }
    }
});
