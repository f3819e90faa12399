//! The way of one request, from its words to its reply.
//!
//! [`execute`] does everything that needs no waiting. What does (a handler that waits, CLIENT PAUSE, a miss that
//! upstream has to fill) is left to [`execute_waiting`], so that the way of a hit has no await point.

mod blocking;
mod gates;
mod route;
mod tiered;
mod transaction;

use std::time::Duration;

use route::{Ran, Run};

use crate::commands::Args;
use crate::commands::call::SessionCall;
use crate::commands::error::Error;
use crate::commands::index::{self, Entry};
use crate::commands::spec::{Handler, NO_AUTH, Result, WRITE};
use crate::limits::BUSY_PAUSE_US;
use crate::resp::{Reply, Request};
use crate::session::{ReplyMode, Session};
use crate::store::{Freshness, KeyHash, Visit};
use crate::tiers::{Begun, Way};
use crate::worker::Worker;

/// How long a request rests before it tries again to get a shard that another thread keeps.
const BUSY_PAUSE: Duration = Duration::from_micros(BUSY_PAUSE_US);

/// Whether a request is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its reply is written.
    Done,
    /// It has to wait: call [`execute_waiting`].
    Wait,
}

/// What is known of a request before it runs: its row, and the hash of its key where it has one at a fixed place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prepared {
    entry: Option<&'static Entry>,
    hash: Option<KeyHash>,
}

/// Finds the row of a request and hashes its key.
#[inline]
pub fn prepare(request: Request<'_>, worker: &Worker) -> Prepared {
    let entry = index::resolve(request).ok();
    let key_at = entry.and_then(|entry| route::single_key(entry, request));
    Prepared {
        entry,
        hash: key_at.map(|at| worker.services.store.hash(request.arg(at))),
    }
}

impl Prepared {
    /// Asks the processor to load the entry that the request will look up.
    #[inline]
    pub fn prefetch(&self, session: &Session, worker: &Worker) {
        if let Some(hash) = self.hash {
            worker.services.store.prefetch(session.db, hash);
        }
    }
}

/// The time of a run of requests.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Unix milliseconds, read once for requests that were read together.
    pub now_ms: u64,
    /// Monotonic nanoseconds when the last request ended.
    last_ns: u64,
}

impl Turn {
    /// The time now.
    pub fn begin(worker: &Worker) -> Self {
        let clock = &worker.services.clock;
        Self {
            now_ms: clock.unix_ms(),
            last_ns: clock.monotonic_ns(),
        }
    }

    /// Nanoseconds since the last request ended.
    #[inline]
    fn lap(&mut self, worker: &Worker) -> u64 {
        let now_ns = worker.services.clock.monotonic_ns();
        now_ns.saturating_sub(std::mem::replace(&mut self.last_ns, now_ns))
    }
}

/// Runs one request and writes its one reply, unless it has to wait; then nothing has happened.
#[inline]
pub fn execute(
    request: Request<'_>,
    prepared: Prepared,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) -> Step {
    let start = out.len();
    let entry = match admit(request, prepared, session, worker, turn) {
        Ok(Some(entry)) => entry,
        Ok(None) => return Step::Wait,
        Err(refusal) => {
            let refusal = transaction::note_refusal(refusal, session, worker);
            refusal.reply(session, worker, out);
            silence(session, out, start);
            return Step::Done;
        }
    };
    if transaction::is_queued(entry, session) {
        transaction::queue(entry, request, session, worker, out);
        silence(session, out, start);
        return Step::Done;
    }
    let result = match run(entry, request, prepared.hash, session, worker, out, turn) {
        Ok(Ran::MustWait | Ran::Busy) => {
            out.truncate(start);
            return Step::Wait;
        }
        Ok(Ran::Done) => Ok(()),
        Err(error) => Err(error),
    };
    finish(
        Outcome {
            entry,
            request,
            result,
            start,
        },
        session,
        worker,
        out,
        turn,
    );
    Step::Done
}

/// Begins what a request needs of upstream, ahead of its turn: it may follow `first`, which waits for upstream, if
/// neither can see what the other does. That is so for reads behind a read, which all ask for keys that are absent,
/// and for requests behind a request that is passed on, which reach upstream in their order.
pub fn begin(
    request: Request<'_>,
    prepared: Prepared,
    first: Prepared,
    session: &Session,
    worker: &Worker,
    turn: &Turn,
) -> Option<Begun> {
    let (tiers, entry, first) = (worker.tiers()?, prepared.entry?, first.entry?);
    let is_alike = route::is_upstreams(entry) == route::is_upstreams(first);
    let may_run = gates::pass(entry, request, session, worker, turn).is_ok()
        && !gates::is_paused(entry, session, worker, turn.now_ms)
        && !is_bound(entry, session, worker);
    if !is_alike || !may_run {
        return None;
    }
    match tiers.way(entry, request).ok()? {
        Way::Upstream if tiers.behind.dirty_keys() == 0 && !tiers.is_local_when_cut_off(entry, request) => {
            Some(Begun::Passage(tiers.begin_forward(entry, request, session.db)))
        }
        Way::Filled => {
            let visit = visit(session, turn);
            Some(Begun::Flights(tiers.begin_fill(entry, request, lenient(visit))))
        }
        Way::Here | Way::Deferred | Way::Upstream => None,
    }
}

