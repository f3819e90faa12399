//! Fields with values, each of which may have a deadline of its own.
//!
//! A small hash is one packed block; beyond the limits that the caller names it becomes a table, and stays one.

mod deadlines;
mod pairs;
mod scan;
mod table;

use super::heap::{Collection, size_class};
use super::packed::{Packed, PackedLimits};
use super::random::Random;
use pairs::Dated;
use table::FieldTable;

pub use scan::Fields;

/// A hash. Methods know no clock: fields whose deadline has passed stand there until [`Hash::purge`] removes them.
#[derive(Debug, Clone, Default)]
pub struct Hash {
    form: Form,
}

/// What a hash is made of, in two words.
#[derive(Debug, Clone)]
enum Form {
    /// Names and values in turn.
    Plain(Packed),
    Boxed(Box<Boxed>),
}

/// The forms that do not fit into two words. Of these the smaller one is the more frequent one.
#[derive(Debug, Clone)]
enum Boxed {
    /// Names, values and deadlines in turn.
    Dated(Dated),
    Table(Box<FieldTable>),
}

/// Any form to look at.
#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Plain(&'a Packed),
    Dated(&'a Dated),
    Table(&'a FieldTable),
}

/// Any form to change.
enum ViewMut<'a> {
    Plain(&'a mut Packed),
    Dated(&'a mut Dated),
    Table(&'a mut FieldTable),
}

impl Form {
    #[inline]
    fn view(&self) -> View<'_> {
        match self {
            Self::Plain(packed) => View::Plain(packed),
            Self::Boxed(boxed) => match &**boxed {
                Boxed::Dated(dated) => View::Dated(dated),
                Boxed::Table(table) => View::Table(table),
            },
        }
    }

    #[inline]
    fn view_mut(&mut self) -> ViewMut<'_> {
        match self {
            Self::Plain(packed) => ViewMut::Plain(packed),
            Self::Boxed(boxed) => match &mut **boxed {
                Boxed::Dated(dated) => ViewMut::Dated(dated),
                Boxed::Table(table) => ViewMut::Table(table),
            },
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Plain(Packed::new())
    }
}

/// A field to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it is called.
    pub name: &'a [u8],
    /// What it holds.
    pub value: &'a [u8],
    /// When it dies, in Unix milliseconds.
    pub deadline_ms: Option<u64>,
}

/// What becomes of the deadline of a field whose value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// It stays.
    Keep,
    /// It goes.
    Clear,
}

