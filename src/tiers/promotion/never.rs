//! No key is let in: a proxy.

use super::{Pressure, Promotion};

/// See the module.
pub struct Never;

impl Promotion for Never {
    #[inline]
    fn admits(&self, _key_hash: u64, _now_ms: u64, _pressure: Pressure) -> bool {
        false
    }
}