/// Runs one request that has to wait and writes its one reply. `begun` is what [`begin`] gave for it.
pub async fn execute_waiting(
    request: Request<'_>,
    begun: Option<Begun>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) {
    let start = out.len();
    let entry = index::resolve(request).ok();
    if let Some(entry) = entry {
        session.client.set_command(entry.id);
    }
    gates::wait_out_pause(entry, session, worker).await;
    *turn = Turn::begin(worker);
    let result = match entry {
        Some(entry) if !is_bound(entry, session, worker) => {
            wait(entry, request, begun, session, worker, out, turn).await
        }
        _ => relay(request, session, worker, out).await,
    };
    if let Some(entry) = entry {
        finish(
            Outcome {
                entry,
                request,
                result,
                start,
            },
            session,
            worker,
            out,
            turn,
        );
    } else {
        if let Err(error) = result {
            out.truncate(start);
            gates::reply_error(&error, session, worker, out);
        }
        silence(session, out, start);
    }
    *turn = Turn::begin(worker);
}

/// The row of a request that may run now; `None` if it has to wait first.
#[inline]
fn admit(
    request: Request<'_>,
    prepared: Prepared,
    session: &Session,
    worker: &Worker,
    turn: &Turn,
) -> std::result::Result<Option<&'static Entry>, gates::Refusal> {
    let Some(entry) = prepared.entry else {
        // A subcommand that has no row here may have one at upstream, if others of its container are upstream's.
        let is_unknown = index::find(request.name())
            .is_none_or(|container| container.subcommands().any(route::is_upstreams));
        if is_unknown && session.authenticated && worker.tiers().is_some_and(|tiers| tiers.relays()) {
            return Ok(None);
        }
        let error = index::resolve(request).err().unwrap_or(Error::Syntax);
        return Err(gates::Refusal { entry: None, error });
    };
    if has_upstream_state(session) && is_bound(entry, session, worker) {
        return Ok(None);
    }
    gates::pass(entry, request, session, worker, turn).map_err(|error| gates::Refusal {
        entry: Some(entry),
        error,
    })?;
    if is_bound(entry, session, worker) {
        return Ok(None);
    }
    if transaction::is_queued(entry, session) {
        return Ok(Some(entry));
    }
    let waits = gates::is_paused(entry, session, worker, turn.now_ms)
        || matches!(entry.command.handler, Handler::Waiting(_));
    Ok((!waits).then_some(entry))
}

/// Whether the session's own connection to upstream has to run the command, because of what that connection
/// remembers, or will. Not so for commands that set up the client's connection, which a client may use before it
/// logs in.
#[inline]
fn is_bound(entry: &Entry, session: &Session, worker: &Worker) -> bool {
    let is_bound = |_: &_| {
        has_upstream_state(session) && !entry.command.flags.contains(NO_AUTH) || route::is_relayed(entry)
    };
    worker
        .tiers()
        .filter(is_bound)
        .is_some_and(|tiers| tiers.relays() || has_upstream_state(session))
}

/// Whether the session's own connection to upstream has to run what the session sends: it is in a transaction, say.
#[inline]
fn has_upstream_state(session: &Session) -> bool {
    session.upstream.as_ref().is_some_and(|link| link.is_exclusive())
}

/// Runs the handler on what its type allows it.
#[inline]
fn run(
    entry: &'static Entry,
    request: Request<'_>,
    hash: Option<KeyHash>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) -> Result<Ran> {
    session.client.set_command(entry.id);
    let visit = visit(session, turn);
    if let Handler::Session(handler) = entry.command.handler {
        if let Some(tiers) = worker.tiers()
            && route::is_upstreams(entry)
            && tiers.way(entry, request)? != Way::Here
        {
            return Ok(Ran::MustWait);
        }
        let result = handler(&mut session_call(entry, request, session, worker, out, visit));
        if worker.services.waiting.any() && entry.command.flags.contains(WRITE) {
            worker.note_ready(worker.services.store.take_ready());
        }
        return result.map(|()| Ran::Done);
    }
    if let Handler::Exec = entry.command.handler {
        return transaction::run(session, worker, out, turn);
    }
    let protocol = session.protocol;
    let mut run = Run {
        entry,
        request,
        hash,
        protocol,
        visit,
        missing: &[],
        is_complete: false,
    };
    if let Some(tiers) = worker.tiers() {
        let Some(approached) = route::approach(run, tiers)? else {
            return Ok(Ran::MustWait);
        };
        run = approached;
    }
    route::run_on_keys(run, worker, out)
}

