//! A key is let in when it is asked for as often as those that are worth their place: twice of late where there is
//! room, and more often than a typical resident key where each new entry puts another one out.
//!
//! Frequencies are those of [`Sketch`]. `TinyLFU` compares a key with the one that would be evicted for it; here that
//! one is not known before the value has come, so the key is compared with the mean of keys that were let in last.
//! Their estimates are looked up when they are needed, so that they age like all others, and the bar falls when what
//! it was measured by cools down.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::sketch::{ESTIMATE_MAX, Sketch};
use super::{Pressure, Promotion, spread};
use crate::limits::ADMITTED_SAMPLED;

/// The estimate from which on a key is let in where there is room: its second access of late.
const ESTIMATE_MIN: u32 = 2;

/// [`Predicted::typical`] counts in parts of so many.
const PARTS: u32 = 256;

/// How many parts of the difference a look at one key moves [`Predicted::typical`]: it is the mean of some 32 looks.
const WEIGHT: i64 = 32;

/// See the module.
pub struct Predicted {
    sketch: Sketch,
    /// Hashes of keys let in last; 0: none yet.
    admitted: [AtomicU64; ADMITTED_SAMPLED],
    /// How many were let in.
    admissions: AtomicUsize,
    /// How many of them were looked at.
    looks: AtomicUsize,
    /// The mean estimate of those that were looked at last, in parts.
    typical: AtomicU32,
}

impl Default for Predicted {
    fn default() -> Self {
        Self {
            sketch: Sketch::default(),
            admitted: [const { AtomicU64::new(0) }; ADMITTED_SAMPLED],
            admissions: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            typical: AtomicU32::new(0),
        }
    }
}

impl Promotion for Predicted {
    fn admits(&self, key_hash: u64, _now_ms: u64, pressure: Pressure) -> bool {
        let hash = spread(key_hash);
        let estimate = self.sketch.count(hash);
        let is_worth_it = match pressure {
            Pressure::Low => estimate >= ESTIMATE_MIN,
            Pressure::High => estimate >= ESTIMATE_MIN && self.beats_typical(estimate),
            Pressure::Full => return false,
        };
        if is_worth_it {
            let place = self.admissions.fetch_add(1, Relaxed) % ADMITTED_SAMPLED;
            self.admitted[place].store(hash, Relaxed);
        }
        is_worth_it
    }
}

impl Predicted {
    /// Whether a key of this estimate is worth more than a typical one. The highest estimate always is: above it,
    /// the sketch does not tell keys apart.
    fn beats_typical(&self, estimate: u32) -> bool {
        let typical = self.look();
        estimate == ESTIMATE_MAX || estimate * PARTS > typical
    }

    /// Looks at one more of the keys let in last. Returns the mean, in parts.
    fn look(&self) -> u32 {
        let look = self.looks.fetch_add(1, Relaxed) % ADMITTED_SAMPLED;
        let typical = self.typical.load(Relaxed);
        let hash = self.admitted[look].load(Relaxed);
        if hash == 0 {
            return typical;
        }
        let seen = i64::from(self.sketch.estimate(hash) * PARTS);
        let moved = i64::from(typical) + (seen - i64::from(typical)) / WEIGHT;
        // Threads that look at once may take one look for another's: it is a mean.
        self.typical.store(moved as u32, Relaxed);
        moved as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::zipf::Trace;
    use super::*;
    use crate::limits::SKETCH_ACCESSES;

    fn ask(policy: &Predicted, key: u64, times: u32, pressure: Pressure) -> bool {
        (0..times).fold(false, |_, _| policy.admits(key, 0, pressure))
    }

    #[test]
    fn where_there_is_room_the_second_access_does() {
        let policy = Predicted::default();
        assert!(!ask(&policy, 1, 1, Pressure::Low));
        assert!(ask(&policy, 1, 1, Pressure::Low));
    }

    #[test]
    fn under_pressure_a_key_must_beat_those_let_in_before() {
        let policy = Predicted::default();
        (0..256).for_each(|key| _ = ask(&policy, key, 6, Pressure::Low));
        // Looks at them all.
        (1000..2000).for_each(|key| _ = ask(&policy, key, 2, Pressure::High));
        assert!(!ask(&policy, 3000, 5, Pressure::High));
        assert!(ask(&policy, 3000, 3, Pressure::High));
        assert!(ask(&policy, 3001, 2, Pressure::Low), "there is room again");
    }

    #[test]
    fn the_bar_falls_when_what_it_was_measured_by_cools_down_and_no_key_is_kept_out_for_ever() {
        let policy = Predicted::default();
        (0..256).for_each(|key| _ = ask(&policy, key, 40, Pressure::Low));
        (1000..3000).for_each(|key| _ = ask(&policy, key, 2, Pressure::High));
        assert!(!ask(&policy, 5000, 10, Pressure::High));
        assert!(
            ask(&policy, 5000, 10, Pressure::High),
            "the sketch can't tell it from them"
        );
        for stranger in 0..SKETCH_ACCESSES as u64 * 4 {
            policy.admits(10_000 + stranger, 0, Pressure::High);
        }
        assert!(ask(&policy, 6000, 4, Pressure::High));
    }

    #[test]
    fn of_a_skewed_load_the_head_is_let_in_and_the_tail_is_not() {
        let trace = Trace::new(1_000_000, 1_500_000);
        let policy = Predicted::default();
        let admitted = trace.admitted(|key| policy.admits(key, 0, Pressure::Low));
        assert!((0..1000).all(|rank| admitted[rank]), "the head");
        let (once, mistakes) = trace.once(&admitted);
        assert!(once > 100_000 && mistakes * 50 < once, "{mistakes} of {once}");

        let policy = Predicted::default();
        let pressed = trace.admitted(|key| policy.admits(key, 0, Pressure::High));
        assert!((0..1000).all(|rank| pressed[rank]), "the head");
        let count = |admitted: &[bool]| admitted.iter().filter(|is| **is).count();
        assert!(
            count(&pressed) < count(&admitted),
            "{} and {}",
            count(&pressed),
            count(&admitted)
        );
    }
}
