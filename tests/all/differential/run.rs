//! A run: steps on both servers, with their replies compared at once and their data in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use super::Place;
use super::compare::{same, sorted};
use super::state;
use super::steps::{CONNECTIONS, Step, shown};
use super::words::Words;
use crate::client::{Client, Value, encode};
use crate::deadline::{Deadline, PATIENCE};
use crate::server::Server;

/// Requests that are sent before the first reply is read.
const BATCH_MAX: usize = 32;
/// The events of keys that are compared: by event, of all classes but of expired keys, whose moment is left open.
const EVENTS: &str = "Eg$lshzetnm";
/// Looks at all keys whose deadlines may have passed.
const REMOVING_EXPIRED: [&str; 25] = [
    "EXISTS", "h0", "h1", "h2", "l0", "l1", "l2", "s0", "s1", "s2", "z0", "z1", "z2", "x0", "x1", "x2", "p0",
    "p1", "p2", "t0", "t1", "t2", "none0", "none1", "none2",
];
/// How long a client that should have been woken is waited for.
const WAKE_PATIENCE: Duration = Duration::from_secs(2);

/// Connections to one server.
struct Side {
    connections: Vec<Client>,
    /// Listens to events of keys.
    listening: Option<Client>,
    markers: usize,
    ids: Vec<String>,
}

/// Both servers.
pub struct Pair {
    ours: Side,
    theirs: Side,
    /// The requests of the transaction that each connection collects.
    queued: Vec<Option<Vec<Words>>>,
    /// How often each command succeeded and failed.
    pub outcomes: BTreeMap<String, [usize; 2]>,
    /// What is being done, and how many requests of the batch before it were answered, for a failure that has no reply.
    doing: String,
    answered: usize,
}

/// Two answers that are not the same.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The number of the step; all steps, if it is the data that differs.
    pub step: usize,
    /// What was asked.
    pub request: String,
    /// Forebay's answer.
    pub ours: String,
    /// Redis's.
    pub theirs: String,
}

impl Difference {
    /// Whether both are about the same command.
    pub fn is_like(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }

    /// The command and, of an error, the first words: to tell differences apart.
    pub fn kind(&self) -> String {
        let command = self.request.split(' ').next().unwrap_or_default().to_lowercase();
        let is_error = |text: &str| text.starts_with('-');
        format!("{command} {} {}", is_error(&self.ours), is_error(&self.theirs))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            ours,
            theirs,
            ..
        } = self;
        write!(f, "{request}\n  forebay: {ours}\n  redis:   {theirs}")
    }
}

/// What a step found; an error is one of a connection.
type Found = io::Result<Option<Difference>>;

impl Side {
    fn new(server: &Server, place: Place) -> Self {
        let mut connections: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        let id = |client: &mut Client| match client.call(&["CLIENT", "ID"]).unwrap() {
            Value::Integer(id) => id.to_string(),
            other => panic!("CLIENT ID: {other}"),
        };
        let ids = connections.iter_mut().map(id).collect();
        let listening = (place == Place::Alone).then(|| {
            let set = ["CONFIG", "SET", "notify-keyspace-events", EVENTS];
            connections[0].call(&set).unwrap();
            let mut listening = server.connect();
            listening.call(&["PSUBSCRIBE", "__key*__:*"]).unwrap();
            listening
        });
        Self {
            connections,
            listening,
            markers: 0,
            ids,
        }
    }

    /// The events since the last time: names and keys.
    fn events(&mut self) -> io::Result<Vec<[String; 2]>> {
        let Some(listening) = &mut self.listening else {
            return Ok(Vec::new());
        };
        self.markers += 1;
        let marker = format!("marker {}", self.markers);
        self.connections[0].call(&["PUBLISH", "__key__:", &marker])?;
        let mut events = Vec::new();
        loop {
            let message = listening.receive()?;
            let Value::Array(message) = &message else {
                return Err(io::Error::other(format!("no message: {message}")));
            };
            let [.., Value::Bulk(channel), Value::Bulk(content)] = &message[..] else {
                return Err(io::Error::other("a message without a channel"));
            };
            if *content == marker.as_bytes() {
                return Ok(in_order(events));
            }
            events.push([channel, content].map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        }
    }

    fn reset(&mut self, protocol: u8) -> io::Result<()> {
        for client in &mut self.connections {
            client.set_patience(PATIENCE);
            client.call(&["RESET"])?;
            client.call(&["HELLO", &protocol.to_string()])?;
        }
        self.connections[0].call(&["FLUSHALL"])?;
        self.events()?;
        Ok(())
    }
}

impl Pair {
    /// Connects to both servers.
    pub fn new(forebay: &Server, redis: &Server, place: Place) -> Self {
        Self {
            ours: Side::new(forebay, place),
            theirs: Side::new(redis, place),
            queued: vec![None; CONNECTIONS],
            outcomes: BTreeMap::new(),
            doing: String::new(),
            answered: 0,
        }
    }

