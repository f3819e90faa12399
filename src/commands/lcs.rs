//! The longest common subsequence of two strings. The algorithm is in [`crate::values::lcs`].

use super::args::Args;
use super::call::KeysCall;
use super::error::Error;
use super::spec::*;
use super::substrings::string_bytes_max;
use crate::resp::Reply;
use crate::values::lcs;
use crate::values::text::{INTEGER_BYTES_MAX, Text};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("LCS", -3, "key1 key2@0 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
                 &[keys_until(1, 2, READ)], READONLY, "7.0.0", "O(N*M) in the lengths of both strings", Handler::Keys(run),
                 "Finds the longest common subsequence of two strings."),
];

fn run(call: &mut KeysCall<'_>) -> Result {
    for index in 0..2 {
        call.keys.get(index).probe();
    }
    if (0..2).any(|index| call.keys.peek(index).is_err()) {
        return Err(Error::LCS_NOT_STRINGS);
    }
    let options = Options::parse(&mut call.args)?;
    let (mut scratch_a, mut scratch_b) = ([0; INTEGER_BYTES_MAX], [0; INTEGER_BYTES_MAX]);
    let a = call
        .keys
        .peek(0)?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch_a);
    let b = call
        .keys
        .peek(1)?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch_b);
    check_size(a, b, string_bytes_max(call.services))?;
    match options {
        Options { len: true, .. } => call.reply.integer(lcs::length(a, b) as i64),
        Options { idx: true, .. } => reply_matches(&mut call.reply, &lcs::matches(a, b), &options),
        _ => call.reply.bulk(&lcs::sequence(a, &lcs::matches(a, b))),
    }
    Ok(())
}

fn check_size(a: &[u8], b: &[u8], table_bytes_max: u64) -> Result {
    const LEN_MAX: usize = u32::MAX as usize - 2;
    if a.len().max(b.len()) > LEN_MAX {
        return Err(Error::LCS_STRING_TOO_LONG);
    }
    if lcs::table_bytes(a.len(), b.len()) > table_bytes_max {
        return Err(Error::LCS_MEMORY);
    }
    Ok(())
}

fn reply_matches(reply: &mut Reply<'_>, matches: &[lcs::Match], options: &Options) {
    let len: usize = matches.iter().map(|found| found.a.len()).sum();
    let is_shown = |found: &&lcs::Match| found.a.len() as i64 >= options.match_len_min;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.iter().filter(is_shown).count());
    for found in matches.iter().filter(is_shown) {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for range in [&found.a, &found.b] {
            reply.array(2);
            reply.integer(range.start as i64);
            reply.integer(range.end as i64 - 1);
        }
        if options.with_match_len {
            reply.integer(found.a.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(len as i64);
}

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    /// Shorter matches are not shown. Not positive: all are.
    match_len_min: i64,
}

impl Options {
    /// Reads what stands behind the two keys.
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let mut options = Self::default();
        for _key in 0..2 {
            args.bytes()?;
        }
        while !args.is_empty() {
            if args.take_word("LEN") {
                options.len = true;
            } else if args.take_word("IDX") {
                options.idx = true;
            } else if args.take_word("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.take_word("MINMATCHLEN") {
                options.match_len_min = args.integer()?;
            } else {
                return Err(Error::Syntax);
            }
        }
        if options.len && options.idx {
            Err(Error::LCS_LEN_AND_IDX)
        } else {
            Ok(options)
        }
    }
}
