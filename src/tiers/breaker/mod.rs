//! When to stop asking an upstream that does not answer.
//!
//! A policy is told of every success and failure and says whether the next call may go out; asking it costs a
//! load or two. What counts as a failure is for the caller to say.

mod consecutive;
mod failure_rate;
mod gate;
mod none;

/// The knobs of all policies; they may change at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Failures in a row that open the breaker.
    pub failures_max: u32,
    /// How long it stays open, in milliseconds, before it lets a probe through.
    pub open_ms: u64,
    /// The share of calls, in percent, whose failing opens the breaker.
    pub failures_percent: u32,
    /// With fewer calls than this, their share says nothing.
    pub calls_min: u32,
}

impl Tuning {
    /// The defaults of the settings.
    #[cfg(test)]
    pub const DEFAULT: Self = Self {
        failures_max: 5,
        open_ms: 30_000,
        failures_percent: 50,
        calls_min: 20,
    };
}

/// Whether calls may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may.
    Closed,
    /// They may not.
    Open,
    /// One may, to see how things stand.
    HalfOpen,
}

impl State {
    /// The name that INFO shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A policy with what it has seen of one upstream. Times are monotonic milliseconds.
pub trait Breaker: Send + Sync {
    /// Whether a call may go out now. In [`State::HalfOpen`] this takes the probe's place.
    fn admits(&self, now_ms: u64, tuning: Tuning) -> bool;
    /// A call was answered in time.
    fn succeeded(&self, now_ms: u64);
    /// Upstream sent something that ends no call, or one that was given up: it is alive, if only slow.
    fn heard(&self);
    /// A call failed in a way that tells of upstream's health.
    fn failed(&self, now_ms: u64, tuning: Tuning);
    /// There is a new connection, of which the failures so far say nothing: closes it.
    fn reset(&self);
    /// What [`Breaker::admits`] would say, without taking anybody's place.
    fn state(&self, now_ms: u64, tuning: Tuning) -> State;
}

/// A fresh breaker of the policy called `name`.
pub fn by_name(name: &str) -> Option<Box<dyn Breaker>> {
    Some(match name {
        "consecutive" => Box::new(consecutive::Consecutive::default()),
        "failure-rate" => Box::new(failure_rate::FailureRate::default()),
        "none" => Box::new(none::None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_by_name() {
        for name in ["consecutive", "failure-rate", "none"] {
            let state = by_name(name).unwrap().state(0, Tuning::DEFAULT);
            assert_eq!(state, State::Closed, "{name}");
        }
        assert!(by_name("never").is_none());
    }
}