    /// Runs steps on two empty servers and gives the first difference. A connection that fails is one.
    pub fn run(&mut self, steps: &[Step], protocol: u8) -> Option<Difference> {
        let mut at = 0;
        let found = self.try_run(steps, protocol, &mut at);
        found.unwrap_or_else(|error| {
            Some(Difference {
                step: at + self.answered,
                request: self.doing.clone(),
                ours: format!("one of the connections failed: {error}"),
                theirs: String::new(),
            })
        })
    }

    fn try_run(&mut self, steps: &[Step], protocol: u8, at: &mut usize) -> Found {
        self.queued.fill(None);
        self.ours.reset(protocol)?;
        self.theirs.reset(protocol)?;
        while *at < steps.len() {
            let batch = batch(&steps[*at..]);
            let found = if batch.is_empty() {
                self.step(&steps[*at])?.map(|difference| (0, difference))
            } else {
                self.requests(&batch)?
            };
            if let Some((behind, difference)) = found {
                let step = *at + behind;
                return Ok(Some(Difference { step, ..difference }));
            }
            *at += batch.len().max(1);
        }
        "the data in the end".clone_into(&mut self.doing);
        self.ours.connections[0].call(&["RESET"])?;
        self.theirs.connections[0].call(&["RESET"])?;
        let step = steps.len();
        if let Some(difference) = differing_events(&self.ours.events()?, &self.theirs.events()?) {
            return Ok(Some(Difference { step, ..difference }));
        }
        let differing = state::difference_of(&mut self.ours.connections[0], &mut self.theirs.connections[0])?;
        Ok(differing.map(|difference| Difference { step, ..difference }))
    }

    /// Sends requests together and compares their replies.
    fn requests(&mut self, batch: &[(usize, &Words)]) -> io::Result<Option<(usize, Difference)>> {
        let connection = batch[0].0;
        let bytes: Vec<u8> = batch.iter().flat_map(|(_, words)| encode(words)).collect();
        self.ours.connections[connection].send_bytes(&bytes)?;
        self.theirs.connections[connection].send_bytes(&bytes)?;
        let mut found = None;
        for (at, (_, words)) in batch.iter().enumerate() {
            self.doing = shown(words);
            self.answered = at;
            let ours = self.ours.connections[connection].receive()?;
            let theirs = self.theirs.connections[connection].receive()?;
            if found.is_none() && !self.compare(connection, words, &ours, &theirs) {
                found = Some((at, difference(shown(words), &ours, &theirs)));
            }
        }
        self.answered = 0;
        Ok(found)
    }

    /// Compares the replies to one request, which may stand in a transaction or end it.
    fn compare(&mut self, connection: usize, words: &Words, ours: &Value, theirs: &Value) -> bool {
        let name = words[0].to_ascii_lowercase();
        let outcomes = self
            .outcomes
            .entry(String::from_utf8_lossy(&name).into_owned())
            .or_default();
        outcomes[usize::from(matches!(theirs, Value::Error(_)))] += 1;
        let queued = &mut self.queued[connection];
        let is_queued = |reply: &Value| *reply == Value::Simple("QUEUED".to_owned());
        match &name[..] {
            b"multi" if queued.is_none() => *queued = Some(Vec::new()),
            b"discard" => *queued = None,
            b"exec" => {
                let queued = queued.take().unwrap_or_default();
                return same_results(&queued, words, ours, theirs);
            }
            _ => {}
        }
        if let Some(queued) = queued
            && is_queued(theirs)
        {
            queued.push(words.clone());
        }
        same(words, ours, theirs)
    }

    fn step(&mut self, step: &Step) -> Found {
        self.doing = step.to_string();
        self.leave_transaction()?;
        match step {
            Step::Request(connection, words) => {
                let found = self.requests(&[(*connection, words)])?;
                Ok(found.map(|(_, difference)| difference))
            }
            Step::Expire(key) => self.expire(key),
            Step::Scan(before, options) => self.scan(before, options),
            Step::Pop(words) => self.pop(words),
            Step::Block(wait, wakers) => self.block(wait, wakers),
            Step::Transfer(key) => self.transfer(key),
        }
    }

