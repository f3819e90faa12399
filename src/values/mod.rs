//! What a key can hold, and the pure operations on it.
//!
//! Nothing here knows of protocols, clocks, locks, commands or modules of the crate elsewhere: each structure could
//! be a library of its own. Rules that are Redis's (index arithmetic, overflow, glob syntax) are
//! documented at the function that follows them.

pub mod bitfield;
pub mod bits;
pub mod compression;
pub mod digest;
pub mod geo_area;
pub mod geohash;
pub mod glob;
pub mod hash;
pub mod heap;
pub mod hyperloglog;
pub mod lcs;
pub mod list;
pub mod packed;
pub mod partial_sort;
pub mod positions;
pub mod prefix_map;
pub mod random;
pub mod set;
pub mod short_bytes;
pub mod sorted_set;
pub mod stampede;
pub mod stream;
pub mod table;
pub mod text;
pub mod varint;
