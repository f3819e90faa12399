//! Reads the command line: our own words, and any setting as `--name value`, as Redis has it.

use super::error::{ConfigError, Place};
use super::file::unknown_setting;
use super::load::Assignment;
use super::options;
use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    pub(super) command: Command,
    /// The file that `--config` names.
    pub(super) file: Option<PathBuf>,
    pub(super) given: Vec<Assignment>,
    pub(super) errors: Vec<ConfigError>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Command {
    #[default]
    Run,
    /// Check this file and do nothing else.
    Check(PathBuf),
    Health,
    Help,
    Version,
}

/// Reads the arguments after the program's name.
///
/// A flag takes all words up to the next flag, joined by spaces: `--save 60 1` is one setting. A
/// value that begins with two dashes is written `--name=value`. `redis-server` as the first word
/// is skipped, so that a compose file's `command: redis-server --maxmemory 1gb` works.
pub(super) fn read(args: impl Iterator<Item = OsString>) -> CommandLine {
    let mut line = CommandLine::default();
    let mut words = line.text_only(args).into_iter().peekable();
    words.next_if(|word| word == "redis-server");
    if words.next_if(|word| word == "check-config").is_some() {
        line.read_check(words);
        return line;
    }
    if words.next_if(|word| word == "health").is_some() {
        line.command = Command::Health;
    }
    while let Some(word) = words.next() {
        match word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            Some(flag) => {
                let values = std::iter::from_fn(|| words.next_if(|word| !word.starts_with("--")));
                line.flag(flag, values.collect());
            }
            None => line.word(&word),
        }
    }
    line
}

impl CommandLine {
    /// The arguments as text; one that is no UTF-8 is an error.
    fn text_only(&mut self, args: impl Iterator<Item = OsString>) -> Vec<String> {
        let read = |arg: OsString| match arg.into_string() {
            Ok(word) => Some(word),
            Err(word) => {
                self.error(&word.to_string_lossy(), "expected text in UTF-8");
                None
            }
        };
        args.filter_map(read).collect()
    }

    fn read_check(&mut self, mut words: impl Iterator<Item = String>) {
        match (words.next(), words.next()) {
            (Some(file), None) => self.command = Command::Check(PathBuf::from(file)),
            _ => self.error("check-config", "expected one file: forebay check-config FILE"),
        }
    }

    /// A word that belongs to no flag.
    fn word(&mut self, word: &str) {
        match word {
            "-h" => self.command = Command::Help,
            "-v" | "-V" => self.command = Command::Version,
            _ => self.error(word, "unexpected word; a file is named with --config FILE"),
        }
    }

    fn flag(&mut self, flag: &str, values: Vec<String>) {
        let (name, values) = match flag.split_once('=') {
            Some((name, value)) => (name, [vec![value.to_owned()], values].concat()),
            None => (flag, values),
        };
        match (name, values.as_slice()) {
            ("help", []) => self.command = Command::Help,
            ("version", []) => self.command = Command::Version,
            ("config", [file]) => self.file = Some(PathBuf::from(file)),
            ("config", _) => self.error("--config", "expected one file"),
            _ => self.setting(name, &values),
        }
    }

    fn setting(&mut self, name: &str, values: &[String]) {
        let place = Place::Flag(format!("--{name}"));
        let Some(setting) = options::find(name) else {
            self.errors
                .push(ConfigError::of(name, place, unknown_setting(name)));
            return;
        };
        if values.is_empty() {
            let reason = format!("expected {} after the flag, found nothing", setting.expects());
            self.errors.push(ConfigError::of(setting.name, place, reason));
            return;
        }
        let text = values.join(" ");
        self.given.push(Assignment { setting, text, place });
    }

    fn error(&mut self, word: &str, reason: &str) {
        self.errors
            .push(ConfigError::at(Place::Flag(word.to_owned()), reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> CommandLine {
        read(args.iter().map(OsString::from))
    }

    fn given(args: &[&str]) -> Vec<(&'static str, String)> {
        let line = line(args);
        assert!(line.errors.is_empty(), "{:?}", line.errors);
        line.given.into_iter().map(|a| (a.setting.name, a.text)).collect()
    }

    #[test]
    fn flags_are_written_as_in_redis() {
        assert_eq!(
            given(&["redis-server", "--port", "7000", "--save", "", "--loglevel=debug"]),
            [
                ("port", "7000".to_owned()),
                ("save", String::new()),
                ("log-level", "debug".to_owned())
            ]
        );
        assert_eq!(
            given(&[
                "--client-output-buffer-limit",
                "normal",
                "0",
                "0",
                "0",
                "--timeout",
                "5"
            ]),
            [
                ("client-output-buffer-limit", "normal 0 0 0".to_owned()),
                ("timeout", "5".to_owned())
            ]
        );
        assert_eq!(
            given(&["--requirepass=--a=b", "--slowlog-log-slower-than", "-1"]),
            [
                ("requirepass", "--a=b".to_owned()),
                ("slowlog-log-slower-than", "-1".to_owned())
            ]
        );
    }

    #[test]
    fn commands_are_told_apart() {
        assert_eq!(line(&[]).command, Command::Run);
        assert_eq!(line(&["--help"]).command, Command::Help);
        assert_eq!(line(&["-V"]).command, Command::Version);
        assert_eq!(line(&["--config", "a.toml"]).file, Some(PathBuf::from("a.toml")));
        let check = Command::Check(PathBuf::from("a.toml"));
        assert_eq!(line(&["check-config", "a.toml"]).command, check);
        let health = line(&["health", "--port", "7000"]);
        assert_eq!((health.command, health.given.len()), (Command::Health, 1));
    }

    #[test]
    fn every_mistake_is_told() {
        for (args, told) in [
            (
                vec!["--prt", "1"],
                "flag --prt: 'prt': unknown setting; did you mean 'port'?",
            ),
            (
                vec!["--port"],
                "flag --port: 'port': expected a whole number from 0 to 65535 after the flag",
            ),
            (vec!["check-config"], "expected one file"),
            (vec!["--config"], "expected one file"),
            (vec!["redis.conf"], "flag redis.conf: unexpected word"),
        ] {
            let errors = line(&args).errors;
            assert!(
                errors.len() == 1 && errors[0].to_string().contains(told),
                "{errors:?}"
            );
        }
    }
}
