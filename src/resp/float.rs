//! The grammar of floats as C's `strtod` reads them, and rounding to a binary format.

use super::natural::Natural;

/// A text that writes a float: `-1.5e3`, `.5`, `0x1p-3`, `+inf`, but not a NaN and nothing with spaces.
#[derive(Clone, Copy)]
pub(super) struct FloatText<'a> {
    pub(super) negative: bool,
    pub(super) value: FloatValue<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum FloatValue<'a> {
    Infinite,
    Number(Digits<'a>),
}

/// `integer.fraction * base^exponent`, where the exponent counts tens or, of a hexadecimal number, twos.
#[derive(Clone, Copy)]
pub(super) struct Digits<'a> {
    pub(super) hexadecimal: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> FloatText<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = split_sign(text);
        let infinite = rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity");
        let value = if infinite {
            FloatValue::Infinite
        } else {
            FloatValue::Number(Digits::parse(rest)?)
        };
        Some(Self { negative, value })
    }
}

impl<'a> Digits<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (hexadecimal, text) = match text {
            [b'0', b'x' | b'X', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (mantissa, exponent) = split_exponent(text, if hexadecimal { b'p' } else { b'e' })?;
        let (integer, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
            Some(point) => (&mantissa[..point], &mantissa[point + 1..]),
            None => (mantissa, &mantissa[..0]),
        };
        let is_digit = |byte: &u8| {
            if hexadecimal {
                byte.is_ascii_hexdigit()
            } else {
                byte.is_ascii_digit()
            }
        };
        let valid = integer.len() + fraction.len() > 0 && integer.iter().chain(fraction).all(is_digit);
        valid.then_some(Self {
            hexadecimal,
            integer,
            fraction,
            exponent,
        })
    }

    pub(super) fn is_zero(&self) -> bool {
        self.significant().next().is_none()
    }

    /// All digits from the first that is not zero.
    fn significant(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.integer
            .iter()
            .chain(self.fraction)
            .copied()
            .skip_while(|&digit| digit == b'0')
    }

    /// The nearest value of `format`; `None` if that is infinite, or zero though the digits are not.
    pub(super) fn round_to(&self, format: &Format) -> Option<Rounded> {
        let digits = self.significant().count();
        if digits == 0 {
            return Some(Rounded {
                mantissa: 0,
                exponent: 0,
            });
        }
        let exact = if self.hexadecimal {
            self.hexadecimal_to_binary()
        } else {
            self.decimal_to_binary(digits)?
        };
        exact.round_to(format).filter(|rounded| rounded.mantissa != 0)
    }

    fn hexadecimal_to_binary(self) -> Binary {
        const DIGITS_MAX: usize = 32;
        let value = |digit: u8| u128::from(char::from(digit).to_digit(16).expect("checked by `parse`"));
        let significand = self
            .significant()
            .take(DIGITS_MAX)
            .fold(0, |sum, digit| sum << 4 | value(digit));
        let inexact = self.significant().skip(DIGITS_MAX).any(|digit| digit != b'0');
        let left_out = self.significant().count().saturating_sub(DIGITS_MAX);
        let exponent = self.exponent + 4 * (left_out as i64 - self.fraction.len() as i64);
        Binary {
            significand,
            exponent,
            inexact,
        }
    }

    /// `None` where every format of at most 15 exponent bits overflows, or underflows to zero.
    fn decimal_to_binary(self, digits: usize) -> Option<Binary> {
        const POWER_MAX: i64 = 5_000;
        let power = self.exponent - self.fraction.len() as i64;
        if !(-POWER_MAX..=POWER_MAX).contains(&(power + digits as i64)) {
            return None;
        }
        let numerator = Natural::from_decimal(self.significant());
        let fives = u32::try_from(power.abs()).expect("bounded by POWER_MAX and the number of digits");
        let scaled = if power < 0 {
            quotient(numerator, Natural::from(1).times_five_to(fives))
        } else {
            let (significand, exponent, inexact) = numerator.times_five_to(fives).highest_bits();
            Binary {
                significand,
                exponent: exponent as i64,
                inexact,
            }
        };
        Some(Binary {
            exponent: scaled.exponent + power,
            ..scaled
        })
    }
}

