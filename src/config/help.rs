//! The text of `--help`.

use super::{Setting, options};
use std::fmt::Write;

const USAGE: &str = "\
Forebay, a cache server that Redis clients can talk to, alone or in front of Redis or Valkey.

Usage:
  forebay [--config FILE] [--SETTING VALUE ...]   run the server
  forebay check-config FILE                       tell what is wrong with FILE
  forebay health [--SETTING VALUE ...]            ask the server with these settings whether it is well
  forebay --help | --version

A setting is a line `name = value` in FILE, a variable FOREBAY_NAME (dashes become underscores), or a
flag --name; each goes above the one before. FOREBAY_CONFIG names FILE as well.
";

/// The usage, then every setting with its default and what it does.
pub fn help() -> String {
    let mut text = USAGE.to_owned();
    for (title, settings) in options::SECTIONS {
        let _ = writeln!(text, "\n{title}:");
        settings.iter().for_each(|setting| describe(setting, &mut text));
    }
    text
}

fn describe(setting: &Setting, text: &mut String) {
    let default = if setting.default.is_empty() {
        "\"\""
    } else {
        setting.default
    };
    let _ = write!(
        text,
        "  --{} {default}\n        {}",
        setting.name, setting.summary
    );
    if setting.has_effect() {
        let _ = write!(text, "\n        Expects {}.", setting.expects());
    }
    for alias in setting.aliases {
        let _ = write!(text, " Also --{alias}.");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_name() {
        let text = help();
        for name in options::all().flat_map(Setting::names) {
            assert!(text.contains(&format!("--{name}")), "{name}");
        }
    }
}
