//! The settings: one row each.
//!
//! A row names the setting, its default, when it may change, and how it is read from and written
//! to [`Config`]. CONFIG, the file, variables, flags, `--help` and CONFIG REWRITE read the rows.

use super::Change::{AtStart, Live, Protected};
use super::address::{BindAddress, Secret};
use super::compatibility::COMPATIBILITY;
use super::preset::Preset;
use super::setting::{Kind, row};
use super::tier_options::{RULES, UPSTREAM, WARMING, WRITE_BEHIND};
use super::{Config, DebugAccess, EvictionPolicy, KeyspaceEvents, LogLevel, Setting};
use std::path::{self, PathBuf};
use std::time::Duration;

/// The rows under their headings, in the order of `--help` and of `conf/forebay.toml`.
pub const SECTIONS: &[(&str, &[Setting])] = &[
    ("Network", NETWORK),
    ("General", GENERAL),
    ("Memory", MEMORY),
    ("Statistics", STATISTICS),
    ("Upstream", UPSTREAM),
    (
        "Namespaces: what a [[namespace]] table of the file may say as well",
        RULES,
    ),
    ("Write-behind", WRITE_BEHIND),
    ("Warming and checks", WARMING),
    ("HTTP", HTTP),
    ("Kept for compatibility, without effect", COMPATIBILITY),
];

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|(_, settings)| settings.iter())
}

/// The setting that has `name` among its names, in any case.
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.names().any(|own| own.eq_ignore_ascii_case(name)))
}

/// Whether a `[[namespace]]` table may have this setting.
pub fn is_rule(setting: &Setting) -> bool {
    RULES.iter().any(|rule| rule.name == setting.name)
}

/// The names that a `[[namespace]]` table may have beside its own name and prefix.
pub(super) fn rule_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(Setting::names)
}

/// Names that match `pattern` in any case, each with its setting, as CONFIG GET lists them: every
/// alias is a name of its own. `matches` is the glob, which takes the pattern first.
pub fn matching(
    pattern: &[u8],
    matches: fn(&[u8], &[u8]) -> bool,
) -> impl Iterator<Item = (&'static str, &'static Setting)> {
    let pattern = pattern.to_ascii_lowercase();
    all()
        .flat_map(|setting| setting.names().map(move |name| (name, setting)))
        .filter(move |(name, _)| matches(&pattern, name.as_bytes()))
}

pub(super) const INT_MAX: i64 = i32::MAX as i64;
const BYTES_MAX: u64 = i64::MAX as u64;
/// Shortest `proto-max-bulk-len` and `client-query-buffer-limit` of Redis.
const MEBIBYTE: u64 = 1 << 20;

