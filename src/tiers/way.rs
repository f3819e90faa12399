//! In what way a request goes, by the mode of its keys' namespaces and by what its row says.

use std::time::Duration;

use super::Tiers;
use super::status::FeedMode;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{Access, KEYSPACE, OTHER_DATABASE, OWNER, Result, WRITE};
use crate::config::{FailMode, TierMode};
use crate::resp::Request;

/// Where a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Here: upstream has nothing to do with it.
    Here,
    /// Here, once its keys are.
    Filled,
    /// Here; what it changes is carried upstream later.
    Deferred,
    /// By upstream.
    Upstream,
}

impl Tiers {
    /// In what way `request` goes. Fails if its keys belong to namespaces that can't be used together.
    pub fn way(&self, entry: &Entry, request: Request<'_>) -> Result<Way> {
        let (namespaces, command) = (self.status.namespaces.load(), &entry.command);
        // What is held of another database is not known here.
        let is_owners = command.flags.intersects(KEYSPACE.or(OWNER).or(OTHER_DATABASE));
        let mut keys = command.key_positions(request).into_iter();
        let Some((first, _)) = keys.next() else {
            let is_upstreams = is_owners && namespaces.default().mode != TierMode::Off;
            return Ok(if is_upstreams { Way::Upstream } else { Way::Here });
        };
        let mut mode = namespaces.of_key(request.arg(first)).mode;
        for (at, _) in keys {
            mode = common(mode, namespaces.of_key(request.arg(at)).mode)?;
        }
        Ok(match mode {
            TierMode::Off => Way::Here,
            TierMode::WriteBehind if command.writes_keys() && !is_owners && self.may_defer() => Way::Deferred,
            _ if is_owners || command.writes_keys() => Way::Upstream,
            _ => Way::Filled,
        })
    }

    /// Whether changes can be carried later: there is a journal, and upstream tells of changes by others, without which
    /// copies have deadlines that must not be carried.
    fn may_defer(&self) -> bool {
        self.behind.is_open() && self.status.feed_mode() != FeedMode::Ttl
    }

    /// What reads of the request's keys get when upstream can't be asked, and after how long a copy that is too old
    /// answers instead of it: what the strictest of their namespaces says.
    pub fn patience(&self, entry: &Entry, request: Request<'_>) -> (FailMode, Duration) {
        let namespaces = self.status.namespaces.load();
        let positions = entry.command.key_positions(request);
        let mut rules = positions
            .into_iter()
            .map(|(at, _)| &namespaces.of_key(request.arg(at)).rules);
        let Some(first) = rules.next() else {
            return (FailMode::Error, Duration::ZERO);
        };
        let patience = (first.fail_mode, first.soft_deadline);
        rules.fold(patience, |(fail_mode, soft_deadline), rules| {
            let fail_mode = if fail_mode == rules.fail_mode {
                fail_mode
            } else {
                FailMode::Error
            };
            (fail_mode, soft_deadline.min(rules.soft_deadline))
        })
    }

    /// Whether the request is to be answered as if there were no upstream while that can't be asked.
    pub fn is_local_when_cut_off(&self, entry: &Entry, request: Request<'_>) -> bool {
        self.patience(entry, request).0 == FailMode::Local
    }

    /// Has upstream told first what is dirty of a request's keys, or everything for one that writes or that may look at
    /// any key. Fails if that can't be.
    pub async fn carry_before(&self, entry: &Entry, request: Request<'_>, db: usize) -> Result {
        if !self.behind.may_repeat() {
            return Ok(());
        }
        if entry.command.flags.contains(WRITE) {
            return self.carry_and_forget().await;
        }
        let store = &self.services.store;
        let is_dirty = |(at, _): (usize, Access)| {
            let key = request.arg(at);
            store.lock(store.hash(key)).is_dirty(db, key)
        };
        let mut keys = entry.command.key_positions(request).into_iter().peekable();
        if keys.peek().is_none() || keys.any(is_dirty) {
            return self.carry_all().await;
        }
        Ok(())
    }

    /// Has upstream told of everything that is dirty now, and the journal forget it: a restart that carried it again
    /// would undo what is written next.
    pub async fn carry_and_forget(&self) -> Result {
        if !self.behind.may_repeat() {
            return Ok(());
        }
        self.carry_all().await?;
        let unnoted = |error| format!("not asked, since the journal can't note what was carried: {error}");
        self.behind
            .forget_carried()
            .map_err(|error| Error::Upstream(unnoted(error).into()))
    }

    /// Has upstream told of everything that is dirty now. Fails if that takes too long.
    pub async fn carry_all(&self) -> Result {
        let timeout = self.services.config.load().upstream.timeout;
        let drained = tokio::time::timeout(timeout, self.behind.drained()).await;
        drained.map_err(|_| Error::Upstream("writes from before could not be carried there in time".into()))
    }

    /// Whether upstream may have packed and marked texts under some of the request's keys.
    pub fn marks(&self, entry: &Entry, request: Request<'_>) -> bool {
        let namespaces = self.status.namespaces.load();
        let mut keys = entry.command.key_positions(request).into_iter();
        keys.any(|(at, _)| namespaces.of_key(request.arg(at)).rules.compresses_upstream)
    }

    /// Whether an absent key may be upstream's.
    pub fn may_have(&self, key: &[u8]) -> bool {
        self.status.namespaces.load().of_key(key).mode != TierMode::Off
    }
}

/// How keys of two namespaces are used together: what one of them wants to be done upstream at once, is.
fn common(a: TierMode, b: TierMode) -> Result<TierMode> {
    match (a, b) {
        _ if a == b => Ok(a),
        (TierMode::Off, _) | (_, TierMode::Off) => Err(Error::Verbatim(
            "CROSSMODE Keys in request belong to namespaces with and without upstream".into(),
        )),
        (TierMode::WriteAround, _) | (_, TierMode::WriteAround) => Ok(TierMode::WriteAround),
        _ => Ok(TierMode::NearCache),
    }
}
