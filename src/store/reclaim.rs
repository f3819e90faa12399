//! Frees what takes long to free: on a thread of its own, so that nobody waits for it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use super::entry::Entry;
use super::shard::Keyspace;
use crate::limits::{RECLAIM_BYTES_MIN, RECLAIM_QUEUE};

/// How many objects (entries, as Redis counts them) are freed aside.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reclaimed {
    /// Handed over and not freed yet.
    pub pending: u64,
    /// Freed since the start or the last reset.
    pub freed: u64,
}

/// Hands things over to the thread, which starts with the first of them and ends with the store.
#[derive(Default)]
pub struct Reclaimer {
    /// `None` inside when the system gave no thread; then everything is freed at once.
    queue: OnceLock<Option<SyncSender<Waste>>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    freed: AtomicU64,
}

enum Waste {
    Entry(Entry),
    Keyspaces(Vec<Keyspace>),
}

impl Reclaimer {
    /// Frees an entry: aside, if it is large.
    pub fn free_entry(&self, entry: Entry) {
        if entry.view().allocated_bytes() >= RECLAIM_BYTES_MIN {
            self.hand_over(Waste::Entry(entry));
        }
    }

    /// Frees what databases held.
    pub fn free_keyspaces(&self, keyspaces: Vec<Keyspace>) {
        if !keyspaces.is_empty() {
            self.hand_over(Waste::Keyspaces(keyspaces));
        }
    }

    /// The counts now.
    pub fn reclaimed(&self) -> Reclaimed {
        Reclaimed {
            pending: self.counts.pending.load(Relaxed),
            freed: self.counts.freed.load(Relaxed),
        }
    }

    /// Begins to count anew what was freed.
    pub fn reset(&self) {
        self.counts.freed.store(0, Relaxed);
    }

    fn hand_over(&self, waste: Waste) {
        self.counts.pending.fetch_add(waste.objects(), Relaxed);
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.counts)));
        let refused = match queue {
            Some(queue) => queue.try_send(waste).err().map(|error| match error {
                TrySendError::Full(waste) | TrySendError::Disconnected(waste) => waste,
            }),
            None => Some(waste),
        };
        if let Some(waste) = refused {
            self.counts.free(waste);
        }
    }
}

impl Waste {
    fn objects(&self) -> u64 {
        match self {
            Self::Entry(_) => 1,
            Self::Keyspaces(keyspaces) => keyspaces.iter().map(|keyspace| keyspace.table.len() as u64).sum(),
        }
    }
}

impl Counts {
    fn free(&self, waste: Waste) {
        match waste {
            Waste::Entry(entry) => {
                drop(entry);
                self.freed(1);
            }
            Waste::Keyspaces(keyspaces) => {
                for keyspace in keyspaces {
                    let entries = keyspace.table.len() as u64;
                    drop(keyspace);
                    self.freed(entries);
                }
            }
        }
    }

    fn freed(&self, objects: u64) {
        self.pending.fetch_sub(objects, Relaxed);
        self.freed.fetch_add(objects, Relaxed);
    }
}

/// Starts the thread, if the system has one to give.
fn start(counts: Arc<Counts>) -> Option<SyncSender<Waste>> {
    let (sender, wastes) = sync_channel(RECLAIM_QUEUE);
    let work = move || wastes.into_iter().for_each(|waste| counts.free(waste));
    let thread = std::thread::Builder::new()
        .name("reclaimer".to_owned())
        .spawn(work);
    thread.is_ok().then_some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::text::Text;

    #[test]
    fn what_is_handed_over_is_pending_until_it_is_freed() {
        let reclaimer = Reclaimer::default();
        let large = vec![0; RECLAIM_BYTES_MIN];
        for _ in 0..3 * RECLAIM_QUEUE {
            reclaimer.free_entry(Entry::new(b"large", Text::Bytes(&large), None));
            reclaimer.free_entry(Entry::new(b"small", Text::Bytes(b""), None));
            let Reclaimed { pending, freed } = reclaimer.reclaimed();
            assert!(pending + freed <= 3 * RECLAIM_QUEUE as u64);
        }
        while reclaimer.reclaimed().pending > 0 {
            std::thread::yield_now();
        }
        assert_eq!(reclaimer.reclaimed().freed, 3 * RECLAIM_QUEUE as u64);
        reclaimer.reset();
        assert_eq!(reclaimer.reclaimed(), Reclaimed::default());
    }
}
