//! What a command is: one row that everything else reads.

use std::future::Future;
use std::pin::Pin;

use smallvec::SmallVec;

use super::args::Args;
use super::call::{KeyCall, KeysCall, SessionCall};
use super::error::Error;
use crate::resp::Reply;
use crate::resp::decode::Request;
use crate::resp::number::parse_i64;

/// What a handler returns: the reply was written, or the error is the reply.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// A handler that waits for something.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = Result> + 'a>>;

/// How a run of a command that may have to wait ended.
pub enum Attempt {
    /// The reply is written.
    Done,
    /// There is nothing yet to reply with; nothing was changed or written.
    Block(Wait),
}

/// For how long, and for what, a command waits.
pub struct Wait {
    /// 0: for ever.
    pub timeout_ms: u64,
    /// Writes the reply when the time is over.
    pub on_timeout: fn(&mut Reply<'_>),
    /// Writes the reply where the command may not wait: in a transaction, and in a script.
    pub on_refusal: fn(&mut Reply<'_>),
    /// The words of the request that is run when a key has changed, where they are not those that the client sent.
    pub request: Option<Vec<Box<[u8]>>>,
}

/// One row of the command table.
#[derive(Debug)]
pub struct Command {
    /// The name in capital letters; of a subcommand, without its container.
    pub name: &'static str,
    /// Words of a request, all names included: exactly this many, or at least that many where negative.
    pub arity: i32,
    /// The arguments behind the name, in the notation of [`super::syntax`].
    pub arguments: &'static str,
    /// Which arguments are keys, and what the command does to them.
    pub keys: &'static [Keys],
    /// Which arguments are shard channels: a cluster routes by them as by keys, nothing else takes them for keys.
    pub shard_channels: &'static [Keys],
    /// Properties, also for the ACL categories.
    pub flags: Flags,
    /// The Redis version that had it first.
    pub since: &'static str,
    /// Cost, in O-notation and words.
    pub complexity: &'static str,
    /// The function that runs it.
    pub handler: Handler,
    /// One sentence.
    pub summary: &'static str,
    /// Rows below this one; then the handler is [`Handler::Container`].
    pub subcommands: &'static [Command],
    /// Hints for clients and proxies, as COMMAND INFO shows them.
    pub tips: &'static [&'static str],
    /// Since when the command should not be used, and what to use.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// ACL categories beyond those that group, flags and keys imply.
    pub categories: Categories,
    /// What the arguments behind the name make of a key's use, where that is [`Uses::VARIABLE`].
    pub access_of: Option<fn(Args<'_>) -> Access>,
    /// Whether the word at a position of a request is a secret, which MONITOR and the slow log must not show.
    pub is_secret: fn(Request<'_>, usize) -> bool,
    /// What a server keeps with the connection that the command came over.
    pub conduct: Conduct,
}

/// What a command does to the state that a server keeps with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Nothing; one reply follows.
    Plain,
    /// Begins a transaction.
    Begins,
    /// Runs or discards the transaction, and forgets the watched keys.
    Ends,
    /// Watches keys.
    Watches,
    /// Forgets the watched keys.
    Unwatches,
    /// Selects a database, which comes into force behind a transaction when it was queued in it.
    Selects,
    /// Changes something else, for as long as the connection lives.
    Adjusts,
    /// Replies with any number of messages.
    Subscribes,
    /// Turns the connection into something that can't be passed on.
    Refused,
}

/// What runs a command, which is also what it may touch.
#[derive(Clone, Copy)]
pub enum Handler {
    /// One key.
    Key(fn(&mut KeyCall<'_>) -> Result),
    /// Several keys, held together.
    Keys(fn(&mut KeysCall<'_>) -> Result),
    /// Several keys, held together. It runs again when one of them has changed, as long as it has nothing to reply.
    Blocking(fn(&mut KeysCall<'_>) -> Result<Attempt>),
    /// The session and the server's services; no entries.
    Session(fn(&mut SessionCall<'_>) -> Result),
    /// The same, and it may wait.
    Waiting(for<'a> fn(SessionCall<'a>) -> Waiting<'a>),
    /// What the session has queued.
    Exec,
    /// Only subcommands.
    Container,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Keys(_) => "Keys",
            Self::Blocking(_) => "Blocking",
            Self::Session(_) => "Session",
            Self::Waiting(_) => "Waiting",
            Self::Exec => "Exec",
            Self::Container => "Container",
        })
    }
}

/// Which arguments of a request are keys: Redis's key specifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Where to begin.
    pub begin: Begin,
    /// What follows there.
    pub find: Find,
    /// What happens to the keys.
    pub access: Access,
    /// Whether COMMAND tells nothing of how they are found (Redis: unknown).
    pub is_secretive: bool,
}

/// Where the keys of a specification begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this position; the command's name is at 0.
    At(usize),
    /// Behind this word, in any case, which is looked for from this position on.
    Behind(&'static str, usize),
    /// Behind the last option of this name.
    Option {
        /// The option, in any case.
        name: &'static str,
        /// Where options begin.
        start: usize,
        /// The other options that have operands, and how many.
        others: &'static [(&'static str, usize)],
    },
}

/// Which arguments are keys, counted from where they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// Every `step`th up to the `last`.
    Range {
        /// How far the last is from the first; counted from the end where negative: -1 is the last argument.
        last: i32,
        /// Distance from one to the next.
        step: usize,
        /// Only so many-th part of them, where it is not 0: with 2 the first half.
        part: usize,
    },
    /// As many as the first argument says, which follow it.
    Counted {
        /// Distance from one to the next.
        step: usize,
    },
}

/// Positions of keys in a request, with what happens to them.
pub type KeyPositions = SmallVec<[(usize, Access); 8]>;

/// What a command does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Who needs to know of it.
    pub mode: Mode,
    /// Redis's finer flags, for COMMAND INFO and ACL key permissions.
    pub uses: Uses,
}

/// How a key's entry is used as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Left as it is.
    Read,
    /// Changed; what it becomes depends on what it was.
    Update,
    /// Replaced; what it was does not matter.
    Overwrite,
    /// Removed.
    Remove,
}

/// A set of uses of a key's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses(pub u8);

impl Uses {
    /// The value is returned, copied, or decides what happens.
    pub const ACCESS: u8 = 1;
    /// The value is changed.
    pub const UPDATE: u8 = 2;
    /// Something is added, nothing is changed or lost.
    pub const INSERT: u8 = 4;
    /// Something is taken away.
    pub const DELETE: u8 = 8;
    /// Options decide between these uses and fewer.
    pub const VARIABLE: u8 = 16;

