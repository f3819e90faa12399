//! What operators see of the tiers, and what they may have them do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Tiers;
use super::behind::Behind;
use super::health;
use super::info;
use super::invalidation::Removal;
use super::journal::dead_letters::Letter;
use super::namespaces::Namespace;
use super::nodes::Node;
use super::status::{LinkState, tuning};
use crate::commands::error::Error;
use crate::config::TierMode;
use crate::limits::CHECK_ROUND_MAX;
use crate::stats::findings::Finding;
use crate::stats::histogram::Distribution;
use crate::store::FullName;
use crate::tier_control::{Figure, Later, Letters, Page, Reach, Result, Selection, Target, TierControl};

impl TierControl for Tiers {
    fn status(&self) -> Page {
        let namespaces = ("namespaces".into(), Figure::Page(self.modes_page()));
        let mut page = self.link_page();
        page.extend(self.l1_page());
        page.extend(self.behind_page());
        page.push(namespaces);
        page
    }

    fn stats(&self, namespace: Option<&[u8]>) -> Result<Page> {
        let namespaces = self.status.namespaces.load();
        if let Some(name) = namespace {
            let named = std::str::from_utf8(name)
                .ok()
                .and_then(|name| namespaces.named(name));
            return Ok(named.ok_or(Error::NO_SUCH_NAMESPACE)?.stats.page());
        }
        let each = namespaces.iter();
        let pages = each.map(|(_, one)| (one.name.clone().into(), Figure::Page(one.stats.page())));
        let mut page = self.counters_page();
        page.push(("namespaces".into(), Figure::Page(pages.collect())));
        Ok(page)
    }

    fn findings(&self) -> Vec<Finding> {
        let now_ms = self.services.clock.monotonic_ms();
        health::findings(&self.status, &self.behind, &self.services.config.load(), now_ms)
    }

    fn nodes(&self) -> Vec<Page> {
        let nodes = self.upstream.nodes().iter();
        nodes.map(|(place, node)| self.node_page(place, node)).collect()
    }

    fn promotion(&self, namespace: Option<&[u8]>) -> Result<Page> {
        let namespaces = self.status.namespaces.load();
        let page = |one: &Namespace| one.stats.promotion_page(one.rules.promotion.name());
        if let Some(name) = namespace {
            let named = std::str::from_utf8(name)
                .ok()
                .and_then(|name| namespaces.named(name));
            return named.map(page).ok_or(Error::NO_SUCH_NAMESPACE);
        }
        let each = namespaces.iter();
        Ok(each
            .map(|(_, one)| (one.name.clone().into(), Figure::Page(page(one))))
            .collect())
    }

    fn is_warm(&self) -> bool {
        self.warming
            .is_ready(self.services.config.load().warming.ready_percent)
    }

    fn reset_counters(&self) {
        self.status.reset_counters();
        // What was lost stays told for as long as the server runs.
        let counts = &self.behind.counts;
        for tally in [&counts.carried, &counts.coalesced, &counts.retried] {
            tally.reset();
        }
    }

    fn close_breaker(&self) {
        self.status.breaker.reset();
    }

