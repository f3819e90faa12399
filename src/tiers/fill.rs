//! Bringing keys in from upstream: one fetch per key at a time, however many clients wait for it.

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::Tiers;
use super::order::{Fetch, Form, Work};
use super::promotion::Pressure;
use super::status::Status;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{Result, STRUCTURE_CATEGORIES};
use crate::config::TierMode;
use crate::limits::FILL_ROUNDS_MAX;
use crate::resp::Request;
use crate::store::{Approach, Freshness, FullName, Key, Landing, Visit};

/// What is known after the absent keys of a request were asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// Each key is resident, or was found missing: those at these positions of the request.
    Known {
        /// Positions in the request.
        missing: Vec<usize>,
    },
    /// Some key has a value that is not kept here: the request is upstream's to answer.
    Elsewhere,
}

/// The absent keys of one request, on their way.
pub struct Flights(SmallVec<[(usize, Flight); 1]>);

enum Flight {
    Awaited(oneshot::Receiver<Landing>),
    Missing,
    Elsewhere,
}

impl Tiers {
    /// Has the keys of `request` fetched that are absent, all at once, and waits until they have landed. A key that
    /// is written while it is fetched is fetched again, a few times.
    pub async fn fill(
        &self,
        mut flights: Flights,
        entry: &'static Entry,
        request: Request<'_>,
        visit: Visit,
    ) -> Result<Filled> {
        for _ in 1..FILL_ROUNDS_MAX {
            if let Some(filled) = flights.landed(&self.status).await? {
                return Ok(filled);
            }
            flights = self.begin_fill(entry, request, visit);
        }
        Ok(flights.landed(&self.status).await?.unwrap_or(Filled::Elsewhere))
    }

    /// The first half of [`Tiers::fill`]: does not wait.
    pub fn begin_fill(&self, entry: &'static Entry, request: Request<'_>, visit: Visit) -> Flights {
        let mut flights = SmallVec::new();
        let mut fetches = Vec::new();
        let form = likely_form(entry);
        for (at, _) in entry.command.key_positions(request) {
            let flight = match self.approach(request.arg(at), visit) {
                None => continue,
                Some(Approach::Missing) => Flight::Missing,
                Some(Approach::Elsewhere) => Flight::Elsewhere,
                Some(Approach::Follow(landing)) => Flight::Awaited(landing),
                Some(Approach::Lead(ticket, landing)) => {
                    fetches.push(Fetch {
                        key: request.arg(at).into(),
                        ticket,
                        form,
                    });
                    Flight::Awaited(landing)
                }
            };
            // Begun ahead, it may have landed before its request runs, which then does not wait for it.
            self.status
                .filled_reads
                .add(u64::from(matches!(flight, Flight::Awaited(_))));
            flights.push((at, flight));
        }
        if !fetches.is_empty() {
            let bytes = fetches.iter().map(|fetch| fetch.key.len()).sum();
            self.submit(Work::Fill(fetches), visit.db, bytes);
        }
        Flights(flights)
    }

    /// What to do about a key; `None` if it is resident.
    fn approach(&self, key: &[u8], visit: Visit) -> Option<Approach> {
        let store = &self.services.store;
        let hash = store.hash(key);
        let mut shard = store.lock(hash);
        let mut found = Key::find(&mut shard, key, hash, visit);
        if found.exists() {
            return None;
        }
        if found.is_known_missing() {
            return Some(Approach::Missing);
        }
        let namespaces = self.status.namespaces.load();
        let namespace = namespaces.of_key(key);
        if namespace.mode == TierMode::Off {
            return Some(Approach::Missing);
        }
        namespace.stats.misses.add(1);
        // What a change needs to know must be here, whatever the policy says.
        let is_read = visit.freshness > Freshness::Sound;
        namespace.stats.considered.add(u64::from(is_read));
        if is_read
            && !namespace
                .promotion
                .admits(hash.number(), visit.now_ms, self.pressure())
        {
            namespace.stats.unadmitted.add(1);
            return Some(Approach::Elsewhere);
        }
        Some(shard.absent().approach(visit.db, key, visit.now_ms))
    }

    fn pressure(&self) -> Pressure {
        let store = &self.services.store;
        let (policy, _) = store.policy();
        Pressure::of(store.budgeted_bytes(), store.limit_bytes(), policy.evicts())
    }

    /// Has copies fetched anew that may still be served meanwhile.
    pub fn refresh(&self, names: Vec<FullName>) {
        let now_ms = self.services.clock.unix_ms();
        for name in names {
            let store = &self.services.store;
            if !self.may_have(&name.key) {
                continue;
            }
            let mut shard = store.lock(store.hash(&name.key));
            if shard.is_dirty(name.db, &name.key) {
                continue;
            }
            let approach = shard.absent().approach(name.db, &name.key, now_ms);
            drop(shard);
            // Nobody waits for it, and who else fetches it does so for all.
            if let Approach::Lead(ticket, _) = approach {
                let bytes = name.key.len();
                let form = Form::Text;
                let fetch = Fetch {
                    key: name.key,
                    ticket,
                    form,
                };
                self.status.refreshes.add(1);
                self.status
                    .namespaces
                    .load()
                    .of_key(&fetch.key)
                    .stats
                    .refreshes
                    .add(1);
                self.submit(Work::Fill(vec![fetch]), name.db, bytes);
            }
        }
    }
}

/// How to ask for the keys of a command, so that asking once will mostly do.
fn likely_form(entry: &Entry) -> Form {
    if entry.group.category.intersects(STRUCTURE_CATEGORIES) {
        Form::Payload
    } else {
        Form::Text
    }
}

impl Flights {
    /// Waits until all have landed; `None` if some key was written meanwhile. Fails if a fetch did.
    async fn landed(self, status: &Status) -> Result<Option<Filled>> {
        let mut missing = Vec::new();
        let (mut elsewhere, mut overtaken) = (false, false);
        for (at, flight) in self.0 {
            match flight.landed(status).await {
                Landing::Resident => {}
                Landing::Missing => missing.push(at),
                Landing::NotKept => elsewhere = true,
                Landing::Overtaken => overtaken = true,
                Landing::Failed(text) => return Err(Error::Verbatim((*text).into())),
            }
        }
        Ok(match (elsewhere, overtaken) {
            (true, _) => Some(Filled::Elsewhere),
            (false, true) => None,
            (false, false) => Some(Filled::Known { missing }),
        })
    }
}

impl Flight {
    /// Waits until the key has landed. Unless it is here now, it is no filled read.
    async fn landed(self, status: &Status) -> Landing {
        let landing = match self {
            Self::Missing => return Landing::Missing,
            Self::Elsewhere => Landing::NotKept,
            Self::Awaited(landing) => {
                let ended = |_| Landing::Failed(LINK_ENDED.into());
                let landing = landing.await.unwrap_or_else(ended);
                let is_here = matches!(landing, Landing::Resident);
                status.filled_reads.take_back(u64::from(!is_here));
                landing
            }
        };
        status
            .unkept_reads
            .add(u64::from(matches!(landing, Landing::NotKept)));
        landing
    }
}

const LINK_ENDED: &str = "UPSTREAM the link has ended";
