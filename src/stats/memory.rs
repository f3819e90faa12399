//! Where the server's memory is.

use std::fmt;

use super::allocator::{self, HeapBytes};
use super::process;
use crate::services::Services;

/// The server's memory at one moment, in bytes.
///
/// What `maxmemory` bounds, and INFO calls `used_memory`, is what the store counts to the byte: the size class of
/// every entry, and the tables. Overhead is all of the heap that is not entries, as the allocator knows it: the tables
/// again, and buffers of clients, statistics, the server itself.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Entries and tables.
    pub used: u64,
    /// The most that `used` ever was.
    pub peak: u64,
    /// The heap before the server served anybody.
    pub startup: u64,
    /// Buffers of clients: requests not yet executed, replies not yet sent.
    pub clients: u64,
    /// The heap.
    pub heap: HeapBytes,
    /// Physical memory of the process.
    pub resident: u64,
    /// `maxmemory`; 0 means no limit.
    pub limit: u64,
    /// Entries of all databases.
    pub keys: usize,
    /// Tables alone: the part of `used` that is not entries.
    pub tables: u64,
}

impl Memory {
    /// Reads all figures. O(shards × databases + clients).
    pub fn of(services: &Services) -> Self {
        let (_, used) = services.store.totals();
        let buffers = |client: &crate::clients::Client| {
            let (filled, free) = client.query();
            (filled + free + client.output_bytes()) as u64
        };
        let sizes = services.store.sizes();
        Self {
            used,
            peak: services.vitals.note_used(used),
            startup: services.vitals.startup_bytes(),
            clients: services.clients.list().iter().map(|client| buffers(client)).sum(),
            heap: allocator::heap(),
            resident: process::resident_bytes(),
            limit: services.store.limit_bytes(),
            keys: sizes.iter().map(|size| size.entries).sum(),
            tables: sizes.iter().map(|size| size.table_bytes as u64).sum(),
        }
    }

    /// Bytes of entries.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.tables)
    }

    /// Per cent of the heap that are entries.
    pub fn dataset_percent(&self) -> f64 {
        ratio(self.dataset(), self.dataset() + self.overhead()) * 100.0
    }

    /// Bytes on the heap that are not entries.
    pub fn overhead(&self) -> u64 {
        self.heap.allocated.saturating_sub(self.dataset())
    }
}

/// `part / whole`; 1 where there is nothing to compare.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// Bytes as people read them: `512B`, `1.50K`, `23.54G`.
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
        if self.0 < 1024 {
            return write!(f, "{}B", self.0);
        }
        let power = (self.0.ilog2() / 10) as usize;
        write!(
            f,
            "{:.2}{}",
            self.0 as f64 / 1024f64.powi(power as i32),
            UNITS[power - 1]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_bytes_in_units_of_1024() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (1 << 20, "1.00M"),
            (25_276_502_016, "23.54G"),
            (u64::MAX, "16.00E"),
        ] {
            assert_eq!(Human(bytes).to_string(), text);
        }
    }
}
