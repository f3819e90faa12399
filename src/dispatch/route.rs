//! From a command's keys to the shards that hold them.

use smallvec::SmallVec;

use crate::commands::Args;
use crate::commands::call::{HeldKeys, KeyCall, KeysCall};
use crate::commands::index::Entry;
use crate::commands::spec::{Attempt, Handler, KEYSPACE, OWNER, RELAYED, Result, Wait};
use crate::resp::{Protocol, Reply, Request};
use crate::store::{EntryRef, Key, KeyHash, LockedShards, Ticket, Visit};
use crate::tiers::{Deferral, Tiers, Way};
use crate::waiting::WaitingRequest;
use crate::worker::Worker;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The reply is written.
    Done,
    /// Nothing happened yet: upstream has to be asked first, or a key has to change.
    MustWait,
    /// Nothing happened yet: another thread keeps a shard for long.
    Busy,
}

/// What became of a command that may wait for its keys.
pub enum Attempted {
    /// The reply is written.
    Done,
    /// Nothing happened: another thread keeps a shard for long.
    Busy,
    /// Nothing happened: a key has to change first.
    Blocked(Wait),
}

/// Whether only upstream can answer the command, if there is one.
pub fn is_upstreams(entry: &Entry) -> bool {
    entry.command.flags.intersects(KEYSPACE.or(OWNER)) || entry.command.writes_keys()
}

/// Whether the session's own connection to upstream has to run the command, if there is an upstream.
#[inline]
pub fn is_relayed(entry: &Entry) -> bool {
    entry.command.flags.contains(RELAYED) || matches!(entry.command.handler, Handler::Blocking(_))
}

/// The position of the command's one key, if it has one key and the request reaches so far.
#[inline]
pub fn single_key(entry: &Entry, request: Request<'_>) -> Option<usize> {
    let is_single = matches!(entry.command.handler, Handler::Key(_));
    is_single
        .then(|| entry.command.first_key())
        .filter(|&at| at < request.len())
}

/// A run of a command on its keys.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The row.
    pub entry: &'static Entry,
    /// The words.
    pub request: Request<'a>,
    /// The hash of the key, where it has one key and that was hashed already.
    pub hash: Option<KeyHash>,
    /// The protocol of the reply.
    pub protocol: Protocol,
    /// Time and database.
    pub visit: Visit,
    /// Positions of keys that upstream was found not to have.
    pub missing: &'a [usize],
    /// Whether it may run whatever its keys are: what they are here is all there is, or does not matter.
    pub is_complete: bool,
}

/// What a request that may have to do with upstream can do at once.
#[inline]
pub fn approach<'a>(run: Run<'a>, tiers: &Tiers) -> Result<Option<Run<'a>>> {
    let Run {
        entry,
        request,
        visit,
        ..
    } = run;
    if !is_upstreams(entry) {
        let visit = super::lenient(visit);
        return Ok(Some(Run { visit, ..run }));
    }
    Ok(match tiers.way(entry, request)? {
        Way::Here | Way::Filled => Some(run),
        Way::Deferred => tiers.behind.has_memory(visit.now_ms).then(|| run.deferred()),
        Way::Upstream => None,
    })
}

