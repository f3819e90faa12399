//! Reads settings from a TOML file.

use super::error::{ConfigError, Place};
use super::load::Assignment;
use super::setting::Shape;
use super::tables::{NAMESPACE, NamespaceTable, namespaces};
use super::{Setting, notation, options, suggestion};
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, Item, Key, Value};

/// What a file says.
#[derive(Default)]
pub(super) struct Content {
    /// The settings at its top level, in its order.
    pub(super) given: Vec<Assignment>,
    /// Its `[[namespace]]` tables, in its order.
    pub(super) namespaces: Vec<NamespaceTable>,
    /// All that is wrong with it.
    pub(super) errors: Vec<ConfigError>,
}

impl Content {
    fn unreadable(error: ConfigError) -> Self {
        Self {
            errors: vec![error],
            ..Self::default()
        }
    }

    fn add(&mut self, name: &str, assignment: Result<Assignment, ConfigError>) {
        match assignment {
            Ok(new) => match given_before(&self.given, &new) {
                Some(old) => self.errors.push(given_twice(name, new.place, old)),
                None => self.given.push(new),
            },
            Err(error) => self.errors.push(error),
        }
    }
}

/// What the file says.
pub(super) fn read(path: &Path) -> Content {
    match std::fs::read_to_string(path) {
        Ok(text) => content(path, &text),
        Err(error) => {
            let place = Place::File(path.to_owned());
            Content::unreadable(ConfigError::at(
                place,
                format!("the file cannot be read: {error}"),
            ))
        }
    }
}

/// What `text`, the content of the file at `path`, says.
pub(super) fn content(path: &Path, text: &str) -> Content {
    let source = Source { path, text };
    let document = match Document::parse(text) {
        Ok(document) => document,
        // The error's `Display` would show the line, which may hold a password.
        Err(error) => {
            let reason = format!("this is not TOML: {}", error.message());
            return Content::unreadable(ConfigError::at(source.line(error.span()), reason));
        }
    };
    let mut content = Content::default();
    for (name, item) in document.iter() {
        if name == NAMESPACE
            && let Some(tables) = item.as_array_of_tables()
        {
            content.namespaces = namespaces(&source, tables, &mut content.errors);
            continue;
        }
        let place = source.line(document.key(name).and_then(Key::span));
        content.add(name, source.assignment(name, item, place));
    }
    content
}

/// A file and its content.
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// The line in which `span` begins; the first where the parser knows no span.
    pub(super) fn line(&self, span: Option<Range<usize>>) -> Place {
        let before = span.and_then(|span| self.text.get(..span.start));
        Place::Line {
            path: self.path.to_owned(),
            number: 1 + before.unwrap_or_default().matches('\n').count(),
        }
    }

    fn assignment(&self, name: &str, item: &Item, place: Place) -> Result<Assignment, ConfigError> {
        match options::find(name) {
            Some(setting) => self.value(setting, item, place),
            None => Err(unknown(name, item, place)),
        }
    }

    /// What `item` gives the setting.
    pub(super) fn value(
        &self,
        setting: &'static Setting,
        item: &Item,
        place: Place,
    ) -> Result<Assignment, ConfigError> {
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
    if name == NAMESPACE {
        let reason = "every namespace is a table of its own, under the heading [[namespace]]";
        return ConfigError::of(name, place, reason);
    }
    if item.is_table() || item.is_array_of_tables() {
        let reason = "the only tables in this file are [[namespace]]: other settings stand at its top level";
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

/// Where the setting of `new` was given before.
pub(super) fn given_before<'a>(given: &'a [Assignment], new: &Assignment) -> Option<&'a Place> {
    let old = given.iter().find(|old| old.setting.name == new.setting.name);
    old.map(|old| &old.place)
}

pub(super) fn given_twice(name: &str, place: Place, earlier: &Place) -> ConfigError {
    ConfigError::of(name, place, format!("already set at {earlier}"))
}
