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
/// [`limits::FLOAT_TEXT_BYTES_MAX`] or more is not accepted. Below a microsecond for short decimals, at
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(current: &str, increment: &str) -> Result<String, NumberError> {
        add_decimal(current.as_bytes(), increment.as_bytes())
    }

    /// What `INCRBYFLOAT` of Redis 7.0.15 on x86-64 answered.
    #[test]
    fn sums_have_the_digits_of_redis() {
        let cases = [
            ("3", "1.1", "4.1"),
            ("10.50", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-1", "1", "0"),
            ("0", "-0", "0"),
            ("5.0e3", "2.0e2", "5200"),
            ("1.05", "-5", "-3.95"),
            ("3.0", "1e-17", "3.00000000000000001"),
            ("1", "1e-18", "1"),
            ("-1e-30", "0", "0"),
            ("9007199254740993", "0.5", "9007199254740993.5"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551617", "0", "18446744073709551616"),
            ("36893488147419103233.5", "0.1", "36893488147419103232"),
            (
                "100000000000000000000000000000",
                "1",
                "99999999999999999997315645440",
            ),
            ("1e25", "-1e25", "0"),
            ("0x1p-3", "0x.8", "0.625"),
            ("+.5", "5.", "5.5"),
            ("1.234567890123456789", "0", "1.23456789012345679"),
            ("0.000000000000000005", "0", "0"),
            ("0.000000000000000015", "0", "0.00000000000000002"),
            (
                "17179869184.123456789",
                "0.000000001",
                "17179869184.12345679104328156",
            ),
            ("999999.999999999999999", "0.000000000000001", "1000000"),
            ("1e-4940", "1", "1"),
            ("0x1p-16445", "0", "0"),
            ("0.3", "-0.1", "0.2"),
            ("2e30", "0.1", "2000000000000000000049392123904"),
            ("-2.5", "-2.5", "-5"),
            ("12345678901234567890.12345", "9.87655", "12345678901234567900"),
        ];
        for (current, increment, expected) in cases {
            assert_eq!(
                sum(current, increment).as_deref(),
                Ok(expected),
                "{current} {increment}"
            );
        }
    }

    #[test]
    fn texts_that_are_no_float_are_refused() {
        for text in [
            "",
            "abc",
            "1e",
            " 1",
            "1 ",
            "nan",
            "0x",
            "1e5000",
            "1e-5000",
            "1.8e-4951",
            "0x1p16384",
        ] {
            assert_eq!(sum(text, "1"), Err(NumberError::NotAFloat), "{text:?}");
            assert_eq!(sum("1", text), Err(NumberError::NotAFloat), "{text:?}");
        }
        assert_eq!(sum(&"1".repeat(5 * 1024), "1"), Err(NumberError::NotAFloat));
    }

    #[test]
    fn a_sum_must_be_finite() {
        for (current, increment) in [
            ("inf", "1"),
            ("1", "-inf"),
            ("inf", "-inf"),
            ("1.1e4932", "1.1e4932"),
        ] {
            assert_eq!(
                sum(current, increment),
                Err(NumberError::NanOrInfinity),
                "{current} {increment}"
            );
        }
    }

    proptest! {
        #[test]
        fn integers_of_63_bits_are_exact(one: i64, two: i64) {
            let (one, two) = (one / 2, two / 2);
            prop_assert_eq!(sum(&one.to_string(), &two.to_string()), Ok((one + two).to_string()));
        }

        #[test]
        fn any_text_is_added_or_refused(one in "[-+]?[0-9a-fx.]{1,30}([ep]-?[0-9]{1,6})?", two in ".{0,9}") {
            let _ = sum(&one, &two);
            let text = sum(&one, "0");
            if let Ok(text) = text {
                prop_assert_eq!(sum("0", &one), Ok(text));
            }
        }
    }
}
