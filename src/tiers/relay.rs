//! Passing requests on whose command only upstream knows, over a connection of the session.

use tokio::sync::oneshot;

use super::Tiers;
use super::effect::Effect;
use super::order::{Forward, Work};
use super::session_link::{Conduct, SessionLink};
use super::wire::push_text_request;
use crate::clients::Unblock;
use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::resp::Request;
use crate::session::Session;

impl Tiers {
    /// Has `request` run on the session's own connection to upstream and passes its reply on. May wait as long as
    /// upstream does; a client that is gone or killed meanwhile takes the connection with it. Nothing that the
    /// command changed is served from here any more when this returns.
    pub async fn relay(&self, request: Request<'_>, session: &mut Session, out: &mut Vec<u8>) -> Result {
        let conduct = Conduct::of(request.name());
        if conduct == Conduct::Refused {
            let name = String::from_utf8_lossy(request.name()).to_uppercase();
            return Err(Error::plain(format!(
                "{name} is not supported through a near cache"
            )));
        }
        if self.behind.dirty_keys() > 0 {
            self.carry_all().await?;
        }
        // Out of the session while it is in use: should this future be dropped, the connection goes too.
        let mut link = match session.upstream.take() {
            Some(link) => link,
            None => Box::new(self.open(session).await?),
        };
        self.status.relayed.add(1);
        let answered = self.ask(&mut link, request, conduct, session, out).await;
        if matches!(answered, Err(Error::Upstream(_))) {
            // A client with state in the connection has to begin anew, as if upstream had hung up on it.
            session.closing |= link.has_state();
            return answered.map(drop);
        }
        let is_queued = link.is_in_transaction();
        session.upstream = Some(link);
        if let Ok(db) = answered
            && db != session.db
        {
            session.select(db);
        }
        if !is_queued && conduct != Conduct::Subscribes {
            self.catch_up().await;
        }
        answered.map(drop)
    }

    async fn open(&self, session: &Session) -> Result<SessionLink> {
        let config = self.services.config.load_full();
        self.check()?;
        SessionLink::open(&*self.upstream, &self.status, session.protocol, &config.upstream).await
    }

    /// Waits for the answer. A command that is not answered within the timeout may be one that blocks: its client
    /// counts as blocked then, so it is not idle, and nothing goes on for it when it is gone. CLIENT UNBLOCK for the
    /// client is passed on.
    async fn ask(
        &self,
        link: &mut SessionLink,
        request: Request<'_>,
        conduct: Conduct,
        session: &Session,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let id = link.id;
        let asking = link.ask(request, conduct, session.db, session.protocol, out);
        let mut asking = std::pin::pin!(asking);
        let mut patience = std::pin::pin!(tokio::time::sleep(self.services.config.load().upstream.timeout));
        let mut blocked = None;
        loop {
            tokio::select! {
                biased;
                answered = &mut asking => return answered,
                how = session.client.released() => self.unblock(id, how),
                () = &mut patience, if blocked.is_none() => {
                    blocked = Some(session.client.block(&self.services.clients));
                }
            }
        }
    }

    /// Has upstream release the command that waits on its connection `id`.
    fn unblock(&self, id: i64, how: Unblock) {
        let how = match how {
            Unblock::Timeout => "TIMEOUT",
            Unblock::Error => "ERROR",
        };
        let mut request = Vec::new();
        push_text_request(&mut request, &["CLIENT", "UNBLOCK", &id.to_string(), how]);
        let len = request.len();
        self.submit(
            Work::Forward(Forward {
                request,
                effect: Effect::Nothing,
                answer: None,
            }),
            0,
            len,
        );
    }

    /// Waits until everything that upstream did so far has been applied here. Should that not be possible, all
    /// copies count as old, since one of them may be.
    async fn catch_up(&self) {
        let (sender, passed) = oneshot::channel();
        let has_passed = self.submit_in_turn(Work::Barrier(sender), 0).await && passed.await.is_ok();
        if !has_passed {
            self.services.store.begin_generation(self.services.clock.unix_ms());
        }
    }
}
