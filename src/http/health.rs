//! Health, as orchestrators ask for it.
//!
//! *Live* is a process that answers at all: one that does not should be started again. *Ready* is one that takes
//! new clients: traffic should go elsewhere meanwhile, and a restart would not help. A lost upstream makes neither
//! false: keys that are resident are still answered, and a restart would only empty the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::http::StatusCode;

use crate::services::Services;
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
    /// `status` is `ready`, `degraded` (ready, but upstream can't be asked), `full` or `stopping`.
    pub fn readiness(&self) -> (StatusCode, String) {
        let clients = self.services.clients.len();
        let clients_max = self.services.config.load().network.clients_max;
        let upstream = self.services.upstream_stats();
        let (code, status) = if self.is_stopping.load(Relaxed) {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping")
        } else if clients >= clients_max as usize {
            (StatusCode::SERVICE_UNAVAILABLE, "full")
        } else if upstream.as_ref().is_none_or(UpstreamStats::is_well) {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::OK, "degraded")
        };
        let upstream = upstream.map(|stats| describe(&stats)).unwrap_or_default();
        let body =
            format!(r#"{{"status":"{status}","clients":{clients},"clients_max":{clients_max}{upstream}}}"#);
        (code, body)
    }
}

/// One more member of the JSON object.
fn describe(upstream: &UpstreamStats) -> String {
    let UpstreamStats {
        link,
        breaker,
        feed_lag_ms,
        ..
    } = upstream;
    format!(r#","upstream":{{"link":"{link}","breaker":"{breaker}","feed_lag_ms":{feed_lag_ms}}}"#)
}
