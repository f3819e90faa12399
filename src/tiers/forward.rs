//! Passing requests on whose command has a row here, over the link that all share.

use tokio::sync::oneshot;

use super::Tiers;
use super::effect::Effect;
use super::order::{Answer, Forward, Work};
use super::wire::push_request;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::Result;
use crate::resp::frame::downgrade;
use crate::resp::{Frame, Protocol, Request};

/// A request that was passed on.
pub struct Passage(oneshot::Receiver<Answer>);

impl Tiers {
    /// Sends `request` to upstream. Requests arrive there in the order in which this is called.
    pub fn begin_forward(&self, entry: &'static Entry, request: Request<'_>, db: usize) -> Passage {
        let (sender, receiver) = oneshot::channel();
        let mut bytes = Vec::new();
        push_request(&mut bytes, request.iter());
        let len = bytes.len();
        let effect = Effect::of(entry, request);
        self.submit(
            Work::Forward(Forward {
                request: bytes,
                effect,
                answer: Some(sender),
            }),
            db,
            len,
        );
        Passage(receiver)
    }
}

impl Passage {
    /// Waits for the reply and writes it to `out`. Copies of the keys that the request changed are gone before this
    /// returns. An error reply is an error.
    pub async fn arrive(self, protocol: Protocol, out: &mut Vec<u8>) -> Result {
        let ended = || Err(Error::Upstream("the link has ended".into()));
        let reply = self.0.await.unwrap_or_else(|_| ended())?;
        match protocol {
            Protocol::Resp3 => out.extend_from_slice(&reply),
            Protocol::Resp2 => downgrade(Frame::new(&reply), out),
        }
        Ok(())
    }
}
