//! Commands that wait for keys: how they come to wait, and who serves them.

use std::time::Duration;

use tokio::sync::oneshot;

use super::route::{self, Attempted, Run};
use crate::clients::Unblock;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{Result, Wait};
use crate::resp::{OwnedRequest, Reply, Request};
use crate::session::Session;
use crate::store::{FullName, Key, Ticket, Visit};
use crate::waiting::{WaitingRequest, WaitingRequests};
use crate::worker::Worker;

/// Runs a command that may wait, and waits: until it could be served, its time is over, or its client is released.
pub async fn run(
    entry: &'static Entry,
    request: Request<'_>,
    visit: Visit,
    session: &Session,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result {
    let (wait, queued) = loop {
        match attempt_or_queue(entry, request, visit, session, worker, out)? {
            Queued::Done => return Ok(()),
            Queued::Busy => tokio::time::sleep(super::BUSY_PAUSE).await,
            Queued::Waits(wait, queued) => break (wait, queued),
        }
    };
    let _blocked = session.client.block(&worker.services.clients);
    let mut queued = queued;
    let released = async {
        let released = session.client.released();
        match wait.timeout_ms {
            0 => released.await,
            timeout_ms => tokio::time::timeout(Duration::from_millis(timeout_ms), released)
                .await
                .unwrap_or(Unblock::Timeout),
        }
    };
    let how = tokio::select! {
        biased;
        reply = &mut queued.reply => return accept(reply, out),
        how = released => how,
    };
    if !queued.withdraw() {
        // It is being served at this moment.
        return accept((&mut queued.reply).await, out);
    }
    match how {
        Unblock::Error => Err(Error::unblocked()),
        Unblock::Timeout => {
            (wait.on_timeout)(&mut Reply::new(out, session.protocol));
            Ok(())
        }
    }
}

fn accept(
    reply: std::result::Result<Result<Vec<u8>>, oneshot::error::RecvError>,
    out: &mut Vec<u8>,
) -> Result {
    out.extend_from_slice(&reply.expect("a request is answered or still on the list")?);
    Ok(())
}

/// What became of a command that may wait.
enum Queued<'w> {
    Done,
    /// A shard is kept for long: try again.
    Busy,
    Waits(Wait, Place<'w>),
}

fn attempt_or_queue<'w>(
    entry: &'static Entry,
    request: Request<'_>,
    visit: Visit,
    session: &Session,
    worker: &'w Worker,
    out: &mut Vec<u8>,
) -> Result<Queued<'w>> {
    let waiting = &worker.services.waiting;
    let run = Run {
        entry,
        request,
        hash: None,
        protocol: session.protocol,
        visit,
        missing: &[],
        is_complete: true,
    };
    let mut place = None;
    let queue = |wait: &Wait| {
        let words = match &wait.request {
            Some(words) => OwnedRequest::new(words.iter().map(|word| &**word)),
            None => request.into(),
        };
        let ticket = waiting.next_ticket();
        let (added, reply) = WaitingRequest::new(ticket, entry, words, visit.db, session.protocol);
        waiting.add(added);
        place = Some(Place {
            worker,
            ticket,
            reply,
        });
        ticket
    };
    Ok(match route::attempt(run, worker, out, Some(queue))? {
        Attempted::Done => Queued::Done,
        Attempted::Busy => Queued::Busy,
        Attempted::Blocked(wait) => Queued::Waits(wait, place.expect("what is blocked was queued")),
    })
}

/// A request's place in the queues of its keys; given up when this is dropped.
struct Place<'w> {
    worker: &'w Worker,
    ticket: Ticket,
    reply: oneshot::Receiver<Result<Vec<u8>>>,
}

impl Place<'_> {
    /// Gives the place up; false if the request was served before.
    fn withdraw(&self) -> bool {
        let Some(request) = self.waiting().get(self.ticket) else {
            return false;
        };
        let is_unserved = request.answer().take().is_some();
        if is_unserved {
            leave(&request, self.worker);
        }
        is_unserved
    }

    fn waiting(&self) -> &WaitingRequests {
        &self.worker.services.waiting
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Takes a request out of all queues.
fn leave(request: &WaitingRequest, worker: &Worker) {
    let services = &worker.services;
    services.waiting.remove(request.ticket);
    let words = request.request.view();
    for (at, _) in request.entry.command.key_positions(words) {
        let key = words.arg(at);
        let mut shard = services.store.lock(services.store.hash(key));
        shard.attention().leave(request.db, key, request.ticket);
    }
}

/// Serves those who wait for keys that commands of this worker changed, and for keys that are changed by that.
#[cold]
pub fn serve(worker: &Worker, now_ms: u64) {
    while let Some(name) = worker.take_ready() {
        serve_key(&name, worker, now_ms);
    }
}

/// Runs the requests that wait for a key, oldest first, as long as there is something for them.
fn serve_key(name: &FullName, worker: &Worker, now_ms: u64) {
    let waiting = &worker.services.waiting;
    let mut from = 0;
    while let Some((ticket, exists)) = next_waiting(name, from, worker, now_ms) {
        if !exists && !waiting.any_sees_removal() {
            return;
        }
        from = ticket + 1;
        let Some(request) = waiting.get(ticket) else {
            continue;
        };
        if exists || request.sees_removal() {
            serve_request(&request, &name.key, worker, now_ms);
        }
    }
}

/// The next ticket of a key, and whether the key exists.
fn next_waiting(name: &FullName, from: Ticket, worker: &Worker, now_ms: u64) -> Option<(Ticket, bool)> {
    let store = &worker.services.store;
    let hash = store.hash(&name.key);
    let mut shard = store.lock(hash);
    let ticket = shard.attention().next_waiting(name, from)?;
    let visit = Visit::new(name.db, now_ms);
    Some((ticket, Key::find(&mut shard, &name.key, hash, visit).exists()))
}

/// Runs a request that waits, for the key that has changed; if there is something for it, sends the reply to its
/// client.
fn serve_request(request: &WaitingRequest, key: &[u8], worker: &Worker, now_ms: u64) {
    let mut answer = request.answer();
    if answer.is_none() {
        return;
    }
    let mut reply = Vec::new();
    let visit = Visit::new(request.db, now_ms);
    let outcome = match route::attempt_woken(request, key, visit, worker, &mut reply) {
        Ok(false) => return,
        Ok(true) => Ok(reply),
        Err(error) => Err(error),
    };
    leave(request, worker);
    if let Some(answer) = answer.take() {
        // A client that went away at this moment has lost its reply, as it could on the wire.
        let _ = answer.send(outcome);
    }
}
