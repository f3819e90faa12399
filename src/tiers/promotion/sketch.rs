//! How often keys were asked for of late, in a fixed amount of memory: the frequency sketch of `TinyLFU` (Einziger,
//! Friedman and Manes, `TinyLFU`: A Highly Efficient Cache Admission Policy, ACM Transactions on Storage 13(4), 2017).
//!
//! The first access of a key goes to a *doorkeeper*, a Bloom filter; further ones are counted in a count-min sketch of
//! four-bit counters (Cormode and Muthukrishnan 2005), of which only the smallest of a key's four are raised
//! (conservative update, Estan and Varghese 2002). So an estimate is never too small but for ageing, and too large
//! only where keys share all their places. In each period all counters are halved and the doorkeeper is emptied, so
//! that what was popular once is forgotten. Unlike in the paper that is done line by line as accesses come: none of
//! them waits for a sweep. A period has a number of accesses; time does not matter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::bloom::{Bloom, Line};
use crate::limits::{DOORKEEPER_BYTES, SKETCH_ACCESSES, SKETCH_BYTES};

/// Counters of a key, each in a pair of words of its line.
const ROWS: u32 = 4;

/// What a counter counts to.
const COUNT_MAX: u64 = 15;

/// The most that an estimate can be: a full counter and the access that the doorkeeper knows of.
pub const ESTIMATE_MAX: u32 = COUNT_MAX as u32 + 1;

/// The bits of a hash that choose a counter of a row: one for the word and four for the place in it.
const COUNTER_BITS: u32 = 5;

/// All bits of a word but the topmost of each counter, into which the lowest of the next one falls when the word is
/// shifted.
const HALVED: u64 = 0x7777_7777_7777_7777;

/// See the module. Hashes must be spread evenly over all 64 bits.
pub struct Sketch {
    doorkeeper: Bloom,
    lines: Box<[Line]>,
    accesses: AtomicU64,
}

impl Default for Sketch {
    fn default() -> Self {
        // A line of the one is emptied when the same line of the other is halved.
        const { assert!(DOORKEEPER_BYTES == SKETCH_BYTES) };
        Self {
            doorkeeper: Bloom::new(DOORKEEPER_BYTES),
            lines: Line::many(SKETCH_BYTES),
            accesses: AtomicU64::new(0),
        }
    }
}

impl Sketch {
    /// Counts an access. Returns the estimate with it, at least 1.
    pub fn count(&self, hash: u64) -> u32 {
        self.age();
        if !self.doorkeeper.insert(hash) {
            return self.counted(hash) as u32 + 1;
        }
        let count = self.counted(hash);
        if count == COUNT_MAX {
            return ESTIMATE_MAX;
        }
        for (word, shift) in self.counters(hash) {
            // Another thread may have raised it meanwhile: then it is no longer the smallest.
            let raised = |seen: u64| (counter(seen, shift) == count).then(|| seen + (1 << shift));
            let _ = word.try_update(Relaxed, Relaxed, raised);
        }
        count as u32 + 2
    }

    /// How often the key was asked for of late.
    pub fn estimate(&self, hash: u64) -> u32 {
        self.counted(hash) as u32 + u32::from(self.doorkeeper.contains(hash))
    }

    fn counted(&self, hash: u64) -> u64 {
        let counts = self
            .counters(hash)
            .map(|(word, shift)| counter(word.load(Relaxed), shift));
        counts.min().expect("there are rows")
    }

    fn counters(&self, hash: u64) -> impl Iterator<Item = (&AtomicU64, u32)> {
        let line = &self.lines[Line::place(hash, self.lines.len())];
        (0..ROWS).map(move |row| {
            let bits = (hash >> (row * COUNTER_BITS)) as u32;
            (&line.0[(row * 2 + (bits & 1)) as usize], (bits >> 1 & 15) * 4)
        })
    }

    /// Counts the access for ageing: each line is due once in [`SKETCH_ACCESSES`].
    fn age(&self) {
        let accesses_per_line = SKETCH_ACCESSES / self.lines.len();
        let access = self.accesses.fetch_add(1, Relaxed) as usize;
        if !access.is_multiple_of(accesses_per_line) {
            return;
        }
        let place = access / accesses_per_line % self.lines.len();
        self.doorkeeper.clear_line(place);
        for word in &self.lines[place].0 {
            word.update(Relaxed, Relaxed, |seen| seen >> 1 & HALVED);
        }
    }
}

fn counter(word: u64, shift: u32) -> u64 {
    word >> shift & COUNT_MAX
}

#[cfg(test)]
mod tests {
    use super::super::spread;
    use super::*;

    #[test]
    fn accesses_are_counted_up_to_the_most() {
        let sketch = Sketch::default();
        let hash = spread(1);
        assert_eq!(sketch.estimate(hash), 0);
        for access in 1..40 {
            assert_eq!(sketch.count(hash), access.min(ESTIMATE_MAX));
            assert_eq!(sketch.estimate(hash), access.min(ESTIMATE_MAX));
        }
        assert_eq!(sketch.estimate(spread(2)), 0);
    }

    #[test]
    fn what_was_counted_is_halved_once_in_a_period() {
        let sketch = Sketch::default();
        let hash = spread(1);
        (0..9).for_each(|_| _ = sketch.count(hash));
        let mut estimates = vec![sketch.estimate(hash)];
        // Accesses of strangers, each once: they stay in the doorkeeper.
        for stranger in 0..SKETCH_ACCESSES as u64 * 4 {
            sketch.count(spread(stranger + 2));
            let estimate = sketch.estimate(hash);
            if estimates.last() != Some(&estimate) {
                estimates.push(estimate);
            }
        }
        // 8 counted and one in the doorkeeper; strangers may seem to be in it again.
        let halved: Vec<_> = estimates
            .iter()
            .copied()
            .filter(|&estimate| estimate <= 4)
            .collect();
        assert_eq!(estimates[0], 9);
        assert!(
            halved.starts_with(&[4]) && halved.ends_with(&[0]),
            "{estimates:?}"
        );
        assert!(
            estimates.is_sorted_by(|before, after| *after <= before + 1),
            "{estimates:?}"
        );
    }

    #[test]
    fn strangers_are_seldom_taken_for_known_ones() {
        let sketch = Sketch::default();
        let strangers = SKETCH_ACCESSES as u64 * 4;
        let known = (0..strangers).filter(|&stranger| sketch.count(spread(stranger)) > 1);
        let known = known.count() as u64;
        assert!(known * 100 < strangers * 2, "{known} of {strangers}");
    }

    #[test]
    fn estimates_are_hardly_ever_too_large() {
        let sketch = Sketch::default();
        // Ten accesses of each key, in turns, within one period: the first lines are halved meanwhile.
        let keys = SKETCH_ACCESSES as u64 / 20;
        for _ in 0..10 {
            (0..keys).for_each(|key| _ = sketch.count(spread(key)));
        }
        let too_large = (0..keys).filter(|&key| sketch.estimate(spread(key)) > 10).count() as u64;
        assert!(too_large * 100 < keys * 5, "{too_large} of {keys}");
    }

    #[test]
    fn threads_lose_few_counts() {
        let sketch = Sketch::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|key| _ = sketch.count(spread(key))));
            }
        });
        let seen = (0..1000).filter(|&key| sketch.estimate(spread(key)) >= 2).count();
        assert!(seen > 950, "{seen}");
    }
}
