//! Copies that follow a write which upstream has run: what it leaves is known from the request alone.
//!
//! The link runs the command on the copy when it meets the reply, between the frames before and behind it. So an
//! invalidation by a later write of others comes later here, too.

use std::fmt;

use super::Tiers;
use super::status::FeedMode;
use crate::commands::Args;
use crate::commands::call::KeyCall;
use crate::commands::index::Entry;
use crate::commands::spec::Handler;
use crate::config::{Compression, PromotionPolicy, TierMode};
use crate::resp::{OwnedRequest, Protocol, Reply, Request};
use crate::services::Services;
use crate::store::{Key, Visit};

/// A write whose value its copy may take.
pub struct Taken {
    entry: &'static Entry,
    request: OwnedRequest,
    db: usize,
    /// Whether there shall be a copy though there was none.
    creates: bool,
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taken({})", String::from_utf8_lossy(self.key()))
    }
}

impl PartialEq for Taken {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.entry, other.entry) && self.key() == other.key() && self.db == other.db
    }
}

impl Tiers {
    /// What the copy of the request's key is to take, if it may: the write leaves the same whatever was there, its
    /// namespace has copies follow, and these are what upstream has, no less and no longer.
    pub(super) fn taken(&self, entry: &'static Entry, request: Request<'_>, db: usize) -> Option<Box<Taken>> {
        let is_single = matches!(entry.command.handler, Handler::Key(_));
        if !is_single || !entry.command.is_blind(request) || self.status.feed_mode() != FeedMode::Broadcast {
            return None;
        }
        let namespaces = self.status.namespaces.load();
        let namespace = namespaces.of_key(request.arg(entry.command.first_key()));
        let rules = &namespace.rules;
        let is_exact = rules.copy_ttl_max.is_zero()
            && rules.ttl_jitter_percent == 0
            && rules.compression == Compression::None;
        let bytes: usize = request.iter().map(<[u8]>::len).sum();
        let follows = namespace.mode == TierMode::NearCache && bytes as u64 <= rules.fill_value_max_bytes;
        (is_exact && follows).then(|| {
            Box::new(Taken {
                entry,
                request: request.into(),
                db,
                creates: rules.promotion == PromotionPolicy::Always,
            })
        })
    }
}

impl Taken {
    /// The key.
    pub fn key(&self) -> &[u8] {
        self.request.view().arg(self.entry.command.first_key())
    }

    /// Upstream has run the write, which was sent at this Unix millisecond: the copy takes its value. A deadline that
    /// is counted from then is not later than upstream's.
    pub fn apply(&self, sent_ms: u64, services: &Services) {
        let store = &services.store;
        let was_there = store.invalidate(self.key());
        let Handler::Key(handler) = self.entry.command.handler else {
            return;
        };
        let hash = store.hash(self.key());
        let has_room = !store.is_over_budget() || store.make_room(hash, sent_ms);
        if !(was_there || self.creates) || !has_room {
            return;
        }
        let request = self.request.view();
        let visit = Visit::new(self.db, sent_ms);
        let mut shard = store.lock(hash);
        if shard.is_dirty(self.db, self.key()) {
            return;
        }
        let mut reply = Vec::new();
        // It succeeded there, so it does here.
        let _ = handler(&mut KeyCall {
            args: Args::new(request, self.entry.command.first_key() + 1),
            key: Key::find(&mut shard, self.key(), hash, visit),
            reply: Reply::new(&mut reply, Protocol::Resp2),
            visit,
            services,
        });
    }
}
