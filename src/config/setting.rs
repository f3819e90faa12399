//! What a row of [`super::options`] is: names, what the value may be, and where it is kept.

use super::{Config, notation};
use std::time::Duration;

/// The longest time that a setting may name, in its own unit: Redis's bound.
const TIME_MAX: i64 = i32::MAX as i64;

/// One setting. Every name of it works in files, variables, flags and CONFIG alike.
#[derive(Debug)]
pub struct Setting {
    /// The name in files and messages, in lower case with dashes.
    pub name: &'static str,
    /// Further names, Redis's former ones among them.
    pub aliases: &'static [&'static str],
    /// The value where nothing else is said, in the setting's notation.
    pub default: &'static str,
    /// Whether CONFIG SET may change it.
    pub change: Change,
    /// What it does, in one line, with the unit and what is special about which value.
    pub summary: &'static str,
    /// The value may contain a password: no message shows it.
    pub is_secret: bool,
    kind: Kind,
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    Live,
    /// When the server starts.
    AtStart,
    /// When the server starts, since a client who may set it could write where it should not.
    Protected,
}

impl Change {
    /// Redis's words for why the setting cannot change now.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Live => None,
            Self::AtStart => Some("can't set immutable config"),
            Self::Protected => Some("can't set protected config"),
        }
    }
}

