//! A stream: a log of entries with growing ids, and groups of consumers that read it.

mod block;
mod check;
mod entries;
mod entry;
mod group;
mod id;
mod listpack;
mod radix;
mod range;
mod references;
#[cfg(test)]
mod tests;
mod trim;

use std::collections::BTreeMap;

pub use entries::{AppendError, BLOCK_BYTES_MAX, Corrupt, Entries, NodeLimits};
pub use entry::{Entry, Fields};
pub use group::{Consumer, ConsumerState, Group, Pending};
pub use id::{IdRequest, IdText, StreamId};
pub use range::{Backward, Forward};
pub use references::{References, Removal};
pub use trim::{Keep, Trim};

use super::heap::{Collection, size_class};

/// Entries and the groups that read them.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The log.
    pub entries: Entries,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Bytes of heap of the groups and their names.
    groups_bytes: usize,
}

impl Stream {
    /// All groups, by name.
    pub fn groups(&self) -> &BTreeMap<Box<[u8]>, Group> {
        &self.groups
    }

    /// The group of that name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Adds a group, unless there is one of that name; tells whether.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups_bytes += group_bytes(name, &group);
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; tells whether there was one.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else {
            return false;
        };
        self.groups_bytes -= group_bytes(name, &group);
        true
    }

    /// Lends a group for changes, beside the entries that it reads. None if there is no such group.
    pub fn change_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Group, &Entries) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group.heap_bytes();
        let result = change(group, &self.entries);
        self.groups_bytes = self.groups_bytes - before + group.heap_bytes();
        Some(result)
    }

    /// Takes `id` off the pending entries of all groups; tells whether it was among any. O(groups).
    pub fn acknowledge_everywhere(&mut self, id: StreamId) -> bool {
        let mut found = false;
        for group in self
            .groups
            .values_mut()
            .filter(|group| group.pending().contains_key(&id))
        {
            let before = group.heap_bytes();
            found |= group.acknowledge(id);
            self.groups_bytes = self.groups_bytes - before + group.heap_bytes();
        }
        found
    }

    /// Whether a group has yet to read or to acknowledge the entry `id`. O(groups).
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups
            .values()
            .any(|group| group.last_id < id || group.pending().contains_key(&id))
    }
}

fn group_bytes(name: &[u8], group: &Group) -> usize {
    size_class(name.len()) + group.heap_bytes()
}

impl Collection for Stream {
    fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes()
            + self.groups_bytes
            + entries::tree_bytes::<Box<[u8]>, Group>(self.groups.len())
    }

    fn is_void(&self) -> bool {
        false
    }

    fn elements(&self) -> usize {
        self.entries.len() as usize
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }
}
