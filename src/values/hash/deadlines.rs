//! The deadlines of a table's fields, in order of time.

use std::collections::BTreeSet;

/// Which fields die when. Fields are known by their numbers in the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    in_order: BTreeSet<(u64, u32)>,
    /// The first of them, at hand without going down the tree.
    earliest_ms: Option<u64>,
}

impl Deadlines {
    /// The earliest one. O(1).
    #[inline]
    pub(super) fn earliest_ms(&self) -> Option<u64> {
        self.earliest_ms
    }

    /// The number of a field that dies first, if that is not after `now_ms`. O(log N).
    pub(super) fn first_until(&self, now_ms: u64) -> Option<usize> {
        self.earliest_ms.filter(|at| *at <= now_ms)?;
        self.in_order.first().map(|(_, number)| *number as usize)
    }

    /// Notes that the deadline of the field with this number is `new` instead of `old`. O(log N).
    pub(super) fn change(&mut self, number: usize, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(ms) = old {
            self.in_order.remove(&(ms, number as u32));
        }
        if let Some(ms) = new {
            self.in_order.insert((ms, number as u32));
        }
        self.earliest_ms = self.in_order.first().map(|(ms, _)| *ms);
    }

    /// Notes that the field with this deadline has another number. O(log N).
    pub(super) fn renumber(&mut self, deadline_ms: Option<u64>, from: usize, to: usize) {
        if let Some(ms) = deadline_ms {
            self.in_order.remove(&(ms, from as u32));
            self.in_order.insert((ms, to as u32));
        }
    }

    /// Bytes of heap, nearly: what a node takes is the standard library's own affair.
    pub(super) fn heap_bytes(&self) -> usize {
        /// 16 for what is kept; nodes are two thirds full, and have a head.
        const BYTES_EACH: usize = 28;
        self.in_order.len() * BYTES_EACH
    }
}
