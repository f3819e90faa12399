//! What is not as it should be between L1 and upstream.

use super::behind::Behind;
use super::breaker::State;
use super::status::{LinkState, Status, tuning};
use crate::config::Config;
use crate::limits::{FEED_PROBE_MS, LINK_ORDERS_MAX};
use crate::stats::findings::Finding;
use crate::stats::findings::Severity::{Critical, Notice, Warning};
use crate::stats::histogram::Distribution;

/// Fetches from which on the share of those that were in vain says something.
const FETCHES_MIN: u64 = 1000;

/// All findings at this time, in monotonic milliseconds, the worst first.
pub fn findings(status: &Status, behind: &Behind, config: &Config, now_ms: u64) -> Vec<Finding> {
    let timeout_ms = config.upstream.timeout.as_millis() as u64;
    let found = [
        link(status),
        breaker(status, config, now_ms),
        feed(status, timeout_ms, now_ms),
        pending(status),
        latency(status, timeout_ms),
        unkept(status),
        journal(behind),
        dirty_age(behind, config, now_ms),
        dead_letters(behind),
        lost(behind),
    ];
    let mut found: Vec<Finding> = found.into_iter().flatten().collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn link(status: &Status) -> Option<Finding> {
    match status.state() {
        LinkState::Up => None,
        LinkState::Connecting => Some(Finding::new(
            Warning,
            "the connection to upstream is being made",
            "wait; if this stays, see the log for the reason",
        )),
        LinkState::Down => Some(Finding::new(
            Critical,
            format!("upstream can't be asked: {}", status.why_down()),
            "see that upstream runs and that its address, password and certificates are right; keys that are here are \
             served meanwhile, and connecting is tried again and again",
        )),
    }
}

/// While there is no connection, the breaker says nothing that is not known already.
fn breaker(status: &Status, config: &Config, now_ms: u64) -> Option<Finding> {
    if status.state() == LinkState::Down {
        return None;
    }
    let (severity, what) = match status.breaker.state(now_ms, tuning(&config.upstream)) {
        State::Closed => return None,
        State::HalfOpen => (
            Warning,
            "the breaker lets one request through to see whether upstream answers again",
        ),
        State::Open => (
            Critical,
            "the breaker is open: upstream is left alone after it did not answer",
        ),
    };
    let advice = "find out why upstream is slow or silent (its SLOWLOG, its host, the network); TIER RESET closes the breaker";
    Some(Finding::new(severity, what, advice))
}

/// An idle link is as old as its last probe, whose answer may take as long as any.
fn feed(status: &Status, timeout_ms: u64, now_ms: u64) -> Option<Finding> {
    let lag_ms = status.feed_lag_ms(now_ms);
    let is_late = status.state() == LinkState::Up && lag_ms > FEED_PROBE_MS + timeout_ms;
    is_late.then(|| {
        Finding::new(
            Warning,
            format!("nothing has been heard of upstream for {lag_ms} ms, so copies may be as old"),
            "see that upstream is not blocked by a slow command; the connection is made anew when this lasts",
        )
    })
}

fn pending(status: &Status) -> Option<Finding> {
    let pending = status.pending();
    (pending > LINK_ORDERS_MAX / 2).then(|| {
        Finding::new(
            Warning,
            format!("{pending} requests wait for upstream; beyond {LINK_ORDERS_MAX} they are refused"),
            "upstream is too slow for what is asked of it: see TIER NODES for its latency, and which keys are missed",
        )
    })
}

fn latency(status: &Status, timeout_ms: u64) -> Option<Finding> {
    let mut latencies = Distribution::default();
    latencies.add(&status.latencies);
    let p99_ms = latencies.percentile(99.0) / 1_000_000;
    (p99_ms > timeout_ms / 2).then(|| {
        Finding::new(
            Notice,
            format!(
                "1 of 100 answers of upstream takes {p99_ms} ms or more, of {timeout_ms} ms that it may take"
            ),
            "find out what makes upstream slow, or raise upstream-timeout-ms",
        )
    })
}

fn unkept(status: &Status) -> Option<Finding> {
    let (kept, unkept) = (status.fills.get(), status.fills_not_kept.get());
    (unkept > kept && unkept >= FETCHES_MIN).then(|| {
        Finding::new(
            Notice,
            format!(
                "of {} values that were fetched, {unkept} are not kept here",
                kept + unkept
            ),
            "if that is not meant: raise maxmemory or fill-value-max-bytes, or see TIER PROMOTION",
        )
    })
}

fn journal(behind: &Behind) -> Option<Finding> {
    let figures = behind.journal_figures()?;
    let what = match (&figures.trouble, &figures.full) {
        (Some(trouble), _) => format!("the journal can't be written: {trouble}"),
        (None, Some(full)) => format!("writes can't be noted in the journal: {full}"),
        (None, None) => return None,
    };
    let advice =
        "make room on the disk of journal-dir, raise journal-max-bytes, or see why upstream takes no writes";
    Some(Finding::new(Critical, what, advice))
}

fn dirty_age(behind: &Behind, config: &Config, now_ms: u64) -> Option<Finding> {
    let age_max_ms = config.write_behind.age_max.as_millis() as u64;
    let age_ms = now_ms.saturating_sub(behind.oldest_dirty_since_ms()?);
    (age_max_ms > 0 && age_ms > age_max_ms / 2).then(|| {
        Finding::new(
            Warning,
            format!(
                "{} keys wait to be carried upstream, the oldest for {age_ms} ms of {age_max_ms}",
                behind.dirty_keys()
            ),
            "see why upstream takes no writes; beyond that age further ones wait or are refused",
        )
    })
}

fn dead_letters(behind: &Behind) -> Option<Finding> {
    let letters = behind.dead_letters();
    (letters > 0).then(|| {
        Finding::new(
            Warning,
            format!("{letters} writes were accepted here and refused by upstream for good"),
            "TIER DEADLETTER LIST shows them with upstream's reasons; RETRY them, or DROP them",
        )
    })
}

fn lost(behind: &Behind) -> Option<Finding> {
    let lost = behind.lost();
    (lost > 0).then(|| {
        Finding::new(
            Notice,
            format!(
                "{lost} writes that were accepted here never reached upstream: dead letters that were dropped"
            ),
            "see the audit log for who dropped them; if nobody did, there were more than are kept",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::services::Services;
    use crate::tiers::breaker;

    const NOW_MS: u64 = 1_000_000;

    fn status() -> Arc<Status> {
        let breaker = breaker::by_name("consecutive").unwrap();
        let status = Arc::new(Status::new(breaker, &Config::default()));
        status.set_state(LinkState::Up);
        status.note_sync(NOW_MS * 1_000_000);
        status
    }

    fn found(status: &Arc<Status>, now_ms: u64) -> Vec<Finding> {
        let services = Arc::new(Services::new(Config::default(), None));
        findings(
            status,
            &Behind::new(&services, status),
            &Config::default(),
            now_ms,
        )
    }

    #[test]
    fn all_is_well_when_the_link_is_up_and_idle() {
        assert_eq!(found(&status(), NOW_MS + FEED_PROBE_MS), []);
    }

    #[test]
    fn a_lost_link_is_critical_and_says_why() {
        let status = status();
        status.set_lost("redis://u: connection refused", LinkState::Down);
        let found = found(&status, NOW_MS + 60_000);
        assert_eq!((found.len(), found[0].severity), (1, Critical));
        assert!(found[0].what.ends_with("connection refused"), "{found:?}");
    }

    #[test]
    fn an_open_breaker_and_a_late_feed_are_told_the_worst_first() {
        let status = status();
        let tuning = tuning(&Config::default().upstream);
        for _ in 0..tuning.failures_max {
            status.breaker.failed(NOW_MS, tuning);
        }
        let severities: Vec<_> = found(&status, NOW_MS + tuning.open_ms / 2)
            .iter()
            .map(|finding| finding.severity)
            .collect();
        assert_eq!(severities, [Critical, Warning]);
        let severities: Vec<_> = found(&status, NOW_MS + 60_000)
            .iter()
            .map(|finding| finding.severity)
            .collect();
        assert_eq!(severities, [Warning, Warning], "the breaker is half open");
    }

    #[test]
    fn slow_answers_and_values_that_are_not_kept_are_noticed() {
        let status = status();
        let timeout_ms = Config::default().upstream.timeout.as_millis() as u64;
        status.note_reply(NOW_MS * 1_000_000, (NOW_MS + timeout_ms) * 1_000_000, true);
        status.fills_not_kept.add(FETCHES_MIN);
        let found = found(&status, NOW_MS);
        assert_eq!(
            found.iter().map(|finding| finding.severity).collect::<Vec<_>>(),
            [Notice, Notice]
        );
    }
}
