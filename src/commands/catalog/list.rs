//! COMMAND LIST: names of commands.

use crate::commands::Args;
use crate::commands::call::SessionCall;
use crate::commands::error::Error;
use crate::commands::index::{self, Entry};
use crate::commands::spec::{Categories, Result};
use crate::values::glob::{Case, Glob};

/// Replies with the full names of all commands and subcommands that the filter, if any, lets through.
pub(super) fn list(call: &mut SessionCall<'_>) -> Result {
    let filter = Filter::parse(&mut call.args)?;
    let listed: Vec<&Entry> = index::all().iter().filter(|entry| filter.passes(entry)).collect();
    call.reply.array(listed.len());
    for entry in listed {
        call.reply.bulk(entry.full_name.as_bytes());
    }
    Ok(())
}

enum Filter<'a> {
    All,
    None,
    Category(Categories),
    Pattern(Glob<'a>),
}

impl<'a> Filter<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self> {
        if args.is_empty() {
            return Ok(Self::All);
        }
        if args.len() != 3 || !args.take_word("FILTERBY") {
            return Err(Error::Syntax);
        }
        if args.take_word("PATTERN") {
            return Ok(Self::Pattern(Glob::new(args.bytes()?, Case::Insensitive)));
        }
        if args.take_word("ACLCAT") {
            let category = Categories::named(&args.text()?.to_ascii_lowercase());
            return Ok(category.map_or(Self::None, Self::Category));
        }
        // There are no modules, so nothing belongs to one.
        if args.take_word("MODULE") {
            Ok(Self::None)
        } else {
            Err(Error::Syntax)
        }
    }

    fn passes(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Category(category) => entry.categories().contains(*category),
            Self::Pattern(pattern) => pattern.matches(entry.full_name.as_bytes()),
        }
    }
}
