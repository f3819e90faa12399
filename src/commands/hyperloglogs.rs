//! `HyperLogLog` commands. A sketch is a text; what its bytes mean stands in [`crate::values::hyperloglog`].

use super::call::{KeyCall, KeysCall, SessionCall};
use super::error::Error;
use super::spec::*;
use crate::services::Services;
use crate::store::Key;
use crate::store::events::Class;
use crate::values::hyperloglog::{self, Corrupted, Encoding, HyperLogLog, Registers, Seen, View};
use crate::values::text::Text;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("PFADD", -2, "key [element ...]", &[key_at(1, EXTEND)], WRITE.or(GROWS).or(FAST), "2.8.9", "O(1) for each element", Handler::Key(pfadd),
                 "Adds elements to a HyperLogLog, starting one if there is none."),
    Command::new("PFCOUNT", -2, "key [key ...]", &[keys_from(1, EXAMINE)], READONLY.or(MAY_REPLICATE), "2.8.9", "O(1), or O(N) in the keys if there are several", Handler::Keys(pfcount),
                 "Estimates how many different elements HyperLogLogs have seen."),
    Command::new("PFDEBUG", 3, "subcommand key", &[key_at(2, EXAMINE)], WRITE.or(GROWS).or(ADMIN).or(INTERNAL), "2.8.9", "", Handler::Keys(pfdebug),
                 "Shows how a HyperLogLog is stored."),
    Command::new("PFMERGE", -2, "destkey sourcekey [sourcekey ...]", &[key_at(1, GATHER), keys_from(2, READ)], WRITE.or(GROWS), "2.8.9", "O(N) in the keys, with a large constant", Handler::Keys(pfmerge),
                 "Merges HyperLogLogs into one."),
    Command::new("PFSELFTEST", 1, "", &[], ADMIN.or(INTERNAL), "2.8.9", "", Handler::Session(pfselftest),
                 "Tests the HyperLogLog implementation."),
];

impl From<Corrupted> for Error {
    fn from(Corrupted: Corrupted) -> Self {
        Self::corrupted_sketch()
    }
}

fn sparse_bytes_max(services: &Services) -> usize {
    services.config.load().encodings.hll_sparse_bytes_max
}

