//! Metrics for Prometheus.
//!
//! Whoever counts goes on counting where it counts already; a scrape reads those figures into a recorder that
//! lives as long as the scrape. So CONFIG RESETSTAT shows as what it is, counters that begin anew, and nothing is
//! kept twice.

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::commands::index;
use crate::services::Services;
use crate::stats::counters::{CommandTotals, Traffic};
use crate::stats::memory::Memory;
use crate::stats::upstream::UpstreamStats;
use crate::store::{DatabaseSize, Totals};

/// What a metric is read from: name, where the figure is, help.
type Row<From, Figure> = (&'static str, fn(&From) -> Figure, &'static str);

/// Figures of the whole server, read once per scrape.
struct Figures {
    uptime_ms: u64,
    clients: usize,
    clients_max: u32,
    clients_blocked: usize,
    accepted: u64,
    rejected: u64,
    memory: Memory,
    totals: Totals,
    traffic: Traffic,
}

#[rustfmt::skip] // A table: one row per metric.
const COUNTERS: &[Row<Figures, u64>] = &[
    ("forebay_connections_accepted_total", |figures| figures.accepted,             "Connections accepted."),
    ("forebay_connections_rejected_total", |figures| figures.rejected,             "Connections refused because of maxclients."),
    ("forebay_network_input_bytes_total",  |figures| figures.traffic.input_bytes,  "Bytes read from clients."),
    ("forebay_network_output_bytes_total", |figures| figures.traffic.output_bytes, "Bytes written to clients."),
    ("forebay_evicted_keys_total",         |figures| figures.totals.evicted,       "Entries removed because memory was short."),
    ("forebay_expired_keys_total",         |figures| figures.totals.expired,       "Entries removed because their time was over."),
    ("forebay_expired_fields_total",       |figures| figures.totals.expired_fields, "Fields of hashes removed because their time was over."),
];

#[rustfmt::skip]
const GAUGES: &[Row<Figures, f64>] = &[
    ("forebay_uptime_seconds",        |figures| figures.uptime_ms as f64 / 1000.0,    "Time since the start."),
    ("forebay_clients",               |figures| figures.clients as f64,               "Connected clients."),
    ("forebay_clients_max",           |figures| figures.clients_max.into(),           "How many there may be (maxclients)."),
    ("forebay_clients_blocked",       |figures| figures.clients_blocked as f64,       "Clients whose command waits."),
    ("forebay_memory_used_bytes",     |figures| figures.memory.used as f64,           "Entries and their tables."),
    ("forebay_memory_max_bytes",      |figures| figures.memory.limit as f64,          "How much that may be (maxmemory); 0: no limit."),
    ("forebay_memory_clients_bytes",  |figures| figures.memory.clients as f64,        "Buffers of clients."),
    ("forebay_memory_heap_bytes",     |figures| figures.memory.heap.allocated as f64, "All that the allocator has given out."),
    ("forebay_memory_resident_bytes", |figures| figures.memory.resident as f64,       "Physical memory of the process."),
];

#[rustfmt::skip]
const OF_COMMANDS: &[Row<CommandTotals, u64>] = &[
    ("forebay_commands_total",              |totals| totals.calls,        "Commands run."),
    ("forebay_commands_microseconds_total", |totals| totals.microseconds, "Time that commands ran."),
    ("forebay_commands_rejected_total",     |totals| totals.rejected,     "Commands refused before they ran."),
    ("forebay_commands_failed_total",       |totals| totals.failed,       "Commands that ran and failed."),
];

#[rustfmt::skip]
const OF_DATABASES: &[Row<DatabaseSize, f64>] = &[
    ("forebay_db_keys",          |size| size.entries as f64,  "Entries of a database."),
    ("forebay_db_volatile_keys", |size| size.volatile as f64, "Entries of a database that will expire."),
];

