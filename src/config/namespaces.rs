//! Namespaces: keys with a common prefix, and the rules by which they are treated.
//!
//! The rows of [`super::tier_options::RULES`] read and write [`Config::rules`], which hold for keys of no named
//! namespace. A `[[namespace]]` table of the file stores only what it says itself; the rest is looked up when
//! [`Config::namespaces`] is asked, so that a namespace follows what CONFIG SET changes.

use super::{
    Compression, Config, FailMode, PromotionPolicy, Setting, SuspectPolicy, TierMode, Upstream, options,
};
use std::time::Duration;

/// How the keys of a namespace are treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The mode asked for; `None` leaves it to [`Rules::mode_with`].
    pub mode: Option<TierMode>,
    /// Which values that were fetched stay here.
    pub promotion: PromotionPolicy,
    /// Larger values are passed on and not kept.
    pub fill_value_max_bytes: u64,
    /// How long a key that upstream does not have is remembered as missing; zero: not at all.
    pub negative_ttl: Duration,
    /// A copy lives at most so long; zero: as long as upstream's value.
    pub copy_ttl_max: Duration,
    /// From 0 to 90: a copy's time to live is shortened by up to so much, at random.
    pub ttl_jitter_percent: u32,
    /// A copy whose time is over may be served for so long while it is fetched anew; zero: it may not.
    pub stale_ttl: Duration,
    /// Mean lead of a refresh at random before the deadline; zero: there is none.
    pub early_refresh: Duration,
    /// What becomes of copies from before the feed was lost.
    pub suspects: SuspectPolicy,
    /// How long after the feed was lost such a copy may be served.
    pub max_stale: Duration,
    /// What reads get while upstream cannot be asked.
    pub fail_mode: FailMode,
    /// After so long a stale copy answers, and the fetch goes on; zero: a read waits for the fetch.
    pub soft_deadline: Duration,
    /// How strings are made smaller here.
    pub compression: Compression,
    /// Shorter strings are left as they are.
    pub compression_min_bytes: u64,
    /// Whether upstream gets strings as they are kept here, compressed.
    pub compresses_upstream: bool,
}

impl Rules {
    /// The mode asked for, else near-cache where there is an upstream.
    pub fn mode_with(&self, upstream: &Upstream) -> TierMode {
        match self.mode {
            Some(mode) => mode,
            None if upstream.addresses.is_empty() => TierMode::Off,
            None => TierMode::NearCache,
        }
    }
}

/// A `[[namespace]]` table: what it says, and nothing of what it leaves to the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceConfig {
    /// Unique; of letters, digits and `_.-`.
    pub name: String,
    /// Unique and not empty. Where several fit a key, the longest decides.
    pub prefix: Vec<u8>,
    /// Names of rows of [`super::tier_options::RULES`], with values that these accept.
    overrides: Vec<(&'static str, String)>,
}

/// A namespace with all its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// [`Namespace::DEFAULT`] or the name of a `[[namespace]]` table.
    pub name: String,
    /// What its keys begin with.
    pub prefix: Vec<u8>,
    /// How they are treated.
    pub rules: Rules,
}

impl Namespace {
    /// The name of the namespace of all keys that no other has. No table may have it.
    pub const DEFAULT: &'static str = "default";
}

impl NamespaceConfig {
    /// A table that says nothing but its name and prefix.
    pub(super) fn new(name: String, prefix: Vec<u8>) -> Self {
        Self {
            name,
            prefix,
            overrides: Vec::new(),
        }
    }

    /// Takes on that `setting`, a row of the rules, has this value here.
    ///
    /// # Errors
    /// The row's reason, where it does not accept the value.
    pub(super) fn set(&mut self, setting: &'static Setting, text: &str) -> Result<(), String> {
        setting.set(&mut Config::default(), text)?;
        self.overrides.push((setting.name, text.to_owned()));
        Ok(())
    }
}

impl Config {
    /// All namespaces with their rules as they are now: the default one, with the empty prefix, then the others in
    /// the order of the file.
    ///
    /// Copies the configuration once: for who keeps the result until the configuration changes.
    pub fn namespaces(&self) -> Vec<Namespace> {
        let mut scratch = self.clone();
        let mut all = vec![Namespace {
            name: Namespace::DEFAULT.to_owned(),
            prefix: Vec::new(),
            rules: self.rules.clone(),
        }];
        for table in &self.namespace_tables {
            scratch.rules.clone_from(&self.rules);
            for (name, text) in &table.overrides {
                let setting = options::find(name).expect("the name is that of a row");
                setting
                    .set(&mut scratch, text)
                    .expect("the value was accepted when the table was read");
            }
            all.push(Namespace {
                name: table.name.clone(),
                prefix: table.prefix.clone(),
                rules: scratch.rules.clone(),
            });
        }
        all
    }
}

/// The words of `tier-mode`: `auto`, then the names of the modes.
pub(super) const MODE_NAMES: [&str; 5] = {
    let [off, near_cache, write_behind, write_around] = TierMode::NAMES;
    ["auto", off, near_cache, write_behind, write_around]
};

/// The place in [`MODE_NAMES`] of a mode that was asked for.
pub(super) fn mode_index(mode: Option<TierMode>) -> usize {
    mode.map_or(0, |mode| mode as usize + 1)
}

/// The mode that the word at this place of [`MODE_NAMES`] asks for.
pub(super) fn mode_at(index: usize) -> Option<TierMode> {
    let index = index.checked_sub(1)?;
    Some(TierMode::ALL[index])
}
