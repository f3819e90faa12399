//! What connections want of the link.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::behind::Carried;
use super::check::Comparison;
use super::effect::Effect;
use super::status::{Permit, Status};
use crate::commands::error::Error;
use crate::store::{Fetched, Landing, Store, Visit};

/// One thing for the link to do, in one go.
pub struct Order {
    /// The client's database.
    pub db: usize,
    /// Until when it makes sense, in monotonic milliseconds.
    pub deadline_ms: u64,
    /// What.
    pub work: Work,
    /// Its place among the pending.
    pub permit: Permit,
    /// How often it was sent in vain, or waited in vain for a connection to be sent over.
    pub attempts: u32,
}

impl Order {
    /// An order of this kind.
    pub fn new(work: Work, db: usize, deadline_ms: u64, permit: Permit) -> Self {
        Self {
            db,
            deadline_ms,
            work,
            permit,
            attempts: 0,
        }
    }
}

/// What an order is about.
pub enum Work {
    /// Bring these keys in.
    Fill(Vec<Fetch>),
    /// Have a request run.
    Forward(Forward),
    /// Send these requests, each of which gives a key the state that it has here.
    Carry(Vec<u8>, Vec<Carried>),
    /// Compare these copies with what upstream has.
    Compare(Vec<Comparison>),
    /// Answer when everything upstream did so far has arrived.
    Barrier(oneshot::Sender<()>),
}

/// One key to bring in.
pub struct Fetch {
    /// The key.
    pub key: Box<[u8]>,
    /// Of its placeholder.
    pub ticket: u64,
    /// How its value is asked for.
    pub form: Form,
}

/// How a value is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By GET: the bytes of a text, and of nothing else.
    Text,
    /// By DUMP: any value, as a payload.
    Payload,
}

/// A reply as it came in RESP3, or why there is none. An error reply is an error.
pub type Answer = Result<Box<[u8]>, Error>;

/// A request to pass on.
pub struct Forward {
    /// Encoded.
    pub request: Vec<u8>,
    /// What it means for the copies here.
    pub effect: Effect,
    /// Who waits; `None` once he was told that it takes too long.
    pub answer: Option<oneshot::Sender<Answer>>,
    /// Whether it may be sent once more.
    pub repeat: Repeat,
}

/// Whether a request that was sent may be sent once more when the connection is lost before the reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// No: it may have done something.
    Never,
    /// Unless a request that may have done something was sent behind it: its client may have sent both in a row, and
    /// does not expect the second one's doings in the first one's answer.
    BeforeWrites,
    /// Yes: it only reads, and its client sends no writes before it is answered.
    Always,
}

impl Work {
    /// Ends it without having sent anything.
    pub fn refuse(self, error: &Error, db: usize, now_ms: u64, store: &Store, status: &Status) {
        status.refused.add(1);
        self.fail(error, db, now_ms, store, status);
    }

    /// Ends it without having done anything.
    pub fn fail(self, error: &Error, db: usize, now_ms: u64, store: &Store, status: &Status) {
        match self {
            Self::Fill(fetches) => {
                let text: Arc<str> = error.to_string().into();
                for fetch in fetches {
                    fetch.land(Fetched::Failed(Arc::clone(&text)), db, now_ms, store, status);
                }
            }
            Self::Forward(mut forward) => forward.answer(Err(error.clone())),
            // Who waits for the barrier, for the states to arrive, or for findings, sees that they are gone.
            Self::Barrier(_) | Self::Carry(..) | Self::Compare(_) => {}
        }
    }
}

impl Fetch {
    /// Hands the result over to the store, at this Unix time.
    pub fn land(&self, fetched: Fetched<'_>, db: usize, now_ms: u64, store: &Store, status: &Status) {
        let visit = Visit::new(db, now_ms);
        let namespaces = status.namespaces.load();
        let own = &namespaces.of_key(&self.key).stats;
        let (tally, of_namespace) = match store.land(&self.key, self.ticket, fetched, visit) {
            Landing::Resident => (&status.fills, &own.fills),
            Landing::Missing => (&status.fills_missing, &own.missing),
            Landing::NotKept => (&status.fills_not_kept, &own.not_kept),
            Landing::Overtaken => (&status.fills_tainted, &own.tainted),
            Landing::Failed(_) => (&status.fill_errors, &own.errors),
        };
        tally.add(1);
        of_namespace.add(1);
    }
}

impl Forward {
    /// Tells the client, if it still waits.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(waiting) = self.answer.take() {
            // A client that went away needs no answer.
            let _ = waiting.send(answer);
        }
    }

    /// Gives up after the request was sent: nobody knows whether it ran. Copies of what it writes go.
    pub fn abandon(&mut self, trouble: &str, store: &Store, now_ms: u64) {
        self.effect.apply(store, now_ms);
        let outcome = if self.effect.is_any() {
            ", the write may or may not have been applied"
        } else {
            ""
        };
        self.answer(Err(Error::Upstream(format!("{trouble}{outcome}").into())));
    }
}
