//! A set: different byte strings without an order.
//!
//! | representation | Redis's name | while |
//! |---|---|---|
//! | [`IntSet`] | `intset` | all members are integers and there are not too many |
//! | [`Packed`] | `listpack` | there are few members and none is long |
//! | [`Table`] | `hashtable` | otherwise |
//!
//! It changes downward in this table only, at the moments at which Redis 7.2 does. (Before 7.2 there was no
//! `listpack`.)

pub mod algebra;
mod intset;
mod picks;

use intset::IntSet;

use super::heap::{Collection, size_class};
use super::packed::{Packed, PackedLimits, Strings};
use super::short_bytes::ShortBytes;
use super::table::Table;
use super::text::{INTEGER_BYTES_MAX, Text, canonical_integer};

/// Up to where a set keeps its smaller representations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLimits {
    /// Most members where all are integers.
    pub intset_entries_max: usize,
    /// Most members and the longest, otherwise.
    pub packed: PackedLimits,
}

/// Different byte strings. Members that spell integers may be stored and told as such.
#[derive(Debug, Clone)]
pub struct Set(Repr);

#[derive(Debug, Clone)]
enum Repr {
    Ints(IntSet),
    Packed(Packed),
    Table(Box<Table<ShortBytes>>),
}

impl Default for Set {
    fn default() -> Self {
        Self(Repr::Ints(IntSet::default()))
    }
}

