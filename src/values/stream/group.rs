//! A group of consumers, among whom the entries of a stream are shared out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::entries::{Corrupt, Entries, tree_bytes};
use super::id::StreamId;
use crate::values::heap::size_class;

/// How far a group has read, which entries were given to whom and not acknowledged yet, and the consumers.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last id that was given to any consumer, or that it was set to.
    pub last_id: StreamId,
    /// How many of the entries that were ever added are behind it, if that is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
    /// Bytes of heap of the consumers' names and of the trees of their pending ids.
    consumers_bytes: usize,
}

/// An entry that was given to a consumer and that it did not acknowledge yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Who has it.
    pub consumer: Arc<[u8]>,
    /// When it was given to them, in Unix milliseconds.
    pub delivered_ms: u64,
    /// How often it was given to anybody.
    pub deliveries: u64,
}

/// Who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// When it last asked for entries, in Unix milliseconds.
    pub seen_ms: u64,
    /// When it last got any; none if it never did.
    pub active_ms: Option<u64>,
    pending: BTreeSet<StreamId>,
}

/// A consumer as it is stored: its state and the ids that it has not acknowledged.
pub struct ConsumerState<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// As in [`Consumer`].
    pub seen_ms: u64,
    /// As in [`Consumer`].
    pub active_ms: Option<u64>,
    /// Ids of the group's pending entries.
    pub pending: Vec<StreamId>,
}

impl Pending {
    /// For how long the consumer has had it, in milliseconds; negative if the clock went back. `now_ms`: Unix time.
    pub fn idle_ms(&self, now_ms: u64) -> i64 {
        now_ms.wrapping_sub(self.delivered_ms) as i64
    }
}

impl Consumer {
    /// For how long it has not asked for entries, as [`Pending::idle_ms`].
    pub fn idle_ms(&self, now_ms: u64) -> i64 {
        now_ms.wrapping_sub(self.seen_ms) as i64
    }

    /// The ids of the entries that it has and did not acknowledge.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }

    fn heap_bytes(&self, name: &[u8]) -> usize {
        /// The counters in front of what an `Arc` holds.
        const COUNTERS_BYTES: usize = 16;
        size_class(name.len() + COUNTERS_BYTES) + tree_bytes::<StreamId, ()>(self.pending.len())
    }
}

