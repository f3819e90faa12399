//! The words of a request, and text with escapes and wildcards, as transcripts write them.

use std::collections::HashMap;

/// Values that a transcript has noted with `-> name`.
pub type Variables = HashMap<String, String>;

/// Puts the noted values in place of `${name}`. An unknown name is an error.
pub fn substitute(text: &str, variables: &Variables) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or("${ without }")?;
        result.push_str(before);
        result.push_str(
            variables
                .get(name)
                .ok_or_else(|| format!("nothing is noted as {name}"))?,
        );
        rest = behind;
    }
    Ok(result + rest)
}

/// Splits a request into its words: bare, in double quotes with escapes, or in single quotes without. `"ab"*3` is
/// `ababab`.
pub fn split(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut cursor = Cursor::new(text);
    let mut words = Vec::new();
    loop {
        cursor.skip_spaces();
        match cursor.peek() {
            None => return Ok(words),
            Some('"') => words.push(cursor.quoted()?.bytes()?),
            Some('\'') => words.push(cursor.single_quoted()?.into_bytes()),
            Some(_) => words.push(cursor.take_while(|letter| !letter.is_whitespace()).into_bytes()),
        }
    }
}

/// Text in which some parts may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What stands between the wildcards; a single part is text without any.
    parts: Vec<Vec<u8>>,
}

impl Text {
    /// Exactly this text.
    pub fn exactly(text: &str) -> Self {
        Self {
            parts: vec![text.as_bytes().to_vec()],
        }
    }

    /// Text in which every `*` stands for anything.
    pub fn with_wildcards(text: &str) -> Self {
        Self {
            parts: text.split('*').map(|part| part.as_bytes().to_vec()).collect(),
        }
    }

    /// Whether `text` is as described.
    pub fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts[0] == text;
        };
        let Some(mut rest) = text.strip_prefix(first.as_slice()) else {
            return false;
        };
        for part in middle {
            let Some(at) = find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    fn bytes(self) -> Result<Vec<u8>, String> {
        <[Vec<u8>; 1]>::try_from(self.parts)
            .map(|[text]| text)
            .map_err(|_| "a wildcard in a request".to_owned())
    }

    fn repeated(mut self, times: usize) -> Result<Self, String> {
        match self.parts.as_mut_slice() {
            [text] => *text = text.repeat(times),
            _ => return Err("text with wildcards can't be repeated".to_owned()),
        }
        Ok(self)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        Some(0)
    } else {
        text.windows(part.len()).position(|window| window == part)
    }
}

/// Reads a line of a transcript from left to right.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next character, which stays.
    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Moves to the end.
    pub fn take_rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    /// Moves over blanks.
    pub fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Moves over `token` if it comes next.
    pub fn take(&mut self, token: &str) -> bool {
        let behind = self.rest.strip_prefix(token);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// Moves over `token`, which must come next after blanks.
    pub fn expect(&mut self, token: &str) -> Result<(), String> {
        self.skip_spaces();
        if self.take(token) {
            Ok(())
        } else {
            Err(format!("{token:?} expected before {:?}", self.rest))
        }
    }

    /// Moves over all characters up to the first that does not `belong`.
    pub fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self
            .rest
            .find(|letter| !belongs(letter))
            .unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at(end);
        self.rest = behind;
        word.to_owned()
    }

    /// Text in double quotes, perhaps with `*times` behind it.
    pub fn quoted(&mut self) -> Result<Text, String> {
        let text = Text {
            parts: vec![self.parts_until_quote(false)?.concat()],
        };
        self.repetition(text)
    }

    /// Text in double quotes in which `*` stands for anything, and `\*` for itself.
    pub fn quoted_with_wildcards(&mut self) -> Result<Text, String> {
        Ok(Text {
            parts: self.parts_until_quote(true)?,
        })
    }

    fn repetition(&mut self, text: Text) -> Result<Text, String> {
        let counted = self
            .rest
            .strip_prefix('*')
            .is_some_and(|behind| behind.starts_with(|c: char| c.is_ascii_digit()));
        if !counted {
            return Ok(text);
        }
        self.take("*");
        let times = self.take_while(|letter| letter.is_ascii_digit());
        text.repeated(times.parse().map_err(|_| format!("{times} times are too many"))?)
    }

    fn parts_until_quote(&mut self, wildcards: bool) -> Result<Vec<Vec<u8>>, String> {
        self.expect("\"")?;
        let mut parts = vec![Vec::new()];
        loop {
            match self.letter()? {
                '"' => return Ok(parts),
                '*' if wildcards => parts.push(Vec::new()),
                '\\' => last(&mut parts).extend(self.escaped()?),
                letter => last(&mut parts).extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.expect("'")?;
        let text = self.take_while(|letter| letter != '\'');
        self.expect("'")?;
        Ok(text)
    }

    fn escaped(&mut self) -> Result<Vec<u8>, String> {
        Ok(match self.letter()? {
            'n' => vec![b'\n'],
            'r' => vec![b'\r'],
            't' => vec![b'\t'],
            'x' => vec![self.hexadecimal()?],
            letter => letter.to_string().into_bytes(),
        })
    }

    fn hexadecimal(&mut self) -> Result<u8, String> {
        let digits = String::from_iter([self.letter()?, self.letter()?]);
        u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no byte"))
    }

    fn letter(&mut self) -> Result<char, String> {
        let letter = self.peek().ok_or("the closing quote is missing")?;
        self.rest = &self.rest[letter.len_utf8()..];
        Ok(letter)
    }
}

fn last(parts: &mut [Vec<u8>]) -> &mut Vec<u8> {
    parts.last_mut().expect("there is a part from the start")
}

#[test]
fn words_are_split_as_a_shell_would() {
    let words = split(r#"SET key "a b\r\n\x00\"" '"' "ab"*3 """#).unwrap();
    assert_eq!(
        words,
        [&b"SET"[..], b"key", b"a b\r\n\0\"", b"\"", b"ababab", b""]
    );
    assert!(split("\"open").is_err());
}

#[test]
fn wildcards_stand_for_anything() {
    let text = Text::with_wildcards("a*b*c");
    for (candidate, fits) in [
        ("abc", true),
        ("a--b--c", true),
        ("ac", false),
        ("abcd", false),
        ("xabc", false),
    ] {
        assert_eq!(text.matches(candidate.as_bytes()), fits, "{candidate}");
    }
    assert!(
        !Text::with_wildcards("ab*ba").matches(b"aba"),
        "prefix and suffix do not overlap"
    );
}
