//! What commands may ask of the server, beyond entries and their own session.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::audit::Audit;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::config::{Config, FailMode, Namespace, SuspectPolicy, TierMode};
use crate::notifications::Notifier;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::stats::allocator;
use crate::stats::counters::Counters;
use crate::stats::latency::LatencyMonitor;
use crate::stats::monitor::Monitors;
use crate::stats::slowlog::Slowlog;
use crate::stats::upstream::UpstreamStats;
use crate::stats::vitals::Vitals;
use crate::store::eviction::{Tuning, by_name};
use crate::store::{CopyRules, FreshnessRules, Store, Suspects, rdb};
use crate::tier_control::TierControl;
use crate::values::prefix_map::PrefixMap;
use crate::waiting::WaitingRequests;

/// Writes INFO sections that belong to parts which commands do not know: lines `name:value` under `# Title`.
pub type InfoSections = Box<dyn Fn(&mut Vec<(&'static str, String)>) + Send + Sync>;

/// Reads what the tiers know and count of upstream.
pub type UpstreamProbe = Box<dyn Fn() -> UpstreamStats + Send + Sync>;

/// Puts the settings in force.
pub type ConfigureHook = Box<dyn Fn(&Config) + Send + Sync>;

/// Everything that lives as long as the server and is shared by its threads.
pub struct Services {
    /// All entries.
    pub store: Store,
    /// The settings in force. Change them with [`Services::change_config`].
    pub config: ArcSwap<Config>,
    changing_config: Mutex<()>,
    /// The file that the settings came from, for CONFIG REWRITE.
    pub config_file: Option<PathBuf>,
    /// The clocks.
    pub clock: Clock,
    /// All connections.
    pub clients: Clients,
    /// Counters of requests.
    pub counters: Counters,
    /// The slow log.
    pub slowlog: Slowlog,
    /// Latency spikes.
    pub latency: LatencyMonitor,
    /// Clients that watch all requests.
    pub monitors: Monitors,
    /// What operators had the server do.
    pub audit: Audit,
    /// Figures that are sampled over time.
    pub vitals: Vitals,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Who listens to what.
    pub pubsub: Arc<PubSub>,
    notifier: Arc<Notifier>,
    /// Requests that wait for keys.
    pub waiting: WaitingRequests,
    /// Asks the server to shut down.
    pub shutdown: Notify,
    /// INFO sections of the tiers.
    pub tier_sections: OnceLock<InfoSections>,
    /// Figures of upstream; see [`Services::upstream_stats`].
    pub upstream_probe: OnceLock<UpstreamProbe>,
    /// Puts changed settings in force where commands do not reach.
    pub on_configure: OnceLock<ConfigureHook>,
    /// What operators may ask of the tiers; see [`Services::tier_control`]. The tiers own these services, so it may
    /// not own them.
    pub tiers: OnceLock<Weak<dyn TierControl>>,
    /// A random name of this run of the server: 40 hexadecimal digits.
    pub run_id: String,
    /// When the server started, in Unix milliseconds.
    pub started_at_ms: u64,
    /// The port that clients connect to; differs from the setting where that was changed or 0.
    pub tcp_port: u16,
}

impl Services {
    /// Up to which sizes values that come as payloads are packed.
    pub fn value_limits(&self) -> rdb::Limits {
        let encodings = &self.config.load().encodings;
        rdb::Limits {
            hash: encodings.hash,
            list_packed_size: encodings.list_packed_size,
            set: encodings.set,
            set_intset_entries_max: encodings.set_intset_entries_max,
            sorted_set: encodings.sorted_set,
        }
    }

    /// Services for a server with these settings.
    pub fn new(config: Config, config_file: Option<PathBuf>) -> Self {
        let clock = Clock::new();
        let (store, pubsub) = (Store::new(config.general.databases), Arc::default());
        let services = Self {
            notifier: Notifier::new(&pubsub, &store),
            store,
            config_file,
            clients: Clients::default(),
            counters: Counters::default(),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            monitors: Monitors::default(),
            audit: Audit::default(),
            vitals: Vitals::new(allocator::heap().allocated),
            pause: Pause::default(),
            pubsub,
            waiting: WaitingRequests::default(),
            shutdown: Notify::new(),
            tier_sections: OnceLock::new(),
            upstream_probe: OnceLock::new(),
            on_configure: OnceLock::new(),
            tiers: OnceLock::new(),
            run_id: random_hex_40(),
            started_at_ms: clock.unix_ms(),
            tcp_port: config.network.port,
            clock,
            config: ArcSwap::from_pointee(config.clone()),
            changing_config: Mutex::default(),
        };
        services.configure(config);
        services
    }

    /// Figures of upstream; `None` where there is none.
    pub fn upstream_stats(&self) -> Option<UpstreamStats> {
        self.upstream_probe.get().map(|probe| probe())
    }

    /// The tiers, as operators see them; `None` without an upstream.
    pub fn tier_control(&self) -> Option<Arc<dyn TierControl>> {
        self.tiers.get()?.upgrade()
    }

    /// Puts in force what `change` makes of the settings. Changes at the same time follow one another, so that
    /// none undoes another. On an error nothing has changed.
    pub fn change_config<E>(&self, change: impl FnOnce(&Config) -> Result<Config, E>) -> Result<(), E> {
        let _alone = self.changing_config.lock();
        let changed = change(&self.config.load())?;
        if let Some(unhonoured) = changed.unhonoured() {
            tracing::warn!("{unhonoured}");
        }
        self.configure(changed);
        Ok(())
    }

    fn configure(&self, config: Config) {
        let memory = &config.memory;
        let policy = by_name(memory.policy.name()).expect("the configuration names policies that exist");
        let tuning = Tuning {
            lfu_log_factor: memory.lfu_log_factor,
            lfu_decay_minutes: (memory.lfu_decay.as_secs() / 60) as u32,
        };
        self.store.configure(
            memory.maxmemory_bytes.unwrap_or(0),
            policy,
            memory.samples,
            tuning,
        );
        self.store.set_freshness(freshness_rules(&config));
        self.audit.configure(config.upstream.audit_log.clone());
        let statistics = &config.statistics;
        self.slowlog
            .configure(statistics.slowlog_threshold, statistics.slowlog_len_max);
        self.latency.configure(statistics.latency_threshold);
        self.counters.set_latency_tracking(statistics.latency_tracking);
        let output_max = config.network.output_limits.pubsub.hard_bytes;
        self.pubsub.set_output_max(output_max as usize);
        self.notifier
            .configure(config.general.keyspace_events, &self.store);
        let config = Arc::new(config);
        self.config.store(Arc::clone(&config));
        if let Some(configure) = self.on_configure.get() {
            configure(&config);
        }
    }
}

fn random_hex_40() -> String {
    let random = ahash::RandomState::new();
    let parts = [0u8, 1, 2].map(|part| format!("{:016x}", random.hash_one(part)));
    parts.concat()[..40].to_owned()
}

/// How old copies may be, by namespace.
fn freshness_rules(config: &Config) -> FreshnessRules {
    let copy_rules = |(index, namespace): (usize, Namespace)| {
        let rules = &namespace.rules;
        let copies = CopyRules {
            suspects: match rules.suspects {
                SuspectPolicy::Serve => Suspects::Serve,
                SuspectPolicy::Revalidate => Suspects::Revalidate,
                SuspectPolicy::Refuse => Suspects::Refuse,
            },
            max_stale_ms: rules.max_stale.as_millis() as u64,
            stale_ttl_ms: rules.stale_ttl.as_millis() as u64,
            early_refresh_ms: rules.early_refresh.as_millis() as u64,
            rescues: rules.fail_mode != FailMode::Error,
            is_local: rules.mode_with(&config.upstream) == TierMode::Off,
            namespace: index as u16,
        };
        (namespace.prefix, copies)
    };
    let all = config.namespaces().into_iter().enumerate().map(copy_rules);
    FreshnessRules::new(PrefixMap::new(all.collect()))
}