    /// Whether all of `uses` are among these.
    pub const fn contains(self, uses: u8) -> bool {
        self.0 & uses == uses
    }
}

const fn access(mode: Mode, uses: u8) -> Access {
    Access {
        mode,
        uses: Uses(uses),
    }
}

/// Reads the value.
pub const READ: Access = access(Mode::Read, Uses::ACCESS);
/// Reads the value and may note in it what was found out.
pub const EXAMINE: Access = access(Mode::Update, Uses::ACCESS);
/// Reads what is known about the value, not the value.
pub const LOOK: Access = access(Mode::Read, 0);
/// Reads the value and changes it.
pub const UPDATE: Access = access(Mode::Update, Uses::ACCESS | Uses::UPDATE);
/// The same, or only reads, as options say.
pub const UPDATE_VARIABLE: Access = access(Mode::Update, Uses::ACCESS | Uses::UPDATE | Uses::VARIABLE);
/// Changes the value without telling anything of it.
pub const EDIT: Access = access(Mode::Update, Uses::UPDATE);
/// Adds to the value.
pub const EXTEND: Access = access(Mode::Update, Uses::INSERT);
/// Reads the value and adds to it.
pub const GATHER: Access = access(Mode::Update, Uses::ACCESS | Uses::INSERT);
/// Reads the value and removes the key.
pub const TAKE: Access = access(Mode::Update, Uses::ACCESS | Uses::DELETE);
/// Takes something away from the value.
pub const REDUCE: Access = access(Mode::Update, Uses::DELETE);
/// Stores a value whatever was there.
pub const OVERWRITE: Access = access(Mode::Overwrite, Uses::UPDATE);
/// Stores a value where there was none.
pub const CREATE: Access = access(Mode::Overwrite, Uses::INSERT);
/// Removes the key.
pub const REMOVE: Access = access(Mode::Remove, Uses::DELETE);
/// The same, or first reads the value, as options say.
pub const REMOVE_VARIABLE: Access = access(Mode::Update, Uses::DELETE | Uses::VARIABLE);

/// The argument at `position` is a key.
pub const fn key_at(position: usize, access: Access) -> Keys {
    range(Begin::At(position), 0, 1, 0, access)
}

/// All arguments from `first` on are keys.
pub const fn keys_from(first: usize, access: Access) -> Keys {
    keys_until(first, -1, access)
}

/// All arguments from `first` to `last` are keys; `last` is counted from the end where negative.
pub const fn keys_until(first: usize, last: i32, access: Access) -> Keys {
    let last = if last < 0 { last } else { last - first as i32 };
    range(Begin::At(first), last, 1, 0, access)
}

/// Every second argument from `first` on is a key.
pub const fn keys_and_values_from(first: usize, access: Access) -> Keys {
    range(Begin::At(first), -1, 2, 0, access)
}

/// The argument at `position` is a number; so many keys follow it.
pub const fn keys_counted_at(position: usize, access: Access) -> Keys {
    counted(position, 1, access)
}

/// The argument at `position` is a number; so many keys follow it, each with a value behind it.
pub const fn keys_and_values_counted_at(position: usize, access: Access) -> Keys {
    counted(position, 2, access)
}

const fn counted(position: usize, step: usize, access: Access) -> Keys {
    Keys {
        begin: Begin::At(position),
        find: Find::Counted { step },
        access,
        is_secretive: false,
    }
}

/// The first half of the arguments behind `word`, which stands at `start` or later, are keys.
pub const fn keys_behind_word(word: &'static str, start: usize, access: Access) -> Keys {
    range(Begin::Behind(word, start), -1, 1, 2, access)
}

/// The argument behind `word`, which may stand at `start` or later, is a key.
pub const fn key_behind_word(word: &'static str, start: usize, access: Access) -> Keys {
    range(Begin::Behind(word, start), 0, 1, 0, access)
}

/// The operand of the option `name` is a key; of several the last one. Options begin at `start`, and `others` are those
/// that have operands, with their numbers. COMMAND tells nothing of such a key.
pub const fn key_of_option(
    name: &'static str,
    start: usize,
    others: &'static [(&'static str, usize)],
    access: Access,
) -> Keys {
    range(Begin::Option { name, start, others }, 0, 1, 0, access).secretive()
}

