//! Connections to upstream that sessions take turns with.
//!
//! A session has one for as long as it has state in it, which mostly is one round trip. How many sessions may have one
//! at a time is bounded for the whole server ([`Places`]). Those that nobody needs wait in the [`Pool`] of a worker,
//! since a socket belongs to its worker's runtime.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::session_link::{Identity, SessionLink};
use super::status::Status;
use crate::commands::error::Error;
use crate::limits::{
    IDLE_SESSION_LINK_CHECK_MS, IDLE_SESSION_LINK_MS_MAX, IDLE_SESSION_LINKS_MAX,
    IDLE_SESSION_LINKS_PER_WORKER_MAX, SESSION_LINK_PATIENCE_MS, SESSION_LINK_TRUST_MS, SESSION_LINKS_EAGER,
};
use crate::services::Services;

/// The right of so many sessions at a time to have a connection.
pub struct Places(Arc<Semaphore>);

/// One session's right to have a connection.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Places {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits until there is one, in turn with others, but no longer than `patience`.
    pub async fn take(&self, status: &Arc<Status>, patience: Duration) -> Result<Place, Error> {
        let taken = tokio::time::timeout(patience, Arc::clone(&self.0).acquire_owned()).await;
        let too_many = || Error::Upstream("too many sessions have a connection of their own".into());
        Ok(Place {
            _permit: taken.map_err(|_| too_many())?.map_err(|_| too_many())?,
            _counted: Counted::new(status, |status| &status.sessions),
        })
    }
}

/// Counts in a gauge for as long as it lives.
struct Counted {
    status: Arc<Status>,
    gauge: fn(&Status) -> &AtomicUsize,
}

impl Counted {
    fn new(status: &Arc<Status>, gauge: fn(&Status) -> &AtomicUsize) -> Self {
        gauge(status).fetch_add(1, Relaxed);
        Self {
            status: Arc::clone(status),
            gauge,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.status).fetch_sub(1, Relaxed);
    }
}

/// The idle connections of one worker. Stays on its thread.
pub struct Pool {
    shelf: Rc<Shelf>,
    turns: Semaphore,
}

/// The connections, the one that was used last at the end.
#[derive(Default)]
struct Shelf {
    idle: RefCell<Vec<Idle>>,
    /// Whether a task looks after them.
    is_tended: Cell<bool>,
}

struct Idle {
    link: Box<SessionLink>,
    /// Monotonic.
    since_ms: u64,
    _counted: Counted,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            shelf: Rc::default(),
            turns: Semaphore::new(SESSION_LINKS_EAGER),
        }
    }
}

impl Pool {
    /// Waits a moment if many requests that should soon be answered are under way: one of their connections will do,
    /// too. The turn ends when what is returned is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let patience = Duration::from_millis(SESSION_LINK_PATIENCE_MS);
        match self.turns.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => tokio::time::timeout(patience, self.turns.acquire())
                .await
                .ok()?
                .ok(),
        }
    }

    /// Takes a connection that upstream has not closed, one that need not be changed for this session if there is
    /// one. O(n) in the connections, which are few.
    pub fn take(&self, wanted: &Identity, now_ms: u64) -> Option<(Box<SessionLink>, bool)> {
        let mut idle = self.shelf.idle.borrow_mut();
        loop {
            let fitting = idle.iter().rposition(|idle| idle.link.is_as(wanted));
            let at = fitting.or_else(|| idle.len().checked_sub(1))?;
            let Idle {
                mut link, since_ms, ..
            } = idle.remove(at);
            if link.is_usable() {
                return Some((link, now_ms.saturating_sub(since_ms) > SESSION_LINK_TRUST_MS));
            }
        }
    }

    /// Takes back a connection that no session has state in; closes it if there are enough. Must be called in a
    /// [`tokio::task::LocalSet`].
    pub fn give_back(&self, mut link: Box<SessionLink>, status: &Arc<Status>, services: &Arc<Services>) {
        let is_clean = link.vacate();
        let mut idle = self.shelf.idle.borrow_mut();
        let has_room = idle.len() < IDLE_SESSION_LINKS_PER_WORKER_MAX
            && status.sessions_idle.load(Relaxed) < IDLE_SESSION_LINKS_MAX;
        if !is_clean || !has_room {
            return;
        }
        idle.push(Idle {
            link,
            since_ms: services.clock.monotonic_ms(),
            _counted: Counted::new(status, |status| &status.sessions_idle),
        });
        if !self.shelf.is_tended.replace(true) {
            tokio::task::spawn_local(tend(Rc::downgrade(&self.shelf), Arc::clone(services)));
        }
    }

    /// Closes all: what happened to one of them may have happened to the others.
    pub fn clear(&self) {
        self.shelf.idle.borrow_mut().clear();
    }
}

