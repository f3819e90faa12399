//! Removes entries whose deadline has passed and that nobody asks for again.
//!
//! A database of a shard is read through when enough of it is dead to be worth it, in slices of bounded length,
//! so that a request never waits long for the shard's lock. The longer the dead lie, the fewer of them suffice.

use std::sync::atomic::Ordering::Relaxed;

use super::Store;
use super::expiry::{DeadlineCounts, FAR, FAR_PATIENCE_MS};
use super::shard::Shard;
use super::table::Position;
use crate::limits::{SWEEP_BUCKETS_PER_SLICE, SWEEP_BUCKETS_PER_TICK, SWEEP_FIELDS_PER_BUCKET};

/// One dead entry in this many is worth reading through them at once.
const PATIENCE: u64 = 16;
/// With each of these periods since the last time, one in another [`PATIENCE`] suffices.
const PATIENCE_PERIOD_MS: u64 = 4_000;

/// What a sweep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Dead entries removed.
    pub removed: usize,
    /// Buckets of entries that were read.
    pub buckets: usize,
    /// Entries with a deadline that are left.
    pub volatile: usize,
    /// Entries known to be dead that are left.
    pub due: usize,
}

impl Store {
    /// Reads through those shards that are worth it, until so much was read that the rest has to wait for the
    /// next call. `effort` is 1 to 10 (`active-expire-effort`). O(shards), beside what it reads.
    pub fn sweep(&self, now_ms: u64, effort: u64) -> Swept {
        let mut swept = Swept::default();
        // Dead copies may be served for a while.
        let now_ms = now_ms.saturating_sub(self.settings.freshness.load().stale_ttl_max_ms);
        if !self.settings.sweeps.load(Relaxed) {
            return swept;
        }
        let first = self.sweep_next.load(Relaxed);
        let buckets_max = SWEEP_BUCKETS_PER_TICK * effort as usize;
        for step in 0..self.shards.len() {
            let index = (first + step) % self.shards.len();
            if swept.buckets < buckets_max {
                self.sweep_next.store(index + 1, Relaxed);
            }
            self.sweep_shard(index, now_ms, effort, buckets_max, &mut swept);
        }
        swept
    }

    fn sweep_shard(&self, index: usize, now_ms: u64, effort: u64, buckets_max: usize, swept: &mut Swept) {
        let mut shard = self.shards[index].lock();
        for db in 0..self.settings.databases {
            if swept.buckets < buckets_max && shard.is_worth_a_sweep(db, now_ms, effort) {
                let mut next = Some(0);
                while let Some(order) = next {
                    next = shard.sweep_slice(db, order, now_ms, swept);
                    shard.bump();
                }
            }
            if let Some(deadlines) = shard
                .keyspace(db)
                .and_then(|keyspace| keyspace.deadlines.as_ref())
            {
                swept.volatile += deadlines.total() as usize;
                swept.due += deadlines.due() as usize;
            }
        }
    }
}

impl Shard {
    fn is_worth_a_sweep(&mut self, db: usize, now_ms: u64, effort: u64) -> bool {
        let swept_at_ms = self.keyspace(db).map_or(0, |keyspace| keyspace.swept_at_ms);
        let Some(deadlines) = self.deadlines(db) else {
            return false;
        };
        let set_back = now_ms < deadlines.folded_to_ms();
        deadlines.fold(now_ms);
        // A clock that was set back is far from the last sweep in the other direction.
        let waited_ms = now_ms.abs_diff(swept_at_ms);
        if set_back && waited_ms < PATIENCE_PERIOD_MS {
            return false;
        }
        let urgency = PATIENCE * effort * (1 + waited_ms / PATIENCE_PERIOD_MS);
        let due = u64::from(deadlines.due());
        let many_are_dead = due > 0 && due.saturating_mul(urgency) >= u64::from(deadlines.total());
        many_are_dead || deadlines.far() > 0 && waited_ms >= FAR_PATIENCE_MS
    }

