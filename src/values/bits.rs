//! Strings as arrays of bits. Bit 0 is the highest bit of the first byte, as in SETBIT and its kin.

use std::ops::Range;

/// A bit operation on whole strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits set in every source.
    And,
    /// Bits set in any source.
    Or,
    /// Bits set in an odd number of sources.
    Xor,
    /// Bits not set in the source.
    Not,
}

/// The bit at `index`; false beyond the end.
pub fn get(bytes: &[u8], index: usize) -> bool {
    bytes.get(index / 8).is_some_and(|byte| byte & mask(index) != 0)
}

/// Sets or clears the bit at `index`, which must be in range, and returns what it was.
pub fn set(bytes: &mut [u8], index: usize, value: bool) -> bool {
    let byte = &mut bytes[index / 8];
    let was = *byte & mask(index) != 0;
    if value {
        *byte |= mask(index);
    } else {
        *byte &= !mask(index);
    }
    was
}

fn mask(index: usize) -> u8 {
    0x80 >> (index % 8)
}

/// How many bits are set, counted eight bytes at a time.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words: u64 = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()))
        .sum();
    let in_tail: u64 = tail.iter().map(|byte| u64::from(byte.count_ones())).sum();
    in_words + in_tail
}

/// How many of the bits in `range` are set. The range must end within `bytes`.
pub fn count_range(bytes: &[u8], range: Range<usize>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let window = &bytes[range.start / 8..range.end.div_ceil(8)];
    let before = window[0] & !low_bits(8 - range.start % 8);
    let after = window[window.len() - 1] & low_bits((8 - range.end % 8) % 8);
    count(window) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// A byte whose `number` (0 to 8) lowest bits are set.
fn low_bits(number: usize) -> u8 {
    ((1_u16 << number) - 1) as u8
}

/// The index of the first bit in `range` that equals `value`. The range must end within `bytes`.
pub fn position(bytes: &[u8], value: bool, range: Range<usize>) -> Option<usize> {
    if range.is_empty() {
        return None;
    }
    let flip = if value { 0 } else { u8::MAX };
    let first_byte = range.start / 8;
    let wanted_in_first = (bytes[first_byte] ^ flip) & low_bits(8 - range.start % 8);
    let found = if wanted_in_first == 0 {
        let start = first_byte + 1;
        let window = bytes.get(start..range.end.div_ceil(8))?;
        start * 8 + first_set(window, flip)?
    } else {
        first_byte * 8 + wanted_in_first.leading_zeros() as usize
    };
    (found < range.end).then_some(found)
}

/// The index of the first bit that is set once every byte has been flipped by `flip`.
fn first_set(bytes: &[u8], flip: u8) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let word_flip = u64::from_ne_bytes([flip; 8]);
    let wanted = |word: &[u8; 8]| u64::from_be_bytes(*word) ^ word_flip;
    if let Some(at) = words.iter().position(|word| wanted(word) != 0) {
        return Some(at * 64 + wanted(&words[at]).leading_zeros() as usize);
    }
    let at = tail.iter().position(|byte| byte ^ flip != 0)?;
    Some(words.len() * 64 + at * 8 + (tail[at] ^ flip).leading_zeros() as usize)
}

/// Replaces `out` by the combination of `sources`. Shorter sources count as padded with zero bytes, so the
/// result is as long as the longest. `Not` complements its one source. O(sum of lengths).
pub fn combine(operation: Operation, sources: &[&[u8]], out: &mut Vec<u8>) {
    out.clear();
    let Some((first, others)) = sources.split_first() else {
        return;
    };
    let longest = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    out.reserve_exact(longest);
    out.extend_from_slice(first);
    out.resize(longest, 0);
    match operation {
        Operation::And => fold(out, others, |left, right| left & right),
        Operation::Or => fold(out, others, |left, right| left | right),
        Operation::Xor => fold(out, others, |left, right| left ^ right),
        Operation::Not => complement(out),
    }
}

/// Combines `out` with each source in turn. The compiler turns the loop into vector instructions.
fn fold(out: &mut [u8], sources: &[&[u8]], operation: impl Fn(u8, u8) -> u8) {
    for source in sources {
        let (shared, padded) = out.split_at_mut(source.len());
        for (byte, other) in shared.iter_mut().zip(*source) {
            *byte = operation(*byte, *other);
        }
        for byte in padded {
            *byte = operation(*byte, 0);
        }
    }
}

fn complement(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bit_zero_is_the_highest_of_the_first_byte() {
        let mut bytes = [0_u8; 2];
        assert!(!set(&mut bytes, 0, true));
        assert!(!set(&mut bytes, 15, true));
        assert_eq!(bytes, [0x80, 0x01]);
        assert!(get(&bytes, 0) && get(&bytes, 15) && !get(&bytes, 7) && !get(&bytes, 16));
        assert!(set(&mut bytes, 0, false));
        assert_eq!(bytes, [0x00, 0x01]);
    }

    #[test]
    fn combines_with_zero_padding() {
        let mut out = b"left over".to_vec();
        combine(Operation::And, &[b"\xff\xff", b"\x0f"], &mut out);
        assert_eq!(out, b"\x0f\x00");
        combine(Operation::Or, &[b"\x01", b"\x10\x02"], &mut out);
        assert_eq!(out, b"\x11\x02");
        combine(Operation::Not, &[b"\x01\xff"], &mut out);
        assert_eq!(out, b"\xfe\x00");
        combine(Operation::Xor, &[], &mut out);
        assert!(out.is_empty());
    }

    fn bytes_and_range() -> impl Strategy<Value = (Vec<u8>, Range<usize>)> {
        let runs = vec(
            (prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 1..12_usize),
            0..8,
        );
        let bytes = runs.prop_map(|runs| runs.iter().flat_map(|&(byte, times)| vec![byte; times]).collect());
        bytes.prop_flat_map(|bytes: Vec<u8>| {
            let bits = bytes.len() * 8;
            (
                Just(bytes),
                (0..=bits, 0..=bits).prop_map(|(start, end)| start..end),
            )
        })
    }

    proptest! {
        #[test]
        fn counts_and_finds_like_a_loop_over_bits((bytes, range) in bytes_and_range(), value: bool) {
            let ones = range.clone().filter(|&index| get(&bytes, index)).count() as u64;
            prop_assert_eq!(count_range(&bytes, range.clone()), ones);
            let first = range.clone().find(|&index| get(&bytes, index) == value);
            prop_assert_eq!(position(&bytes, value, range), first);
        }

        #[test]
        fn combines_like_a_loop_over_bits(sources in vec(vec(any::<u8>(), 0..40), 1..5)) {
            let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let longest = sources.iter().map(|source| source.len()).max().unwrap();
            for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::Not] {
                let sources = if operation == Operation::Not { &sources[..1] } else { &sources[..] };
                let mut out = Vec::new();
                combine(operation, sources, &mut out);
                for index in 0..longest.min(out.len()) * 8 {
                    let set_in = sources.iter().filter(|source| get(source, index)).count();
                    let expected = match operation {
                        Operation::And => set_in == sources.len(),
                        Operation::Or => set_in > 0,
                        Operation::Xor => set_in % 2 == 1,
                        Operation::Not => set_in == 0,
                    };
                    prop_assert_eq!(get(&out, index), expected);
                }
            }
        }
    }
}
