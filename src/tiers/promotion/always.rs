//! Every key is let in, unless nothing fits: eviction finds out what is worth keeping.

use super::{Pressure, Promotion};

/// See the module.
pub struct Always;

impl Promotion for Always {
    #[inline]
    fn admits(&self, _key_hash: u64, _now_ms: u64, pressure: Pressure) -> bool {
        pressure != Pressure::Full
    }
}
