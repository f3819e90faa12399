//! Reads the `[[namespace]]` tables of a file.

use super::error::{ConfigError, Place};
use super::file::{Source, given_before, given_twice};
use super::load::Assignment;
use super::{Namespace, NamespaceConfig, options, suggestion};
use toml_edit::{ArrayOfTables, Item, Key, Table};

/// The heading of the tables.
pub(super) const NAMESPACE: &str = "namespace";

/// One table, its name and prefix checked, its other values not yet.
pub(super) struct NamespaceTable {
    pub(super) name: String,
    prefix: String,
    /// Where it begins.
    pub(super) place: Place,
    pub(super) given: Vec<Assignment>,
}

impl NamespaceTable {
    /// The table as it is kept; values that their rows refuse are left out and told.
    pub(super) fn resolved(&self, errors: &mut Vec<ConfigError>) -> NamespaceConfig {
        let mut namespace = NamespaceConfig::new(self.name.clone(), self.prefix.clone().into_bytes());
        for given in &self.given {
            if let Err(reason) = namespace.set(given.setting, &given.text) {
                errors.push(given.refused(&reason));
            }
        }
        namespace
    }
}

/// The tables that are good as far as their names, prefixes and keys go; all that is wrong goes to `errors`.
pub(super) fn namespaces(
    source: &Source<'_>,
    tables: &ArrayOfTables,
    errors: &mut Vec<ConfigError>,
) -> Vec<NamespaceTable> {
    let mut good: Vec<NamespaceTable> = Vec::new();
    for table in tables {
        let Some(new) = namespace(source, table, errors) else {
            continue;
        };
        match duplicate(&good, &new) {
            Some(error) => errors.push(error),
            None => good.push(new),
        }
    }
    good
}

/// What makes `new` the same as one of the earlier ones.
fn duplicate(earlier: &[NamespaceTable], new: &NamespaceTable) -> Option<ConfigError> {
    let told = |what: &str, old: &NamespaceTable| {
        let reason = format!("the namespace at {} has this {what} already", old.place);
        Some(ConfigError::of(what, new.place.clone(), reason))
    };
    let same_name = earlier.iter().find(|old| old.name == new.name);
    let same_prefix = earlier.iter().find(|old| old.prefix == new.prefix);
    match (same_name, same_prefix) {
        (Some(old), _) => told("name", old),
        (None, Some(old)) => told("prefix", old),
        (None, None) => None,
    }
}

/// Reads one table. `None` where it cannot be told which namespace it is.
fn namespace(source: &Source<'_>, table: &Table, errors: &mut Vec<ConfigError>) -> Option<NamespaceTable> {
    let place = source.line(table.span());
    let mut read = NamespaceTable {
        name: String::new(),
        prefix: String::new(),
        place,
        given: Vec::new(),
    };
    let before = errors.len();
    for required in ["name", "prefix"] {
        if !table.contains_key(required) {
            let reason = format!("a namespace needs a {required}");
            errors.push(ConfigError::of(required, read.place.clone(), reason));
        }
    }
    for (key, item) in table {
        let place = source.line(table.key(key).and_then(Key::span));
        if let Err(error) = read.take(source, key, item, place) {
            errors.push(error);
        }
    }
    let is_named = !errors[before..]
        .iter()
        .any(|error| error.is_of(&["name", "prefix"]));
    is_named.then_some(read)
}

impl NamespaceTable {
    /// Takes on one line of the table.
    fn take(&mut self, source: &Source<'_>, key: &str, item: &Item, place: Place) -> Result<(), ConfigError> {
        match key {
            "name" => self.name = checked(key, item, place, name_fault)?,
            "prefix" => self.prefix = checked(key, item, place, prefix_fault)?,
            _ => {
                let given = rule(source, key, item, place)?;
                if let Some(earlier) = given_before(&self.given, &given) {
                    return Err(given_twice(key, given.place, earlier));
                }
                self.given.push(given);
            }
        }
        Ok(())
    }
}

fn checked(
    key: &str,
    item: &Item,
    place: Place,
    fault: fn(&str) -> Option<&'static str>,
) -> Result<String, ConfigError> {
    let Some(text) = item.as_str() else {
        let reason = format!("expected text, found a TOML {}", item.type_name());
        return Err(ConfigError::of(key, place, reason));
    };
    match fault(text) {
        Some(expected) => {
            let reason = format!("expected {expected}, found {text:?}");
            Err(ConfigError::of(key, place, reason))
        }
        None => Ok(text.to_owned()),
    }
}

/// Names stand in metrics, reports and commands.
fn name_fault(name: &str) -> Option<&'static str> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_good) {
        return Some("letters, digits and any of _.-");
    }
    (name == Namespace::DEFAULT).then_some("another name than that of all keys without a namespace")
}

fn prefix_fault(prefix: &str) -> Option<&'static str> {
    prefix
        .is_empty()
        .then_some("what its keys begin with (rules for all keys stand at the top level)")
}

