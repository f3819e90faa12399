//! A typed cursor over a request's arguments.

use super::error::Error;
use super::spec::Result;
use crate::resp::decode::Request;
use crate::resp::number::{parse_f64, parse_i64};

/// The arguments behind the command's name, read from front to back. Arity was checked before, so reading a
/// mandatory argument fails only where options follow.
#[derive(Debug, Clone, Copy)]
pub struct Args<'r> {
    request: Request<'r>,
    at: usize,
}

impl<'r> Args<'r> {
    /// The arguments from position `at` on.
    #[inline]
    pub fn new(request: Request<'r>, at: usize) -> Self {
        Self { request, at }
    }

    /// How many are left.
    #[inline]
    pub fn len(&self) -> usize {
        self.request.len() - self.at
    }

    /// Whether none is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole request.
    pub fn request(&self) -> Request<'r> {
        self.request
    }

    /// The next argument. Fails with a syntax error when there is none.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'r [u8]> {
        self.next().ok_or(Error::Syntax)
    }

    /// The next argument as a 64-bit integer.
    pub fn integer(&mut self) -> Result<i64> {
        parse_i64(self.bytes()?).ok_or(Error::NotAnInteger)
    }

    /// The next argument as an integer that is not below `min`. Anything else fails with `refusal`.
    pub fn at_least(&mut self, min: usize, refusal: Error) -> Result<usize> {
        let number = parse_i64(self.bytes()?).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number >= min).ok_or(refusal)
    }

    /// What stands behind the next `count` arguments.
    #[must_use]
    pub fn behind(self, count: usize) -> Self {
        Self {
            at: self.request.len().min(self.at + count),
            ..self
        }
    }

    /// The next argument as the number of one of `databases` databases.
    pub fn database(&mut self, databases: usize) -> Result<usize> {
        let index = self.integer()?;
        if i32::try_from(index).is_err() {
            return Err(Error::not_between(i32::MIN.into(), i32::MAX.into()));
        }
        usize::try_from(index)
            .ok()
            .filter(|db| *db < databases)
            .ok_or(Error::NO_SUCH_DATABASE)
    }

    /// The next argument, a time in seconds, in milliseconds; 0 means for ever.
    pub fn timeout(&mut self) -> Result<u64> {
        let seconds = parse_f64(self.bytes()?).filter(|seconds| !seconds.is_nan());
        let ms = (seconds.ok_or(Error::TIMEOUT_NOT_A_FLOAT)? * 1000.0).ceil();
        if ms < 0.0 {
            return Err(Error::TIMEOUT_NEGATIVE);
        }
        if ms >= i64::MAX as f64 {
            return Err(Error::TIMEOUT_OUT_OF_RANGE);
        }
        Ok(ms as u64)
    }

    /// The next argument as text; bytes that are not UTF-8 are replaced.
    pub fn text(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// Takes the next argument if it is `word`, in any case.
    pub fn take_word(&mut self, word: &str) -> bool {
        let is_next = self
            .peek()
            .is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(is_next);
        is_next
    }

    /// The next argument, left in place.
    #[inline]
    pub fn peek(&self) -> Option<&'r [u8]> {
        (!self.is_empty()).then(|| self.request.arg(self.at))
    }

    /// Fails with a syntax error unless all arguments were read.
    pub fn end(&self) -> Result {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Syntax)
        }
    }
}

#[expect(
    clippy::copy_iterator,
    reason = "a handler copies the cursor to look at the arguments twice"
)]
impl<'r> Iterator for Args<'r> {
    type Item = &'r [u8];

    #[inline]
    fn next(&mut self) -> Option<&'r [u8]> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}
