//! The way of one request, from its words to its reply.
//!
//! [`execute`] does everything that needs no waiting. What does (a handler that waits, CLIENT PAUSE, a miss that
//! upstream has to fill) is left to [`execute_waiting`], so that the way of a hit has no await point.

mod gates;
mod route;

use route::Ran;

use crate::commands::call::SessionCall;
use crate::commands::error::Error;
use crate::commands::index::{self, Entry};
use crate::commands::spec::{Handler, Result};
use crate::commands::Args;
use crate::resp::{Reply, Request};
use crate::session::{ReplyMode, Session};
use crate::store::{KeyHash, Visit};
use crate::tiers::Filled;
use crate::worker::Worker;

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
    Prepared { entry, hash: key_at.map(|at| worker.services.store.hash(request.arg(at))) }
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
        Self { now_ms: clock.unix_ms(), last_ns: clock.monotonic_ns() }
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
            refusal.reply(session, worker, out);
            silence(session, out, start);
            return Step::Done;
        }
    };
    match run(entry, request, prepared.hash, session, worker, out, turn) {
        Ok(Ran::MustWait) => {
            out.truncate(start);
            return Step::Wait;
        }
        Ok(Ran::Done) => finish(entry, Ok(()), request, session, worker, out, turn, start),
        Err(error) => finish(entry, Err(error), request, session, worker, out, turn, start),
    }
    Step::Done
}

/// Runs one request that has to wait and writes its one reply.
pub async fn execute_waiting(
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) {
    let start = out.len();
    let entry = index::resolve(request).ok();
    if let Some(entry) = entry {
        session.client.set_command(entry.id);
        gates::wait_out_pause(entry, session, worker).await;
        *turn = Turn::begin(worker);
    }
    let result = match entry {
        Some(entry) => wait(entry, request, session, worker, out, turn).await,
        None => forward(None, request, session, worker, out).await,
    };
    match entry {
        Some(entry) => finish(entry, result, request, session, worker, out, turn, start),
        None => {
            if let Err(error) = result {
                out.truncate(start);
                Reply::new(out, session.protocol).error(error.to_string());
            }
            silence(session, out, start);
        }
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
        if worker.tiers.is_some() && session.authenticated {
            return Ok(None);
        }
        let error = index::resolve(request).err().unwrap_or(Error::Syntax);
        return Err(gates::Refusal { entry: None, error });
    };
    gates::pass(entry, request, session, worker, turn)
        .map_err(|error| gates::Refusal { entry: Some(entry), error })?;
    let waits = gates::is_paused(entry, worker, turn.now_ms) || matches!(entry.command.handler, Handler::Waiting(_));
    Ok((!waits).then_some(entry))
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
    turn: &Turn,
) -> Result<Ran> {
    session.client.set_command(entry.id);
    let visit = Visit { now_ms: turn.now_ms, db: session.db, touch: !session.no_touch };
    if let Handler::Session(handler) = entry.command.handler {
        if worker.tiers.is_some() && route::is_upstreams(entry) {
            return Ok(Ran::MustWait);
        }
        handler(&mut session_call(entry, request, session, worker, out, visit))?;
        return Ok(Ran::Done);
    }
    route::run_on_keys(entry, request, hash, session.protocol, worker, out, visit, &[])
}

/// Runs a request that waits: for its handler, or for upstream.
async fn wait(
    entry: &'static Entry,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &Turn,
) -> Result {
    let visit = Visit { now_ms: turn.now_ms, db: session.db, touch: !session.no_touch };
    if let Handler::Waiting(handler) = entry.command.handler {
        return handler(session_call(entry, request, session, worker, out, visit)).await;
    }
    if matches!(run(entry, request, None, session, worker, out, turn)?, Ran::Done) {
        return Ok(());
    }
    let Some(tiers) = &worker.tiers else { return Ok(()) };
    if !route::is_fillable(entry) {
        return forward(Some(entry), request, session, worker, out).await;
    }
    let Filled::Known { missing } = tiers.fill(entry, request, visit).await? else {
        return forward(Some(entry), request, session, worker, out).await;
    };
    let visit = Visit { now_ms: worker.services.clock.unix_ms(), ..visit };
    // The second and last round: what is absent now was found missing, or has changed meanwhile.
    match route::run_on_keys(entry, request, None, session.protocol, worker, out, visit, &missing)? {
        Ran::Done => Ok(()),
        Ran::MustWait => forward(Some(entry), request, session, worker, out).await,
    }
}

async fn forward(
    entry: Option<&'static Entry>,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result {
    match &worker.tiers {
        Some(tiers) => tiers.forward(entry, request, session, out).await,
        None => Err(index::resolve(request).err().unwrap_or(Error::Syntax)),
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

/// Counts a request that ran, and replaces what it wrote by its error if it failed.
#[expect(clippy::too_many_arguments, reason = "all that a request touches ends here")]
#[inline]
fn finish(
    entry: &'static Entry,
    result: Result,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
    start: usize,
) {
    let nanoseconds = turn.lap(worker);
    worker.counters.ran(entry.id, nanoseconds, worker.services.counters.tracks_latency());
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
    silence(session, out, start);
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
