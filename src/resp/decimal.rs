//! Numbers in decimal notation without an exponent, as Redis prints coordinates and distances.

/// Up to 17 digits behind the point, and no zeros at the end: C's `%.17Lf`, cut off. Exact, rounded to even.
pub fn plain(value: f64) -> String {
    let mut text = format!("{value:.17}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// Four digits behind the point; `value` is scaled first and then rounded to even, which is not the same as rounding
/// what it is exactly.
pub fn fixed(value: f64) -> String {
    const SCALE: u64 = 10_000;
    let scaled = (value * SCALE as f64).round_ties_even() as i64;
    let sign = if scaled < 0 { "-" } else { "" };
    let magnitude = scaled.unsigned_abs();
    format!("{sign}{}.{:04}", magnitude / SCALE, magnitude % SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_have_no_needless_digits() {
        #[rustfmt::skip] // A table: number, text.
        let table = [
            (0.0, "0"), (-0.0, "0"), (-1e-18, "0"), (180.0, "180"), (-180.0, "-180"), (100.0, "100"), (1.5, "1.5"),
            (13.361_389_338_970_184, "13.36138933897018433"), (1e22, "10000000000000000000000"),
            (0.000_003_814_697_265_625, "0.00000381469726562"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in table {
            assert_eq!(plain(value), text);
        }
    }

    #[test]
    fn fixed_numbers_have_four_digits_behind_the_point() {
        #[rustfmt::skip] // A table: number, text.
        let table = [
            (0.0, "0.0000"), (0.000_04, "0.0000"), (0.000_25, "0.0002"), (0.000_35, "0.0004"), (1.0, "1.0000"),
            (166_274.151_561, "166274.1516"), (-0.5, "-0.5000"), (0.012_34, "0.0123"),
        ];
        for (value, text) in table {
            assert_eq!(fixed(value), text, "{value}");
        }
    }
}
