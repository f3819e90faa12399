//! Health, as orchestrators ask for it.
//!
//! *Live* is a process that answers at all: one that does not should be started again. *Ready* is one that takes
//! new clients: traffic should go elsewhere meanwhile, and a restart would not help. A lost upstream makes neither
//! false: keys that are resident are still answered, and a restart would only empty the cache.
//!
//! *Health* is for people and their dashboards: what is not as it should be, and what to do about it. Of the tiers it is
//! what TIER HEALTH tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::http::StatusCode;

use crate::json::Object;
use crate::services::Services;
use crate::stats::findings::Severity::{Critical, Warning};
use crate::stats::findings::{self, Finding};
use crate::stats::upstream::UpstreamStats;

/// The answer of a live server.
pub const LIVE: &str = r#"{"status":"live"}"#;

/// What the server knows of its own health.
pub struct Health {
    services: Arc<Services>,
    is_stopping: AtomicBool,
}

impl Health {
    /// The health of a server that has begun to accept clients.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            is_stopping: AtomicBool::new(false),
        }
    }

    /// From now on the server is not ready.
    pub fn say_stopping(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Whether new clients are welcome: 200 or 503, and a JSON object that says why.
    ///
    /// `status` is `ready`, `degraded` (ready, but something between here and upstream is not well), `warming`, `full` or
    /// `stopping`.
    pub fn readiness(&self) -> (StatusCode, String) {
        let (clients, clients_max) = self.clients();
        let tiers = self.services.tier_control();
        let (code, status) = if self.is_stopping.load(Relaxed) {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping")
        } else if clients >= clients_max {
            (StatusCode::SERVICE_UNAVAILABLE, "full")
        } else if tiers.as_ref().is_some_and(|tiers| !tiers.is_warm()) {
            (StatusCode::SERVICE_UNAVAILABLE, "warming")
        } else if tiers.is_none_or(|tiers| findings::state(&tiers.findings()) == "ok") {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::OK, "degraded")
        };
        let body = Object::default()
            .text("status", status)
            .json("clients", clients)
            .json("clients_max", clients_max);
        let body = match self.services.upstream_stats() {
            Some(stats) => body.json("upstream", describe(&stats)),
            None => body,
        };
        (code, body.end())
    }

    /// What is not as it should be, as a JSON object: `status` (`ok`, `degraded` or `down`), `score` from 0 to 100, and
    /// `findings`, the worst first. The answer is 200 whatever it says: who asks wants to read it.
    pub fn report(&self) -> (StatusCode, String) {
        let mut found = self.findings();
        if let Some(tiers) = self.services.tier_control() {
            found.extend(tiers.findings());
        }
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let body = Object::default()
            .text("status", findings::state(&found))
            .json("score", findings::score(&found))
            .array("findings", found.iter().map(describe_finding));
        (StatusCode::OK, body.end())
    }

    /// What the server finds of itself, without its tiers.
    fn findings(&self) -> Vec<Finding> {
        let found = [
            self.is_stopping
                .load(Relaxed)
                .then(|| Finding::new(Critical, "the server is stopping", "send clients elsewhere")),
            self.find_clients(),
            self.find_memory(),
            self.find_audit(),
        ];
        found.into_iter().flatten().collect()
    }

    fn find_clients(&self) -> Option<Finding> {
        let (clients, clients_max) = self.clients();
        let severity = if clients >= clients_max {
            Critical
        } else if clients >= clients_max - clients_max / 10 {
            Warning
        } else {
            return None;
        };
        let what = format!("{clients} of {clients_max} clients are connected; further ones are refused");
        Some(Finding::new(
            severity,
            what,
            "raise maxclients, or find out who connects and does not leave",
        ))
    }

    fn find_memory(&self) -> Option<Finding> {
        let store = &self.services.store;
        let is_full = store.is_over_budget() && !store.policy().0.evicts();
        is_full.then(|| {
            let what = "maxmemory is reached and nothing may be evicted: what needs memory is refused";
            Finding::new(
                Critical,
                what,
                "raise maxmemory, or set a maxmemory-policy that evicts",
            )
        })
    }

    fn find_audit(&self) -> Option<Finding> {
        let lost = self.services.audit.lost();
        (lost > 0).then(|| {
            let what = format!("{lost} events could not be written to the audit log");
            Finding::new(
                Warning,
                what,
                "see that the folder of audit-log exists, may be written to, and has room",
            )
        })
    }

    /// How many there are, and how many there may be.
    fn clients(&self) -> (usize, usize) {
        let clients_max = self.services.config.load().network.clients_max;
        (self.services.clients.len(), clients_max as usize)
    }
}

fn describe_finding(finding: &Finding) -> String {
    Object::default()
        .text("severity", finding.severity.name())
        .text("what", &finding.what)
        .text("what_to_do", finding.advice)
        .end()
}

fn describe(upstream: &UpstreamStats) -> String {
    Object::default()
        .text("link", upstream.link)
        .text("breaker", upstream.breaker)
        .json("feed_lag_ms", upstream.feed_lag_ms)
        .end()
}
