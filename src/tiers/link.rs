//! The link: the one connection that carries fills, forwarded requests and the feed; made again whenever it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::backoff::Backoff;
use super::login;
use super::nodes::Node;
use super::order::Order;
use super::pipeline::{Lost, Moment, Pipeline};
use super::returned::Returned;
use super::status::{LinkState, Status};
use super::upstream::{ByteStream, Upstream};
use super::wire::FrameReader;
use crate::commands::error::Error;
use crate::limits::LINK_STABLE_MS;
use crate::services::Services;

/// The link's task.
pub struct Link {
    upstream: Arc<dyn Upstream>,
    services: Arc<Services>,
    status: Arc<Status>,
    orders: mpsc::Receiver<Order>,
    reviewing: Option<JoinHandle<()>>,
}

/// A connection that is logged in, and what has been read from it.
type Connection = (Box<dyn ByteStream>, FrameReader);

/// Nobody is left who could order anything.
struct Unwanted;

impl Link {
    /// A link that is not yet connected.
    pub fn new(
        upstream: Arc<dyn Upstream>,
        services: Arc<Services>,
        status: Arc<Status>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            upstream,
            services,
            status,
            orders,
            reviewing: None,
        }
    }

    /// Keeps the link up until nobody can order anything any more. Calls `tried` after the first attempt.
    pub async fn run(mut self, tried: impl FnOnce()) {
        let mut tried = Some(tried);
        let (min, max) = {
            let settings = &self.services.config.load().upstream;
            (settings.backoff_min, settings.backoff_max)
        };
        let mut backoff = Backoff::new(min, max);
        let mut returned = Returned::new(&self.services, &self.status);
        loop {
            let connected = returned.meanwhile(self.connect()).await;
            match &connected {
                Ok(_) => {
                    self.status.set_state(LinkState::Up);
                    self.services.store.set_cut(false);
                    returned.note_connection();
                }
                Err(troubles) => {
                    self.note_failure(troubles, LinkState::Down);
                    returned.note_failed_attempt();
                }
            }
            if let Some(tried) = tried.take() {
                tried();
            }
            if let Ok(connection) = connected {
                let up_since_ms = self.services.clock.monotonic_ms();
                let Ok(lost) = self.exchange(connection, &mut returned).await else {
                    return;
                };
                if matches!(lost, Lost::Silent) {
                    self.status.note_silence();
                }
                let was_stable = self.services.clock.monotonic_ms() - up_since_ms >= LINK_STABLE_MS;
                if was_stable || matches!(lost, Lost::Outdated) {
                    backoff.reset();
                    self.note_loss(&lost, LinkState::Connecting);
                    continue;
                }
                self.note_loss(&lost, LinkState::Down);
                returned.tell_breaker();
            }
            if returned.meanwhile(self.rest(backoff.next())).await.is_err() {
                return;
            }
        }
    }

    /// Connects to the first node that lets the link in. What L1 held before is of an earlier generation then. Fails
    /// with what is wrong with each.
    async fn connect(&mut self) -> Result<Connection, String> {
        let upstream = Arc::clone(&self.upstream);
        let mut troubles = Vec::new();
        for (place, node) in upstream.nodes().iter() {
            match self.log_in(place, node).await {
                Ok(connection) => {
                    upstream.nodes().note_up(place);
                    self.begin(node, &troubles.join("; "));
                    return Ok(connection);
                }
                Err(error) => {
                    upstream.nodes().note_down(place, error.to_string());
                    troubles.push(format!("{}: {error}", node.name()));
                }
            }
        }
        Err(troubles.join("; "))
    }

    /// Connects to a node, logs in and switches the feed on.
    async fn log_in(&self, place: usize, node: &Node) -> std::io::Result<Connection> {
        let config = self.services.config.load_full();
        let attempt = async {
            let mut stream = self.upstream.connect(place).await?;
            let mut frames = FrameReader::default();
            let namespaces = self.status.namespaces.load_full();
            let (address, prefixes) = (node.address(), namespaces.prefixes());
            let mode = login::arm(&mut *stream, &mut frames, address, &config.upstream, &prefixes).await?;
            self.status.set_feed_mode(mode);
            Ok((stream, frames))
        };
        let timeout = config.upstream.connect_timeout;
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| {
            let text = format!("no connection within {} ms", timeout.as_millis());
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
        })
    }

    /// Begins the time of a new connection, for which other nodes were tried in vain.
    fn begin(&mut self, node: &Node, passed_over: &str) {
        self.services
            .store
            .begin_generation(self.services.clock.unix_ms());
        self.review();
        self.status.breaker.reset();
        self.status.connects.add(1);
        let now_ns = self.services.clock.monotonic_ns();
        self.status.note_sync(now_ns);
        if passed_over.is_empty() {
            tracing::info!(upstream = node.name(), "connected");
        } else {
            tracing::warn!(upstream = node.name(), passed_over, "connected");
        }
    }

    /// Looks at all entries of old generations, shard by shard, beside everything else.
    fn review(&mut self) {
        if self
            .reviewing
            .as_ref()
            .is_some_and(|reviewing| !reviewing.is_finished())
        {
            return;
        }
        let services = Arc::clone(&self.services);
        self.reviewing = Some(tokio::spawn(async move {
            for _ in services.store.review(services.clock.unix_ms()) {
                tokio::task::yield_now().await;
            }
        }));
    }

    /// Carries orders and replies until the connection is lost: first what was returned of the one before.
    async fn exchange(
        &mut self,
        (stream, mut frames): Connection,
        returned: &mut Returned,
    ) -> Result<Lost, Unwanted> {
        let base = self.upstream.nodes().active().base_database();
        let mut pipeline = Pipeline::new(&self.services, &self.status, base, self.now());
        let lost = self.carry(stream, &mut frames, &mut pipeline, returned).await?;
        // From now on nobody tells of what others write.
        self.services
            .store
            .begin_generation(self.services.clock.unix_ms());
        returned.take(pipeline.fail(&lost, self.now()));
        Ok(lost)
    }

    async fn carry(
        &mut self,
        stream: Box<dyn ByteStream>,
        frames: &mut FrameReader,
        pipeline: &mut Pipeline,
        returned: &mut Returned,
    ) -> Result<Lost, Unwanted> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut alarm = Alarm::new();
        loop {
            if let Err(lost) =
                take_frames(frames, pipeline, self.now()).and_then(|()| pipeline.tick(self.now()))
            {
                return Ok(lost);
            }
            while pipeline.has_room()
                && let Some(order) = returned.next()
            {
                pipeline.place_again(order, self.now());
            }
            alarm.set(pipeline.next_tick_ms(), self.services.clock.monotonic_ms());
            let has_unsent = !pipeline.unsent().is_empty();
            let arrived = tokio::select! {
                filled = frames.fill(&mut reader) => filled,
                written = writer.write(pipeline.unsent()), if has_unsent => {
                    written.map(|bytes| pipeline.note_sent(bytes))
                }
                order = self.orders.recv(), if pipeline.has_room() => {
                    self.place(order.ok_or(Unwanted)?, pipeline);
                    Ok(())
                }
                () = alarm.rings() => Ok(()),
                () = self.status.outdated.notified() => return Ok(Lost::Outdated),
            };
            if let Err(error) = arrived {
                return Ok(Lost::Broken(error));
            }
        }
    }

    /// Takes on an order and those that wait behind it, so that they are written together.
    fn place(&mut self, first: Order, pipeline: &mut Pipeline) {
        let now = self.now();
        pipeline.place(first, now);
        while pipeline.has_room() {
            match self.orders.try_recv() {
                Ok(order) => pipeline.place(order, now),
                Err(_) => return,
            }
        }
    }

    /// Waits before the next attempt, and refuses what is ordered meanwhile.
    async fn rest(&mut self, pause: Duration) -> Result<(), Unwanted> {
        let refuse_all = async {
            while let Some(order) = self.orders.recv().await {
                let error: Error = self.status.trouble();
                let now_ms = self.services.clock.unix_ms();
                order
                    .work
                    .refuse(&error, order.db, now_ms, &self.services.store, &self.status);
            }
        };
        match tokio::time::timeout(pause, refuse_all).await {
            Ok(()) => Err(Unwanted),
            Err(_elapsed) => Ok(()),
        }
    }

    fn note_loss(&self, lost: &Lost, state: LinkState) {
        let nodes = self.upstream.nodes();
        nodes.note_down(nodes.active_place(), lost.to_string());
        self.note_failure(&format!("{}: {lost}", nodes.active().name()), state);
    }

    fn note_failure(&self, troubles: &str, state: LinkState) {
        self.status.failures.add(1);
        self.services.store.set_cut(true);
        if self.status.set_lost(troubles, state) {
            tracing::warn!("upstream can't be used: {troubles}");
        }
    }

    fn now(&self) -> Moment {
        let clock = &self.services.clock;
        Moment {
            unix_ms: clock.unix_ms(),
            monotonic_ns: clock.monotonic_ns(),
        }
    }
}

fn take_frames(frames: &mut FrameReader, pipeline: &mut Pipeline, now: Moment) -> Result<(), Lost> {
    while let Some(frame) = frames.next().map_err(Lost::Broken)? {
        pipeline.take(frame, now)?;
    }
    Ok(())
}

/// One timer for all deadlines of a link. It may ring too early, never too late: most deadlines are met, and moving
/// the timer for each of them would cost more than looking once in vain.
struct Alarm {
    sleep: std::pin::Pin<Box<Sleep>>,
    /// Monotonic milliseconds; 0 when it has rung.
    at_ms: u64,
}

impl Alarm {
    fn new() -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            at_ms: 0,
        }
    }

    /// Sees to it that the alarm rings by `at_ms`.
    fn set(&mut self, at_ms: u64, now_ms: u64) {
        if self.at_ms != 0 && self.at_ms <= at_ms {
            return;
        }
        self.at_ms = at_ms.max(1);
        let pause = Duration::from_millis(at_ms.saturating_sub(now_ms) + 1);
        self.sleep.set(tokio::time::sleep(pause));
    }

    async fn rings(&mut self) {
        self.sleep.as_mut().await;
        self.at_ms = 0;
    }
}
