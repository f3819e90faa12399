//! Reads settings from a TOML file.

use super::error::{ConfigError, Place};
use super::load::Assignment;
use super::setting::Shape;
use super::{Setting, notation, options, suggestion};
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, Item, Key, Value};

/// The settings that the file gives, in its order, and all that is wrong with it.
pub(super) fn read(path: &Path) -> (Vec<Assignment>, Vec<ConfigError>) {
    match std::fs::read_to_string(path) {
        Ok(text) => assignments(path, &text),
        Err(error) => {
            let place = Place::File(path.to_owned());
            let error = ConfigError::at(place, format!("the file cannot be read: {error}"));
            (Vec::new(), vec![error])
        }
    }
}

/// The settings that `text`, the content of the file at `path`, gives.
pub(super) fn assignments(path: &Path, text: &str) -> (Vec<Assignment>, Vec<ConfigError>) {
    let source = Source { path, text };
    let document = match Document::parse(text) {
        Ok(document) => document,
        // The error's `Display` would show the line, which may hold a password.
        Err(error) => {
            let reason = format!("this is not TOML: {}", error.message());
            return (
                Vec::new(),
                vec![ConfigError::at(source.line(error.span()), reason)],
            );
        }
    };
    let mut given: Vec<Assignment> = Vec::new();
    let mut errors = Vec::new();
    for (name, item) in document.iter() {
        let place = source.line(document.key(name).and_then(Key::span));
        match source.assignment(name, item, place) {
            Ok(new) => match given.iter().find(|old| old.setting.name == new.setting.name) {
                Some(old) => errors.push(given_twice(name, new.place, &old.place)),
                None => given.push(new),
            },
            Err(error) => errors.push(error),
        }
    }
    (given, errors)
}

/// A file and its content.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// The line in which `span` begins; the first where the parser knows no span.
    fn line(&self, span: Option<Range<usize>>) -> Place {
        let before = span.and_then(|span| self.text.get(..span.start));
        Place::Line {
            path: self.path.to_owned(),
            number: 1 + before.unwrap_or_default().matches('\n').count(),
        }
    }

    fn assignment(&self, name: &str, item: &Item, place: Place) -> Result<Assignment, ConfigError> {
        let Some(setting) = options::find(name) else {
            return Err(unknown(name, item, place));
        };
        let text = item.as_value().and_then(|value| self.text_of(setting, value));
        match text {
            Some(text) => Ok(Assignment { setting, text, place }),
            None => Err(ConfigError::of(
                setting.name,
                place,
                format!(
                    "expected {}, found a TOML {}",
                    setting.expects(),
                    item.type_name()
                ),
            )),
        }
    }

    /// The value in the setting's own notation; `None`: no setting has values of this TOML type.
    fn text_of(&self, setting: &Setting, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.value().clone()),
            Value::Integer(number) => {
                let octal = self.octal_digits(setting, value);
                Some(octal.unwrap_or_else(|| number.value().to_string()))
            }
            Value::Float(number) => Some(number.value().to_string()),
            Value::Boolean(yes) => Some(notation::yes_or_no(*yes.value())),
            Value::Array(values) => {
                let words: Option<Vec<String>> =
                    values.iter().map(|value| self.text_of(setting, value)).collect();
                words.map(|words| words.join(" "))
            }
            Value::Datetime(_) | Value::InlineTable(_) => None,
        }
    }

    /// `0o700` means what `700` means where the setting itself is octal.
    fn octal_digits(&self, setting: &Setting, value: &Value) -> Option<String> {
        if setting.shape() != Shape::Octal {
            return None;
        }
        let written = self.text.get(value.span()?)?;
        written.strip_prefix("0o").map(str::to_owned)
    }
}

fn unknown(name: &str, item: &Item, place: Place) -> ConfigError {
    if item.is_table() {
        let reason = "there are no tables in this file: every setting stands at its top level";
        return ConfigError::of(name, place, reason);
    }
    ConfigError::of(name, place, unknown_setting(name))
}

/// That `name` is no setting, and which one may have been meant.
pub(super) fn unknown_setting(name: &str) -> String {
    let names = options::all().flat_map(Setting::names);
    match suggestion::nearest(&name.to_ascii_lowercase(), names) {
        Some(near) => format!("unknown setting; did you mean '{near}'?"),
        None => "unknown setting; --help lists all".to_owned(),
    }
}

fn given_twice(name: &str, place: Place, earlier: &Place) -> ConfigError {
    ConfigError::of(name, place, format!("already set at {earlier}"))
}