impl Shelf {
    /// Closes the connections that are not worth keeping.
    fn sweep(&self, now_ms: u64) {
        let is_fresh = |idle: &Idle| now_ms.saturating_sub(idle.since_ms) <= IDLE_SESSION_LINK_MS_MAX;
        self.idle
            .borrow_mut()
            .retain_mut(|idle| is_fresh(idle) && idle.link.is_usable());
    }
}

/// Looks after the connections until there are none.
async fn tend(shelf: Weak<Shelf>, services: Arc<Services>) {
    loop {
        tokio::time::sleep(Duration::from_millis(IDLE_SESSION_LINK_CHECK_MS)).await;
        let Some(shelf) = shelf.upgrade() else { return };
        shelf.sweep(services.clock.monotonic_ms());
        if shelf.idle.borrow().is_empty() {
            shelf.is_tended.set(false);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::task::LocalSet;

    use super::*;
    use crate::config::Config;
    use crate::resp::Protocol;
    use crate::tiers::breaker;
    use crate::tiers::fake::{Fake, Peer};

    /// A pool, and an upstream for it.
    struct Bench {
        pool: Pool,
        services: Arc<Services>,
        status: Arc<Status>,
        places: Places,
        fake: Fake,
        peers: mpsc::Receiver<Peer>,
    }

    impl Bench {
        fn new() -> Self {
            let (fake, peers, _) = Fake::new();
            Self {
                pool: Pool::default(),
                services: Arc::new(Services::new(Config::default(), None)),
                status: Arc::new(Status::new(breaker::by_name("none").unwrap(), &Config::default())),
                places: Places::new(IDLE_SESSION_LINKS_PER_WORKER_MAX + 1),
                fake,
                peers,
            }
        }

        async fn open(&mut self, protocol: Protocol) -> (Box<SessionLink>, Peer) {
            let settings = &self.services.config.load_full().upstream;
            let place = self.places.take(&self.status, Duration::ZERO).await.unwrap();
            let opening = SessionLink::open(&self.fake, &self.status, protocol, settings, place);
            let (link, peer) = tokio::join!(opening, async {
                let mut peer = self.peers.recv().await.unwrap();
                peer.hears("forebay\r\n").await;
                peer.says("*2\r\n$2\r\nid\r\n:7\r\n").await;
                peer
            });
            (Box::new(link.unwrap()), peer)
        }

        fn give_back(&self, link: Box<SessionLink>) {
            self.pool.give_back(link, &self.status, &self.services);
        }

        fn in_use_and_idle(&self) -> (usize, usize) {
            let count = |gauge: &AtomicUsize| gauge.load(Relaxed);
            (count(&self.status.sessions), count(&self.status.sessions_idle))
        }

        fn now_ms(&self) -> u64 {
            self.services.clock.monotonic_ms()
        }
    }

    fn wanted(protocol: Protocol) -> Identity {
        Identity {
            db: 0,
            protocol,
            name: (*b"forebay").into(),
        }
    }

    #[tokio::test]
    async fn the_connection_that_fits_is_taken_and_doubted_when_it_was_idle_for_long() {
        LocalSet::new()
            .run_until(async {
                let mut bench = Bench::new();
                let (resp2, _peer2) = bench.open(Protocol::Resp2).await;
                let (resp3, _peer3) = bench.open(Protocol::Resp3).await;
                bench.give_back(resp2);
                bench.give_back(resp3);
                assert_eq!(bench.in_use_and_idle(), (0, 2));
                let soon_ms = bench.now_ms();
                let later_ms = soon_ms + SESSION_LINK_TRUST_MS + 1000;
                let (link, is_doubtful) = bench.pool.take(&wanted(Protocol::Resp2), later_ms).unwrap();
                assert!(link.is_as(&wanted(Protocol::Resp2)) && is_doubtful);
                let (link, is_doubtful) = bench.pool.take(&wanted(Protocol::Resp2), soon_ms).unwrap();
                assert!(link.is_as(&wanted(Protocol::Resp3)), "better than none");
                assert!(!is_doubtful);
                assert!(bench.pool.take(&wanted(Protocol::Resp2), soon_ms).is_none());
                assert_eq!(bench.in_use_and_idle(), (0, 0));
            })
            .await;
    }

    #[tokio::test]
    async fn connections_that_upstream_closed_or_that_an_outage_outdated_are_not_given_out() {
        LocalSet::new()
            .run_until(async {
                let mut bench = Bench::new();
                let (closed, peer) = bench.open(Protocol::Resp2).await;
                let (good, _peer) = bench.open(Protocol::Resp2).await;
                bench.give_back(good);
                bench.give_back(closed);
                drop(peer);
                let now_ms = bench.now_ms();
                assert!(bench.pool.take(&wanted(Protocol::Resp2), now_ms).is_some());
                assert!(bench.pool.take(&wanted(Protocol::Resp2), now_ms).is_none());

                let (outdated, _peer) = bench.open(Protocol::Resp2).await;
                bench.give_back(outdated);
                bench.status.failures.add(1);
                assert!(bench.pool.take(&wanted(Protocol::Resp2), now_ms).is_none());
            })
            .await;
    }

    #[tokio::test]
    async fn idle_connections_are_bounded_and_end_after_a_while() {
        LocalSet::new()
            .run_until(async {
                let mut bench = Bench::new();
                let mut opened = Vec::new();
                for _ in 0..=IDLE_SESSION_LINKS_PER_WORKER_MAX {
                    opened.push(bench.open(Protocol::Resp2).await);
                }
                assert!(
                    bench.places.take(&bench.status, Duration::ZERO).await.is_err(),
                    "all have one"
                );
                let mut peers = Vec::new();
                for (link, peer) in opened {
                    bench.give_back(link);
                    peers.push(peer);
                }
                let shelf = &bench.pool.shelf;
                assert_eq!(bench.in_use_and_idle(), (0, IDLE_SESSION_LINKS_PER_WORKER_MAX));
                peers.swap_remove(0);
                shelf.sweep(bench.now_ms());
                assert_eq!(
                    bench.in_use_and_idle().1,
                    IDLE_SESSION_LINKS_PER_WORKER_MAX - 1,
                    "upstream closed one"
                );
                shelf.sweep(bench.now_ms() + 2 * IDLE_SESSION_LINK_MS_MAX);
                assert_eq!(bench.in_use_and_idle(), (0, 0));
            })
            .await;
    }

    #[tokio::test]
    async fn a_crowd_waits_a_moment_for_a_connection_that_comes_back() {
        let pool = Pool::default();
        let mut turns = Vec::new();
        for _ in 0..SESSION_LINKS_EAGER {
            turns.push(pool.turn().await.expect("there is room"));
        }
        let (turn, ()) = tokio::join!(pool.turn(), async { drop(turns.pop()) });
        assert!(turn.is_some());
        assert!(
            pool.turn().await.is_none(),
            "the others may be at something that takes long"
        );
    }
}
