//! Writing JSON: objects for logs and pages that other programs read.

use std::fmt::{Display, Write as _};

/// An object that is being written, member by member.
#[derive(Debug, Clone)]
pub struct Object {
    text: String,
}

impl Default for Object {
    fn default() -> Self {
        Self { text: "{".to_owned() }
    }
}

impl Object {
    /// Adds a text. Names are the program's own and need no escapes.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.begin(name);
        push_string(&mut self.text, value);
        self
    }

    /// Adds what is written in JSON already: a number, `true`, an object, an array.
    #[must_use]
    pub fn json(mut self, name: &'static str, value: impl Display) -> Self {
        self.begin(name);
        write!(self.text, "{value}").expect("writing to a String does not fail");
        self
    }

    /// Adds an array of what is written in JSON already.
    #[must_use]
    pub fn array(self, name: &'static str, values: impl Iterator<Item = String>) -> Self {
        let values: Vec<String> = values.collect();
        self.json(name, format_args!("[{}]", values.join(",")))
    }

    /// The whole object.
    pub fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn begin(&mut self, name: &'static str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        push_string(&mut self.text, name);
        self.text.push(':');
    }
}

/// Appends a string with its quotes: those inside it, backslashes and control characters are escaped.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Line separators of JavaScript, too, so that a line of a log is one line to everybody.
            '\0'..='\x1f' | '\x7f' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(character)).expect("writing to a String does not fail");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_their_order_with_all_that_is_special_escaped() {
        let nested = Object::default().json("n", 1).end();
        let object = Object::default()
            .text("event", "a\"b\\c\n\r\t\u{1}\u{2028}é")
            .json("score", 100)
            .array("findings", [nested.clone(), nested].into_iter());
        assert_eq!(
            object.end(),
            r#"{"event":"a\"b\\c\n\r\t\u0001\u2028é","score":100,"findings":[{"n":1},{"n":1}]}"#
        );
        assert_eq!(Object::default().end(), "{}");
    }
}