#[rustfmt::skip] // A table: one row per setting.
const NETWORK: &[Setting] = &[
    row("bind", "* -::*", AtStart,
        text("addresses between spaces, such as 127.0.0.1 ::1 or *",
            |c| BindAddress::join(&c.network.bind),
            |c, text| { c.network.bind = BindAddress::list(text); Ok(()) }),
        "Addresses to listen on. * and ::* are all; a leading - makes one optional."),
    row("port", "6379", AtStart,
        integer(0, 65_535, |c| c.network.port.into(), |c, n| c.network.port = n as u16),
        "TCP port for clients. 0: none."),
    row("unixsocket", "", AtStart,
        text("the path of a socket",
            |c| path_text(c.network.unixsocket.as_ref()),
            |c, text| { c.network.unixsocket = path_of(text); Ok(()) }),
        "Path of a Unix socket to listen on as well."),
    row("unixsocketperm", "0", AtStart,
        Kind::FileMode { get: |c| c.network.unixsocket_mode, set: |c, mode| c.network.unixsocket_mode = mode },
        "Mode of the Unix socket, octal. 0: as the umask has it."),
    row("tcp-backlog", "511", AtStart,
        integer(0, INT_MAX, |c| c.network.tcp_backlog.into(), |c, n| c.network.tcp_backlog = n as u32),
        "Connections that may wait to be accepted; the kernel may allow fewer."),
    row("timeout", "0", Live,
        seconds(0, |c| c.network.idle_timeout, |c, time| c.network.idle_timeout = time),
        "Seconds of silence after which a client is disconnected. 0: never."),
    row("tcp-keepalive", "300", Live,
        seconds(0, |c| c.network.tcp_keepalive, |c, time| c.network.tcp_keepalive = time),
        "Seconds between TCP keepalive probes. 0: none."),
    row("maxclients", "10000", Live,
        integer(1, u32::MAX as i64, |c| c.network.clients_max.into(), |c, n| c.network.clients_max = n as u32),
        "Clients at a time; further ones get an error and are disconnected."),
    row("protected-mode", "yes", Live,
        yes_no(|c| c.network.protected_mode, |c, yes| c.network.protected_mode = yes),
        "Refuse clients from other hosts as long as requirepass is empty."),
    row("requirepass", "", Live,
        text("a password",
            |c| c.network.requirepass.as_ref().map_or_else(String::new, |secret| secret.expose().to_owned()),
            |c, text| { c.network.requirepass = (!text.is_empty()).then(|| Secret::new(text)); Ok(()) }),
        "Password of the default user. Empty: none is asked for.").secret(),
    row("proto-max-bulk-len", "512mb", Live,
        bytes(MEBIBYTE, |c| c.network.bulk_max_bytes, |c, n| c.network.bulk_max_bytes = n),
        "The longest argument of a request."),
    row("client-query-buffer-limit", "1gb", Live,
        bytes(MEBIBYTE, |c| c.network.query_buffer_max_bytes, |c, n| c.network.query_buffer_max_bytes = n),
        "The most bytes of an unfinished request that are kept for a client."),
    row("client-output-buffer-limit", "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", Live,
        text("groups of four words: class hard-limit soft-limit soft-seconds, the class normal, replica or pubsub",
            |c| c.network.output_limits.to_string(),
            |c, text| { c.network.output_limits = c.network.output_limits.with(text)?; Ok(()) }),
        "Bytes of replies that may wait for a client, per class: hard limit, soft limit, its seconds. 0: no limit."),
    row("workers", "0", AtStart,
        integer(0, 1024, |c| c.network.workers as i64, |c, n| c.network.workers = n as usize),
        "Threads that serve clients. 0: one per core."),
];

#[rustfmt::skip]
const GENERAL: &[Setting] = &[
    row("preset", "none", AtStart,
        choice(&Preset::NAMES, |c| c.general.preset as usize, |c, i| c.general.preset = Preset::ALL[i]),
        "Set of defaults to start from; everything that is set elsewhere goes above it."),
    row("log-level", "notice", Live,
        choice(&LogLevel::NAMES, |c| c.general.log_level as usize, |c, i| c.general.log_level = LogLevel::ALL[i]),
        "The least severe messages that are logged, to standard error.").also(&["loglevel"]),
    row("dir", ".", Protected,
        text("the path of a directory", |c| c.general.dir.display().to_string(), set_dir),
        "Directory for files that the server writes."),
    row("databases", "16", AtStart,
        integer(1, 16_384, |c| c.general.databases as i64, |c, n| c.general.databases = n as usize),
        "Databases that SELECT can choose from."),
    row("shutdown-timeout", "10", Live,
        seconds(0, |c| c.general.shutdown_timeout, |c, time| c.general.shutdown_timeout = time),
        "Seconds that a shutdown waits for requests in flight."),
    row("redis-version", "7.4.0", AtStart,
        text("a version such as 7.4.0", |c| c.general.redis_version.clone(), set_redis_version),
        "The Redis version that HELLO and INFO report; clients choose features by it."),
    row("server-name", "redis", AtStart,
        text("a word", |c| c.general.server_name.clone(), |c, text| word(text).map(|name| c.general.server_name = name)),
        "The server that HELLO reports; clients test it."),
    row("enable-debug-command", "no", AtStart,
        choice(&DebugAccess::NAMES, |c| c.general.debug_command as usize, |c, i| c.general.debug_command = DebugAccess::ALL[i]),
        "Who may use DEBUG: nobody, everybody, or clients of this host."),
    row("notify-keyspace-events", "", Live,
        text("letters of Ag$lshzxeKEtmdn",
            |c| c.general.keyspace_events.to_string(),
            |c, text| KeyspaceEvents::parse(text).map(|events| c.general.keyspace_events = events)),
        "Events of keys that are published: K and E name the channels, the others classes. Empty: none."),
];

