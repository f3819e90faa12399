//! How old a copy may be that a visit is served: what the tiers' rules say, as plain data.

use crate::values::prefix_map::PrefixMap;

/// What a visit may be served. Each allows what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Freshness {
    /// Only what is right as far as is known here: for commands that change what they read.
    #[default]
    Sound,
    /// Besides, what the rules of its namespace allow while upstream is asked anew.
    Lenient,
    /// Besides, what they allow when upstream can't be asked, or does not answer in time.
    Rescue,
}

/// What becomes of a copy of which nobody knows whether it still holds: the feed was lost after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspects {
    /// It is served while it is fetched anew.
    Serve,
    /// It is fetched anew before it is served; it is kept for the case that upstream can't be asked.
    #[default]
    Revalidate,
    /// It is dropped.
    Refuse,
}

/// How old copies of one namespace may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyRules {
    /// What becomes of suspects.
    pub suspects: Suspects,
    /// How long after the feed was lost a suspect may be served at all.
    pub max_stale_ms: u64,
    /// How long after its deadline a copy may be served while it is fetched anew.
    pub stale_ttl_ms: u64,
    /// The mean lead of a fetch before the deadline; 0: none.
    pub early_refresh_ms: u64,
    /// Whether copies that are too old otherwise are served when upstream can't be asked.
    pub rescues: bool,
    /// Whether these are no copies: upstream has nothing to do with them.
    pub is_local: bool,
    /// Which namespace it is, for [`super::Store::begin_version`].
    pub namespace: u16,
}

impl CopyRules {
    /// Whether a copy may be served that is suspect for so long.
    pub(super) fn serves_suspect(&self, age_ms: u64, freshness: Freshness, is_cut: bool) -> bool {
        let is_rescue = self.rescues && (freshness == Freshness::Rescue || is_cut);
        let serves = match self.suspects {
            Suspects::Serve => true,
            Suspects::Revalidate => is_rescue,
            Suspects::Refuse => false,
        };
        freshness > Freshness::Sound && serves && age_ms <= self.max_stale_ms
    }

    /// Whether a suspect is worth keeping, though it may not be served now.
    pub(super) fn keeps_suspect(&self, age_ms: u64) -> bool {
        self.suspects != Suspects::Refuse && age_ms <= self.max_stale_ms
    }

    /// Whether a copy may be served that is dead for so long.
    pub(super) fn serves_dead(&self, age_ms: u64, freshness: Freshness) -> bool {
        freshness > Freshness::Sound && age_ms < self.stale_ttl_ms
    }
}

/// The rules of all namespaces, and what their extremes are.
pub struct FreshnessRules {
    namespaces: PrefixMap<CopyRules>,
    /// The longest time for which a dead copy is kept.
    pub(super) stale_ttl_max_ms: u64,
    /// Before this time ahead of its deadline no copy is refreshed early.
    pub(super) early_window_ms: u64,
    /// Whether there may be entries that are no copies.
    pub(super) has_local: bool,
}

impl FreshnessRules {
    /// Rules by prefix, one of which is empty.
    pub fn new(namespaces: PrefixMap<CopyRules>) -> Self {
        /// An early refresh is drawn from an exponential distribution, which has no end: beyond so many means it
        /// happens once in 3,000 times.
        const MEANS_MAX: u64 = 8;
        let (mut stale_ttl_max_ms, mut early_max_ms, mut has_local) = (0, 0, false);
        for (_, rules) in namespaces.iter() {
            stale_ttl_max_ms = rules.stale_ttl_ms.max(stale_ttl_max_ms);
            early_max_ms = rules.early_refresh_ms.max(early_max_ms);
            has_local |= rules.is_local;
        }
        Self {
            namespaces,
            stale_ttl_max_ms,
            early_window_ms: early_max_ms.saturating_mul(MEANS_MAX),
            has_local,
        }
    }

    /// The rules for `key`.
    pub(super) fn of(&self, key: &[u8]) -> &CopyRules {
        self.namespaces.get(key)
    }
}

impl Default for FreshnessRules {
    fn default() -> Self {
        let rules = CopyRules {
            is_local: true,
            ..CopyRules::default()
        };
        Self::new(PrefixMap::new(vec![(Vec::new(), rules)]))
    }
}
