//! Removing copies because somebody asked for it: an operator, or a message on a channel.

use regex::bytes::{Regex, RegexBuilder};

use super::namespaces::Namespaces;
use crate::commands::error::Error;
use crate::limits::REGEX_BYTES_MAX;
use crate::services::Services;
use crate::store::Store;
use crate::tier_control::Target;
use crate::values::glob::{Case, Glob};

/// A target that can be removed: its expression was read, its namespace found.
#[derive(Debug)]
pub enum Removal {
    /// Copies of these keys.
    Keys(Vec<Box<[u8]>>),
    /// Copies of keys that this matches.
    Match(Box<[u8]>),
    /// Copies of keys in which this finds something.
    Regex(Regex),
    /// All copies of the namespace with this number.
    Namespace(u16),
}

impl Removal {
    /// Reads a target. Fails if its expression can't be read or is too large, or if it names no namespace.
    pub fn of(target: Target, namespaces: &Namespaces) -> Result<Self, Error> {
        Ok(match target {
            Target::Keys(keys) => Self::Keys(keys),
            Target::Match(glob) => Self::Match(glob),
            Target::Regex(pattern) => Self::Regex(expression(&pattern)?),
            Target::Namespace(name) => {
                let namespace = namespaces.named(&name).ok_or(Error::NO_SUCH_NAMESPACE)?;
                Self::Namespace(namespace.index)
            }
        })
    }

    /// Removes the copies, in all databases. Returns how many keys had some; `None` for a namespace, whose copies
    /// become void without being visited. Linear in the keys of the store for patterns, with rests between shards.
    pub async fn apply(self, services: &Services) -> Option<u64> {
        let swept = match self.at_once(&services.store, services.clock.unix_ms()) {
            Ok(removed) => return removed,
            Err(pattern) => pattern,
        };
        match swept {
            Self::Match(glob) => {
                let glob = Glob::new(&glob, Case::Sensitive);
                Some(sweep(services, &|key| glob.is_star() || glob.matches(key)).await)
            }
            Self::Regex(expression) => Some(sweep(services, &|key| expression.is_match(key)).await),
            Self::Keys(_) | Self::Namespace(_) => unreachable!("these are removed at once"),
        }
    }

    /// The same for what needs no visit of the whole store; gives a pattern back.
    pub fn at_once(self, store: &Store, now_ms: u64) -> Result<Option<u64>, Self> {
        match self {
            Self::Keys(keys) => Ok(Some(
                keys.iter().map(|key| u64::from(store.invalidate(key))).sum(),
            )),
            Self::Namespace(number) => {
                store.begin_version(number, now_ms);
                Ok(None)
            }
            pattern => Err(pattern),
        }
    }
}

/// Removes copies of the keys that are wanted, shard by shard.
async fn sweep(services: &Services, is_wanted: &(dyn Fn(&[u8]) -> bool + Sync)) -> u64 {
    let mut removed = 0;
    let mut shard = 0;
    while let Some(of_shard) = services.store.drop_copies_of_shard(shard, is_wanted) {
        removed += of_shard as u64;
        shard += 1;
        tokio::task::yield_now().await;
    }
    removed
}

/// Matching takes a time that is linear in the key, whatever the expression: there is no backtracking.
fn expression(pattern: &str) -> Result<Regex, Error> {
    let compiled = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    compiled.map_err(|error| Error::plain(format!("invalid regular expression: {}", reason(&error))))
}

/// What is wrong, on one line: the text of a syntax error draws the place below the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::{CopyRules, FreshnessRules, Key, Visit};
    use crate::tiers::fake;
    use crate::values::prefix_map::PrefixMap;

    fn services(keys: &[(usize, &str)]) -> Services {
        let services = Services::new(fake::near_cache(), None);
        for (db, key) in keys {
            let hash = services.store.hash(key.as_bytes());
            let visit = Visit::new(*db, 1);
            Key::find(&mut services.store.lock(hash), key.as_bytes(), hash, visit).set(b"value", None);
        }
        services
    }

    async fn removed(target: Target, services: &Services) -> Option<u64> {
        let removal = Removal::of(target, &Namespaces::of(&Config::default(), None)).unwrap();
        removal.apply(services).await
    }

    fn refusal(target: Target) -> String {
        Removal::of(target, &Namespaces::of(&Config::default(), None))
            .unwrap_err()
            .to_string()
    }

    #[tokio::test]
    async fn patterns_remove_what_they_match_in_all_databases() {
        let services = services(&[
            (0, "user:1"),
            (0, "user:2"),
            (3, "user:3"),
            (0, "order:1"),
            (0, ""),
        ]);
        let entries = || {
            services
                .store
                .sizes()
                .iter()
                .map(|size| size.entries)
                .sum::<usize>()
        };
        let glob = Target::Match((*b"user:[12]").into());
        assert_eq!((removed(glob, &services).await, entries()), (Some(2), 3));
        let regex = Target::Regex("^[a-z]+:\\d$".to_owned());
        assert_eq!((removed(regex, &services).await, entries()), (Some(2), 1));
        let all = Target::Match((*b"*").into());
        assert_eq!((removed(all, &services).await, entries()), (Some(1), 0));
    }

    #[tokio::test]
    async fn what_upstream_has_nothing_to_do_with_is_no_copy_and_stays() {
        let services = services(&[(0, "own:1"), (0, "user:1")]);
        let copies = CopyRules::default();
        let own = CopyRules {
            is_local: true,
            ..copies
        };
        let rules = vec![(Vec::new(), copies), (b"own:".to_vec(), own)];
        services
            .store
            .set_freshness(FreshnessRules::new(PrefixMap::new(rules)));
        for target in [
            Target::Match((*b"*").into()),
            Target::Regex(".".to_owned()),
            Target::Keys(vec![(*b"own:1").into()]),
            Target::Namespace("default".to_owned()),
        ] {
            removed(target, &services).await;
            assert_eq!(services.store.size(0).entries, 1);
        }
        let hash = services.store.hash(b"own:1");
        let mut shard = services.store.lock(hash);
        assert!(Key::find(&mut shard, b"own:1", hash, Visit::new(0, 2)).exists());
    }

    #[tokio::test]
    async fn keys_are_counted_when_there_were_copies_of_them() {
        let services = services(&[(0, "a"), (1, "a"), (0, "b")]);
        let keys = Target::Keys(vec![(*b"a").into(), (*b"a").into(), (*b"c").into()]);
        assert_eq!(removed(keys, &services).await, Some(1));
        assert_eq!(services.store.size(0).entries, 1);
    }

    #[test]
    fn what_cannot_be_read_is_refused_on_one_line() {
        let unclosed = refusal(Target::Regex("user:(".to_owned()));
        assert_eq!(unclosed, "ERR invalid regular expression: unclosed group");
        let large = refusal(Target::Regex("((a{100}){100}){100}".to_owned()));
        assert!(
            large.contains("invalid regular expression") && large.lines().count() == 1,
            "{large}"
        );
        let nowhere = refusal(Target::Namespace("nosuch".to_owned()));
        assert_eq!(nowhere, "ERR no such namespace");
    }

    #[test]
    fn an_expression_without_a_quick_way_takes_no_longer_for_it() {
        let expression = expression("^(a+)+$").unwrap();
        let mut key = vec![b'a'; 100_000];
        key.push(b'b');
        assert!(!expression.is_match(&key));
    }
}
