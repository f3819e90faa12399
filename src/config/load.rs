//! Puts a configuration together: defaults, preset, file, variables, flags, each above the one
//! before.

use super::consistency::contradictions;
use super::error::{ConfigError, ConfigErrors, Place};
use super::file::{self, Content};
use super::flags::{self, Command, CommandLine};
use super::{Config, Setting, options};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const VARIABLE_PREFIX: &str = "FOREBAY_";

/// What was found at the start.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration to run with.
    pub config: Config,
    /// The file that it was read from, which CONFIG REWRITE writes.
    pub file: Option<PathBuf>,
    /// What the command line asks for.
    pub action: Action,
    /// What is odd but no error, to be logged.
    pub warnings: Vec<String>,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the server.
    Run,
    /// Say that this file is good: [`Config::load`] has checked it, and it alone.
    CheckConfig(PathBuf),
    /// Ask the server that runs with this configuration whether it is well.
    Health,
    /// Print [`super::help()`].
    Help,
    /// Print the version.
    Version,
}

impl Config {
    /// Reads the configuration from arguments (without the program's name) and environment, and
    /// from the file that one of them names.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first thing.
    pub fn load<A, E, K, V>(args: A, env: E) -> Result<Loaded, ConfigErrors>
    where
        A: IntoIterator<Item: Into<OsString>>,
        E: IntoIterator<Item = (K, V)>,
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let line = flags::read(args.into_iter().map(Into::into));
        let env = env.into_iter().map(|(name, value)| (name.into(), value.into()));
        match line.command {
            Command::Run => run(line, Action::Run, env),
            Command::Health => run(line, Action::Health, env),
            Command::Check(path) => check(path),
            Command::Help => Ok(Loaded::only(Action::Help)),
            Command::Version => Ok(Loaded::only(Action::Version)),
        }
    }

    /// The configuration that `text`, the content of the file at `path`, gives by itself.
    pub(super) fn from_file_text(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        assemble(&file::content(path, text))
    }
}

impl Loaded {
    fn only(action: Action) -> Self {
        Self {
            config: Config::default(),
            file: None,
            action,
            warnings: Vec::new(),
        }
    }
}

fn run(
    line: CommandLine,
    action: Action,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigErrors> {
    let variables = Variables::read(env);
    let path = line.file.or(variables.file);
    let mut said = path.as_deref().map(file::read).unwrap_or_default();
    said.given.extend(variables.given);
    said.given.extend(line.given);
    said.errors.extend(variables.errors);
    said.errors.extend(line.errors);
    let config = consistent(&said)?;
    let mut warnings = variables.warnings;
    warnings.extend(config.unhonoured());
    Ok(Loaded {
        config,
        file: path,
        action,
        warnings,
    })
}

fn check(path: PathBuf) -> Result<Loaded, ConfigErrors> {
    Ok(Loaded {
        config: consistent(&file::read(&path))?,
        ..Loaded::only(Action::CheckConfig(path))
    })
}

/// A setting that something gave a value.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) place: Place,
}

/// What the environment gives.
#[derive(Default)]
struct Variables {
    given: Vec<Assignment>,
    /// The value of `FOREBAY_CONFIG`.
    file: Option<PathBuf>,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Variables {
    fn read(env: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut variables = Self::default();
        for (variable, value) in env {
            let Some(name) = variable.to_str().and_then(|v| v.strip_prefix(VARIABLE_PREFIX)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => variables.take(name, value),
                Err(_) => variables.errors.push(ConfigError::at(
                    Place::Variable(format!("{VARIABLE_PREFIX}{name}")),
                    "expected text in UTF-8",
                )),
            }
        }
        variables
    }

    fn take(&mut self, name: &str, text: String) {
        if is_service_link(name, &text) {
            return;
        }
        if name == "CONFIG" {
            self.file = Some(PathBuf::from(text));
            return;
        }
        let place = Place::Variable(format!("{VARIABLE_PREFIX}{name}"));
        let name = name.to_ascii_lowercase().replace('_', "-");
        match options::find(&name) {
            Some(setting) => self.given.push(Assignment { setting, text, place }),
            None => self
                .warnings
                .push(format!("{place} is ignored: {}", file::unknown_setting(&name))),
        }
    }
}

/// Whether Kubernetes made the variable, as it does in every pod for a service named `forebay`:
/// `FOREBAY_PORT=tcp://10.0.0.1:6379` and names around it.
fn is_service_link(name: &str, value: &str) -> bool {
    name.starts_with("SERVICE_") || name.starts_with("PORT_") || (name == "PORT" && value.contains("://"))
}

/// Like [`assemble`], but settings that contradict each other are errors too.
fn consistent(said: &Content) -> Result<Config, ConfigErrors> {
    let config = assemble(said)?;
    let errors: Vec<ConfigError> = contradictions(&config)
        .into_iter()
        .map(|found| {
            let place = place_of(said, found.namespace.as_deref(), found.setting);
            ConfigError::of(found.setting, place, found.to_string())
        })
        .collect();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors))
    }
}

