//! A bound on how long a test waits for anything.

use std::io;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long a reply, a start or a stop may take before a test gives up. Generous: a loaded machine is not a bug.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at a condition that nothing announces.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

/// Milliseconds since the first call, the same for all threads.
#[expect(
    clippy::disallowed_methods,
    reason = "tests measure real time; the server's clock is not theirs"
)]
pub fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests measure real time; the server's clock is not theirs"
)]
impl Deadline {
    /// The moment `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Time left, or an error of kind `TimedOut` when there is none; a socket timeout must not be zero.
    pub fn remaining(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }

    /// Looks at a condition again and again until it holds (true) or time is up (false).
    pub fn poll(self, mut condition: impl FnMut() -> bool) -> bool {
        loop {
            if condition() {
                return true;
            }
            if self.remaining().is_err() {
                return false;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}
