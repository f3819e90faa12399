//! What a request has to pass before it runs, and what is noted of it.

use super::Turn;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{
    ADMIN, FAST, GROWS, Handler, MAY_REPLICATE, NO_AUTH, NO_MULTI, NONE, PASSES_PAUSE, Result, SKIP_MONITOR,
    SKIP_SLOWLOG, WHILE_SUBSCRIBED, WRITE,
};
use crate::resp::{Reply, Request};
use crate::session::Session;
use crate::tiers::Way;
use crate::worker::Worker;

/// A request that was refused before it ran.
pub struct Refusal {
    /// The command, if there is one of that name.
    pub entry: Option<&'static Entry>,
    /// Why.
    pub error: Error,
}

impl Refusal {
    /// Writes the error and counts it.
    #[cold]
    pub fn reply(self, session: &Session, worker: &Worker, out: &mut Vec<u8>) {
        reply_error(&self.error, session, worker, out);
        if let Some(entry) = self.entry {
            worker.counters.rejected(entry.id);
        }
    }
}

/// All gates, in Redis's order: arity, login, transaction, memory, subscriptions.
#[inline]
pub fn pass(
    entry: &'static Entry,
    request: Request<'_>,
    session: &Session,
    worker: &Worker,
    turn: &Turn,
) -> Result {
    let command = entry.command;
    if !command.accepts(request.len()) {
        return Err(Error::Arity(entry.full_name.clone()));
    }
    if !session.authenticated && !command.flags.contains(NO_AUTH) {
        require_login(session, worker)?;
    }
    if session.transaction.is_some() && command.flags.contains(NO_MULTI) {
        return Err(Error::NOT_IN_MULTI);
    }
    if command.flags.contains(GROWS) && worker.services.store.is_over_budget() {
        make_room(entry, request, worker, turn)?;
    }
    if session.is_listening_only() && !command.flags.contains(WHILE_SUBSCRIBED) {
        return Err(Error::only_listening(&entry.full_name));
    }
    Ok(())
}

#[cold]
fn require_login(session: &Session, worker: &Worker) -> Result {
    if session.must_log_in(&worker.services.config.load()) {
        Err(Error::AuthRequired)
    } else {
        Ok(())
    }
}

/// Evicts for a command that grows the data. One that upstream answers grows nothing here; one whose changes are
/// carried later may wait for room.
#[cold]
fn make_room(entry: &Entry, request: Request<'_>, worker: &Worker, turn: &Turn) -> Result {
    if let Some(tiers) = worker.tiers()
        && tiers.way(entry, request)? != Way::Here
    {
        return Ok(());
    }
    let store = &worker.services.store;
    let first_key = entry.command.key_positions(request).first().copied();
    let hash = store.hash(first_key.map_or(b"", |(at, _)| request.arg(at)));
    if store.make_room(hash, turn.now_ms) {
        Ok(())
    } else {
        Err(Error::OutOfMemory)
    }
}

/// Whether CLIENT PAUSE holds the command back.
#[inline]
pub fn is_paused(entry: &Entry, session: &Session, worker: &Worker, now_ms: u64) -> bool {
    let pause = &worker.services.pause;
    pause.is_on(now_ms) && !passes_pause(entry) && pause.holds(is_write(entry, session), now_ms)
}

fn passes_pause(entry: &Entry) -> bool {
    entry.command.flags.contains(PASSES_PAUSE)
}

/// Whether a pause of writes holds the command back; EXEC, if it does so with a command that is queued.
fn is_write(entry: &Entry, session: &Session) -> bool {
    let queued = match (entry.command.handler, &session.transaction) {
        (Handler::Exec, Some(transaction)) => transaction.flags(),
        _ => NONE,
    };
    entry.command.flags.or(queued).intersects(WRITE.or(MAY_REPLICATE))
}

/// Waits while CLIENT PAUSE holds the command back; the client counts as blocked meanwhile. A command that only
/// upstream knows may write.
pub async fn wait_out_pause(entry: Option<&Entry>, session: &Session, worker: &Worker) {
    let services = &worker.services;
    let now_ms = || services.clock.unix_ms();
    let writes = entry.is_none_or(|entry| is_write(entry, session));
    if !entry.is_some_and(passes_pause) && services.pause.holds(writes, now_ms()) {
        let _blocked = session.client.block(&services.clients);
        services.pause.wait(writes, now_ms).await;
    }
}

/// Shows a request to MONITOR clients, unless it is for operators.
#[cold]
pub fn show_to_monitors(entry: &Entry, request: Request<'_>, session: &Session, worker: &Worker) {
    if entry.command.flags.intersects(ADMIN.or(SKIP_MONITOR)) {
        return;
    }
    let services = &worker.services;
    let output_max = services.config.load().network.output_limits.pubsub.hard_bytes as usize;
    let now_us = services.clock.unix_us();
    services.monitors.show(
        shown(entry, request),
        session.db,
        &session.client.peer,
        now_us,
        output_max,
    );
}

/// The words of a request as others may see them.
fn shown<'r>(entry: &Entry, request: Request<'r>) -> impl ExactSizeIterator<Item = &'r [u8]> {
    let is_secret = entry.command.is_secret;
    let words = request.iter().enumerate();
    words.map(move |(at, word)| {
        if is_secret(request, at) {
            b"(redacted)".as_slice()
        } else {
            word
        }
    })
}

/// Notes a slow request in the slow log and among the latency spikes.
#[cold]
pub fn note_slowness(
    entry: &Entry,
    request: Request<'_>,
    nanoseconds: u64,
    session: &Session,
    worker: &Worker,
    turn: &Turn,
) {
    let services = &worker.services;
    let at_s = turn.now_ms / 1000;
    if services.slowlog.is_slow(nanoseconds) && !entry.command.flags.contains(SKIP_SLOWLOG) {
        services.slowlog.add(
            shown(entry, request),
            nanoseconds,
            at_s,
            &session.client.peer,
            session.client.name(),
        );
    }
    let event = if entry.command.flags.contains(FAST) {
        "fast-command"
    } else {
        "command"
    };
    services.latency.note(event, nanoseconds, at_s);
}

/// Writes an error reply and counts it by its first word.
#[cold]
pub fn reply_error(error: &Error, session: &Session, worker: &Worker, out: &mut Vec<u8>) {
    let text = error.to_string();
    worker
        .services
        .counters
        .error(text.split(' ').next().unwrap_or_default());
    Reply::new(out, session.protocol).error(text);
}