/// Runs a request that waits: for its handler, or for upstream.
async fn wait(
    entry: &'static Entry,
    request: Request<'_>,
    begun: Option<Begun>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) -> Result {
    let visit = visit(session, turn);
    if let Some(tiers) = worker.tiers().filter(|_| !session.is_executing) {
        let way = tiers.way(entry, request)?;
        if way != Way::Here {
            let run = Run {
                entry,
                request,
                hash: None,
                protocol: session.protocol,
                visit,
                missing: &[],
                is_complete: false,
            };
            return tiered::run(run, way, begun, tiers, worker, out).await;
        }
    }
    match entry.command.handler {
        Handler::Waiting(handler) => handler(session_call(entry, request, session, worker, out, visit)).await,
        Handler::Blocking(_) => blocking::run(entry, request, visit, session, worker, out).await,
        _ => run_when_free(entry, request, session, worker, out, turn).await,
    }
}

/// Runs a request as soon as no other thread keeps one of its shards.
async fn run_when_free(
    entry: &'static Entry,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) -> Result {
    while run(entry, request, None, session, worker, out, turn)? != Ran::Done {
        tokio::time::sleep(BUSY_PAUSE).await;
        *turn = Turn::begin(worker);
    }
    Ok(())
}

async fn relay(request: Request<'_>, session: &mut Session, worker: &Worker, out: &mut Vec<u8>) -> Result {
    match worker.tiers() {
        Some(tiers) => tiers.relay(request, session, &worker.idle_links, out).await,
        None => Err(index::resolve(request).err().unwrap_or(Error::Syntax)),
    }
}

#[inline]
fn visit(session: &Session, turn: &Turn) -> Visit {
    Visit {
        touch: !session.no_touch,
        ..Visit::new(session.db, turn.now_ms)
    }
}

/// The same visit of one who only reads.
fn lenient(visit: Visit) -> Visit {
    Visit {
        freshness: Freshness::Lenient,
        ..visit
    }
}

fn session_call<'a>(
    entry: &'static Entry,
    request: Request<'a>,
    session: &'a mut Session,
    worker: &'a Worker,
    out: &'a mut Vec<u8>,
    visit: Visit,
) -> SessionCall<'a> {
    SessionCall {
        args: Args::new(request, entry.name_words),
        reply: Reply::new(out, session.protocol),
        session,
        visit,
        services: &worker.services,
        command: entry,
    }
}

/// A request that ran.
struct Outcome<'a> {
    entry: &'static Entry,
    request: Request<'a>,
    result: Result,
    /// Where its reply begins.
    start: usize,
}

/// Settles a request that ran, and sees to what follows from it.
#[inline]
fn finish(outcome: Outcome<'_>, session: &mut Session, worker: &Worker, out: &mut Vec<u8>, turn: &mut Turn) {
    let start = outcome.start;
    settle(outcome, session, worker, out, turn);
    if worker.has_ready() {
        // A transaction may have taken long.
        blocking::serve(worker, worker.services.clock.unix_ms());
    }
    silence(session, out, start);
}

/// Counts a request that ran, and replaces what it wrote by its error if it failed.
#[inline]
fn settle(outcome: Outcome<'_>, session: &Session, worker: &Worker, out: &mut Vec<u8>, turn: &mut Turn) {
    let Outcome {
        entry,
        request,
        result,
        start,
    } = outcome;
    let nanoseconds = turn.lap(worker);
    worker
        .counters
        .ran(entry.id, nanoseconds, worker.services.counters.tracks_latency());
    if let Err(error) = result {
        out.truncate(start);
        gates::reply_error(&error, session, worker, out);
        worker.counters.failed(entry.id);
    }
    if worker.services.monitors.any() {
        gates::show_to_monitors(entry, request, session, worker);
    }
    if worker.services.slowlog.is_slow(nanoseconds) || worker.services.latency.is_spike(nanoseconds) {
        gates::note_slowness(entry, request, nanoseconds, session, worker, turn);
    }
}

/// Takes the reply back from a client that wants none (CLIENT REPLY).
#[inline]
fn silence(session: &mut Session, out: &mut Vec<u8>, start: usize) {
    if session.reply_mode == ReplyMode::On {
        return;
    }
    out.truncate(start);
    session.reply_mode = match session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip => ReplyMode::On,
        mode => mode,
    };
}