/// Where the setting got its value: in the namespace, if there is one and it says anything about it, or else at the
/// top level.
fn place_of(said: &Content, namespace: Option<&str>, setting: &str) -> Place {
    let last = |given: &[Assignment]| {
        let last = given.iter().rev().find(|given| given.setting.name == setting);
        last.map(|given| given.place.clone())
    };
    let table = said
        .namespaces
        .iter()
        .find(|table| namespace == Some(table.name.as_str()));
    match table {
        Some(table) => last(&table.given).unwrap_or_else(|| table.place.clone()),
        None => last(&said.given).unwrap_or(Place::Defaults),
    }
}

/// The defaults with all that was given applied in order, the preset that it chooses below it.
fn assemble(said: &Content) -> Result<Config, ConfigErrors> {
    let mut errors = said.errors.clone();
    let mut config = Config::default();
    let mut apply = |config: &mut Config, wanted: fn(&Setting) -> bool| {
        for assignment in said.given.iter().filter(|assignment| wanted(assignment.setting)) {
            if let Err(reason) = assignment.setting.set(config, &assignment.text) {
                errors.push(assignment.refused(&reason));
            }
        }
    };
    apply(&mut config, |setting| setting.name == "preset");
    for (name, value) in config.general.preset.values() {
        let setting = options::find(name).expect("a preset names settings that exist");
        setting
            .set(&mut config, value)
            .expect("a preset's values are good");
    }
    apply(&mut config, |setting| setting.name != "preset");
    config.namespace_tables = said
        .namespaces
        .iter()
        .map(|table| table.resolved(&mut errors))
        .collect();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors))
    }
}

