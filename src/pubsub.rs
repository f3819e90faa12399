//! Publish and subscribe: who listens to what, and the way of a message to all who do.
//!
//! A message is encoded once and left in the mailboxes of its listeners, whose connections send it. What one client
//! publishes therefore arrives in the order in which it was published. Names are channels, patterns, or shard
//! channels; each kind has a book of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use ahash::RandomState;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::clients::Client;
use crate::limits::SUBSCRIPTION_BYTES_MAX;
use crate::resp::{Protocol, Reply};
use crate::values::glob::{Case, Glob};

/// What a client can listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages that are published to one name.
    Channel,
    /// Messages to all channels whose names fit.
    Pattern,
    /// Messages that are published to one name with SPUBLISH.
    ShardChannel,
}

/// The kinds, in the order of their numbers.
const KINDS: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::ShardChannel];

/// Bytes that a subscription takes beside its name, in both books that it stands in.
const SUBSCRIPTION_OVERHEAD_BYTES: usize = 192;

/// Locks of one book: publishers to different channels seldom meet.
const BOOK_LOCKS: usize = 16;

/// All subscriptions of the server.
pub struct PubSub {
    books: [Book; 3],
    output_bytes_max: AtomicUsize,
}

/// Who listens to the names of one kind.
struct Book {
    listeners: DashMap<Arc<[u8]>, Listeners, RandomState>,
    /// The number of names, so that publishing to nobody costs a load.
    names: AtomicUsize,
}

/// Clients by id.
type Listeners = BTreeMap<u64, Arc<Client>>;

/// What one client listens to. Its session owns this; [`PubSub`] knows the same by name.
#[derive(Default)]
pub struct Subscriptions {
    /// By kind; boxed, since few connections have any.
    names: Option<Box<[Names; 3]>>,
    /// Bytes that all of it takes here and in [`PubSub`].
    bytes: usize,
    /// How many subscriptions there ever were.
    last: u64,
}

/// Names, and which subscription each was.
type Names = HashMap<Arc<[u8]>, u64, RandomState>;

/// The subscriptions of a client would take more than [`SUBSCRIPTION_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Default for PubSub {
    fn default() -> Self {
        Self {
            books: KINDS.map(|_| Book::new()),
            output_bytes_max: AtomicUsize::new(0),
        }
    }
}

impl PubSub {
    /// Sets how many bytes may wait for a listener before it is disconnected; 0: no bound.
    pub fn set_output_max(&self, bytes: usize) {
        self.output_bytes_max.store(bytes, Relaxed);
    }

    /// Whether a message to a channel could have a listener. On the way of every write, so it costs two loads.
    #[inline]
    pub fn has_listeners(&self) -> bool {
        self.count(Kind::Channel) + self.count(Kind::Pattern) > 0
    }

    /// Sends a message to the listeners of a channel, then to those of all patterns that fit it. Gives how many
    /// that were; a client counts for each of its subscriptions. O(listeners + patterns).
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        self.deliver(Kind::Channel, b"message", channel, message) + self.deliver_by_pattern(channel, message)
    }

    /// Sends a message to the listeners of a shard channel and gives how many that were.
    pub fn publish_sharded(&self, channel: &[u8], message: &[u8]) -> usize {
        self.deliver(Kind::ShardChannel, b"smessage", channel, message)
    }

    /// Has a client listen to `name`, if it does not yet.
    pub fn subscribe(
        &self,
        client: &Arc<Client>,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> Result<(), TooMany> {
        if let Some(name) = subscriptions.add(kind, name)? {
            self.book(kind).add(name, client);
            subscriptions.show_on(client);
        }
        Ok(())
    }

    /// Has a client listen to `name` no longer; false if it did not. No message comes for it afterwards, but some
    /// may be in the mailbox.
    pub fn unsubscribe(
        &self,
        client: &Client,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> bool {
        let removed = subscriptions.remove(kind, name);
        if removed {
            self.book(kind).remove(name, client.id);
            subscriptions.show_on(client);
        }
        removed
    }

    /// Has a client listen to nothing any more.
    pub fn leave(&self, client: &Client, subscriptions: &mut Subscriptions) {
        let Some(names) = subscriptions.names.take() else {
            return;
        };
        for (kind, names) in KINDS.into_iter().zip(*names) {
            for name in names.keys() {
                self.book(kind).remove(name, client.id);
            }
        }
        subscriptions.bytes = 0;
        subscriptions.show_on(client);
    }

    /// How many names of a kind have listeners.
    pub fn count(&self, kind: Kind) -> usize {
        self.book(kind).names.load(Acquire)
    }

    /// How many clients listen to `name`.
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> usize {
        let listeners = self.book(kind).listeners.get(name);
        listeners.map_or(0, |listeners| listeners.len())
    }

    /// The names of a kind that have listeners, in no order. O(n).
    pub fn names(&self, kind: Kind) -> Vec<Arc<[u8]>> {
        let names = self.book(kind).listeners.iter();
        names.map(|entry| Arc::clone(entry.key())).collect()
    }

    fn book(&self, kind: Kind) -> &Book {
        &self.books[kind as usize]
    }

    fn deliver(&self, kind: Kind, word: &[u8], channel: &[u8], message: &[u8]) -> usize {
        if self.count(kind) == 0 {
            return 0;
        }
        let listeners = self.book(kind).listeners.get(channel);
        listeners.map_or(0, |listeners| self.push(&listeners, &[word, channel, message]))
    }

    fn deliver_by_pattern(&self, channel: &[u8], message: &[u8]) -> usize {
        if self.count(Kind::Pattern) == 0 {
            return 0;
        }
        let patterns = self.book(Kind::Pattern).listeners.iter();
        patterns
            .filter(|entry| Glob::new(entry.key(), Case::Sensitive).matches(channel))
            .map(|entry| self.push(entry.value(), &[b"pmessage", entry.key(), channel, message]))
            .sum()
    }

    /// Leaves a message of these parts in the mailboxes of all `listeners`.
    fn push(&self, listeners: &Listeners, parts: &[&[u8]]) -> usize {
        let output_bytes_max = self.output_bytes_max.load(Relaxed);
        let message = encode(parts);
        for client in listeners.values() {
            client.mailbox().push(Arc::clone(&message), output_bytes_max);
        }
        listeners.len()
    }
}

/// A push as a mailbox holds it.
fn encode(parts: &[&[u8]]) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    let mut push = Reply::new(&mut bytes, Protocol::Resp3);
    push.push(parts.len());
    for part in parts {
        push.bulk(part);
    }
    bytes.into()
}

