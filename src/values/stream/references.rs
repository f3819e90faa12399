//! Removing entries that groups still refer to.

use super::Stream;
use super::id::StreamId;
use super::trim::{Keep, Trim};

/// What an entry's removal does about the groups that have yet to read or to acknowledge it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// Nothing: it stays pending where it is.
    #[default]
    Keep,
    /// It is pending nowhere any more.
    Remove,
    /// An entry that is referred to is not removed.
    Respect,
}

/// How the removal of an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// There is no such entry.
    Absent,
    /// It is gone.
    Done,
    /// A group refers to it.
    Refused,
}

impl Stream {
    /// Removes the entry `id`; tells how that went, and whether anything was changed. O(groups + entries of a block).
    pub fn remove(&mut self, id: StreamId, references: References) -> (Removal, bool) {
        if references == References::Respect && self.is_referenced(id) {
            return (Removal::Refused, false);
        }
        let acknowledged = references == References::Remove && self.acknowledge_everywhere(id);
        if self.entries.remove(id) {
            (Removal::Done, true)
        } else {
            (Removal::Absent, acknowledged)
        }
    }

    /// Removes the entries that `trim` does not keep; tells how many. Where references are respected, that is exact.
    pub fn trim(&mut self, trim: Trim, references: References) -> u64 {
        match references {
            References::Keep => self.entries.trim(trim, None),
            References::Remove => {
                let mut removed = Vec::new();
                self.entries.trim(trim, Some(&mut removed));
                for id in &removed {
                    self.acknowledge_everywhere(*id);
                }
                removed.len() as u64
            }
            References::Respect => self.trim_unreferenced(trim),
        }
    }

    fn trim_unreferenced(&mut self, trim: Trim) -> u64 {
        let (end, excess) = match trim.keep {
            Keep::Newest(count) => (StreamId::MAX, self.entries.len().saturating_sub(count)),
            Keep::From(StreamId::MIN) => return 0,
            Keep::From(id) => (id.previous().expect("it is not the lowest"), u64::MAX),
        };
        let most = if trim.limit == 0 {
            excess
        } else {
            excess.min(trim.limit)
        };
        let ids = self.entries.range(StreamId::MIN, end).map(|entry| entry.id);
        let unreferenced = ids.filter(|id| !self.is_referenced(*id)).take(most as usize);
        let removed: Vec<StreamId> = unreferenced.collect();
        for id in &removed {
            self.entries.remove(*id);
        }
        removed.len() as u64
    }
}
