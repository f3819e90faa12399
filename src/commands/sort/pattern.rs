//! Patterns of SORT: where a value that belongs to an element is found.

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern<'r> {
    /// `#`: the element itself.
    Element,
    /// No `*`: no value, whatever the element.
    Nothing,
    /// The value of a key whose name has the element in it.
    Key(KeyPattern<'r>),
}

/// `weight_*` or `object_*->field`: a key, or a field of one, with an element in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPattern<'r> {
    before: &'r [u8],
    behind: &'r [u8],
    /// The field, if a hash is meant.
    pub field: Option<&'r [u8]>,
}

impl<'r> Pattern<'r> {
    /// Reads a pattern. As in Redis, nothing behind a zero byte is looked at, though it belongs to the name.
    pub fn parse(text: &'r [u8]) -> Self {
        let seen_len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let seen = &text[..seen_len];
        if seen == b"#" {
            return Self::Element;
        }
        let Some(star) = seen.iter().position(|byte| *byte == b'*') else {
            return Self::Nothing;
        };
        let arrow = seen[star + 1..].windows(2).position(|pair| pair == b"->");
        let arrow = arrow.map(|at| star + 1 + at).filter(|at| at + 2 < seen_len);
        Self::Key(KeyPattern {
            before: &text[..star],
            behind: &text[star + 1..arrow.unwrap_or(text.len())],
            field: arrow.map(|at| &text[at + 2..]),
        })
    }
}

impl KeyPattern<'_> {
    /// The name of the key for an element.
    pub fn name_for(&self, element: &[u8]) -> Vec<u8> {
        [self.before, element, self.behind].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'r>(before: &'r str, behind: &'r str, field: Option<&'r str>) -> Pattern<'r> {
        Pattern::Key(KeyPattern {
            before: before.as_bytes(),
            behind: behind.as_bytes(),
            field: field.map(str::as_bytes),
        })
    }

    #[test]
    fn patterns_are_read_as_redis_reads_them() {
        #[rustfmt::skip] // A table: pattern, meaning.
        let table = [
            ("#",           Pattern::Element),
            ("##",          Pattern::Nothing),
            ("",            Pattern::Nothing),
            ("nosort",      Pattern::Nothing),
            ("a->b",        Pattern::Nothing),
            ("*",           key("", "", None)),
            ("w_*",         key("w_", "", None)),
            ("w_*_*",       key("w_", "_*", None)),
            ("h_*->f",      key("h_", "", Some("f"))),
            ("h_*:x->f->g", key("h_", ":x", Some("f->g"))),
            ("h->*->f",     key("h->", "", Some("f"))),
            ("h_*->",       key("h_", "->", None)),
            ("#\0*",        Pattern::Element),
            ("a\0*",        Pattern::Nothing),
            ("a*\0->f",     key("a", "\0->f", None)),
            ("a*->f\0g",    key("a", "", Some("f\0g"))),
            ("a*->\0g",     key("a", "->\0g", None)),
        ];
        for (text, meaning) in table {
            assert_eq!(Pattern::parse(text.as_bytes()), meaning, "{text:?}");
        }
    }

    #[test]
    fn the_first_star_is_the_element() {
        let Pattern::Key(pattern) = Pattern::parse(b"w_*_*") else {
            panic!("it is the pattern of a key")
        };
        assert_eq!(pattern.name_for(b"7"), b"w_7_*");
    }
}
