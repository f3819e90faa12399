//! What commands do to the connection that they come over, and what upstream keeps with it because of them.

use crate::commands::index;
use crate::commands::spec::{BLOCKING, Conduct};
use crate::resp::number::parse_u64;
use crate::resp::{Frame, FrameKind, Request};

/// Commands without a row here that do something to their connection.
#[rustfmt::skip] // A table: one command a line.
const UNLISTED: &[(&str, Conduct)] = &[
    ("ASKING",    Conduct::Adjusts),
    ("PSYNC",     Conduct::Refused),
    ("READONLY",  Conduct::Adjusts),
    ("READWRITE", Conduct::Adjusts),
    ("REPLCONF",  Conduct::Refused),
    ("SYNC",      Conduct::Refused),
];

/// A request, and what is known of its command.
#[derive(Clone, Copy)]
pub struct Asked<'r> {
    /// The words.
    pub request: Request<'r>,
    /// What the command does to its connection.
    pub conduct: Conduct,
    /// Whether it may wait for something to happen.
    pub may_block: bool,
}

impl<'r> Asked<'r> {
    /// Looks the command up. A request with the wrong number of words does nothing but fail.
    pub fn new(request: Request<'r>) -> Self {
        let entry = index::resolve(request).ok();
        let conduct = match entry {
            Some(entry) if entry.command.accepts(request.len()) => entry.command.conduct,
            Some(_) => Conduct::Plain,
            None => conduct_of_unlisted(request.name()),
        };
        Self {
            request,
            conduct,
            may_block: entry.is_some_and(|entry| entry.command.flags.contains(BLOCKING)),
        }
    }
}

fn conduct_of_unlisted(name: &[u8]) -> Conduct {
    let row = UNLISTED
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    row.map_or(Conduct::Plain, |(_, conduct)| *conduct)
}

/// What upstream keeps with a connection, told from what went over it.
#[derive(Default)]
pub struct Kept {
    transaction: Option<Transaction>,
    watches: bool,
    /// Whether something else was changed that lasts as long as the connection.
    is_adjusted: bool,
    /// Whether it was asked to listen, so that frames may tell of subscriptions.
    listens: bool,
    /// Channels and patterns, and shard channels.
    subscriptions: [i64; 2],
}

/// Requests are being collected.
#[derive(Default)]
struct Transaction {
    /// The database that will be selected at the end.
    selects: Option<usize>,
}

impl Kept {
    /// Whether it is anything at all.
    pub fn is_any(&self) -> bool {
        self.transaction.is_some() || self.watches || self.is_adjusted || self.is_subscribed()
    }

    /// Whether a transaction is being collected.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether messages may come at any time.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions.iter().any(|&count| count > 0)
    }

    /// Notes what is asked next.
    pub fn note_request(&mut self, asked: Asked<'_>) {
        self.listens |= asked.conduct == Conduct::Subscribes;
    }

    /// Keeps count of subscriptions: a frame may answer a change of them, or be a transaction's result with such
    /// answers in it.
    pub fn note_frame(&mut self, frame: Frame<'_>) {
        if !self.listens {
            return;
        }
        let is_result = self.transaction.is_some();
        let answers = std::iter::once(frame).chain(frame.children().filter(|_| is_result));
        for (kind, count) in answers.filter_map(subscription) {
            let is_sharded = matches!(kind, b"ssubscribe" | b"sunsubscribe");
            self.subscriptions[usize::from(is_sharded)] = count;
        }
    }

    /// Notes the kind of an answer, `None` for an error. At the end of a transaction that may have selected a
    /// database, which one.
    pub fn note_answer(&mut self, asked: Asked<'_>, kind: Option<FrameKind>) -> Option<usize> {
        match (asked.conduct, &mut self.transaction) {
            // Whatever EXEC answers, the transaction is over.
            (Conduct::Ends, _) => {
                self.watches = false;
                return self.transaction.take()?.selects;
            }
            _ if kind.is_none() => {}
            (Conduct::Selects, Some(transaction)) => {
                let db = asked.request.iter().nth(1).and_then(parse_u64);
                transaction.selects = db.map(|db| db as usize);
            }
            (Conduct::Begins, None) => self.transaction = Some(Transaction::default()),
            (Conduct::Watches, None) => self.watches = true,
            (Conduct::Unwatches, None) => self.watches = false,
            (Conduct::Adjusts, _) => self.is_adjusted = true,
            _ => {}
        }
        None
    }
}

/// The kind of a message that answers a change of subscriptions, and how many there are now.
fn subscription(message: Frame<'_>) -> Option<(&[u8], i64)> {
    let mut children = message.children();
    let kind = children
        .next()?
        .as_bulk()
        .filter(|kind| kind.ends_with(b"subscribe"))?;
    Some((kind, children.nth(1)?.as_integer()?))
}
