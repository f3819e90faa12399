//! An upstream behind the store: the near cache.
//!
//! | file | what |
//! |---|---|
//! | `fill` | absent keys are fetched, each once however many wait |
//! | `forward` | requests that only upstream may answer, over the shared link |
//! | `relay` | commands that only upstream knows |
//! | `session_link`, `conduct`, `pool` | the connections for these: what state they have, and who has one when |
//! | `link`, `pipeline` | the shared connection: its life, and what goes over it |
//! | `returned` | what is placed again when that connection was lost |
//! | `feed` | invalidations, and how stale a copy may be |
//! | `effect`, `take` | which copies a write makes wrong, and which follow it |
//! | `marked` | texts that a Forebay packed and marked, as clients are to see them |
//! | `status`, `info`, `namespace_stats` | what can be seen of all this |
//! | `control`, `health`, `invalidation` | what operators are told, and may have done |
//! | `announce`, `listener` | what Forebays of one upstream, and others, tell each other of changed keys |
//! | `breaker`, `backoff` | when to leave upstream alone |
//! | `promotion` | which absent keys are worth a copy |
//! | `namespaces`, `way` | by which rules a key is treated, and in what way a request goes |
//! | `upkeep`, `warm`, `check` | what is done for the copies beside all requests |
//! | `behind`, `journal` | changes that are made here and carried upstream later |
//! | `upstream`, `tls`, `nodes` | connections, real or scripted; the addresses that they may lead to |
//! | `login`, `wire`, `databases` | what goes over all of them: logging in, bytes, SELECT |
//!
//! # Why the copies are right
//! All fetches and forwarded writes of a process and the feed share one connection, so their order here is the order
//! in which upstream did them. A value that was read before a write arrives before the write's reply or invalidation,
//! which then removes it. That alone would do; a fetch that an invalidation overtakes is dropped nevertheless and
//! begun anew, so that nothing rests on which connection a fetch goes over.
//!
//! A session reads its own writes: copies go before the reply to a forwarded write does. A command without a row may
//! have written anything, and over another connection; its reply is held back until a PING has gone through the
//! link, behind which all its invalidations have been applied. The same holds WATCH together with reads from L1: what
//! is read here after its reply is at least as new as the watch.

mod announce;
mod backoff;
mod behind;
mod breaker;
mod check;
mod conduct;
mod control;
mod databases;
mod effect;
#[cfg(test)]
mod fake;
mod feed;
mod fill;
mod forward;
mod health;
mod info;
mod invalidation;
pub mod journal;
mod link;
#[cfg(test)]
mod link_tests;
mod listener;
mod login;
mod marked;
mod namespace_stats;
mod namespaces;
mod nodes;
mod order;
mod pipeline;
mod pool;
mod promotion;
#[cfg(test)]
mod races;
mod relay;
mod returned;
mod session_link;
#[cfg(test)]
mod session_link_tests;
mod status;
mod take;
mod tls;
mod upkeep;
mod upstream;
mod warm;
mod way;
mod wire;

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

pub use behind::Deferral;
pub use fill::{Filled, Flights};
pub use forward::Passage;
pub use pool::Pool;
pub use session_link::SessionLink;
pub use way::Way;

use crate::commands::error::Error;
use crate::config::{Config, TierMode};
use crate::limits::LINK_ORDERS_MAX;
use crate::services::Services;
use behind::{Behind, Carrier};
use link::Link;
use listener::Listener;
use namespaces::Namespaces;
use order::{Order, Work};
use pool::Places;
use status::{LinkState, Status, tuning};
use upstream::{Configured, Upstream};

/// What was begun for a request ahead of its turn.
pub enum Begun {
    /// Its absent keys are on their way.
    Flights(Flights),
    /// It was passed on.
    Passage(Passage),
}

/// The tiers of a server with an upstream.
pub struct Tiers {
    services: Arc<Services>,
    upstream: Arc<dyn Upstream>,
    status: Arc<Status>,
    orders: mpsc::Sender<Order>,
    /// Changes that are carried later.
    pub behind: Arc<Behind>,
    /// Keys that are brought in ahead.
    warming: warm::Queue,
    places: Places,
}

impl Tiers {
    /// Starts the tiers of a server that has an upstream, whatever their mode is now; `None` without. Returns after the
    /// first attempt to connect, whether or not there is an upstream that answers, and after what the journal holds is
    /// in the store. Fails if there is a journal to be used and it can't be.
    pub fn start(services: &Arc<Services>) -> io::Result<Option<Arc<Self>>> {
        let config = services.config.load_full();
        if config.upstream.addresses.is_empty() {
            return Ok(None);
        }
        let upstream = Configured::new(&config.upstream)?;
        Self::start_with(services, Arc::new(upstream)).map(Some)
    }

    fn start_with(services: &Arc<Services>, upstream: Arc<dyn Upstream>) -> io::Result<Arc<Self>> {
        let config = services.config.load_full();
        let breaker = breaker::by_name(config.upstream.breaker.name());
        let status = Status::new(
            breaker.expect("the configuration names policies that exist"),
            &config,
        );
        let status = Arc::new(status);
        let behind = Arc::new(Behind::new(services, &status));
        // What an earlier run left in a journal is carried, whatever the mode is now.
        if status.namespaces.load().defers() || config.journal_dir().join("lock").exists() {
            behind.open(&config)?;
        }
        let (sender, orders) = mpsc::channel(LINK_ORDERS_MAX);
        let link = Link::new(
            Arc::clone(&upstream),
            Arc::clone(services),
            Arc::clone(&status),
            orders,
        );
        info::publish(services, &status, &behind, &upstream);
        let carrier = Carrier::new(&behind, &status, sender.clone());
        let listener = Listener::new(&upstream, services, &status);
        let tiers = Arc::new(Self {
            services: Arc::clone(services),
            upstream,
            status,
            orders: sender,
            places: Places::new(services.config.load().upstream.sessions_max),
            behind,
            warming: warm::Queue::default(),
        });
        tiers.load_warm_keys();
        run_on_own_thread(link, carrier, listener, Arc::downgrade(&tiers))?;
        let hooked = Arc::downgrade(&tiers);
        let configure = move |config: &Config| {
            if let Some(tiers) = hooked.upgrade() {
                tiers.configure(config);
            }
        };
        // Tiers that are started twice in a process, as tests do, leave the first one's hook in place.
        let _ = services.on_configure.set(Box::new(configure));
        let weak = Arc::downgrade(&tiers);
        let _ = services.tiers.set(weak);
        Ok(tiers)
    }

