//! Commands that take strings for arrays of bits. The operations are in [`crate::values::bits`].

use std::ops::Range;

use smallvec::SmallVec;

use super::args::Args;
use super::call::{KeyCall, KeysCall};
use super::error::Error;
use super::spec::*;
use super::substrings::string_bytes_max;
use crate::resp::number::parse_i64;
use crate::services::Services;
use crate::store::events::Class;
use crate::values::bits::{self, Operation};
use crate::values::text::{INTEGER_BYTES_MAX, Text, clamp_range};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("BITCOUNT", -2, "key index=[start end index_unit=[BYTE | BIT]]", &[key_at(1, READ)], READONLY, "2.6.0", "O(N)", Handler::Key(bitcount),
                 "Counts the bits that are set in a string or a part of it."),
    Command::new("BITOP", -4, "operation destkey key [key ...]", &[key_at(2, OVERWRITE), keys_from(3, READ)], WRITE.or(GROWS), "2.6.0", "O(N)", Handler::Keys(bitop),
                 "Combines strings bit by bit and stores the outcome."),
    Command::new("BITPOS", -3, "key bit:integer index=[start end_index=[end index_unit=[BYTE | BIT]]]", &[key_at(1, READ)], READONLY, "2.8.7", "O(N)", Handler::Key(bitpos),
                 "Finds the first bit of a given value in a string."),
    Command::new("GETBIT", 3, "key offset", &[key_at(1, READ)], READONLY.or(FAST), "2.2.0", "O(1)", Handler::Key(getbit),
                 "Answers with one bit of a string."),
    Command::new("SETBIT", 4, "key offset value:integer", &[key_at(1, UPDATE)], WRITE.or(GROWS), "2.2.0", "O(1)", Handler::Key(setbit),
                 "Sets or clears one bit, growing the string as needed."),
];

fn getbit(call: &mut KeyCall<'_>) -> Result {
    let offset = bit_offset(call.args.bytes()?, 1, call.services)?;
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let bytes = call
        .key
        .read()?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch);
    call.reply.integer(i64::from(bits::get(bytes, offset)));
    Ok(())
}

fn setbit(call: &mut KeyCall<'_>) -> Result {
    let offset = bit_offset(call.args.bytes()?, 1, call.services)?;
    let bit = match call.args.integer() {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(Error::BIT_VALUE),
    };
    let len_needed = offset / 8 + 1;
    let grows = call.key.peek()?.is_none_or(|text| text.len() < len_needed);
    let (former, is_changed) = call.key.edit_counted(len_needed, |bytes| {
        let former = bits::set(bytes, offset, bit);
        let is_changed = grows || former != bit;
        ((former, is_changed), u64::from(is_changed))
    });
    if is_changed {
        call.key.notify(Class::STRING, "setbit");
    }
    call.reply.integer(i64::from(former));
    Ok(())
}

/// Reads the position of a bit, counted in units of `unit_bits`, within the longest string that there may be.
pub fn bit_offset(number: &[u8], unit_bits: u32, services: &Services) -> Result<usize> {
    let offset = parse_i64(number).and_then(|number| number.checked_mul(i64::from(unit_bits)));
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    offset
        .filter(|&offset| (offset as u64) / 8 < string_bytes_max(services))
        .ok_or(Error::BIT_OFFSET)
}

fn bitcount(call: &mut KeyCall<'_>) -> Result {
    let span = match call.args.len() {
        0 => Span::WHOLE,
        2 | 3 => Span::parse_both_ends(&mut call.args)?,
        _ => return Err(Error::Syntax),
    };
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let bytes = call
        .key
        .read()?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch);
    let count = bits::count_range(bytes, span.bits(bytes.len()));
    call.reply.integer(count as i64);
    Ok(())
}

fn bitpos(call: &mut KeyCall<'_>) -> Result {
    let bit = match call.args.integer()? {
        0 => false,
        1 => true,
        _ => return Err(Error::BIT_SOUGHT),
    };
    let is_open = call.args.len() < 2;
    let span = Span::parse_optional_ends(&mut call.args)?;
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let found = match call.key.read()? {
        // A key that is missing has zeros from its start on; an empty string has no bits.
        None => (!bit).then_some(0),
        Some(text) => {
            let bytes = text.as_bytes(&mut scratch);
            let range = span.ordered_within(bytes.len()).bits(bytes.len());
            // Behind a string whose end was not named there are zeros.
            let zero_behind = (!bit && is_open && !range.is_empty()).then_some(range.end);
            bits::position(bytes, bit, range).or(zero_behind)
        }
    };
    call.reply.integer(found.map_or(-1, |at| at as i64));
    Ok(())
}

