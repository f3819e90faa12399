//! Finding a command's row by the name that a client sent.

use std::sync::LazyLock;

use super::GROUPS;
use super::error::Error;
use super::spec::{
    ADMIN, ADMIN_CATEGORY, BLOCKING, BLOCKING_CATEGORY, Categories, Command, DANGEROUS_CATEGORY, FAST,
    FAST_CATEGORY, Group, Handler, KEYSPACE_CATEGORY, READ_CATEGORY, READONLY, Result, SLOW_CATEGORY, WRITE,
    WRITE_CATEGORY,
};
use crate::resp::decode::Request;

/// A row with what follows from its place in the table.
#[derive(Debug)]
pub struct Entry {
    /// The row.
    pub command: &'static Command,
    /// Its group.
    pub group: Group,
    /// A dense number, for per-command counters.
    pub id: usize,
    /// The name in lower case, `container|name` for a subcommand.
    pub full_name: Box<str>,
    /// How many words of a request name it: 1, or 2 for a subcommand.
    pub name_words: usize,
    /// Indices of the rows below it in [`all`].
    pub subcommands: Vec<usize>,
}

impl Entry {
    /// All ACL categories.
    pub fn categories(&self) -> Categories {
        let flags = self.command.flags;
        let mut categories = self.command.categories.or(self.group.category);
        let implied = [
            (WRITE, WRITE_CATEGORY),
            (READONLY, READ_CATEGORY),
            (ADMIN, ADMIN_CATEGORY.or(DANGEROUS_CATEGORY)),
            (BLOCKING, BLOCKING_CATEGORY),
        ];
        for (flag, category) in implied {
            if flags.intersects(flag) {
                categories = categories.or(category);
            }
        }
        if self.group.category == KEYSPACE_CATEGORY && matches!(self.command.handler, Handler::Container) {
            categories = self.command.categories;
        }
        categories.or(if flags.contains(FAST) { FAST_CATEGORY } else { SLOW_CATEGORY })
    }
}

/// Longest command name, containers and subcommands each.
const NAME_BYTES_MAX: usize = 24;
const SLOTS: usize = 1024;

struct Index {
    entries: Vec<Entry>,
    /// Positions of top-level entries by hash of their name, 1-based; linear probing.
    slots: [u16; SLOTS],
}

static INDEX: LazyLock<Index> = LazyLock::new(Index::build);

/// All rows: containers before their subcommands.
pub fn all() -> &'static [Entry] {
    &INDEX.entries
}

/// The top-level row called `name`, in any case. O(1).
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    let index = &*INDEX;
    let mut slot = hash(name);
    loop {
        let position = index.slots[slot];
        if position == 0 {
            return None;
        }
        let entry = &index.entries[usize::from(position) - 1];
        if entry.command.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(entry);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The row below `container` called `name`, in any case.
pub fn find_subcommand(container: &Entry, name: &[u8]) -> Option<&'static Entry> {
    let subcommands = container.subcommands.iter().map(|&position| &all()[position]);
    subcommands.into_iter().find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The row that runs `request`. Fails when there is none.
#[inline]
pub fn resolve(request: Request<'_>) -> Result<&'static Entry> {
    let entry = find(request.name()).ok_or_else(|| unknown(request))?;
    if !matches!(entry.command.handler, Handler::Container) || request.len() < 2 {
        return Ok(entry);
    }
    find_subcommand(entry, request.arg(1)).ok_or_else(|| Error::UnknownSubcommand {
        subcommand: lossy(request.arg(1), 128).into(),
        container: entry.command.name,
    })
}

/// Redis quotes the name, and arguments as long as what it quoted is below 128 bytes.
fn unknown(request: Request<'_>) -> Error {
    const QUOTED_MAX: usize = 128;
    let mut arguments = String::new();
    for argument in request.iter().skip(1) {
        if arguments.len() >= QUOTED_MAX {
            break;
        }
        let room = QUOTED_MAX - arguments.len();
        arguments.push_str(&format!("'{}' ", lossy(argument, room)));
    }
    Error::UnknownCommand { name: lossy(request.name(), QUOTED_MAX).into(), arguments: arguments.into() }
}

fn lossy(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
}

/// FNV-1a over the letters, in any case.
#[inline]
fn hash(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5_u32;
    for &byte in name.iter().take(NAME_BYTES_MAX) {
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    }
    (hash ^ (hash >> 16)) as usize % SLOTS
}

impl Index {
    fn build() -> Self {
        let mut index = Self { entries: Vec::new(), slots: [0; SLOTS] };
        for (group, commands) in GROUPS {
            for command in *commands {
                index.add(*group, command);
            }
        }
        assert!(index.entries.len() < SLOTS / 2, "the index is sparse");
        index
    }

    fn add(&mut self, group: Group, command: &'static Command) {
        let position = self.push(group, command, command.name.to_lowercase(), 1);
        for subcommand in command.subcommands {
            let full_name = format!("{}|{}", command.name.to_lowercase(), subcommand.name.to_lowercase());
            let below = self.push(group, subcommand, full_name, 2);
            self.entries[position].subcommands.push(below);
        }
        let mut slot = hash(command.name.as_bytes());
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = position as u16 + 1;
    }

    fn push(&mut self, group: Group, command: &'static Command, full_name: String, name_words: usize) -> usize {
        let id = self.entries.len();
        let full_name = full_name.into_boxed_str();
        self.entries.push(Entry { command, group, id, full_name, name_words, subcommands: Vec::new() });
        id
    }
}