/// Whether a `-` stands in front, and what follows the sign if there is one.
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// The text in front of the exponent, and the exponent: 0 if there is none, cut off far beyond any use.
fn split_exponent(text: &[u8], mark: u8) -> Option<(&[u8], i64)> {
    const EXPONENT_MAX: i64 = i64::MAX / 4;
    let Some(at) = text.iter().position(|byte| byte.eq_ignore_ascii_case(&mark)) else {
        return Some((text, 0));
    };
    let (negative, digits) = split_sign(&text[at + 1..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
            .min(EXPONENT_MAX)
    });
    Some((&text[..at], if negative { -magnitude } else { magnitude }))
}

/// `numerator / denominator`, to more bits than any format keeps.
fn quotient(numerator: Natural, denominator: Natural) -> Binary {
    const BITS: usize = 72;
    let (above, below) = (numerator.bits(), denominator.bits());
    let numerator = numerator.shifted_left(below.saturating_sub(above));
    let denominator = denominator.shifted_left(above.saturating_sub(below));
    let (significand, inexact) = numerator.divide(&denominator, BITS);
    Binary {
        significand,
        exponent: above as i64 - below as i64 - (BITS as i64 - 1),
        inexact,
    }
}

/// A binary floating-point format.
pub(super) struct Format {
    /// Bits of the mantissa.
    pub(super) precision: u32,
    /// The exponent of the lowest bit of the smallest number.
    pub(super) exponent_min: i64,
    /// Every number is below two to this power.
    pub(super) exponent_end: i64,
}

/// `significand * 2^exponent`, or, if it is inexact, a little more.
///
/// An inexact one has more bits than any format keeps, two at least.
#[derive(Clone, Copy)]
pub(super) struct Binary {
    pub(super) significand: u128,
    pub(super) exponent: i64,
    pub(super) inexact: bool,
}

/// `mantissa * 2^exponent`, the mantissa not wider than the format's precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    pub(super) mantissa: u64,
    pub(super) exponent: i32,
}

impl Binary {
    /// The nearest value of `format`, of two the even one; `None` if that is infinite.
    pub(super) fn round_to(self, format: &Format) -> Option<Rounded> {
        let bits = 128 - self.significand.leading_zeros();
        let excess_bits = i64::from(bits) - i64::from(format.precision);
        let dropped = excess_bits.max(format.exponent_min - self.exponent).max(0);
        let mantissa = shift_right_to_even(self.significand, dropped, self.inexact);
        let exponent = self.exponent + dropped;
        let end = exponent + i64::from(128 - mantissa.leading_zeros());
        if mantissa == 0 {
            return Some(Rounded {
                mantissa: 0,
                exponent: 0,
            });
        }
        // Rounding up to the next power of two makes the mantissa one bit, and only that, too wide.
        let carry = u32::from(mantissa >> format.precision != 0);
        (end <= format.exponent_end).then_some(Rounded {
            mantissa: (mantissa >> carry) as u64,
            exponent: exponent as i32 + carry as i32,
        })
    }
}

/// `value / 2^bits` rounded to the nearest, of two to the even one; `inexact` makes `value` a little larger.
pub(super) fn shift_right_to_even(value: u128, bits: i64, inexact: bool) -> u128 {
    match bits {
        ..=0 => value,
        1..128 => {
            let (kept, rest, half) = (value >> bits, value & ((1 << bits) - 1), 1 << (bits - 1));
            let up = rest > half || rest == half && (inexact || kept & 1 == 1);
            kept + u128::from(up)
        }
        128 => u128::from(value > 1 << 127 || value == 1 << 127 && inexact),
        _ => 0,
    }
}
