//! Who wants to know when keys of a shard change: transactions that watch them, and commands that wait for them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether a key that a transaction watches was changed (WATCH).
#[derive(Debug, Default)]
pub struct Watch(AtomicBool);

impl Watch {
    /// Whether a change was seen.
    pub fn is_spoiled(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Notes a change. Whoever looks has had the lock of the key's shard since.
    pub fn spoil(&self) {
        self.0.store(true, Relaxed);
    }
}

/// Names a command that waits. Later ones are greater.
pub type Ticket = u64;

/// A key with its database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FullName {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
}

/// What concerns a key, with the database that it concerns it in.
type ByKey<T> = HashMap<Box<[u8]>, Vec<(usize, T)>>;

/// Who watches, and who waits for, keys of one shard.
#[derive(Default)]
pub struct Attention {
    watched: ByKey<Arc<Watch>>,
    /// Tickets, oldest first.
    waited: ByKey<VecDeque<Ticket>>,
    /// Keys that were changed while somebody waited for them.
    ready: Vec<FullName>,
}

impl Attention {
    /// Whether nobody wants to know anything.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.waited.is_empty() && self.ready.is_empty()
    }

    /// Tells `watch` of changes of the key from now on.
    pub fn watch(&mut self, db: usize, key: &[u8], watch: &Arc<Watch>) {
        let watches = self.watched.entry(key.into()).or_default();
        watches.push((db, Arc::clone(watch)));
    }

    /// Tells `watch` of no more changes of the key.
    pub fn unwatch(&mut self, key: &[u8], watch: &Arc<Watch>) {
        if let Some(watches) = self.watched.get_mut(key) {
            watches.retain(|(_, other)| !Arc::ptr_eq(other, watch));
            if watches.is_empty() {
                self.watched.remove(key);
            }
        }
    }

    /// Queues a ticket behind those that wait for the key already. Does nothing if it is queued.
    pub fn wait(&mut self, db: usize, key: &[u8], ticket: Ticket) {
        let databases = self.waited.entry(key.into()).or_default();
        let at = databases
            .iter()
            .position(|(other, _)| *other == db)
            .unwrap_or_else(|| {
                databases.push((db, VecDeque::new()));
                databases.len() - 1
            });
        let queue = &mut databases[at].1;
        // Tickets grow, so a key that a request names twice finds its ticket at the end.
        if queue.back() != Some(&ticket) {
            queue.push_back(ticket);
        }
    }

    /// Takes a ticket out of a key's queue.
    pub fn leave(&mut self, db: usize, key: &[u8], ticket: Ticket) {
        let Some(databases) = self.waited.get_mut(key) else {
            return;
        };
        for (_, queue) in databases.iter_mut().filter(|(other, _)| *other == db) {
            if let Ok(at) = queue.binary_search(&ticket) {
                queue.remove(at);
            }
        }
        databases.retain(|(_, queue)| !queue.is_empty());
        if databases.is_empty() {
            self.waited.remove(key);
        }
    }

    /// The oldest ticket of a key that is not older than `from`.
    pub fn next_waiting(&self, name: &FullName, from: Ticket) -> Option<Ticket> {
        let queue = self.queue(name.db, &name.key)?;
        queue.get(queue.partition_point(|ticket| *ticket < from)).copied()
    }

    /// Takes the keys that were changed while somebody waited for them, oldest first, each once.
    pub fn take_ready(&mut self) -> Vec<FullName> {
        std::mem::take(&mut self.ready)
    }

    /// The key was changed.
    pub fn changed(&mut self, db: usize, key: &[u8]) {
        self.spoil(db, key);
        if self.queue(db, key).is_some() && !self.ready.iter().any(|name| name.db == db && *name.key == *key)
        {
            self.ready.push(FullName { db, key: key.into() });
        }
    }

    /// All keys of a database for which `holds` is true were changed.
    pub fn changed_where(&mut self, db: usize, holds: impl Fn(&[u8]) -> bool) {
        let watched = self.watched.keys();
        let names: Vec<Box<[u8]>> = watched.chain(self.waited.keys()).cloned().collect();
        for key in names.into_iter().filter(|key| holds(key)) {
            self.changed(db, &key);
        }
    }

    /// The keys that are watched, in whatever database.
    pub fn watched(&self) -> impl Iterator<Item = &[u8]> {
        self.watched.keys().map(|key| &**key)
    }

    fn spoil(&self, db: usize, key: &[u8]) {
        let watches = self.watched.get(key).into_iter().flatten();
        for (_, watch) in watches.filter(|(other, _)| *other == db) {
            watch.spoil();
        }
    }

    fn queue(&self, db: usize, key: &[u8]) -> Option<&VecDeque<Ticket>> {
        let databases = self.waited.get(key)?;
        databases
            .iter()
            .find(|(other, _)| *other == db)
            .map(|(_, queue)| queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(db: usize, key: &str) -> FullName {
        FullName {
            db,
            key: key.as_bytes().into(),
        }
    }

    #[test]
    fn a_change_spoils_the_watches_of_its_key_and_database() {
        let (mut attention, watch) = (Attention::default(), Arc::new(Watch::default()));
        attention.watch(1, b"key", &watch);
        attention.changed(0, b"key");
        attention.changed(1, b"other");
        assert!(!watch.is_spoiled());
        attention.changed(1, b"key");
        assert!(watch.is_spoiled());
        attention.unwatch(b"key", &watch);
        assert!(attention.is_empty());
    }

    #[test]
    fn tickets_are_served_in_their_order() {
        let mut attention = Attention::default();
        for ticket in [3, 5, 9, 9] {
            attention.wait(0, b"list", ticket);
        }
        attention.changed(1, b"list");
        attention.changed(0, b"list");
        attention.changed(0, b"list");
        assert_eq!(attention.take_ready(), [name(0, "list")]);
        let list = name(0, "list");
        assert_eq!(attention.next_waiting(&list, 0), Some(3));
        attention.leave(0, b"list", 3);
        assert_eq!(attention.next_waiting(&list, 0), Some(5));
        assert_eq!(attention.next_waiting(&list, 6), Some(9));
        attention.leave(0, b"list", 5);
        attention.leave(0, b"list", 9);
        assert!(attention.is_empty());
    }
}
