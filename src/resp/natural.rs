//! Natural numbers of any size, with the few operations that exact conversion of floats needs.

use std::cmp::Ordering;
use std::fmt::Write as _;

/// Powers that fit a limb.
const DECIMAL_DIGITS_PER_LIMB: usize = 19;
const TEN_TO_LIMB: u64 = 10_u64.pow(DECIMAL_DIGITS_PER_LIMB as u32);
const FIVES_PER_LIMB: u32 = 27;

/// Limbs of 64 bits, the lowest first; the highest is not zero, so zero has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural {
    limbs: Vec<u64>,
}

impl From<u64> for Natural {
    fn from(value: u64) -> Self {
        Self {
            limbs: if value == 0 { Vec::new() } else { vec![value] },
        }
    }
}

impl Natural {
    /// The number that these ASCII digits write. Quadratic in their count.
    pub(super) fn from_decimal(digits: impl Iterator<Item = u8>) -> Self {
        let mut number = Self::from(0);
        let (mut chunk, mut chunk_end) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            chunk_end *= 10;
            if chunk_end == TEN_TO_LIMB {
                number.multiply_add(chunk_end, chunk);
                (chunk, chunk_end) = (0, 1);
            }
        }
        number.multiply_add(chunk_end, chunk);
        number
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// The position of the highest bit set, counted from one.
    pub(super) fn bits(&self) -> usize {
        let unused = self.limbs.last().map_or(0, |limb| limb.leading_zeros());
        self.limbs.len() * 64 - unused as usize
    }

    /// `self * 5^power`. Quadratic in the power.
    pub(super) fn times_five_to(mut self, mut power: u32) -> Self {
        while power > 0 {
            let step = power.min(FIVES_PER_LIMB);
            self.multiply_add(5_u64.pow(step), 0);
            power -= step;
        }
        self
    }

    pub(super) fn shifted_left(mut self, bits: usize) -> Self {
        if self.is_zero() {
            return self;
        }
        self.multiply_add(1 << (bits % 64), 0);
        self.limbs.splice(0..0, std::iter::repeat_n(0, bits / 64));
        self
    }

    /// The highest 128 bits, how many bits stand below them, and whether any of those is set.
    pub(super) fn highest_bits(&self) -> (u128, usize, bool) {
        let below = self.bits().saturating_sub(128);
        let (skipped, shift) = (below / 64, below % 64);
        let limb = |index: usize| u128::from(self.limbs.get(skipped + index).copied().unwrap_or(0));
        let low = limb(0) | limb(1) << 64;
        let highest = if shift == 0 {
            low
        } else {
            low >> shift | limb(2) << (128 - shift)
        };
        let cut = self.limbs.iter().take(skipped).any(|&limb| limb != 0) || low & ((1 << shift) - 1) != 0;
        (highest, below, cut)
    }

    /// The first `bits` binary digits of `self / divisor`, and whether a remainder is left.
    ///
    /// Both numbers have the same count of bits, so the first digit is the one before the point.
    pub(super) fn divide(mut self, divisor: &Self, bits: usize) -> (u128, bool) {
        debug_assert_eq!(self.bits(), divisor.bits());
        let mut quotient = 0;
        for _ in 0..bits {
            let fits = self.compare(divisor) != Ordering::Less;
            if fits {
                self.subtract(divisor);
            }
            quotient = quotient << 1 | u128::from(fits);
            self.multiply_add(2, 0);
        }
        (quotient, !self.is_zero())
    }

    /// The number in decimal. Quadratic in its digits.
    pub(super) fn into_decimal(mut self) -> String {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            chunks.push(self.divide_by_limb(TEN_TO_LIMB));
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            write!(text, "{chunk:0DECIMAL_DIGITS_PER_LIMB$}").expect("a String takes any text");
        }
        text
    }

    /// `self = self * factor + addend`
    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for limb in &mut self.limbs {
            (*limb, carry) = limb.carrying_mul_add(factor, carry, 0);
        }
        if carry > 0 {
            self.limbs.push(carry);
        }
    }

    /// `self = self - other`, where `other` is not the larger one.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, limb) in self.limbs.iter_mut().enumerate() {
            let subtrahend = other.limbs.get(index).copied().unwrap_or(0);
            let (difference, under) = limb.overflowing_sub(subtrahend);
            let (difference, under_borrow) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = under || under_borrow;
        }
        self.drop_leading_zeros();
    }

    /// `self = self / divisor`; the result is the remainder.
    fn divide_by_limb(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0;
        for limb in self.limbs.iter_mut().rev() {
            let part = u128::from(remainder) << 64 | u128::from(*limb);
            *limb = (part / u128::from(divisor)) as u64;
            remainder = (part % u128::from(divisor)) as u64;
        }
        self.drop_leading_zeros();
        remainder
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    fn drop_leading_zeros(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natural(digits: &str) -> Natural {
        Natural::from_decimal(digits.bytes())
    }

    #[test]
    fn decimal_text_survives() {
        for digits in [
            "0",
            "1",
            "9999999999999999999",
            "10000000000000000000",
            &"1234567890".repeat(40),
        ] {
            assert_eq!(natural(digits).into_decimal(), digits);
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(natural(&("0".repeat(60) + "7")), Natural::from(7));
    }

    #[test]
    fn powers_of_ten_are_fives_and_shifts() {
        let power = Natural::from(1).times_five_to(100).shifted_left(100);
        assert_eq!(power.into_decimal(), format!("1{}", "0".repeat(100)));
    }

    #[test]
    fn highest_bits_tell_what_they_leave_out() {
        assert_eq!(natural("5").highest_bits(), (5, 0, false));
        assert_eq!(
            Natural::from(3).shifted_left(200).highest_bits(),
            (3 << 126, 74, false)
        );
        let mut odd = Natural::from(1).shifted_left(200);
        odd.multiply_add(1, 1);
        assert_eq!(odd.highest_bits(), (1 << 127, 73, true));
    }

    #[test]
    fn a_quotient_has_its_first_digit_before_the_point() {
        assert_eq!(Natural::from(6).divide(&Natural::from(4), 4), (0b1100, false));
        assert_eq!(Natural::from(4).divide(&Natural::from(6), 4), (0b0101, true));
    }
}
