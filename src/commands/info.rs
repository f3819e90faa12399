//! INFO, MEMORY, SLOWLOG, LATENCY, MONITOR: what the server says of itself.

use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
];
