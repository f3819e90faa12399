//! CONFIG REWRITE: writes a configuration back into its file.

use super::setting::Shape;
use super::{Config, Setting, options};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, Value};

/// Changes the file at `path` so that loading it alone gives `config`.
///
/// Comments, order and whatever already has the right effect stay as they are; a setting that
/// differs is changed in place, or appended. The file is replaced as a whole: whatever fails, the
/// old content is still there. A symlink stays one; owner (where allowed) and mode are kept.
///
/// # Errors
/// Those of the file system, and `InvalidData` where the file is no good configuration any more.
pub fn rewrite(path: &Path, config: &Config) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let old = fs::read_to_string(&path)?;
    let new = edited(&path, &old, config)?;
    if new == old {
        return Ok(());
    }
    replace(&path, &new)
}

fn edited(path: &Path, text: &str, config: &Config) -> io::Result<String> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let before = Config::from_file_text(path, text).map_err(|errors| invalid(errors.to_string()))?;
    let mut document: DocumentMut = text.parse().map_err(|_| invalid("this is not TOML".to_owned()))?;
    for setting in options::all().filter(|setting| setting.get(&before) != setting.get(config)) {
        put(document.as_table_mut(), setting, config);
    }
    Ok(document.to_string())
}

fn put(table: &mut Table, setting: &Setting, config: &Config) {
    let mut value = toml_value(setting, config);
    let key = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .find(|key| is_named(setting, key));
    let name = key.as_deref().unwrap_or(setting.name);
    if let Some(Item::Value(old)) = table.get(name) {
        *value.decor_mut() = old.decor().clone();
    }
    table[name] = Item::Value(value);
}

fn is_named(setting: &Setting, key: &str) -> bool {
    setting.names().any(|name| name.eq_ignore_ascii_case(key))
}

fn toml_value(setting: &Setting, config: &Config) -> Value {
    let text = setting.get(config);
    match (setting.shape(), text.parse::<i64>()) {
        (Shape::Boolean, _) => Value::from(text == "yes"),
        (Shape::Integer, Ok(number)) => Value::from(number),
        _ => Value::from(text),
    }
}

/// Puts a new file with this content where the old one is.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let replaced = write_like(path, &temporary, text).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // What failed is the error to tell; that the rest stays behind is not.
        let _ = fs::remove_file(&temporary);
    }
    replaced?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)?.sync_all()
}

/// One name per process, so that a crash leaves one file behind at most.
fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Writes a file with the owner and mode of `model`, down to the disk.
fn write_like(model: &Path, path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let like = fs::metadata(model)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // Only root may give files away; for others the new owner is who could write the old file.
    let _ = fchown(&file, Some(like.uid()), Some(like.gid()));
    file.set_permissions(like.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const FILE: &str = "\
# The cache of team A.
log-level = \"debug\" # until the bug is found
# Enough for now.
maxmemory = \"100mb\"

protected-mode = true
slowlog-max-len = 128
";

    fn config(text: &str, pairs: &[(&str, &str)]) -> Config {
        let config = Config::from_file_text(Path::new("f.toml"), text).unwrap();
        config.set_many(pairs).unwrap()
    }

    fn edit(text: &str, pairs: &[(&str, &str)]) -> String {
        edited(Path::new("f.toml"), text, &config(text, pairs)).unwrap()
    }

    #[test]
    fn what_did_not_change_stays_to_the_byte() {
        assert_eq!(edit(FILE, &[]), FILE);
        assert_eq!(edit(FILE, &[("maxmemory", "104857600"), ("timeout", "0")]), FILE);
    }

    #[test]
    fn changes_go_where_the_setting_stands_and_new_ones_to_the_end() {
        let pairs = [
            ("loglevel", "warning"),
            ("protected-mode", "no"),
            ("timeout", "30"),
        ];
        let expected = FILE.replace("\"debug\"", "\"warning\"").replace("true", "false") + "timeout = 30\n";
        assert_eq!(edit(FILE, &pairs), expected);
    }

    #[test]
    fn every_setting_that_can_change_survives() {
        let pairs = [
            ("client-output-buffer-limit", "normal 1mb 2 3"),
            ("maxmemory-policy", "volatile-lru"),
            ("hash-max-ziplist-entries", "7"),
            ("lua-time-limit", "9"),
            ("slowlog-log-slower-than", "-1"),
            ("latency-tracking-info-percentiles", "50.5 99"),
            ("negative-ttl-ms", "250"),
            ("requirepass", "it's \"secret\""),
        ];
        assert_eq!(config(&edit("", &pairs), &[]), config("", &pairs));
    }

    #[test]
    fn tables_stay_and_new_settings_stand_above_them() {
        let table =
            "\n# Theirs.\n[[namespace]]\nname = \"a\"\nprefix = \"a:\" # of team A\npromotion = \"never\"\n";
        let text = format!("{FILE}{table}");
        let pairs = [("timeout", "30"), ("promotion", "lazy")];
        let new = edit(&text, &pairs);
        assert_eq!(new, format!("{FILE}timeout = 30\npromotion = \"lazy\"\n{table}"));
        assert_eq!(config(&new, &[]), config(&text, &pairs));
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("real.toml"),
            directory.path().join("link.toml"),
        );
        fs::write(&real, FILE).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        rewrite(&link, &config(FILE, &[("maxmemory", "1gb")])).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(
            fs::read_to_string(&real)
                .unwrap()
                .contains("maxmemory = 1073741824")
        );
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            2,
            "nothing is left behind"
        );
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("forebay.toml");
        fs::write(&path, FILE).unwrap();
        fs::create_dir(temporary_beside(&path)).unwrap();
        assert!(rewrite(&path, &config(FILE, &[("maxmemory", "1gb")])).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
    }

    #[test]
    fn a_file_that_became_bad_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("forebay.toml");
        fs::write(&path, "port = no").unwrap();
        let error = rewrite(&path, &Config::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