#[rustfmt::skip]
const MEMORY: &[Setting] = &[
    row("maxmemory", "75%", Live,
        Kind::Budget { get: |c| c.memory.maxmemory_bytes, set: |c, bytes| c.memory.maxmemory_bytes = bytes },
        "Memory for entries. NN%: of what the container or machine offers. 0: no limit."),
    row("maxmemory-policy", "allkeys-hybrid", Live,
        choice(&EvictionPolicy::NAMES, |c| c.memory.policy as usize, |c, i| c.memory.policy = EvictionPolicy::ALL[i]),
        "What leaves when maxmemory is reached."),
    row("maxmemory-samples", "5", Live,
        integer(1, 64, |c| c.memory.samples as i64, |c, n| c.memory.samples = n as usize),
        "Entries that a sampled policy compares to choose one."),
    row("lfu-log-factor", "10", Live,
        integer(0, INT_MAX, |c| c.memory.lfu_log_factor.into(), |c, n| c.memory.lfu_log_factor = n as u32),
        "The higher, the more hits fill the frequency counter of the lfu policies."),
    row("lfu-decay-time", "1", Live,
        integer(0, INT_MAX, |c| (c.memory.lfu_decay.as_secs() / 60) as i64, |c, n| c.memory.lfu_decay = Duration::from_secs(n as u64 * 60)),
        "Minutes after which that counter loses one. 0: never."),
    row("active-expire-effort", "1", Live,
        integer(1, 10, |c| c.memory.expire_effort.into(), |c, n| c.memory.expire_effort = n as u32),
        "How hard the sweep looks for expired keys that nobody reads."),
    row("lazyfree-lazy-eviction", "no", Live,
        yes_no(|c| c.memory.lazyfree.eviction, |c, yes| c.memory.lazyfree.eviction = yes),
        "Free evicted values in the background."),
    row("lazyfree-lazy-expire", "no", Live,
        yes_no(|c| c.memory.lazyfree.expire, |c, yes| c.memory.lazyfree.expire = yes),
        "Free expired values in the background."),
    row("lazyfree-lazy-server-del", "no", Live,
        yes_no(|c| c.memory.lazyfree.server_del, |c, yes| c.memory.lazyfree.server_del = yes),
        "Free values that a command such as RENAME replaces in the background."),
    row("lazyfree-lazy-user-del", "no", Live,
        yes_no(|c| c.memory.lazyfree.user_del, |c, yes| c.memory.lazyfree.user_del = yes),
        "DEL works as UNLINK does."),
    row("lazyfree-lazy-user-flush", "no", Live,
        yes_no(|c| c.memory.lazyfree.user_flush, |c, yes| c.memory.lazyfree.user_flush = yes),
        "FLUSHALL and FLUSHDB work as with ASYNC."),
];

#[rustfmt::skip]
const STATISTICS: &[Setting] = &[
    row("slowlog-log-slower-than", "10000", Live,
        integer(-1, i64::MAX, slowlog_micros, |c, n| c.statistics.slowlog_threshold = u64::try_from(n).ok().map(Duration::from_micros)),
        "Microseconds from which on a command is put into the slow log. 0: all; -1: none."),
    row("slowlog-max-len", "128", Live,
        integer(0, i64::MAX, |c| c.statistics.slowlog_len_max as i64, |c, n| c.statistics.slowlog_len_max = n as usize),
        "Commands that the slow log keeps."),
    row("latency-monitor-threshold", "0", Live,
        integer(0, i64::MAX, latency_millis, |c, n| c.statistics.latency_threshold = (n > 0).then(|| Duration::from_millis(n as u64))),
        "Milliseconds from which on an event is kept for LATENCY. 0: none is."),
    row("latency-tracking", "yes", Live,
        yes_no(|c| c.statistics.latency_tracking, |c, yes| c.statistics.latency_tracking = yes),
        "Keep a latency histogram per command."),
    row("latency-tracking-info-percentiles", "50 99 99.9", Live,
        text("numbers from 0 to 100 between spaces", percentiles, set_percentiles),
        "Percentiles that INFO latencystats shows."),
];

