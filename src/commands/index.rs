//! Finding a command's row by the name that a client sent.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::GROUPS;
use super::error::Error;
use super::spec::{
    ADMIN, ADMIN_CATEGORY, BLOCKING, BLOCKING_CATEGORY, Categories, Command, DANGEROUS_CATEGORY, FAST,
    FAST_CATEGORY, Group, Handler, NO_CATEGORY, PUBSUB, PUBSUB_CATEGORY, READ_CATEGORY, READONLY, Result,
    SLOW_CATEGORY, WRITE, WRITE_CATEGORY,
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
}

impl Entry {
    /// All ACL categories: what the row declares, and what follows from its group, flags and speed. A container
    /// does nothing itself, so its group implies nothing.
    pub fn categories(&self) -> Categories {
        let flags = self.command.flags;
        let is_container = matches!(self.command.handler, Handler::Container);
        let of_group = if is_container {
            NO_CATEGORY
        } else {
            self.group.category
        };
        let of_speed = if flags.contains(FAST) {
            FAST_CATEGORY
        } else {
            SLOW_CATEGORY
        };
        let implied = [
            (WRITE, WRITE_CATEGORY),
            (READONLY, READ_CATEGORY),
            (ADMIN, ADMIN_CATEGORY.or(DANGEROUS_CATEGORY)),
            (BLOCKING, BLOCKING_CATEGORY),
            (PUBSUB, PUBSUB_CATEGORY),
        ];
        let of_flags = implied.into_iter().filter(|(flag, _)| flags.contains(*flag));
        let declared = self.command.categories.or(of_group).or(of_speed);
        of_flags.fold(declared, |all, (_, category)| all.or(category))
    }

    /// Whether it has rows below it.
    #[inline]
    pub fn has_subcommands(&self) -> bool {
        !self.command.subcommands.is_empty()
    }

    /// The rows below it.
    pub fn subcommands(&self) -> impl Iterator<Item = &'static Self> + use<> {
        let start = self.id + 1;
        all()[start..start + self.command.subcommands.len()].iter()
    }

    /// Whether this is its name, in any case; of a subcommand, without its container.
    fn is_called(&self, name: &[u8]) -> bool {
        self.command.name.as_bytes().eq_ignore_ascii_case(name)
    }
}

/// Slots of the hash table; a power of two, at least twice the number of commands.
const SLOTS: usize = 512;
/// How much of unknown names and arguments Redis quotes.
const QUOTED_BYTES_MAX: usize = 128;

struct Index {
    entries: Vec<Entry>,
    /// The top-level entries by hash of their name, `SLOTS` of them; linear probing.
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy)]
struct Slot {
    name: FoldedName,
    /// Where the row is in `entries`.
    id: u32,
}

static INDEX: LazyLock<Index> = LazyLock::new(Index::build);

/// All rows: containers right before their subcommands.
pub fn all() -> &'static [Entry] {
    &INDEX.entries
}

/// The rows that are no subcommands.
pub fn top_level() -> impl Iterator<Item = &'static Entry> {
    all().iter().filter(|entry| entry.name_words == 1)
}

/// The top-level row called `name`, in any case. O(1).
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    let index = &*INDEX;
    let sought = FoldedName::of(name);
    let mut at = sought.slot();
    while let Some(slot) = &index.slots[at] {
        if slot.name == sought {
            let entry = &index.entries[slot.id as usize];
            if sought.is_whole() || entry.is_called(name) {
                return Some(entry);
            }
        }
        at = (at + 1) % SLOTS;
    }
    None
}

/// The row that a request runs which begins with these words: a subcommand's, if the first word names a row that
/// has some and there is a second word.
#[inline]
pub fn find_words(first: &[u8], second: Option<&[u8]>) -> Option<&'static Entry> {
    let entry = find(first)?;
    match second {
        Some(name) if entry.has_subcommands() => find_subcommand(entry, name),
        _ => Some(entry),
    }
}

/// The row with this full name, in any case: `get`, or `config|get`.
pub fn find_full_name(name: &[u8]) -> Option<&'static Entry> {
    match memchr::memchr(b'|', name) {
        Some(bar) => find_subcommand(find(&name[..bar])?, &name[bar + 1..]),
        None => find(name),
    }
}

