//! What the server counts and keeps about its own work.

pub mod counters;
pub mod histogram;
pub mod latency;
pub mod monitor;
pub mod slowlog;
