//! What a request that upstream ran means for the copies here.

use crate::commands::index::Entry;
use crate::commands::spec::{KEYSPACE, Mode, WRITE};
use crate::resp::Request;
use crate::store::Store;

/// The copies that are wrong after a request succeeded.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// None: it only reads.
    Nothing,
    /// Those of these keys, in whatever database.
    Keys(Box<[Box<[u8]>]>),
    /// All.
    Everything,
}

impl Effect {
    /// The effect of `request`, whose row is `entry` and which has as many words as the row wants.
    pub fn of(entry: &Entry, request: Request<'_>) -> Self {
        if entry.command.flags.contains(KEYSPACE | WRITE) {
            return Self::Everything;
        }
        if !entry.command.writes_keys() {
            return Self::Nothing;
        }
        let keys = entry.command.key_positions(request.len());
        let written = keys.filter(|(_, access)| access.mode != Mode::Read);
        Self::Keys(written.map(|(at, _)| request.arg(at).into()).collect())
    }

    /// Whether any copy may be wrong.
    pub fn is_any(&self) -> bool {
        *self != Self::Nothing
    }

    /// Removes the copies, and sees to it that no fetch under way leaves one.
    pub fn apply(&self, store: &Store) {
        match self {
            Self::Nothing => {}
            Self::Keys(keys) => keys.iter().for_each(|key| _ = store.invalidate(key)),
            Self::Everything => _ = store.invalidate_all(),
        }
    }
}
