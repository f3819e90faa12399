//! States as requests to upstream, and what its answers mean.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::wire::push_request;
use super::Behind;
use crate::limits::CARRIED_BYTES_MAX;
use crate::resp::Frame;
use crate::store::rdb;
use crate::store::{EntryRef, KeyHash, Settled, SharedName, Value};
use crate::tiers::pipeline::method;
use crate::values::compression;
use crate::values::text::Text;

/// Words with which an error begins that goes away by itself.
const PASSING: &[&str] = &[
    "BUSY ",
    "LOADING ",
    "READONLY ",
    "OOM ",
    "MISCONF ",
    "MASTERDOWN ",
    "CLUSTERDOWN ",
    "TRYAGAIN ",
    "NOREPLICAS ",
    "UNKILLABLE ",
    "MOVED ",
    "ASK ",
    "NOAUTH ",
];

/// States that are sent together. When the last of them is settled, whoever carries them learns of those that were
/// not accepted.
pub struct Batch {
    behind: Arc<Behind>,
    states: Vec<Sent>,
    left: Mutex<Vec<Left>>,
    done: Mutex<Option<oneshot::Sender<Vec<Left>>>>,
}

/// A state that was sent.
struct Sent {
    name: SharedName,
    hash: KeyHash,
    sequence: u64,
}

/// A key that upstream was not told.
pub struct Left {
    /// Its name.
    pub name: SharedName,
    /// Of the record with the state that was sent.
    pub sequence: u64,
    /// What upstream answered, if it did and the answer is final.
    pub refusal: Option<Box<str>>,
}

/// A batch that is ready to be sent.
pub(super) struct Packed {
    /// One request for each state.
    pub requests: Vec<u8>,
    /// What awaits the answers.
    pub carried: Vec<Carried>,
    /// The keys that were not accepted, when all were answered or given up.
    pub left: oneshot::Receiver<Vec<Left>>,
}

/// One state of a batch, on its way. Dropped without an answer, it counts as not accepted.
pub struct Carried {
    batch: Arc<Batch>,
    index: usize,
    is_answered: bool,
}

impl Carried {
    /// The next state of a batch, of those that were taken before.
    fn new(batch: &Arc<Batch>, index: usize) -> Self {
        Self {
            batch: Arc::clone(batch),
            index,
            is_answered: false,
        }
    }

    /// Upstream answered.
    pub fn answer(mut self, frame: Frame<'_>) {
        self.is_answered = true;
        let sent = &self.batch.states[self.index];
        match frame.as_error() {
            None => self.batch.behind.accept(sent),
            Some(error) => {
                let text = String::from_utf8_lossy(error);
                let is_final = !PASSING.iter().any(|word| text.starts_with(word));
                self.batch.leave(self.index, is_final.then(|| text.into()));
            }
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if !self.is_answered {
            self.batch.leave(self.index, None);
        }
    }
}

impl Batch {
    fn leave(&self, index: usize, refusal: Option<Box<str>>) {
        let Sent { name, sequence, .. } = &self.states[index];
        self.left.lock().push(Left {
            name: name.clone(),
            sequence: *sequence,
            refusal,
        });
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(done) = self.done.get_mut().take() {
            // The carrier waits for it, unless the server ends.
            let _ = done.send(std::mem::take(self.left.get_mut()));
        }
    }
}

impl Behind {
    /// The requests for the present states of these keys, which are of one database: of as many as go together. The
    /// others are queued again.
    pub(super) fn pack(self: &Arc<Self>, names: Vec<SharedName>, now_ms: u64) -> Packed {
        let mut requests = Vec::new();
        let mut states = Vec::with_capacity(names.len());
        let mut names = names.into_iter();
        for name in names.by_ref() {
            let hash = self.services.store.hash(&name.1);
            let mut shard = self.services.store.lock(hash);
            if let Some((sequence, entry)) = shard.begin_carrying(&name, hash) {
                self.push_state(&mut requests, &name.1, entry, now_ms);
                drop(shard);
                states.push(Sent { name, hash, sequence });
            }
            if requests.len() >= CARRIED_BYTES_MAX {
                break;
            }
        }
        self.ledger.lock().put_back(names.collect());
        let (done, left) = oneshot::channel();
        let count = states.len();
        let batch = Arc::new(Batch {
            behind: Arc::clone(self),
            states,
            left: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        Packed {
            requests,
            carried: (0..count).map(|index| Carried::new(&batch, index)).collect(),
            left,
        }
    }

    /// Appends the request that gives a key of upstream this state.
    fn push_state(&self, out: &mut Vec<u8>, key: &[u8], entry: Option<EntryRef<'_>>, now_ms: u64) {
        let deadline_ms = entry.and_then(EntryRef::deadline_ms);
        let is_dead = deadline_ms.is_some_and(|at| at <= now_ms);
        let mut digits = itoa::Buffer::new();
        match entry.filter(|_| !is_dead).map(EntryRef::value) {
            None => push_removal(out, key),
            Some(Value::Text(Text::Int(number))) => {
                push_text(out, key, digits.format(number).as_bytes(), deadline_ms);
            }
            Some(Value::Text(Text::Bytes(value))) => {
                let packed = self.packed(key, value);
                push_text(out, key, packed.as_deref().unwrap_or(value), deadline_ms);
            }
            Some(value) => match rdb::encode(value, now_ms) {
                Some(payload) => push_payload(out, key, &payload, deadline_ms),
                None => push_removal(out, key),
            },
        }
    }

    /// A text as upstream is to have it, packed and marked; `None` if that is as it is. One that could not be kept here
    /// when it is fetched again stays plain, since upstream may be asked to change it.
    fn packed(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let namespaces = self.status.namespaces.load();
        let rules = &namespaces.of_key(key).rules;
        let bytes = value.len() as u64;
        let is_wanted = rules.compresses_upstream
            && bytes >= rules.compression_min_bytes
            && bytes <= rules.fill_value_max_bytes;
        let method = method(rules.compression).filter(|_| is_wanted)?;
        Some(compression::mark(&compression::pack(method, value)?))
    }

    /// Upstream has a state.
    fn accept(&self, sent: &Sent) {
        self.counts.carried.add(1);
        let mut shard = self.services.store.lock(sent.hash);
        if let Settled::Clean(bytes) = shard.end_carrying(&sent.name, sent.hash, sent.sequence) {
            self.ledger.lock().settle(sent.sequence, bytes);
        }
    }
}

fn push_removal(out: &mut Vec<u8>, key: &[u8]) {
    push_request(out, [&b"UNLINK"[..], key].into_iter());
}

fn push_text(out: &mut Vec<u8>, key: &[u8], value: &[u8], deadline_ms: Option<u64>) {
    let Some(at_ms) = deadline_ms else {
        return push_request(out, [&b"SET"[..], key, value].into_iter());
    };
    let mut digits = itoa::Buffer::new();
    let at_ms = digits.format(at_ms).as_bytes();
    push_request(out, [&b"SET"[..], key, value, b"PXAT", at_ms].into_iter());
}

fn push_payload(out: &mut Vec<u8>, key: &[u8], payload: &[u8], deadline_ms: Option<u64>) {
    let mut digits = itoa::Buffer::new();
    let at_ms = digits.format(deadline_ms.unwrap_or(0)).as_bytes();
    push_request(
        out,
        [&b"RESTORE"[..], key, at_ms, payload, b"REPLACE", b"ABSTTL"].into_iter(),
    );
}
