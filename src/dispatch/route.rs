//! From a command's keys to the shards that hold them.

use smallvec::SmallVec;

use crate::commands::Args;
use crate::commands::call::{HeldKeys, KeyCall, KeysCall};
use crate::commands::index::Entry;
use crate::commands::spec::{Handler, KEYSPACE, OWNER, Result};
use crate::resp::{Protocol, Reply, Request};
use crate::store::{Key, KeyHash, Visit};
use crate::worker::Worker;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The reply is written.
    Done,
    /// Nothing happened yet: upstream has to be asked first.
    MustWait,
}

/// Whether only upstream can answer the command, if there is one.
pub fn is_upstreams(entry: &Entry) -> bool {
    entry.command.flags.intersects(KEYSPACE.or(OWNER)) || entry.command.writes_keys()
}

/// Whether the command needs no upstream, whatever the request.
pub fn is_local(entry: &Entry) -> bool {
    !is_upstreams(entry) && entry.command.keys.is_empty()
}

/// Whether the command can run here once its keys are resident.
pub fn is_fillable(entry: &Entry) -> bool {
    !is_upstreams(entry) && !entry.command.keys.is_empty()
}

/// The position of the command's one key, if it has one key and the request reaches so far.
#[inline]
pub fn single_key(entry: &Entry, request: Request<'_>) -> Option<usize> {
    let is_single = matches!(entry.command.handler, Handler::Key(_));
    is_single
        .then(|| entry.command.keys[0].first)
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
}

/// Runs a handler on the keys of the request. With an upstream, a command whose keys are not all resident must
/// wait, but for those that are known to be missing.
#[inline]
pub fn run_on_keys(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result<Ran> {
    if worker.tiers.is_some() && is_upstreams(run.entry) {
        return Ok(Ran::MustWait);
    }
    match run.entry.command.handler {
        Handler::Key(handler) => run_on_key(handler, run, worker, out),
        Handler::Keys(handler) => run_on_held(handler, run, worker, out),
        Handler::Session(_) | Handler::Waiting(_) | Handler::Container => Ok(Ran::Done),
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
    let at = run.entry.command.keys[0].first;
    let name = request.arg(at);
    let store = &worker.services.store;
    let hash = run.hash.unwrap_or_else(|| store.hash(name));
    let mut shard = store.lock(hash);
    let mut key = Key::find(&mut shard, name, hash, visit);
    if worker.tiers.is_some() && run.lacks(&mut key, at) {
        return Ok(Ran::MustWait);
    }
    let args = Args::new(request, at + 1);
    let reply = Reply::new(out, run.protocol);
    handler(&mut KeyCall {
        args,
        key,
        reply,
        visit,
        services: &worker.services,
    })?;
    Ok(Ran::Done)
}

fn run_on_held(
    handler: fn(&mut KeysCall<'_>) -> Result,
    run: Run<'_>,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result<Ran> {
    let Run {
        entry,
        request,
        visit,
        ..
    } = run;
    let store = &worker.services.store;
    let positions = || entry.command.key_positions(request.len()).map(|(at, _)| at);
    let named = positions().map(|at| (request.arg(at), store.hash(request.arg(at))));
    let names: SmallVec<[(&[u8], KeyHash); 8]> = named.collect();
    let hashes: SmallVec<[KeyHash; 8]> = names.iter().map(|(_, hash)| *hash).collect();
    let mut keys = HeldKeys::new(store.lock_all_of(&hashes), &names, visit);
    if worker.tiers.is_some()
        && positions()
            .enumerate()
            .any(|(index, at)| run.lacks(&mut keys.get(index), at))
    {
        return Ok(Ran::MustWait);
    }
    let args = Args::new(request, entry.name_words);
    let reply = Reply::new(out, run.protocol);
    handler(&mut KeysCall {
        args,
        keys,
        reply,
        visit,
        services: &worker.services,
    })?;
    Ok(Ran::Done)
}

impl Run<'_> {
    /// Whether upstream may have the key, which stands at position `at`, and L1 has not.
    #[inline]
    fn lacks(&self, key: &mut Key<'_>, at: usize) -> bool {
        !key.exists() && !self.missing.contains(&at) && !key.is_known_missing()
    }
}
