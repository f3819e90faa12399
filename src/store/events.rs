//! What happens to keys, for those who want to know (Redis's keyspace notifications).

/// A class of events, as one bit of a set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// Events of any type of value, such as `del` (Redis's letter `g`).
    pub const GENERIC: Self = Self(1);
    /// Events of texts (`$`).
    pub const STRING: Self = Self(1 << 1);
    /// Events of lists (`l`).
    pub const LIST: Self = Self(1 << 2);
    /// Events of sets (`s`).
    pub const SET: Self = Self(1 << 3);
    /// Events of hashes (`h`).
    pub const HASH: Self = Self(1 << 4);
    /// Events of sorted sets (`z`).
    pub const SORTED_SET: Self = Self(1 << 5);
    /// An entry was removed because its deadline had passed (`x`).
    pub const EXPIRED: Self = Self(1 << 6);
    /// An entry was removed because memory was short (`e`).
    pub const EVICTED: Self = Self(1 << 7);
    /// Events of streams (`t`).
    pub const STREAM: Self = Self(1 << 8);
    /// A read did not find its key (`m`).
    pub const MISS: Self = Self(1 << 9);
    /// A key was created (`n`).
    pub const NEW: Self = Self(1 << 10);
}

/// Is told of events while the key's shard is locked: it must be quick, and must not touch the store.
pub trait Observer: Send + Sync {
    /// `event` of this class happened to `key` in database `db`.
    fn notice(&self, db: usize, key: &[u8], class: Class, event: &str);
}
