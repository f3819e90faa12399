//! Rows of Redis's settings that have no effect here.
//!
//! Images, tools and compose files set them, so they are known. One that only tunes what is done
//! differently here, or not yet, is [`kept`]: checked, and read back as it was set. One that would
//! change what clients or operators may rely on is [`only`] accepted with the value that is true.

use super::Change::{AtStart, Live, Protected};
use super::setting::{Change, Form, Kind, Setting, row};
use super::{Config, notation};

const INT_MAX: i64 = i32::MAX as i64;
const BYTES_MAX: u64 = i64::MAX as u64;
const COUNT: Form = Form::Integer(0, i64::MAX);
const SIZE: Form = Form::Bytes(0, BYTES_MAX);

const NO_LOG: &str = "Forebay keeps no append-only file: only 'no' is possible";
const NO_REPLICA: &str = "Forebay does not replicate: set 'upstream' for a cache in front of another server";
const NO_DAEMON: &str = "Forebay stays in the foreground: let the service manager start it in the background";
const NO_LOG_FILE: &str = "Forebay logs to standard error only: redirect it";
const NO_TLS: &str = "TLS for clients is not built yet: only 0 is possible";
const NO_ACL: &str = "ACL users are not built yet: only requirepass is";
const NO_CLUSTER: &str = "Forebay is a single node: only 'no' is possible";
const NO_DEFRAG: &str = "Forebay does not defragment: only 'no' is possible";
const NO_CHANGE: &str = "Forebay offers no other value yet";

