//! Unpacking of what `LibLZF` packed.
//!
//! A packed string is a row of runs. A control byte below 32 announces that many bytes and one more, as they are.
//! Any other says with its upper three bits (seven: and the next byte) how many bytes, two more, to repeat, and with
//! its lower five and the next byte how far back they begin.

use super::{Malformed, Result};

/// Three bytes can repeat 264.
const EXPANSION_MAX: usize = 88;

/// Repeated bytes that a control byte alone can announce; with this number another byte adds to it.
const LENGTH_EXTENDED: usize = 7;

/// The `len` bytes that `packed` stands for. Fails unless it stands for exactly so many; a length that it can't
/// stand for costs no memory.
pub(super) fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>> {
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return Err(Malformed);
    }
    let mut unpacked = Vec::with_capacity(len);
    let mut rest = packed.iter();
    while let Some(&control) = rest.next() {
        if control < 32 {
            let run = rest.as_slice();
            let (run, behind) = run.split_at_checked(usize::from(control) + 1).ok_or(Malformed)?;
            unpacked.extend_from_slice(run);
            rest = behind.iter();
        } else {
            let (count, distance) = repetition(control, &mut rest)?;
            repeat(&mut unpacked, count, distance)?;
        }
        if unpacked.len() > len {
            return Err(Malformed);
        }
    }
    if unpacked.len() == len {
        Ok(unpacked)
    } else {
        Err(Malformed)
    }
}

/// How many bytes a control byte wants repeated, and from how far back.
fn repetition(control: u8, rest: &mut std::slice::Iter<'_, u8>) -> Result<(usize, usize)> {
    let mut next = || rest.next().map(|&byte| usize::from(byte)).ok_or(Malformed);
    let mut count = usize::from(control >> 5);
    if count == LENGTH_EXTENDED {
        count += next()?;
    }
    let distance = (usize::from(control & 0x1f) << 8) + next()? + 1;
    Ok((count + 2, distance))
}

/// Appends `count` bytes, each that which stands `distance` before it.
fn repeat(out: &mut Vec<u8>, count: usize, distance: usize) -> Result<()> {
    let start = out.len().checked_sub(distance).ok_or(Malformed)?;
    if distance >= count {
        out.extend_from_within(start..start + count);
        return Ok(());
    }
    for at in start..start + count {
        out.push(out[at]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_runs_and_repetitions_unpack() {
        assert_eq!(unpack(b"", 0), Ok(Vec::new()));
        assert_eq!(unpack(b"\x02abc", 3), Ok(b"abc".to_vec()));
        // "a", then three bytes from one back, which are being written meanwhile.
        assert_eq!(unpack(b"\x00a\x20\x00", 4), Ok(b"aaaa".to_vec()));
        // What Redis makes of 100 times "a", here with the longer form of a length.
        assert_eq!(unpack(b"\x01aa\xe0\x58\x00\x00a", 100), Ok(vec![b'a'; 100]));
        assert_eq!(unpack(b"\x03abcd\x40\x03", 8), Ok(b"abcdabcd".to_vec()));
    }

    #[test]
    fn lies_are_found_out() {
        #[rustfmt::skip] // A table: packed bytes and the length they are said to have.
        let table: &[(&[u8], usize)] = &[
            (b"", 1), (b"\x02abc", 2), (b"\x02abc", 4), (b"\x02ab", 3), (b"\x00a\x20", 4), (b"\x00a\x20\x01", 4),
            (b"\xe0", 9), (b"\x00a\xe0", 9), (b"\x00a\xe0\x00", 10), (b"\x20\x00", 3), (b"\x00a", usize::MAX),
        ];
        for (packed, len) in table {
            assert_eq!(unpack(packed, *len), Err(Malformed), "{packed:?} {len}");
        }
    }
}
