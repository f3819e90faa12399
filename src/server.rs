//! Starting and stopping: threads, sockets, signals.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::clients::{Client, Closing};
use crate::config::{BindAddress, Config};
use crate::http::HttpPort;
use crate::limits::{AUDIT_FINISH_MS_MAX, HANDOVER_QUEUE, HTTP_CONNECTIONS_MAX};
use crate::net::connection::Connection;
use crate::net::descriptors;
use crate::net::listener::{self, Listener, WorkerHandle};
use crate::net::stream::Accepted;
use crate::services::Services;
use crate::session::Session;
use crate::stats::vitals::SAMPLE_PERIOD;
use crate::tiers::Tiers;
use crate::worker::Worker;

/// How often dead entries are swept, and clients checked against their limits.
const SWEEP_PERIOD: Duration = Duration::from_millis(100);
const CLIENT_CHECK_PERIOD: Duration = Duration::from_secs(1);
/// How often a shutdown looks whether all clients are gone.
const CLOSE_PERIOD: Duration = Duration::from_millis(10);

/// Runs a server until SIGTERM, SIGINT or SHUTDOWN. Fails if it can't start.
pub fn run(mut config: Config, config_file: Option<std::path::PathBuf>) -> io::Result<()> {
    let upstream = &config.upstream;
    let links_max = if upstream.addresses.is_empty() {
        0
    } else {
        upstream.sessions_max
    };
    config.network.clients_max = descriptors::reserve(config.network.clients_max, links_max)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let network = config.network.clone();
    let sockets = open_port(&network.bind, network.port, network.tcp_backlog)?;
    let http_sockets = open_port(&config.http.bind, config.http.port, HTTP_CONNECTIONS_MAX as u32)?;
    let services = Arc::new(Services::new(config, config_file));
    runtime.block_on(async {
        let mut listeners: Vec<Listener> = Vec::new();
        for socket in sockets {
            listeners.push(Listener::Tcp(tokio::net::TcpListener::from_std(socket)?));
        }
        if let Some(path) = &network.unixsocket {
            listeners.push(Listener::Unix(listener::open_unix(
                path,
                network.unixsocket_mode,
            )?));
        }
        let http = HttpPort::start(http_sockets, &services)?;
        serve(listeners, &http, &services).await
    })?;
    if let Some(path) = &network.unixsocket {
        // The file may be gone already.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Opens a port; none where it is 0.
fn open_port(addresses: &[BindAddress], port: u16, backlog: u32) -> io::Result<Vec<std::net::TcpListener>> {
    if port == 0 {
        Ok(Vec::new())
    } else {
        listener::open_tcp(addresses, port, backlog)
    }
}

async fn serve(listeners: Vec<Listener>, http: &HttpPort, services: &Arc<Services>) -> io::Result<()> {
    let tiers = Tiers::start(services)?;
    let (workers, threads) = start_workers(services, tiers.as_ref())?;
    let workers: Arc<[WorkerHandle]> = workers.into();
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            tokio::spawn(listener::accept(
                listener,
                Arc::clone(&workers),
                Arc::clone(services),
            ))
        })
        .collect();
    let sweeping = tokio::spawn(sweep(Arc::clone(services)));
    let checking = tokio::spawn(check_clients(Arc::clone(services)));
    let observing = tokio::spawn(observe(Arc::clone(services)));
    tracing::info!(port = services.tcp_port, "ready to accept connections");
    wait_for_the_end(services).await?;
    http.say_stopping();
    for task in accepting {
        task.abort();
    }
    sweeping.abort();
    checking.abort();
    observing.abort();
    drop(workers);
    let grace = services.config.load().general.shutdown_timeout;
    close_clients(services, &threads, grace).await;
    if let Some(tiers) = tiers {
        tiers.shut_down(grace).await;
    }
    services.audit.finish(Duration::from_millis(AUDIT_FINISH_MS_MAX));
    tracing::info!("bye");
    Ok(())
}