/// The row that runs `request`. Fails when there is none.
#[inline]
pub fn resolve(request: Request<'_>) -> Result<&'static Entry> {
    let second = (request.len() > 1).then(|| request.arg(1));
    find_words(request.name(), second).ok_or_else(|| unknown(request))
}

#[cold]
fn unknown(request: Request<'_>) -> Error {
    match find(request.name()) {
        Some(container) => Error::UnknownSubcommand {
            subcommand: lossy(request.arg(1), QUOTED_BYTES_MAX).into(),
            container: container.command.name,
        },
        None => unknown_command(request),
    }
}

fn find_subcommand(container: &Entry, name: &[u8]) -> Option<&'static Entry> {
    container.subcommands().find(|entry| entry.is_called(name))
}

/// Redis quotes the name, and arguments as long as what it quoted is short.
fn unknown_command(request: Request<'_>) -> Error {
    let mut arguments = String::new();
    for argument in request.iter().skip(1) {
        if arguments.len() >= QUOTED_BYTES_MAX {
            break;
        }
        let room = QUOTED_BYTES_MAX - arguments.len();
        write!(arguments, "'{}' ", lossy(argument, room)).expect("a String takes everything");
    }
    Error::UnknownCommand {
        name: lossy(request.name(), QUOTED_BYTES_MAX).into(),
        arguments: arguments.into(),
    }
}

/// At most `max` bytes as text, up to a zero byte, where Redis's texts end.
fn lossy(bytes: &[u8], max: usize) -> String {
    let text = bytes[..bytes.len().min(max)]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

impl Index {
    fn build() -> Self {
        let mut index = Self {
            entries: Vec::new(),
            slots: vec![None; SLOTS],
        };
        for (group, commands) in GROUPS {
            for command in *commands {
                index.add(*group, command);
            }
        }
        assert!(
            index.slots.iter().flatten().count() <= SLOTS / 2,
            "the index is sparse"
        );
        index
    }

    fn add(&mut self, group: Group, command: &'static Command) {
        let container = command.name.to_lowercase();
        let name = FoldedName::of(command.name.as_bytes());
        let mut at = name.slot();
        while self.slots[at].is_some() {
            at = (at + 1) % SLOTS;
        }
        self.slots[at] = Some(Slot {
            name,
            id: self.entries.len() as u32,
        });
        self.push(group, command, container.clone(), 1);
        for subcommand in command.subcommands {
            let full_name = format!("{container}|{}", subcommand.name.to_lowercase());
            self.push(group, subcommand, full_name, 2);
        }
    }

    fn push(&mut self, group: Group, command: &'static Command, full_name: String, name_words: usize) {
        let id = self.entries.len();
        self.entries.push(Entry {
            command,
            group,
            id,
            full_name: full_name.into(),
            name_words,
        });
    }
}

/// A name as integers, in capital letters: hashed and compared without a loop over its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FoldedName {
    /// Its first bytes.
    head: u64,
    /// Its last bytes, which overlap with the first of a short name.
    tail: u64,
    len: u32,
}

impl FoldedName {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (head, tail) = match name.len() {
            8.. => ends(name, u64::from_le_bytes),
            4.. => ends(name, |bytes| u32::from_le_bytes(bytes).into()),
            2.. => ends(name, |bytes| u16::from_le_bytes(bytes).into()),
            _ => ends(name, |[byte]| byte.into()),
        };
        Self {
            head: capitals(head),
            tail: capitals(tail),
            len: name.len() as u32,
        }
    }

    /// Whether equal names of this length have no bytes in which they may differ.
    #[inline]
    fn is_whole(self) -> bool {
        self.len <= 16
    }

    /// Where to look for the name first: the top bits of a product depend on all bits of its factors.
    #[inline]
    fn slot(self) -> usize {
        // Odd numbers without a pattern: the golden ratio, and one from the finalizer of `MurmurHash3`.
        let mixed = self.head.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.tail;
        (mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> (u64::BITS - SLOTS.ilog2())) as usize
    }
}

/// The first and the last `N` bytes as integers; zeros if there are not so many.
#[inline]
fn ends<const N: usize>(bytes: &[u8], integer: impl Fn([u8; N]) -> u64) -> (u64, u64) {
    let first = bytes.first_chunk().map_or(0, |chunk| integer(*chunk));
    let last = bytes.last_chunk().map_or(0, |chunk| integer(*chunk));
    (first, last)
}

