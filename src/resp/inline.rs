//! Splits an inline request, a line typed by hand, into words.
//!
//! The rules are those of Redis's `sdssplitargs`: words are separated by white space; a quote may open
//! anywhere in a word and must be followed by white space or the end when it closes; `"…"` knows
//! `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and takes any other escaped byte as it is; `'…'` knows only `\'`.

use super::decode::Span;

/// A quote was not closed, or was followed by more than white space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnbalancedQuotes;

/// Appends the words of `line` to `unescaped` and their places in it to `words`.
///
/// Linear in the length of the line. An empty line has no words, `""` is one empty word.
pub(super) fn split_words(
    line: &[u8],
    unescaped: &mut Vec<u8>,
    words: &mut Vec<Span>,
) -> Result<(), UnbalancedQuotes> {
    let mut rest = skip_spaces(line);
    while !rest.is_empty() {
        let start = unescaped.len();
        let word_bytes = unescape_word(rest, unescaped)?;
        words.push(Span {
            start,
            end: unescaped.len(),
        });
        rest = skip_spaces(&rest[word_bytes..]);
    }
    Ok(())
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|&&byte| is_space(byte)).count();
    &text[spaces..]
}

/// Appends the word at the head of `text` and says how many bytes of `text` it took.
fn unescape_word(text: &[u8], unescaped: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(at),
            b'"' => return Ok(at + 1 + unescape_double_quoted(&text[at + 1..], unescaped)?),
            b'\'' => return Ok(at + 1 + unescape_single_quoted(&text[at + 1..], unescaped)?),
            _ => unescaped.push(byte),
        }
        at += 1;
    }
    Ok(at)
}

/// Appends what stands before the closing `"`; the result counts the bytes up to behind that quote.
fn unescape_double_quoted(text: &[u8], unescaped: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut at = 0;
    loop {
        let (byte, taken) = match text[at..] {
            [] => return Err(UnbalancedQuotes),
            [b'"', ..] => return closed_at(text, at),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(high) << 4 | hex_digit(low), 4)
            }
            [b'\\', escaped, ..] => (control_character(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        unescaped.push(byte);
        at += taken;
    }
}

/// Appends what stands before the closing `'`; the result counts the bytes up to behind that quote.
fn unescape_single_quoted(text: &[u8], unescaped: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut at = 0;
    loop {
        let (byte, taken) = match text[at..] {
            [] => return Err(UnbalancedQuotes),
            [b'\'', ..] => return closed_at(text, at),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (byte, 1),
        };
        unescaped.push(byte);
        at += taken;
    }
}

/// Behind the closing quote at `quote`, if the word may end there.
fn closed_at(text: &[u8], quote: usize) -> Result<usize, UnbalancedQuotes> {
    match text.get(quote + 1) {
        Some(&next) if !is_space(next) => Err(UnbalancedQuotes),
        _ => Ok(quote + 1),
    }
}

fn control_character(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of an ASCII hexadecimal digit.
fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`: unlike [`u8::is_ascii_whitespace`] it includes the vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
        let (mut unescaped, mut words) = (Vec::new(), Vec::new());
        split_words(line, &mut unescaped, &mut words)?;
        Ok(words
            .iter()
            .map(|word| unescaped[word.start..word.end].to_vec())
            .collect())
    }

    /// Compared with what Redis 7.0.15 echoed.
    #[test]
    fn words_are_split_as_redis_splits_them() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b" \t\x0b\x0c\r", &[]),
            (b"GET k", &[b"GET", b"k"]),
            (b"  GET \t k  ", &[b"GET", b"k"]),
            (br#""a\x41\n\r\t\b\a\q\\\"" "#, &[b"aA\n\r\t\x08\x07q\\\""]),
            (br"'it\'s\n'", &[br"it's\n"]),
            (br#"a"b c""#, &[b"ab c"]),
            (br#""\x4g""#, &[b"x4g"]),
            (br#""" ''"#, &[b"", b""]),
            (b"a\x0bb", &[b"a\x0bb"]),
            (b"\x0bECHO \x0ca", &[b"ECHO", b"a"]),
            (b"a\rb", &[b"a", b"b"]),
            (b"\"a\rb\"", &[b"a\rb"]),
            (b"\"a\"\x0bb", &[b"a", b"b"]),
            (b"\xff\"\\xFf\\x0A\"", &[b"\xff\xff\n"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), *words, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_quote_must_close_at_the_end_of_a_word() {
        for line in [
            r#""a"#,
            "'a",
            r#""a"b"#,
            "'a'b",
            r#""a\"#,
            r#""a\""#,
            r#""a""b""#,
            r#""\x4"#,
        ] {
            assert_eq!(split(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }
}