    /// Reads a bounded number of buckets from the one at `order` on; returns where to go on. A place in the order
    /// of hashes stays true when the table becomes smaller on the way.
    fn sweep_slice(&mut self, db: usize, mut order: u32, now_ms: u64, swept: &mut Swept) -> Option<u32> {
        for _ in 0..SWEEP_BUCKETS_PER_SLICE {
            let keyspace = self.keyspace_mut(db);
            let (mortal, table) = (keyspace.mortal(), &keyspace.table);
            let bucket = table.home(order);
            let next = table.order_behind(bucket).filter(|_| mortal > 0);
            keyspace.swept_at_ms = now_ms;
            swept.buckets += 1;
            swept.removed += self.sweep_bucket(db, bucket, now_ms);
            order = next?;
        }
        Some(order)
    }

    /// Removes the dead entries of one bucket, and a bounded number of dead fields; returns how many entries it
    /// were. Removal moves other entries into the
    /// bucket, and may make the table smaller.
    pub(super) fn sweep_bucket(&mut self, db: usize, bucket: usize, now_ms: u64) -> usize {
        let mut removed = 0;
        let mut fields_left = SWEEP_FIELDS_PER_BUCKET;
        while let Some(position) = self.due_in(db, bucket, now_ms) {
            let fields_before = self.totals.expired_fields;
            let stays = self.remove_dead(db, position, now_ms, fields_left);
            fields_left -= (self.totals.expired_fields - fields_before) as usize;
            removed += usize::from(!stays);
            if fields_left == 0 {
                break;
            }
        }
        self.recount_far(db, bucket, now_ms);
        removed
    }

    /// An entry of this bucket that is dead, or has dead fields.
    fn due_in(&self, db: usize, bucket: usize, now_ms: u64) -> Option<Position> {
        let table = &self.keyspace(db)?.table;
        let is_due = |position: &Position| table.get(*position).due_ms().is_some_and(|at| at <= now_ms);
        (bucket < table.buckets())
            .then(|| table.positions_in(bucket).find(is_due))
            .flatten()
    }

    /// Counts deadlines anew that were too far away for the finer counts.
    fn recount_far(&mut self, db: usize, bucket: usize, now_ms: u64) {
        let keyspace = self.keyspace_mut(db);
        if keyspace.deadlines.as_ref().is_none_or(|counts| counts.far() == 0)
            || bucket >= keyspace.table.buckets()
        {
            return;
        }
        for position in keyspace.table.positions_in(bucket) {
            let entry = keyspace.table.get(position);
            let class = entry.deadline_class();
            if let Some(due_ms) = entry.due_ms().filter(|_| class == FAR) {
                keyspace.recount_deadline(position, Some((due_ms, class)), now_ms);
            }
        }
    }

    fn deadlines(&mut self, db: usize) -> Option<&mut DeadlineCounts> {
        self.keyspace(db)?.deadlines.as_ref()?;
        self.keyspace_mut(db).deadlines.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Visit};

    const NOW_MS: u64 = 1_700_000_000_000;
    const TICK_MS: u64 = 100;
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn put(store: &Store, number: u32, now_ms: u64, deadline_ms: Option<u64>) {
        let name = number.to_le_bytes();
        let hash = store.hash(&name);
        let visit = Visit::new(number as usize % 2, now_ms);
        Key::find(&mut store.lock(hash), &name, hash, visit).set(b"value", deadline_ms);
    }

    fn entries(store: &Store) -> usize {
        store.size(0).entries + store.size(1).entries
    }

    #[test]
    fn the_dead_are_found_and_only_they() {
        let store = Store::new(16);
        for number in 0..80_000 {
            let deadline_ms = NOW_MS + u64::from(number % 4) * 1000;
            put(&store, number, NOW_MS, (number % 4 < 3).then_some(deadline_ms));
        }
        let mut removed = 0;
        for now_ms in (NOW_MS..NOW_MS + 8_000).step_by(TICK_MS as usize) {
            removed += store.sweep(now_ms, 1).removed;
            let dead = 20_000 * ((now_ms - NOW_MS) / 1000 + 1).min(3) as usize;
            assert!(removed <= dead, "{removed} of {dead} are gone");
            // A second after they died few are left, whom it is not worth to look for at once.
            assert!(
                !(now_ms + TICK_MS).is_multiple_of(1000) || removed + 500 >= dead,
                "{removed} of {dead} are gone"
            );
        }
        assert_eq!((entries(&store), store.totals().0.expired), (20_000, 60_000));
    }

