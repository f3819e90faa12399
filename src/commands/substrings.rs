//! Commands on parts of strings.

use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::services::Services;
use crate::store::events::Class;
use crate::values::text::{INTEGER_BYTES_MAX, Text, clamp_range};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("APPEND", 3, "key value", &[key_at(1, EXTEND)], WRITE.or(GROWS).or(FAST), "2.0.0", "O(N) in the bytes added, amortized", Handler::Key(append),
                 "Adds bytes to the end of a string, starting one if there is none."),
    Command::new("GETRANGE", 4, "key start end", &[key_at(1, READ)], READONLY, "2.4.0", "O(N) in the bytes returned", Handler::Key(getrange),
                 "Answers with the bytes of a string between two positions."),
    Command::new("SETRANGE", 4, "key offset value", &[key_at(1, EDIT)], WRITE.or(GROWS), "2.2.0", "O(N) in the bytes written", Handler::Key(setrange),
                 "Writes bytes into a string at an offset, padding with zero bytes up to it."),
    Command::new("STRLEN", 2, "key", &[key_at(1, LOOK)], READONLY.or(FAST), "2.2.0", "O(1)", Handler::Key(strlen),
                 "Tells how many bytes a string has."),
    Command::new("SUBSTR", 4, "key start end", &[key_at(1, READ)], READONLY, "1.0.0", "O(N) in the bytes returned", Handler::Key(getrange),
                 "The former name of GETRANGE.")
        .deprecated("2.0.0", "`GETRANGE`"),
];

fn strlen(call: &mut KeyCall<'_>) -> Result {
    let len = call.key.read()?.map_or(0, |text| text.len());
    call.reply.integer(len as i64);
    Ok(())
}

fn getrange(call: &mut KeyCall<'_>) -> Result {
    let (start, end) = (call.args.integer()?, call.args.integer()?);
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let bytes = call
        .key
        .read()?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch);
    call.reply.bulk(&bytes[clamp_range(bytes.len(), start, end)]);
    Ok(())
}

fn append(call: &mut KeyCall<'_>) -> Result {
    let suffix = call.args.bytes()?;
    let len = match call.key.peek()?.map(|text| text.len()) {
        None => {
            call.key.set(suffix, None);
            suffix.len()
        }
        Some(len) => {
            let grown_len = checked_end(len, suffix.len(), call.services)?;
            call.key
                .edit(grown_len, |bytes| bytes[len..].copy_from_slice(suffix));
            grown_len
        }
    };
    call.key.notify(Class::STRING, "append");
    call.reply.integer(len as i64);
    Ok(())
}

fn setrange(call: &mut KeyCall<'_>) -> Result {
    let offset = usize::try_from(call.args.integer()?).map_err(|_| Error::NEGATIVE_OFFSET)?;
    let patch = call.args.bytes()?;
    let len = call.key.peek()?.map_or(0, |text| text.len());
    let len = if patch.is_empty() {
        call.key.touch();
        len
    } else {
        let end = checked_end(offset, patch.len(), call.services)?;
        let len = call.key.edit(end, |bytes| {
            bytes[offset..end].copy_from_slice(patch);
            bytes.len()
        });
        call.key.notify(Class::STRING, "setrange");
        len
    };
    call.reply.integer(len as i64);
    Ok(())
}

/// `start + len`, if a string may be that long.
fn checked_end(start: usize, len: usize, services: &Services) -> Result<usize> {
    let end = start.checked_add(len);
    end.filter(|&end| end as u64 <= string_bytes_max(services))
        .ok_or(Error::STRING_TOO_LONG)
}

/// The longest string that commands may make (`proto-max-bulk-len`).
pub fn string_bytes_max(services: &Services) -> u64 {
    services.config.load().network.bulk_max_bytes
}
