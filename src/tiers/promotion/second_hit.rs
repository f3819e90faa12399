//! A key is let in at its second access: most keys of a cache are asked for once, and need no copy.
//!
//! Two Bloom filters take turns, so that what is old is forgotten: the keys of the current one and of the one before
//! are known. They change places when the current one has taken its number of keys, or has grown old. So "within a
//! window" means: within one window at least, two at most, or less under a flood of new keys. Source: Maggs and
//! Sitaraman, Algorithmic Nuggets in Content Delivery, 2015 (cache on second hit).
//!
//! Pressure does not matter before nothing fits: that the key will be asked for again is as good a guess as there is
//! for the entry that goes.

use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::bloom::Bloom;
use super::{Pressure, Promotion, spread};
use crate::limits::{DOORKEEPER_BYTES, SECOND_HIT_KEYS, SECOND_HIT_WINDOW_MS};

/// See the module.
pub struct SecondHit {
    filters: [Bloom; 2],
    /// The filter that takes new keys.
    current: AtomicUsize,
    /// How many keys it has taken.
    keys: AtomicU32,
    /// When it began to.
    since_ms: AtomicU64,
    is_turning: AtomicBool,
}

impl Default for SecondHit {
    fn default() -> Self {
        Self {
            filters: [Bloom::new(DOORKEEPER_BYTES), Bloom::new(DOORKEEPER_BYTES)],
            current: AtomicUsize::new(0),
            keys: AtomicU32::new(0),
            since_ms: AtomicU64::new(0),
            is_turning: AtomicBool::new(false),
        }
    }
}

impl Promotion for SecondHit {
    fn admits(&self, key_hash: u64, now_ms: u64, pressure: Pressure) -> bool {
        if pressure == Pressure::Full {
            return false;
        }
        if self.is_due(now_ms) {
            self.turn(now_ms);
        }
        let hash = spread(key_hash);
        let current = self.current.load(Relaxed);
        if self.filters[current].insert(hash) {
            return true;
        }
        self.keys.fetch_add(1, Relaxed);
        self.filters[1 - current].contains(hash)
    }
}

impl SecondHit {
    fn is_due(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) >= SECOND_HIT_WINDOW_MS || self.keys.load(Relaxed) >= SECOND_HIT_KEYS
    }

    /// How long the current filter has taken keys; far too long when time has jumped back.
    fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.wrapping_sub(self.since_ms.load(Relaxed))
    }

    /// Empties the older filter and makes it the current one: some 20 µs. Others go on meanwhile, with the filters
    /// as they were.
    fn turn(&self, now_ms: u64) {
        if self.is_turning.swap(true, Acquire) {
            return;
        }
        // Another thread may have done it since the caller looked.
        if self.is_due(now_ms) {
            let current = self.current.load(Relaxed);
            let older = 1 - current;
            self.filters[older].clear();
            if self.age_ms(now_ms) >= SECOND_HIT_WINDOW_MS * 2 {
                self.filters[current].clear();
            }
            self.since_ms.store(now_ms, Relaxed);
            self.keys.store(0, Relaxed);
            self.current.store(older, Relaxed);
        }
        self.is_turning.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::super::zipf::Trace;
    use super::*;

    fn admits(policy: &SecondHit, key: u64, now_ms: u64) -> bool {
        policy.admits(key, now_ms, Pressure::Low)
    }

    #[test]
    fn a_key_is_known_for_one_window_at_least_and_two_at_most() {
        const WINDOW: u64 = SECOND_HIT_WINDOW_MS;
        const START: u64 = 1_700_000_000_000;
        for (gap_ms, is_known) in [(0, true), (WINDOW, true), (WINDOW * 2, false)] {
            let policy = SecondHit::default();
            for offset in 0..10 {
                let first_ms = START + offset * WINDOW / 10;
                assert!(!admits(&policy, offset, first_ms));
            }
            for offset in 0..10 {
                let second_ms = START + offset * WINDOW / 10 + gap_ms;
                assert_eq!(
                    admits(&policy, offset, second_ms),
                    is_known,
                    "{gap_ms} ms, {offset}"
                );
            }
        }
    }

    #[test]
    fn a_flood_of_new_keys_is_let_in_by_mistake_only_and_makes_it_forget() {
        let policy = SecondHit::default();
        let flood = u64::from(SECOND_HIT_KEYS) * 3;
        let mistakes = (0..flood).filter(|&key| admits(&policy, key, 1)).count() as u64;
        assert!(mistakes * 100 < flood, "{mistakes} of {flood}");
        let recent = (flood - 1000..flood).filter(|&key| admits(&policy, key, 1));
        assert_eq!(recent.count(), 1000);
        let old = (0..1000).filter(|&key| admits(&policy, key, 1)).count();
        assert!(old < 20, "{old}");
    }

    #[test]
    fn time_that_jumps_makes_it_forget_and_breaks_nothing() {
        let policy = SecondHit::default();
        for now_ms in [u64::MAX / 2, 5, 1 << 40, 7] {
            assert!(!admits(&policy, 1, now_ms), "{now_ms}");
            assert!(admits(&policy, 1, now_ms), "{now_ms}");
        }
    }

    #[test]
    fn of_a_skewed_load_the_head_is_let_in_and_the_tail_is_not() {
        let policy = SecondHit::default();
        let trace = Trace::new(1_000_000, 300_000);
        let admitted = trace.admitted(|key| admits(&policy, key, 1));
        assert!((0..1000).all(|rank| admitted[rank]), "the head");
        let (once, mistakes) = trace.once(&admitted);
        assert!(once > 50_000 && mistakes * 100 < once, "{mistakes} of {once}");
    }

    #[test]
    fn threads_turn_the_filters_once() {
        let policy = SecondHit::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ask = |key: u64| _ = admits(&policy, key, 1);
                scope.spawn(move || (0..100_000).map(|key| key * 4 + thread).for_each(ask));
            }
        });
        assert!(policy.keys.load(Relaxed) < SECOND_HIT_KEYS);
        assert!((399_000..400_000).all(|key| admits(&policy, key, 1)));
    }
}