fn start_workers(
    services: &Arc<Services>,
    tiers: Option<&Arc<Tiers>>,
) -> io::Result<(Vec<WorkerHandle>, Vec<JoinHandle<()>>)> {
    let cores = rustix::thread::sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&core| cores.is_set(core))
        .collect();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = match services.config.load().network.workers {
        0 => available,
        workers => workers,
    };
    let mut handles = Vec::new();
    let mut threads = Vec::new();
    for index in 0..wanted {
        let (sockets, handed_over) = mpsc::channel(HANDOVER_QUEUE);
        let connections = Arc::new(AtomicUsize::new(0));
        handles.push(WorkerHandle::new(sockets, Arc::clone(&connections)));
        let pin_to = (wanted <= cores.len()).then(|| cores[index]);
        let services = Arc::clone(services);
        let tiers = tiers.cloned();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = move || {
            if let Some(core) = pin_to {
                pin(core);
            }
            let worker = Worker::new(services, tiers);
            LocalSet::new().block_on(&runtime, serve_connections(worker, handed_over, connections));
        };
        threads.push(
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(work)?,
        );
    }
    Ok((handles, threads))
}

/// Keeps this thread on one core, so that its data stays in that core's caches.
fn pin(core: usize) {
    let mut only = rustix::thread::CpuSet::new();
    only.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &only) {
        tracing::warn!(core, %error, "can't pin a worker to its core");
    }
}

async fn serve_connections(
    worker: Worker,
    mut handed_over: mpsc::Receiver<(Accepted, Arc<Client>)>,
    connections: Arc<AtomicUsize>,
) {
    let worker = Rc::new(worker);
    let mut tasks = tokio::task::JoinSet::new();
    while let Some((socket, client)) = handed_over.recv().await {
        while tasks.try_join_next().is_some() {}
        let leaving = Leaving(Arc::clone(&connections));
        let Ok(stream) = socket.into_stream() else {
            worker.services.clients.disconnect(client.id);
            continue;
        };
        let authenticated = worker.services.config.load().network.requirepass.is_none();
        let mut connection = Connection::new(stream, Session::new(client, authenticated), Rc::clone(&worker));
        tasks.spawn_local(async move {
            connection.serve().await;
            drop(leaving);
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Counts a connection down, however its task ends.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn wait_for_the_end(services: &Services) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
        _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
        () = services.shutdown.notified() => tracing::info!("SHUTDOWN: shutting down"),
    }
    Ok(())
}

/// Lets requests in flight finish and their replies go out, for a bounded time.
async fn close_clients(services: &Services, workers: &[JoinHandle<()>], grace: Duration) {
    let all_closed = async {
        while !workers.iter().all(JoinHandle::is_finished) {
            // Again and again, as one more may just have been accepted.
            for client in services.clients.list() {
                client.mailbox().close(Closing::Politely);
            }
            tokio::time::sleep(CLOSE_PERIOD).await;
        }
    };
    if tokio::time::timeout(grace, all_closed).await.is_err() {
        tracing::warn!(
            clients = services.clients.len(),
            "closed without waiting any longer"
        );
    }
}

/// Removes dead entries, and those that a lowered budget has no room for, for ever.
async fn sweep(services: Arc<Services>) {
    let mut ticks = tokio::time::interval(SWEEP_PERIOD);
    loop {
        ticks.tick().await;
        let now_ms = services.clock.unix_ms();
        if !services.pause.is_on(now_ms) {
            let effort = u64::from(services.config.load().memory.expire_effort);
            let swept = services.store.sweep(now_ms, effort);
            services.vitals.note_sweep(swept.due, swept.volatile);
            services.store.evict_aside(now_ms);
        }
    }
}

/// Samples rates and the use of memory, for ever.
async fn observe(services: Arc<Services>) {
    let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
    loop {
        ticks.tick().await;
        let (_, used_bytes) = services.store.totals();
        let now_ns = services.clock.monotonic_ns();
        services
            .vitals
            .observe(services.counters.traffic(), used_bytes, now_ns);
    }
}

/// Disconnects clients that are silent or read too slowly, for ever.
async fn check_clients(services: Arc<Services>) {
    let mut ticks = tokio::time::interval(CLIENT_CHECK_PERIOD);
    let mut watch = crate::clients::Watch::default();
    loop {
        ticks.tick().await;
        let config = services.config.load();
        let network = &config.network;
        let now_ms = services.clock.unix_ms();
        watch.check(
            &services.clients,
            network.idle_timeout,
            &network.output_limits,
            now_ms,
        );
    }
}
