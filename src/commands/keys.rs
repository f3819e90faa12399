//! Commands on keys of any kind.

use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
];