const fn range(begin: Begin, last: i32, step: usize, part: usize, access: Access) -> Keys {
    Keys {
        begin,
        find: Find::Range { last, step, part },
        access,
        is_secretive: false,
    }
}

impl Keys {
    /// The same, but COMMAND does not tell how the keys are found.
    #[must_use]
    pub const fn secretive(self) -> Self {
        Self {
            is_secretive: true,
            ..self
        }
    }

    /// Whether the keys stand at places that follow from the number of arguments.
    pub const fn is_fixed(&self) -> bool {
        matches!((self.begin, self.find), (Begin::At(_), Find::Range { .. })) && !self.is_secretive
    }

    /// Adds the positions of these keys in a request of `len` words. Arguments that make no sense have no keys.
    fn find_in<'w>(&self, len: usize, word: &impl Fn(usize) -> &'w [u8], found: &mut KeyPositions) {
        let Some(first) = self.begin.find_in(len, word).filter(|first| *first < len) else {
            return;
        };
        let access = self.access;
        match self.find {
            Find::Range { last, step, part } => {
                let last = if last < 0 {
                    len as i64 + i64::from(last)
                } else {
                    first as i64 + i64::from(last)
                };
                let count = (last.clamp(-1, len as i64 - 1) + 1 - first as i64).max(0) as usize;
                let end = first + count / part.max(1);
                found.extend((first..end).step_by(step).map(|at| (at, access)));
            }
            Find::Counted { step } => {
                let count = parse_i64(word(first)).and_then(|count| usize::try_from(count).ok());
                let words = count.and_then(|count| count.checked_mul(step));
                let words = words.filter(|words| *words < len - first).unwrap_or(0);
                found.extend((first + 1..=first + words).step_by(step).map(|at| (at, access)));
            }
        }
    }
}