/// One of the rules, as a setting at the top level is read.
fn rule(source: &Source<'_>, key: &str, item: &Item, place: Place) -> Result<Assignment, ConfigError> {
    match options::find(key) {
        Some(setting) if options::is_rule(setting) => source.value(setting, item, place),
        Some(_) => {
            let reason = "this holds for the whole server: it stands at the top level, above all tables";
            Err(ConfigError::of(key, place, reason))
        }
        None => {
            let known = options::rule_names().chain(["name", "prefix"]);
            let reason = match suggestion::nearest(&key.to_ascii_lowercase(), known) {
                Some(near) => format!("unknown in a namespace; did you mean '{near}'?"),
                None => "unknown in a namespace; --help lists what a namespace may say".to_owned(),
            };
            Err(ConfigError::of(key, place, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Namespace, TierMode};
    use std::path::Path;
    use std::time::Duration;

    const FILE: &str = "\
upstream = \"redis://h\"
negative-ttl-ms = 7
copy-ttl-max-ms = 100

[[namespace]]
name = \"sessions\"
prefix = \"s:\"
tier-mode = \"write-behind\"
copy-ttl-max-ms = 60000

[[namespace]]
name = \"hot.1\"
prefix = \"s:hot:\"
Fill-Value-Max-Bytes = \"1mb\"
compress-upstream = false
";

    fn load(text: &str) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.toml");
        std::fs::write(&path, text).unwrap();
        let args = ["--config".as_ref(), path.as_os_str()];
        match Config::load(args, [("", ""); 0]) {
            Ok(loaded) => Ok(loaded.config),
            Err(errors) => Err(errors.to_string()),
        }
    }

    fn named(config: &Config, name: &str) -> Namespace {
        let found = config.namespaces().into_iter().find(|each| each.name == name);
        found.unwrap()
    }

    #[test]
    fn a_namespace_has_what_it_says_and_the_rest_from_the_defaults() {
        let config = load(FILE).unwrap();
        let names: Vec<String> = config.namespaces().into_iter().map(|each| each.name).collect();
        assert_eq!(names, ["default", "sessions", "hot.1"]);
        let (all, sessions, hot) = (
            named(&config, "default"),
            named(&config, "sessions"),
            named(&config, "hot.1"),
        );
        assert_eq!(
            (&*all.prefix, &*sessions.prefix, &*hot.prefix),
            (&b""[..], &b"s:"[..], &b"s:hot:"[..])
        );
        assert_eq!(all.rules, config.rules);
        assert_eq!(sessions.rules.mode, Some(TierMode::WriteBehind));
        assert_eq!(sessions.rules.copy_ttl_max, Duration::from_mins(1));
        assert_eq!(sessions.rules.negative_ttl, Duration::from_millis(7));
        assert_eq!(hot.rules.fill_value_max_bytes, 1 << 20);
        assert_eq!(
            (hot.rules.mode, hot.rules.copy_ttl_max),
            (None, all.rules.copy_ttl_max)
        );
    }

    #[test]
    fn what_a_namespace_does_not_say_follows_config_set() {
        let config = load(FILE).unwrap();
        let changed = config.set_many(&[("negative-ttl-ms", "9"), ("copy-ttl-max-ms", "1")]);
        let sessions = named(&changed.unwrap(), "sessions");
        assert_eq!(sessions.rules.negative_ttl, Duration::from_millis(9));
        assert_eq!(sessions.rules.copy_ttl_max, Duration::from_mins(1));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let text = "\
[[namespace]]
name = \"a b\"
prefix = \"\"
[[namespace]]
prefix = \"x\"
[[namespace]]
name = \"ok\"
prefix = \"x\"
port = 1
promotoin = \"never\"
promotion = \"sometimes\"
stale-ttl-ms = { x = 1 }
max-stale-ms = 1
Max-Stale-ms = 1
[[namespace]]
name = \"ok\"
prefix = \"y\"
[[namespace]]
name = \"other\"
prefix = \"x\"
[[namespace]]
name = \"default\"
prefix = 5
";
        let told = load(text).unwrap_err();
        let expected = [
            ":2: 'name': expected letters, digits and any of _.-, found \"a b\"",
            ":3: 'prefix': expected what its keys begin with",
            ":4: 'name': a namespace needs a name",
            ":9: 'port': this holds for the whole server",
            ":10: 'promotoin': unknown in a namespace; did you mean 'promotion'?",
            ":12: 'stale-ttl-ms': expected milliseconds",
            ":14: 'Max-Stale-ms': already set at ",
            ":15: 'name': the namespace at ",
            ":18: 'prefix': the namespace at ",
            ":22: 'name': expected another name",
            ":23: 'prefix': expected text, found a TOML integer",
            ":11: 'promotion': expected one of always, ",
        ];
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{told}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}\n{expected}");
        }
    }

    #[test]
    fn what_cannot_be_meant_together_is_told_where_it_stands() {
        let own = FILE.replace("compress-upstream = false", "compress-upstream = true");
        let told = load(&own).unwrap_err();
        assert!(
            told.contains(":15: 'compress-upstream': in namespace 'hot.1': only with"),
            "{told}"
        );
        let alone = FILE.replace("upstream = \"redis://h\"\n", "");
        let told = load(&alone).unwrap_err();
        assert!(
            told.contains(":7: 'tier-mode': in namespace 'sessions': write-behind needs an upstream"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
        let inherited = format!("compress-upstream = true\n{FILE}");
        let told = load(&inherited).unwrap_err();
        assert!(
            told.contains(":1: 'compress-upstream': only with") && told.lines().count() == 1,
            "{told}"
        );
    }

    #[test]
    fn other_tables_are_refused() {
        for (text, reason) in [
            (
                "[namespace]\nname = \"x\"\n",
                ":1: 'namespace': every namespace is a table of its own",
            ),
            (
                "namespace = [{ name = \"x\" }]\n",
                ":1: 'namespace': every namespace is a table of its own",
            ),
            (
                "[[namespaces]]\n",
                ":1: 'namespaces': the only tables in this file are [[namespace]]",
            ),
        ] {
            let told = load(text).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }

    #[test]
    fn a_file_with_namespaces_is_read_alone_as_with_flags() {
        assert_eq!(
            Config::from_file_text(Path::new("f"), FILE).unwrap(),
            load(FILE).unwrap()
        );
    }
}
