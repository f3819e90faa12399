//! Commands that go through the keyspace.

use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
];