/// A part of a string as it was asked for: both ends are included, negative ones count from the string's end.
struct Span {
    start: i64,
    end: i64,
    unit: Unit,
}

/// What the ends of a span count.
enum Unit {
    Byte,
    Bit,
}

impl Span {
    const WHOLE: Self = Self {
        start: 0,
        end: -1,
        unit: Unit::Byte,
    };

    /// Reads `start end [unit]`.
    fn parse_both_ends(args: &mut Args<'_>) -> Result<Self> {
        let (start, end) = (args.integer()?, args.integer()?);
        let unit = Unit::parse(args.next())?;
        Ok(Self { start, end, unit })
    }

    /// Reads `[start [end [unit]]]`. As in Redis, a wrong unit is noticed before a wrong end.
    fn parse_optional_ends(args: &mut Args<'_>) -> Result<Self> {
        if args.len() > 3 {
            return Err(Error::Syntax);
        }
        if args.is_empty() {
            return Ok(Self::WHOLE);
        }
        let start = args.integer()?;
        let end = args.next();
        let unit = Unit::parse(args.next())?;
        let end = end.map_or(Some(-1), parse_i64).ok_or(Error::NotAnInteger)?;
        Ok(Self { start, end, unit })
    }

    /// The bits that are meant in a string of `len` bytes.
    fn bits(&self, len: usize) -> Range<usize> {
        let range = clamp_range(self.unit.count(len), self.start, self.end);
        match self.unit {
            Unit::Byte => range.start * 8..range.end * 8,
            Unit::Bit => range,
        }
    }

    /// The same span for BITPOS, for which two ends in front of the string mean its first element, in whatever
    /// order they are.
    fn ordered_within(self, len: usize) -> Self {
        let first = -(self.unit.count(len) as i64);
        Self {
            start: self.start.max(first),
            end: self.end.max(first),
            unit: self.unit,
        }
    }
}

impl Unit {
    fn parse(word: Option<&[u8]>) -> Result<Self> {
        match word {
            None => Ok(Self::Byte),
            Some(word) if word.eq_ignore_ascii_case(b"BYTE") => Ok(Self::Byte),
            Some(word) if word.eq_ignore_ascii_case(b"BIT") => Ok(Self::Bit),
            Some(_) => Err(Error::Syntax),
        }
    }

    /// How many of these a string of `len` bytes has.
    fn count(&self, len: usize) -> usize {
        match self {
            Self::Byte => len,
            Self::Bit => len * 8,
        }
    }
}

fn bitop(call: &mut KeysCall<'_>) -> Result {
    let operation = parse_operation(call.args.bytes()?)?;
    if operation == Operation::Not && call.keys.len() != 2 {
        return Err(Error::BITOP_NOT_SOURCES);
    }
    let outcome = combine_sources(call, operation)?;
    call.reply.integer(outcome.len() as i64);
    let mut destination = call.keys.get(0);
    if outcome.is_empty() {
        destination.remove_for_client();
    } else {
        destination.put_edited(&outcome, None);
        destination.notify(Class::STRING, "set");
    }
    Ok(())
}

fn parse_operation(word: &[u8]) -> Result<Operation> {
    let operations = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
    ];
    let named = operations
        .into_iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, operation)| operation).ok_or(Error::Syntax)
}

/// Combines the keys behind the first.
fn combine_sources(call: &mut KeysCall<'_>, operation: Operation) -> Result<Vec<u8>> {
    for index in 1..call.keys.len() {
        call.keys.get(index).read()?;
    }
    let mut scratches: SmallVec<[_; 4]> = (1..call.keys.len()).map(|_| [0; INTEGER_BYTES_MAX]).collect();
    let texts = (1..call.keys.len()).map(|index| call.keys.peek(index));
    let texts: SmallVec<[_; 8]> = texts.collect::<Result<_>>()?;
    let sources: SmallVec<[&[u8]; 8]> = texts
        .iter()
        .zip(&mut scratches)
        .map(|(text, scratch)| text.unwrap_or(Text::Bytes(b"")).as_bytes(scratch))
        .collect();
    let mut outcome = Vec::new();
    bits::combine(operation, &sources, &mut outcome);
    Ok(outcome)
}