impl Hash {
    /// No fields; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many fields there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.view() {
            View::Plain(packed) => packed.len() / pairs::PLAIN,
            View::Dated(dated) => dated.packed.len() / pairs::DATED,
            View::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field. O(1) in a table, O(N) packed.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match self.form.view() {
            View::Plain(packed) => pairs::value(packed, name, pairs::PLAIN),
            View::Dated(dated) => pairs::value(&dated.packed, name, pairs::DATED),
            View::Table(table) => table.find(name).map(|field| field.value),
        }
    }

    /// The field of this name. O(1) in a table, O(N) packed.
    pub fn field(&self, name: &[u8]) -> Option<Field<'_>> {
        match self.form.view() {
            View::Plain(packed) => pairs::field(packed, name, pairs::PLAIN),
            View::Dated(dated) => pairs::field(&dated.packed, name, pairs::DATED),
            View::Table(table) => table.find(name),
        }
    }

    /// Whether there is such a field.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Sets a field without a deadline; tells whether it is new. O(1) in a table, O(N) packed.
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: PackedLimits) -> bool {
        self.put(name, value, Deadline::Clear, limits)
    }

    /// Sets a field; what `deadline` says happens to the deadline that it had. Tells whether the field is new.
    pub fn put(&mut self, name: &[u8], value: &[u8], deadline: Deadline, limits: PackedLimits) -> bool {
        if !self.may_pack(name, value, limits) {
            self.become_table();
        }
        let created = match self.form.view_mut() {
            ViewMut::Plain(packed) => pairs::put(packed, name, value),
            ViewMut::Dated(dated) => dated.put(name, value, deadline),
            ViewMut::Table(table) => return table.put(name, value, deadline),
        };
        if !limits.holds(self.len()) {
            self.become_table();
        }
        created
    }

    /// Removes a field; tells whether it was there. O(1) in a table, O(N) packed.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self.form.view_mut() {
            ViewMut::Plain(packed) => pairs::remove(packed, name),
            ViewMut::Dated(dated) => dated.remove(name),
            ViewMut::Table(table) => table.remove(name),
        }
    }

    /// Gives a field a deadline, or none; tells whether there is such a field. O(log N) in a table, O(N) packed.
    pub fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<u64>) -> bool {
        if let (View::Plain(packed), Some(_)) = (self.form.view(), deadline_ms) {
            if pairs::value(packed, name, pairs::PLAIN).is_none() {
                return false;
            }
            self.form = Form::Boxed(Box::new(Boxed::Dated(Dated::new(packed))));
        }
        match self.form.view_mut() {
            ViewMut::Plain(packed) => pairs::value(packed, name, pairs::PLAIN).is_some(),
            ViewMut::Dated(dated) => dated.set_deadline(name, deadline_ms),
            ViewMut::Table(table) => table.set_deadline(name, deadline_ms),
        }
    }

    /// The earliest deadline of a field, in Unix milliseconds. O(1).
    #[inline]
    pub fn earliest_deadline_ms(&self) -> Option<u64> {
        match self.form.view() {
            View::Plain(_) => None,
            View::Dated(dated) => dated.earliest_ms,
            View::Table(table) => table.earliest_deadline_ms(),
        }
    }

    /// Removes fields whose deadline is not after `now_ms`, at most `removed_max`; tells how many. O(dead · log N)
    /// in a table, O(N) packed.
    pub fn purge(&mut self, now_ms: u64, removed_max: usize) -> usize {
        match self.form.view_mut() {
            ViewMut::Plain(_) => 0,
            ViewMut::Dated(dated) => dated.purge(now_ms, removed_max),
            ViewMut::Table(table) => table.purge(now_ms, removed_max),
        }
    }

    /// All fields, in no particular order.
    pub fn iter(&self) -> Fields<'_> {
        Fields::new(self.form.view())
    }

    /// Fields for one step of a scan, and the cursor for the next one, 0 at the end; a scan begins with 0. All of a
    /// packed hash is one step, else `count` fields are. A field that is there from the first step to the last is
    /// returned, perhaps more than once. O(count).
    pub fn scan(&self, cursor: u64, count: usize) -> (Fields<'_>, u64) {
        let View::Table(table) = self.form.view() else {
            return (self.iter(), 0);
        };
        // Downward, since removing a field gives its number to the last one, which is then visited (again).
        let len = table.len();
        let end = if cursor == 0 {
            len
        } else {
            usize::try_from(cursor).unwrap_or(len).min(len)
        };
        let first = end.saturating_sub(count.max(1));
        (Fields::range(table, first, end), first as u64)
    }

    /// Any field, each as likely as the others. O(1) in a table, O(N) packed.
    pub fn random(&self, random: &mut Random) -> Option<Field<'_>> {
        if self.is_empty() {
            return None;
        }
        let number = random.below(self.len());
        match self.form.view() {
            View::Table(table) => Some(table.get(number)),
            _ => self.iter().nth(number),
        }
    }

    /// `count` fields picked independently of each other; none of an empty hash. O(count), and once O(N) packed.
    pub fn pick<'a>(&'a self, count: usize, random: &'a mut Random) -> impl Iterator<Item = Field<'a>> {
        let count = if self.is_empty() { 0 } else { count };
        let picks = scan::Picks::new(self.form.view());
        (0..count).map(move |_| picks.get(random.below(self.len())))
    }

    /// `count` different fields, or all if there are no more: every set of that many is as likely as any other.
    /// O(N) packed; in a table O(count · log count).
    pub fn sample(&self, count: usize, random: &mut Random) -> Vec<Field<'_>> {
        match self.form.view() {
            View::Table(table) if count < self.len() / 4 => scan::sample_few(table, count, random),
            _ => scan::sample_many(self.iter(), self.len(), count, random),
        }
    }

    /// Whether the hash with a field of these bytes may be one block.
    fn may_pack(&self, name: &[u8], value: &[u8], limits: PackedLimits) -> bool {
        let packed = match self.form.view() {
            View::Plain(packed) => packed,
            View::Dated(dated) => &dated.packed,
            View::Table(_) => return true,
        };
        let bytes = Packed::bytes_of(name.len()) + Packed::bytes_of(value.len());
        limits.admits(name) && limits.admits(value) && packed.has_room_for(bytes)
    }

    fn become_table(&mut self) {
        if !matches!(self.form.view(), View::Table(_)) {
            let table: FieldTable = self.iter().collect();
            self.form = Form::Boxed(Box::new(Boxed::Table(Box::new(table))));
        }
    }
}

impl<'a> IntoIterator for &'a Hash {
    type Item = Field<'a>;
    type IntoIter = Fields<'a>;
    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

impl Collection for Hash {
    fn heap_bytes(&self) -> usize {
        let boxed = size_class(size_of::<Boxed>());
        match self.form.view() {
            View::Plain(packed) => packed.heap_bytes(),
            View::Dated(dated) => boxed + dated.packed.heap_bytes(),
            View::Table(table) => boxed + size_class(size_of::<FieldTable>()) + table.heap_bytes(),
        }
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }

    fn elements(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        match self.form.view() {
            View::Plain(_) => "listpack",
            View::Dated(_) => "listpackex",
            View::Table(_) => "hashtable",
        }
    }
}

#[cfg(test)]
mod tests;
