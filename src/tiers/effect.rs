//! What a request that upstream ran means for the copies here.

use super::take::Taken;
use crate::commands::index::Entry;
use crate::commands::spec::{KEYSPACE, Mode, OWNER, WRITE};
use crate::resp::Request;
use crate::store::Store;

/// The copies that are wrong after a request succeeded.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// None: it only reads.
    Nothing,
    /// Those of these keys, in whatever database.
    Keys(Box<[Box<[u8]>]>),
    /// It only reads, and may show its client something newer than the copies of these keys.
    Seen(Box<[Box<[u8]>]>),
    /// That of its key, unless it takes the new value: see [`Taken`].
    Take(Box<Taken>),
    /// All.
    Everything,
}

impl Effect {
    /// The effect of `request`, whose row is `entry` and which has as many words as the row wants.
    pub fn of(entry: &Entry, request: Request<'_>) -> Self {
        if entry.command.flags.contains(KEYSPACE | WRITE) {
            return Self::Everything;
        }
        let keys = entry.command.key_positions(request).into_iter();
        if !entry.command.writes_keys() {
            let tells_values = !entry.command.flags.intersects(KEYSPACE.or(OWNER)) && keys.len() > 0;
            let seen = || keys.map(|(at, _)| request.arg(at).into()).collect();
            return if tells_values {
                Self::Seen(seen())
            } else {
                Self::Nothing
            };
        }
        let written = keys.filter(|(_, access)| access.mode != Mode::Read);
        Self::Keys(written.map(|(at, _)| request.arg(at).into()).collect())
    }

    /// Whether it writes.
    pub fn is_any(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Seen(_))
    }

    /// Removes the copies, and sees to it that no fetch under way leaves one.
    pub fn apply(&self, store: &Store, now_ms: u64) {
        match self {
            Self::Nothing => {}
            Self::Take(taken) => _ = store.invalidate(taken.key()),
            Self::Keys(keys) => keys.iter().for_each(|key| _ = store.invalidate(key)),
            Self::Seen(keys) => keys.iter().for_each(|key| store.drop_copies_of(key)),
            Self::Everything => store.invalidate_all(now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::index;
    use crate::resp::{DecodeLimits, Decoder};

    fn effect(request: &str) -> Effect {
        let inline = format!("{request}\r\n");
        let mut decoder = Decoder::default();
        decoder
            .decode(inline.as_bytes(), &DecodeLimits::default())
            .unwrap();
        let request = decoder.request(inline.as_bytes());
        Effect::of(index::resolve(request).unwrap(), request)
    }

    fn keys(keys: &[&str]) -> Effect {
        Effect::Keys(keys.iter().map(|key| key.as_bytes().into()).collect())
    }

    #[test]
    fn the_rows_tell_which_copies_are_wrong_after_a_request() {
        assert_eq!(effect("SET k v"), keys(&["k"]));
        assert_eq!(effect("MSET a 1 b 2"), keys(&["a", "b"]));
        assert_eq!(effect("DEL a b c"), keys(&["a", "b", "c"]));
        assert_eq!(effect("RENAME from to"), keys(&["from", "to"]));
        assert_eq!(effect("COPY from to"), keys(&["to"]));
        assert_eq!(effect("BITOP AND to a b"), keys(&["to"]));
        assert_eq!(effect("FLUSHALL"), Effect::Everything);
        assert_eq!(effect("SWAPDB 0 1"), Effect::Everything);
        assert_eq!(effect("GET k"), Effect::Seen([b"k"[..].into()].into()));
        assert_eq!(effect("TTL k"), Effect::Nothing);
        assert_eq!(effect("DBSIZE"), Effect::Nothing);
    }
}
