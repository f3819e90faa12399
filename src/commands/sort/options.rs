//! What a SORT asks for.

use std::ops::Range;

use super::pattern::{KeyPattern, Pattern};
use crate::commands::args::Args;
use crate::commands::error::Error;
use crate::commands::spec::Result;

/// The arguments of SORT.
#[derive(Debug, Clone)]
pub struct SortOptions<'r> {
    /// What is sorted.
    pub source: &'r [u8],
    /// What it is sorted by.
    pub by: By<'r>,
    /// Whether weights are texts.
    pub alpha: bool,
    /// Whether the order is turned round.
    pub descending: bool,
    offset: i64,
    count: i64,
    /// What is told of each element; nothing for the element itself.
    pub gets: Vec<Pattern<'r>>,
    /// Where the outcome goes.
    pub destination: Option<&'r [u8]>,
}

/// What gives an element its weight.
#[derive(Debug, Clone, Copy)]
pub enum By<'r> {
    /// The element itself.
    Element,
    /// Nothing: it stays where it is.
    Nothing,
    /// The value of a key.
    Key(KeyPattern<'r>),
}

impl<'r> SortOptions<'r> {
    /// Reads all arguments; STORE is none of them where nothing may be written.
    pub fn parse(args: &mut Args<'r>, may_store: bool) -> Result<Self> {
        let mut options = Self::of(args.bytes()?);
        while !args.is_empty() {
            let operands = args.len() - 1;
            if args.take_word("ASC") {
                options.descending = false;
            } else if args.take_word("DESC") {
                options.descending = true;
            } else if args.take_word("ALPHA") {
                options.alpha = true;
            } else if operands >= 2 && args.take_word("LIMIT") {
                (options.offset, options.count) = (args.integer()?, args.integer()?);
            } else if may_store && operands >= 1 && args.take_word("STORE") {
                options.destination = Some(args.bytes()?);
            } else if operands >= 1 && args.take_word("BY") {
                options.by = By::parse(args.bytes()?, options.by);
            } else if operands >= 1 && args.take_word("GET") {
                options.gets.push(Pattern::parse(args.bytes()?));
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    fn of(source: &'r [u8]) -> Self {
        Self {
            source,
            by: By::Element,
            alpha: false,
            descending: false,
            offset: 0,
            count: -1,
            gets: Vec::new(),
            destination: None,
        }
    }

    /// Which of `len` sorted elements are wanted.
    pub fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }

    /// The keys that are looked up for each element.
    pub fn lookups(&self) -> impl Iterator<Item = &KeyPattern<'r>> {
        let by = match &self.by {
            By::Key(pattern) => Some(pattern),
            By::Element | By::Nothing => None,
        };
        let gets = self.gets.iter().filter_map(|pattern| match pattern {
            Pattern::Key(pattern) => Some(pattern),
            Pattern::Element | Pattern::Nothing => None,
        });
        by.into_iter().chain(gets)
    }
}

impl<'r> By<'r> {
    /// A pattern without a `*` means that nothing is sorted, whatever other patterns there are.
    fn parse(text: &'r [u8], before: Self) -> Self {
        match (Pattern::parse(text), before) {
            (Pattern::Key(pattern), Self::Element | Self::Key(_)) => Self::Key(pattern),
            _ => Self::Nothing,
        }
    }
}
