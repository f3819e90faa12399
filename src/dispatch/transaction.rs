//! MULTI and EXEC: queueing requests, and running them as one.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;

use super::gates::{self, Refusal};
use super::route::{self, Attempted, Run};
use super::{Outcome, Ran, Turn};
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{FAST, GROWS, Handler, IMMEDIATE, KEYSPACE, PUBSUB, Result, Wait, Waiting};
use crate::resp::{Reply, Request};
use crate::session::{Session, Transaction};
use crate::store::{HeldShards, KeyHash, Ticket};
use crate::worker::Worker;

/// Whether the session collects requests and this is one of those it collects.
#[inline]
pub fn is_queued(entry: &Entry, session: &Session) -> bool {
    session.transaction.is_some() && !entry.command.flags.contains(IMMEDIATE)
}

/// Queues a request and replies so. It counts, and MONITOR shows it, when it runs.
#[cold]
pub fn queue(
    entry: &'static Entry,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
) {
    let bytes_max = worker.services.config.load().network.query_buffer_max_bytes;
    let transaction = session.transaction.as_mut().expect("a transaction is open");
    if transaction.queue(entry, request, bytes_max) {
        Reply::new(out, session.protocol).simple("QUEUED");
    } else {
        transaction.fail();
        gates::reply_error(&Error::TRANSACTION_TOO_LARGE, session, worker, out);
    }
}

/// Notes that a request could not be queued, so that EXEC refuses. An EXEC that is refused itself ends the
/// transaction.
#[cold]
pub fn note_refusal(refusal: Refusal, session: &mut Session, worker: &Worker) -> Refusal {
    if let Some(Handler::Exec) = refusal.entry.map(|entry| entry.command.handler) {
        session.end_transaction(&worker.services.store);
        return Refusal {
            error: Error::exec_abort_because(&refusal.error),
            ..refusal
        };
    }
    if let Some(transaction) = &mut session.transaction {
        transaction.fail();
    }
    refusal
}

/// EXEC: runs what was queued, unless a key that is watched has changed. Until the last of its commands has run, all
/// shards that they need are held, so nobody sees less than all of it.
#[cold]
pub fn run(session: &mut Session, worker: &Worker, out: &mut Vec<u8>, turn: &mut Turn) -> Result<Ran> {
    let Some(transaction) = &session.transaction else {
        return Err(Error::EXEC_WITHOUT_MULTI);
    };
    if transaction.has_failed() {
        session.end_transaction(&worker.services.store);
        return Err(Error::exec_abort());
    }
    if transaction.flags().contains(GROWS) && is_out_of_memory(worker, turn) {
        session.end_transaction(&worker.services.store);
        return Err(Error::exec_abort_because(&Error::OutOfMemory));
    }
    let Some(held) = hold(transaction, session, worker) else {
        return Ok(Ran::Busy);
    };
    let transaction = session.transaction.take().expect("it was looked at");
    let is_spoiled = session.is_watch_spoiled(&worker.services.store, super::visit(session, turn));
    session.unwatch(&worker.services.store);
    if is_spoiled {
        Reply::new(out, session.protocol).null_array();
        return Ok(Ran::Done);
    }
    run_all(&transaction, session, worker, out, turn);
    drop(held);
    Ok(Ran::Done)
}

fn is_out_of_memory(worker: &Worker, turn: &Turn) -> bool {
    let store = &worker.services.store;
    store.is_over_budget() && !store.make_room(store.hash(b""), turn.now_ms)
}

/// Holds the shards of all keys that the transaction names or watches; all shards where a command may visit others.
fn hold<'w>(transaction: &Transaction, session: &Session, worker: &'w Worker) -> Option<HeldShards<'w>> {
    let store = &worker.services.store;
    if transaction.requests().any(|(entry, _)| visits_others(entry)) {
        return store.hold_all();
    }
    let named = transaction.requests().flat_map(|(entry, request)| {
        let positions = entry.command.key_positions(request);
        positions
            .into_iter()
            .map(move |(at, _)| store.hash(request.arg(at)))
    });
    let watched = session.watched().map(|name| store.hash(&name.key));
    let hashes: SmallVec<[KeyHash; 16]> = named.chain(watched).collect();
    store.hold(&hashes)
}

/// Whether a command may visit shards that do not follow from its keys. Session commands that are fast have no use
/// for the store.
fn visits_others(entry: &Entry) -> bool {
    let flags = entry.command.flags;
    match entry.command.handler {
        Handler::Key(_) | Handler::Keys(_) | Handler::Blocking(_) => false,
        _ => flags.contains(KEYSPACE) || !flags.intersects(FAST.or(PUBSUB)),
    }
}

fn run_all(
    transaction: &Transaction,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) {
    Reply::new(out, session.protocol).array(transaction.requests().len());
    session.is_executing = true;
    for (entry, request) in transaction.requests() {
        let start = out.len();
        let result = run_one(entry, request, session, worker, out, turn);
        let outcome = Outcome {
            entry,
            request,
            result,
            start,
        };
        super::settle(outcome, session, worker, out, turn);
    }
    session.is_executing = false;
}

fn run_one(
    entry: &'static Entry,
    request: Request<'_>,
    session: &mut Session,
    worker: &Worker,
    out: &mut Vec<u8>,
    turn: &mut Turn,
) -> Result {
    if let Handler::Waiting(handler) = entry.command.handler {
        let visit = super::visit(session, turn);
        session.client.set_command(entry.id);
        return run_to_end(handler(super::session_call(
            entry, request, session, worker, out, visit,
        )));
    }
    if let Handler::Blocking(_) = entry.command.handler {
        session.client.set_command(entry.id);
        let run = Run {
            entry,
            request,
            hash: None,
            protocol: session.protocol,
            visit: super::visit(session, turn),
            missing: &[],
            is_complete: true,
        };
        return run_without_waiting(run, worker, out);
    }
    super::run(entry, request, None, session, worker, out, turn).map(drop)
}

/// Runs a command that waits elsewhere. The shards of its keys are held.
fn run_without_waiting(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result {
    let attempted = route::attempt(run, worker, out, None::<fn(&Wait) -> Ticket>)?;
    if let Attempted::Blocked(wait) = attempted {
        (wait.on_refusal)(&mut Reply::new(out, run.protocol));
    }
    Ok(())
}

/// Runs a command that takes rests, without them.
fn run_to_end(mut waiting: Waiting<'_>) -> Result {
    let mut waiting = pin!(&mut waiting);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = waiting.as_mut().poll(&mut context) {
            return result;
        }
        std::thread::yield_now();
    }
}