impl Begin {
    /// The position in a request of `len` words, which may be behind its end.
    fn find_in<'w>(self, len: usize, word: &impl Fn(usize) -> &'w [u8]) -> Option<usize> {
        let is = |at: usize, name: &str| word(at).eq_ignore_ascii_case(name.as_bytes());
        match self {
            Self::At(position) => Some(position),
            Self::Behind(name, start) => (start..len).find(|at| is(*at, name)).map(|at| at + 1),
            Self::Option { name, start, others } => {
                let mut last = None;
                let mut at = start;
                while at < len {
                    let operands = others.iter().find(|(other, _)| is(at, other));
                    if is(at, name) && at + 1 < len {
                        last = Some(at + 1);
                        at += 1;
                    }
                    at += 1 + operands.map_or(0, |(_, operands)| *operands);
                }
                last
            }
        }
    }
}

/// Properties of a command, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u32);

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl Flags {
    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

/// No property.
pub const NONE: Flags = Flags(0);
/// May change data.
pub const WRITE: Flags = Flags(1);
/// Only reads data.
pub const READONLY: Flags = Flags(1 << 1);
/// May need more memory; refused when there is none (Redis: denyoom).
pub const GROWS: Flags = Flags(1 << 2);
/// For operators.
pub const ADMIN: Flags = Flags(1 << 3);
/// Publishes or subscribes.
pub const PUBSUB: Flags = Flags(1 << 4);
/// Not from a script.
pub const NOSCRIPT: Flags = Flags(1 << 5);
/// May wait for something to happen.
pub const BLOCKING: Flags = Flags(1 << 6);
/// Allowed while data is loaded.
pub const LOADING: Flags = Flags(1 << 7);
/// Allowed on a replica that lost its primary.
pub const STALE: Flags = Flags(1 << 8);
/// Not shown to MONITOR.
pub const SKIP_MONITOR: Flags = Flags(1 << 9);
/// Not in the slow log.
pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
/// Constant or logarithmic time.
pub const FAST: Flags = Flags(1 << 11);
/// Needs no login.
pub const NO_AUTH: Flags = Flags(1 << 12);
/// Allowed while a script runs too long.
pub const ALLOW_BUSY: Flags = Flags(1 << 13);
/// Not inside MULTI.
pub const NO_MULTI: Flags = Flags(1 << 14);
/// Names no key of its own but concerns all of them: with an upstream, the upstream answers.
pub const KEYSPACE: Flags = Flags(1 << 15);
/// Tells of a key what only its owner knows: its encoding and idle time, a place in a scan, the state of a stream's
/// groups, of whose changes the feed does not tell. With an upstream, the upstream answers.
pub const OWNER: Flags = Flags(1 << 16);
/// Pairs that RESP3 has as arrays stand in a row in RESP2.
pub const FLAT_PAIRS: Flags = Flags(1 << 25);
/// Asked for more than a key, it has null arrays in RESP2.
pub const NULL_ARRAYS: Flags = Flags(1 << 26);
/// Runs although CLIENT PAUSE holds all commands back.
pub const PASSES_PAUSE: Flags = Flags(1 << 17);
/// For those who work on the server, not for applications (Redis: documented as syscmd).
pub const INTERNAL: Flags = Flags(1 << 18);

/// Has state upstream: with an upstream, the session's own connection to it runs the command.
pub const RELAYED: Flags = Flags(1 << 19);
/// What it leaves in its keys depends on nothing but the request, unless that has options that say otherwise: see
/// [`Command::is_blind`].
pub const BLIND: Flags = Flags(1 << 28);
/// May reach into another database than the selected one.
pub const OTHER_DATABASE: Flags = Flags(1 << 29);
/// Reaches others though it changes no key: a pause of writes holds it back, too (Redis: `may_replicate`).
pub const MAY_REPLICATE: Flags = Flags(1 << 27);
/// Runs at once also where a transaction queues requests.
pub const IMMEDIATE: Flags = Flags(1 << 21);
/// Sees its key go: when it waits for a key, it runs again also when the key was removed.
pub const SEES_REMOVAL: Flags = Flags(1 << 20);
/// Allowed while RESP2 delivers messages: changes or ends the client's subscriptions.
pub const WHILE_SUBSCRIBED: Flags = Flags(1 << 24);

/// The flags that Redis shows for a command, with their names.
pub const SHOWN_FLAGS: &[(Flags, &str)] = &[
    (WRITE, "write"),
    (READONLY, "readonly"),
    (GROWS, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (ALLOW_BUSY, "allow_busy"),
    (NO_MULTI, "no_multi"),
];

/// ACL categories, as bits; see [`CATEGORY_NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Categories(pub u32);

/// Names of the ACL categories: bit `i` of [`Categories`] is the `i`th.
pub const CATEGORY_NAMES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

impl Categories {
    /// The category called `name`, which is one of [`CATEGORY_NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        CATEGORY_NAMES
            .iter()
            .position(|category| *category == name)
            .map(|bit| Self(1 << bit))
    }

    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        CATEGORY_NAMES
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| *name)
    }
}

