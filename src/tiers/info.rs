//! The INFO sections of the tiers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::behind::Behind;
use super::nodes::Nodes;
use super::status::{Status, tuning};
use super::upstream::Upstream;
use crate::services::Services;
use crate::stats::histogram::Distribution;
use crate::stats::upstream::UpstreamStats;

/// Adds the sections to what INFO shows.
pub fn publish(
    services: &Arc<Services>,
    status: &Arc<Status>,
    behind: &Arc<Behind>,
    upstream: &Arc<dyn Upstream>,
) {
    // Tiers that are started twice in a process, as tests do, leave the first one's figures in place.
    let (weak, probed) = (Arc::downgrade(services), Arc::clone(status));
    let probe = move || {
        weak.upgrade()
            .map_or_else(UpstreamStats::default, |services| stats(&services, &probed))
    };
    let _ = services.upstream_probe.set(Box::new(probe));
    let (weak, status, behind) = (Arc::downgrade(services), Arc::clone(status), Arc::clone(behind));
    let tried = Arc::clone(upstream);
    let write = move |sections: &mut Vec<(&'static str, String)>| {
        let Some(services) = weak.upgrade() else { return };
        sections.push(("Tiers", tiers(&services, &status)));
        sections.push(("L1", l1(&services, &status)));
        sections.push(("Upstream", upstream_section(&services, &status, tried.nodes())));
        sections.push(("Writebehind", write_behind(&services, &behind)));
        sections.push(("Coherence", coherence(&services, &status)));
    };
    let _ = services.tier_sections.set(Box::new(write));
}

/// What those who report on upstream are told.
pub fn stats(services: &Services, status: &Status) -> UpstreamStats {
    let now_ms = services.clock.monotonic_ms();
    UpstreamStats {
        link: status.state().name(),
        breaker: status
            .breaker
            .state(now_ms, tuning(&services.config.load().upstream))
            .name(),
        feed_lag_ms: status.feed_lag_ms(now_ms),
        pending: status.pending() as u64,
        hits: status.fills.get() + status.fills_not_kept.get(),
        misses: status.fills_missing.get(),
        errors: status.fill_errors.get(),
        fills: status.fills.get(),
        filled_reads: status.filled_reads.get(),
        unkept_reads: status.unkept_reads.get(),
        forwarded: status.forwarded.get() + status.relayed.get(),
        timeouts: status.timeouts.get(),
        refused: status.refused.get(),
        retries: status.retries.get(),
        invalidations: status.invalidations.get(),
        connects: status.connects.get(),
    }
}

fn tiers(services: &Services, status: &Status) -> String {
    let (totals, _) = services.store.totals();
    let stats = stats(services, status);
    let (l1_hits, l1_misses) = stats.l1_hits_and_misses(&totals);
    lines(&[
        ("tier_mode", &services.config.load().mode().name()),
        ("tier_l1_hits", &l1_hits),
        ("tier_l1_misses", &l1_misses),
        ("tier_upstream_hits", &stats.hits),
        ("tier_upstream_misses", &stats.misses),
        ("tier_upstream_errors", &stats.errors),
        ("tier_forwarded", &status.forwarded.get()),
        ("tier_relayed", &status.relayed.get()),
    ])
}

fn l1(services: &Services, status: &Status) -> String {
    let store = &services.store;
    let (totals, used_bytes) = store.totals();
    let entries: usize = (0..store.databases()).map(|db| store.size(db).entries).sum();
    lines(&[
        ("l1_entries", &entries),
        ("l1_used_bytes", &used_bytes),
        ("l1_evicted", &totals.evicted),
        ("l1_expired", &totals.expired),
        ("l1_compressed_values", &status.fills_packed.get()),
        ("l1_compression_saved_bytes", &status.packing_saved_bytes.get()),
    ])
}

