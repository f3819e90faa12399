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
    /// When the share of failures among the last calls is too high.
    FailureRate,
    /// Never.
    None,
}

impl BreakerPolicy {
    pub(super) const ALL: [Self; 3] = [Self::Consecutive, Self::FailureRate, Self::None];
    pub(super) const NAMES: [&'static str; 3] = ["consecutive", "failure-rate", "none"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What the tiers do with reads and writes of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierMode {
    /// A plain cache: nothing is read from upstream or written there.
    Off,
    /// Misses are filled from upstream, writes go there first and are followed here.
    NearCache,
    /// Misses are filled from upstream; writes are done here, kept in a journal and carried upstream soon after.
    WriteBehind,
    /// Misses are filled from upstream; writes go there only, and the copy here goes.
    WriteAround,
}

impl TierMode {
    pub(super) const ALL: [Self; 4] = [Self::Off, Self::NearCache, Self::WriteBehind, Self::WriteAround];
    pub(super) const NAMES: [&'static str; 4] = ["off", "near-cache", "write-behind", "write-around"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Which values that were fetched stay here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromotionPolicy {
    /// All.
    #[default]
    Always,
    /// Those that are asked for a second time.
    SecondHit,
    /// Those for which there is room without evicting others.
    Lazy,
    /// Those that are likely to be read again.
    Predicted,
    /// None.
    Never,
}

impl PromotionPolicy {
    pub(super) const ALL: [Self; 5] = [
        Self::Always,
        Self::SecondHit,
        Self::Lazy,
        Self::Predicted,
        Self::Never,
    ];
    pub(super) const NAMES: [&'static str; 5] = ["always", "second-hit", "lazy", "predicted", "never"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What becomes of copies that may be wrong, since the feed was lost after they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SuspectPolicy {
    /// They are served.
    Serve,
    /// They are compared with upstream before they are served again.
    #[default]
    Revalidate,
    /// They are as good as absent.
    Refuse,
}

impl SuspectPolicy {
    pub(super) const ALL: [Self; 3] = [Self::Serve, Self::Revalidate, Self::Refuse];
    pub(super) const NAMES: [&'static str; 3] = ["serve", "revalidate", "refuse"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What reads get while upstream cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// What is here, if it is not too old; an error for what is not here.
    #[default]
    Stale,
    /// What is here; what is not here counts as missing.
    Local,
    /// An error.
    Error,
}

impl FailMode {
    pub(super) const ALL: [Self; 3] = [Self::Stale, Self::Local, Self::Error];
    pub(super) const NAMES: [&'static str; 3] = ["stale", "local", "error"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How strings are made smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

impl Compression {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Lz4, Self::Zstd];
    pub(super) const NAMES: [&'static str; 3] = ["none", "lz4", "zstd"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How upstream tells which keys changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamTracking {
    /// It names every key that changes (CLIENT TRACKING with BCAST).
    #[default]
    Broadcast,
    /// It names the keys that were fetched from here (CLIENT TRACKING without BCAST).
    Keys,
    /// It tells nothing; copies live for a short time.
    None,
}

impl UpstreamTracking {
    pub(super) const ALL: [Self; 3] = [Self::Broadcast, Self::Keys, Self::None];
    pub(super) const NAMES: [&'static str; 3] = ["broadcast", "keys", "none"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// When what was written to the journal is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalSync {
    /// Every 10 milliseconds: a crash of the machine loses no more than that.
    #[default]
    Every10Ms,
    /// Before each reply.
    Always,
    /// When the system sees fit: a crash of the process loses nothing, one of the machine may.
    Os,
}

impl JournalSync {
    pub(super) const ALL: [Self; 3] = [Self::Every10Ms, Self::Always, Self::Os];
    pub(super) const NAMES: [&'static str; 3] = ["10ms", "always", "os"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What a write gets when the journal is full or its oldest write too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits until there is room, at most as long as a request to upstream may take.
    #[default]
    Wait,
    /// An error.
    Error,
}

impl WhenFull {
    pub(super) const ALL: [Self; 2] = [Self::Wait, Self::Error];
    pub(super) const NAMES: [&'static str; 2] = ["wait", "error"];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
