//! The upstream as something to connect to: the real one here, a scripted one in tests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::nodes::Nodes;
use super::tls::Tls;
use crate::config::{Upstream as Settings, UpstreamEndpoint};

/// Probes of a silent TCP connection: a session's connection may wait for hours, but not for a host that is gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 2;

/// While something that was sent is unacknowledged there are no probes, and the kernel would go on sending it again
/// for a quarter of an hour; it gives up when probes would have.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// A connection's bytes. What was written leaves when the stream is flushed, or while somebody waits to read.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// A connection that is being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Somewhere to connect to.
///
/// All nodes are the same upstream. The link tries them in order and stays with the first that lets it in until that
/// connection is lost; all other connections go to the node that the link is connected to, since the feed that keeps
/// copies right is that node's.
pub trait Upstream: Send + Sync {
    /// Where it may be, and how each place is doing.
    fn nodes(&self) -> &Nodes;
    /// Opens one more connection to the node at `place`. Nobody has logged in on it. The caller sets the deadline.
    fn connect(&self, place: usize) -> Connecting<'_>;
}

/// The upstream that the configuration names.
pub struct Configured {
    nodes: Nodes,
    /// There if any of the nodes needs it.
    tls: Option<Tls>,
}

impl Configured {
    /// An upstream with at least one address. Reads the files that TLS needs.
    ///
    /// # Errors
    /// Names the setting whose file is unusable, and why.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let needs_tls = settings.addresses.iter().any(|address| address.endpoint.is_tls());
        Ok(Self {
            nodes: Nodes::new(&settings.addresses),
            tls: needs_tls.then(|| Tls::new(&settings.tls)).transpose()?,
        })
    }
}

impl Upstream for Configured {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    fn connect(&self, place: usize) -> Connecting<'_> {
        let endpoint = &self.nodes.at(place).address().endpoint;
        Box::pin(async move {
            let (host, port, is_tls) = match endpoint {
                UpstreamEndpoint::Unix(path) => {
                    return Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn ByteStream>);
                }
                UpstreamEndpoint::Tcp { host, port, is_tls } => (host, *port, *is_tls),
            };
            let stream = connect_tcp(host, port).await?;
            if !is_tls {
                return Ok(Box::new(stream));
            }
            let tls = self.tls.as_ref().expect("a node with TLS had it set up");
            Ok(Box::new(tls.secure(host, stream).await?))
        })
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
