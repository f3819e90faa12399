//! The configuration as plain data.
//!
//! [`options`] holds one row a setting: its names, what it accepts, its default, and which field
//! below it reads and writes. Files, environment, flags and CONFIG all go through those rows, so a
//! new setting is one row there, one field here and one line in `conf/forebay.toml`.

mod address;
mod choices;
mod compatibility;
mod consistency;
mod error;
mod file;
mod flags;
mod help;
mod keyspace_events;
mod load;
mod memory_size;
mod namespaces;
mod notation;
pub mod options;
mod output_limits;
mod preset;
pub mod rewrite;
mod setting;
mod suggestion;
mod tables;
mod tier_options;

pub use address::{BindAddress, Secret, UpstreamAddress, UpstreamEndpoint};
pub use choices::{
    BreakerPolicy, Compression, DebugAccess, EvictionPolicy, FailMode, JournalSync, LogLevel,
    PromotionPolicy, SuspectPolicy, TierMode, UpstreamTracking, WhenFull,
};
pub use error::{ConfigError, ConfigErrors};
pub use help::help;
pub use keyspace_events::KeyspaceEvents;
pub use load::{Action, Loaded};
pub use memory_size::usable_bytes;
pub use namespaces::{Namespace, NamespaceConfig, Rules};
pub use output_limits::{OutputLimit, OutputLimits};
pub use preset::Preset;
pub use setting::{Change, Setting};

use crate::values::packed::PackedLimits;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Every setting of a server, typed and validated.
///
/// [`Config::default`] has the defaults of the rows. The structs of its fields derive `Default`
/// only to have a blank for the rows to fill.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How clients connect.
    pub network: Network,
    /// The process.
    pub general: General,
    /// The memory budget.
    pub memory: Memory,
    /// How values are represented.
    pub encodings: Encodings,
    /// What is measured.
    pub statistics: Statistics,
    /// The server behind this one.
    pub upstream: Upstream,
    /// How keys that no namespace of `namespace_tables` has are treated.
    pub rules: Rules,
    /// The namespaces that the file names, in its order.
    pub namespace_tables: Vec<NamespaceConfig>,
    /// Writes that are carried upstream after their replies.
    pub write_behind: WriteBehind,
    /// Keys that are fetched at the start.
    pub warming: Warming,
    /// Copies that are compared with upstream now and then.
    pub checks: Checks,
    /// The HTTP port.
    pub http: Http,
    /// Values of the settings that are kept for compatibility and have no effect, by the first
    /// name of their row.
    kept: BTreeMap<&'static str, String>,
}

/// How clients connect, and what one client may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Addresses to listen on. Empty: on none, whatever the port.
    pub bind: Vec<BindAddress>,
    /// TCP port for clients; 0 listens on no port.
    pub port: u16,
    /// Path of the Unix socket to listen on.
    pub unixsocket: Option<PathBuf>,
    /// Mode bits of the Unix socket; `None` leaves them to the umask.
    pub unixsocket_mode: Option<u32>,
    /// Connections the kernel may queue before they are accepted.
    pub tcp_backlog: u32,
    /// A client that is silent for this long is disconnected; zero: never.
    pub idle_timeout: Duration,
    /// Time between TCP keepalive probes; zero: none.
    pub tcp_keepalive: Duration,
    /// Clients at a time.
    pub clients_max: u32,
    /// Refuse clients from other hosts as long as no password is set.
    pub protected_mode: bool,
    /// Password of the default user; `None` lets everybody in.
    pub requirepass: Option<Secret>,
    /// The longest argument that a request may carry, in bytes.
    pub bulk_max_bytes: u64,
    /// The most bytes of an unfinished request that are kept for one client.
    pub query_buffer_max_bytes: u64,
    /// Bytes that may wait to be sent to a client.
    pub output_limits: OutputLimits,
    /// Threads that serve clients; 0: one per core.
    pub workers: usize,
}