    /// Steps of their own stand outside of transactions, which a shortened run may have left open.
    fn leave_transaction(&mut self) -> io::Result<()> {
        for connection in 0..CONNECTIONS {
            if self.queued[connection].take().is_some() {
                self.ours.connections[connection].call(&["DISCARD"])?;
                self.theirs.connections[connection].call(&["DISCARD"])?;
            }
        }
        Ok(())
    }

    /// Asks both servers over the first connection.
    fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> io::Result<(Value, Value)> {
        let ours = self.ours.connections[0].call(words)?;
        let theirs = self.theirs.connections[0].call(words)?;
        Ok((ours, theirs))
    }

    fn expire(&mut self, key: &[u8]) -> Found {
        // Redis may find that a time of 1 ms is over already when it sets it.
        self.ask(&[b"PEXPIRE".as_slice(), key, b"10"])?;
        let is_gone = |client: &mut Client| {
            client
                .call(&[b"EXISTS", key])
                .is_ok_and(|reply| reply == Value::Integer(0))
        };
        // Each is asked no more when it is gone, since that would be an event.
        let sides = [&mut self.ours, &mut self.theirs];
        let gone = sides.map(|side| Deadline::after(PATIENCE).poll(|| is_gone(&mut side.connections[0])));
        let (ours, theirs) = self.ask(&[b"EXISTS", key])?;
        Ok((gone != [true; 2]).then(|| difference(self.doing.clone(), &ours, &theirs)))
    }

    fn scan(&mut self, before: &Words, options: &Words) -> Found {
        // Removes what has expired, so that it does not depend on the order of keys which command meets it.
        self.ask(&REMOVING_EXPIRED)?;
        let ours = scan(&mut self.ours.connections[0], before, options)?;
        let theirs = scan(&mut self.theirs.connections[0], before, options)?;
        Ok((ours != theirs).then(|| difference(self.doing.clone(), &ours, &theirs)))
    }

    /// Compares how many members come out, and has both servers go on with what Forebay left.
    fn pop(&mut self, words: &Words) -> Found {
        let (ours, theirs) = self.ask(words)?;
        let count = |value: &Value| match value {
            Value::Array(items) | Value::Set(items) => Value::Integer(items.len() as i64),
            Value::Bulk(_) => Value::Integer(-1),
            other => other.clone(),
        };
        if count(&ours) != count(&theirs) {
            return Ok(Some(difference(self.doing.clone(), &ours, &theirs)));
        }
        let key = &words[1];
        let (kept, _) = self.ask(&[b"SMEMBERS", &**key])?;
        let (Value::Array(kept) | Value::Set(kept)) = kept else {
            return Ok(None);
        };
        self.ask(&[b"DEL", &**key])?;
        if !kept.is_empty() {
            let mut again = vec![b"SADD".to_vec(), key.clone()];
            again.extend(kept.into_iter().filter_map(|member| match member {
                Value::Bulk(member) => Some(member),
                _ => None,
            }));
            self.ask(&again)?;
        }
        Ok(None)
    }

    fn block(&mut self, wait: &Words, wakers: &[Words]) -> Found {
        self.ask(&["SELECT", "0"])?;
        self.ask(&["DEL", "w1", "w2", "w3", "w4"])?;
        for side in [&mut self.ours, &mut self.theirs] {
            side.connections[1].call(&["SELECT", "0"])?;
            side.connections[1].send(wait)?;
            let waits = |client: &mut Client| matches!(client.call(&["INFO", "clients"]), Ok(Value::Bulk(text) | Value::Verbatim(text)) if String::from_utf8_lossy(&text).contains("blocked_clients:1"));
            Deadline::after(WAKE_PATIENCE).poll(|| waits(&mut side.connections[0]));
        }
        for words in wakers {
            let (ours, theirs) = self.ask(words)?;
            if !same(words, &ours, &theirs) && words[0] != b"exec" {
                return Ok(Some(difference(shown(words), &ours, &theirs)));
            }
        }
        let (ours, theirs) = (woken(&mut self.ours)?, woken(&mut self.theirs)?);
        Ok((ours != theirs).then(|| difference(self.doing.clone(), &ours, &theirs)))
    }

