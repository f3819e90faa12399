//! The words that say when a key shall expire: EX, PX, EXAT, PXAT, KEEPTTL and PERSIST.

use super::args::Args;
use super::error::Error;
use super::spec::Result;
use crate::resp::number::parse_i64;

/// What a request asks for, before its number is read. At most one of the words may be used, however often: the
/// last number counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expiration<'r> {
    word: Option<Word>,
    number: &'r [u8],
}

/// What shall become of a key's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Nothing was said.
    Unstated,
    /// It stays.
    Kept,
    /// It goes.
    Cleared,
    /// It is this, in Unix milliseconds. May have passed.
    At(u64),
}

/// One of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Unix seconds.
    Exat,
    /// Unix milliseconds.
    Pxat,
    /// As it is.
    Keepttl,
    /// Never.
    Persist,
}

/// What SET accepts.
pub const OF_SET: &[(&str, Word)] = &[
    ("EX", Word::Ex),
    ("PX", Word::Px),
    ("EXAT", Word::Exat),
    ("PXAT", Word::Pxat),
    ("KEEPTTL", Word::Keepttl),
];

/// What GETEX accepts.
pub const OF_GETEX: &[(&str, Word)] = &[
    ("EX", Word::Ex),
    ("PX", Word::Px),
    ("EXAT", Word::Exat),
    ("PXAT", Word::Pxat),
    ("PERSIST", Word::Persist),
];

impl<'r> Expiration<'r> {
    /// What `word` and `number` ask for.
    pub fn new(word: Word, number: &'r [u8]) -> Self {
        Self {
            word: Some(word),
            number,
        }
    }

    /// Takes one of `words`, and the number behind it, if it comes next; tells whether it did. Fails if the number
    /// is missing, or if another word was taken before.
    pub fn take(&mut self, words: &[(&str, Word)], args: &mut Args<'r>) -> Result<bool> {
        let Some(&(_, word)) = words.iter().find(|(name, _)| args.take_word(name)) else {
            return Ok(false);
        };
        if self.word.is_some_and(|earlier| earlier != word) {
            return Err(Error::Syntax);
        }
        self.word = Some(word);
        if !matches!(word, Word::Keepttl | Word::Persist) {
            self.number = args.bytes()?;
        }
        Ok(true)
    }

    /// Reads the number. Fails if it is none, not positive, or beyond 64 bits of milliseconds; `command` is named
    /// in the error.
    pub fn deadline(&self, now_ms: u64, command: &str) -> Result<Deadline> {
        let (unit_ms, start_ms) = match self.word {
            None => return Ok(Deadline::Unstated),
            Some(Word::Keepttl) => return Ok(Deadline::Kept),
            Some(Word::Persist) => return Ok(Deadline::Cleared),
            Some(Word::Ex) => (1000, now_ms),
            Some(Word::Px) => (1, now_ms),
            Some(Word::Exat) => (1000, 0),
            Some(Word::Pxat) => (1, 0),
        };
        let number = parse_i64(self.number).ok_or(Error::NotAnInteger)?;
        let length_ms = if number > 0 {
            number.checked_mul(unit_ms)
        } else {
            None
        };
        let at_ms = length_ms.and_then(|length_ms| length_ms.checked_add_unsigned(start_ms));
        at_ms
            .map(|at_ms| Deadline::At(at_ms as u64))
            .ok_or_else(|| Error::invalid_expire(command))
    }
}
