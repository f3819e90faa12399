//! The packed forms: a field is two strings behind each other, or three where fields have deadlines.

use super::super::packed::Packed;
use super::{Deadline, Field};

/// Strings a field: its name and its value.
pub(super) const PLAIN: usize = 2;
/// The same, and its deadline: eight bytes, little-endian, or none.
pub(super) const DATED: usize = 3;

/// Packed fields of which some have deadlines.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    pub(super) packed: Packed,
    /// The earliest deadline of all.
    pub(super) earliest_ms: Option<u64>,
}

pub(super) fn value<'a>(packed: &'a Packed, name: &[u8], stride: usize) -> Option<&'a [u8]> {
    let (_, at) = packed.find(name, 0, stride)?;
    let (_, value_at) = packed.get_at(at);
    Some(packed.get_at(value_at).0)
}

pub(super) fn field<'a>(packed: &'a Packed, name: &[u8], stride: usize) -> Option<Field<'a>> {
    let (_, at) = packed.find(name, 0, stride)?;
    Some(field_at(packed, at, stride).0)
}

/// The field whose name is at this offset, and the offset behind it.
pub(super) fn field_at(packed: &Packed, at: usize, stride: usize) -> (Field<'_>, usize) {
    let (name, at) = packed.get_at(at);
    let (value, at) = packed.get_at(at);
    let (deadline, at) = if stride == DATED {
        packed.get_at(at)
    } else {
        (&[][..], at)
    };
    let deadline_ms = deadline.try_into().ok().map(u64::from_le_bytes);
    (
        Field {
            name,
            value,
            deadline_ms,
        },
        at,
    )
}

/// Sets a field of a plain form; tells whether it is new.
pub(super) fn put(packed: &mut Packed, name: &[u8], value: &[u8]) -> bool {
    if let Some((_, at)) = packed.find(name, 0, PLAIN) {
        packed.replace_at(packed.get_at(at).1, value);
        return false;
    }
    packed.extend([name, value]);
    true
}

/// Removes a field of a plain form; tells whether it was there.
pub(super) fn remove(packed: &mut Packed, name: &[u8]) -> bool {
    let found = packed.find(name, 0, PLAIN);
    found.is_some_and(|(_, at)| packed.remove_at(at, PLAIN) > 0)
}

impl Dated {
    /// The same fields, as yet without deadlines.
    pub(super) fn new(plain: &Packed) -> Self {
        let mut packed = Packed::new();
        for (index, string) in plain.iter().enumerate() {
            packed.push(string);
            if index % PLAIN == 1 {
                packed.push(b"");
            }
        }
        Self {
            packed,
            earliest_ms: None,
        }
    }

    pub(super) fn put(&mut self, name: &[u8], value: &[u8], deadline: Deadline) -> bool {
        let Some((_, at)) = self.packed.find(name, 0, DATED) else {
            self.packed.extend([name, value, b""]);
            return true;
        };
        self.packed.replace_at(self.packed.get_at(at).1, value);
        if deadline == Deadline::Clear {
            self.set_deadline_at(at, None);
        }
        false
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some((_, at)) = self.packed.find(name, 0, DATED) else {
            return false;
        };
        let old = field_at(&self.packed, at, DATED).0.deadline_ms;
        self.packed.remove_at(at, DATED);
        self.forget(old);
        true
    }

    pub(super) fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<u64>) -> bool {
        let found = self.packed.find(name, 0, DATED);
        if let Some((_, at)) = found {
            self.set_deadline_at(at, deadline_ms);
        }
        found.is_some()
    }

    pub(super) fn purge(&mut self, now_ms: u64, removed_max: usize) -> usize {
        if self.earliest_ms.is_none_or(|at| at > now_ms) {
            return 0;
        }
        let (mut living, mut removed) = (Packed::new(), 0);
        let mut at = 0;
        while at < self.packed.byte_len() {
            let (field, next) = field_at(&self.packed, at, DATED);
            if removed < removed_max && field.deadline_ms.is_some_and(|at| at <= now_ms) {
                removed += 1;
            } else {
                living.extend(self.packed.iter_from(at).take(DATED));
            }
            at = next;
        }
        self.packed = living;
        self.renew_earliest();
        removed
    }

    /// Replaces the deadline of the field whose name is at this offset.
    fn set_deadline_at(&mut self, at: usize, deadline_ms: Option<u64>) {
        let old = field_at(&self.packed, at, DATED).0.deadline_ms;
        if old == deadline_ms {
            return;
        }
        let value_at = self.packed.get_at(at).1;
        let deadline_at = self.packed.get_at(value_at).1;
        match deadline_ms {
            Some(ms) => self.packed.replace_at(deadline_at, &ms.to_le_bytes()),
            None => self.packed.replace_at(deadline_at, b""),
        }
        self.earliest_ms = self.earliest_ms.into_iter().chain(deadline_ms).min();
        self.forget(old);
    }

    /// Finds the earliest deadline again if the one that went was it.
    fn forget(&mut self, old: Option<u64>) {
        if old.is_some() && old == self.earliest_ms {
            self.renew_earliest();
        }
    }

    fn renew_earliest(&mut self) {
        let (mut at, mut earliest) = (0, None::<u64>);
        while at < self.packed.byte_len() {
            let (field, next) = field_at(&self.packed, at, DATED);
            earliest = earliest.into_iter().chain(field.deadline_ms).min();
            at = next;
        }
        self.earliest_ms = earliest;
    }
}
