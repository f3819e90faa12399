//! How long to wait before the next attempt to connect.

use std::time::Duration;

use ahash::RandomState;

/// Pauses that double from the shortest to the longest, each with up to a quarter taken off at random, so that many
/// Forebays do not come back to one upstream at the same moment.
pub struct Backoff {
    min: Duration,
    max: Duration,
    attempts: u32,
    random: RandomState,
}

impl Backoff {
    /// A backoff that begins with `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            attempts: 0,
            random: RandomState::new(),
        }
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        /// Doubling more often than this changes nothing: a millisecond has become a year.
        const DOUBLINGS_MAX: u32 = 30;
        let full = self
            .min
            .saturating_mul(1 << self.attempts.min(DOUBLINGS_MAX))
            .min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        let share = self.random.hash_one(self.attempts) % 256;
        full.saturating_sub(full / 4 * share as u32 / 256)
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        for full_ms in [50, 100, 200, 400, 500, 500] {
            let pause = backoff.next().as_micros();
            assert!(
                (full_ms * 750..=full_ms * 1000).contains(&pause),
                "{pause} of {full_ms} ms"
            );
        }
        (0..100).for_each(|_| _ = backoff.next());
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }
}