/// Each byte of `word` that is a small ASCII letter as the capital one, all eight at once.
#[inline]
fn capitals(word: u64) -> u64 {
    const EACH_BYTE: u64 = u64::from_le_bytes([1; 8]);
    const TOP_BITS: u64 = EACH_BYTE << 7;
    let low_bits = word & !TOP_BITS;
    // A sum of two seven-bit numbers has its top bit set from 128 on, and stays within its byte.
    let from_a = low_bits + EACH_BYTE * u64::from(0x80 - b'a');
    let behind_z = low_bits + EACH_BYTE * u64::from(0x80 - (b'z' + 1));
    let is_small = from_a & !behind_z & !word & TOP_BITS;
    word ^ (is_small >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::spec::{Begin, Find};
    use crate::commands::syntax::{self, Argument, Kind};

    #[test]
    fn letters_become_capitals_and_nothing_else_does() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = *b"aZ[\x80{@09";
                bytes[place] = byte;
                let expected = bytes.map(|byte| byte.to_ascii_uppercase());
                assert_eq!(capitals(u64::from_le_bytes(bytes)).to_le_bytes(), expected);
            }
        }
    }

    #[test]
    fn names_are_unique_and_ids_dense() {
        let mut names = std::collections::HashSet::new();
        for (position, entry) in all().iter().enumerate() {
            assert_eq!(entry.id, position);
            assert!(
                names.insert(&entry.full_name),
                "{} is there twice",
                entry.full_name
            );
        }
    }

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        for entry in all() {
            let shout = entry.full_name.to_uppercase();
            for name in [&*entry.full_name, &*shout] {
                assert_eq!(
                    find_full_name(name.as_bytes()).map(|found| found.id),
                    Some(entry.id),
                    "{name}"
                );
                let mut words = name.split('|').map(str::as_bytes);
                let found = find_words(words.next().unwrap(), words.next());
                assert_eq!(found.map(|found| found.id), Some(entry.id), "{name}");
            }
        }
    }

    #[test]
    fn names_like_those_of_rows_are_not_found() {
        for name in [
            "",
            "g",
            "gett",
            "ge\u{4}",
            "get|key",
            "config|",
            "|get",
            "config|get|x",
            "a name of no row at all",
        ] {
            assert!(find_full_name(name.as_bytes()).is_none(), "{name:?}");
        }
    }

    #[test]
    fn every_container_has_help() {
        for entry in all().iter().filter(|entry| entry.has_subcommands()) {
            assert!(
                find_subcommand(entry, b"help").is_some(),
                "{} HELP",
                entry.full_name
            );
        }
    }

    /// Their arguments, as Redis 7.0 documents them, say less than their arity.
    const UNDERSTATED: [&str; 4] = [
        "client|kill",
        "command|getkeys",
        "command|getkeysandflags",
        "debug",
    ];

    /// Theirs say more.
    const OVERSTATED: [&str; 3] = ["geohash", "geopos", "pfmerge"];

    #[test]
    fn arity_agrees_with_the_arguments() {
        for entry in all()
            .iter()
            .filter(|entry| !matches!(entry.command.handler, Handler::Container))
        {
            let arguments = syntax::parse(entry.command.arguments).expect(&entry.full_name);
            let stated_min = entry.name_words + arguments.iter().map(words_min).sum::<usize>();
            let is_understated = UNDERSTATED.contains(&&*entry.full_name);
            let is_overstated = OVERSTATED.contains(&&*entry.full_name);
            let needed = entry.command.arity.unsigned_abs() as usize;
            assert_eq!(stated_min < needed, is_understated, "{}", entry.full_name);
            assert_eq!(stated_min > needed, is_overstated, "{}", entry.full_name);
            let is_fixed = !arguments
                .iter()
                .any(|argument| argument.optional || argument.multiple);
            assert!(is_fixed || entry.command.arity < 0, "{}", entry.full_name);
        }
    }

    /// The fewest words that an argument takes.
    fn words_min(argument: &Argument) -> usize {
        let members = argument.arguments.iter().map(words_min);
        let operand = match argument.kind {
            _ if argument.optional => return 0,
            Kind::PureToken => return 1,
            Kind::OneOf => members.min().unwrap_or_default(),
            Kind::Block => members.sum(),
            _ => 1,
        };
        operand + usize::from(argument.token.is_some())
    }

    /// COMMAND INFO shows them as one range besides.
    #[test]
    fn keys_follow_one_another() {
        for entry in all() {
            let fixed: Vec<_> = entry.command.keys.iter().filter(|keys| keys.is_fixed()).collect();
            for pair in fixed.windows(2) {
                let (Begin::At(first), Find::Range { last, .. }) = (pair[0].begin, pair[0].find) else {
                    continue;
                };
                let behind = Begin::At(first + last.unsigned_abs() as usize + 1);
                assert!(last >= 0 && pair[1].begin == behind, "{}", entry.full_name);
            }
        }
    }
}