#[rustfmt::skip]
const OF_TIERS: &[Row<TierCounts, Option<u64>>] = &[
    ("forebay_tier_hits_total",   |tier| Some(tier.hits),   "Keys that were asked for and found in the tier."),
    ("forebay_tier_misses_total", |tier| Some(tier.misses), "Keys that were asked for and not in the tier."),
    ("forebay_tier_fills_total",  |tier| tier.fills,        "Values that the tier took over from the one behind it."),
    ("forebay_tier_errors_total", |tier| tier.errors,       "Fetches from the tier that failed."),
];

#[rustfmt::skip]
const UPSTREAM_COUNTERS: &[Row<UpstreamStats, u64>] = &[
    ("forebay_upstream_forwarded_total", |stats| stats.forwarded,     "Requests of clients passed on."),
    ("forebay_upstream_timeouts_total",  |stats| stats.timeouts,      "Calls without an answer in time."),
    ("forebay_upstream_refused_total",   |stats| stats.refused,       "Calls refused without asking."),
    ("forebay_upstream_retries_total",   |stats| stats.retries,       "Calls made again over a new connection."),
    ("forebay_upstream_connects_total",  |stats| stats.connects,      "Connections made."),
    ("forebay_invalidations_total",      |stats| stats.invalidations, "Keys that others wrote, as the feed told."),
];

#[rustfmt::skip]
const UPSTREAM_GAUGES: &[Row<UpstreamStats, f64>] = &[
    ("forebay_upstream_up",      |stats| is(stats.link == "up"),              "1 while there is a connection."),
    ("forebay_upstream_pending", |stats| stats.pending as f64,                "Calls that wait for an answer."),
    ("forebay_feed_lag_seconds", |stats| stats.feed_lag_ms as f64 / 1000.0,   "How old L1's view of upstream may be."),
];

/// All metrics, in Prometheus's text format. O(shards × databases + commands + workers + clients).
pub fn page(services: &Services) -> String {
    let scrape = Scrape::new();
    let version = Some(("version", env!("CARGO_PKG_VERSION")));
    scrape.gauges(
        "forebay_build_info",
        "1, with the version of the server.",
        [(version, 1.0)],
    );
    describe_server(services, &scrape);
    describe_errors(services, &scrape);
    describe_commands(services, &scrape);
    describe_databases(services, &scrape);
    let upstream = services.upstream_stats();
    describe_tiers(services, upstream.as_ref(), &scrape);
    if let Some(stats) = upstream {
        describe_upstream(&stats, &scrape);
    }
    scrape.recorder.handle().render()
}

impl Figures {
    fn of(services: &Services) -> Self {
        let (accepted, rejected) = services.clients.accepted_and_rejected();
        Self {
            uptime_ms: services.clock.unix_ms().saturating_sub(services.started_at_ms),
            clients: services.clients.len(),
            clients_max: services.config.load().network.clients_max,
            clients_blocked: services.clients.blocked(),
            accepted,
            rejected,
            memory: Memory::of(services),
            totals: services.store.totals().0,
            traffic: services.counters.traffic(),
        }
    }
}

fn describe_server(services: &Services, scrape: &Scrape) {
    let figures = Figures::of(services);
    for (name, figure, help) in COUNTERS {
        scrape.counters(name, help, [(None, figure(&figures))]);
    }
    for (name, figure, help) in GAUGES {
        scrape.gauges(name, help, [(None, figure(&figures))]);
    }
}

fn describe_errors(services: &Services, scrape: &Scrape) {
    let errors = services.counters.errors();
    let samples = errors
        .iter()
        .map(|(kind, &count)| (Some(("error", kind.as_str())), count));
    scrape.counters(
        "forebay_error_replies_total",
        "Error replies, by their first word.",
        samples,
    );
}

/// Commands that nobody has sent have no sample.
fn describe_commands(services: &Services, scrape: &Scrape) {
    let totals = |entry: &'static index::Entry| (&*entry.full_name, services.counters.command(entry.id));
    let is_sent = |(_, totals): &(&str, CommandTotals)| *totals != CommandTotals::default();
    let sent: Vec<_> = index::all().iter().map(totals).filter(is_sent).collect();
    for (name, figure, help) in OF_COMMANDS {
        let samples = sent
            .iter()
            .map(|(command, totals)| (Some(("command", *command)), figure(totals)));
        scrape.counters(name, help, samples);
    }
}

