//! Entries as they stand in a block, and the ways through a block.

use super::id::StreamId;
use super::listpack::{self, END};
use crate::values::text::Text;

/// Set in the flags of an entry that is no more.
pub const DELETED: i64 = 1;
/// Set in the flags of an entry whose fields have the names of the block's head.
pub const SHARES_NAMES: i64 = 2;

/// An entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    bytes: &'a [u8],
    /// Where the names are that it shares with others.
    names_at: Option<usize>,
    words_at: usize,
    fields: usize,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// The fields with their values, in the order in which they were given.
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            bytes: self.bytes,
            names_at: self.names_at,
            at: self.words_at,
            left: self.fields,
        }
    }
}

/// The fields of an entry with their values.
#[derive(Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    names_at: Option<usize>,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name_at = self.names_at.as_mut().unwrap_or(&mut self.at);
        let (name, next) = listpack::get(self.bytes, *name_at);
        *name_at = next;
        let (value, next) = listpack::get(self.bytes, self.at);
        self.at = next;
        Some((name, value))
    }
}

/// An entry that was found in a block.
pub struct Found<'a> {
    /// The entry.
    pub entry: Entry<'a>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Where it is in the block, for [`Block::delete`](super::block::Block::delete).
    pub at: usize,
}

/// What all entries of a block have in common.
#[derive(Clone)]
pub struct Reader<'a> {
    /// The block.
    pub bytes: &'a [u8],
    /// The id that the block is kept under.
    pub first: StreamId,
    /// How many names its head has.
    pub names: usize,
    /// Where these are.
    pub names_at: usize,
}

impl<'a> Reader<'a> {
    /// The entries from the first on.
    pub fn scan(self) -> Scan<'a> {
        // One more: the head's end.
        let at = (0..=self.names).fold(self.names_at, |at, _| listpack::next(self.bytes, at));
        Scan { reader: self, at }
    }

    /// The entries behind the last one that is before `start` and not deleted.
    pub fn scan_from(self, start: StreamId) -> Scan<'a> {
        let is_before = |found: &Found<'a>| !found.deleted && found.entry.id < start;
        match self.clone().scan_back().find(is_before) {
            Some(before) => Scan {
                at: self.behind(&before.entry),
                reader: self,
            },
            None => self.scan(),
        }
    }

    /// The entries from the last on.
    pub fn scan_back(self) -> ScanBack<'a> {
        let end = self.bytes.len() - 1;
        ScanBack { reader: self, end }
    }

    /// The entry at `at`.
    #[inline]
    fn entry(&self, at: usize) -> Found<'a> {
        let bytes = self.bytes;
        let (flags, ms_at) = listpack::get_integer(bytes, at);
        let (ms, seq_at) = listpack::get_integer(bytes, ms_at);
        let (seq, behind) = listpack::get_integer(bytes, seq_at);
        let shares = flags & SHARES_NAMES != 0;
        let (fields, words_at) = if shares {
            (self.names, behind)
        } else {
            let (fields, words_at) = listpack::get_integer(bytes, behind);
            (fields as usize, words_at)
        };
        let entry = Entry {
            id: id_behind(self.first, ms, seq),
            bytes,
            names_at: shares.then_some(self.names_at),
            words_at,
            fields,
        };
        Found {
            entry,
            deleted: flags & DELETED != 0,
            at,
        }
    }

    /// Where the entry behind this one is.
    #[inline]
    fn behind(&self, entry: &Entry<'a>) -> usize {
        let words = if entry.names_at.is_some() {
            entry.fields
        } else {
            entry.fields * 2
        };
        // One more: the number of elements.
        (0..=words).fold(entry.words_at, |at, _| listpack::next(self.bytes, at))
    }
}

/// The entries of a block from the first to the last.
#[derive(Clone)]
pub struct Scan<'a> {
    reader: Reader<'a>,
    at: usize,
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    #[inline]
    fn next(&mut self) -> Option<Found<'a>> {
        if self.reader.bytes[self.at] == END {
            return None;
        }
        let found = self.reader.entry(self.at);
        self.at = self.reader.behind(&found.entry);
        Some(found)
    }
}

/// The entries of a block from the last to the first.
#[derive(Clone)]
pub struct ScanBack<'a> {
    reader: Reader<'a>,
    /// Where the entries end that were not returned yet.
    end: usize,
}

impl<'a> Iterator for ScanBack<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let bytes = self.reader.bytes;
        let count_at = listpack::previous(bytes, self.end);
        let (elements, _) = listpack::get_integer(bytes, count_at);
        if elements == 0 {
            return None;
        }
        self.end = (0..elements).fold(count_at, |at, _| listpack::previous(bytes, at));
        Some(self.reader.entry(self.end))
    }
}

/// The id that is so far behind `first`, modulo 2^64.
pub fn id_behind(first: StreamId, ms: i64, seq: i64) -> StreamId {
    StreamId::new(
        first.ms.wrapping_add_signed(ms),
        first.seq.wrapping_add_signed(seq),
    )
}
