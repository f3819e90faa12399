//! Durations in buckets of a sixteenth of a power of two.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SUB_BITS: u32 = 4;
const BUCKETS: usize = 64 << SUB_BITS;

/// A histogram that one thread writes and others read. 8 KiB.
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
}

/// A copy of one histogram, or the sum of several.
#[derive(Clone)]
pub struct Distribution {
    counts: [u64; BUCKETS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            total: 0,
        }
    }
}

fn bucket_of(value: u64) -> usize {
    let value = value.max(1 << SUB_BITS);
    let top = value.ilog2();
    let sub = (value >> (top - SUB_BITS)) & ((1 << SUB_BITS) - 1);
    ((top as usize) << SUB_BITS) + sub as usize
}

/// The greatest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (top, sub) = (bucket >> SUB_BITS, (bucket & ((1 << SUB_BITS) - 1)) as u64);
    let width = 1u64 << top.saturating_sub(SUB_BITS as usize);
    (1u64 << top).saturating_add(width.saturating_mul(sub + 1)) - 1
}

impl Histogram {
    /// Counts a value. Only the thread that owns the histogram calls this.
    #[inline]
    pub fn record(&self, value: u64) {
        let count = &self.counts[bucket_of(value)];
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    /// Forgets all values. A value that is counted meanwhile may survive.
    pub fn reset(&self) {
        for count in &self.counts {
            count.store(0, Relaxed);
        }
    }
}

impl Distribution {
    /// Adds what `histogram` has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            let count = count.load(Relaxed);
            *sum += count;
            self.total += count;
        }
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// An upper bound of the value that `percent` of all values do not exceed; exact to a sixteenth. 0 if empty.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return upper_bound(bucket);
            }
        }
        0
    }

    /// How many values are at most `bound`, as far as the buckets tell.
    pub fn at_most(&self, bound: u64) -> u64 {
        let counts = self.counts.iter().enumerate();
        counts
            .filter(|(bucket, _)| upper_bound(*bucket) <= bound)
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_in_the_bucket_that_ends_at_or_above_it() {
        for value in (0..200_000).chain([u64::MAX / 3, u64::MAX - 1]) {
            let bucket = bucket_of(value);
            assert!(upper_bound(bucket) >= value, "{value}");
            assert!(
                value <= 1 << SUB_BITS || upper_bound(bucket - 1) < value,
                "{value}"
            );
        }
    }

    #[test]
    fn percentiles_are_exact_to_a_sixteenth() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value * 1000));
        let mut all = Distribution::default();
        all.add(&histogram);
        for (percent, exact) in [(50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)] {
            let found = all.percentile(percent) as f64;
            assert!((exact..exact * 1.0625).contains(&found), "{percent}: {found}");
        }
    }
}
