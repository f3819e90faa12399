//! What the server counts and keeps about its own work.

pub mod allocator;
pub mod counters;
pub mod findings;
pub mod histogram;
pub mod info;
pub mod latency;
pub mod memory;
pub mod monitor;
pub mod process;
pub mod slowlog;
pub mod upstream;
pub mod vitals;
