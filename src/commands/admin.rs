//! CONFIG, SHUTDOWN, DEBUG and what else operators need.

use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
];
