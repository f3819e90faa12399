//! Where records wait until somebody writes them.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::record::Sealed;
use super::room::Room;

/// The records that were appended since the last batch was taken.
pub struct Front {
    buffer: Mutex<Buffer>,
    last: AtomicU64,
}

struct Buffer {
    records: Vec<u8>,
    last: u64,
    appended: u64,
}

impl Front {
    /// The next sequence is the one after `last`, up to which `appended` bytes were appended.
    pub fn new(last: u64, appended: u64) -> Self {
        Self {
            buffer: Mutex::new(Buffer {
                records: Vec::new(),
                last,
                appended,
            }),
            last: AtomicU64::new(last),
        }
    }

    /// Appends a record; its sequence. Costs a copy, and an allocation only while the buffer still grows.
    pub fn append(&self, record: &Sealed<'_>, room: &Room) -> u64 {
        let mut buffer = self.buffer.lock();
        buffer.last += 1;
        let sequence = buffer.last;
        record.write(sequence, &mut buffer.records);
        buffer.appended += record.bytes();
        room.count_appended(record.bytes());
        self.last.store(sequence, Ordering::Release);
        sequence
    }

    /// The last sequence that was given.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.buffer.lock().records.len() as u64
    }

    /// Moves all records behind `batch`. Returns the last sequence, and the bytes appended ever.
    pub fn take(&self, batch: &mut Vec<u8>) -> (u64, u64) {
        let mut buffer = self.buffer.lock();
        if batch.is_empty() {
            std::mem::swap(batch, &mut buffer.records);
        } else {
            batch.append(&mut buffer.records);
        }
        (buffer.last, buffer.appended)
    }
}
