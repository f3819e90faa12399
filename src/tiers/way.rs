//! In what way a request goes, by the mode of its keys' namespaces and by what its row says.

use super::Tiers;
use crate::commands::error::Error;
use crate::commands::index::Entry;
use crate::commands::spec::{KEYSPACE, OWNER, Result};
use crate::config::TierMode;
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
        let (namespaces, command) = (self.namespaces.load(), &entry.command);
        let is_owners = command.flags.intersects(KEYSPACE.or(OWNER));
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
            TierMode::WriteBehind if command.writes_keys() && !is_owners && self.behind.is_open() => Way::Deferred,
            _ if is_owners || command.writes_keys() => Way::Upstream,
            _ => Way::Filled,
        })
    }

    /// Whether an absent key may be upstream's.
    pub fn may_have(&self, key: &[u8]) -> bool {
        self.namespaces.load().of_key(key).mode != TierMode::Off
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
