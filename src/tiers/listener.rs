//! The connection on which announcements are heard; see [`super::announce`].
//!
//! It is not the link: upstream closes connections that listen to channels when they read too slowly
//! (`client-output-buffer-limit pubsub`, 32 MB by default), and a large value on its way over the link would count for
//! that. It is made when there is a link, and made again when it breaks; copies are suspects then, as what was announced
//! meanwhile was not heard.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::announce;
use super::backoff::Backoff;
use super::login;
use super::status::{LinkState, Status};
use super::upstream::{ByteStream, Upstream};
use super::wire::{FrameReader, push_request, push_text_request};
use crate::config::Upstream as Settings;
use crate::limits::{LISTENER_LOOK_MS, LISTENER_PROBE_MS};
use crate::resp::{Frame, Protocol};
use crate::services::Services;

/// Listens for as long as it runs.
pub struct Listener {
    upstream: Arc<dyn Upstream>,
    services: Arc<Services>,
    status: Arc<Status>,
    /// Whether there was a connection before.
    has_heard: bool,
    /// What was wrong last, so that it is told once.
    trouble: String,
}

/// A connection that hears all channels.
struct Line {
    stream: Box<dyn ByteStream>,
    frames: FrameReader,
    /// The place of the node that it leads to.
    node_place: usize,
}

impl Listener {
    /// A listener that is not connected.
    pub fn new(upstream: &Arc<dyn Upstream>, services: &Arc<Services>, status: &Arc<Status>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            services: Arc::clone(services),
            status: Arc::clone(status),
            has_heard: false,
            trouble: String::new(),
        }
    }

    /// Keeps listening; to be dropped when there is no link any more.
    pub async fn run(mut self) {
        let (min, max) = {
            let settings = &self.services.config.load().upstream;
            (settings.backoff_min, settings.backoff_max)
        };
        let mut backoff = Backoff::new(min, max);
        loop {
            self.wait_for_link().await;
            let ended = match self.connect().await {
                Ok(line) => {
                    backoff.reset();
                    self.listen(line).await
                }
                Err(error) => error,
            };
            self.status.hears_announcements.store(false, Relaxed);
            self.note_trouble(&ended);
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// An upstream that can't be reached is tried by the link alone.
    async fn wait_for_link(&self) {
        while self.status.state() != LinkState::Up || self.status.is_off() {
            tokio::time::sleep(Duration::from_millis(LISTENER_LOOK_MS)).await;
        }
    }

    /// Connects to the node that the shared link is connected to: what others announce goes there.
    async fn connect(&self) -> io::Result<Line> {
        let config = self.services.config.load_full();
        let nodes = self.upstream.nodes();
        let node_place = nodes.active_place();
        let address = nodes.at(node_place).address();
        let attempt = async {
            let mut stream = self.upstream.connect(node_place).await?;
            let mut frames = FrameReader::default();
            let settings = named_apart(&config.upstream);
            login::log_in(&mut *stream, &mut frames, Protocol::Resp3, address, &settings).await?;
            let mut line = Line {
                stream,
                frames,
                node_place,
            };
            line.subscribe(&settings).await?;
            Ok(line)
        };
        let timed = tokio::time::timeout(config.upstream.connect_timeout, attempt).await;
        timed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Applies what is announced until the connection is lost; returns why.
    async fn listen(&mut self, mut line: Line) -> io::Error {
        if std::mem::replace(&mut self.has_heard, true) {
            let now_ms = self.services.clock.unix_ms();
            self.services.store.begin_generation(now_ms);
        }
        self.status.hears_announcements.store(true, Relaxed);
        self.trouble.clear();
        let mut silences = self.status.silences();
        loop {
            if let Err(error) = self.apply_all(&mut line.frames) {
                return error;
            }
            if line.node_place != self.upstream.nodes().active_place() {
                return io::Error::other("upstream has moved to another address");
            }
            tokio::select! {
                waited = line.wait() => if let Err(error) = waited { return error },
                _ = silences.changed() => return io::Error::other("upstream is silent"),
            }
        }
    }

    fn apply_all(&self, frames: &mut FrameReader) -> io::Result<()> {
        while let Some(frame) = frames.next()? {
            let now_ms = self.services.clock.unix_ms();
            // Else it is the reply to a probe, or says that a channel was joined.
            let _is_announcement = announce::apply(Frame::new(frame), &self.services, &self.status, now_ms);
        }
        Ok(())
    }

    fn note_trouble(&mut self, error: &io::Error) {
        let text = error.to_string();
        if text != self.trouble {
            tracing::warn!("announcements of other servers are not heard: {text}");
            self.trouble = text;
        }
    }
}

/// The connection has a name of its own among upstream's clients.
fn named_apart(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    if !settings.client_name.is_empty() {
        settings.client_name.insert_str(0, "listener-");
    }
    settings
}

impl Line {
    /// Joins all channels, or none.
    async fn subscribe(&mut self, settings: &Settings) -> io::Result<()> {
        let mut request = Vec::new();
        let channels: Vec<&[u8]> = announce::channels(settings).map(str::as_bytes).collect();
        push_request(
            &mut request,
            [&[&b"SUBSCRIBE"[..]], &channels[..]].concat().into_iter(),
        );
        self.stream.write_all(&request).await?;
        let mut joined = 0;
        while joined < channels.len() {
            while let Some(frame) = self.frames.next()?.map(Frame::new) {
                if let Some(error) = frame.as_error() {
                    let text = String::from_utf8_lossy(error);
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        format!("SUBSCRIBE was refused: {text}"),
                    ));
                }
                joined += usize::from(frame.is_push());
            }
            if joined < channels.len() {
                self.frames.fill(&mut self.stream).await?;
            }
        }
        Ok(())
    }

    /// Waits for something to come. A connection that was silent for long is asked, and lost if it stays so.
    async fn wait(&mut self) -> io::Result<()> {
        let probe = Duration::from_millis(LISTENER_PROBE_MS);
        if let Ok(filled) = tokio::time::timeout(probe, self.frames.fill(&mut self.stream)).await {
            return filled;
        }
        let mut request = Vec::new();
        push_text_request(&mut request, &["PING"]);
        self.stream.write_all(&request).await?;
        let filled = tokio::time::timeout(probe, self.frames.fill(&mut self.stream)).await;
        filled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