    /// Each server restores what the other dumped; the data in the end shows whether it is the same.
    fn transfer(&mut self, key: &[u8]) -> Found {
        let (ours, theirs) = self.ask(&[b"DUMP", key])?;
        let (Value::Bulk(from_us), Value::Bulk(from_them)) = (&ours, &theirs) else {
            return Ok((ours != theirs).then(|| difference(self.doing.clone(), &ours, &theirs)));
        };
        let restore = |client: &mut Client, payload: &[u8]| {
            client.call(&[b"RESTORE", state::RESTORED, b"0", payload, b"REPLACE"])
        };
        let ours = restore(&mut self.ours.connections[0], from_them)?;
        let theirs = restore(&mut self.theirs.connections[0], from_us)?;
        Ok((ours != theirs).then(|| difference(self.doing.clone(), &ours, &theirs)))
    }
}

/// The events with misses that follow one another in the order of their keys, each key once: the order of sets decides
/// about some, and a command that has to wait looks its keys up again.
fn in_order(mut events: Vec<[String; 2]>) -> Vec<[String; 2]> {
    let is_miss = |[event, _]: &[String; 2]| event.ends_with(":keymiss");
    let runs = events.chunk_by_mut(|one, next| is_miss(one) && is_miss(next));
    runs.for_each(<[_]>::sort);
    events.dedup_by(|next, one| next == one && is_miss(one));
    events
}

/// The first events that are not the same.
fn differing_events(ours: &[[String; 2]], theirs: &[[String; 2]]) -> Option<Difference> {
    let nothing = ["nothing".to_owned(), String::new()];
    let at = (0..ours.len().max(theirs.len())).find(|&at| ours.get(at) != theirs.get(at))?;
    let [ours, theirs] = [ours, theirs].map(|events| events.get(at).unwrap_or(&nothing));
    Some(Difference {
        step: 0,
        request: format!("{}/{} is the {at}th event", ours[0], theirs[0]),
        ours: ours.join(" "),
        theirs: theirs.join(" "),
    })
}

/// The requests at the head of `steps` that can be sent together.
fn batch(steps: &[Step]) -> Vec<(usize, &Words)> {
    let mut batch: Vec<(usize, &Words)> = Vec::new();
    for step in steps.iter().take(BATCH_MAX) {
        match step {
            Step::Request(connection, words)
                if batch.first().is_none_or(|(first, _)| first == connection) =>
            {
                batch.push((*connection, words));
            }
            _ => break,
        }
    }
    batch
}

/// Compares what EXEC gave, command by command.
fn same_results(queued: &[Words], exec: &Words, ours: &Value, theirs: &Value) -> bool {
    let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs) else {
        return same(exec, ours, theirs);
    };
    ours.len() == theirs.len()
        && queued.len() == theirs.len()
        && queued
            .iter()
            .zip(ours)
            .zip(theirs)
            .all(|((words, ours), theirs)| same(words, ours, theirs))
}

/// All that a cursor passes, each once and in order; an error as it is.
fn scan(client: &mut Client, before: &Words, options: &Words) -> io::Result<Value> {
    let is_pairs = matches!(&before[0][..], b"hscan" | b"zscan");
    let (mut cursor, mut found) = (b"0".to_vec(), Vec::new());
    loop {
        let mut words = before.clone();
        words.push(cursor.clone());
        words.extend(options.iter().cloned());
        let reply = client.call(&words)?;
        let Value::Array(reply) = &reply else {
            return Ok(reply);
        };
        let [Value::Bulk(next), Value::Array(items)] = &reply[..] else {
            return Ok(Value::Array(reply.clone()));
        };
        found.extend(
            items
                .chunks(if is_pairs { 2 } else { 1 })
                .map(|group| Value::Array(group.to_vec())),
        );
        if next == b"0" {
            break;
        }
        cursor.clone_from(next);
    }
    let Value::Array(mut found) = sorted(&Value::Array(found), 1) else {
        unreachable!("it was an array")
    };
    found.dedup();
    Ok(Value::Array(found))
}

/// The reply of the second connection, which should have been woken; one that was not is released.
fn woken(side: &mut Side) -> io::Result<Value> {
    side.connections[1].set_patience(WAKE_PATIENCE);
    let reply = side.connections[1].receive();
    side.connections[1].set_patience(PATIENCE);
    match reply {
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            let id = side.ids[1].clone();
            side.connections[0].call(&["CLIENT", "UNBLOCK", &id])?;
            let late = side.connections[1].receive()?;
            Ok(Value::Simple(format!("not woken, but released: {late}")))
        }
        reply => reply,
    }
}

/// A difference of two replies.
pub fn difference(request: String, ours: &Value, theirs: &Value) -> Difference {
    Difference {
        step: 0,
        request,
        ours: ours.to_string(),
        theirs: theirs.to_string(),
    }
}