/// No category beyond what follows from group, flags and keys.
pub const NO_CATEGORY: Categories = Categories(0);
/// `@keyspace`
pub const KEYSPACE_CATEGORY: Categories = Categories(1);
/// `@read`
pub const READ_CATEGORY: Categories = Categories(1 << 1);
/// `@write`
pub const WRITE_CATEGORY: Categories = Categories(1 << 2);
/// `@set`
pub const SET_CATEGORY: Categories = Categories(1 << 3);
/// `@sortedset`
pub const SORTED_SET_CATEGORY: Categories = Categories(1 << 4);
/// `@list`
pub const LIST_CATEGORY: Categories = Categories(1 << 5);
/// `@set`, `@sortedset`, `@list`, `@hash`, `@geo` and `@stream`: what works on structures, not on texts.
pub const STRUCTURE_CATEGORIES: Categories = Categories(0b1100_0111_1000);
/// `@pubsub`
pub const PUBSUB_CATEGORY: Categories = Categories(1 << 12);
/// `@admin`
pub const ADMIN_CATEGORY: Categories = Categories(1 << 13);
/// `@fast`
pub const FAST_CATEGORY: Categories = Categories(1 << 14);
/// `@slow`
pub const SLOW_CATEGORY: Categories = Categories(1 << 15);
/// `@blocking`
pub const BLOCKING_CATEGORY: Categories = Categories(1 << 16);
/// `@dangerous`
pub const DANGEROUS_CATEGORY: Categories = Categories(1 << 17);
/// `@connection`
pub const CONNECTION_CATEGORY: Categories = Categories(1 << 18);

/// The group that a command is documented under, and the ACL category that the group implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The name that COMMAND DOCS shows.
    pub name: &'static str,
    /// The category of its commands.
    pub category: Categories,
}

