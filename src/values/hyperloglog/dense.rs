//! Registers of six bits each, one behind the other from the lowest bit of the first byte on.

use super::REGISTERS;
use super::estimate::Histogram;

/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

const BITS: usize = 6;
const MASK: u8 = (1 << BITS) - 1;

/// Four registers.
fn unpack([a, b, c]: [u8; 3]) -> [u8; 4] {
    [
        a & MASK,
        (a >> 6 | b << 2) & MASK,
        (b >> 4 | c << 4) & MASK,
        c >> 2,
    ]
}

fn pack([a, b, c, d]: [u8; 4]) -> [u8; 3] {
    [a | b << 6, b >> 2 | c << 4, c >> 4 | d << 2]
}

/// All registers in order.
pub(super) fn ranks(registers: &[u8]) -> impl Iterator<Item = u8> {
    let (fours, _) = registers.as_chunks::<3>();
    fours.iter().flat_map(|four| unpack(*four))
}

/// How many registers there are of each rank.
pub(super) fn histogram(registers: &[u8]) -> Histogram {
    let mut histogram = Histogram::default();
    for rank in ranks(registers) {
        histogram.add(rank, 1);
    }
    histogram
}

/// Sets the register at `index` to `rank`. O(1).
pub(super) fn set(registers: &mut [u8], index: usize, rank: u8) {
    change(registers, index, |_| rank);
}

/// Raises the register at `index` to `rank`; tells whether it was lower. O(1).
pub(super) fn raise(registers: &mut [u8], index: usize, rank: u8) -> bool {
    change(registers, index, |former| former.max(rank)) < rank
}

/// Changes the register at `index` and returns what it was.
fn change(registers: &mut [u8], index: usize, change: impl FnOnce(u8) -> u8) -> u8 {
    let (fours, _) = registers.as_chunks_mut::<3>();
    let four = &mut fours[index / 4];
    let mut ranks = unpack(*four);
    let rank = &mut ranks[index % 4];
    let former = *rank;
    *rank = change(former);
    *four = pack(ranks);
    former
}