impl Assignment {
    pub(super) fn refused(&self, reason: &str) -> ConfigError {
        let setting = self.setting;
        let found = if setting.is_secret {
            "another value (not shown)".to_owned()
        } else {
            format!("{:?}", self.text)
        };
        let mut message = format!("expected {}, found {found}", setting.expects());
        if setting.has_own_reasons() {
            message = format!("{message}: {reason}");
        }
        ConfigError::of(setting.name, self.place.clone(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogLevel, Preset, TierMode, UpstreamEndpoint};

    const NO_ENV: [(&str, &str); 0] = [];
    const NO_ARGS: [&str; 0] = [];

    fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
        Config::load(args, env.iter().copied()).unwrap().config
    }

    fn errors(args: &[&str], env: &[(&str, &str)]) -> String {
        Config::load(args, env.iter().copied()).unwrap_err().to_string()
    }

    /// A file with this content, and its path.
    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("forebay.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (directory, path)
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        let loaded = Config::load(NO_ARGS, NO_ENV).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert_eq!((loaded.action, loaded.file), (Action::Run, None));
    }

    #[test]
    fn flags_go_above_variables_above_the_file() {
        let (_directory, path) = file("port = 1\ntimeout = 1\nworkers = 1\n");
        let env = [("FOREBAY_PORT", "2"), ("FOREBAY_TIMEOUT", "2"), ("PORT", "9")];
        let config = config(&["--config", &path, "--port", "3"], &env);
        let network = config.network;
        assert_eq!(
            (network.port, network.idle_timeout.as_secs(), network.workers),
            (3, 2, 1)
        );
    }

    #[test]
    fn a_preset_lies_below_all_that_is_said() {
        let config = config(&["--maxmemory", "1mb", "--preset", "testing"], &[]);
        assert_eq!(config.general.preset, Preset::Testing);
        assert_eq!(config.memory.maxmemory_bytes, Some(1 << 20));
        assert_eq!(config.general.log_level, LogLevel::Warning);
    }

    #[test]
    fn toml_types_are_taken_as_they_are_meant() {
        let (_directory, path) = file(
            "protected-mode = false\nlatency-tracking = \"no\"\nmaxmemory = \"2kb\"\nunixsocketperm = 0o700\n\
             bind = [\"127.0.0.1\", \"::1\"]\nlatency-tracking-info-percentiles = [50, 99.9]\nPort = 7\n",
        );
        let config = config(&["--config", &path], &[]);
        assert!(!config.network.protected_mode && !config.statistics.latency_tracking);
        assert_eq!(config.memory.maxmemory_bytes, Some(2048));
        assert_eq!(config.network.unixsocket_mode, Some(0o700));
        assert_eq!(config.network.bind.len(), 2);
        assert_eq!(config.statistics.latency_percentiles, [50.0, 99.9]);
        assert_eq!(config.network.port, 7);
    }

    #[test]
    fn an_upstream_alone_makes_a_near_cache() {
        let near = config(&["--upstream", "redis://cache:7000/2"], &[]);
        assert_eq!(near.mode(), TierMode::NearCache);
        let address = &near.upstream.addresses[0];
        assert!(matches!(
            address.endpoint,
            UpstreamEndpoint::Tcp { port: 7000, .. }
        ));
        let off = config(&["--upstream", "redis://cache", "--tier-mode", "off"], &[]);
        assert_eq!(off.mode(), TierMode::Off);
        assert_eq!(Config::default().mode(), TierMode::Off);
    }

    #[test]
    fn all_errors_are_told_with_setting_place_and_expectation() {
        let (_directory, path) =
            file("# a comment\nport = 70000\n\nmax-memory = 1\n[network]\nbind = \"*\"\n");
        let text = errors(
            &["--config", &path, "--timeout", "soon", "--appendonly", "yes"],
            &[("FOREBAY_MAXMEMORY_POLICY", "lru")],
        );
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            ":4: 'max-memory': unknown setting; did you mean 'maxmemory'?",
            ":5: 'network': the only tables in this file are [[namespace]]",
            ":2: 'port': expected a whole number from 0 to 65535, found \"70000\"",
            "variable FOREBAY_MAXMEMORY_POLICY: 'maxmemory-policy': expected one of volatile-lru, ",
            "flag --timeout: 'timeout': expected seconds, a whole number from 0 to 2147483647, found \"soon\"",
            "flag --appendonly: 'appendonly': expected \"no\", the only value possible, found \"yes\": Forebay keeps",
        ];
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}\n{expected}");
        }
    }

    #[test]
    fn passwords_are_in_no_message() {
        let (_directory, path) = file("requirepass = \"hunter2\n");
        for text in [
            errors(&["--config", &path], &[]),
            errors(&["--upstream", "redis://:hunter2@h:0"], &[]),
            format!(
                "{:?}",
                config(
                    &["--requirepass", "hunter2", "--upstream", "redis://:hunter2@h"],
                    &[]
                )
            ),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn contradictions_are_errors_at_their_place() {
        assert!(errors(&["--port", "0"], &[]).starts_with("flag --port: 'port': expected a port"));
        assert!(
            errors(&["--tier-mode", "near-cache"], &[])
                .contains("flag --tier-mode: 'tier-mode': near-cache needs an upstream")
        );
        assert!(errors(&["--upstream-retry-backoff-min-ms", "9000"], &[]).contains("expected no more than"));
        assert_eq!(
            config(&["--port", "0", "--unixsocket", "/tmp/s"], &[])
                .network
                .port,
            0
        );
    }

    #[test]
    fn a_setting_given_twice_in_a_file_is_an_error() {
        let (_directory, path) = file("log-level = \"debug\"\nloglevel = \"notice\"\n");
        let text = errors(&["--config", &path], &[]);
        assert!(
            text.contains(":2: 'loglevel': already set at") && text.ends_with(":1"),
            "{text}"
        );
    }

    #[test]
    fn unknown_variables_are_warned_about_and_those_of_kubernetes_are_not() {
        let env = [
            ("FOREBAY_PROT", "1"),
            ("FOREBAY_PORT", "tcp://10.0.0.1:6379"),
            ("FOREBAY_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("FOREBAY_SERVICE_HOST", "10.0.0.1"),
        ];
        let loaded = Config::load(NO_ARGS, env).unwrap();
        assert_eq!(
            loaded.warnings,
            ["variable FOREBAY_PROT is ignored: unknown setting; did you mean 'port'?"]
        );
        assert_eq!(loaded.config.network.port, 6379);
    }

    #[test]
    fn a_file_is_checked_by_itself() {
        let (_directory, path) = file("port = 1\n");
        let loaded = Config::load(["check-config", &path], [("FOREBAY_PORT", "x")]).unwrap();
        assert_eq!(loaded.action, Action::CheckConfig(PathBuf::from(&path)));
        assert!(
            errors(&["check-config", "/nowhere.toml"], &[])
                .contains("/nowhere.toml: the file cannot be read")
        );
    }
}
