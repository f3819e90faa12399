//! The INFO report: one function a section, in the order of `SECTIONS`.
//!
//! Fields are those of Redis 7 as far as they mean something here. Of what this server does not do (fork, replicate,
//! log to disk) the report has the fields that monitoring tools read, with the value that Redis shows when it does
//! not do it either: they stand in tables of constants.

use std::fmt::{Display, Write as _};

use super::counters::CommandTotals;
use super::memory::{Human, Memory, ratio};
use super::{allocator, process};
use crate::commands::index;
use crate::pubsub::Kind;
use crate::services::Services;
use crate::store::{Cursor, Visit};

/// A section of the report.
struct Section {
    title: &'static str,
    /// Whether it is shown when no section is asked for.
    by_default: bool,
    write: fn(&Services, &mut Lines),
}

const fn section(title: &'static str, write: fn(&Services, &mut Lines)) -> Section {
    Section {
        title,
        by_default: true,
        write,
    }
}

const fn on_demand(title: &'static str, write: fn(&Services, &mut Lines)) -> Section {
    Section {
        title,
        by_default: false,
        write,
    }
}

const SECTIONS: &[Section] = &[
    section("Server", server),
    section("Clients", clients),
    section("Memory", memory),
    section("Persistence", persistence),
    section("Stats", stats),
    section("Replication", replication),
    section("CPU", cpu),
    section("Modules", |_, _| ()),
    on_demand("Commandstats", command_stats),
    section("Errorstats", error_stats),
    on_demand("Latencystats", latency_stats),
    section("Cluster", |_, lines| lines.put("cluster_enabled", 0)),
    section("Keyspace", keyspace),
];

/// The names by which a client asked for sections.
pub struct Wanted<'a>(Vec<&'a [u8]>);

impl<'a> Wanted<'a> {
    /// The sections with these names, in any case; none stands for `default`.
    pub fn new(names: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(names.collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn includes(&self, title: &str, by_default: bool) -> bool {
        let shown_by_default = by_default && (self.0.is_empty() || self.has("default"));
        shown_by_default || self.has(title) || self.has("all") || self.has("everything")
    }
}

/// The report: the sections wanted, each once. O(shards × databases + clients + commands).
pub fn report(services: &Services, wanted: &Wanted<'_>) -> String {
    let mut lines = Lines::default();
    for section in SECTIONS
        .iter()
        .filter(|section| wanted.includes(section.title, section.by_default))
    {
        lines.begin(section.title);
        (section.write)(services, &mut lines);
    }
    let mut tiers = Vec::new();
    if let Some(write) = services.tier_sections.get() {
        write(&mut tiers);
    }
    for (title, body) in tiers.iter().filter(|(title, _)| wanted.includes(title, true)) {
        lines.begin(title);
        lines.0.push_str(body);
    }
    lines.0
}

/// Lines `name:value` below titles.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn begin(&mut self, title: &str) {
        let gap = if self.0.is_empty() { "" } else { "\r\n" };
        write!(self.0, "{gap}# {title}\r\n").expect("writing to a String does not fail");
    }

    fn put(&mut self, name: impl Display, value: impl Display) {
        write!(self.0, "{name}:{value}\r\n").expect("writing to a String does not fail");
    }

    fn put_all(&mut self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            self.put(name, value);
        }
    }

    /// Bytes, as a number and in the line behind it as people read them.
    fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(format_args!("{name}_human"), Human(bytes));
    }
}

fn server(services: &Services, lines: &mut Lines) {
    let config = services.config.load();
    let system = rustix::system::uname();
    let uptime_s = services.clock.monotonic_ms() / 1000;
    let executable = std::env::current_exe().unwrap_or_default();
    lines.put("redis_version", &config.general.redis_version);
    lines.put("forebay_version", env!("CARGO_PKG_VERSION"));
    lines.put_all(&[
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", "0"),
        ("redis_mode", "standalone"),
    ]);
    let os = [system.sysname(), system.release(), system.machine()].map(std::ffi::CStr::to_string_lossy);
    lines.put("os", os.join(" "));
    lines.put("arch_bits", usize::BITS);
    lines.put("multiplexing_api", "epoll");
    lines.put("process_id", std::process::id());
    lines.put("run_id", &services.run_id);
    lines.put("tcp_port", services.tcp_port);
    lines.put("server_time_usec", services.clock.unix_us());
    lines.put("uptime_in_seconds", uptime_s);
    lines.put("uptime_in_days", uptime_s / 86_400);
    // Sweeps and samples are taken ten times a second, whatever the load.
    lines.put_all(&[("hz", "10"), ("configured_hz", "10")]);
    lines.put("lru_clock", (services.clock.unix_ms() / 1000) & 0x00ff_ffff);
    lines.put("executable", executable.display());
    let file = services
        .config_file
        .as_deref()
        .and_then(|path| std::path::absolute(path).ok());
    lines.put("config_file", file.unwrap_or_default().display());
    lines.put("io_threads_active", 0);
    lines.put("worker_threads", services.counters.workers());
}

