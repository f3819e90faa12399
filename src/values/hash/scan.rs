//! Going through the fields of a hash: all, in their order, or at random.

use std::collections::BTreeSet;

use super::super::packed::Packed;
use super::super::random::Random;
use super::table::FieldTable;
use super::{Field, View, pairs};

/// Fields one after the other.
#[derive(Debug, Clone)]
pub struct Fields<'a>(Source<'a>);

#[derive(Debug, Clone)]
enum Source<'a> {
    Packed {
        packed: &'a Packed,
        at: usize,
        stride: usize,
    },
    Table {
        table: &'a FieldTable,
        numbers: std::ops::Range<usize>,
    },
}

impl<'a> Fields<'a> {
    pub(super) fn new(form: View<'a>) -> Self {
        let (packed, stride) = match form {
            View::Plain(packed) => (packed, pairs::PLAIN),
            View::Dated(dated) => (&dated.packed, pairs::DATED),
            View::Table(table) => return Self::range(table, 0, table.len()),
        };
        Self(Source::Packed {
            packed,
            at: 0,
            stride,
        })
    }

    /// Those at the numbers from `first` to before `end`.
    pub(super) fn range(table: &'a FieldTable, first: usize, end: usize) -> Self {
        Self(Source::Table {
            table,
            numbers: first..end,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match &mut self.0 {
            Source::Packed { packed, at, stride } => {
                if *at >= packed.byte_len() {
                    return None;
                }
                let (field, next) = pairs::field_at(packed, *at, *stride);
                *at = next;
                Some(field)
            }
            Source::Table { table, numbers } => numbers.next().map(|number| table.get(number)),
        }
    }
}

/// Fields by number, each in O(1).
pub(super) enum Picks<'a> {
    Packed(Vec<Field<'a>>),
    Table(&'a FieldTable),
}

impl<'a> Picks<'a> {
    pub(super) fn new(form: View<'a>) -> Self {
        match form {
            View::Table(table) => Self::Table(table),
            _ => Self::Packed(Fields::new(form).collect()),
        }
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Field<'a> {
        match self {
            Self::Packed(fields) => fields[number],
            Self::Table(table) => table.get(number),
        }
    }
}

/// `count` of `len` fields, going through all of them (Knuth, The Art of Computer Programming 2, 3.4.2, S).
pub(super) fn sample_many<'a>(
    fields: Fields<'a>,
    len: usize,
    count: usize,
    random: &mut Random,
) -> Vec<Field<'a>> {
    let mut wanted = count.min(len);
    let mut left = len;
    fields
        .filter(|_| {
            let taken = left > 0 && random.below(left) < wanted;
            left = left.saturating_sub(1);
            wanted -= usize::from(taken);
            taken
        })
        .collect()
}

/// `count` of the table's fields, looking at no others (Bentley and Floyd, Programming Pearls, 1987).
pub(super) fn sample_few<'a>(table: &'a FieldTable, count: usize, random: &mut Random) -> Vec<Field<'a>> {
    let mut taken = BTreeSet::new();
    let mut sample = Vec::with_capacity(count.min(table.len()));
    for top in table.len().saturating_sub(count)..table.len() {
        let drawn = random.below(top + 1);
        let number = if taken.insert(drawn) { drawn } else { top };
        taken.insert(number);
        sample.push(table.get(number));
    }
    sample
}
