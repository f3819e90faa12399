//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^a-z]` and `\` before a character that stands for itself.
//!
//! The language is that of `stringmatchlen` in Redis 7, its corner cases included:
//! - `[` without `]` takes the rest of the pattern as its members; a lone `[` at the end matches
//!   nothing, a lone `[^` any byte.
//! - `]` closes a class at once (`[]` matches nothing) but may end a range: `[a-]` opens the range `]` to `a`.
//! - A range may be given backwards. Its bounds compare as signed bytes, as on the platforms that Redis runs on.
//! - `\` as the last byte of a pattern stands for itself.
//! - The empty text is matched by the empty pattern only, not even by `*`.

/// Whether ASCII letters of either case are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Bytes match as they are: key patterns, channels.
    Sensitive,
    /// `a` matches `A`: names of settings and commands. Escaped members of a class stay exact, as in Redis.
    Insensitive,
}

/// A pattern ready to be tried on many texts.
#[derive(Clone, Copy, Debug)]
pub struct Glob<'p> {
    literal: &'p [u8],
    wild: &'p [u8],
    case: Case,
}

impl<'p> Glob<'p> {
    /// Splits off the part before the first special byte, which is compared as a whole. Every pattern is
    /// valid. O(pattern), no allocation.
    pub fn new(pattern: &'p [u8], case: Case) -> Self {
        let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
        let (literal, wild) = pattern.split_at(pattern.iter().position(special).unwrap_or(pattern.len()));
        Self { literal, wild, case }
    }

    /// Whether the pattern is `*` alone, for which listings skip the comparison (and so include the empty key).
    pub fn is_star(&self) -> bool {
        self.literal.is_empty() && self.wild == b"*"
    }

    /// The text that the pattern stands for, if it has no special bytes.
    pub fn as_literal(&self) -> Option<&'p [u8]> {
        self.wild.is_empty().then_some(self.literal)
    }

    /// Whether the pattern matches the whole of `text`. O(pattern × text) at worst, constant space: only the
    /// last `*` passed is ever tried again, since an earlier one could not do better.
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return self.literal.is_empty() && self.wild.is_empty();
        }
        let Some((head, tail)) = text.split_at_checked(self.literal.len()) else {
            return false;
        };
        let literal_matches = match self.case {
            Case::Sensitive => head == self.literal,
            Case::Insensitive => head.eq_ignore_ascii_case(self.literal),
        };
        literal_matches && wild_matches(self.wild, tail, self.case)
    }
}

/// Whether `pattern` matches the whole of `text`, where an empty text is matched by any number of `*`.
fn wild_matches(mut pattern: &[u8], mut text: &[u8], case: Case) -> bool {
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(after_star) = pattern.strip_prefix(b"*") {
            if after_star.is_empty() {
                return true;
            }
            pattern = after_star;
            last_star = Some((after_star, text));
            continue;
        }
        let Some((&byte, text_rest)) = text.split_first() else {
            // A star that took more would leave even less for the pattern's rest.
            return pattern.is_empty();
        };
        if let Some(pattern_rest) = accept(pattern, byte, case) {
            (pattern, text) = (pattern_rest, text_rest);
            continue;
        }
        let Some((after_star, (_, star_text))) =
            last_star.and_then(|(after_star, star_text)| Some((after_star, star_text.split_first()?)))
        else {
            return false;
        };
        (pattern, text) = (after_star, star_text);
        last_star = Some((after_star, star_text));
    }
}

/// Tries the pattern's first element, which is not `*`, on `byte`; the pattern after it if that matches.
fn accept(pattern: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    let (&first, rest) = pattern.split_first()?;
    match (first, rest) {
        (b'?', _) => Some(rest),
        (b'[', _) => accept_class(rest, byte, case),
        (b'\\', [escaped, rest @ ..]) => same(*escaped, byte, case).then_some(rest),
        _ => same(first, byte, case).then_some(rest),
    }
}

/// Tries a class, given from behind its `[`, on `byte`; the pattern behind its `]` if it matches.
fn accept_class(body: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    let (negated, mut body) = match body {
        [b'^', members @ ..] => (true, members),
        members => (false, members),
    };
    let mut member = false;
    loop {
        let matched;
        (matched, body) = match body {
            [] => return (member != negated).then_some(body),
            [b']', rest @ ..] => return (member != negated).then_some(rest),
            [b'\\', escaped, rest @ ..] => (*escaped == byte, rest),
            [low, b'-', high, rest @ ..] => (in_range(*low, *high, byte, case), rest),
            [single, rest @ ..] => (same(*single, byte, case), rest),
        };
        member |= matched;
    }
}

/// Whether `byte` lies between two bounds, both included, in either order. As in Redis the order is
/// settled before the case is folded.
fn in_range(from: u8, to: u8, byte: u8, case: Case) -> bool {
    let (from, to) = (from.cast_signed(), to.cast_signed());
    let (low, high) = (from.min(to), from.max(to));
    match case {
        Case::Sensitive => (low..=high).contains(&byte.cast_signed()),
        Case::Insensitive => (folded(low)..=folded(high)).contains(&folded(byte.cast_signed())),
    }
}

