//! Integers and doubles as text, by the rules of Redis.

use std::io::Write as _;

use super::float::{FloatText, FloatValue, Format, Rounded};

/// Reads a signed integer as Redis's `string2ll` does: decimal digits, a `-` but no `+` before them,
/// no leading zeros, no spaces, no `-0`, the whole range of 64 bits.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = parse_u64(digits)?;
    if negative && magnitude > 0 {
        0_i64.checked_sub_unsigned(magnitude)
    } else if negative {
        None
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Reads an unsigned integer: decimal digits without sign, leading zeros or spaces, the whole range.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    if first == b'0' && !rest.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Appends `value` in decimal.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Reads a double as Redis does: what C's `strtod` takes, hexadecimal numbers and infinities
/// included, but no NaN, no spaces, and nothing that overflows or is rounded to zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let FloatText { negative, value } = FloatText::parse(text)?;
    let magnitude = match value {
        FloatValue::Infinite => f64::INFINITY,
        FloatValue::Number(digits) if digits.hexadecimal => binary_to_f64(digits.round_to(&DOUBLE)?),
        FloatValue::Number(digits) => {
            let magnitude = str::from_utf8(text)
                .expect("only ASCII is parsed")
                .parse::<f64>()
                .ok()?
                .abs();
            if magnitude.is_infinite() || magnitude == 0.0 && !digits.is_zero() {
                return None;
            }
            magnitude
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads a double as C's `strtod` does where all of the text, up to a NUL, has to be one. Other than for
/// [`parse_f64`], white space may stand in front, nothing at all means 0, and decimal numbers that are too large or
/// too small become infinities or 0.
pub fn parse_f64_of_c(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(|byte| is_space(byte)).count()..];
    match FloatText::parse(text)?.value {
        FloatValue::Number(digits) if !digits.hexadecimal => {
            str::from_utf8(text).expect("only ASCII is parsed").parse().ok()
        }
        _ => parse_f64(text),
    }
}

/// IEEE 754's format of 64 bits.
const DOUBLE: Format = Format {
    precision: 53,
    exponent_min: -1_074,
    exponent_end: 1_024,
};

/// Exact, as `rounded` is a number of this format.
fn binary_to_f64(Rounded { mantissa, exponent }: Rounded) -> f64 {
    const MANTISSA_BITS: i32 = 52;
    const BIAS: i32 = 1_023;
    let power_of_two = if exponent > -BIAS {
        f64::from_bits(((exponent + BIAS) as u64) << MANTISSA_BITS)
    } else {
        f64::from_bits(1 << (exponent + BIAS - 1 + MANTISSA_BITS))
    };
    mantissa as f64 * power_of_two
}

/// A double as text, without an allocation.
pub struct F64Text {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl F64Text {
    /// A sign, 17 digits with their point, and an exponent of five characters.
    const BYTES_MAX: usize = 24;

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn new() -> Self {
        Self {
            bytes: [0; Self::BYTES_MAX],
            len: 0,
        }
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }
}

/// Writes a double as Redis 7.0 does, C's `%.17g`: up to 17 digits, which tell any two doubles apart, an
/// exponent below 1e-4 and from 1e17 on; `inf`, `-inf` and `nan`.
pub fn format_f64(value: f64) -> F64Text {
    let mut text = F64Text::new();
    if value.is_nan() {
        text.push(b"nan");
        return text;
    }
    if value.is_sign_negative() {
        text.push(b"-");
    }
    if value.is_infinite() {
        text.push(b"inf");
    } else {
        push_digits(&mut text, value.abs());
    }
    text
}

/// Significant digits that `%.17g` prints.
const SIGNIFICANT_DIGITS: i32 = 17;

/// Appends a finite number that is not negative.
fn push_digits(text: &mut F64Text, magnitude: f64) {
    /// Whole numbers below have no more digits than are printed.
    const WHOLE_END: f64 = 1e17;
    if magnitude < WHOLE_END && magnitude.fract() == 0.0 {
        text.push(itoa::Buffer::new().format(magnitude as u64).as_bytes());
        return;
    }
    let mut scientific = [0; F64Text::BYTES_MAX];
    let mut unwritten = &mut scientific[..];
    write!(unwritten, "{magnitude:.*e}", SIGNIFICANT_DIGITS as usize - 1).expect("it fits");
    let unwritten_bytes = unwritten.len();
    let written = &scientific[..F64Text::BYTES_MAX - unwritten_bytes];

    let mark = written
        .iter()
        .position(|&byte| byte == b'e')
        .expect("it is scientific");
    let exponent = parse_i64(&written[mark + 1..]).expect("a small number") as i32;
    // The digits without the point behind the first, and without zeros at the end.
    let mut digits = [0; SIGNIFICANT_DIGITS as usize];
    digits[0] = written[0];
    digits[1..].copy_from_slice(&written[2..mark]);
    let zeros = digits[1..]
        .iter()
        .rev()
        .take_while(|&&digit| digit == b'0')
        .count();
    lay_out(text, &digits[..digits.len() - zeros], exponent);
}

/// Appends the number that has `digits`, the first of them at ten to the `exponent`.
fn lay_out(text: &mut F64Text, digits: &[u8], exponent: i32) {
    if !(-4..SIGNIFICANT_DIGITS).contains(&exponent) {
        push_with_point(text, digits, 1);
        text.push(if exponent < 0 { b"e-" } else { b"e+" });
        let magnitude = exponent.unsigned_abs();
        if magnitude < 10 {
            text.push(b"0");
        }
        text.push(itoa::Buffer::new().format(magnitude).as_bytes());
    } else if exponent < 0 {
        text.push(b"0.");
        text.push(&b"000"[..exponent.unsigned_abs() as usize - 1]);
        text.push(digits);
    } else {
        push_with_point(text, digits, exponent as usize + 1);
    }
}

/// Appends `digits` with `integer_digits` in front of the point, filled up with zeros if they are fewer.
fn push_with_point(text: &mut F64Text, digits: &[u8], integer_digits: usize) {
    match digits.split_at_checked(integer_digits) {
        Some((integer, [])) => text.push(integer),
        Some((integer, fraction)) => {
            text.push(integer);
            text.push(b".");
            text.push(fraction);
        }
        None => {
            text.push(digits);
            text.push(&b"0000000000000000"[..integer_digits - digits.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn formatted(value: f64) -> String {
        String::from_utf8(format_f64(value).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn doubles_of_c_may_be_out_of_range() {
        let cases: [(&[u8], Option<f64>); 16] = [
            (b"", Some(0.0)),
            (b"1.5", Some(1.5)),
            (b" \t\n\x0b\x0c\r-2e3", Some(-2e3)),
            (b"1\0x", Some(1.0)),
            (b"\0", Some(0.0)),
            (b"1e400", Some(f64::INFINITY)),
            (b"-1e400", Some(f64::NEG_INFINITY)),
            (b"1e-400", Some(0.0)),
            (b"+inf", Some(f64::INFINITY)),
            (b"-infinity", Some(f64::NEG_INFINITY)),
            (b"0x10", Some(16.0)),
            (b" ", None),
            (b"1 ", None),
            (b"nan", None),
            (b"1e", None),
            (b"(1", None),
        ];
        for (text, number) in cases {
            assert_eq!(parse_f64_of_c(text), number, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        for text in [
            "", "-", "+1", "01", "-01", "00", "-0", " 1", "1 ", "1a", "0x1", "1.0", "--1",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        for text in [
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            &"9".repeat(99),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    /// What `ZADD` of Redis 7.0.15 accepted, and the score it then told.
    #[test]
    fn doubles_are_accepted_as_in_redis() {
        let cases = [
            ("+inf", "inf"),
            ("-Infinity", "-inf"),
            ("+5", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e5", "100000"),
            ("0e999999999", "0"),
            ("0e-99999999999999999999", "0"),
            ("0x1p3", "8"),
            ("0x.8", "0.5"),
            ("0X1P-1", "0.5"),
            ("0x1.fffffffffffff8p0", "2"),
            ("0x1.fffffffffffff7p1023", "1.7976931348623157e+308"),
            ("0x1.00000000000008p0", "1"),
            (
                "0x1.000000000000080000000000000000000000000001p0",
                "1.0000000000000002",
            ),
            ("0x0.0000000000000000000001p80", "0.00390625"),
            ("0x1.8p-1075", "4.9406564584124654e-324"),
            ("2.5e-324", "4.9406564584124654e-324"),
        ];
        for (text, score) in cases {
            assert_eq!(
                parse_f64(text.as_bytes()).map(formatted).as_deref(),
                Some(score),
                "{text}"
            );
        }
    }

    /// What `ZADD` of Redis 7.0.15 refused.
    #[test]
    fn doubles_are_refused_as_in_redis() {
        for text in [
            "",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0x1p",
            "0x.p1",
            " 5",
            "5 ",
            "nan",
            "-nan",
            "nan(1)",
            "1_000",
            "--5",
            "+-5",
            "1.0e1.0",
            "1,5",
            "infi",
            "infinit",
            "1e400",
            "2e308",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "1e-400",
            "2e-324",
            "0x1p-1075",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "1.2.3",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }

    /// As C's `printf("%.17g")` prints them.
    #[test]
    fn doubles_are_written_as_in_redis() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (1_234_567.125, "1234567.125"),
            (0.0001, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (-1.5e-7, "-1.4999999999999999e-07"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
            // Ties go to the even digit.
            (123_456_789_012_345.0 + 0.125, "123456789012345.12"),
            (123_456_789_012_345.0 + 0.375, "123456789012345.38"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::from_bits(1), "4.9406564584124654e-324"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (value, text) in cases {
            assert_eq!(formatted(value), text);
        }
    }

    proptest! {
        #[test]
        fn integers_survive_text(value: i64) {
            let mut text = Vec::new();
            push_i64(&mut text, value);
            prop_assert_eq!(parse_i64(&text), Some(value));
        }

        #[test]
        fn doubles_survive_text(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let read = parse_f64(format_f64(value).as_bytes());
            prop_assert_eq!(read.map(f64::to_bits), Some(bits));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eExXpPinfa]{0,12}") {
            let read = parse_f64(text.as_bytes());
            if let Ok(value) = text.parse::<f64>() && value.is_normal() {
                prop_assert_eq!(read, Some(value));
            }
        }
    }
}
