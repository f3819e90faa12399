//! The form of a large hash: a table of fields, and the order of their deadlines.

use super::super::short_bytes::ShortBytes;
use super::super::table::{Named, Table};
use super::super::varint;
use super::deadlines::Deadlines;
use super::{Deadline, Field};

/// Fields, found by their names or numbered from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldTable {
    pairs: Table<Pair>,
    deadlines: Deadlines,
}

impl FieldTable {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Field<'_>> {
        self.pairs.find(name).map(|number| self.get(number))
    }

    /// The field with this number, which is below [`FieldTable::len`].
    #[inline]
    pub(super) fn get(&self, number: usize) -> Field<'_> {
        self.pairs.get(number).field()
    }

    pub(super) fn put(&mut self, name: &[u8], value: &[u8], deadline: Deadline) -> bool {
        let deadline_ms = None;
        let field = Field {
            name,
            value,
            deadline_ms,
        };
        let Err(number) = self.pairs.add(name, || Pair::new(field)) else {
            return true;
        };
        let old = self.get(number).deadline_ms;
        let kept = old.filter(|_| deadline == Deadline::Keep);
        self.pairs.update(number, |pair| pair.set(value, kept));
        self.deadlines.change(number, old, kept);
        false
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let number = self.pairs.find(name);
        if let Some(number) = number {
            self.remove_at(number);
        }
        number.is_some()
    }

    pub(super) fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<u64>) -> bool {
        let Some(number) = self.pairs.find(name) else {
            return false;
        };
        let old = self.get(number).deadline_ms;
        self.pairs.update(number, |pair| pair.set_deadline(deadline_ms));
        self.deadlines.change(number, old, deadline_ms);
        true
    }

    #[inline]
    pub(super) fn earliest_deadline_ms(&self) -> Option<u64> {
        self.deadlines.earliest_ms()
    }

    pub(super) fn purge(&mut self, now_ms: u64, removed_max: usize) -> usize {
        let mut removed = 0;
        while removed < removed_max
            && let Some(number) = self.deadlines.first_until(now_ms)
        {
            self.remove_at(number);
            removed += 1;
        }
        removed
    }

    /// Bytes of heap. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        self.pairs.heap_bytes() + self.deadlines.heap_bytes()
    }

    /// Removes a field; the last one gets its number.
    fn remove_at(&mut self, number: usize) {
        let last = self.len() - 1;
        self.deadlines.change(number, self.get(number).deadline_ms, None);
        if number != last {
            self.deadlines.renumber(self.get(last).deadline_ms, last, number);
        }
        self.pairs.remove_at(number);
    }
}

impl<'a> FromIterator<Field<'a>> for FieldTable {
    /// Collects fields of different names.
    fn from_iter<I: IntoIterator<Item = Field<'a>>>(fields: I) -> Self {
        let mut table = Self::default();
        for field in fields {
            let number = table.len();
            let added = table.pairs.add(field.name, || Pair::new(field));
            debug_assert!(added.is_ok(), "names are different");
            table.deadlines.change(number, None, field.deadline_ms);
        }
        table
    }
}

/// A field in one piece:
///
/// ```text
/// varint      length of the name, doubled, plus one if there is a deadline
/// 8 bytes     the deadline in Unix milliseconds, little-endian, if there is one
/// the name
/// the value
/// ```
#[derive(Debug, Clone)]
struct Pair(ShortBytes);

impl Named for Pair {
    #[inline]
    fn name(&self) -> &[u8] {
        let (name_at, name_len, _) = self.parts();
        &self.0[name_at..name_at + name_len]
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

impl Pair {
    fn new(field: Field<'_>) -> Self {
        let head = field.name.len() << 1 | usize::from(field.deadline_ms.is_some());
        let deadline = field.deadline_ms.map(u64::to_le_bytes);
        let deadline = deadline.as_ref().map_or(&[][..], |bytes| &bytes[..]);
        let parts = [deadline, field.name, field.value];
        let len = varint::width(head) + parts.iter().map(|part| part.len()).sum::<usize>();
        Self(ShortBytes::written(len, |bytes| {
            let mut at = varint::write(bytes, head);
            for part in parts {
                bytes[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
        }))
    }

    #[inline]
    fn field(&self) -> Field<'_> {
        let (name_at, name_len, has_deadline) = self.parts();
        let (name, value) = self.0[name_at..].split_at(name_len);
        let deadline_ms = has_deadline.then(|| {
            let bytes = self.0[name_at - 8..name_at].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes"))
        });
        Field {
            name,
            value,
            deadline_ms,
        }
    }

    /// Where the name begins, its length, and whether there is a deadline before it.
    #[inline]
    fn parts(&self) -> (usize, usize, bool) {
        let (head, width) = varint::read(&self.0);
        let has_deadline = head & 1 == 1;
        (width + if has_deadline { 8 } else { 0 }, head >> 1, has_deadline)
    }

    fn set(&mut self, value: &[u8], deadline_ms: Option<u64>) {
        let old = self.field();
        if old.deadline_ms == deadline_ms && old.value.len() == value.len() {
            let at = self.0.len() - value.len();
            self.0[at..].copy_from_slice(value);
        } else {
            *self = Self::new(Field {
                value,
                deadline_ms,
                ..old
            });
        }
    }

    fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        *self = Self::new(Field {
            deadline_ms,
            ..self.field()
        });
    }
}