/// Databases without entries have no sample.
fn describe_databases(services: &Services, scrape: &Scrape) {
    let size = |db: usize| (db.to_string(), services.store.size(db));
    let databases = (0..services.store.databases()).map(size);
    let sizes: Vec<_> = databases.filter(|(_, size)| size.entries > 0).collect();
    for (name, figure, help) in OF_DATABASES {
        let samples = sizes
            .iter()
            .map(|(db, size)| (Some(("db", db.as_str())), figure(size)));
        scrape.gauges(name, help, samples);
    }
}

/// What was counted of one tier. `None` where there is nothing to count: only L1 takes values over, and only
/// from upstream they are fetched.
struct TierCounts {
    hits: u64,
    misses: u64,
    fills: Option<u64>,
    errors: Option<u64>,
}

/// L1 is there always, upstream only where it is configured.
fn describe_tiers(services: &Services, upstream: Option<&UpstreamStats>, scrape: &Scrape) {
    let (totals, _) = services.store.totals();
    let (hits, misses) = upstream.copied().unwrap_or_default().l1_hits_and_misses(&totals);
    let l1 = TierCounts {
        hits,
        misses,
        fills: upstream.map(|stats| stats.fills),
        errors: None,
    };
    let upstream = upstream.map(
        |&UpstreamStats {
             hits, misses, errors, ..
         }| {
            (
                "upstream",
                TierCounts {
                    hits,
                    misses,
                    fills: None,
                    errors: Some(errors),
                },
            )
        },
    );
    let tiers: Vec<_> = [("l1", l1)].into_iter().chain(upstream).collect();
    for (name, figure, help) in OF_TIERS {
        let samples = tiers
            .iter()
            .filter_map(|(tier, counts)| Some((Some(("tier", *tier)), figure(counts)?)));
        scrape.counters(name, help, samples);
    }
}

fn describe_upstream(stats: &UpstreamStats, scrape: &Scrape) {
    for (name, figure, help) in UPSTREAM_COUNTERS {
        scrape.counters(name, help, [(None, figure(stats))]);
    }
    for (name, figure, help) in UPSTREAM_GAUGES {
        scrape.gauges(name, help, [(None, figure(stats))]);
    }
    let state = |state| (Some(("state", state)), is(state == stats.breaker));
    let states = ["closed", "half-open", "open"].map(state);
    scrape.gauges(
        "forebay_upstream_breaker",
        "1 for the state that the breaker is in.",
        states,
    );
}

fn is(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// One label of a sample, or none.
type SampleLabel<'a> = Option<(&'static str, &'a str)>;

/// The metrics of one scrape.
struct Scrape {
    recorder: PrometheusRecorder,
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Scrape {
    fn new() -> Self {
        Self {
            recorder: PrometheusBuilder::new().build_recorder(),
        }
    }

    /// Numbers that only grow, but for resets: one per label.
    fn counters<'a>(
        &self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (SampleLabel<'a>, u64)>,
    ) {
        self.recorder.describe_counter(name.into(), None, help.into());
        for (label, value) in samples {
            self.recorder
                .register_counter(&key(name, label), &METADATA)
                .absolute(value);
        }
    }

    /// Numbers that go up and down: one per label.
    fn gauges<'a>(
        &self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (SampleLabel<'a>, f64)>,
    ) {
        self.recorder.describe_gauge(name.into(), None, help.into());
        for (label, value) in samples {
            self.recorder
                .register_gauge(&key(name, label), &METADATA)
                .set(value);
        }
    }
}

fn key(name: &'static str, label: SampleLabel<'_>) -> Key {
    let labels = label.map(|(name, value)| Label::new(name, value.to_owned()));
    Key::from_parts(name, Vec::from_iter(labels))
}