/// Runs a handler on the keys of the request. With an upstream, a command whose keys are not all resident must
/// wait, but for those that are known to be missing.
#[inline]
pub fn run_on_keys(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result<Ran> {
    match run.entry.command.handler {
        Handler::Key(handler) => run_on_key(handler, run, worker, out),
        Handler::Keys(handler) => run_on_held(handler, run, worker, out),
        Handler::Blocking(_) => {
            let attempted = attempt(run, worker, out, None::<fn(&Wait) -> Ticket>)?;
            Ok(match attempted {
                Attempted::Done => Ran::Done,
                Attempted::Busy => Ran::Busy,
                Attempted::Blocked(_) => Ran::MustWait,
            })
        }
        // They are not run on keys; upstream may answer them.
        Handler::Session(_) | Handler::Waiting(_) | Handler::Exec | Handler::Container => Ok(Ran::MustWait),
    }
}

#[inline]
fn run_on_key(
    handler: fn(&mut KeyCall<'_>) -> Result,
    run: Run<'_>,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result<Ran> {
    let Run { request, visit, .. } = run;
    let at = run.entry.command.first_key();
    let name = request.arg(at);
    let store = &worker.services.store;
    let hash = run.hash.unwrap_or_else(|| store.hash(name));
    let Some(mut shard) = store.lock_soon(hash) else {
        return Ok(Ran::Busy);
    };
    let mut key = Key::find(&mut shard, name, hash, visit);
    let mut deferral = None;
    if let Some(tiers) = worker.tiers() {
        if run.lacks(&mut key, at, tiers) {
            return Ok(Ran::MustWait);
        }
        if visit.defers {
            deferral = run.defer(key.entry().into_iter(), tiers);
            if deferral.is_none() {
                return Ok(Ran::MustWait);
            }
        }
    }
    let args = Args::new(request, at + 1);
    let reply = Reply::new(out, run.protocol);
    let result = handler(&mut KeyCall {
        args,
        key,
        reply,
        visit,
        services: &worker.services,
    });
    if let Some(mut deferral) = deferral {
        deferral.note(&mut shard, visit.now_ms);
        worker.note_deferred(deferral.sequence());
    }
    worker.note_ready(shard.take_ready());
    let wishes = shard.take_wishes();
    drop(shard);
    worker.note_wishes(wishes);
    result.map(|()| Ran::Done)
}

fn run_on_held(
    handler: fn(&mut KeysCall<'_>) -> Result,
    run: Run<'_>,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result<Ran> {
    let named = Named::of(run.entry, run.request, worker);
    let Some(shards) = worker.services.store.lock_all_soon(&named.hashes) else {
        return Ok(Ran::Busy);
    };
    let mut call = run.keys_call(&named.names, shards, worker, out);
    let mut deferral = None;
    if let Some(tiers) = worker.tiers() {
        let lacks = |(index, at): (usize, &usize)| run.lacks(&mut call.keys.get(index), *at, tiers);
        if named.positions.iter().enumerate().any(lacks) {
            return Ok(Ran::MustWait);
        }
        if run.visit.defers {
            let entries = (0..call.keys.len()).filter_map(|index| call.keys.entry(index));
            deferral = run.defer(entries, tiers);
            if deferral.is_none() {
                return Ok(Ran::MustWait);
            }
        }
    }
    let result = handler(&mut call);
    if let Some(mut deferral) = deferral {
        call.keys
            .for_each_shard(|shard| deferral.note(shard, run.visit.now_ms));
        worker.note_deferred(deferral.sequence());
    }
    worker.note_ready(call.keys.take_ready());
    let wishes = call.keys.take_wishes();
    drop(call);
    worker.note_wishes(wishes);
    result.map(|()| Ran::Done)
}

/// Runs a command that may wait for its keys. If it has to, `queue` makes a ticket for it, which is queued at all its
/// keys before anybody can change one of them.
pub fn attempt(
    run: Run<'_>,
    worker: &Worker,
    out: &mut Vec<u8>,
    queue: Option<impl FnOnce(&Wait) -> Ticket>,
) -> Result<Attempted> {
    let Handler::Blocking(handler) = run.entry.command.handler else {
        return Ok(Attempted::Done);
    };
    let named = Named::of(run.entry, run.request, worker);
    let Some(shards) = worker.services.store.lock_all_soon(&named.hashes) else {
        return Ok(Attempted::Busy);
    };
    let mut call = run.keys_call(&named.names, shards, worker, out);
    let attempt = handler(&mut call);
    if let (Ok(Attempt::Block(wait)), Some(queue)) = (&attempt, queue) {
        call.keys.wait(queue(wait));
    }
    worker.note_ready(call.keys.take_ready());
    Ok(match attempt? {
        Attempt::Done => Attempted::Done,
        Attempt::Block(wait) => Attempted::Blocked(wait),
    })
}

/// Runs a command that waited, because this one of its keys has changed; whether it could be served.
pub fn attempt_woken(
    waiting: &WaitingRequest,
    key: &[u8],
    visit: Visit,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let Handler::Blocking(handler) = waiting.entry.command.handler else {
        return Ok(false);
    };
    let run = Run {
        entry: waiting.entry,
        request: waiting.request.view(),
        hash: None,
        protocol: waiting.protocol,
        visit,
        missing: &[],
        is_complete: true,
    };
    let named = Named::of(run.entry, run.request, worker);
    let shards = worker.services.store.lock_all_of(&named.hashes);
    let mut call = run.keys_call(&named.names, shards, worker, out);
    call.woken_by = named.names.iter().position(|(name, _)| *name == key);
    let attempt = handler(&mut call);
    worker.note_ready(call.keys.take_ready());
    Ok(matches!(attempt?, Attempt::Done))
}

/// The keys that a request names.
struct Named<'r> {
    positions: SmallVec<[usize; 8]>,
    names: SmallVec<[(&'r [u8], KeyHash); 8]>,
    hashes: SmallVec<[KeyHash; 8]>,
}

impl<'r> Named<'r> {
    fn of(entry: &Entry, request: Request<'r>, worker: &Worker) -> Self {
        let store = &worker.services.store;
        let found = entry.command.key_positions(request);
        let positions: SmallVec<[usize; 8]> = found.into_iter().map(|(at, _)| at).collect();
        let named = positions
            .iter()
            .map(|&at| (request.arg(at), store.hash(request.arg(at))));
        let names: SmallVec<[(&[u8], KeyHash); 8]> = named.collect();
        Self {
            hashes: names.iter().map(|(_, hash)| *hash).collect(),
            names,
            positions,
        }
    }
}

impl<'a> Run<'a> {
    fn keys_call<'c>(
        &self,
        names: &'c [(&'c [u8], KeyHash)],
        shards: LockedShards<'c>,
        worker: &'c Worker,
        out: &'c mut Vec<u8>,
    ) -> KeysCall<'c>
    where
        'a: 'c,
    {
        KeysCall {
            args: Args::new(self.request, self.entry.name_words),
            keys: HeldKeys::new(shards, names, self.visit),
            reply: Reply::new(out, self.protocol),
            visit: self.visit,
            services: &worker.services,
            woken_by: None,
        }
    }

    /// The same run, whose changes are carried later.
    pub fn deferred(self) -> Self {
        Self {
            visit: Visit {
                defers: true,
                ..self.visit
            },
            is_complete: self.entry.command.is_blind(self.request),
            ..self
        }
    }

    /// Whether upstream may have the key, which stands at position `at`, and L1 has not.
    #[inline]
    fn lacks(&self, key: &mut Key<'_>, at: usize, tiers: &Tiers) -> bool {
        !key.exists() && !self.is_complete && self.is_wanting(key, at, tiers)
    }

    #[cold]
    fn is_wanting(&self, key: &mut Key<'_>, at: usize, tiers: &Tiers) -> bool {
        !self.missing.contains(&at) && !key.is_known_missing() && tiers.may_have(key.name())
    }

    /// Room in the journal for what the command makes of these entries, which are those of its keys; `None` if there is none now,
    /// or one of them is too large to be carried again with each change.
    fn defer<'e, 't>(
        &self,
        entries: impl Iterator<Item = EntryRef<'e>>,
        tiers: &'t Tiers,
    ) -> Option<Deferral<'t>> {
        let mut bytes = self.request.iter().map(<[u8]>::len).sum();
        for entry in entries {
            if entry.text().is_none() && !tiers.behind.may_carry(entry) {
                return None;
            }
            bytes += entry.allocated_bytes();
        }
        tiers.behind.defer(self.request.len(), bytes).ok()
    }
}
