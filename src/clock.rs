//! The only place that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time for the whole server: Unix time for deadlines, monotonic time for durations.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    counter: Option<Counter>,
}

/// The processor's time stamp counter, translated to nanoseconds. Reading it costs a third of a call to the
/// vDSO, and it is read once per command.
#[derive(Debug, Clone)]
struct Counter {
    origin: u64,
    /// Nanoseconds per tick as a fraction of 2³².
    scale: u64,
}

/// How long the counter is compared with the system's clock at start; the error of the scale is then below
/// 0.01 %.
const CALIBRATION: Duration = Duration::from_millis(2);

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where clocks are read")]
impl Clock {
    /// The system's clocks. Takes 2 ms on processors whose time stamp counter can be used.
    pub fn new() -> Self {
        let origin = Instant::now();
        let counter = counter_is_steady().then(|| {
            let first = ticks();
            while origin.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
            let (elapsed, ticks) = (origin.elapsed(), ticks().wrapping_sub(first).max(1));
            let scale = (elapsed.as_nanos() << 32) / u128::from(ticks);
            Counter {
                origin: first,
                scale: scale as u64,
            }
        });
        Self { origin, counter }
    }

    /// Milliseconds since 1970. May step in either direction when the system's clock is set.
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        Self::unix().as_millis() as u64
    }

    /// Microseconds since 1970.
    pub fn unix_us(&self) -> u64 {
        Self::unix().as_micros() as u64
    }

    /// Nanoseconds since this clock was made; never steps.
    #[inline]
    pub fn monotonic_ns(&self) -> u64 {
        match &self.counter {
            Some(counter) => {
                let passed = ticks().wrapping_sub(counter.origin);
                ((u128::from(passed) * u128::from(counter.scale)) >> 32) as u64
            }
            None => self.origin.elapsed().as_nanos() as u64,
        }
    }

    /// Milliseconds since this clock was made.
    pub fn monotonic_ms(&self) -> u64 {
        self.monotonic_ns() / 1_000_000
    }

    fn unix() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it reads a register.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    0
}

/// Whether the counter runs at one rate on all cores and in all power states: CPUID `8000_0007h`, EDX bit 8.
fn counter_is_steady() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const POWER_LEAF: u32 = 0x8000_0007;
        const INVARIANT: u32 = 1 << 8;
        let highest = std::arch::x86_64::__cpuid(0x8000_0000).eax;
        highest >= POWER_LEAF && std::arch::x86_64::__cpuid(POWER_LEAF).edx & INVARIANT != 0
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let clock = Clock::new();
        let mut last = clock.monotonic_ns();
        for _ in 0..1000 {
            let now = clock.monotonic_ns();
            assert!(now >= last);
            last = now;
        }
    }
}
