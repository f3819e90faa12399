//! The upstream as something to connect to: the real one here, a scripted one in tests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::UpstreamEndpoint;

/// Probes of a silent TCP connection: a session's connection may wait for hours, but not for a host that is gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 2;

/// While something that was sent is unacknowledged there are no probes, and the kernel would go on sending it again
/// for a quarter of an hour; it gives up when probes would have.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// A connection's bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// A connection that is being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Somewhere to connect to.
pub trait Upstream: Send + Sync {
    /// Opens one more connection. Nobody has logged in on it. The caller sets the deadline.
    fn connect(&self) -> Connecting<'_>;
    /// Where it is, for logs.
    fn name(&self) -> String;
}

impl Upstream for UpstreamEndpoint {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            Ok(match self {
                Self::Tcp { host, port } => Box::new(connect_tcp(host, *port).await?) as Box<dyn ByteStream>,
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            })
        })
    }

    fn name(&self) -> String {
        self.to_string()
    }
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&probes.with_retries(KEEPALIVE_RETRIES))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(stream)
}
