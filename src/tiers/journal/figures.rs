//! What can be seen of a journal from outside.

use super::room::Full;

/// A look at a journal; its figures need not be of exactly the same moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes that its segments take, those included that are allocated ahead.
    pub disk_bytes: u64,
    /// Bytes of the records that were appended since it was opened and not released, to within 64 KiB.
    pub live_bytes: u64,
    /// Bytes that can be reserved at once.
    pub free_bytes: u64,
    /// Bytes that are kept in memory: not written, or not proven durable.
    pub unproven_bytes: u64,
    /// Segments with records.
    pub segments: usize,
    /// The last sequence that was given.
    pub last_sequence: u64,
    /// The last sequence that is in the kernel.
    pub written_sequence: u64,
    /// The last sequence that is known to be on the disk.
    pub durable_sequence: u64,
    /// No record below this sequence is needed.
    pub released_sequence: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// The longest sync in microseconds.
    pub sync_us_max: u64,
    /// Times that a segment failed, and what was not proven was written again.
    pub fresh_starts: u64,
    /// Why nothing can be reserved now, if so.
    pub full: Option<Full>,
    /// What the file system said, while it does.
    pub trouble: Option<String>,
}
