//! What the connections of one worker thread share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::limits::{BUFFER_BYTES, POOLED_BUFFER_BYTES_MAX, POOLED_BUFFERS_MAX};
use crate::net::lookahead::Lookahead;
use crate::services::Services;
use crate::stats::counters::WorkerCounters;
use crate::store::FullName;
use crate::tiers::{Pool, Tiers};

/// One worker's view of the server. Stays on its thread.
pub struct Worker {
    /// What all workers share.
    pub services: Arc<Services>,
    tiers: Option<Arc<Tiers>>,
    /// The journal's last record that a command of this worker appended, and the last of which it is known that
    /// replies may tell of it.
    deferred: Cell<(u64, u64)>,
    /// Connections to upstream that no session needs at the moment.
    pub idle_links: Pool,
    /// This worker's counters.
    pub counters: Arc<WorkerCounters>,
    /// Buffers for connections that read or write.
    pub buffers: BufferPool,
    /// Room for the decoded requests of a batch.
    pub lookaheads: LookaheadPool,
    /// Keys that were changed while a command waited for them, by commands of this worker.
    ready: RefCell<VecDeque<FullName>>,
}

impl Worker {
    /// A worker without connections. What it counts is added to what `services` report.
    pub fn new(services: Arc<Services>, tiers: Option<Arc<Tiers>>) -> Self {
        let counters = services.counters.add_worker();
        let (buffers, lookaheads) = (BufferPool::default(), LookaheadPool::default());
        Self {
            services,
            tiers,
            deferred: Cell::default(),
            idle_links: Pool::default(),
            counters,
            buffers,
            lookaheads,
            ready: RefCell::default(),
        }
    }

    /// The tiers, if any key has to do with upstream.
    #[inline]
    pub fn tiers(&self) -> Option<&Arc<Tiers>> {
        self.tiers.as_ref().filter(|tiers| tiers.is_on())
    }

    /// Notes that a command has appended to the journal.
    pub fn note_deferred(&self, sequence: u64) {
        let (_, settled) = self.deferred.get();
        self.deferred.set((sequence, settled));
    }

    /// Whether replies have to wait for the journal.
    #[inline]
    pub fn has_deferred(&self) -> bool {
        let (appended, settled) = self.deferred.get();
        appended > settled
    }

    /// Waits until replies may tell of what was deferred. Fails if they must not.
    #[cold]
    pub async fn settle_deferred(&self) -> io::Result<()> {
        let (appended, _) = self.deferred.get();
        if let Some(tiers) = &self.tiers {
            tiers.behind.settle(appended).await?;
        }
        let (last, settled) = self.deferred.get();
        self.deferred.set((last, settled.max(appended)));
        Ok(())
    }

    /// Notes keys that were changed while a command waited for them.
    #[inline]
    pub fn note_ready(&self, names: Vec<FullName>) {
        if !names.is_empty() {
            self.ready.borrow_mut().extend(names);
        }
    }

    /// Has copies fetched anew that were served though they are old.
    #[inline]
    pub fn note_wishes(&self, names: Vec<FullName>) {
        if !names.is_empty()
            && let Some(tiers) = &self.tiers
        {
            tiers.refresh(names);
        }
    }

    /// Whether there is such a key.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Takes the oldest of these keys.
    pub fn take_ready(&self) -> Option<FullName> {
        self.ready.borrow_mut().pop_front()
    }
}

/// Lookaheads that connections need not hold: one for each that waits in the middle of a batch, and one more.
#[derive(Default)]
pub struct LookaheadPool {
    free: RefCell<Vec<Lookahead>>,
}

impl LookaheadPool {
    /// A lookahead; what it holds is of no use.
    #[inline]
    pub fn take(&self) -> Lookahead {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes one back.
    #[inline]
    pub fn give_back(&self, lookahead: Lookahead) {
        let mut free = self.free.borrow_mut();
        if free.len() < POOLED_BUFFERS_MAX {
            free.push(lookahead);
        }
    }
}

/// Buffers that idle connections need not hold.
#[derive(Default)]
pub struct BufferPool {
    /// Each of them initialised over its whole length, whatever is in it.
    inputs: RefCell<Vec<Vec<u8>>>,
    /// Each of them empty.
    outputs: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// A buffer to read into: at least [`BUFFER_BYTES`] of anything.
    #[inline]
    pub fn take_input(&self) -> Vec<u8> {
        self.inputs
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    /// Takes a buffer back.
    #[inline]
    pub fn give_back_input(&self, buffer: Vec<u8>) {
        keep(&mut self.inputs.borrow_mut(), buffer);
    }

    /// An empty buffer with room for at least [`BUFFER_BYTES`].
    #[inline]
    pub fn take_output(&self) -> Vec<u8> {
        self.outputs
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes a buffer back; what it holds is forgotten.
    #[inline]
    pub fn give_back_output(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        keep(&mut self.outputs.borrow_mut(), buffer);
    }
}

#[inline]
fn keep(free: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    let fits = (BUFFER_BYTES..=POOLED_BUFFER_BYTES_MAX).contains(&buffer.capacity());
    if fits && free.len() < POOLED_BUFFERS_MAX {
        free.push(buffer);
    }
}
