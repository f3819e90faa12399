//! How large segments are.

use crate::limits::{JOURNAL_OVERHANG_BYTES, JOURNAL_SEGMENT_BYTES, JOURNAL_SEGMENT_BYTES_MIN};

/// Segments are so small that this many fit into the limit.
const SEGMENTS_MIN: u64 = 8;

/// The size of a segment. A record may begin anywhere below `records`, and what is longer than the rest of that goes
/// on into the overhang. So whatever the lengths of the records are, none of `records` is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    records: u64,
    overhang: u64,
}

impl SegmentSize {
    /// For a journal that may take `bytes_max`.
    pub fn within(bytes_max: u64) -> Self {
        let records = (bytes_max / SEGMENTS_MIN).clamp(JOURNAL_SEGMENT_BYTES_MIN, JOURNAL_SEGMENT_BYTES);
        Self {
            records,
            overhang: records.min(JOURNAL_OVERHANG_BYTES),
        }
    }

    /// The same, but fit for a record of `record_bytes` too.
    pub fn with_overhang(self, record_bytes: u64) -> Self {
        Self {
            overhang: self.overhang.max(record_bytes),
            ..self
        }
    }

    /// Bytes of the file.
    pub fn whole(&self) -> u64 {
        self.records + self.overhang
    }

    /// The longest record that there is space for without asking the disk.
    pub fn record_bytes_max(&self) -> u64 {
        self.overhang
    }

    /// Bytes between `end` and the last place where a record may begin.
    pub fn room(&self, end: u64) -> u64 {
        self.records.saturating_sub(end)
    }
}