#[rustfmt::skip]
const HTTP: &[Setting] = &[
    row("http-port", "0", AtStart,
        integer(0, 65_535, |c| c.http.port.into(), |c, n| c.http.port = n as u16),
        "TCP port for /metrics and /health. 0: none."),
    row("http-bind", "* -::*", AtStart,
        text("addresses between spaces, such as 127.0.0.1 or *",
            |c| BindAddress::join(&c.http.bind),
            |c, text| { c.http.bind = BindAddress::list(text); Ok(()) }),
        "Addresses of that port, written as in bind."),

    row("hash-max-listpack-entries", "512", Live,
        count(|c| c.encodings.hash.entries_max, |c, n| c.encodings.hash.entries_max = n),
        "Fields up to which a hash is one packed block.").also(&["hash-max-ziplist-entries"]),
    row("hash-max-listpack-value", "64", Live,
        size(|c| c.encodings.hash.value_bytes_max, |c, n| c.encodings.hash.value_bytes_max = n),
        "Length of fields and values up to which a hash is one packed block.").also(&["hash-max-ziplist-value"]),
    row("set-max-intset-entries", "512", Live,
        count(|c| c.encodings.set_intset_entries_max, |c, n| c.encodings.set_intset_entries_max = n),
        "Members up to which a set of integers is a sorted array."),
    row("set-max-listpack-entries", "128", Live,
        count(|c| c.encodings.set.entries_max, |c, n| c.encodings.set.entries_max = n),
        "Members up to which a set is one packed block."),
    row("set-max-listpack-value", "64", Live,
        size(|c| c.encodings.set.value_bytes_max, |c, n| c.encodings.set.value_bytes_max = n),
        "Length of members up to which a set is one packed block."),
    row("zset-max-listpack-entries", "128", Live,
        count(|c| c.encodings.sorted_set.entries_max, |c, n| c.encodings.sorted_set.entries_max = n),
        "Members up to which a sorted set is one packed block.").also(&["zset-max-ziplist-entries"]),
    row("zset-max-listpack-value", "64", Live,
        size(|c| c.encodings.sorted_set.value_bytes_max, |c, n| c.encodings.sorted_set.value_bytes_max = n),
        "Length of members up to which a sorted set is one packed block.").also(&["zset-max-ziplist-value"]),
    row("list-max-listpack-size", "-2", Live,
        integer(i32::MIN as i64, INT_MAX, |c| c.encodings.list_packed_size.into(), |c, n| c.encodings.list_packed_size = n as i32),
        "Elements of a list in one block; -1 to -5 stand for 4, 8, 16, 32 and 64 KiB.").also(&["list-max-ziplist-size"]),
    row("stream-node-max-bytes", "4kb", Live,
        size(|c| c.encodings.stream_node_bytes_max, |c, n| c.encodings.stream_node_bytes_max = n),
        "Bytes of a stream in one block. 0: no limit."),
    row("stream-node-max-entries", "100", Live,
        count(|c| c.encodings.stream_node_entries_max, |c, n| c.encodings.stream_node_entries_max = n),
        "Entries of a stream in one block. 0: no limit."),
    row("hll-sparse-max-bytes", "3000", Live,
        size(|c| c.encodings.hll_sparse_bytes_max, |c, n| c.encodings.hll_sparse_bytes_max = n),
        "Bytes up to which a HyperLogLog is stored sparsely."),
];

pub(super) const fn count(get: fn(&Config) -> usize, set: fn(&mut Config, usize)) -> Kind {
    Kind::Count { get, set }
}

const fn size(get: fn(&Config) -> usize, set: fn(&mut Config, usize)) -> Kind {
    Kind::Size { get, set }
}

pub(super) const fn yes_no(get: fn(&Config) -> bool, set: fn(&mut Config, bool)) -> Kind {
    Kind::YesNo { get, set }
}

pub(super) const fn integer(min: i64, max: i64, get: fn(&Config) -> i64, set: fn(&mut Config, i64)) -> Kind {
    Kind::Integer { min, max, get, set }
}

const fn seconds(min: i64, get: fn(&Config) -> Duration, set: fn(&mut Config, Duration)) -> Kind {
    Kind::Seconds { min, get, set }
}

pub(super) const fn milliseconds(
    min: i64,
    get: fn(&Config) -> Duration,
    set: fn(&mut Config, Duration),
) -> Kind {
    Kind::Milliseconds { min, get, set }
}

pub(super) const fn bytes(min: u64, get: fn(&Config) -> u64, set: fn(&mut Config, u64)) -> Kind {
    Kind::Bytes {
        min,
        max: BYTES_MAX,
        get,
        set,
    }
}

pub(super) const fn choice(
    names: &'static [&'static str],
    get: fn(&Config) -> usize,
    set: fn(&mut Config, usize),
) -> Kind {
    Kind::Choice { names, get, set }
}