/// The process as a whole, and what it says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct General {
    /// Directory for files that the server writes, as an absolute path.
    pub dir: PathBuf,
    /// Number of databases that SELECT can choose from.
    pub databases: usize,
    /// What is logged.
    pub log_level: LogLevel,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The Redis version that HELLO and INFO report, as `major.minor.patch`.
    pub redis_version: String,
    /// The `server` field of HELLO.
    pub server_name: String,
    /// Who may use DEBUG.
    pub debug_command: DebugAccess,
    /// Which events of keys are published.
    pub keyspace_events: KeyspaceEvents,
    /// The set of defaults in use, chosen at start.
    pub preset: Preset,
}

/// Up to which size values have the representation that is smaller, or is one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encodings {
    /// Hashes in one packed block.
    pub hash: PackedLimits,
    /// Sets in one packed block.
    pub set: PackedLimits,
    /// Sets of integers as a sorted array.
    pub set_intset_entries_max: usize,
    /// Sorted sets in one packed block.
    pub sorted_set: PackedLimits,
    /// Elements of a list in one block; -1 to -5 stand for 4, 8, 16, 32 and 64 KiB.
    pub list_packed_size: i32,
    /// Bytes of a stream in one block; 0: no limit.
    pub stream_node_bytes_max: usize,
    /// Entries of a stream in one block; 0: no limit.
    pub stream_node_entries_max: usize,
    /// Bytes of a `HyperLogLog` that is stored sparsely.
    pub hll_sparse_bytes_max: usize,
}

/// The memory budget, what leaves when it is exceeded, and what expires.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The budget in bytes; `None`: no limit.
    pub maxmemory_bytes: Option<u64>,
    /// What leaves when the budget is exceeded.
    pub policy: EvictionPolicy,
    /// Entries that a sampled policy looks at to choose one victim.
    pub samples: usize,
    /// The higher, the more hits it takes to saturate an entry's frequency counter.
    pub lfu_log_factor: u32,
    /// Time after which a frequency counter loses one; zero: never.
    pub lfu_decay: Duration,
    /// What is freed in the background.
    pub lazyfree: Lazyfree,
    /// From 1 to 10: how much of its time the expiry sweep may use.
    pub expire_effort: u32,
}

/// Which deletions hand the value to the background instead of freeing it at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five independent switches of Redis")]
pub struct Lazyfree {
    /// Evicted entries.
    pub eviction: bool,
    /// Expired entries.
    pub expire: bool,
    /// Deletions that commands such as RENAME imply.
    pub server_del: bool,
    /// DEL behaves as UNLINK.
    pub user_del: bool,
    /// FLUSHALL and FLUSHDB behave as with ASYNC.
    pub user_flush: bool,
}

/// Slow log and latency statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Commands that take longer are logged; `None`: none are, zero: all are.
    pub slowlog_threshold: Option<Duration>,
    /// Entries that the slow log keeps.
    pub slowlog_len_max: usize,
    /// Events that take at least this long are recorded for LATENCY; `None`: none are.
    pub latency_threshold: Option<Duration>,
    /// Keep a latency histogram per command.
    pub latency_tracking: bool,
    /// Percentiles (0 to 100) that INFO latencystats shows.
    pub latency_percentiles: Vec<f64>,
}

/// The server behind this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upstream {
    /// Where it is: addresses that are tried in this order. Empty: there is none.
    pub addresses: Vec<UpstreamAddress>,
    /// What the addresses with TLS have in common.
    pub tls: UpstreamTls,
    /// Deadline of one request to upstream.
    pub timeout: Duration,
    /// Deadline of connecting and logging in.
    pub connect_timeout: Duration,
    /// The first wait before a reconnect; doubled after each failure up to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest wait before a reconnect.
    pub backoff_max: Duration,
    /// How often a fetch or another request without effect is asked again after a failure.
    pub retries_max: u32,
    /// The name this server gives itself there with CLIENT SETNAME; empty: none.
    pub client_name: String,
    /// The most connections that sessions may have at a time for what the shared one can't carry.
    pub sessions_max: usize,
    /// How upstream tells what changed.
    pub tracking: UpstreamTracking,
    /// How long a copy lives where upstream does not tell.
    pub untracked_ttl: Duration,
    /// Suspect copies that are compared with upstream in a second, at most.
    pub revalidations_per_second: u32,
    /// The channel of upstream on which other servers name keys that changed; empty: none.
    pub invalidation_channel: String,
    /// What opens the breaker.
    pub breaker: BreakerPolicy,
    /// Failures in a row that open a consecutive breaker.
    pub breaker_failures: u32,
    /// Percentage of failures that opens a failure-rate breaker.
    pub breaker_failure_percent: u32,
    /// Calls below which a failure-rate breaker stays closed.
    pub breaker_calls_min: u32,
    /// How long an open breaker refuses before it lets a probe through.
    pub breaker_open: Duration,
    /// File to which what operators do to the tiers is appended; `None`: it is not written down.
    pub audit_log: Option<PathBuf>,
}