impl Book {
    fn new() -> Self {
        Self {
            listeners: DashMap::with_hasher_and_shard_amount(RandomState::new(), BOOK_LOCKS),
            names: AtomicUsize::new(0),
        }
    }

    fn add(&self, name: Arc<[u8]>, client: &Arc<Client>) {
        let listeners = match self.listeners.entry(name) {
            Entry::Occupied(known) => known.into_ref(),
            Entry::Vacant(new) => {
                self.names.fetch_add(1, Release);
                new.insert(Listeners::new())
            }
        };
        { listeners }.insert(client.id, Arc::clone(client));
    }

    fn remove(&self, name: &[u8], id: u64) {
        let emptied = self.listeners.remove_if_mut(name, |_, listeners| {
            listeners.remove(&id);
            listeners.is_empty()
        });
        if emptied.is_some() {
            self.names.fetch_sub(1, Release);
        }
    }
}

impl Subscriptions {
    /// How many names of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.names.as_ref().map_or(0, |names| names[kind as usize].len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        KINDS.iter().all(|kind| self.count(*kind) == 0)
    }

    /// Fails if these names and `more` would take too much memory.
    pub fn check_room<'n>(&self, more: impl Iterator<Item = &'n [u8]>) -> Result<(), TooMany> {
        let more_bytes: usize = more.map(bytes_of).sum();
        if self.bytes + more_bytes > SUBSCRIPTION_BYTES_MAX {
            return Err(TooMany);
        }
        Ok(())
    }

    /// The names of a kind, those first that were subscribed to first. O(n log n).
    pub fn names(&self, kind: Kind) -> Vec<Arc<[u8]>> {
        let Some(names) = &self.names else {
            return Vec::new();
        };
        let mut numbered: Vec<_> = names[kind as usize].iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| **number);
        numbered.into_iter().map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Adds a name; `None` if it was there.
    fn add(&mut self, kind: Kind, name: &[u8]) -> Result<Option<Arc<[u8]>>, TooMany> {
        self.check_room(std::iter::once(name))?;
        let names = &mut self.names.get_or_insert_default()[kind as usize];
        if names.contains_key(name) {
            return Ok(None);
        }
        let name: Arc<[u8]> = name.into();
        self.last += 1;
        self.bytes += bytes_of(&name);
        names.insert(Arc::clone(&name), self.last);
        Ok(Some(name))
    }

    fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let Some(names) = &mut self.names else {
            return false;
        };
        let removed = names[kind as usize].remove(name).is_some();
        if removed {
            self.bytes -= bytes_of(name);
        }
        if self.is_empty() {
            self.names = None;
        }
        removed
    }

    /// Tells others how many subscriptions the client has.
    fn show_on(&self, client: &Client) {
        client.note_subscriptions(KINDS.map(|kind| self.count(kind)), self.bytes);
    }
}

