//! Accepts connections and hands each to a worker.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::stream::Accepted;
use crate::clients::Client;
use crate::config::{BindAddress, Config};
use crate::services::Services;

/// How long the acceptor rests when the process has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The sockets that clients connect to.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// The acceptor's end of a worker.
pub struct WorkerHandle {
    sockets: mpsc::Sender<(Accepted, Arc<Client>)>,
    connections: Arc<AtomicUsize>,
}

impl WorkerHandle {
    /// The end of a worker that takes sockets from the other end of `sockets` and counts `connections` down.
    pub fn new(sockets: mpsc::Sender<(Accepted, Arc<Client>)>, connections: Arc<AtomicUsize>) -> Self {
        Self { sockets, connections }
    }

    /// How many connections the worker has.
    pub fn load(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Gives the worker one more connection; false if it takes none.
    pub fn hand_over(&self, socket: Accepted, client: Arc<Client>) -> bool {
        self.connections.fetch_add(1, Relaxed);
        let taken = self.sockets.try_send((socket, client)).is_ok();
        if !taken {
            self.connections.fetch_sub(1, Relaxed);
        }
        taken
    }
}

/// Opens TCP sockets on `port` of all `addresses`. An address that is marked as optional may be missing.
pub fn open_tcp(
    addresses: &[BindAddress],
    port: u16,
    backlog: u32,
) -> io::Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        match open_one(address, port, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if address.is_optional() => {
                tracing::info!(address = address.host(), %error, "not listening on an optional address");
            }
            Err(error) => {
                let text = format!("can't listen on {}:{port}: {error}", address.host());
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
    Ok(listeners)
}

fn open_one(address: &BindAddress, port: u16, backlog: u32) -> io::Result<std::net::TcpListener> {
    let resolved: SocketAddr = (address.host(), port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address"))?;
    let socket = Socket::new(Domain::for_address(resolved), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if resolved.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&resolved.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Opens a Unix socket at `path`, which replaces a socket file that nobody listens on any more. Fails if something
/// else is there.
pub fn open_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let with_path = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("can't listen on {}: {error}", path.display()),
        )
    };
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(with_path(io::ErrorKind::AddrInUse.into()));
        }
        std::fs::remove_file(path).map_err(with_path)?;
    }
    let listener = UnixListener::bind(path).map_err(with_path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// Accepts connections for ever, each for the worker with the fewest.
pub async fn accept(listener: Listener, workers: Arc<[WorkerHandle]>, services: Arc<Services>) {
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .and_then(|(socket, _)| socket.into_std())
                .map(Accepted::Tcp),
            Listener::Unix(listener) => listener
                .accept()
                .await
                .and_then(|(socket, _)| socket.into_std())
                .map(Accepted::Unix),
        };
        match accepted {
            Ok(socket) => welcome(socket, &workers, &services),
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Registers a client and hands its socket over, or tells it why not.
fn welcome(socket: Accepted, workers: &[WorkerHandle], services: &Services) {
    let config = services.config.load();
    let unix_path = config
        .network
        .unixsocket
        .as_deref()
        .unwrap_or(Path::new(""))
        .to_string_lossy();
    // A client that is gone already has no address.
    let Ok(ends) = socket.endpoints(&unix_path) else {
        return;
    };
    if is_protected_from(ends.is_local, &config) {
        services.clients.reject();
        refuse(&socket, PROTECTED);
        return;
    }
    if let Accepted::Tcp(tcp) = &socket {
        tune(tcp, &config);
    }
    let clients_max = config.network.clients_max as usize;
    let Some(client) = services
        .clients
        .connect(ends, clients_max, services.clock.unix_ms())
    else {
        refuse(&socket, "ERR max number of clients reached");
        return;
    };
    let worker = workers
        .iter()
        .min_by_key(|worker| worker.load())
        .expect("there is a worker");
    let id = client.id;
    if !worker.hand_over(socket, client) {
        services.clients.disconnect(id);
    }
}

const PROTECTED: &str = "DENIED Forebay is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. \
If you want to connect from external computers, set a password with CONFIG SET requirepass, or switch protected \
mode off with CONFIG SET protected-mode no from this host, if the network that the server is reachable from is \
trusted.";

/// Whether protected mode turns a client away.
fn is_protected_from(is_local: bool, config: &Config) -> bool {
    !is_local && config.network.protected_mode && config.network.requirepass.is_none()
}

/// Writes one error, as far as the socket takes it at once, and closes.
fn refuse(socket: &Accepted, error: &str) {
    let text = format!("-{error}\r\n");
    // A client that does not take it learns of the refusal by the closed connection.
    let _ = rustix::io::write(socket, text.as_bytes());
}

fn tune(socket: &std::net::TcpStream, config: &Config) {
    let socket = SockRef::from(socket);
    // A socket that refuses an option still works.
    let _ = socket.set_tcp_nodelay(true);
    let interval = config.network.tcp_keepalive;
    if !interval.is_zero() {
        let probes = TcpKeepalive::new()
            .with_time(interval)
            .with_interval((interval / 3).max(Duration::from_secs(1)));
        let _ = socket.set_tcp_keepalive(&probes.with_retries(3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_mode_turns_strangers_away_until_there_is_a_password() {
        let config = Config::default();
        assert!(is_protected_from(false, &config) && !is_protected_from(true, &config));
        for changed in [("requirepass", "secret"), ("protected-mode", "no")] {
            assert!(!is_protected_from(false, &config.set_many(&[changed]).unwrap()));
        }
    }
}