/// The rows, in the order of Redis's subjects: process, data types, replication, persistence.
#[rustfmt::skip] // A table: one row per setting.
pub(super) const COMPATIBILITY: &[Setting] = &[
    only("daemonize", "no", AtStart, NO_DAEMON),
    only("supervised", "no", AtStart, NO_DAEMON),
    only("pidfile", "", AtStart, NO_DAEMON),
    only("logfile", "", AtStart, NO_LOG_FILE),
    only("syslog-enabled", "no", AtStart, NO_LOG_FILE),
    only("tls-port", "0", AtStart, NO_TLS),
    only("aclfile", "", AtStart, NO_ACL),
    only("cluster-enabled", "no", AtStart, NO_CLUSTER),
    only("enable-protected-configs", "no", AtStart, NO_CHANGE),
    only("enable-module-command", "no", AtStart, NO_CHANGE),
    only("oom-score-adj", "no", Live, NO_CHANGE),
    only("shutdown-on-sigint", "default", Live, NO_CHANGE),
    only("shutdown-on-sigterm", "default", Live, NO_CHANGE),
    only("activedefrag", "no", Live, NO_DEFRAG),
    row("maxmemory-clients", "0", Live,
        Kind::Text { expects: "0", get: |_| "0".to_owned(), set: only_unlimited_clients },
        "Memory for the buffers of all clients. 0: no limit, the only value yet."),
    kept("hz", "10", Live, Form::Integer(1, 500)),
    kept("dynamic-hz", "yes", Live, Form::YesNo),
    kept("activerehashing", "yes", Live, Form::YesNo),
    kept("io-threads", "1", AtStart, Form::Integer(1, 128)),
    kept("io-threads-do-reads", "no", AtStart, Form::YesNo),
    kept("jemalloc-bg-thread", "yes", Live, Form::YesNo),
    kept("disable-thp", "yes", AtStart, Form::YesNo),
    kept("always-show-logo", "no", AtStart, Form::YesNo),
    kept("set-proc-title", "yes", AtStart, Form::YesNo),
    kept("crash-log-enabled", "yes", Live, Form::YesNo),
    kept("crash-memcheck-enabled", "yes", Live, Form::YesNo),
    kept("maxmemory-eviction-tenacity", "10", Live, Form::Integer(0, 100)),
    kept("tracking-table-max-keys", "1000000", Live, COUNT),
    kept("acllog-max-len", "128", Live, COUNT),
    kept("busy-reply-threshold", "5000", Live, COUNT).also(&["lua-time-limit"]),

    kept("list-compress-depth", "0", Live, Form::Integer(0, INT_MAX)),

    only("replicaof", "", AtStart, NO_REPLICA).also(&["slaveof"]),
    only("masteruser", "", Live, NO_REPLICA),
    only("masterauth", "", Live, NO_REPLICA).secret(),
    only("min-replicas-to-write", "0", Live, NO_REPLICA).also(&["min-slaves-to-write"]),
    kept("min-replicas-max-lag", "10", Live, Form::Integer(0, INT_MAX)).also(&["min-slaves-max-lag"]),
    kept("repl-backlog-size", "1mb", Live, Form::Bytes(1, BYTES_MAX)),
    kept("repl-backlog-ttl", "3600", Live, COUNT),
    kept("repl-timeout", "60", Live, Form::Integer(1, INT_MAX)),
    kept("repl-ping-replica-period", "10", Live, Form::Integer(1, INT_MAX)).also(&["repl-ping-slave-period"]),
    kept("repl-disable-tcp-nodelay", "no", Live, Form::YesNo),
    kept("repl-diskless-sync", "yes", Live, Form::YesNo),
    kept("repl-diskless-sync-delay", "5", Live, Form::Integer(0, INT_MAX)),
    kept("replica-priority", "100", Live, Form::Integer(0, INT_MAX)).also(&["slave-priority"]),
    kept("replica-read-only", "yes", Live, Form::YesNo).also(&["slave-read-only"]),
    kept("replica-serve-stale-data", "yes", Live, Form::YesNo).also(&["slave-serve-stale-data"]),
    kept("replica-ignore-maxmemory", "yes", Live, Form::YesNo).also(&["slave-ignore-maxmemory"]),
    kept("replica-lazy-flush", "no", Live, Form::YesNo).also(&["slave-lazy-flush"]),

    kept("save", "", Live, Form::Text),
    only("appendonly", "no", Live, NO_LOG),
    kept("dbfilename", "dump.rdb", Protected, Form::Text),
    kept("rdbcompression", "yes", Live, Form::YesNo),
    kept("rdbchecksum", "yes", AtStart, Form::YesNo),
    kept("rdb-save-incremental-fsync", "yes", Live, Form::YesNo),
    kept("sanitize-dump-payload", "no", Live, Form::Choice(&["no", "yes", "clients"])),
    kept("stop-writes-on-bgsave-error", "yes", Live, Form::YesNo),
    kept("appendfilename", "appendonly.aof", AtStart, Form::Text),
    kept("appenddirname", "appendonlydir", AtStart, Form::Text),
    kept("appendfsync", "everysec", Live, Form::Choice(&["everysec", "always", "no"])),
    kept("no-appendfsync-on-rewrite", "no", Live, Form::YesNo),
    kept("auto-aof-rewrite-percentage", "100", Live, Form::Integer(0, INT_MAX)),
    kept("auto-aof-rewrite-min-size", "64mb", Live, SIZE),
    kept("aof-load-truncated", "yes", Live, Form::YesNo),
    kept("aof-use-rdb-preamble", "yes", Live, Form::YesNo),
    kept("aof-rewrite-incremental-fsync", "yes", Live, Form::YesNo),
];

const fn kept(name: &'static str, default: &'static str, change: Change, form: Form) -> Setting {
    row(
        name,
        default,
        change,
        Kind::Kept(form),
        "Accepted and kept; has no effect.",
    )
}

const fn only(name: &'static str, default: &'static str, change: Change, because: &'static str) -> Setting {
    row(
        name,
        default,
        change,
        Kind::Only { because },
        "Accepted with this value only.",
    )
}

/// Redis's check of the notation comes first: a wrong percentage is no question of what is built.
fn only_unlimited_clients(_: &mut Config, text: &str) -> Result<(), String> {
    let share = match notation::percentage(text) {
        Some(percent) => percent?,
        None => notation::bytes(text, 0, u64::MAX)?,
    };
    match share {
        0 => Ok(()),
        _ => Err("a limit for all clients together is not built yet: only 0 is possible".to_owned()),
    }
}
