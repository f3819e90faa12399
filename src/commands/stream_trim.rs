//! The options with which XADD and XTRIM shorten a stream.

use super::args::Args;
use super::error::Error;
use super::spec::Result;
use super::stream_ids;
use crate::values::stream::{IdRequest, Keep, References, Stream, Trim};

/// Options in front of the id of XADD, or all of XTRIM's.
#[derive(Default)]
pub struct TrimOptions {
    /// NOMKSTREAM: only a stream that is there.
    pub no_create: bool,
    /// Whether and how the stream is shortened.
    trim: Option<Trim>,
    /// What becomes of pending entries that are removed.
    references: References,
    keep: Option<(Keep, bool)>,
    limit: Option<u64>,
    references_given: bool,
}

impl TrimOptions {
    /// Reads the options and the id of XADD; its fields and values are left. `entries_max`: of a block.
    pub fn of_xadd(args: &mut Args<'_>, entries_max: usize) -> Result<(Self, Option<IdRequest>)> {
        let mut options = Self::default();
        let mut id = None;
        while let Some(word) = args.peek() {
            if word == b"*" || !options.take(args)? && !options.take_no_create(args) {
                args.next();
                id = Some(IdRequest::parse(word).ok_or(Error::STREAM_ID)?);
                break;
            }
        }
        options.finish(entries_max)?;
        Ok((options, id))
    }

    /// Reads the options of XTRIM.
    pub fn of_xtrim(args: &mut Args<'_>, entries_max: usize) -> Result<Self> {
        let mut options = Self::default();
        while !args.is_empty() {
            if !options.take(args)? {
                return Err(Error::Syntax);
            }
        }
        if options.keep.is_none() && options.limit.unwrap_or(0) == 0 {
            return Err(Error::XTRIM_WITHOUT_STRATEGY);
        }
        options.finish(entries_max)?;
        Ok(options)
    }

    /// Shortens the stream; tells by how many entries.
    pub fn apply(&self, stream: &mut Stream) -> u64 {
        self.trim.map_or(0, |trim| stream.trim(trim, self.references))
    }

    /// Takes an option that both commands have, if it is next.
    fn take(&mut self, args: &mut Args<'_>) -> Result<bool> {
        let has_value = args.len() > 1;
        if has_value && args.take_word("MAXLEN") {
            self.take_strategy(args, |args| match args.integer()? {
                count @ 0.. => Ok(Keep::Newest(count as u64)),
                _ => Err(Error::STREAM_MAXLEN_NEGATIVE),
            })?;
        } else if has_value && args.take_word("MINID") {
            self.take_strategy(args, |args| stream_ids::id(args).map(Keep::From))?;
        } else if has_value && args.take_word("LIMIT") {
            let limit = args.integer()?;
            self.limit = Some(u64::try_from(limit).map_err(|_| Error::STREAM_LIMIT_NEGATIVE)?);
        } else {
            return self.take_references(args);
        }
        Ok(true)
    }

    fn take_strategy(
        &mut self,
        args: &mut Args<'_>,
        read: impl FnOnce(&mut Args<'_>) -> Result<Keep>,
    ) -> Result {
        if self.keep.is_some() {
            return Err(Error::TRIM_STRATEGIES);
        }
        // A sign must not be all that is left.
        let may_be_sign = args.len() > 1;
        let approximate = may_be_sign && args.take_word("~");
        if may_be_sign && !approximate {
            args.take_word("=");
        }
        self.keep = Some((read(args)?, approximate));
        Ok(())
    }

    fn take_references(&mut self, args: &mut Args<'_>) -> Result<bool> {
        let Some(references) = take_references(args) else {
            return Ok(false);
        };
        if self.references_given {
            return Err(Error::Syntax);
        }
        (self.references, self.references_given) = (references, true);
        Ok(true)
    }

    fn take_no_create(&mut self, args: &mut Args<'_>) -> bool {
        let taken = args.take_word("NOMKSTREAM");
        self.no_create |= taken;
        taken
    }

    /// Makes a trim of what was read. Without a limit of its own, an approximate one removes a hundred blocks.
    fn finish(&mut self, entries_max: usize) -> Result {
        const BLOCKS_MAX: u64 = 100;
        const LIMIT_WITHOUT_BLOCKS: u64 = 10_000;
        const LIMIT_MAX: u64 = 1_000_000;
        let Some((keep, approximate)) = self.keep else {
            return match self.limit {
                None => Ok(()),
                Some(0) => Err(Error::LIMIT_OF_EXACT),
                Some(_) => Err(Error::LIMIT_WITHOUT_STRATEGY),
            };
        };
        let limit = match self.limit {
            Some(_) if !approximate => return Err(Error::LIMIT_OF_EXACT),
            Some(limit) => limit,
            None if !approximate => 0,
            None if entries_max == 0 => LIMIT_WITHOUT_BLOCKS,
            None => (entries_max as u64).saturating_mul(BLOCKS_MAX).min(LIMIT_MAX),
        };
        self.trim = Some(Trim {
            keep,
            approximate,
            limit,
        });
        Ok(())
    }
}

/// Takes KEEPREF, DELREF or ACKED if one of them is next.
pub fn take_references(args: &mut Args<'_>) -> Option<References> {
    if args.take_word("KEEPREF") {
        Some(References::Keep)
    } else if args.take_word("DELREF") {
        Some(References::Remove)
    } else if args.take_word("ACKED") {
        Some(References::Respect)
    } else {
        None
    }
}
