//! What the clients and the faults share: the servers, the keys, and what is known of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::counter::Counter;
use super::kinds::Kind;
use super::model::{Floor, Model};
use super::weather::Weather;
use crate::client::Client;
use crate::deadline::now_ms;
use crate::fault_proxy::FaultProxy;
use crate::server::{Program, Server};

/// What was acknowledged is visible through every Forebay after this time, unless its way to upstream is disturbed.
/// It takes milliseconds; the bound is that of a loaded machine. Barriers test the same without a clock.
pub const VISIBLE_WITHIN_MS: u64 = 1_000;

/// Keys of each kind that each client writes.
const KEYS_EACH: usize = 1;

/// Counters that all count up.
const COUNTERS: usize = 2;

/// Where a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Forebay(usize),
    Upstream,
}

/// The clients: two at each Forebay, one at upstream.
pub const CLIENTS: [Via; 5] = [
    Via::Forebay(0),
    Via::Forebay(0),
    Via::Forebay(1),
    Via::Forebay(1),
    Via::Upstream,
];

/// The number of the client at upstream.
pub const FOREIGN: usize = 4;

/// How the Forebays treat writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    NearCache,
    WriteAround,
    WriteBehind,
}

impl Mode {
    /// Of the setting `tier-mode`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NearCache => "near-cache",
            Self::WriteAround => "write-around",
            Self::WriteBehind => "write-behind",
        }
    }
}

/// A key and its writer.
pub struct Key {
    pub name: String,
    pub kind: Kind,
    pub owner: usize,
    pub model: Mutex<Model>,
}

/// All of it.
pub struct World {
    pub mode: Mode,
    pub upstream: Mutex<Server>,
    pub upstream_address: SocketAddr,
    pub proxies: [FaultProxy; 2],
    pub forebays: [Mutex<Server>; 2],
    pub forebay_addresses: [SocketAddr; 2],
    pub weather: [Mutex<Weather>; 2],
    pub keys: Vec<Key>,
    pub counters: Vec<Counter>,
    /// Held by clients for an operation; a rest takes it for itself.
    pub traffic: RwLock<()>,
    /// Held by clients for a write; who removes everything takes it for himself, so that each key has one writer.
    pub writing: RwLock<()>,
    pub is_over: AtomicBool,
    pub operations: AtomicU64,
    /// Reads that were no errors.
    pub answered: AtomicU64,
    verdict: Mutex<Option<String>>,
}

impl World {
    /// Starts everything.
    pub fn new(redis: &Program, mode: Mode, settings: &[&str]) -> Self {
        let upstream = Server::start(
            redis,
            &["--enable-debug-command", "yes", "--busy-reply-threshold", "10"],
        );
        let upstream_address = upstream.address();
        let proxies = [(); 2].map(|()| FaultProxy::start(upstream_address));
        let forebays = proxies.each_ref().map(|proxy| {
            let url = format!("redis://{}", proxy.address());
            Server::forebay(&[&["--upstream", &url, "--tier-mode", mode.name()], settings].concat())
        });
        let forebay_addresses = forebays.each_ref().map(Server::address);
        Self {
            mode,
            upstream: Mutex::new(upstream),
            upstream_address,
            proxies,
            forebays: forebays.map(Mutex::new),
            forebay_addresses,
            weather: Default::default(),
            keys: keys(),
            counters: (0..COUNTERS)
                .map(|number| Counter::new(&format!("counter{number}")))
                .collect(),
            traffic: RwLock::default(),
            writing: RwLock::default(),
            is_over: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            verdict: Mutex::default(),
        }
    }

    /// Whether clients at this place may count this counter up. Behind a Forebay that writes later, nobody else may.
    pub fn may_count(&self, via: Via, counter: usize) -> bool {
        self.mode != Mode::WriteBehind || via == Via::Forebay(counter % self.forebays.len())
    }

    /// Where clients of this kind connect to.
    pub fn address(&self, via: Via) -> SocketAddr {
        match via {
            Via::Forebay(number) => self.forebay_addresses[number],
            Via::Upstream => self.upstream_address,
        }
    }

    /// A connection to upstream, which is up.
    pub fn direct(&self) -> Client {
        Client::connect(self.upstream_address).expect("upstream is up")
    }

    /// Whether an error seen via this way is nobody's fault.
    pub fn is_disturbed(&self, via: Via, now_ms: u64) -> bool {
        match via {
            Via::Forebay(number) => locked(&self.weather[number]).is_disturbed(now_ms),
            Via::Upstream => self
                .weather
                .iter()
                .any(|weather| locked(weather).is_disturbed(now_ms)),
        }
    }

    /// What client `reader` must not read older than, now. `synced_ms`: what upstream had done then has arrived, and the
    /// link that told of it is up; 0 if that is not known. Copies of which that is not known may be served while a
    /// Forebay is cut off, as old as they were when their feed was lost before.
    pub fn floor(&self, key: &Key, model: &Model, reader: usize, synced_ms: u64) -> Floor {
        let now = now_ms();
        let (via, written_via) = (CLIENTS[reader], CLIENTS[key.owner]);
        let done = |before_ms, why| Floor {
            version: model.done_before(before_ms),
            why,
        };
        let mut floors = vec![Floor {
            version: model.seen(reader),
            why: "which this client read before",
        }];
        if via == written_via {
            floors.push(Floor {
                version: model.done_by_owner_before(now),
                why: "which was written the same way",
            });
        }
        // A write that is carried upstream later is not there yet when it is acknowledged.
        let is_at_upstream = self.mode != Mode::WriteBehind || written_via == Via::Upstream;
        if is_at_upstream && via == Via::Upstream {
            floors.push(done(now, "which is acknowledged"));
        }
        if is_at_upstream {
            floors.push(done(
                synced_ms,
                "which was written before this client's last barrier",
            ));
        }
        let calm_since_ms = [via, written_via].map(|via| match via {
            Via::Forebay(number) => locked(&self.weather[number]).calm_since_ms(now),
            Via::Upstream => Some(0),
        });
        if let [Some(first), Some(second)] = calm_since_ms
            && first.max(second) + VISIBLE_WITHIN_MS <= now
        {
            floors.push(done(now - VISIBLE_WITHIN_MS, "which was written long enough ago"));
        }
        floors
            .into_iter()
            .max_by_key(|floor| floor.version)
            .expect("there is one")
    }

    /// Ends the run: something is wrong. The first says what.
    pub fn fail(&self, what: String) {
        locked(&self.verdict).get_or_insert(what);
        self.is_over.store(true, Relaxed);
    }

    /// Ends the run for what is wrong with a key.
    pub fn fail_key(&self, key: &Key, model: &Model, what: &str) {
        self.fail(format!(
            "{:?} {}, written by client {} {:?}: {what}\n{}",
            key.kind,
            key.name,
            key.owner,
            CLIENTS[key.owner],
            model.history()
        ));
    }

    /// What is wrong, if something is.
    pub fn verdict(&self) -> Option<String> {
        locked(&self.verdict).clone()
    }
}

fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    for owner in 0..CLIENTS.len() {
        for kind in Kind::ALL {
            for number in 0..KEYS_EACH {
                keys.push(Key {
                    name: format!("{kind:?}:{owner}:{number}").to_lowercase(),
                    kind,
                    owner,
                    model: Mutex::new(Model::new(CLIENTS.len())),
                });
            }
        }
    }
    keys
}

/// The lock, whoever panicked with it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