/// How a value is written, and where in [`Config`] it is kept.
#[derive(Debug)]
pub(super) enum Kind {
    YesNo {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Integer {
        min: i64,
        max: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    },
    /// A number of things.
    Count {
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    /// Bytes of something that is kept in memory.
    Size {
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    Seconds {
        min: i64,
        get: fn(&Config) -> Duration,
        set: fn(&mut Config, Duration),
    },
    Milliseconds {
        min: i64,
        get: fn(&Config) -> Duration,
        set: fn(&mut Config, Duration),
    },
    Bytes {
        min: u64,
        max: u64,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64),
    },
    /// Bytes, or a share of the memory that the process may use; 0 stands for no limit.
    Budget {
        get: fn(&Config) -> Option<u64>,
        set: fn(&mut Config, Option<u64>),
    },
    /// Mode bits of a file, written in octal; 0 stands for none.
    FileMode {
        get: fn(&Config) -> Option<u32>,
        set: fn(&mut Config, Option<u32>),
    },
    /// One of `names`; the field is read and written as an index into them.
    Choice {
        names: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    /// Text with a notation of its own; `expects` describes it.
    Text {
        expects: &'static str,
        get: fn(&Config) -> String,
        set: fn(&mut Config, &str) -> Result<(), String>,
    },
    /// Has no effect: checked and kept, so that what was set can be read.
    Kept(Form),
    /// Has one value here. Another would change how Redis behaves, so it is refused with `because`.
    Only { because: &'static str },
}

/// How the value of a setting without effect is written.
#[derive(Debug)]
pub(super) enum Form {
    YesNo,
    Integer(i64, i64),
    Bytes(u64, u64),
    Choice(&'static [&'static str]),
    Text,
}

/// The type that suits a value in a TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Boolean,
    Integer,
    Octal,
    Text,
}

/// A row: a setting with one name whose value is no secret.
pub(super) const fn row(
    name: &'static str,
    default: &'static str,
    change: Change,
    kind: Kind,
    summary: &'static str,
) -> Setting {
    Setting {
        name,
        aliases: &[],
        default,
        change,
        summary,
        is_secret: false,
        kind,
    }
}

impl Setting {
    /// The same setting with further names.
    pub(super) const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same setting, its value hidden in messages.
    pub(super) const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// All names, the main one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether the setting has an effect, or is only kept so that tools which set it work.
    pub fn has_effect(&self) -> bool {
        !matches!(self.kind, Kind::Kept(_) | Kind::Only { .. })
    }

    /// The value as CONFIG GET shows it.
    pub fn get(&self, config: &Config) -> String {
        match &self.kind {
            Kind::YesNo { get, .. } => notation::yes_or_no(get(config)),
            Kind::Integer { get, .. } => get(config).to_string(),
            Kind::Count { get, .. } | Kind::Size { get, .. } => get(config).to_string(),
            Kind::Seconds { get, .. } => get(config).as_secs().to_string(),
            Kind::Milliseconds { get, .. } => get(config).as_millis().to_string(),
            Kind::Bytes { get, .. } => get(config).to_string(),
            Kind::Budget { get, .. } => get(config).unwrap_or(0).to_string(),
            Kind::FileMode { get, .. } => format!("{:o}", get(config).unwrap_or(0)),
            Kind::Choice { names, get, .. } => names[get(config)].to_owned(),
            Kind::Text { get, .. } => get(config),
            Kind::Kept(_) => config.kept.get(self.name).cloned().unwrap_or_default(),
            Kind::Only { .. } => self.default.to_owned(),
        }
    }

    /// Changes the value, whether or not it may change while the server runs.
    ///
    /// # Errors
    /// Redis's text where `text` is no value of this setting; `config` is then unchanged.
    pub fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match &self.kind {
            Kind::YesNo { set, .. } => set(config, notation::yes_no(text)?),
            Kind::Integer { min, max, set, .. } => set(config, notation::integer(text, *min, *max)?),
            Kind::Count { set, .. } => set(config, notation::integer(text, 0, i64::MAX)? as usize),
            Kind::Size { set, .. } => set(config, notation::bytes(text, 0, i64::MAX as u64)? as usize),
            Kind::Seconds { min, set, .. } => set(config, Duration::from_secs(time(text, *min)?)),
            Kind::Milliseconds { min, set, .. } => set(config, Duration::from_millis(time(text, *min)?)),
            Kind::Bytes { min, max, set, .. } => set(config, notation::bytes(text, *min, *max)?),
            Kind::Budget { set, .. } => set(config, notation::budget(text)?),
            Kind::FileMode { set, .. } => set(config, notation::file_mode(text)?),
            Kind::Choice { names, set, .. } => set(config, notation::choice(text, names)?),
            Kind::Text { set, .. } => set(config, text)?,
            Kind::Kept(form) => {
                config.kept.insert(self.name, form.normal(text)?);
            }
            Kind::Only { because } if !text.eq_ignore_ascii_case(self.default) => {
                return Err((*because).to_owned());
            }
            Kind::Only { .. } => {}
        }
        Ok(())
    }

    /// What a value must be, to follow the word "expected".
    pub fn expects(&self) -> String {
        match &self.kind {
            Kind::YesNo { .. } => Form::YesNo.expects(),
            Kind::Integer { min, max, .. } => Form::Integer(*min, *max).expects(),
            Kind::Count { .. } => Form::Integer(0, i64::MAX).expects(),
            Kind::Size { .. } => Form::Bytes(0, i64::MAX as u64).expects(),
            Kind::Seconds { min, .. } => format!("seconds, a whole number from {min} to {TIME_MAX}"),
            Kind::Milliseconds { min, .. } => {
                format!("milliseconds, a whole number from {min} to {TIME_MAX}")
            }
            Kind::Bytes { min, max, .. } => Form::Bytes(*min, *max).expects(),
            Kind::Budget { .. } => "bytes such as 100mb, a share of the memory such as 75%, or 0".to_owned(),
            Kind::FileMode { .. } => "an octal file mode such as 700".to_owned(),
            Kind::Choice { names, .. } => Form::Choice(names).expects(),
            Kind::Text { expects, .. } => (*expects).to_owned(),
            Kind::Kept(form) => form.expects(),
            Kind::Only { .. } => format!("{:?}, the only value possible", self.default),
        }
    }

    /// Whether [`Setting::set`] explains a refusal in words that [`Setting::expects`] lacks.
    pub(super) fn has_own_reasons(&self) -> bool {
        matches!(self.kind, Kind::Text { .. } | Kind::Only { .. })
    }

    /// The type that suits the value in a TOML file.
    pub(super) fn shape(&self) -> Shape {
        match self.kind {
            Kind::YesNo { .. } | Kind::Kept(Form::YesNo) => Shape::Boolean,
            Kind::Integer { .. }
            | Kind::Count { .. }
            | Kind::Size { .. }
            | Kind::Seconds { .. }
            | Kind::Milliseconds { .. }
            | Kind::Bytes { .. }
            | Kind::Budget { .. }
            | Kind::Kept(Form::Integer(..) | Form::Bytes(..)) => Shape::Integer,
            Kind::FileMode { .. } => Shape::Octal,
            _ => Shape::Text,
        }
    }
}

fn time(text: &str, min: i64) -> Result<u64, String> {
    notation::integer(text, min, TIME_MAX).map(|time| time as u64)
}

impl Form {
    /// The one way to write the value that `text` stands for.
    fn normal(&self, text: &str) -> Result<String, String> {
        match self {
            Self::YesNo => notation::yes_no(text).map(notation::yes_or_no),
            Self::Integer(min, max) => notation::integer(text, *min, *max).map(|value| value.to_string()),
            Self::Bytes(min, max) => notation::bytes(text, *min, *max).map(|value| value.to_string()),
            Self::Choice(names) => notation::choice(text, names).map(|index| names[index].to_owned()),
            Self::Text => Ok(text.to_owned()),
        }
    }

    fn expects(&self) -> String {
        match self {
            Self::YesNo => "yes or no".to_owned(),
            Self::Integer(min, i64::MAX) => format!("a whole number, {min} or more"),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Bytes(0, _) => "bytes, such as 1048576, 64kb, 100mb or 2gb".to_owned(),
            Self::Bytes(min, _) => format!("bytes, {min} or more, such as 64kb, 100mb or 2gb"),
            Self::Choice(names) => format!("one of {}", names.join(", ")),
            Self::Text => "text".to_owned(),
        }
    }
}
