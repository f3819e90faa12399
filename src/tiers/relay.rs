//! Passing requests on whose command only upstream knows, over a connection that the session has to itself meanwhile.

use tokio::sync::oneshot;

use super::Tiers;
use super::conduct::Asked;
use super::effect::Effect;
use super::order::{Forward, Repeat, Work};
use super::pool::Pool;
use super::session_link::{Failure, Identity, SessionLink};
use super::wire::push_text_request;
use crate::clients::Unblock;
use crate::commands::error::Error;
use crate::commands::spec::{Conduct, Result};
use crate::resp::Request;
use crate::session::Session;

impl Tiers {
    /// Has `request` run on a connection to upstream and passes its reply on: the session's own where it has state in
    /// one, else one of `pool`. May wait as long as upstream does; a client that is gone or killed meanwhile takes the
    /// connection with it. Nothing that the command changed is served from here any more when this returns.
    pub async fn relay(
        &self,
        request: Request<'_>,
        session: &mut Session,
        pool: &Pool,
        out: &mut Vec<u8>,
    ) -> Result {
        let asked = Asked::new(request);
        if asked.conduct == Conduct::Refused {
            let name = String::from_utf8_lossy(request.name()).to_uppercase();
            return Err(Error::plain(format!(
                "{name} is not supported through a near cache"
            )));
        }
        self.carry_and_forget().await?;
        self.status.relayed.add(1);
        let (link, answered) = self.ask_somewhere(asked, session, pool, out).await?;
        self.status.breaker.succeeded(self.services.clock.monotonic_ms());
        let is_queued = link.is_in_transaction();
        if link.has_state() {
            session.upstream = Some(link);
        } else {
            pool.give_back(link, &self.status, &self.services);
        }
        if let Ok(db) = answered
            && db != session.db
        {
            session.select(db);
        }
        if !is_queued && asked.conduct != Conduct::Subscribes {
            self.catch_up().await;
        }
        answered.map(drop)
    }

    /// Asks on the session's connection or a borrowed one, which it returns, together with the database that the
    /// client is in then. Fails when the connection is lost.
    async fn ask_somewhere(
        &self,
        asked: Asked<'_>,
        session: &mut Session,
        pool: &Pool,
        out: &mut Vec<u8>,
    ) -> Result<(Box<SessionLink>, Result<usize>)> {
        let wanted = self.identity(session);
        // Out of the session while it is in use: should this future be dropped, the connection goes too.
        let own = session.upstream.take();
        let is_brief = own.is_none() && asked.conduct == Conduct::Plain && !asked.may_block;
        let _turn = if is_brief { pool.turn().await } else { None };
        let mut link = match own {
            Some(link) if link.node_place == self.upstream.nodes().active_place() => link,
            Some(_) => {
                session.closing = true;
                let text = "upstream has moved to another address; the connection's state is lost";
                return Err(Error::Upstream(text.into()));
            }
            None => self.borrow(&wanted, pool).await?,
        };
        loop {
            let has_state = link.has_state();
            match self.ask(&mut link, asked, &wanted, session, out).await {
                Ok(db) => return Ok((link, Ok(db))),
                Err(Failure::Refused(error)) => return Ok((link, Err(error))),
                Err(Failure::Unsent(_)) if link.is_reused() && !has_state => {
                    drop(link);
                    pool.clear();
                    link = self.borrow(&wanted, pool).await?;
                }
                Err(Failure::Unsent(error) | Failure::Lost(error)) => {
                    // A client with state in the connection has to begin anew, as if upstream had hung up on it.
                    session.closing |= has_state;
                    return Err(error);
                }
            }
        }
    }

    /// What the session wants its connection to be.
    fn identity(&self, session: &Session) -> Identity {
        let mut name = session.client.name();
        if name.is_empty() {
            name = self.services.config.load().upstream.client_name.as_bytes().into();
        }
        Identity {
            db: session.db,
            protocol: session.protocol,
            name,
        }
    }

    /// Takes a connection from the pool or makes one, as soon as one more session may have one.
    async fn borrow(&self, wanted: &Identity, pool: &Pool) -> Result<Box<SessionLink>> {
        let settings = &self.services.config.load_full().upstream;
        self.check()?;
        let place = self.places.take(&self.status, settings.timeout).await?;
        if let Some((mut link, is_doubtful)) = pool.take(wanted, self.services.clock.monotonic_ms()) {
            if link.node_place == self.upstream.nodes().active_place() {
                link.occupy(place, is_doubtful);
                self.status.sessions_reused.add(1);
                return Ok(link);
            }
            pool.clear();
        }
        let opening = SessionLink::open(&*self.upstream, &self.status, wanted.protocol, settings, place);
        Ok(Box::new(opening.await?))
    }

    /// Waits for the answer. A command that is not answered within the timeout may be one that blocks: its client
    /// counts as blocked then, so it is not idle, and nothing goes on for it when it is gone. CLIENT UNBLOCK for the
    /// client is passed on.
    async fn ask(
        &self,
        link: &mut SessionLink,
        asked: Asked<'_>,
        wanted: &Identity,
        session: &Session,
        out: &mut Vec<u8>,
    ) -> std::result::Result<usize, Failure> {
        let timeout = self.services.config.load().upstream.timeout;
        let id = link.id;
        let mut is_released = false;
        let answered = {
            let asking = async {
                let aligned = tokio::time::timeout(timeout, link.align(wanted, out)).await;
                aligned.unwrap_or_else(|_| Err(Failure::silent()))?;
                link.ask(asked, wanted.db, out).await
            };
            let mut asking = std::pin::pin!(asking);
            let mut patience = std::pin::pin!(tokio::time::sleep(timeout));
            let mut blocked = None;
            loop {
                tokio::select! {
                    biased;
                    answered = &mut asking => break answered,
                    how = session.client.released() => {
                        self.unblock(id, how);
                        is_released = true;
                    }
                    () = &mut patience, if blocked.is_none() => {
                        blocked = Some(session.client.block(&self.services.clients));
                    }
                }
            }
        };
        if is_released {
            // It may come too late, for whoever has the connection then.
            link.spend();
        }
        answered
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
                repeat: Repeat::Never,
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
            self.services
                .store
                .begin_generation(self.services.clock.unix_ms());
        }
    }
}
