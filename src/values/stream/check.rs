//! What must be known of the bytes of strangers before they are used as a block.

use super::entry::{DELETED, SHARES_NAMES, id_behind};
use super::id::StreamId;
use super::listpack::{self, END, HEAD_BYTES};
use crate::values::text::Text;

/// Whether `bytes` are those of a block that is kept under `first`: a listpack with the elements of a head and of
/// as many entries as it tells, of which those that are not deleted have growing ids, none before `first`. O(bytes).
pub fn is_block(first: StreamId, bytes: &[u8]) -> bool {
    listpack::is_valid(bytes) && has_entries(first, bytes) == Some(true)
}

fn has_entries(first: StreamId, bytes: &[u8]) -> Option<bool> {
    let mut elements = Elements {
        bytes,
        at: HEAD_BYTES,
    };
    let (live, deleted) = (elements.natural()?, elements.natural()?);
    let names = elements.natural()?;
    elements.skip(names)?;
    let head_end = elements.natural()?;
    let (mut live_found, mut deleted_found, mut last) = (0, 0, None);
    while bytes[elements.at] != END {
        let (id, is_deleted) = elements.entry(first, names)?;
        if is_deleted {
            deleted_found += 1;
        } else if id >= first && Some(id) > last {
            live_found += 1;
            last = Some(id);
        } else {
            return None;
        }
    }
    Some(head_end == 0 && (live, deleted) == (live_found, deleted_found))
}

/// Reads elements that may be others than expected.
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Elements<'_> {
    fn integer(&mut self) -> Option<i64> {
        if self.bytes[self.at] == END {
            return None;
        }
        match listpack::get(self.bytes, self.at) {
            (Text::Int(number), next) => {
                self.at = next;
                Some(number)
            }
            (Text::Bytes(_), _) => None,
        }
    }

    fn natural(&mut self) -> Option<u64> {
        self.integer()?.try_into().ok()
    }

    fn skip(&mut self, elements: u64) -> Option<()> {
        for _ in 0..elements {
            if self.bytes[self.at] == END {
                return None;
            }
            self.at = listpack::next(self.bytes, self.at);
        }
        Some(())
    }

    /// The id of an entry and whether it is deleted. Its flags must have one byte, so that they can be set in place.
    fn entry(&mut self, first: StreamId, names: u64) -> Option<(StreamId, bool)> {
        let flags = self.integer().filter(|flags| (0..128).contains(flags))?;
        let (ms, seq) = (self.integer()?, self.integer()?);
        let elements = if flags & SHARES_NAMES == 0 {
            let fields = self.natural()?;
            let words = fields.checked_mul(2)?;
            self.skip(words)?;
            words.checked_add(4)?
        } else {
            self.skip(names)?;
            names.checked_add(3)?
        };
        (self.natural()? == elements).then(|| (id_behind(first, ms, seq), flags & DELETED != 0))
    }
}
