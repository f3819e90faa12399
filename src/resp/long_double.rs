//! The arithmetic of `INCRBYFLOAT`: one addition of C's `long double`, as Redis does it on x86-64.
//!
//! Redis parses both numbers with `strtold` to the 80-bit format of the x87, with a mantissa of 64 bits,
//! adds them there, and prints the sum with 17 digits behind the point. Clients see those digits, and
//! `f64` would give others, so the format is computed here with integers.

use super::float::{Binary, FloatText, FloatValue, Format, Rounded, shift_right_to_even};
use super::natural::Natural;
use crate::limits;

/// The x87's extended format.
const EXTENDED: Format = Format {
    precision: 64,
    exponent_min: -16_445,
    exponent_end: 16_384,
};

/// Digits behind the point that are printed; as many are dropped again as are zeros at the end.
const FRACTION_DIGITS: usize = 17;

/// Why two texts have no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// One of them is no float, or is too large or too small for a `long double`.
    NotAFloat,
    /// The sum is no finite number.
    NanOrInfinity,
}

/// The sum of two decimal, hexadecimal or infinite numbers, as the text that Redis stores for it.
///
/// The text has no exponent: it may be almost 5,000 digits long. A text of
/// [`limits::FLOAT_TEXT_BYTES_MAX`] or more is not accepted. Some 100 ns for short decimals, at
/// most a millisecond.
pub fn add_decimal(current: &[u8], increment: &[u8]) -> Result<String, NumberError> {
    let (current, increment) = (LongDouble::parse(current)?, LongDouble::parse(increment)?);
    match (current, increment) {
        (LongDouble::Finite(augend), LongDouble::Finite(addend)) => augend
            .plus(addend)
            .map(Finite::to_text)
            .ok_or(NumberError::NanOrInfinity),
        _ => Err(NumberError::NanOrInfinity),
    }
}

enum LongDouble {
    Infinite,
    Finite(Finite),
}

/// `mantissa * 2^exponent`
#[derive(Clone, Copy)]
struct Finite {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl LongDouble {
    fn parse(text: &[u8]) -> Result<Self, NumberError> {
        if text.len() >= limits::FLOAT_TEXT_BYTES_MAX {
            return Err(NumberError::NotAFloat);
        }
        let FloatText { negative, value } = FloatText::parse(text).ok_or(NumberError::NotAFloat)?;
        match value {
            FloatValue::Infinite => Ok(Self::Infinite),
            FloatValue::Number(digits) => {
                let rounded = digits.round_to(&EXTENDED).ok_or(NumberError::NotAFloat)?;
                Ok(Self::Finite(Finite::new(negative, rounded)))
            }
        }
    }
}

impl Finite {
    fn new(negative: bool, Rounded { mantissa, exponent }: Rounded) -> Self {
        Self {
            negative,
            mantissa,
            exponent,
        }
    }

    /// The same number with the highest bit of its mantissa set.
    fn normalized(self) -> Self {
        let shift = self.mantissa.leading_zeros() % 64;
        Self {
            mantissa: self.mantissa << shift,
            exponent: self.exponent - shift as i32,
            ..self
        }
    }

    /// The sum, rounded to the nearest; `None` if it is infinite.
    fn plus(self, other: Self) -> Option<Self> {
        // Room for the carry above the mantissas, and for what alignment shifts out below.
        const ROOM: i32 = 62;
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let (one, two) = (self.normalized(), other.normalized());
        let one_is_larger = (one.exponent, one.mantissa) >= (two.exponent, two.mantissa);
        let (large, small) = if one_is_larger { (one, two) } else { (two, one) };
        let aligned = shift_right_sticky(
            u128::from(small.mantissa) << ROOM,
            large.exponent - small.exponent,
        );
        let widened = u128::from(large.mantissa) << ROOM;
        let significand = if large.negative == small.negative {
            widened + aligned
        } else {
            widened - aligned
        };
        let sum = Binary {
            significand,
            exponent: i64::from(large.exponent - ROOM),
            inexact: false,
        };
        sum.round_to(&EXTENDED)
            .map(|rounded| Self::new(large.negative, rounded))
    }

    /// What `%.17Lf` prints, without zeros at the end.
    fn to_text(self) -> String {
        let sign = if self.negative { "-" } else { "" };
        if self.exponent >= 0 {
            let digits = Natural::from(self.mantissa)
                .shifted_left(self.exponent as usize)
                .into_decimal();
            return if self.mantissa == 0 {
                digits
            } else {
                format!("{sign}{digits}")
            };
        }
        let scale = 10_u128.pow(FRACTION_DIGITS as u32);
        let scaled = shift_right_to_even(
            u128::from(self.mantissa) * scale,
            -i64::from(self.exponent),
            false,
        );
        if scaled == 0 {
            return "0".to_owned();
        }
        let text = format!("{sign}{}.{:0FRACTION_DIGITS$}", scaled / scale, scaled % scale);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// `value / 2^bits`, with the lowest bit set if any bit was lost: enough to round the sum correctly.
fn shift_right_sticky(value: u128, bits: i32) -> u128 {
    match bits {
        0 => value,
        1..128 => value >> bits | u128::from(value & ((1 << bits) - 1) != 0),
        _ => u128::from(value != 0),
    }
}
