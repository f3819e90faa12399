//! What a key can hold, and the pure operations on it.
//!
//! Nothing here knows of protocols, clocks, locks, commands or other modules of the crate: each file could
//! be a library of its own. Rules that are Redis's (index arithmetic, overflow, glob syntax) are
//! documented at the function that follows them.

pub mod bitfield;
pub mod bits;
pub mod glob;
pub mod lcs;
pub mod text;