/// The sketch that a text is.
fn view(text: Text<'_>) -> Result<View<'_>> {
    match text {
        Text::Bytes(bytes) => View::new(bytes),
        Text::Int(_) => None,
    }
    .ok_or_else(Error::no_sketch)
}

fn pfadd(call: &mut KeyCall<'_>) -> Result {
    let is_dense = match call.key.peek()? {
        Some(text) => view(text)?.encoding() == Encoding::Dense,
        None => false,
    };
    let raised = if is_dense {
        add_in_place(call)
    } else {
        add_and_store(call)?
    };
    if raised {
        call.key.notify(Class::STRING, "pfadd");
    }
    call.reply.integer(raised.into());
    Ok(())
}

/// Adds the arguments to a dense sketch.
fn add_in_place(call: &mut KeyCall<'_>) -> bool {
    let elements = call.args;
    call.key.edit_counted(0, |bytes| {
        let raised = elements.filter(|element| hyperloglog::add_to_dense(bytes, Seen::of(element)));
        let count = raised.count();
        (count > 0, count as u64)
    })
}

/// Adds the arguments to a sketch that may change its length, or is new.
fn add_and_store(call: &mut KeyCall<'_>) -> Result<bool> {
    let bytes_max = sparse_bytes_max(call.services);
    let mut raised = !call.key.exists();
    let mut sketch = match call.key.peek()? {
        Some(text) => HyperLogLog::from(view(text)?),
        None => HyperLogLog::new(),
    };
    for element in call.args {
        raised |= sketch.add(Seen::of(element), bytes_max)?;
    }
    if raised {
        sketch.outdate_count();
        store(&mut call.key, &sketch);
    } else {
        mark_as_sketch(&mut call.key);
    }
    Ok(raised)
}

/// Counts a use. A text that was used as a sketch is shown with encoding `raw` from then on.
fn mark_as_sketch(key: &mut Key<'_>) {
    key.edit_counted(0, |_| ((), 0));
}

fn store(key: &mut Key<'_>, sketch: &HyperLogLog) {
    let deadline_ms = key.deadline_ms();
    key.put_edited(sketch.as_bytes(), deadline_ms);
}

fn pfcount(call: &mut KeysCall<'_>) -> Result {
    let count = if call.keys.len() == 1 {
        count_one(&mut call.keys.get(0))?
    } else {
        merged(call)?.count()
    };
    call.reply.integer(count.cast_signed());
    Ok(())
}

/// The count noted in the sketch; if it is outdated, a new one, which is noted.
fn count_one(key: &mut Key<'_>) -> Result<u64> {
    let Some(text) = key.read()? else {
        return Ok(0);
    };
    let sketch = view(text)?;
    if let Some(count) = sketch.noted_count() {
        mark_as_sketch(key);
        return Ok(count);
    }
    let count = sketch.count()?;
    key.edit(0, |bytes| hyperloglog::note_count(bytes, count));
    Ok(count)
}

/// The highest registers of all keys.
fn merged(call: &mut KeysCall<'_>) -> Result<Registers> {
    let mut all = Registers::default();
    for index in 0..call.keys.len() {
        if let Some(text) = call.keys.get(index).read()? {
            view(text)?.merge_into(&mut all)?;
        }
    }
    Ok(all)
}

fn pfmerge(call: &mut KeysCall<'_>) -> Result {
    let all = merged(call)?;
    let mut is_any_dense = false;
    for index in 0..call.keys.len() {
        if let Some(text) = call.keys.peek(index)? {
            is_any_dense |= view(text)?.encoding() == Encoding::Dense;
        }
    }
    let mut target = match call.keys.peek(0)? {
        Some(text) => HyperLogLog::from(view(text)?),
        None => HyperLogLog::new(),
    };
    if is_any_dense {
        target.make_dense()?;
    }
    target.add_all(&all, sparse_bytes_max(call.services))?;
    target.outdate_count();
    let mut key = call.keys.get(0);
    store(&mut key, &target);
    key.notify(Class::STRING, "pfadd");
    call.reply.ok();
    Ok(())
}

fn pfdebug(call: &mut KeysCall<'_>) -> Result {
    let subcommand = call.args.bytes()?;
    let mut key = call.keys.get(0);
    let text = key.peek()?.ok_or(Error::NO_SUCH_SKETCH)?;
    let sketch = view(text)?;
    let reply = &mut call.reply;
    match subcommand.to_ascii_uppercase().as_slice() {
        b"GETREG" => {
            let registers = sketch.unpacked()?;
            make_dense(&mut key)?;
            reply.array(registers.ranks().len());
            for rank in registers.ranks() {
                reply.integer((*rank).into());
            }
        }
        b"DECODE" => reply.bulk(sketch.runs().ok_or(Error::SKETCH_NOT_SPARSE)?.as_bytes()),
        b"ENCODING" => reply.simple(sketch.encoding().name()),
        b"TODENSE" => reply.integer(make_dense(&mut key)?.into()),
        _ => return Err(Error::unknown_pfdebug(subcommand)),
    }
    mark_as_sketch(&mut key);
    Ok(())
}

/// Stores the sketch densely; tells whether it was sparse.
fn make_dense(key: &mut Key<'_>) -> Result<bool> {
    let text = key.peek()?.ok_or(Error::NO_SUCH_SKETCH)?;
    let mut sketch = HyperLogLog::from(view(text)?);
    let was_sparse = sketch.make_dense()?;
    if was_sparse {
        store(key, &sketch);
    }
    Ok(was_sparse)
}

/// Compares estimates with the truth, from one element to a million, and a sparse sketch with a dense one.
fn pfselftest(call: &mut SessionCall<'_>) -> Result {
    const ELEMENTS_MAX: u64 = 1_000_000;
    /// Six standard errors of an estimate.
    const ERROR_MAX: f64 = 6.0 * 0.008_125;
    let seed = call.services.clock.unix_us();
    let bytes_max = sparse_bytes_max(call.services);
    let (mut sketch, mut dense) = (HyperLogLog::new(), HyperLogLog::new());
    dense.make_dense()?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS_MAX {
        let seen = Seen::of(&(number ^ seed).to_le_bytes());
        sketch.add(seen, bytes_max)?;
        dense.add(seen, bytes_max)?;
        if number == checkpoint {
            let count = dense.view().count()?;
            let error_max = (ERROR_MAX * checkpoint as f64).ceil() as u64;
            if count.abs_diff(checkpoint) > error_max || sketch.view().count()? != count {
                return Err(Error::self_test_failed(checkpoint, count));
            }
            checkpoint *= 10;
        }
    }
    call.reply.ok();
    Ok(())
}