impl Set {
    /// A set without members; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Ints(ints) => ints.len(),
            Repr::Packed(packed) => packed.len(),
            Repr::Table(table) => table.len(),
        }
    }

    /// Whether there are none. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `member` is there. O(1), as the smaller representations are bounded.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Repr::Ints(ints) => canonical_integer(member).is_some_and(|value| ints.contains(value)),
            Repr::Packed(packed) => packed.find(member, 0, 1).is_some(),
            Repr::Table(table) => table.find(member).is_some(),
        }
    }

    /// Whether a member of another set is there, too.
    #[inline]
    pub fn contains_text(&self, member: Text<'_>) -> bool {
        match (&self.0, member) {
            (Repr::Ints(ints), Text::Int(value)) => ints.contains(value),
            _ => self.contains(member.as_bytes(&mut [0; INTEGER_BYTES_MAX])),
        }
    }

    /// Adds `member`; tells whether it was not there. O(1) on average, amortized over changes of the representation.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: SetLimits) -> bool {
        match &mut self.0 {
            Repr::Table(table) => table.add(member, || member.into()).is_ok(),
            Repr::Packed(_) => self.add_to_packed(member, limits.packed),
            Repr::Ints(_) => match canonical_integer(member) {
                Some(value) => self.add_integer(value, limits),
                None => self.add_to_ints(member, limits),
            },
        }
    }

    /// Adds a member of another set; tells whether it was not there.
    pub fn add_text(&mut self, member: Text<'_>, limits: SetLimits) -> bool {
        match member {
            Text::Int(value) if matches!(self.0, Repr::Ints(_)) => self.add_integer(value, limits),
            _ => self.add(member.as_bytes(&mut [0; INTEGER_BYTES_MAX]), limits),
        }
    }

    /// Removes `member`; tells whether it was there. O(1).
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Ints(ints) => canonical_integer(member).is_some_and(|value| ints.remove(value)),
            Repr::Packed(packed) => {
                let found = packed.find(member, 0, 1);
                found.is_some_and(|(_, offset)| packed.remove_at(offset, 1) == 1)
            }
            Repr::Table(table) => table.remove(member).is_some(),
        }
    }

    /// Removes a member of another set; tells whether it was there.
    pub fn remove_text(&mut self, member: Text<'_>) -> bool {
        match (&mut self.0, member) {
            (Repr::Ints(ints), Text::Int(value)) => ints.remove(value),
            _ => self.remove(member.as_bytes(&mut [0; INTEGER_BYTES_MAX])),
        }
    }

    /// All members: integers in ascending order, others in no order that means anything.
    pub fn iter(&self) -> Members<'_> {
        let source = match &self.0 {
            Repr::Ints(ints) => Source::Ints(ints),
            Repr::Packed(packed) => Source::Packed(packed.iter()),
            Repr::Table(table) => Source::Table(table),
        };
        Members {
            source,
            at: 0,
            len: self.len(),
        }
    }

    /// Goes on with a scan: visits some `count` members and returns the cursor to go on from. 0 begins a scan and says
    /// that it is over. A member that is there from the begin to the end is visited, perhaps more than once. A set
    /// that is no table is visited at once. O(count).
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Text<'_>)) -> u64 {
        if let Repr::Table(table) = &self.0 {
            return table.scan(cursor, count, |member| visit(Text::Bytes(member)));
        }
        self.iter().for_each(visit);
        0
    }

    fn add_integer(&mut self, value: i64, limits: SetLimits) -> bool {
        let Repr::Ints(ints) = &mut self.0 else {
            unreachable!("only sets of integers are given integers");
        };
        let added = ints.add(value);
        if ints.len() > limits.intset_entries_max {
            self.become_table();
        }
        added
    }

    /// Adds the first member that is no integer.
    fn add_to_ints(&mut self, member: &[u8], limits: SetLimits) -> bool {
        let longest = self.iter().map(|member| member.len()).max().unwrap_or(0);
        let packs = self.len() < limits.packed.entries_max && longest <= limits.packed.value_bytes_max;
        if packs && limits.packed.admits(member) {
            self.become_packed();
        } else {
            self.become_table();
        }
        self.add(member, limits)
    }

    fn add_to_packed(&mut self, member: &[u8], limits: PackedLimits) -> bool {
        let Repr::Packed(packed) = &mut self.0 else {
            unreachable!("the caller saw that the set is packed");
        };
        if packed.find(member, 0, 1).is_some() {
            return false;
        }
        if packed.len() < limits.entries_max && limits.admits(member) && packed.has_room_for(member.len()) {
            packed.push(member);
            return true;
        }
        let table = self.become_table();
        table.add(member, || member.into()).is_ok()
    }

    fn become_packed(&mut self) {
        let mut packed = Packed::new();
        for member in self.iter() {
            packed.push(member.as_bytes(&mut [0; INTEGER_BYTES_MAX]));
        }
        self.0 = Repr::Packed(packed);
    }

    fn become_table(&mut self) -> &mut Table<ShortBytes> {
        let mut table = Box::<Table<ShortBytes>>::default();
        for member in self.iter() {
            let mut scratch = [0; INTEGER_BYTES_MAX];
            let member = member.as_bytes(&mut scratch);
            let added = table.add(member, || member.into());
            debug_assert!(added.is_ok(), "a set has no member twice");
        }
        self.0 = Repr::Table(table);
        match &mut self.0 {
            Repr::Table(table) => table,
            _ => unreachable!("it was just made a table"),
        }
    }
}

impl Collection for Set {
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Ints(ints) => ints.heap_bytes(),
            Repr::Packed(packed) => packed.heap_bytes(),
            Repr::Table(table) => size_class(size_of_val(&**table)) + table.heap_bytes(),
        }
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }

    fn elements(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Ints(_) => "intset",
            Repr::Packed(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }
}

/// The members of a [`Set`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    source: Source<'a>,
    at: usize,
    len: usize,
}

#[derive(Debug, Clone)]
enum Source<'a> {
    Ints(&'a IntSet),
    Packed(Strings<'a>),
    Table(&'a Table<ShortBytes>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Text<'a>;

    #[inline]
    fn next(&mut self) -> Option<Text<'a>> {
        if self.at == self.len {
            return None;
        }
        let at = self.at;
        self.at += 1;
        Some(match &mut self.source {
            Source::Ints(ints) => Text::Int(ints.get(at)),
            Source::Packed(strings) => Text::Bytes(strings.next()?),
            Source::Table(table) => Text::Bytes(table.get(at)),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.at, Some(self.len - self.at))
    }
}

impl ExactSizeIterator for Members<'_> {}

impl<'a> IntoIterator for &'a Set {
    type Item = Text<'a>;
    type IntoIter = Members<'a>;

    fn into_iter(self) -> Members<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
