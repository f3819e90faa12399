//! Namespaces as the tiers see them: the rules of the configuration with what is remembered of each.

use std::sync::Arc;

use super::namespace_stats::NamespaceStats;
use super::promotion::{self, Promotion};
use crate::config::{self, Config, PromotionPolicy, Rules, TierMode};
use crate::values::prefix_map::PrefixMap;

/// One namespace.
pub struct Namespace {
    /// Its place in the configuration: 0 is the default one.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// How its keys are read and written.
    pub mode: TierMode,
    /// Everything else about them.
    pub rules: Rules,
    /// What a key must do to be brought in.
    pub promotion: Arc<dyn Promotion>,
    /// What was counted of it.
    pub stats: Arc<NamespaceStats>,
}

/// All namespaces, by prefix.
pub struct Namespaces {
    by_prefix: PrefixMap<Namespace>,
    /// Whether no key has anything to do with upstream.
    pub is_off: bool,
}

impl Namespaces {
    /// Those of a configuration. Policies keep what they have learned, as far as `before` had the same, and counters go
    /// on.
    pub fn of(config: &Config, before: Option<&Self>) -> Self {
        let build = |(index, namespace): (usize, config::Namespace)| {
            let policy = namespace.rules.promotion;
            let known = before.and_then(|before| before.named(&namespace.name));
            let stats = known.map_or_else(Arc::default, |known| Arc::clone(&known.stats));
            let known = known.filter(|known| known.rules.promotion == policy);
            let promotion = known.map_or_else(|| new_promotion(policy), |known| Arc::clone(&known.promotion));
            let built = Namespace {
                index: index as u16,
                name: namespace.name,
                mode: namespace.rules.mode_with(&config.upstream),
                rules: namespace.rules,
                promotion,
                stats,
            };
            (namespace.prefix, built)
        };
        let all: Vec<_> = config.namespaces().into_iter().enumerate().map(build).collect();
        Self {
            is_off: all.iter().all(|(_, namespace)| namespace.mode == TierMode::Off),
            by_prefix: PrefixMap::new(all),
        }
    }

    /// Whether changes of some keys are to be carried later.
    pub fn defers(&self) -> bool {
        self.iter()
            .any(|(_, namespace)| namespace.mode == TierMode::WriteBehind)
    }

    /// Prefixes of all keys of which there may be copies, none of which begins with another; a single empty one for all keys.
    pub fn prefixes(&self) -> Vec<&[u8]> {
        let is_kept = |namespace: &Namespace| {
            namespace.mode != TierMode::Off && namespace.rules.promotion != PromotionPolicy::Never
        };
        let kept = self.iter().filter(|(_, namespace)| is_kept(namespace));
        let mut prefixes: Vec<&[u8]> = kept.map(|(prefix, _)| prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter));
        prefixes
    }

    /// That of a key.
    pub fn of_key(&self, key: &[u8]) -> &Namespace {
        self.by_prefix.get(key)
    }

    /// That of keys which belong to no other.
    pub fn default(&self) -> &Namespace {
        self.of_key(b"")
    }

    /// The one with this name.
    pub fn named(&self, name: &str) -> Option<&Namespace> {
        self.iter()
            .map(|(_, namespace)| namespace)
            .find(|namespace| namespace.name == name)
    }

    /// All of them with their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Namespace)> {
        self.by_prefix.iter()
    }
}

fn new_promotion(policy: PromotionPolicy) -> Arc<dyn Promotion> {
    let policy = promotion::by_name(policy.name()).expect("the configuration names policies that exist");
    policy.into()
}
