//! Passing requests on whose command has a row here, over the link that all share.

use tokio::sync::oneshot;

use super::Tiers;
use super::effect::Effect;
use super::marked::plain;
use super::order::{Answer, Forward, Repeat, Work};
use super::wire::push_request;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{FLAT_PAIRS, KEYSPACE, MAY_REPLICATE, NULL_ARRAYS, OWNER, Result, WRITE};
use crate::resp::frame::{Resp2Form, downgrade};
use crate::resp::{Frame, Protocol, Request};

/// A request that was passed on.
pub struct Passage {
    answer: oneshot::Receiver<Answer>,
    form: Resp2Form,
}

impl Tiers {
    /// Sends `request` to upstream. Requests arrive there in the order in which this is called. It counts for the
    /// namespace of its first key.
    pub fn begin_forward(&self, entry: &'static Entry, request: Request<'_>, db: usize) -> Passage {
        let (sender, receiver) = oneshot::channel();
        let mut bytes = Vec::new();
        push_request(&mut bytes, request.iter());
        let len = bytes.len();
        let effect = match self.taken(entry, request, db) {
            Some(taken) => Effect::Take(taken),
            None => Effect::of(entry, request),
        };
        if let Some((at, _)) = entry.command.key_positions(request).first() {
            let namespaces = self.status.namespaces.load();
            namespaces.of_key(request.arg(*at)).stats.forwarded.add(1);
        }
        self.submit(
            Work::Forward(Forward {
                request: bytes,
                effect,
                answer: Some(sender),
                repeat: repeat(entry),
            }),
            db,
            len,
        );
        Passage {
            answer: receiver,
            form: form(entry, request),
        }
    }
}

impl Tiers {
    /// Has upstream run a request of our own that may as well run twice; its reply in RESP3. An error reply is an error.
    pub(super) async fn ask_upstream(&self, words: &[&[u8]], db: usize) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let mut request = Vec::new();
        push_request(&mut request, words.iter().copied());
        let (len, effect, answer) = (request.len(), Effect::Nothing, Some(sender));
        let forward = Forward {
            request,
            effect,
            answer,
            repeat: Repeat::Always,
        };
        self.submit(Work::Forward(forward), db, len);
        let ended = || Err(Error::Upstream("the link has ended".into()));
        receiver.await.unwrap_or_else(|_| ended())
    }
}

/// Whether a request of this row may be sent twice. What upstream alone may answer is sent as it comes, with writes
/// behind it; what is passed on because its value is not kept here is answered before the next.
fn repeat(entry: &Entry) -> Repeat {
    let flags = entry.command.flags;
    if entry.command.writes_keys() || flags.intersects(WRITE.or(MAY_REPLICATE)) {
        Repeat::Never
    } else if flags.intersects(KEYSPACE.or(OWNER)) {
        Repeat::BeforeWrites
    } else {
        Repeat::Always
    }
}

/// The form of the reply in RESP2.
fn form(entry: &Entry, request: Request<'_>) -> Resp2Form {
    /// Words of a request that names a key and nothing else.
    const WORDS_OF_KEY: usize = 2;
    let flags = entry.command.flags;
    Resp2Form {
        flat_pairs: flags.contains(FLAT_PAIRS),
        null_arrays: flags.contains(NULL_ARRAYS) && request.len() > WORDS_OF_KEY,
    }
}

impl Passage {
    /// Waits for the reply and writes it to `out`. Copies of the keys that the request changed are gone before this
    /// returns. An error reply is an error.
    pub async fn arrive(self, protocol: Protocol, out: &mut Vec<u8>) -> Result {
        let ended = || Err(Error::Upstream("the link has ended".into()));
        let reply = self.answer.await.unwrap_or_else(|_| ended())?;
        let reply = plain(&reply);
        match protocol {
            Protocol::Resp3 => out.extend_from_slice(&reply),
            Protocol::Resp2 => downgrade(Frame::new(&reply), self.form, out),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::index;

    #[test]
    fn what_may_have_done_something_is_never_sent_twice() {
        let repeats = |name: &str| repeat(index::find(name.as_bytes()).unwrap());
        for name in [
            "SET", "GETEX", "GETDEL", "INCR", "FLUSHALL", "PUBLISH", "EXPIRE", "SORT", "COPY",
        ] {
            assert_eq!(repeats(name), Repeat::Never, "{name}");
        }
        for name in ["DBSIZE", "SCAN", "TTL", "DUMP"] {
            assert_eq!(repeats(name), Repeat::BeforeWrites, "{name}");
        }
        for name in ["GET", "MGET", "LRANGE", "SORT_RO"] {
            assert_eq!(repeats(name), Repeat::Always, "{name}");
        }
    }
}
