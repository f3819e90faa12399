//! Kinds of keys: how a version is written, read and removed, and found in a reply.

use super::model::Read;
use crate::client::Value;

/// Values of more bytes are not kept in L1 here, so that some are passed on.
pub const KEPT_BYTES_MAX: usize = 4096;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text that is too large for L1.
    Large,
    /// A field of a hash.
    Field,
    /// The last element of a list.
    Last,
    /// The member of a sorted set with the highest score.
    Highest,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Text, Self::Large, Self::Field, Self::Last, Self::Highest];

    /// Whether it is read by GET.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Large)
    }

    /// The value of a version: it names its key and its version, so that nobody can take it for another.
    pub fn value(self, key: &str, version: u64) -> String {
        let value = format!("{key} {version} ");
        match self {
            Self::Large => format!("{value}{}", "x".repeat(KEPT_BYTES_MAX)),
            _ => value,
        }
    }

    /// The request that writes a version.
    pub fn write(self, key: &str, version: u64) -> Vec<String> {
        let (value, score) = (self.value(key, version), version.to_string());
        match self {
            Self::Text | Self::Large => words(&["SET", key, &value]),
            Self::Field => words(&["HSET", key, "field", &value]),
            Self::Last => words(&["RPUSH", key, &value]),
            Self::Highest => words(&["ZADD", key, &score, &value]),
        }
    }

    /// The request that reads the version.
    pub fn read(self, key: &str) -> Vec<String> {
        match self {
            Self::Text | Self::Large => words(&["GET", key]),
            Self::Field => words(&["HGET", key, "field"]),
            Self::Last => words(&["LRANGE", key, "-1", "-1"]),
            Self::Highest => words(&["ZRANGE", key, "-1", "-1"]),
        }
    }

    /// The request that removes what versions have left behind, and no version.
    pub fn trim(self, key: &str) -> Option<Vec<String>> {
        match self {
            Self::Last => Some(words(&["LTRIM", key, "-3", "-1"])),
            Self::Highest => Some(words(&["ZREMRANGEBYRANK", key, "0", "-4"])),
            _ => None,
        }
    }
}

/// The version in the reply to a read of `key`. An error says what is wrong with it.
pub fn version(key: &str, reply: &Value) -> Result<Read, String> {
    let value = match reply {
        Value::NullBulk | Value::Null => return Ok(Read::Absent),
        Value::Array(items) if items.is_empty() => return Ok(Read::Absent),
        Value::Array(items) if items.len() == 1 => return version(key, &items[0]),
        Value::Bulk(value) => String::from_utf8_lossy(value),
        other => return Err(format!("{other} is no value of a key")),
    };
    let mut parts = value.split(' ');
    let (name, version) = (parts.next(), parts.next().and_then(|number| number.parse().ok()));
    match (name, version) {
        (Some(name), Some(version)) if name == key => Ok(Read::Version(version)),
        (Some(_), Some(_)) => Err(format!("{value:.60} is the value of another key")),
        _ => Err(format!("{value:.60} was never written")),
    }
}

/// A request of these words.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
