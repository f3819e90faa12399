//! Redis's notation of values, and its error texts where a value is not written in it.

use super::memory_size;

/// Reads `yes` or `no` in any case.
pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("yes") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".to_owned())
    }
}

/// Writes what [`yes_no`] reads.
pub(super) fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Reads a decimal integer from `min` to `max`: no sign but a minus, no leading zeros, no spaces.
pub(super) fn integer(text: &str, min: i64, max: i64) -> Result<i64, String> {
    let value = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
    let value = value.ok_or("argument couldn't be parsed into an integer")?;
    if !(min..=max).contains(&value) {
        return Err(out_of_range(min, max));
    }
    Ok(value)
}

/// Reads a number of bytes from `min` to `max` with an optional unit: `k`, `m`, `g` count in
/// thousands, `kb`, `mb`, `gb` in 1024s, `b` in ones; in any case.
pub(super) fn bytes(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let value = bytes_of(text).ok_or("argument must be a memory value")?;
    if !(min..=max).contains(&value) {
        return Err(out_of_range(min, max));
    }
    Ok(value)
}

/// Reads bytes as [`bytes`] does, or `NN%` of the memory that the process may use; 0 stands for no
/// limit, and so does a share where the machine does not tell its memory.
pub(super) fn budget(text: &str) -> Result<Option<u64>, String> {
    let budget = match percentage(text) {
        Some(Ok(0)) => return Err("percentage argument must be greater than 0".to_owned()),
        Some(percent) => memory_size::usable_bytes().unwrap_or(0) / 100 * percent?,
        None => bytes(text, 0, u64::MAX)?,
    };
    Ok((budget > 0).then_some(budget))
}

/// Reads mode bits in octal; 0 stands for none.
pub(super) fn file_mode(text: &str) -> Result<Option<u32>, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok((mode != 0).then_some(mode)),
        _ => Err("argument couldn't be parsed as an octal number".to_owned()),
    }
}

/// Reads one of `names` in any case and tells its index.
pub(super) fn choice(text: &str, names: &[&str]) -> Result<usize, String> {
    names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))
}

/// Reads `NN%`, from 0 to 100. `None`: the text does not end in a percent sign.
pub(super) fn percentage(text: &str) -> Option<Result<u64, String>> {
    let share = text.strip_suffix('%')?;
    Some(match share.parse::<u64>() {
        Ok(percent) if percent <= 100 => Ok(percent),
        Ok(_) => Err("percentage argument must be less or equal to 100".to_owned()),
        Err(_) => Err("argument must be a memory or percent value".to_owned()),
    })
}

fn bytes_of(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn out_of_range(min: impl std::fmt::Display, max: impl std::fmt::Display) -> String {
    format!("argument must be between {min} and {max} inclusive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_as_strict_as_in_redis() {
        assert_eq!(integer("-1", -1, 9), Ok(-1));
        for text in ["", "+1", "01", " 1", "1 ", "1.5", "1x", "99999999999999999999"] {
            assert_eq!(
                integer(text, i64::MIN, i64::MAX),
                Err("argument couldn't be parsed into an integer".to_owned()),
                "{text:?}"
            );
        }
        assert_eq!(
            integer("10", 0, 9),
            Err("argument must be between 0 and 9 inclusive".to_owned())
        );
    }

    #[test]
    fn units_count_in_thousands_or_1024s() {
        let read = |text| bytes(text, 0, u64::MAX);
        assert_eq!(read("7"), Ok(7));
        assert_eq!(read("7b"), Ok(7));
        assert_eq!(read("2k"), Ok(2000));
        assert_eq!(read("2KB"), Ok(2048));
        assert_eq!(read("3Mb"), Ok(3 << 20));
        assert_eq!(read("1g"), Ok(1_000_000_000));
        assert_eq!(read("1gb"), Ok(1 << 30));
        for text in ["", "mb", "-1", "1.5gb", "1 mb", "1tb", "20000000000gb"] {
            assert_eq!(
                read(text),
                Err("argument must be a memory value".to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn percentages_end_at_100() {
        assert_eq!(percentage("5mb"), None);
        assert_eq!(percentage("100%"), Some(Ok(100)));
        assert_eq!(
            percentage("101%"),
            Some(Err("percentage argument must be less or equal to 100".to_owned()))
        );
        assert!(percentage("x%").is_some_and(|read| read.is_err()));
    }

    #[test]
    fn choices_ignore_case() {
        assert_eq!(choice("LRU", &["lfu", "lru"]), Ok(1));
        assert_eq!(
            choice("x", &["lfu", "lru"]),
            Err("argument(s) must be one of the following: lfu, lru".to_owned())
        );
    }
}