    #[test]
    fn little_is_read_while_nothing_dies_and_no_more_than_is_worth_it() {
        let store = Store::new(16);
        (0..100_000)
            .for_each(|number| put(&store, number, NOW_MS, Some(NOW_MS + DAY_MS + u64::from(number))));
        let buckets_in_use = 100_000 / 7;
        let read = |from_ms: u64, period_ms: u64| {
            let ticks = (from_ms..from_ms + period_ms).step_by(10_000);
            ticks.map(|now_ms| store.sweep(now_ms, 1).buckets).sum::<usize>()
        };
        assert_eq!(read(NOW_MS, DAY_MS / 2), 0);
        // All of them die within 100 s, and their deadlines are counted by hours.
        let read = read(NOW_MS + DAY_MS / 2, DAY_MS);
        assert_eq!(entries(&store), 0);
        assert!(
            read <= 12 * buckets_in_use,
            "{read} buckets were read, {buckets_in_use} were in use"
        );
    }

    #[test]
    fn one_call_reads_a_bounded_part_and_the_next_goes_on() {
        let store = Store::new(16);
        (0..400_000).for_each(|number| put(&store, number, NOW_MS, Some(NOW_MS + 1)));
        let (mut removed, mut calls) = (0, 0);
        while removed < 400_000 {
            let swept = store.sweep(NOW_MS + 1000, 1);
            assert!(swept.removed > 0 && swept.buckets < 2 * SWEEP_BUCKETS_PER_TICK);
            removed += swept.removed;
            calls += 1;
        }
        assert!(calls > 2);
        assert_eq!(store.sweep(NOW_MS + 1000, 1), Swept::default());
    }

    #[test]
    fn deadlines_that_were_too_far_to_count_are_found_in_time() {
        let store = Store::new(16);
        (0..5_000).for_each(|number| put(&store, number, NOW_MS, Some(NOW_MS + 60 * DAY_MS)));
        let mut read = 0;
        for hour in 0..61 * 24 {
            read += store.sweep(NOW_MS + hour * 3_600_000, 1).buckets;
            assert!(hour >= 60 * 24 || entries(&store) == 5_000);
        }
        for tick in 0..40 {
            store.sweep(NOW_MS + 75 * DAY_MS + tick * TICK_MS, 1);
        }
        assert_eq!(entries(&store), 0);
        assert!(read < 50_000, "{read} buckets were read in 60 days");
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing_and_costs_little() {
        let store = Store::new(16);
        (0..20_000).for_each(|number| put(&store, number, NOW_MS, Some(NOW_MS + 10_000)));
        // The counts take them for dead, and then they are not.
        let is_worth = |now_ms: u64| {
            store
                .shards
                .iter()
                .any(|shard| (0..2).any(|db| shard.lock().is_worth_a_sweep(db, now_ms, 1)))
        };
        assert!(is_worth(NOW_MS + 20_000));
        let set_back = NOW_MS - DAY_MS;
        let read: usize = (0..100)
            .map(|tick| store.sweep(set_back + tick * TICK_MS, 1).buckets)
            .sum();
        assert!(read <= 4 * 20_000, "{read} buckets were read in ten seconds");
        assert_eq!(entries(&store), 20_000);
        for tick in 0..300 {
            store.sweep(NOW_MS + 10_000 + tick * TICK_MS, 1);
        }
        assert_eq!(entries(&store), 0);
    }

    #[test]
    fn nothing_is_swept_while_that_is_switched_off() {
        let store = Store::new(16);
        put(&store, 0, NOW_MS, Some(NOW_MS + 1));
        store.set_sweeping(false);
        assert_eq!(store.sweep(NOW_MS + 1000, 10), Swept::default());
        store.set_sweeping(true);
        assert_eq!(store.sweep(NOW_MS + 1000, 10).removed, 1);
    }
}