    fn invalidate(&self, target: Target, reach: Reach) -> Later<'_, Option<u64>> {
        Box::pin(async move {
            let removal = Removal::of(target.clone(), &self.status.namespaces.load())?;
            let removed = removal.apply(&self.services).await;
            if reach == Reach::Everywhere {
                self.announce(&target).await?;
            }
            Ok(removed)
        })
    }

    fn warm(&self, selection: Selection, db: usize) -> Later<'_, u64> {
        Box::pin(async move {
            match selection {
                Selection::Keys(keys) => {
                    let names = keys.into_iter().map(|key| FullName { db, key });
                    Ok(self.queue_warming(names) as u64)
                }
                Selection::Match(glob) => self.warm_matching(&glob, db).await,
            }
        })
    }

    fn drain(&self, patience: Option<Duration>) -> Later<'_, u64> {
        Box::pin(async move {
            let drained = self.behind.drained();
            let is_drained = match patience {
                None => {
                    drained.await;
                    true
                }
                Some(patience) => tokio::time::timeout(patience, drained).await.is_ok(),
            };
            Ok(if is_drained {
                0
            } else {
                self.behind.dirty_keys() as u64
            })
        })
    }

    fn dead_letters_len(&self) -> u64 {
        self.behind.dead_letters() as u64
    }

    fn dead_letters(&self, count: usize) -> Later<'_, Vec<Page>> {
        let letters = self.on_disk(move |behind| behind.letters(count));
        Box::pin(async move { Ok(letters.await?.iter().map(letter_page).collect()) })
    }

    fn retry_dead_letters(&self, which: Letters) -> Later<'_, u64> {
        self.on_disk(move |behind| behind.retry_letters(id(which)).map(|count| count as u64))
    }

    fn drop_dead_letters(&self, which: Letters) -> Later<'_, u64> {
        self.on_disk(move |behind| behind.drop_letters(id(which)).map(|count| count as u64))
    }

    fn check(&self, count: usize) -> Later<'_, Page> {
        Box::pin(async move {
            let found = self
                .begin_check(count.min(CHECK_ROUND_MAX))
                .await
                .unwrap_or_default();
            Ok(vec![
                number("checked", found.checked),
                number("mismatched", found.mismatched),
                number("dropped", found.mismatched),
            ])
        })
    }
}

/// The number of the one that is meant; `None`: all.
fn id(which: Letters) -> Option<u64> {
    match which {
        Letters::One(id) => Some(id),
        Letters::All => None,
    }
}

fn letter_page(letter: &Letter) -> Page {
    let record = letter.record();
    vec![
        number("id", letter.id),
        number("db", record.db.into()),
        ("key".into(), Figure::Raw(record.key.into())),
        number("refused-at-ms", letter.refused_at_ms),
        ("error".into(), Figure::text(letter.error.clone())),
    ]
}

/// A figure under its name.
fn number(name: &'static str, figure: u64) -> (std::borrow::Cow<'static, str>, Figure) {
    (name.into(), Figure::Number(figure))
}