/// What connections with TLS to upstream need. The files are in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Certificates of the authorities that upstream's certificate may come from; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate that this server shows, and the chain behind it; `None`: it shows none.
    pub cert_file: Option<PathBuf>,
    /// The private key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// The name that upstream's certificate must have; `None`: the host of the address.
    pub server_name: Option<String>,
}

/// Writes that are kept in a journal and carried upstream after their replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBehind {
    /// Directory of the journal; `None` leaves it to [`Config::journal_dir`].
    dir: Option<PathBuf>,
    /// When the journal is forced to the disk.
    pub sync: JournalSync,
    /// A journal that is damaged is read as far as it can be.
    pub ignores_damage: bool,
    /// The most bytes of the journal's files.
    pub journal_max_bytes: u64,
    /// How old the oldest write that is not carried may be before further ones are refused or wait; zero: no bound.
    pub age_max: Duration,
    /// What a write gets beyond these bounds.
    pub when_full: WhenFull,
    /// How long a key that was written may wait for more writes before it is carried.
    pub delay: Duration,
    /// Larger values are not carried later: writes to them wait for upstream.
    pub value_max_bytes: u64,
}

/// Keys that are remembered over a restart and fetched after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warming {
    /// Keys that are remembered; 0: none.
    pub keys_max: usize,
    /// Keys that are fetched in a second.
    pub keys_per_second: u32,
    /// From 0 to 100: the share of them that must be there before the server says that it is ready.
    pub ready_percent: u32,
}

/// Copies that are compared with upstream to find out whether they are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Copies that are compared in a second; 0: none.
    pub per_second: u32,
    /// How far times to live may be apart.
    pub ttl_tolerance: Duration,
}

/// The port for metrics and health.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Http {
    /// Addresses to listen on.
    pub bind: Vec<BindAddress>,
    /// 0: no HTTP port.
    pub port: u16,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            network: Network::default(),
            general: General::default(),
            memory: Memory::default(),
            encodings: Encodings::default(),
            statistics: Statistics::default(),
            upstream: Upstream::default(),
            rules: Rules::default(),
            namespace_tables: Vec::new(),
            write_behind: WriteBehind::default(),
            warming: Warming::default(),
            checks: Checks::default(),
            http: Http::default(),
            kept: BTreeMap::new(),
        };
        for setting in options::all() {
            setting
                .set(&mut config, setting.default)
                .expect("the row's default is a value that the row accepts");
        }
        config
    }
}

impl Config {
    /// What was asked for and is not done, in words for the log. Compose files of Redis ask for snapshots, so
    /// `save` must not keep the server from starting, but nobody should believe that it works.
    pub fn unhonoured(&self) -> Option<String> {
        self.kept
            .get("save")
            .filter(|points| !points.is_empty())
            .map(|points| format!("'save {points}': no snapshots are written yet, a restart begins empty"))
    }

    /// A copy of this configuration with all of `pairs` (name, value) applied, as CONFIG SET does:
    /// nothing is changed unless every pair is good.
    ///
    /// # Errors
    /// The first of: a name that is unknown, a setting that can change at start only and would
    /// change (to give it the value it has is no error, so that what CONFIG GET shows can be set), a
    /// setting named twice; and if there is none of these, the first value that is refused, or else the first
    /// setting that cannot be meant together with the others.
    pub fn set_many(&self, pairs: &[(&str, &str)]) -> Result<Self, SetError> {
        let settings = changeable(self, pairs)?;
        let mut changed = self.clone();
        for (setting, (_, value)) in settings.into_iter().zip(pairs) {
            setting
                .set(&mut changed, value)
                .map_err(|reason| SetError::failed(setting.name, reason))?;
        }
        match consistency::first_new(self, &changed) {
            Some(found) => Err(SetError::failed(found.setting, found.to_string())),
            None => Ok(changed),
        }
    }

