//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: the cursor, the options and the form of the reply.

use super::args::Args;
use super::error::Error;
use super::spec::Result;
use crate::resp::{Protocol, Reply};
use crate::values::glob::{Case, Glob};
use crate::values::text::{INTEGER_BYTES_MAX, Text};

/// Which elements are returned, and how many are looked at.
pub struct ScanOptions<'a> {
    pattern: Option<Glob<'a>>,
    /// COUNT: elements to look at, at least one.
    pub count: usize,
}

impl<'a> ScanOptions<'a> {
    /// Reads what is left of the request: MATCH, COUNT, and what `take_own` takes and then answers with true.
    pub fn parse(
        args: &mut Args<'a>,
        mut take_own: impl FnMut(&mut Args<'a>) -> Result<bool>,
    ) -> Result<Self> {
        let mut pattern = None;
        let mut count = 10;
        while !args.is_empty() {
            if args.take_word("MATCH") {
                pattern = Some(Glob::new(args.bytes()?, Case::Sensitive));
            } else if args.take_word("COUNT") {
                count = args.integer()?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
            } else if !take_own(args)? {
                return Err(Error::Syntax);
            }
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self { pattern, count })
    }

    /// Whether an element of this name is returned.
    pub fn admits(&self, name: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| pattern.is_star() || pattern.matches(name))
    }

    /// The same for a name that may be kept as an integer.
    pub fn admits_text(&self, name: Text<'_>) -> bool {
        self.pattern.is_none() || self.admits(name.as_bytes(&mut [0; INTEGER_BYTES_MAX]))
    }
}

/// Reads the next argument as a cursor, as C's `strtoul` does, which Redis asks: a sign is accepted, and so is no
/// digit at all.
pub fn parse_cursor(args: &mut Args<'_>) -> Result<u64> {
    let text = args.bytes()?;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() && !text.is_empty() {
        return Err(Error::INVALID_CURSOR);
    }
    let magnitude = digits.iter().try_fold(0u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    let magnitude = magnitude.ok_or(Error::INVALID_CURSOR)?;
    Ok(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

/// What one step of a scan found. It is gathered before it is sent, since the cursor stands before it in the reply
/// and is known after it.
#[derive(Default)]
pub struct Page {
    bytes: Vec<u8>,
    len: usize,
}

impl Page {
    /// Adds a byte string.
    pub fn push(&mut self, bytes: &[u8]) {
        // Byte strings are the same in both protocols.
        Reply::new(&mut self.bytes, Protocol::Resp2).bulk(bytes);
        self.len += 1;
    }

    /// Adds a text.
    pub fn push_text(&mut self, text: Text<'_>) {
        self.push(text.as_bytes(&mut [0; INTEGER_BYTES_MAX]));
    }

    /// Replies with the cursor to go on from and what was found.
    pub fn send(self, cursor: u64, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
        reply.array(self.len);
        reply.encoded(&self.bytes);
    }
}
