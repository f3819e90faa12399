//! Invalidations that come down from upstream.
//!
//! The feed and all requests share one connection, so what comes down is in the order in which upstream did it: the
//! reply to a fetch that read an old value comes before the invalidation of the write that replaced it.
//!
//! How stale may a copy be? As long as the link works, by the time that upstream and the network take: Redis sends
//! what it has to invalidate at the end of the round of its event loop in which keys were written. When the link
//! breaks without a word (a half-open connection), nothing comes any more and nothing says so. Hence a PING goes out
//! when the link was idle for [`FEED_PROBE_MS`], and the link is cut when it is not answered in time
//! (`upstream-timeout-ms`); while requests are outstanding, the link is cut when the oldest of them is unanswered for
//! [`LINK_OVERDUE_TIMEOUTS`] times the timeout. The larger of these is the bound, 4 s by default, and `feed_lag_ms`
//! tells how far it is used up. While upstream is known to be gone, copies are served as they are; after the
//! next connection was made they all count as absent (see [`crate::store`], generations).
//!
//! [`FEED_PROBE_MS`]: crate::limits::FEED_PROBE_MS
//! [`LINK_OVERDUE_TIMEOUTS`]: crate::limits::LINK_OVERDUE_TIMEOUTS

use super::status::Status;
use crate::resp::Frame;
use crate::store::Store;

/// Applies a message that no request asked for. Others than invalidations are none of our business.
pub fn apply(push: Frame<'_>, store: &Store, status: &Status, now_ms: u64) {
    let mut children = push.children();
    if children.next().and_then(|kind| kind.as_bulk()) != Some(b"invalidate") {
        return;
    }
    match children.next() {
        Some(keys) if !keys.is_null() => {
            for key in keys.children().filter_map(|key| key.as_bulk()) {
                store.invalidate(key);
                status.invalidations.add(1);
            }
        }
        _ => {
            store.invalidate_all(now_ms);
            status.flushes.add(1);
        }
    }
}