    /// How keys of no named namespace are treated: the mode asked for, else near-cache where there is an upstream.
    pub fn mode(&self) -> TierMode {
        self.rules.mode_with(&self.upstream)
    }

    /// Where the journal of writes that are carried later is kept.
    pub fn journal_dir(&self) -> PathBuf {
        let own = self.write_behind.dir.as_ref();
        own.map_or_else(|| self.general.dir.join("journal"), PathBuf::clone)
    }

    /// Whether giving `setting` this value would be a change, a refused value included.
    fn differs_after(&self, setting: &Setting, value: &str) -> bool {
        let mut changed = self.clone();
        setting.set(&mut changed, value).is_err() || setting.get(&changed) != setting.get(self)
    }
}

/// The rows that CONFIG SET may change together, in the order of `pairs`.
fn changeable(config: &Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static Setting>, SetError> {
    let mut settings: Vec<&'static Setting> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let setting = options::find(name).ok_or_else(|| SetError::Unknown {
            name: (*name).to_owned(),
        })?;
        if let Some(reason) = setting.change.refusal()
            && config.differs_after(setting, value)
        {
            return Err(SetError::failed(name, reason));
        }
        if settings.iter().any(|earlier| earlier.name == setting.name) {
            return Err(SetError::failed(name, "duplicate parameter"));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// Why CONFIG SET changed nothing. Displayed, it is Redis's error text without the `ERR` prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No setting has this name.
    Unknown {
        /// The name as it was given.
        name: String,
    },
    /// The setting is known; `reason` says why it did not change.
    Failed {
        /// The setting's name as it was given.
        name: String,
        /// Redis's text.
        reason: String,
    },
}

impl SetError {
    fn failed(name: &str, reason: impl Into<String>) -> Self {
        Self::Failed {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(
                    f,
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
            }
            Self::Failed { name, reason } => {
                write!(
                    f,
                    "CONFIG SET failed (possibly related to argument '{name}') - {reason}"
                )
            }
        }
    }
}

