//! What is wrong with a configuration, and where it was said.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration; one line each when displayed.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// One thing that is wrong. It never shows a value that may hold a password.
#[derive(Clone, Debug)]
pub struct ConfigError {
    place: Place,
    setting: Option<String>,
    reason: String,
}

impl ConfigError {
    /// An error of one setting; `setting` is its name as far as it is known.
    pub(super) fn of(setting: &str, place: Place, reason: impl Into<String>) -> Self {
        Self {
            place,
            setting: Some(setting.to_owned()),
            reason: reason.into(),
        }
    }

    /// An error of a whole file, or of a word that names no setting.
    pub(super) fn at(place: Place, reason: impl Into<String>) -> Self {
        Self {
            place,
            setting: None,
            reason: reason.into(),
        }
    }

    /// Whether it is about one of these settings.
    pub(super) fn is_of(&self, settings: &[&str]) -> bool {
        self.setting.as_deref().is_some_and(|own| settings.contains(&own))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            setting,
            reason,
        } = self;
        match setting {
            Some(name) => write!(f, "{place}: '{name}': {reason}"),
            None => write!(f, "{place}: {reason}"),
        }
    }
}

/// Where something was said.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file as a whole.
    File(PathBuf),
    Line {
        path: PathBuf,
        /// From 1.
        number: usize,
    },
    Variable(String),
    Flag(String),
    /// Nobody said it.
    Defaults,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line { path, number } => write!(f, "{}:{number}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Defaults => f.write_str("defaults"),
        }
    }
}
