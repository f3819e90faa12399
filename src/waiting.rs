//! Requests that wait until one of their keys changes (BLPOP and its kin).
//!
//! Such a request is queued at its keys by its [`Ticket`]. Whoever changes one of them runs it on behalf of its
//! client and sends the reply over; so no thread waits, and requests are served in the order in which they came.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::commands::index::Entry;
use crate::commands::spec::{Result, SEES_REMOVAL};
use crate::resp::{OwnedRequest, Protocol};
use crate::store::Ticket;

/// A request that waits.
pub struct WaitingRequest {
    /// Its place among all that wait.
    pub ticket: Ticket,
    /// The row.
    pub entry: &'static Entry,
    /// The words to run.
    pub request: OwnedRequest,
    /// The database of its keys.
    pub db: usize,
    /// The protocol of its reply.
    pub protocol: Protocol,
    /// Takes the reply, or the error that is the reply; gone when the request was served, or waits no more.
    answer: Mutex<Option<oneshot::Sender<Result<Vec<u8>>>>>,
}

impl WaitingRequest {
    /// The request with the end of the channel over which its reply comes.
    pub fn new(
        ticket: Ticket,
        entry: &'static Entry,
        request: OwnedRequest,
        db: usize,
        protocol: Protocol,
    ) -> (Arc<Self>, oneshot::Receiver<Result<Vec<u8>>>) {
        let (answer, reply) = oneshot::channel();
        let waiting = Self {
            ticket,
            entry,
            request,
            db,
            protocol,
            answer: Mutex::new(Some(answer)),
        };
        (Arc::new(waiting), reply)
    }

    /// The answer's sender, kept from everybody else for as long as the result lives. Lock no shard before.
    pub fn answer(&self) -> MutexGuard<'_, Option<oneshot::Sender<Result<Vec<u8>>>>> {
        self.answer.lock()
    }

    /// Whether it runs also when a key that it waits for was removed.
    pub fn sees_removal(&self) -> bool {
        self.entry.command.flags.contains(SEES_REMOVAL)
    }
}

/// All requests that wait.
#[derive(Default)]
pub struct WaitingRequests {
    last_ticket: AtomicU64,
    by_ticket: Mutex<HashMap<Ticket, Arc<WaitingRequest>>>,
    count: AtomicUsize,
    removal_seers: AtomicUsize,
}

impl WaitingRequests {
    /// A ticket greater than all before.
    pub fn next_ticket(&self) -> Ticket {
        self.last_ticket.fetch_add(1, Relaxed) + 1
    }

    /// Adds a request. The shards of its keys are locked, and it is queued there.
    pub fn add(&self, request: Arc<WaitingRequest>) {
        self.removal_seers
            .fetch_add(usize::from(request.sees_removal()), Relaxed);
        self.by_ticket.lock().insert(request.ticket, request);
        self.count.fetch_add(1, Relaxed);
    }

    /// Takes a request off the list.
    pub fn remove(&self, ticket: Ticket) {
        let removed = self.by_ticket.lock().remove(&ticket);
        if let Some(request) = removed {
            self.count.fetch_sub(1, Relaxed);
            self.removal_seers
                .fetch_sub(usize::from(request.sees_removal()), Relaxed);
        }
    }

    /// The request with this ticket, if it still waits.
    pub fn get(&self, ticket: Ticket) -> Option<Arc<WaitingRequest>> {
        self.by_ticket.lock().get(&ticket).cloned()
    }

    /// Whether any waits.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Whether one waits that runs also when a key was removed.
    pub fn any_sees_removal(&self) -> bool {
        self.removal_seers.load(Relaxed) > 0
    }
}
