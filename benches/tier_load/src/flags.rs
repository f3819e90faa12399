//! The command line: `--name value` pairs.

use std::collections::HashMap;
use std::str::FromStr;

use crate::Result;

/// The pairs.
pub struct Flags(HashMap<String, String>);

impl Flags {
    /// Fails if a name has no value.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut flags = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or("expected --name value")?.to_owned();
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            flags.insert(name, value);
        }
        Ok(Self(flags))
    }

    /// The value of `name`, or `default`.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        self.0.get(name).map_or(Ok(default), |text| parse(name, text))
    }

    /// The value of `name`, which must be there.
    pub fn needed<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.0.get(name).ok_or_else(|| format!("--{name} is missing"))?;
        parse(name, text)
    }
}

fn parse<T: FromStr>(name: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| format!("--{name} can't be {text}").into())
}
