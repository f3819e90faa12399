//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys that a request names.

use super::info::{key_flags, write_set};
use crate::commands::Args;
use crate::commands::call::SessionCall;
use crate::commands::error::Error;
use crate::commands::index;
use crate::commands::spec::{Access, Result, Uses};

/// Replies with the keys of the request that the arguments are.
pub(super) fn getkeys(call: &mut SessionCall<'_>) -> Result {
    let keys = keys_of(call.args)?;
    call.reply.array(keys.len());
    for (key, _) in keys {
        call.reply.bulk(key);
    }
    Ok(())
}

/// The same, each key in a pair with what is done to it.
pub(super) fn getkeysandflags(call: &mut SessionCall<'_>) -> Result {
    let keys = keys_of(call.args)?;
    call.reply.array(keys.len());
    for (key, access) in keys {
        call.reply.array(2);
        call.reply.bulk(key);
        write_set(&mut call.reply, key_flags(access));
    }
    Ok(())
}

/// The keys of the request that `args` are, and what it does to them.
fn keys_of(args: Args<'_>) -> Result<Vec<(&[u8], Access)>> {
    let words: Vec<&[u8]> = args.collect();
    let entry = index::find_words(words[0], words.get(1).copied()).ok_or(Error::NOT_A_COMMAND)?;
    let command = entry.command;
    if command.keys.is_empty() {
        return Err(Error::NO_KEY_ARGUMENTS);
    }
    if !command.accepts(words.len()) {
        return Err(Error::COMMAND_ARITY);
    }
    let mut behind_name = args;
    behind_name.nth(entry.name_words - 1);
    let access_in_request = |access: Access| match command.access_of {
        Some(access_of) if access.uses.contains(Uses::VARIABLE) => access_of(behind_name),
        _ => access,
    };
    let keys = command.key_positions_in(words.len(), |at| words[at]);
    if keys.is_empty() {
        return Err(Error::COMMAND_ARGUMENTS);
    }
    Ok(keys
        .into_iter()
        .map(|(at, access)| (words[at], access_in_request(access)))
        .collect())
}