fn bytes_of(name: &[u8]) -> usize {
    name.len() + SUBSCRIPTION_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::clients::{Clients, Closing, Endpoints};

    fn connect(clients: &Clients) -> Arc<Client> {
        let ends = Endpoints {
            peer: "p:1".into(),
            local: "l:1".into(),
            fd: 0,
            is_unix: false,
            is_local: true,
        };
        clients.connect(ends, 100, 0).unwrap()
    }

    fn received(client: &Client) -> Vec<String> {
        let pushes = client.mailbox().take_pushes();
        let text = |push: Arc<[u8]>| String::from_utf8(push.to_vec()).unwrap();
        pushes.into_iter().map(text).collect()
    }

    #[test]
    fn a_message_reaches_channel_and_pattern_and_counts_for_each() {
        let (pubsub, clients) = (PubSub::default(), Clients::default());
        let (client, mut subscriptions) = (connect(&clients), Subscriptions::default());
        assert_eq!(pubsub.publish(b"news", b"-"), 0);
        for (kind, name) in [
            (Kind::Channel, b"news"),
            (Kind::Pattern, b"n?ws"),
            (Kind::ShardChannel, b"news"),
        ] {
            pubsub.subscribe(&client, &mut subscriptions, kind, name).unwrap();
        }
        assert_eq!(pubsub.publish(b"news", b"hi"), 2);
        assert_eq!(pubsub.publish_sharded(b"news", b""), 1);
        let expected = [
            ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
            ">4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
            ">3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$0\r\n\r\n",
        ];
        assert_eq!(received(&client), expected);
        pubsub.leave(&client, &mut subscriptions);
        assert_eq!(
            (pubsub.publish(b"news", b"hi"), pubsub.has_listeners()),
            (0, false)
        );
    }

    #[test]
    fn a_listener_that_does_not_read_is_disconnected() {
        let (pubsub, clients) = (PubSub::default(), Clients::default());
        let (client, mut subscriptions) = (connect(&clients), Subscriptions::default());
        pubsub.set_output_max(100);
        pubsub
            .subscribe(&client, &mut subscriptions, Kind::Channel, b"c")
            .unwrap();
        for _ in 0..3 {
            assert_eq!(client.mailbox().closing(), None);
            pubsub.publish(b"c", b"0123456789");
        }
        assert_eq!(client.mailbox().closing(), Some(Closing::AtOnce));
        assert!(
            received(&client).is_empty(),
            "what it does not read takes no memory"
        );
    }

    #[test]
    fn the_names_of_a_client_are_bounded_and_stay_in_order() {
        let (pubsub, clients) = (PubSub::default(), Clients::default());
        let (client, mut subscriptions) = (connect(&clients), Subscriptions::default());
        let long = vec![b'x'; SUBSCRIPTION_BYTES_MAX / 2];
        let mut subscribe = |name: &[u8]| pubsub.subscribe(&client, &mut subscriptions, Kind::Pattern, name);
        assert_eq!(
            (subscribe(&long), subscribe(&long[1..]), subscribe(b"a")),
            (Ok(()), Err(TooMany), Ok(()))
        );
        let names = subscriptions.names(Kind::Pattern);
        assert_eq!(
            names.iter().map(|name| name.len()).collect::<Vec<_>>(),
            [long.len(), 1]
        );
    }

    proptest! {
        /// Subscribing, unsubscribing and leaving, against sets of (client, kind, name).
        #[test]
        fn all_books_agree_with_a_model(
            steps in prop::collection::vec((0..4_usize, 0..3_usize, 0..6_u8, 0..8_u8), 0..200),
        ) {
            let (pubsub, clients) = (PubSub::default(), Clients::default());
            let mut sessions = [(); 4].map(|()| (connect(&clients), Subscriptions::default()));
            let mut model = BTreeSet::<(usize, usize, u8)>::new();
            for (who, kind, name, action) in steps {
                let (client, subscriptions) = &mut sessions[who];
                let (place, name) = ((who, kind, name), &[name][..]);
                match action {
                    0 => {
                        pubsub.leave(client, subscriptions);
                        model.retain(|(of, ..)| *of != who);
                    }
                    1..4 => {
                        let removed = pubsub.unsubscribe(client, subscriptions, KINDS[kind], name);
                        prop_assert_eq!(removed, model.remove(&place));
                    }
                    _ => {
                        pubsub.subscribe(client, subscriptions, KINDS[kind], name).unwrap();
                        model.insert(place);
                    }
                }
                for (at, kind) in KINDS.into_iter().enumerate() {
                    let names: BTreeSet<u8> = model.iter().filter(|place| place.1 == at).map(|place| place.2).collect();
                    prop_assert_eq!(pubsub.count(kind), names.len());
                    let known: BTreeSet<u8> = pubsub.names(kind).iter().map(|name| name[0]).collect();
                    prop_assert_eq!(known, names);
                    let own = model.iter().filter(|place| (place.0, place.1) == (who, at)).count();
                    prop_assert_eq!(sessions[who].1.count(kind), own);
                    prop_assert_eq!(sessions[who].0.subscriptions()[at], own);
                }
            }
            for (who, (client, subscriptions)) in sessions.iter_mut().enumerate() {
                let own = model.iter().filter(|place| place.0 == who).count();
                prop_assert_eq!(subscriptions.bytes, own * (1 + SUBSCRIPTION_OVERHEAD_BYTES));
                pubsub.leave(client, subscriptions);
            }
            prop_assert_eq!(KINDS.map(|kind| pubsub.count(kind)), [0; 3]);
        }
    }
}
