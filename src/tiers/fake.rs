//! An upstream for tests: connections whose other ends the test holds and speaks for.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::nodes::Nodes;
use super::upstream::{ByteStream, Connecting, Upstream};
use crate::config::{Config, UpstreamAddress};

/// Room of a connection in each direction.
const PIPE_BYTES: usize = 1 << 20;

/// Makes connections whose other ends come out of [`Fake::new`]'s receiver, or none.
pub struct Fake {
    nodes: Nodes,
    accepted: mpsc::Sender<Peer>,
    is_down: Arc<Mutex<Vec<bool>>>,
}

/// Whether the nodes of a [`Fake`] refuse connections.
#[derive(Clone)]
pub struct Switch(Arc<Mutex<Vec<bool>>>);

/// Upstream's end of a connection.
pub struct Peer(DuplexStream);

impl Fake {
    /// An upstream with one node, the connections that are made to it, and its switch.
    pub fn new() -> (Self, mpsc::Receiver<Peer>, Switch) {
        Self::at(&["redis://fake"])
    }

    /// An upstream with nodes at these addresses.
    pub fn at(urls: &[&str]) -> (Self, mpsc::Receiver<Peer>, Switch) {
        let (accepted, peers) = mpsc::channel(64);
        let addresses: Vec<UpstreamAddress> = urls
            .iter()
            .map(|url| UpstreamAddress::parse(url).unwrap())
            .collect();
        let is_down = Arc::new(Mutex::new(vec![false; urls.len()]));
        (
            Self {
                nodes: Nodes::new(&addresses),
                accepted,
                is_down: Arc::clone(&is_down),
            },
            peers,
            Switch(is_down),
        )
    }
}

/// The settings of a near cache.
pub fn near_cache() -> Config {
    let mut config = Config::default();
    let address = UpstreamAddress::parse("redis://fake").unwrap();
    config.upstream.addresses = vec![address];
    config
}

impl Switch {
    /// Has all nodes refuse connections from now on, or no longer.
    pub fn set_down(&self, is_down: bool) {
        self.0.lock().fill(is_down);
    }

    /// Has one node refuse connections from now on, or no longer.
    pub fn set_node_down(&self, place: usize, is_down: bool) {
        self.0.lock()[place] = is_down;
    }
}

impl Upstream for Fake {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    fn connect(&self, place: usize) -> Connecting<'_> {
        Box::pin(async move {
            if self.is_down.lock()[place] {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            self.accepted
                .send(Peer(theirs))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

impl Peer {
    /// Waits until what was received ends in this text; returns all of it.
    pub async fn hears(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            heard.push(self.0.read_u8().await.expect("the other end speaks on"));
        }
        String::from_utf8(heard).unwrap()
    }

    /// Sends these bytes.
    pub async fn says(&mut self, bytes: &str) {
        self.0
            .write_all(bytes.as_bytes())
            .await
            .expect("the other end listens");
    }

    /// Answers the handshake of a link as an upstream does that has all it takes; returns what it was asked.
    pub async fn lets_in(&mut self) -> String {
        let heard = self.hears("PING\r\n").await;
        self.says("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$2\r\nid\r\n:7\r\n+OK\r\n+OK\r\n+PONG\r\n")
            .await;
        heard
    }

    /// Waits until the other end is gone.
    pub async fn has_left(self) {
        let (mut stream, mut rest) = (self.0, Vec::new());
        // Whether it said goodbye or not.
        let _ = stream.read_to_end(&mut rest).await;
    }
}
