//! Metrics for Prometheus.
//!
//! Whoever counts goes on counting where it counts already; a scrape reads those figures into a recorder that
//! lives as long as the scrape. So CONFIG RESETSTAT shows as what it is, counters that begin anew, and nothing is
//! kept twice.

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::commands::index;
use crate::services::Services;
use crate::stats::counters::CommandTotals;
use crate::stats::memory::Memory;
use crate::stats::upstream::UpstreamStats;

/// All metrics, in Prometheus's text format. O(shards × databases + commands + workers).
pub fn page(services: &Services) -> String {
    let scrape = Scrape::new();
    describe_process(services, &scrape);
    describe_clients(services, &scrape);
    describe_traffic(services, &scrape);
    describe_commands(services, &scrape);
    describe_memory(services, &scrape);
    describe_removals(services, &scrape);
    describe_keyspace(services, &scrape);
    describe_tiers(services, &scrape);
    scrape.recorder.handle().render()
}

/// One label of a sample, or none.
type Labels<'a> = Option<(&'static str, &'a str)>;

/// The metrics of one scrape.
struct Scrape {
    recorder: PrometheusRecorder,
}

impl Scrape {
    fn new() -> Self {
        Self {
            recorder: PrometheusBuilder::new().build_recorder(),
        }
    }

    /// A number that only grows, but for resets.
    fn counter(&self, name: &'static str, help: &'static str, value: u64) {
        self.counters(name, help, [(None, value)]);
    }

    /// The same, once per label.
    fn counters<'a>(
        &self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        self.recorder.describe_counter(name.into(), None, help.into());
        for (labels, value) in samples {
            self.recorder
                .register_counter(&key(name, labels), &METADATA)
                .absolute(value);
        }
    }

    /// A number that goes up and down.
    fn gauge(&self, name: &'static str, help: &'static str, value: f64) {
        self.gauges(name, help, [(None, value)]);
    }

    /// The same, once per label.
    fn gauges<'a>(
        &self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        self.recorder.describe_gauge(name.into(), None, help.into());
        for (labels, value) in samples {
            self.recorder
                .register_gauge(&key(name, labels), &METADATA)
                .set(value);
        }
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

fn key(name: &'static str, label: Labels<'_>) -> Key {
    let labels: Vec<Label> = label
        .map(|(name, value)| Label::new(name, value.to_owned()))
        .into_iter()
        .collect();
    Key::from_parts(name, labels)
}

fn describe_process(services: &Services, scrape: &Scrape) {
    let uptime_ms = services.clock.unix_ms().saturating_sub(services.started_at_ms);
    let version = Some(("version", env!("CARGO_PKG_VERSION")));
    scrape.gauges(
        "forebay_build_info",
        "1, with the version of the server.",
        [(version, 1.0)],
    );
    scrape.gauge(
        "forebay_uptime_seconds",
        "Time since the start.",
        uptime_ms as f64 / 1000.0,
    );
}

fn describe_clients(services: &Services, scrape: &Scrape) {
    let clients = &services.clients;
    let (accepted, rejected) = clients.accepted_and_rejected();
    let clients_max = services.config.load().network.clients_max;
    scrape.gauge("forebay_clients", "Connected clients.", clients.len() as f64);
    scrape.gauge(
        "forebay_clients_max",
        "How many there may be (maxclients).",
        clients_max.into(),
    );
    scrape.gauge(
        "forebay_clients_blocked",
        "Clients whose command waits.",
        clients.blocked() as f64,
    );
    scrape.counter(
        "forebay_connections_accepted_total",
        "Connections accepted.",
        accepted,
    );
    scrape.counter(
        "forebay_connections_rejected_total",
        "Connections refused because of maxclients.",
        rejected,
    );
}

fn describe_traffic(services: &Services, scrape: &Scrape) {
    let traffic = services.counters.traffic();
    scrape.counter(
        "forebay_network_input_bytes_total",
        "Bytes read from clients.",
        traffic.input_bytes,
    );
    scrape.counter(
        "forebay_network_output_bytes_total",
        "Bytes written to clients.",
        traffic.output_bytes,
    );
    let errors = services.counters.errors();
    let by_kind = errors
        .iter()
        .map(|(kind, &count)| (Some(("error", kind.as_str())), count));
    scrape.counters(
        "forebay_error_replies_total",
        "Error replies, by their first word.",
        by_kind,
    );
}

/// Commands that nobody has sent have no sample.
fn describe_commands(services: &Services, scrape: &Scrape) {
    let totals = |entry: &'static index::Entry| (&*entry.full_name, services.counters.command(entry.id));
    let sent: Vec<(&str, CommandTotals)> = index::all()
        .iter()
        .map(totals)
        .filter(|(_, totals)| *totals != CommandTotals::default())
        .collect();
    let family = |name, help, figure: fn(&CommandTotals) -> u64| {
        let samples = sent
            .iter()
            .map(|(command, totals)| (Some(("command", *command)), figure(totals)));
        scrape.counters(name, help, samples);
    };
    family("forebay_commands_total", "Commands run.", |totals| totals.calls);
    family(
        "forebay_commands_microseconds_total",
        "Time that commands ran.",
        |totals| totals.microseconds,
    );
    family(
        "forebay_commands_rejected_total",
        "Commands refused before they ran.",
        |totals| totals.rejected,
    );
    family(
        "forebay_commands_failed_total",
        "Commands that ran and failed.",
        |totals| totals.failed,
    );
}