fn clients(services: &Services, lines: &mut Lines) {
    let all = services.clients.list();
    let longest_query = all.iter().map(|client| client.query().0).max().unwrap_or(0);
    let longest_output = all.iter().map(|client| client.output_bytes()).max().unwrap_or(0);
    lines.put("connected_clients", all.len());
    lines.put("cluster_connections", 0);
    lines.put("maxclients", services.config.load().network.clients_max);
    lines.put("client_recent_max_input_buffer", longest_query);
    lines.put("client_recent_max_output_buffer", longest_output);
    lines.put("blocked_clients", services.clients.blocked());
    lines.put_all(&[("tracking_clients", "0"), ("clients_in_timeout_table", "0")]);
    lines.put(
        "pubsub_clients",
        all.iter().filter(|client| client.is_subscribed()).count(),
    );
}

fn memory(services: &Services, lines: &mut Lines) {
    let memory = Memory::of(services);
    lines.put_bytes("used_memory", memory.used);
    lines.put_bytes("used_memory_rss", memory.resident);
    lines.put_bytes("used_memory_peak", memory.peak);
    lines.put(
        "used_memory_peak_perc",
        Percent(ratio(memory.used, memory.peak) * 100.0),
    );
    lines.put("used_memory_overhead", memory.overhead());
    lines.put("used_memory_startup", memory.startup);
    lines.put("used_memory_dataset", memory.dataset());
    lines.put("used_memory_dataset_perc", Percent(memory.dataset_percent()));
    lines.put_bytes("total_system_memory", process::machine_bytes());
    lines.put_bytes("maxmemory", memory.limit);
    lines.put("maxmemory_policy", services.config.load().memory.policy.name());
    fragmentation(&memory, lines);
    let reclaimed = services.store.reclaimed();
    lines.put("lazyfree_pending_objects", reclaimed.pending);
    lines.put("lazyfreed_objects", reclaimed.freed);
    lines.put("mem_clients_normal", memory.clients);
    lines.put("mem_allocator", allocator::name());
    lines.put_all(NO_OTHER_MEMORY);
}

/// Each ratio compares what one layer holds with what the layer above it uses.
fn fragmentation(memory: &Memory, lines: &mut Lines) {
    let heap = memory.heap;
    let layers = [
        ("allocator_frag", heap.active, heap.allocated),
        ("allocator_rss", heap.resident, heap.active),
        ("rss_overhead", memory.resident, heap.resident),
    ];
    lines.put("allocator_allocated", heap.allocated);
    lines.put("allocator_active", heap.active);
    lines.put("allocator_resident", heap.resident);
    for (name, held, used) in layers {
        lines.put(
            format_args!("{name}_ratio"),
            format_args!("{:.2}", ratio(held, used)),
        );
        lines.put(format_args!("{name}_bytes"), held as i64 - used as i64);
    }
    lines.put(
        "mem_fragmentation_ratio",
        format_args!("{:.2}", ratio(memory.resident, heap.allocated)),
    );
    lines.put(
        "mem_fragmentation_bytes",
        memory.resident as i64 - heap.allocated as i64,
    );
}

struct Percent(f64);

impl Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}%", self.0)
    }
}

fn persistence(services: &Services, lines: &mut Lines) {
    let (totals, _) = services.store.totals();
    // Nothing was ever saved: that is all changes since the start, which is also what Redis calls the last save.
    lines.put("rdb_changes_since_last_save", totals.changes);
    lines.put("rdb_last_save_time", services.started_at_ms / 1000);
    lines.put_all(NO_PERSISTENCE);
}