pub(super) const fn text(
    expects: &'static str,
    get: fn(&Config) -> String,
    set: fn(&mut Config, &str) -> Result<(), String>,
) -> Kind {
    Kind::Text { expects, get, set }
}

pub(super) fn path_text(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

pub(super) fn path_of(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// Kept in full, since tools join file names to what CONFIG GET shows.
fn set_dir(config: &mut Config, text: &str) -> Result<(), String> {
    config.general.dir = path::absolute(text).map_err(|error| error.to_string())?;
    Ok(())
}

fn set_redis_version(config: &mut Config, text: &str) -> Result<(), String> {
    let numbers = text.split('.').map(str::parse::<u32>);
    if numbers.clone().count() != 3 || numbers.clone().any(|number| number.is_err()) {
        return Err("argument must be a version of three numbers".to_owned());
    }
    text.clone_into(&mut config.general.redis_version);
    Ok(())
}

/// Text that fits into HELLO and CLIENT SETNAME.
pub(super) fn word(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("argument must not contain spaces, newlines or special characters".to_owned())
    }
}

fn slowlog_micros(config: &Config) -> i64 {
    let threshold = config.statistics.slowlog_threshold;
    threshold.map_or(-1, |threshold| threshold.as_micros() as i64)
}

fn latency_millis(config: &Config) -> i64 {
    let threshold = config.statistics.latency_threshold;
    threshold.map_or(0, |threshold| threshold.as_millis() as i64)
}

fn percentiles(config: &Config) -> String {
    let numbers = config.statistics.latency_percentiles.iter();
    numbers.map(f64::to_string).collect::<Vec<_>>().join(" ")
}

fn set_percentiles(config: &mut Config, text: &str) -> Result<(), String> {
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    let numbers = numbers.map_err(|_| "Invalid latency-tracking-info-percentiles parameters")?;
    if numbers.iter().any(|number| !(0.0..=100.0).contains(number)) {
        return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned());
    }
    config.statistics.latency_percentiles = numbers;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::Path;

    /// `conf/forebay.toml` shows settings as `#name = value` and prose as `# prose`.
    fn uncommented() -> String {
        let shown = include_str!("../../conf/forebay.toml");
        let lines = shown.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let mut seen = HashSet::new();
        for name in all().flat_map(Setting::names) {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_by_pattern() {
        let prefix = |pattern: &[u8], name: &[u8]| name.starts_with(pattern);
        assert_eq!(find("LogLevel").unwrap().name, "log-level");
        assert!(find("log").is_none());
        let names: Vec<&str> = matching(b"HASH-max", prefix).map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "hash-max-listpack-entries",
                "hash-max-ziplist-entries",
                "hash-max-listpack-value",
                "hash-max-ziplist-value"
            ]
        );
    }

    #[test]
    fn the_complete_file_shows_every_setting_with_its_default() {
        let text = uncommented();
        for setting in all() {
            let start = format!("{} = ", setting.name);
            assert!(
                text.lines().any(|line| line.starts_with(&start)),
                "{} is missing",
                setting.name
            );
        }
        let shown = Config::from_file_text(Path::new("conf/forebay.toml"), &text).unwrap();
        assert_eq!(shown, Config::default());
    }

    #[test]
    fn the_files_in_conf_can_be_loaded() {
        let whole = include_str!("../../conf/forebay.toml");
        let config = Config::from_file_text(Path::new("conf/forebay.toml"), whole).unwrap();
        assert_eq!(config, Config::default());
        let near = include_str!("../../conf/near-cache.toml");
        let config = Config::from_file_text(Path::new("conf/near-cache.toml"), near).unwrap();
        assert_eq!(config.mode(), crate::config::TierMode::NearCache);
    }

    #[test]
    fn redis_defaults_are_shown_as_redis_shows_them() {
        let config = Config::default();
        for (name, value) in [
            ("bind", "* -::*"),
            (
                "client-output-buffer-limit",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            ),
            ("proto-max-bulk-len", "536870912"),
            ("latency-tracking-info-percentiles", "50 99 99.9"),
            ("slowlog-log-slower-than", "10000"),
            ("loglevel", "notice"),
            ("save", ""),
            ("stream-node-max-bytes", "4096"),
        ] {
            assert_eq!(find(name).unwrap().get(&config), value, "{name}");
        }
    }
}
