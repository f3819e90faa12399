//! Bitmap commands. The bits themselves are [`crate::values::bits`] and [`crate::values::bitfield`].

use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
];
