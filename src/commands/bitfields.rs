//! Commands on integers of any width inside strings. What such an integer is stands in [`crate::values::bitfield`].

use smallvec::SmallVec;

use super::args::Args;
use super::bitmaps::bit_offset;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::Reply;
use crate::services::Services;
use crate::store::events::Class;
use crate::values::bitfield::{Field, Overflow};
use crate::values::text::{INTEGER_BYTES_MAX, Text};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("BITFIELD", -2, "key operation=[GET encoding offset | write=<[OVERFLOW <WRAP | SAT | FAIL>] write_operation=<SET encoding offset value:integer | INCRBY encoding offset increment>> ...]",
                 &[key_at(1, UPDATE_VARIABLE)], WRITE.or(GROWS), "3.2.0", "O(1) an operation", Handler::Key(bitfield),
                 "Reads and writes integers of chosen width anywhere in a string.")
        .accessing(access_of_bitfield),
    Command::new("BITFIELD_RO", -2, "key [GET encoding offset [GET encoding offset ...]]", &[key_at(1, READ)], READONLY.or(FAST), "6.0.0", "O(1) an operation", Handler::Key(bitfield_ro),
                 "Reads integers of chosen width anywhere in a string."),
];

fn bitfield(call: &mut KeyCall<'_>) -> Result {
    let steps = parse_steps(&mut call.args, call.services)?;
    match steps.iter().filter_map(Step::write_end_bytes).max() {
        None => read_all(call, &steps),
        Some(len_needed) => run_all(call, &steps, len_needed),
    }
}

/// Reads unless an operation writes.
fn access_of_bitfield(args: Args<'_>) -> Access {
    let mut words = args.skip(1);
    let writes = |word: &[u8]| word.eq_ignore_ascii_case(b"SET") || word.eq_ignore_ascii_case(b"INCRBY");
    if words.any(writes) { UPDATE } else { READ }
}

fn bitfield_ro(call: &mut KeyCall<'_>) -> Result {
    let steps = parse_steps(&mut call.args, call.services)?;
    if steps.iter().any(|step| step.write_end_bytes().is_some()) {
        return Err(Error::BITFIELD_READ_ONLY);
    }
    read_all(call, &steps)
}

fn read_all(call: &mut KeyCall<'_>, steps: &[Step]) -> Result {
    let mut scratch = [0; INTEGER_BYTES_MAX];
    let bytes = call
        .key
        .read()?
        .unwrap_or(Text::Bytes(b""))
        .as_bytes(&mut scratch);
    call.reply.array(steps.len());
    for step in steps {
        call.reply.integer(step.field.get(bytes, step.offset));
    }
    Ok(())
}

/// Runs steps some of which write, after the string has grown to the `len_needed` for all of them.
fn run_all(call: &mut KeyCall<'_>, steps: &[Step], len_needed: usize) -> Result {
    let KeyCall { key, reply, .. } = call;
    let grows = key.peek()?.is_none_or(|text| text.len() < len_needed);
    reply.array(steps.len());
    let changes = key.edit_counted(len_needed, |bytes| {
        let changes = steps.iter().filter(|step| step.run(bytes, reply, grows)).count();
        (changes, changes as u64)
    });
    if changes > 0 {
        key.notify(Class::STRING, "setbit");
    }
    Ok(())
}

/// One operation on one field.
struct Step {
    field: Field,
    /// In bits.
    offset: usize,
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

impl Step {
    /// Where the field ends, if it is written to.
    fn write_end_bytes(&self) -> Option<usize> {
        match self.action {
            Action::Get => None,
            Action::Set(..) | Action::Increment(..) => Some(self.field.end_bytes(self.offset)),
        }
    }

    /// Runs the step and writes its reply. Tells whether it changed something; any write does if the string `grew`.
    fn run(&self, bytes: &mut [u8], reply: &mut Reply<'_>, grew: bool) -> bool {
        let former = self.field.get(bytes, self.offset);
        let outcome = match self.action {
            Action::Get => {
                reply.integer(former);
                return false;
            }
            Action::Set(value, overflow) => self.field.set(bytes, self.offset, value, overflow),
            Action::Increment(by, overflow) => self.field.increment(bytes, self.offset, by, overflow),
        };
        match outcome {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
        outcome.is_some() && (grew || self.field.get(bytes, self.offset) != former)
    }
}

fn parse_steps(args: &mut Args<'_>, services: &Services) -> Result<SmallVec<[Step; 4]>> {
    let mut steps = SmallVec::new();
    let mut overflow = Overflow::default();
    while !args.is_empty() {
        if args.len() >= 2 && args.take_word("OVERFLOW") {
            overflow = parse_overflow(args)?;
        } else {
            steps.push(parse_step(args, overflow, services)?);
        }
    }
    Ok(steps)
}

fn parse_overflow(args: &mut Args<'_>) -> Result<Overflow> {
    let choices = [
        ("WRAP", Overflow::Wrap),
        ("SAT", Overflow::Saturate),
        ("FAIL", Overflow::Fail),
    ];
    let chosen = choices.into_iter().find(|(name, _)| args.take_word(name));
    chosen
        .map(|(_, overflow)| overflow)
        .ok_or(Error::BITFIELD_OVERFLOW)
}

fn parse_step(args: &mut Args<'_>, overflow: Overflow, services: &Services) -> Result<Step> {
    let verb = parse_verb(args)?;
    let field = Field::parse(args.bytes()?).ok_or(Error::BITFIELD_TYPE)?;
    let offset = field_offset(args.bytes()?, field, services)?;
    let action = match verb {
        Verb::Get => Action::Get,
        Verb::Set => Action::Set(args.integer()?, overflow),
        Verb::Increment => Action::Increment(args.integer()?, overflow),
    };
    Ok(Step {
        field,
        offset,
        action,
    })
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Set,
    Increment,
}

/// Reads the first word of an operation, all operands of which must follow: missing ones are noticed before wrong
/// ones.
fn parse_verb(args: &mut Args<'_>) -> Result<Verb> {
    let verbs = [
        ("GET", 2, Verb::Get),
        ("SET", 3, Verb::Set),
        ("INCRBY", 3, Verb::Increment),
    ];
    let (_, operands, verb) = verbs
        .into_iter()
        .find(|(name, ..)| args.take_word(name))
        .ok_or(Error::Syntax)?;
    if args.len() >= operands {
        Ok(verb)
    } else {
        Err(Error::Syntax)
    }
}

/// Reads an offset in bits or, behind `#`, in fields.
fn field_offset(word: &[u8], field: Field, services: &Services) -> Result<usize> {
    match word.strip_prefix(b"#") {
        Some(number) => bit_offset(number, field.bits(), services),
        None => bit_offset(word, 1, services),
    }
}
