//! How many entries of a shard are dead, without visiting the living.
//!
//! A lookup that meets a dead entry removes it. That leaves keys that nobody reads again, so a sweep removes
//! those; to know when a shard is worth a visit, deadlines are counted in coarse buckets of time. Each class of
//! buckets is eight times as wide as the one before; a deadline is counted in the finest class that reaches it,
//! so its bucket is at most a quarter of its remaining time wide. Buckets that time has passed are folded into
//! one number, [`DeadlineCounts::due`]. The entry remembers its class, so that it can be taken out exactly.

const CLASSES: usize = 7;
/// The class of deadlines beyond every bucket, 24 days and more. The sweep counts them anew when it meets them.
pub const FAR: u8 = 7;
/// How long a far deadline may wait for that: half of the time that it is far away at least.
pub const FAR_PATIENCE_MS: u64 = (BUCKETS as u64 / 2) << (FINEST_SHIFT + CLASS_SHIFT * (CLASSES as u32 - 1));
const BUCKETS: usize = 32;
/// Width of the finest buckets: 256 ms.
const FINEST_SHIFT: u32 = 8;
const CLASS_SHIFT: u32 = 3;

/// Counts of deadlines by coarse time.
pub struct DeadlineCounts {
    buckets: [[u32; BUCKETS]; CLASSES],
    /// Buckets that ended before this time are folded into `due`. Never goes back, whatever the clock does.
    folded_to_ms: u64,
    due: u32,
    far: u32,
    total: u32,
}

impl DeadlineCounts {
    /// No deadlines yet.
    pub fn new(now_ms: u64) -> Self {
        Self {
            buckets: [[0; BUCKETS]; CLASSES],
            folded_to_ms: now_ms,
            due: 0,
            far: 0,
            total: 0,
        }
    }

    /// Entries whose bucket has passed: all of them are dead, unless the clock was set back since.
    pub fn due(&self) -> u32 {
        self.due
    }

    /// Entries that no bucket counts yet.
    pub fn far(&self) -> u32 {
        self.far
    }

    /// Entries with a deadline.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The latest time that [`DeadlineCounts::fold`] was told.
    pub fn folded_to_ms(&self) -> u64 {
        self.folded_to_ms
    }

    /// Counts a deadline; the result is its class, which [`DeadlineCounts::subtract`] wants back.
    #[inline]
    pub fn add(&mut self, deadline_ms: u64) -> u8 {
        self.total += 1;
        let class = (0..CLASSES).find(|&class| self.reaches(class, deadline_ms));
        let Some(class) = class else {
            self.far += 1;
            return FAR;
        };
        *self.counter(class, deadline_ms) += 1;
        class as u8
    }

    /// Takes out a deadline that was added with this class.
    #[inline]
    pub fn subtract(&mut self, deadline_ms: u64, class: u8) {
        self.total -= 1;
        if class == FAR {
            self.far -= 1;
        } else {
            *self.counter(usize::from(class), deadline_ms) -= 1;
        }
    }

    /// Folds the buckets that have passed. O(1).
    pub fn fold(&mut self, now_ms: u64) {
        if now_ms <= self.folded_to_ms {
            return;
        }
        for class in 0..CLASSES {
            let (from, to) = (bucket_of(class, self.folded_to_ms), bucket_of(class, now_ms));
            for bucket in from..to.min(from + BUCKETS as u64) {
                self.due += std::mem::take(&mut self.buckets[class][bucket as usize % BUCKETS]);
            }
        }
        self.folded_to_ms = now_ms;
    }

    /// Whether nothing is counted anywhere.
    #[cfg(test)]
    pub fn is_zero(&self) -> bool {
        self.total + self.due + self.far == 0 && self.buckets.iter().flatten().all(|&count| count == 0)
    }

    fn reaches(&self, class: usize, deadline_ms: u64) -> bool {
        bucket_of(class, deadline_ms) < bucket_of(class, self.folded_to_ms) + BUCKETS as u64
    }

    fn counter(&mut self, class: usize, deadline_ms: u64) -> &mut u32 {
        let bucket = bucket_of(class, deadline_ms);
        if bucket < bucket_of(class, self.folded_to_ms) {
            return &mut self.due;
        }
        &mut self.buckets[class][bucket as usize % BUCKETS]
    }
}

fn bucket_of(class: usize, at_ms: u64) -> u64 {
    at_ms >> (FINEST_SHIFT + CLASS_SHIFT * class as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn due_counts_only_the_dead_and_all_of_them_soon(
            steps in proptest::collection::vec((0u64..40_000_000, 0u64..200_000), 1..200)
        ) {
            let mut now = 1_700_000_000_000;
            let mut counts = DeadlineCounts::new(now);
            let mut model: Vec<(u64, u64, u8)> = Vec::new();
            for (life, pause) in steps {
                let class = counts.add(now + life);
                model.push((now, now + life, class));
                now += pause;
                counts.fold(now);
                let dead = model.iter().filter(|(_, at, _)| *at <= now).count();
                let late = model.iter().filter(|(from, at, _)| at + (at - from) / 4 + 256 <= now).count();
                prop_assert!(late <= counts.due() as usize && counts.due() as usize <= dead);
            }
            for (_, at, class) in model {
                counts.subtract(at, class);
            }
            prop_assert!(counts.is_zero());
        }
    }

    #[test]
    fn a_clock_that_steps_back_unfolds_nothing() {
        let mut counts = DeadlineCounts::new(1_000_000);
        let class = counts.add(1_001_000);
        counts.fold(1_010_000);
        counts.fold(900_000);
        assert_eq!(counts.due(), 1);
        counts.subtract(1_001_000, class);
        let earlier = counts.add(950_000);
        assert_eq!(counts.due(), 1);
        counts.subtract(950_000, earlier);
        assert_eq!(counts.due(), 0);
    }
}