fn stats(services: &Services, lines: &mut Lines) {
    let (accepted, rejected) = services.clients.accepted_and_rejected();
    let traffic = services.counters.traffic();
    let (totals, _) = services.store.totals();
    let rates = services.vitals.rates();
    let kbps = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    lines.put("total_connections_received", accepted);
    lines.put("total_commands_processed", traffic.commands);
    lines.put("instantaneous_ops_per_sec", rates.commands.round());
    lines.put("total_net_input_bytes", traffic.input_bytes);
    lines.put("total_net_output_bytes", traffic.output_bytes);
    lines.put("instantaneous_input_kbps", kbps(rates.input_bytes));
    lines.put("instantaneous_output_kbps", kbps(rates.output_bytes));
    lines.put("rejected_connections", rejected);
    lines.put("expired_keys", totals.expired);
    lines.put("expired_subkeys", totals.expired_fields);
    lines.put(
        "expired_stale_perc",
        format_args!("{:.2}", services.vitals.stale_percent()),
    );
    lines.put("evicted_keys", totals.evicted);
    lines.put("keyspace_hits", totals.hits);
    lines.put("keyspace_misses", totals.misses);
    lines.put("pubsub_channels", services.pubsub.count(Kind::Channel));
    lines.put("pubsub_patterns", services.pubsub.count(Kind::Pattern));
    lines.put("pubsubshard_channels", services.pubsub.count(Kind::ShardChannel));
    lines.put("total_error_replies", services.counters.errors_total());
    lines.put("total_reads_processed", traffic.reads);
    lines.put("total_writes_processed", traffic.writes);
    let (by_query, by_output) = services.clients.limit_disconnections();
    lines.put("client_query_buffer_limit_disconnections", by_query);
    lines.put("client_output_buffer_limit_disconnections", by_output);
    lines.put_all(NO_OTHER_STATS);
}

fn replication(services: &Services, lines: &mut Lines) {
    lines.put_all(&[
        ("role", "master"),
        ("connected_slaves", "0"),
        ("master_failover_state", "no-failover"),
    ]);
    lines.put("master_replid", &services.run_id);
    lines.put_all(NO_REPLICAS);
}

fn cpu(_: &Services, lines: &mut Lines) {
    let seconds = |value: f64| format!("{value:.6}");
    let (all, main) = (process::cpu_times(), process::main_thread_cpu_times());
    lines.put("used_cpu_sys", seconds(all.system_s));
    lines.put("used_cpu_user", seconds(all.user_s));
    lines.put_all(&[
        ("used_cpu_sys_children", "0.000000"),
        ("used_cpu_user_children", "0.000000"),
    ]);
    lines.put("used_cpu_sys_main_thread", seconds(main.system_s));
    lines.put("used_cpu_user_main_thread", seconds(main.user_s));
}

