//! Commands that add to the number that a string spells.

use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::{NumberError, add_decimal};
use crate::store::events::Class;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DECR", 2, "key", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(decr),
                 "Subtracts one from an integer; a missing key counts from 0."),
    Command::new("DECRBY", 3, "key decrement", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(decrby),
                 "Subtracts a given amount from an integer; a missing key counts from 0."),
    Command::new("INCR", 2, "key", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(incr),
                 "Adds one to an integer; a missing key counts from 0."),
    Command::new("INCRBY", 3, "key increment", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "1.0.0", "O(1)", Handler::Key(incrby),
                 "Adds a given amount to an integer; a missing key counts from 0."),
    Command::new("INCRBYFLOAT", 3, "key increment:double", &[key_at(1, UPDATE)], WRITE.or(GROWS).or(FAST), "2.6.0", "O(1)", Handler::Key(incrbyfloat),
                 "Adds a decimal number to the number at a key; a missing key counts from 0."),
];

fn incr(call: &mut KeyCall<'_>) -> Result {
    add(call, 1)
}

fn decr(call: &mut KeyCall<'_>) -> Result {
    add(call, -1)
}

fn incrby(call: &mut KeyCall<'_>) -> Result {
    let increment = call.args.integer()?;
    add(call, increment)
}

fn decrby(call: &mut KeyCall<'_>) -> Result {
    let decrement = call.args.integer()?;
    add(call, decrement.checked_neg().ok_or(Error::NEGATION_OVERFLOW)?)
}

fn add(call: &mut KeyCall<'_>, increment: i64) -> Result {
    let current = call
        .key
        .peek()?
        .map_or(Some(0), |text| text.integer())
        .ok_or(Error::NotAnInteger)?;
    let sum = current.checked_add(increment).ok_or(Error::SUM_OVERFLOW)?;
    let deadline_ms = call.key.deadline_ms();
    call.key.set_integer(sum, deadline_ms);
    call.key.notify(Class::STRING, "incrby");
    call.reply.integer(sum);
    Ok(())
}

fn incrbyfloat(call: &mut KeyCall<'_>) -> Result {
    let increment = call.args.bytes()?;
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let current = call.key.peek()?.unwrap_or(Text::Int(0)).as_bytes(&mut scratch);
    let sum = add_decimal(current, increment).map_err(|error| match error {
        NumberError::NotAFloat => Error::NotAFloat,
        NumberError::NanOrInfinity => Error::SUM_NOT_FINITE,
    })?;
    let deadline_ms = call.key.deadline_ms();
    // Kept as text even where it is an integer, as Redis does.
    call.key.put(Text::Bytes(sum.as_bytes()), deadline_ms);
    call.key.notify(Class::STRING, "incrbyfloat");
    call.reply.bulk(sum.as_bytes());
    Ok(())
}
