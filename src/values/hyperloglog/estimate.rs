//! How many different elements there probably were, from how many registers there are of each rank.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for `HyperLogLog` sketches" (arXiv:1702.01284), the improved
//! estimator: good over the whole range, without corrections for small and large counts.

use std::ops::Range;

use super::{RANK_MAX, REGISTERS, Seen};

/// How many registers there are of each rank that six bits can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Histogram {
    pub(super) fn add(&mut self, rank: u8, registers: usize) {
        self.0[usize::from(rank)] += registers as u32;
    }

    fn of(&self, rank: usize) -> f64 {
        self.0[rank].into()
    }
}

/// The highest rank that each register has seen, one byte each; at first zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(Box<[u8]>);

impl Default for Registers {
    fn default() -> Self {
        Self(vec![0; REGISTERS].into_boxed_slice())
    }
}

impl Registers {
    /// The ranks in order.
    pub fn ranks(&self) -> &[u8] {
        &self.0
    }

    /// How many different elements were probably seen.
    pub fn count(&self) -> u64 {
        let mut histogram = Histogram::default();
        for rank in &self.0 {
            histogram.add(*rank, 1);
        }
        count(&histogram)
    }

    /// The registers that have seen anything.
    pub(super) fn seen(&self) -> impl Iterator<Item = Seen> {
        let ranks = self.0.iter().enumerate();
        ranks
            .filter(|(_, rank)| **rank > 0)
            .map(|(index, rank)| Seen::new(index, *rank))
    }

    pub(super) fn raise(&mut self, index: usize, rank: u8) {
        self.raise_run(index..index + 1, rank);
    }

    pub(super) fn raise_run(&mut self, indices: Range<usize>, rank: u8) {
        for register in &mut self.0[indices] {
            *register = rank.max(*register);
        }
    }
}

/// The estimate; `1 << 63` where it is beyond that, as in Redis. (No sketch of real elements comes near.)
pub(super) fn count(histogram: &Histogram) -> u64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let registers = REGISTERS as f64;
    let mut sum = registers * tau((registers - histogram.of(RANK_MAX)) / registers);
    for rank in (1..RANK_MAX).rev() {
        sum += histogram.of(rank);
        sum *= 0.5;
    }
    sum += registers * sigma(histogram.of(0) / registers);
    let estimate = (ALPHA * registers * registers / sum).round();
    (estimate as u64).min(1 << 63)
}

/// `x + Σ x^(2^k) · 2^(k-1)`, for k from 1 on.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let former = sum;
        sum += x * weight;
        weight += weight;
        if unchanged(former, sum) {
            return sum;
        }
    }
}

/// `(1 - x - Σ (1 - x^(2^-k))² · 2^-k) / 3`, for k from 1 on.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let former = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if unchanged(former, sum) {
            return sum / 3.0;
        }
    }
}

/// Whether a series has come to the end of a double's precision.
fn unchanged(former: f64, sum: f64) -> bool {
    former.to_bits() == sum.to_bits()
}
