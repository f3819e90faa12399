//! Registers as runs of equal ones:
//!
//! | bytes | run |
//! |---|---|
//! | `00nnnnnn` | n + 1 registers that are zero |
//! | `01nnnnnn nnnnnnnn` | the same, for up to 16,384 |
//! | `1vvvvvnn` | n + 1 registers of rank v + 1 |
//!
//! Splitting and joining runs follows Redis to the letter, as the bytes shall be the same; so does what is made of
//! runs that do not add up: a long run whose second byte is cut off has a zero there.

use std::fmt::Write as _;
use std::iter;
use std::ops::Range;

use super::estimate::Histogram;
use super::{Corrupted, REGISTERS, Seen};

/// All registers are zero.
pub(super) const EMPTY: [u8; 2] = [LONG | 0x3f, 0xff];

const LONG: u8 = 0x40;
const VALUE: u8 = 0x80;
/// Registers of a run of zeros that takes one byte.
const SHORT_LEN_MAX: usize = 64;
/// Registers of a run of another rank.
const VALUE_LEN_MAX: usize = 4;
const RANK_MAX: u8 = 32;

/// Equal registers that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    rank: u8,
    /// At least 1.
    len: usize,
    /// Bytes that it takes.
    bytes: usize,
}

impl Run {
    /// Reads the run that `code` begins with; `None` if it is empty.
    fn read(code: &[u8]) -> Option<Self> {
        let first = *code.first()?;
        let run = |rank, len, bytes| Self { rank, len, bytes };
        Some(if first & VALUE != 0 {
            run((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1, 1)
        } else if first & LONG != 0 {
            let low = code.get(1).copied().unwrap_or(0);
            run(0, usize::from(first & 0x3f) << 8 | usize::from(low), 2).longer_by_one()
        } else {
            run(0, usize::from(first) + 1, 1)
        })
    }

    fn longer_by_one(self) -> Self {
        Self {
            len: self.len + 1,
            ..self
        }
    }
}

fn runs(mut code: &[u8]) -> impl Iterator<Item = Run> {
    iter::from_fn(move || {
        let run = Run::read(code)?;
        code = code.get(run.bytes..).unwrap_or_default();
        Some(run)
    })
}

/// The bytes of the runs that one register's change makes of one run.
#[derive(Default)]
struct Replacement {
    code: [u8; 5],
    bytes: usize,
}

impl Replacement {
    fn push(&mut self, rank: u8, len: usize) {
        match (rank, len) {
            (_, 0) => {}
            (0, ..=SHORT_LEN_MAX) => self.push_byte((len - 1) as u8),
            (0, _) => {
                self.push_byte(LONG | ((len - 1) >> 8) as u8);
                self.push_byte((len - 1) as u8);
            }
            _ => self.push_byte(value_byte(rank, len)),
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.code[self.bytes] = byte;
        self.bytes += 1;
    }
}

fn value_byte(rank: u8, len: usize) -> u8 {
    VALUE | (rank - 1) << 2 | (len - 1) as u8
}

/// Calls `each` with the registers of every run and their rank. An error if the runs do not cover all registers
/// exactly; `each` may have been called before that is found out.
pub(super) fn for_each_run(code: &[u8], mut each: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupted> {
    let mut start = 0;
    for run in runs(code) {
        let end = start + run.len;
        if end > REGISTERS {
            return Err(Corrupted);
        }
        each(start..end, run.rank);
        start = end;
    }
    if start == REGISTERS {
        Ok(())
    } else {
        Err(Corrupted)
    }
}

/// How many registers there are of each rank. An error if the runs do not cover all registers exactly.
pub(super) fn histogram(code: &[u8]) -> Result<Histogram, Corrupted> {
    let mut histogram = Histogram::default();
    for_each_run(code, |indices, rank| histogram.add(rank, indices.len()))?;
    Ok(histogram)
}

/// The runs in words: `z:` and `Z:` with a length for zeros in one and in two bytes, `v:` with rank and length for
/// others.
pub(super) fn in_words(code: &[u8]) -> String {
    let mut words = String::new();
    for Run { rank, len, bytes } in runs(code) {
        let written = match (rank, bytes) {
            (0, 1) => write!(words, "z:{len} "),
            (0, _) => write!(words, "Z:{len} "),
            _ => write!(words, "v:{rank},{len} "),
        };
        written.expect("a string takes all that is written");
    }
    words.truncate(words.trim_end().len());
    words
}

/// What became of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raise {
    /// It is that high already.
    Unneeded,
    /// It was raised.
    Done,
    /// Nothing was changed: the rank does not fit into a run, or the bytes would be too many.
    TooLarge,
}

/// Raises a register of the sketch whose runs are `bytes[start..]`, unless `bytes` would become longer than `bytes_max`.
/// Linear in the bytes.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    start: usize,
    seen: Seen,
    bytes_max: usize,
) -> Result<Raise, Corrupted> {
    let (index, rank) = (seen.index(), seen.rank());
    if rank > RANK_MAX {
        return Ok(Raise::TooLarge);
    }
    let place = Place::find(&bytes[start..], index).ok_or(Corrupted)?;
    let Run {
        rank: former,
        len,
        bytes: former_bytes,
    } = place.run;
    if former >= rank {
        return Ok(Raise::Unneeded);
    }
    let mut replacement = Replacement::default();
    replacement.push(former, index - place.first);
    replacement.push(rank, 1);
    replacement.push(former, place.first + len - 1 - index);
    let grows = replacement.bytes > former_bytes;
    if grows && bytes.len() + replacement.bytes - former_bytes > bytes_max {
        return Ok(Raise::TooLarge);
    }
    replace(
        bytes,
        start + place.at,
        former_bytes,
        &replacement.code[..replacement.bytes],
    );
    join_equal_runs(bytes, start + place.before);
    Ok(Raise::Done)
}

/// Where the run of a register is.
struct Place {
    run: Run,
    /// The first register of the run.
    first: usize,
    /// Bytes in front of the run.
    at: usize,
    /// Bytes in front of the run before it; where there is none, 0.
    before: usize,
}

impl Place {
    /// Finds the run that covers the register at `index`, unless the runs end before.
    fn find(code: &[u8], index: usize) -> Option<Self> {
        let (mut first, mut at, mut before) = (0, 0, 0);
        loop {
            let run = Run::read(code.get(at..)?)?;
            if index < first + run.len {
                return Some(Self {
                    run,
                    first,
                    at,
                    before,
                });
            }
            before = at;
            at += run.bytes;
            first += run.len;
        }
    }
}

/// Replaces `former_bytes` from `at` on. Where these reach beyond the end, what replaces them is cut off as much.
fn replace(bytes: &mut Vec<u8>, at: usize, former_bytes: usize, code: &[u8]) {
    let beyond = (at + former_bytes).saturating_sub(bytes.len());
    bytes.splice(at..at + former_bytes - beyond, code.iter().copied());
    bytes.truncate(bytes.len() - beyond);
}

/// Joins runs of the same rank that stand side by side, as far as five steps from the run at `at` reach.
fn join_equal_runs(bytes: &mut Vec<u8>, mut at: usize) {
    const STEPS: usize = 5;
    for _ in 0..STEPS {
        let Some(run) = bytes.get(at..).and_then(Run::read) else {
            return;
        };
        let next = bytes.get(at + 1..).and_then(Run::read);
        let joined = next
            .filter(|next| run.rank > 0 && next.rank == run.rank)
            .map(|next| run.len + next.len)
            .filter(|len| *len <= VALUE_LEN_MAX);
        if let Some(len) = joined {
            bytes[at] = value_byte(run.rank, len);
            bytes.remove(at + 1);
        } else {
            at += run.bytes;
        }
    }
}