impl Command {
    /// A row without keys.
    #[expect(clippy::too_many_arguments, reason = "a row of the table is read as one line")]
    pub const fn new(
        name: &'static str,
        arity: i32,
        arguments: &'static str,
        keys: &'static [Keys],
        flags: Flags,
        since: &'static str,
        complexity: &'static str,
        handler: Handler,
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            arity,
            arguments,
            keys,
            shard_channels: &[],
            flags,
            since,
            complexity,
            handler,
            summary,
            subcommands: &[],
            tips: &[],
            deprecated: None,
            categories: NO_CATEGORY,
            access_of: None,
            is_secret: |_, _| false,
            conduct: Conduct::Plain,
        }
    }

    /// A row without keys whose handler works on the session.
    #[expect(clippy::too_many_arguments, reason = "a row of the table is read as one line")]
    pub const fn on_session(
        name: &'static str,
        arity: i32,
        arguments: &'static str,
        flags: Flags,
        since: &'static str,
        complexity: &'static str,
        handler: fn(&mut SessionCall<'_>) -> Result,
        summary: &'static str,
    ) -> Self {
        let handler = Handler::Session(handler);
        Self::new(
            name,
            arity,
            arguments,
            &[],
            flags,
            since,
            complexity,
            handler,
            summary,
        )
    }

    /// A row that has only subcommands.
    pub const fn container(
        name: &'static str,
        since: &'static str,
        summary: &'static str,
        subcommands: &'static [Command],
    ) -> Self {
        let depends = "Depends on subcommand.";
        let row = Self::new(
            name,
            -2,
            "",
            &[],
            NONE,
            since,
            depends,
            Handler::Container,
            summary,
        );
        Self { subcommands, ..row }
    }

    /// The row with these hints for clients and proxies.
    #[must_use]
    pub const fn tips(self, tips: &'static [&'static str]) -> Self {
        Self { tips, ..self }
    }

    /// The row marked as deprecated.
    #[must_use]
    pub const fn deprecated(self, since: &'static str, instead: &'static str) -> Self {
        Self {
            deprecated: Some((since, instead)),
            ..self
        }
    }

    /// The row with ACL categories that do not follow from the rest of it.
    #[must_use]
    pub const fn in_categories(self, categories: Categories) -> Self {
        Self { categories, ..self }
    }

    /// The row with a key whose use depends on the options; see [`Command::access_of`].
    #[must_use]
    pub const fn accessing(self, access_of: fn(Args<'_>) -> Access) -> Self {
        Self {
            access_of: Some(access_of),
            ..self
        }
    }

    /// The row with shard channels among its arguments; what their access says does not matter.
    #[must_use]
    pub const fn shard_channels(self, shard_channels: &'static [Keys]) -> Self {
        Self {
            shard_channels,
            ..self
        }
    }

    /// The row with secrets among its arguments; see [`Command::is_secret`].
    #[must_use]
    pub const fn hiding(self, is_secret: fn(Request<'_>, usize) -> bool) -> Self {
        Self { is_secret, ..self }
    }

    /// The row of a command that changes what a server keeps with the connection.
    #[must_use]
    pub const fn conduct(self, conduct: Conduct) -> Self {
        Self { conduct, ..self }
    }

    /// Whether a request of `words` words has as many as it needs.
    #[inline]
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity < 0 {
            words >= self.arity.unsigned_abs() as usize
        } else {
            words == self.arity as usize
        }
    }

    /// The position of the key of a command with one key, which stands at a fixed place.
    #[inline]
    pub fn first_key(&self) -> usize {
        match self.keys {
            [
                Keys {
                    begin: Begin::At(position),
                    ..
                },
                ..,
            ] => *position,
            _ => unreachable!("a handler of one key has it at a fixed place"),
        }
    }

    /// Whether any of its keys is changed.
    pub fn writes_keys(&self) -> bool {
        self.keys.iter().any(|keys| keys.access.mode != Mode::Read)
    }

    /// Whether what `request` leaves in its keys follows from it alone, whatever they held: then nobody has to know that
    /// before. Its reply is `OK`.
    pub fn is_blind(&self, request: Request<'_>) -> bool {
        /// Words that make the outcome, or the reply, depend on what was there.
        const CONDITIONS: [&[u8]; 8] = [
            b"NX", b"XX", b"GET", b"KEEPTTL", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE",
        ];
        /// Words in front of the first option.
        const FIRST_OPTION: usize = 3;
        let is_condition = |word: &[u8]| {
            CONDITIONS
                .iter()
                .any(|condition| word.eq_ignore_ascii_case(condition))
        };
        self.flags.contains(BLIND) && !request.iter().skip(FIRST_OPTION).any(is_condition)
    }

    /// The positions of all keys of a request, with what happens to them.
    pub fn key_positions(&self, request: Request<'_>) -> KeyPositions {
        self.key_positions_in(request.len(), |at| request.arg(at))
    }

    /// The same for a request of `len` words, of which `word` gives each.
    pub fn key_positions_in<'w>(&self, len: usize, word: impl Fn(usize) -> &'w [u8]) -> KeyPositions {
        let mut found = KeyPositions::new();
        for keys in self.keys {
            keys.find_in(len, &word, &mut found);
        }
        found
    }
}