impl std::error::Error for SetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pairs: &[(&str, &str)]) -> String {
        Config::default().set_many(pairs).unwrap_err().to_string()
    }

    #[test]
    fn several_settings_change_together_or_not_at_all() {
        let config = Config::default();
        let changed = config
            .set_many(&[("TIMEOUT", "5"), ("maxmemory", "1kb")])
            .unwrap();
        assert_eq!(changed.network.idle_timeout, Duration::from_secs(5));
        assert_eq!(changed.memory.maxmemory_bytes, Some(1024));
        assert!(config.set_many(&[("timeout", "5"), ("maxmemory", "x")]).is_err());
        assert_eq!(config, Config::default());
    }

    #[test]
    fn errors_are_those_of_redis() {
        let failed = |name: &str, reason: &str| {
            format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        assert_eq!(
            error(&[("timeout", "x"), ("foo", "1")]),
            "Unknown option or number of arguments for CONFIG SET - 'foo'"
        );
        assert_eq!(
            error(&[("port", "7000"), ("foo", "1")]),
            failed("port", "can't set immutable config")
        );
        assert_eq!(
            error(&[("daemonize", "yes")]),
            failed("daemonize", "can't set immutable config")
        );
        assert_eq!(
            error(&[("dir", "/tmp/x")]),
            failed("dir", "can't set protected config")
        );
        assert_eq!(
            error(&[("timeout", "x"), ("timeout", "2")]),
            failed("timeout", "duplicate parameter")
        );
        assert_eq!(
            error(&[("timeout", "x")]),
            failed("timeout", "argument couldn't be parsed into an integer")
        );
        assert_eq!(
            error(&[("timeout", "-1")]),
            failed("timeout", "argument must be between 0 and 2147483647 inclusive")
        );
        assert_eq!(
            error(&[("maxmemory", "1"), ("maxmemory-clients", "200%")]),
            failed(
                "maxmemory-clients",
                "percentage argument must be less or equal to 100"
            )
        );
        assert_eq!(
            error(&[("proto-max-bulk-len", "100")]),
            failed(
                "proto-max-bulk-len",
                "argument must be between 1048576 and 9223372036854775807 inclusive"
            )
        );
    }

    #[test]
    fn what_would_change_behaviour_is_refused() {
        for (name, value) in [
            ("appendonly", "yes"),
            ("masterauth", "secret"),
            ("min-slaves-to-write", "1"),
            ("activedefrag", "yes"),
        ] {
            assert!(
                error(&[(name, value)]).contains("Forebay")
                    || error(&[(name, value)]).contains("not built yet")
            );
        }
    }

    #[test]
    fn snapshots_may_be_asked_for_but_not_silently() {
        let config = Config::default().set_many(&[("save", "60 1")]).unwrap();
        assert!(config.unhonoured().unwrap().contains("save 60 1"));
        assert_eq!(Config::default().unhonoured(), None);
    }

    #[test]
    fn whatever_can_be_read_can_be_set() {
        let config = Config::default();
        for setting in options::all() {
            let value = setting.get(&config);
            assert_eq!(
                config.set_many(&[(setting.name, &value)]).as_ref(),
                Ok(&config),
                "{}",
                setting.name
            );
        }
    }

    #[test]
    fn names_stand_at_the_index_of_their_variant() {
        /// Whether the variants stand at their numbers.
        fn in_order<T: Copy>(all: &[T], number: fn(T) -> usize) -> bool {
            all.iter().enumerate().all(|(i, one)| number(*one) == i)
        }
        assert!(in_order(&LogLevel::ALL, |one| one as usize));
        assert!(in_order(&DebugAccess::ALL, |one| one as usize));
        assert!(in_order(&EvictionPolicy::ALL, |one| one as usize));
        assert!(in_order(&Preset::ALL, |one| one as usize));
        assert!(in_order(&BreakerPolicy::ALL, |one| one as usize));
        assert!(in_order(&TierMode::ALL, |one| one as usize));
        assert!(in_order(&PromotionPolicy::ALL, |one| one as usize));
        assert!(in_order(&SuspectPolicy::ALL, |one| one as usize));
        assert!(in_order(&FailMode::ALL, |one| one as usize));
        assert!(in_order(&Compression::ALL, |one| one as usize));
        assert!(in_order(&UpstreamTracking::ALL, |one| one as usize));
        assert!(in_order(&JournalSync::ALL, |one| one as usize));
        assert!(in_order(&WhenFull::ALL, |one| one as usize));
        assert_eq!(EvictionPolicy::VolatileTtl.name(), "volatile-ttl");
    }

    #[test]
    fn modes_are_asked_for_by_name_and_auto_leaves_them_to_the_upstream() {
        let near = Config::from_file_text("f.toml".as_ref(), "upstream = \"redis://h\"").unwrap();
        for (name, mode) in [
            ("off", TierMode::Off),
            ("near-cache", TierMode::NearCache),
            ("write-behind", TierMode::WriteBehind),
            ("write-around", TierMode::WriteAround),
        ] {
            let asked = near.set_many(&[("tier-mode", name)]).unwrap();
            assert_eq!(
                (asked.mode(), asked.rules.mode, mode.name()),
                (mode, Some(mode), name)
            );
            assert_eq!(asked.set_many(&[("tier-mode", "AUTO")]).unwrap(), near);
        }
        assert_eq!(
            (near.mode(), Config::default().mode()),
            (TierMode::NearCache, TierMode::Off)
        );
    }

    #[test]
    fn the_journal_stands_in_the_directory_unless_told_otherwise() {
        let config = Config::from_file_text("f.toml".as_ref(), "dir = \"/d\"").unwrap();
        assert_eq!(config.journal_dir(), PathBuf::from("/d/journal"));
        let config = Config::from_file_text("f.toml".as_ref(), "journal-dir = \"/j\"").unwrap();
        assert_eq!(config.journal_dir(), PathBuf::from("/j"));
    }
}
