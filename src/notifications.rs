//! Keyspace notifications: what happens to keys is published to those who listen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::config::KeyspaceEvents;
use crate::pubsub::PubSub;
use crate::store::Store;
use crate::store::events::{Class, Observer};

/// Redis's letters for the classes of events.
const LETTERS: [(char, Class); 11] = [
    ('g', Class::GENERIC),
    ('$', Class::STRING),
    ('l', Class::LIST),
    ('s', Class::SET),
    ('h', Class::HASH),
    ('z', Class::SORTED_SET),
    ('x', Class::EXPIRED),
    ('e', Class::EVICTED),
    ('t', Class::STREAM),
    ('m', Class::MISS),
    ('n', Class::NEW),
];

/// Publishes events of keys.
pub struct Notifier {
    pubsub: Arc<PubSub>,
    /// To `__keyspace@<db>__:<key>`.
    by_key: AtomicBool,
    /// To `__keyevent@<db>__:<event>`.
    by_event: AtomicBool,
}

impl Notifier {
    /// One that publishes what `store` tells it, nothing at first.
    pub fn new(pubsub: &Arc<PubSub>, store: &Store) -> Arc<Self> {
        let notifier = Arc::new(Self {
            pubsub: Arc::clone(pubsub),
            by_key: AtomicBool::new(false),
            by_event: AtomicBool::new(false),
        });
        store.set_observer(Box::new(Arc::clone(&notifier)));
        notifier
    }

    /// Chooses the events that are published from now on.
    pub fn configure(&self, events: KeyspaceEvents, store: &Store) {
        let (by_key, by_event) = (events.contains('K'), events.contains('E'));
        self.by_key.store(by_key, Relaxed);
        self.by_event.store(by_event, Relaxed);
        let chosen = LETTERS.iter().filter(|(letter, _)| events.contains(*letter));
        let classes = chosen.fold(0, |classes, (_, class)| classes | class.0);
        store.observe(if by_key || by_event { classes } else { 0 });
    }
}

impl Observer for Arc<Notifier> {
    fn notice(&self, db: usize, key: &[u8], _: Class, event: &str) {
        if !self.pubsub.has_listeners() {
            return;
        }
        if self.by_key.load(Relaxed) {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.pubsub.publish(&channel, event.as_bytes());
        }
        if self.by_event.load(Relaxed) {
            let channel = format!("__keyevent@{db}__:{event}");
            self.pubsub.publish(channel.as_bytes(), key);
        }
    }
}