fn command_stats(services: &Services, lines: &mut Lines) {
    for entry in index::all() {
        let totals = services.counters.command(entry.id);
        if totals == CommandTotals::default() {
            continue;
        }
        let CommandTotals {
            calls,
            microseconds,
            rejected,
            failed,
        } = totals;
        let per_call = if calls == 0 {
            0.0
        } else {
            microseconds as f64 / calls as f64
        };
        lines.put(
            format_args!("cmdstat_{}", entry.full_name),
            format_args!(
                "calls={calls},usec={microseconds},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

fn error_stats(services: &Services, lines: &mut Lines) {
    for (prefix, count) in services.counters.errors() {
        lines.put(format_args!("errorstat_{prefix}"), format_args!("count={count}"));
    }
}

fn latency_stats(services: &Services, lines: &mut Lines) {
    let percentiles = services.config.load().statistics.latency_percentiles.clone();
    for entry in index::all() {
        let latencies = services.counters.latencies(entry.id);
        if latencies.total() == 0 {
            continue;
        }
        let shown = percentiles.iter().map(|percent| {
            let microseconds = latencies.percentile(*percent) as f64 / 1000.0;
            format!("p{percent}={microseconds:.3}")
        });
        let shown: Vec<String> = shown.collect();
        lines.put(
            format_args!("latency_percentiles_usec_{}", entry.full_name),
            shown.join(","),
        );
    }
}

fn keyspace(services: &Services, lines: &mut Lines) {
    for (db, size) in services.store.sizes().into_iter().enumerate() {
        if size.entries > 0 {
            let (keys, expires) = (size.entries, size.volatile);
            let avg_ttl = if expires == 0 {
                0
            } else {
                average_ttl_ms(services, db)
            };
            lines.put(
                format_args!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl}"),
            );
        }
    }
}

/// The mean of what entries have left to live, in milliseconds, over those of a sample that have a deadline. Entries
/// stand in the order of a hash with a random key, so the first ones are a fair sample.
fn average_ttl_ms(services: &Services, db: usize) -> u64 {
    const SAMPLE: usize = 256;
    let visit = Visit::new(db, services.clock.unix_ms());
    let (mut sum_ms, mut count) = (0, 0);
    services.store.scan(Cursor(0), SAMPLE, visit, |entry| {
        if let Some(deadline_ms) = entry.deadline_ms() {
            sum_ms += deadline_ms.saturating_sub(visit.now_ms);
            count += 1;
        }
    });
    sum_ms.checked_div(count).unwrap_or(0)
}

const NO_OTHER_MEMORY: &[(&str, &str)] = &[
    ("number_of_cached_scripts", "0"),
    ("number_of_functions", "0"),
    ("number_of_libraries", "0"),
    ("mem_not_counted_for_evict", "0"),
    ("mem_replication_backlog", "0"),
    ("mem_total_replication_buffers", "0"),
    ("mem_clients_slaves", "0"),
    ("mem_cluster_links", "0"),
    ("mem_aof_buffer", "0"),
    ("active_defrag_running", "0"),
];

const NO_PERSISTENCE: &[(&str, &str)] = &[
    ("loading", "0"),
    ("async_loading", "0"),
    ("current_cow_size", "0"),
    ("current_fork_perc", "0.00"),
    ("current_save_keys_processed", "0"),
    ("current_save_keys_total", "0"),
    ("rdb_bgsave_in_progress", "0"),
    ("rdb_last_bgsave_status", "ok"),
    ("rdb_last_bgsave_time_sec", "-1"),
    ("rdb_current_bgsave_time_sec", "-1"),
    ("rdb_saves", "0"),
    ("rdb_last_cow_size", "0"),
    ("rdb_last_load_keys_expired", "0"),
    ("rdb_last_load_keys_loaded", "0"),
    ("aof_enabled", "0"),
    ("aof_rewrite_in_progress", "0"),
    ("aof_rewrite_scheduled", "0"),
    ("aof_last_rewrite_time_sec", "-1"),
    ("aof_current_rewrite_time_sec", "-1"),
    ("aof_last_bgrewrite_status", "ok"),
    ("aof_last_write_status", "ok"),
    ("aof_last_cow_size", "0"),
    ("module_fork_in_progress", "0"),
    ("module_fork_last_cow_size", "0"),
];

const NO_OTHER_STATS: &[(&str, &str)] = &[
    ("total_net_repl_input_bytes", "0"),
    ("total_net_repl_output_bytes", "0"),
    ("instantaneous_input_repl_kbps", "0.00"),
    ("instantaneous_output_repl_kbps", "0.00"),
    ("sync_full", "0"),
    ("sync_partial_ok", "0"),
    ("sync_partial_err", "0"),
    ("expired_time_cap_reached_count", "0"),
    ("evicted_clients", "0"),
    ("latest_fork_usec", "0"),
    ("total_forks", "0"),
    ("migrate_cached_sockets", "0"),
    ("slave_expires_tracked_keys", "0"),
    ("active_defrag_hits", "0"),
    ("active_defrag_misses", "0"),
    ("active_defrag_key_hits", "0"),
    ("active_defrag_key_misses", "0"),
    ("tracking_total_keys", "0"),
    ("tracking_total_items", "0"),
    ("tracking_total_prefixes", "0"),
    ("unexpected_error_replies", "0"),
    ("dump_payload_sanitizations", "0"),
    ("io_threaded_reads_processed", "0"),
    ("io_threaded_writes_processed", "0"),
];

const NO_REPLICAS: &[(&str, &str)] = &[
    ("master_replid2", "0000000000000000000000000000000000000000"),
    ("master_repl_offset", "0"),
    ("second_repl_offset", "-1"),
    ("repl_backlog_active", "0"),
    ("repl_backlog_size", "1048576"),
    ("repl_backlog_first_byte_offset", "0"),
    ("repl_backlog_histlen", "0"),
];
