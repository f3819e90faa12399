//! A key is let in when it is asked for steadily: in at least three of the last eight slots of ten seconds. However
//! many accesses a burst has, it counts once.
//!
//! Each key has four cells of eight bits, one bit per slot of time, which it shares with other keys; it was asked for
//! in a slot if all its cells say so, at least as far as can be told. That is a Bloom filter per slot, with the
//! filters laid side by side, so that one key's cells of all slots are in one cache line. A line forgets old slots
//! when it is used next: no sweep goes over them.
//!
//! Under pressure it takes five slots.

use std::sync::atomic::Ordering::Relaxed;

use super::bloom::Line;
use super::{Pressure, Promotion, spread};
use crate::limits::{LAZY_BYTES, LAZY_SLOT_MS, LAZY_SLOTS_MIN, LAZY_SLOTS_MIN_HIGH};

/// Slots that a cell has bits for.
const SLOTS: u64 = 8;

/// The word of a line that tells its newest slot; the others are cells.
const STAMP: usize = 7;

/// Cells of a line, eight in a word.
const CELLS: u64 = STAMP as u64 * 8;

/// Cells of a key.
const CELLS_PER_KEY: u32 = 4;

/// The bits of a hash that choose a cell of a line.
const CELL_BITS: u32 = 9;

/// See the module.
pub struct Lazy {
    lines: Box<[Line]>,
}

impl Default for Lazy {
    fn default() -> Self {
        Self {
            lines: Line::many(LAZY_BYTES),
        }
    }
}

impl Promotion for Lazy {
    fn admits(&self, key_hash: u64, now_ms: u64, pressure: Pressure) -> bool {
        let least = match pressure {
            Pressure::Low => LAZY_SLOTS_MIN,
            Pressure::High => LAZY_SLOTS_MIN_HIGH,
            Pressure::Full => return false,
        };
        let hash = spread(key_hash);
        let line = &self.lines[Line::place(hash, self.lines.len())];
        let slot = line.catch_up(now_ms / LAZY_SLOT_MS);
        line.note(hash, slot).count_ones() >= least
    }
}

impl Line {
    /// Forgets what is older than the slots up to `slot`. Returns the slot to note an access in: the newest that any
    /// thread has seen, since one whose time is a little behind must not set the line back.
    fn catch_up(&self, slot: u64) -> u64 {
        let newest = self.0[STAMP].load(Relaxed);
        if newest.wrapping_sub(slot) < SLOTS {
            return newest;
        }
        let took_over = self.0[STAMP].compare_exchange(newest, slot, Relaxed, Relaxed);
        if took_over.is_ok() {
            let fresh = slots_after(newest, slot);
            let kept = !(u64::from(fresh) * 0x0101_0101_0101_0101);
            self.0[..STAMP]
                .iter()
                .for_each(|word| _ = word.fetch_and(kept, Relaxed));
        }
        slot
    }

    /// Notes an access. Returns the slots in which the key was asked for, the current one included.
    fn note(&self, hash: u64, slot: u64) -> u8 {
        let bit = 1_u64 << (slot % SLOTS);
        let note = |slots: u8, index: u32| {
            let bits = hash >> (index * CELL_BITS) & ((1 << CELL_BITS) - 1);
            let cell = (bits * CELLS) >> CELL_BITS;
            let (word, shift) = (&self.0[cell as usize / 8], cell % 8 * 8);
            let mut seen = word.load(Relaxed);
            if seen >> shift & bit == 0 {
                seen = word.fetch_or(bit << shift, Relaxed) | bit << shift;
            }
            slots & (seen >> shift) as u8
        };
        (0..CELLS_PER_KEY).fold(u8::MAX, note)
    }
}

/// The bits of the slots that begin after `newest` and no later than `slot`: all if time has jumped.
fn slots_after(newest: u64, slot: u64) -> u8 {
    let passed = slot.wrapping_sub(newest);
    if passed >= SLOTS {
        return u8::MAX;
    }
    (1..=passed).fold(0, |bits, step| bits | 1 << (newest.wrapping_add(step) % SLOTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_SLOT: u64 = 170_000_000;

    fn admits(policy: &Lazy, key: u64, slot: u64, pressure: Pressure) -> bool {
        policy.admits(key, (START_SLOT + slot) * LAZY_SLOT_MS, pressure)
    }

    #[test]
    fn a_burst_does_not_do_and_a_steady_trickle_does() {
        let policy = Lazy::default();
        assert!(!(0..1000).any(|_| admits(&policy, 1, 0, Pressure::Low)));
        assert!(!(0..1000).any(|_| admits(&policy, 1, 1, Pressure::Low)));
        assert!(admits(&policy, 1, 2, Pressure::Low));
        assert!(!admits(&policy, 1, 2, Pressure::High));
        assert!(!admits(&policy, 1, 3, Pressure::High) && admits(&policy, 1, 4, Pressure::High));
    }

    #[test]
    fn what_is_older_than_the_slots_is_forgotten() {
        for gap in 0..30 {
            let policy = Lazy::default();
            let firsts = [0, 1].map(|slot| admits(&policy, 1, slot, Pressure::Low));
            assert_eq!(firsts, [false, false]);
            // Slot 0 is among the last eight up to slot 7.
            assert_eq!(admits(&policy, 1, 2 + gap, Pressure::Low), gap <= 5, "{gap}");
        }
    }

    #[test]
    fn a_thread_whose_time_is_a_little_behind_sets_nothing_back() {
        let policy = Lazy::default();
        for slot in [0, 1, 0, 1, 0] {
            assert!(!admits(&policy, 1, slot, Pressure::Low));
        }
        assert!(admits(&policy, 1, 2, Pressure::Low) && admits(&policy, 1, 1, Pressure::Low));
    }

    #[test]
    fn time_that_jumps_begins_anew() {
        let policy = Lazy::default();
        for now_ms in [0, u64::MAX, 1 << 40, 1 << 20] {
            for slot in 0..3 {
                let now_ms = now_ms.min(u64::MAX - 3 * LAZY_SLOT_MS) + slot * LAZY_SLOT_MS;
                assert_eq!(policy.admits(1, now_ms, Pressure::Low), slot == 2, "{now_ms}");
            }
        }
    }

    #[test]
    fn other_keys_make_few_seem_steady_that_are_not() {
        const KEYS_PER_SLOT: u64 = 8_000 * LAZY_SLOT_MS / 1000;
        let policy = Lazy::default();
        let mut mistakes = 0;
        for slot in 0..16 {
            let keys = slot * KEYS_PER_SLOT..(slot + 1) * KEYS_PER_SLOT;
            mistakes += keys
                .filter(|&key| admits(&policy, key, slot, Pressure::Low))
                .count() as u64;
        }
        assert!(
            mistakes * 200 < 16 * KEYS_PER_SLOT,
            "{mistakes} of {}",
            16 * KEYS_PER_SLOT
        );
    }

    #[test]
    fn threads_lose_no_access() {
        let policy = Lazy::default();
        for slot in 0..3 {
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let ask = |key: u64| assert_eq!(admits(&policy, key, slot, Pressure::Low), slot == 2);
                    scope.spawn(move || (0..100).map(|key| key * 4 + thread).for_each(ask));
                }
            });
        }
    }
}