impl Group {
    /// A group without consumers that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            ..Self::default()
        }
    }

    /// A group as it was stored. Fails unless each pending entry is that of exactly one consumer, and ids and
    /// names are different from each other.
    pub fn load(
        last_id: StreamId,
        entries_read: Option<u64>,
        pending: &[(StreamId, u64, u64)],
        consumers: Vec<ConsumerState<'_>>,
    ) -> Result<Self, Corrupt> {
        let mut group = Self::new(last_id, entries_read);
        let mut unowned: BTreeMap<_, _> = pending
            .iter()
            .map(|(id, ms, count)| (*id, (*ms, *count)))
            .collect();
        if unowned.len() != pending.len() {
            return Err(Corrupt);
        }
        for state in consumers {
            group.load_consumer(&state, &mut unowned).ok_or(Corrupt)?;
        }
        if unowned.is_empty() {
            Ok(group)
        } else {
            Err(Corrupt)
        }
    }

    /// Adds a consumer with its entries, which are taken out of `unowned`.
    fn load_consumer(
        &mut self,
        state: &ConsumerState<'_>,
        unowned: &mut BTreeMap<StreamId, (u64, u64)>,
    ) -> Option<()> {
        if !self.add_consumer(state.name, state.seen_ms) {
            return None;
        }
        for id in &state.pending {
            let (delivered_ms, deliveries) = unowned.remove(id)?;
            self.assign(*id, state.name, delivered_ms, deliveries);
        }
        self.change_consumer(state.name, |consumer| consumer.active_ms = state.active_ms)
    }

    /// Bytes of heap. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.consumers_bytes
            + tree_bytes::<StreamId, Pending>(self.pending.len())
            + tree_bytes::<Arc<[u8]>, Consumer>(self.consumers.len())
    }

    /// All pending entries, by id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> &BTreeMap<Arc<[u8]>, Consumer> {
        &self.consumers
    }

    /// The consumer of that name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// The first id of a pending entry that is not before `start`.
    pub fn next_pending(&self, start: StreamId) -> Option<StreamId> {
        self.pending.range(start..).next().map(|(id, _)| *id)
    }

    /// Adds a consumer; tells whether there was none of that name.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: u64) -> bool {
        if self.consumers.contains_key(name) {
            return false;
        }
        let consumer = Consumer {
            seen_ms: now_ms,
            active_ms: None,
            pending: BTreeSet::new(),
        };
        self.consumers_bytes += consumer.heap_bytes(name);
        self.consumers.insert(name.into(), consumer);
        true
    }

    /// Notes that a consumer asks for entries; adds it if there is none of that name, and tells whether.
    pub fn see_consumer(&mut self, name: &[u8], now_ms: u64) -> bool {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now_ms;
            return false;
        }
        self.add_consumer(name, now_ms)
    }

    /// Removes a consumer and its pending entries; tells how many these were, or none if there was no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.consumers_bytes -= consumer.heap_bytes(name);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes `id` a pending entry of a consumer that exists, whoever had it before. O(log N).
    pub fn assign(&mut self, id: StreamId, consumer: &[u8], delivered_ms: u64, deliveries: u64) {
        let only = (Bound::Included(consumer), Bound::Included(consumer));
        let Some((name, owner)) = self.consumers.range_mut::<[u8], _>(only).next() else {
            return;
        };
        let pending = Pending {
            consumer: Arc::clone(name),
            delivered_ms,
            deliveries,
        };
        let former = self.pending.insert(id, pending);
        let before = owner.heap_bytes(name);
        if owner.pending.insert(id) {
            self.consumers_bytes = self.consumers_bytes - before + owner.heap_bytes(name);
            if let Some(former) = former {
                self.change_consumer(&former.consumer, |consumer| consumer.pending.remove(&id));
            }
        }
    }

    /// Notes that a pending entry was given to its consumer once more.
    pub fn deliver_again(&mut self, id: StreamId, now_ms: u64) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.delivered_ms = now_ms;
            pending.deliveries = pending.deliveries.wrapping_add(1);
        }
    }

    /// Notes that a consumer got entries.
    pub fn mark_active(&mut self, consumer: &[u8], now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.active_ms = Some(now_ms);
        }
    }

    /// Takes `id` off the pending entries; tells whether it was among them. O(log N).
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        self.change_consumer(&pending.consumer, |consumer| consumer.pending.remove(&id));
        true
    }

    /// Moves on to `id`, which was just given to a consumer. O(1).
    pub fn advance(&mut self, id: StreamId, entries: &Entries) {
        self.entries_read = match self.entries_read {
            Some(read) if !entries.has_gap_behind(id) => Some(read.wrapping_add(1)),
            read if entries.added() == 0 => read,
            _ => entries.added_up_to(id),
        };
        self.last_id = id;
    }

    /// How many entries the group has yet to read, if that can be told; negative if it was told to have read more
    /// than there were. O(1).
    pub fn lag(&self, entries: &Entries) -> Option<i64> {
        if entries.added() == 0 {
            return Some(0);
        }
        let known = self
            .entries_read
            .filter(|_| !entries.has_gap_behind(self.last_id));
        let read = known.or_else(|| entries.added_up_to(self.last_id))?;
        Some(entries.added().wrapping_sub(read) as i64)
    }

    /// The ids of a consumer's pending entries from `start` on, at most `count` of them.
    pub fn history(&self, consumer: &[u8], start: StreamId, count: usize) -> Vec<StreamId> {
        let Some(consumer) = self.consumers.get(consumer) else {
            return Vec::new();
        };
        let range = (Bound::Included(start), Bound::Unbounded);
        consumer.pending.range(range).take(count).copied().collect()
    }

    fn change_consumer<R>(&mut self, name: &[u8], change: impl FnOnce(&mut Consumer) -> R) -> Option<R> {
        let consumer = self.consumers.get_mut(name)?;
        let before = consumer.heap_bytes(name);
        let result = change(consumer);
        self.consumers_bytes = self.consumers_bytes - before + consumer.heap_bytes(name);
        Some(result)
    }
}