fn upstream_section(services: &Services, status: &Status, nodes: &Nodes) -> String {
    let mut latencies = Distribution::default();
    latencies.add(&status.latencies);
    let microseconds = |percent| latencies.percentile(percent) / 1000;
    let now_ms = services.clock.monotonic_ms();
    let config = services.config.load();
    lines(&[
        ("upstream_address", &nodes.active().name()),
        ("upstream_link", &status.state().name()),
        ("upstream_connects", &status.connects.get()),
        ("upstream_failures", &status.failures.get()),
        (
            "upstream_breaker",
            &status.breaker.state(now_ms, tuning(&config.upstream)).name(),
        ),
        ("upstream_pending", &status.pending()),
        ("upstream_timeouts", &status.timeouts.get()),
        ("upstream_refused", &status.refused.get()),
        ("upstream_retries", &status.retries.get()),
        ("upstream_sessions", &status.sessions.load(Relaxed)),
        ("upstream_sessions_idle", &status.sessions_idle.load(Relaxed)),
        ("upstream_sessions_opened", &status.sessions_opened.get()),
        ("upstream_sessions_reused", &status.sessions_reused.get()),
        ("upstream_latency_us_p50", &microseconds(50.0)),
        ("upstream_latency_us_p95", &microseconds(95.0)),
        ("upstream_latency_us_p99", &microseconds(99.0)),
    ])
}

fn coherence(services: &Services, status: &Status) -> String {
    let (totals, _) = services.store.totals();
    lines(&[
        ("feed_lag_ms", &status.feed_lag_ms(services.clock.monotonic_ms())),
        ("feed_mode", &status.feed_mode().name()),
        ("feed_invalidations", &status.invalidations.get()),
        ("feed_flushes", &status.flushes.get()),
        ("warmed_keys", &status.warmed.get()),
        ("checked_copies", &status.checks.checked.get()),
        ("mismatched_copies", &status.checks.mismatched.get()),
        ("announcements", &status.announcements.get()),
        ("announcements_refused", &status.announcements_refused.get()),
        ("suspect_keys", &services.store.suspects()),
        ("stale_served", &totals.stale_served),
        ("refreshes", &status.refreshes.get()),
        ("fills", &status.fills.get()),
        ("fills_tainted", &status.fills_tainted.get()),
        ("fills_not_kept", &status.fills_not_kept.get()),
    ])
}

fn write_behind(services: &Services, behind: &Behind) -> String {
    let figures = behind.journal_figures().unwrap_or_default();
    let now_ms = services.clock.monotonic_ms();
    let oldest = behind.oldest_dirty_since_ms();
    let oldest_dirty_ms = oldest.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
    let counts = &behind.counts;
    let (totals, _) = services.store.totals();
    let full = figures
        .full
        .map_or_else(|| "no".to_owned(), |full| full.to_string());
    lines(&[
        ("dirty_keys", &behind.dirty_keys()),
        ("dirty_bytes", &behind.dirty_bytes()),
        ("oldest_dirty_ms", &oldest_dirty_ms),
        ("journal_open", &u8::from(behind.is_open())),
        ("journal_bytes", &figures.disk_bytes),
        ("journal_live_bytes", &figures.live_bytes),
        ("journal_segments", &figures.segments),
        ("journal_syncs", &figures.syncs),
        ("journal_sync_us_max", &figures.sync_us_max),
        ("journal_full", &full),
        ("carried", &counts.carried.get()),
        ("coalesced", &counts.coalesced.get()),
        ("carry_retries", &counts.retried.get()),
        ("replayed", &counts.replayed.get()),
        ("conflicts", &totals.conflicts),
        ("refused_for_good", &counts.refused.get()),
        ("dead_letters", &behind.dead_letters()),
        ("lost", &behind.lost()),
    ])
}

fn lines(fields: &[(&str, &dyn std::fmt::Display)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        write!(text, "{name}:{value}\r\n").expect("writing to a String does not fail");
    }
    text
}