fn folded(byte: i8) -> i8 {
    byte.cast_unsigned().to_ascii_lowercase().cast_signed()
}

fn same(left: u8, right: u8, case: Case) -> bool {
    match case {
        Case::Sensitive => left == right,
        Case::Insensitive => left.eq_ignore_ascii_case(&right),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes(), Case::Sensitive).matches(text.as_bytes())
    }

    #[test]
    fn agrees_with_redis_on_each_construct() {
        #[rustfmt::skip] // A table: pattern, what matches, what does not, all tried on a real server.
        let table: &[(&str, &[&str], &[&str])] = &[
            ("",          &[""],                     &["a"]),
            ("*",         &["a", "abc"],             &[""]),
            ("**",        &["a", "abc"],             &[""]),
            ("abc",       &["abc"],                  &["ab", "abcd", "ABC"]),
            ("a*",        &["a", "ab"],              &["ba", ""]),
            ("a*b*c",     &["abc", "axbxbxc"],       &["ac", "abcd"]),
            ("*a*b",      &["ab", "aab", "xaxbab"],  &["aba"]),
            ("h?llo",     &["hello", "h?llo"],       &["hllo", "heello"]),
            ("h[ae]llo",  &["hello", "hallo"],       &["hillo"]),
            ("h[^e]llo",  &["hallo", "h^llo"],       &["hello"]),
            ("h[a-c]llo", &["hallo", "hcllo"],       &["hdllo", "h-llo"]),
            ("[c-a]",     &["a", "b", "c"],          &["d"]),
            ("[a-]",      &["a", "]", "_"],          &["-", "b"]),
            ("[-a]",      &["-", "a"],               &["b"]),
            ("[a\\-c]",   &["a", "-", "c"],          &["b", "\\"]),
            ("[\\]]",     &["]"],                    &["\\", "a"]),
            ("[]",        &[],                       &["]", "[", "[]", "a"]),
            ("[]a]",      &[],                       &["a]", "]", "a"]),
            ("[^]",       &["a", "]"],               &["^]"]),
            ("[^",        &["a", "^"],               &["[^"]),
            ("[",         &[],                       &["[", "a"]),
            ("[ab",       &["a", "b"],               &["[ab", "c"]),
            ("[a\\",      &["a", "\\"],              &["b"]),
            ("\\*",       &["*"],                    &["a", "\\*"]),
            ("\\",        &["\\"],                   &["a"]),
            ("a\\",       &["a\\"],                  &["a"]),
            ("[*]",       &["*"],                    &["a"]),
            ("a]",        &["a]"],                   &["a"]),
        ];
        for (pattern, accepted, refused) in table {
            for text in *accepted {
                assert!(matches(pattern, text), "{pattern} must match {text}");
            }
            for text in *refused {
                assert!(!matches(pattern, text), "{pattern} must not match {text}");
            }
        }
    }

    #[test]
    fn folds_letters_but_not_escaped_members() {
        let folds = |pattern: &str, text: &str| {
            Glob::new(pattern.as_bytes(), Case::Insensitive).matches(text.as_bytes())
        };
        assert!(folds("MaxMemory*", "maxmemory-policy"));
        assert!(folds("\\A", "a"));
        assert!(folds("x[A-C]", "Xb"));
        assert!(folds("[B]", "b"));
        assert!(!folds("[\\B]", "b"));
    }

    #[test]
    fn bounds_of_ranges_compare_as_signed_bytes() {
        let range = Glob::new(b"[a-\xff]", Case::Sensitive);
        assert!(range.matches(b"\xff") && range.matches(b"0"));
        assert!(!range.matches(b"z") && !range.matches(b"\x80"));
    }

    #[test]
    fn many_stars_cost_no_more_than_one() {
        let pattern = "a*".repeat(200) + "b";
        let text = "a".repeat(5_000);
        assert!(!matches(&pattern, &text));
    }

    #[test]
    fn tells_literals_and_the_lone_star() {
        assert_eq!(Glob::new(b"abc", Case::Sensitive).as_literal(), Some(&b"abc"[..]));
        assert_eq!(Glob::new(b"a?c", Case::Sensitive).as_literal(), None);
        assert!(Glob::new(b"*", Case::Sensitive).is_star());
        assert!(!Glob::new(b"**", Case::Sensitive).is_star());
    }

    /// The definition, by recursion: a star takes nothing, or one byte and then itself.
    fn naive(pattern: &[u8], text: &[u8], case: Case) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => {
                naive(rest, text, case) || (!text.is_empty() && naive(pattern, &text[1..], case))
            }
            (_, []) => false,
            (_, [byte, text_rest @ ..]) => {
                accept(pattern, *byte, case).is_some_and(|rest| naive(rest, text_rest, case))
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_recursive_definition(
            pattern in "[ab*?\\[\\]^\\\\-]{0,10}",
            text in "[abAB\\]^\\\\-]{1,10}",
            folds: bool,
        ) {
            let case = if folds { Case::Insensitive } else { Case::Sensitive };
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Glob::new(pattern, case).matches(text), naive(pattern, text, case));
        }
    }
}
