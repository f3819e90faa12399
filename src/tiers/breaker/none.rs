//! No breaker: every call goes out.

use super::{Breaker, State, Tuning};

/// See the module.
pub struct None;

impl Breaker for None {
    fn admits(&self, _now_ms: u64, _tuning: Tuning) -> bool {
        true
    }

    fn succeeded(&self, _now_ms: u64) {}

    fn heard(&self) {}

    fn failed(&self, _now_ms: u64, _tuning: Tuning) {}

    fn reset(&self) {}

    fn state(&self, _now_ms: u64, _tuning: Tuning) -> State {
        State::Closed
    }
}