fn describe_memory(services: &Services, scrape: &Scrape) {
    let memory = Memory::of(services);
    scrape.gauge(
        "forebay_memory_used_bytes",
        "Entries and their tables.",
        memory.used as f64,
    );
    scrape.gauge(
        "forebay_memory_max_bytes",
        "How much that may be (maxmemory); 0: no limit.",
        memory.limit as f64,
    );
    scrape.gauge(
        "forebay_memory_clients_bytes",
        "Buffers of clients.",
        memory.clients as f64,
    );
    scrape.gauge(
        "forebay_memory_heap_bytes",
        "All that the allocator has given out.",
        memory.heap.allocated as f64,
    );
    scrape.gauge(
        "forebay_memory_resident_bytes",
        "Physical memory of the process.",
        memory.resident as f64,
    );
}

fn describe_removals(services: &Services, scrape: &Scrape) {
    let (totals, _) = services.store.totals();
    scrape.counter(
        "forebay_evicted_keys_total",
        "Entries removed because memory was short.",
        totals.evicted,
    );
    scrape.counter(
        "forebay_expired_keys_total",
        "Entries removed because their time was over.",
        totals.expired,
    );
}

/// Databases without entries have no sample.
fn describe_keyspace(services: &Services, scrape: &Scrape) {
    let store = &services.store;
    let size = |db: usize| (db.to_string(), store.size(db));
    let sizes: Vec<_> = (0..store.databases())
        .map(size)
        .filter(|(_, size)| size.entries > 0)
        .collect();
    let entries = sizes
        .iter()
        .map(|(db, size)| (Some(("db", db.as_str())), size.entries as f64));
    let volatile = sizes
        .iter()
        .map(|(db, size)| (Some(("db", db.as_str())), size.volatile as f64));
    scrape.gauges("forebay_db_keys", "Entries of a database.", entries);
    scrape.gauges(
        "forebay_db_volatile_keys",
        "Entries of a database that will expire.",
        volatile,
    );
}

/// L1 is there always; the figures of upstream only where there is one.
fn describe_tiers(services: &Services, scrape: &Scrape) {
    let (l1, _) = services.store.totals();
    let upstream = services.upstream_stats();
    let family = |name, help, l1_count, upstream_count: fn(&UpstreamStats) -> u64| {
        let l1 = (Some(("tier", "l1")), l1_count);
        let upstream = upstream
            .iter()
            .map(|stats| (Some(("tier", "upstream")), upstream_count(stats)));
        scrape.counters(name, help, upstream.chain([l1]));
    };
    family(
        "forebay_tier_hits_total",
        "Keys that were asked for and found in the tier.",
        l1.hits,
        |stats| stats.hits,
    );
    family(
        "forebay_tier_misses_total",
        "Keys that were asked for and not in the tier.",
        l1.misses,
        |stats| stats.misses,
    );
    let Some(stats) = upstream else { return };
    let of_l1 = [(Some(("tier", "l1")), stats.fills)];
    scrape.counters(
        "forebay_tier_fills_total",
        "Values that the tier took from the one behind it.",
        of_l1,
    );
    let of_upstream = [(Some(("tier", "upstream")), stats.errors)];
    scrape.counters(
        "forebay_tier_errors_total",
        "Fetches from the tier that failed.",
        of_upstream,
    );
    describe_upstream(&stats, scrape);
}

fn describe_upstream(stats: &UpstreamStats, scrape: &Scrape) {
    let is = |condition: bool| f64::from(u8::from(condition));
    let breaker =
        ["closed", "half-open", "open"].map(|state| (Some(("state", state)), is(state == stats.breaker)));
    scrape.gauge(
        "forebay_upstream_up",
        "1 while there is a connection.",
        is(stats.link == "up"),
    );
    scrape.gauges(
        "forebay_upstream_breaker",
        "1 for the state that the breaker is in.",
        breaker,
    );
    scrape.gauge(
        "forebay_upstream_pending",
        "Calls that wait for an answer.",
        stats.pending as f64,
    );
    scrape.gauge(
        "forebay_feed_lag_seconds",
        "How old L1's view of upstream may be.",
        stats.feed_lag_ms as f64 / 1000.0,
    );
    scrape.counter(
        "forebay_upstream_forwarded_total",
        "Requests of clients passed on.",
        stats.forwarded,
    );
    scrape.counter(
        "forebay_upstream_timeouts_total",
        "Calls without an answer in time.",
        stats.timeouts,
    );
    scrape.counter(
        "forebay_upstream_refused_total",
        "Calls refused without asking.",
        stats.refused,
    );
    scrape.counter(
        "forebay_upstream_connects_total",
        "Connections made.",
        stats.connects,
    );
    scrape.counter(
        "forebay_invalidations_total",
        "Keys that others wrote, as the feed told.",
        stats.invalidations,
    );
}
