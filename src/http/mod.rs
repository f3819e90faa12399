//! The HTTP port: metrics for Prometheus, and health for whoever starts and stops servers.

mod connections;
mod health;
mod metrics;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::task::JoinSet;

use connections::Connections;
use health::Health;

use crate::services::Services;

/// The content type of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE: &str = "application/json";

/// The HTTP port of a running server. Dropped, it is closed.
pub struct HttpPort {
    health: Arc<Health>,
    _listening: JoinSet<io::Result<()>>,
}

impl HttpPort {
    /// Answers on `sockets`, which are listening and do not block, by tasks of the current runtime.
    pub fn start(sockets: Vec<std::net::TcpListener>, services: &Arc<Services>) -> io::Result<Self> {
        let health = Arc::new(Health::new(Arc::clone(services)));
        let router = router(&health, services);
        let mut listening = JoinSet::new();
        for socket in sockets {
            let connections = Connections::new(tokio::net::TcpListener::from_std(socket)?);
            listening.spawn(axum::serve(connections, router.clone()).into_future());
        }
        Ok(Self {
            health,
            _listening: listening,
        })
    }

    /// Tells those who ask that no new work should be sent here. The port stays open.
    pub fn say_stopping(&self) {
        self.health.say_stopping();
    }
}

fn router(health: &Arc<Health>, services: &Arc<Services>) -> Router {
    let metrics = get(|State(services): State<Arc<Services>>| async move {
        ([(CONTENT_TYPE, METRICS_TYPE)], metrics::page(&services))
    });
    Router::new()
        .route("/metrics", metrics.with_state(Arc::clone(services)))
        .route(
            "/health/live",
            get(|| async { json((StatusCode::OK, health::LIVE.to_owned())) }),
        )
        .route("/health/ready", get(ready).with_state(Arc::clone(health)))
        .route("/health", get(report).with_state(Arc::clone(health)))
}

async fn ready(State(health): State<Arc<Health>>) -> impl IntoResponse {
    json(health.readiness())
}

async fn report(State(health): State<Arc<Health>>) -> impl IntoResponse {
    json(health.report())
}

fn json((status, body): (StatusCode, String)) -> impl IntoResponse {
    (status, [(CONTENT_TYPE, JSON_TYPE)], body)
}
