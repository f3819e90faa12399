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
    is_single.then(|| entry.command.keys[0].first).filter(|&at| at < request.len())
}

/// Runs a handler on the keys of the request. With an upstream, a command whose keys are not all resident must
/// wait, but for the keys at the positions in `missing`, which upstream does not have.
#[inline]
pub fn run_on_keys(
    entry: &'static Entry,
    request: Request<'_>,
    hash: Option<KeyHash>,
    protocol: Protocol,
    worker: &Worker,
    out: &mut Vec<u8>,
    visit: Visit,
    missing: &[usize],
) -> Result<Ran> {
    if worker.tiers.is_some() && is_upstreams(entry) {
        return Ok(Ran::MustWait);
    }
    match entry.command.handler {
        Handler::Key(handler) => run_on_key(handler, entry, request, hash, protocol, worker, out, visit, missing),
        Handler::Keys(handler) => run_on_held(handler, entry, request, protocol, worker, out, visit, missing),
        Handler::Session(_) | Handler::Waiting(_) | Handler::Container => Ok(Ran::Done),
    }
}

#[expect(clippy::too_many_arguments, reason = "inlined into its only caller")]
#[inline]
fn run_on_key(
    handler: fn(&mut KeyCall<'_>) -> Result,
    entry: &'static Entry,
    request: Request<'_>,
    hash: Option<KeyHash>,
    protocol: Protocol,
    worker: &Worker,
    out: &mut Vec<u8>,
    visit: Visit,
    missing: &[usize],
) -> Result<Ran> {
    let at = entry.command.keys[0].first;
    let name = request.arg(at);
    let store = &worker.services.store;
    let hash = hash.unwrap_or_else(|| store.hash(name));
    let mut shard = store.lock(hash);
    let mut key = Key::find(&mut shard, name, hash, visit);
    if worker.tiers.is_some() && !key.exists() && !missing.contains(&at) && !key.is_known_missing() {
        return Ok(Ran::MustWait);
    }
    let args = Args::new(request, at + 1);
    let reply = Reply::new(out, protocol);
    handler(&mut KeyCall { args, key, reply, visit, services: &worker.services })?;
    Ok(Ran::Done)
}

#[expect(clippy::too_many_arguments, reason = "inlined into its only caller")]
fn run_on_held(
    handler: fn(&mut KeysCall<'_>) -> Result,
    entry: &'static Entry,
    request: Request<'_>,
    protocol: Protocol,
    worker: &Worker,
    out: &mut Vec<u8>,
    visit: Visit,
    missing: &[usize],
) -> Result<Ran> {
    let store = &worker.services.store;
    let positions = entry.command.key_positions(request.len()).map(|(at, _)| at);
    let named = positions.map(|at| (request.arg(at), store.hash(request.arg(at))));
    let names: SmallVec<[(&[u8], KeyHash); 8]> = named.collect();
    let hashes: SmallVec<[KeyHash; 8]> = names.iter().map(|(_, hash)| *hash).collect();
    let mut keys = HeldKeys::new(store.lock_all_of(&hashes), &names, visit);
    if worker.tiers.is_some() {
        let mut positions = entry.command.key_positions(request.len()).enumerate();
        let is_absent = |keys: &mut HeldKeys<'_>, index, at| {
            let mut key = keys.get(index);
            !key.exists() && !missing.contains(&at) && !key.is_known_missing()
        };
        if positions.any(|(index, (at, _))| is_absent(&mut keys, index, at)) {
            return Ok(Ran::MustWait);
        }
    }
    let args = Args::new(request, entry.name_words);
    let reply = Reply::new(out, protocol);
    handler(&mut KeysCall { args, keys, reply, visit, services: &worker.services })?;
    Ok(Ran::Done)
}
