//! Settings that are one of a few words.

/// The least severe messages that are still logged, by Redis's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What may be useful now and then.
    Verbose,
    /// What an operator wants to know.
    #[default]
    Notice,
    /// What needs attention.
    Warning,
}

impl LogLevel {
    pub(super) const ALL: [Self; 4] = [Self::Debug, Self::Verbose, Self::Notice, Self::Warning];
    pub(super) const NAMES: [&'static str; 4] = ["debug", "verbose", "notice", "warning"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Who may use the DEBUG command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugAccess {
    /// DEBUG is refused.
    #[default]
    Nobody,
    /// DEBUG is a command as any other.
    Everybody,
    /// Clients of this host only.
    Local,
}

impl DebugAccess {
    pub(super) const ALL: [Self; 3] = [Self::Nobody, Self::Everybody, Self::Local];
    pub(super) const NAMES: [&'static str; 3] = ["no", "yes", "local"];
}

/// What leaves when the memory budget is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// The longest unused with a deadline.
    VolatileLru,
    /// The least often used with a deadline.
    VolatileLfu,
    /// Any entry with a deadline.
    VolatileRandom,
    /// The entry that expires next.
    VolatileTtl,
    /// The least worthy, as in `AllkeysHybrid`, with a deadline.
    VolatileHybrid,
    /// The longest unused.
    AllkeysLru,
    /// The least often used.
    AllkeysLfu,
    /// Any entry.
    AllkeysRandom,
    /// Of all entries the least worthy by recency, frequency, remaining time and size.
    #[default]
    AllkeysHybrid,
    /// Nothing: commands that would grow get an error.
    NoEviction,
}

impl EvictionPolicy {
    pub(super) const ALL: [Self; 10] = [
        Self::VolatileLru,
        Self::VolatileLfu,
        Self::VolatileRandom,
        Self::VolatileTtl,
        Self::VolatileHybrid,
        Self::AllkeysLru,
        Self::AllkeysLfu,
        Self::AllkeysRandom,
        Self::AllkeysHybrid,
        Self::NoEviction,
    ];
    pub(super) const NAMES: [&'static str; 10] = [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "volatile-hybrid",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "allkeys-hybrid",
        "noeviction",
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// When an upstream that does not answer is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerPolicy {
    /// After a number of failures in a row.
    #[default]
    Consecutive,
    /// Never.
    None,
}

impl BreakerPolicy {
    pub(super) const ALL: [Self; 2] = [Self::Consecutive, Self::None];
    pub(super) const NAMES: [&'static str; 2] = ["consecutive", "none"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What the tiers do with reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierMode {
    /// A plain cache.
    Off,
    /// Misses are filled from upstream, writes go there first.
    NearCache,
}

impl TierMode {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NearCache => "near-cache",
        }
    }
}