    /// Puts changed settings in force.
    fn configure(&self, config: &Config) {
        let before = self.status.namespaces.load_full();
        let now = Namespaces::of(config, Some(&before));
        if now.defers()
            && let Err(error) = self.behind.open(config)
        {
            tracing::error!(%error, "the journal can't be opened: writes go upstream at once");
        }
        self.behind.configure(config);
        let now_ms = self.services.clock.unix_ms();
        for (_, namespace) in now.iter() {
            let was_off = before
                .named(&namespace.name)
                .is_some_and(|known| known.mode == TierMode::Off);
            if was_off && namespace.mode != TierMode::Off {
                // What was stored here until now is no copy of anything.
                self.services.store.begin_version(namespace.index, now_ms);
            }
        }
        let is_outdated = before.prefixes() != now.prefixes();
        self.status.set_namespaces(now);
        if is_outdated {
            self.status.outdated.notify_one();
        }
    }

    /// Has upstream told of what was changed here, as far as it can be told within `grace`; the rest is in the journal.
    pub async fn shut_down(&self, grace: Duration) {
        if tokio::time::timeout(grace, self.behind.drained()).await.is_err() {
            tracing::warn!(
                keys = self.behind.dirty_keys(),
                "left in the journal, to be carried after the next start"
            );
        }
        self.save_warm_keys();
        if let Err(error) = self.behind.close() {
            tracing::error!(%error, "the journal can't be closed");
        }
    }

    /// Whether some keys have to do with upstream.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.status.is_off()
    }

    /// Whether keys without a namespace of their own have to do with upstream, and with them whatever concerns no key.
    pub fn relays(&self) -> bool {
        self.status.namespaces.load().default().mode != TierMode::Off
    }

    /// Gives the link something to do, or ends it at once when that makes no sense.
    fn submit(&self, work: Work, db: usize, bytes: usize) {
        let order = self.order(work, db, bytes);
        let too_many = || Error::Upstream("too many requests wait for it".into());
        let refused = match self.check() {
            Err(error) => Err((order, error)),
            Ok(()) if !self.status.is_within_bounds() => Err((order, too_many())),
            Ok(()) => self
                .orders
                .try_send(order)
                .map_err(|unsent| (unsent.into_inner(), too_many())),
        };
        if let Err((order, error)) = refused {
            let now_ms = self.services.clock.unix_ms();
            order
                .work
                .refuse(&error, db, now_ms, &self.services.store, &self.status);
        }
    }

    /// Gives the link something to do, which waits for its turn however much is pending. False if that makes no
    /// sense, or if its turn does not come in time.
    async fn submit_in_turn(&self, work: Work, db: usize) -> bool {
        let timeout = self.services.config.load().upstream.timeout;
        let sent = tokio::time::timeout(timeout, self.orders.send(self.order(work, db, 0)));
        self.check().is_ok() && matches!(sent.await, Ok(Ok(())))
    }

    fn order(&self, work: Work, db: usize, bytes: usize) -> Order {
        let timeout_ms = self.services.config.load().upstream.timeout.as_millis() as u64;
        let deadline_ms = self.services.clock.monotonic_ms() + timeout_ms;
        Order {
            db,
            deadline_ms,
            work,
            permit: self.status.enter(bytes),
            attempts: 0,
        }
    }

    /// Whether it is known that asking upstream makes no sense now. Unlike [`Tiers::check`] this leaves the place of a
    /// probe to others.
    pub fn is_cut_off(&self) -> bool {
        let settings = &self.services.config.load().upstream;
        let now_ms = self.services.clock.monotonic_ms();
        let is_open = || self.status.breaker.state(now_ms, tuning(settings)) == breaker::State::Open;
        self.status.state() == LinkState::Down || is_open()
    }

    /// Fails if asking upstream makes no sense now.
    fn check(&self) -> Result<(), Error> {
        let settings = &self.services.config.load().upstream;
        self.status
            .check(self.services.clock.monotonic_ms(), tuning(settings))
    }
}

/// Runs the link on a thread that nothing else delays. Returns after its first attempt to connect.
fn run_on_own_thread(link: Link, carrier: Carrier, listener: Listener, tiers: Weak<Tiers>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (sender, tried) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        // Who starts the tiers may have given up.
        runtime.block_on(async {
            let carrying = tokio::spawn(carrier.run());
            let tending = tokio::spawn(upkeep::run(tiers));
            let listening = tokio::spawn(listener.run());
            link.run(move || _ = sender.send(())).await;
            carrying.abort();
            tending.abort();
            listening.abort();
        });
    };
    std::thread::Builder::new()
        .name("upstream".to_owned())
        .spawn(run)?;
    // A link that ended before its first attempt has nobody who could order anything.
    let _ = tried.recv();
    Ok(())
}