impl Tiers {
    /// Has something done to files by a thread that may wait for the disk.
    fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Behind) -> io::Result<T> + Send + 'static,
    ) -> Later<'_, T> {
        let behind = Arc::clone(&self.behind);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&behind)).await;
            let done = done.map_err(io::Error::other).flatten();
            done.map_err(|error| Error::plain(format!("the dead letters can't be reached: {error}")))
        })
    }

    fn link_page(&self) -> Page {
        let (services, status) = (&self.services, &self.status);
        let now_ms = services.clock.monotonic_ms();
        let hears = status.hears_announcements.load(Relaxed);
        let mut page = vec![
            ("mode".into(), Figure::text(services.config.load().mode().name())),
            (
                "upstream".into(),
                Figure::text(self.upstream.nodes().active().name().to_owned()),
            ),
            ("link".into(), Figure::text(status.state().name())),
        ];
        if status.state() == LinkState::Down {
            page.push(("trouble".into(), Figure::text(status.why_down())));
        }
        page.extend([
            ("breaker".into(), Figure::text(self.breaker_state(now_ms))),
            ("feed".into(), Figure::text(status.feed_mode().name())),
            (
                "feed-lag".into(),
                Figure::Milliseconds(status.feed_lag_ms(now_ms)),
            ),
            (
                "announcements".into(),
                Figure::text(if hears { "heard" } else { "not heard" }),
            ),
            number("pending", status.pending() as u64),
            number("session-links", status.sessions.load(Relaxed) as u64),
        ]);
        page
    }

    fn breaker_state(&self, now_ms: u64) -> &'static str {
        let tuning = tuning(&self.services.config.load().upstream);
        self.status.breaker.state(now_ms, tuning).name()
    }

    fn l1_page(&self) -> Page {
        let store = &self.services.store;
        let (totals, used_bytes) = store.totals();
        let entries = store.sizes().iter().map(|size| size.entries as u64).sum();
        let (hits, misses) = info::stats(&self.services, &self.status).l1_hits_and_misses(&totals);
        vec![
            number("l1-entries", entries),
            ("l1-bytes".into(), Figure::Bytes(used_bytes)),
            ("l1-bytes-max".into(), Figure::Bytes(store.limit_bytes())),
            ("l1-hit-ratio".into(), Figure::Share(hits, hits + misses)),
            number("suspects", store.suspects() as u64),
        ]
    }

    /// What upstream does not know of yet.
    fn behind_page(&self) -> Page {
        let behind = &self.behind;
        let now_ms = self.services.clock.monotonic_ms();
        let age_ms = behind
            .oldest_dirty_since_ms()
            .map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        let figures = behind.journal_figures().unwrap_or_default();
        vec![
            number("dirty-keys", behind.dirty_keys() as u64),
            ("dirty-age".into(), Figure::Milliseconds(age_ms)),
            (
                "journal".into(),
                Figure::text(if behind.is_open() { "open" } else { "closed" }),
            ),
            ("journal-bytes".into(), Figure::Bytes(figures.disk_bytes)),
            number("dead-letters", behind.dead_letters() as u64),
            number("lost", behind.lost()),
        ]
    }

    /// The modes of all namespaces, by name.
    fn modes_page(&self) -> Page {
        let namespaces = self.status.namespaces.load();
        let mode = |mode: TierMode| Figure::text(mode.name());
        namespaces
            .iter()
            .map(|(_, namespace)| (namespace.name.clone().into(), mode(namespace.mode)))
            .collect()
    }

    fn counters_page(&self) -> Page {
        let status = &self.status;
        let stats = info::stats(&self.services, status);
        let (totals, _) = self.services.store.totals();
        let (l1_hits, l1_misses) = stats.l1_hits_and_misses(&totals);
        vec![
            number("l1-hits", l1_hits),
            number("l1-misses", l1_misses),
            number("l1-evicted", totals.evicted),
            number("l1-expired", totals.expired),
            number("upstream-hits", stats.hits),
            number("upstream-misses", stats.misses),
            number("upstream-errors", stats.errors),
            number("stale-served", totals.stale_served),
            number("refreshes", status.refreshes.get()),
            number("fills", stats.fills),
            number("fills-not-kept", status.fills_not_kept.get()),
            number("fills-tainted", status.fills_tainted.get()),
            number("forwarded", status.forwarded.get()),
            number("relayed", status.relayed.get()),
            number("timeouts", stats.timeouts),
            number("refused", stats.refused),
            number("invalidations", stats.invalidations),
            number("flushes", status.flushes.get()),
            number("announcements", status.announcements.get()),
            number("announcements-refused", status.announcements_refused.get()),
            number("connects", stats.connects),
            number("failures", status.failures.get()),
            number("carried", self.behind.counts.carried.get()),
            number("coalesced", self.behind.counts.coalesced.get()),
            number("conflicts", totals.conflicts),
        ]
    }

    /// What is known of one address. Breaker and latencies are those of the connection, whose address is the active one.
    fn node_page(&self, place: usize, node: &Node) -> Page {
        let is_active = place == self.upstream.nodes().active_place();
        let last_error = node.last_error();
        let mut page = vec![
            ("address".into(), Figure::text(node.name().to_owned())),
            (
                "active".into(),
                Figure::text(if is_active { "yes" } else { "no" }),
            ),
            ("state".into(), Figure::text(node.state().name())),
            number("connects", node.connects.get()),
            number("failures", node.failures.get()),
            (
                "last-error".into(),
                Figure::text(last_error.as_deref().cloned().unwrap_or_default()),
            ),
        ];
        if is_active {
            let now_ms = self.services.clock.monotonic_ms();
            let mut latencies = Distribution::default();
            latencies.add(&self.status.latencies);
            let microseconds = |percent| latencies.percentile(percent) / 1000;
            page.extend([
                ("breaker".into(), Figure::text(self.breaker_state(now_ms))),
                number("latency-us-p50", microseconds(50.0)),
                number("latency-us-p95", microseconds(95.0)),
                number("latency-us-p99", microseconds(99.0)),
            ]);
        }
        page
    }
}
