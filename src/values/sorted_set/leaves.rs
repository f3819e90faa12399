//! The leaves of a large sorted set: its members in runs of a few dozen, and the index that tells which run holds a
//! member. What order the leaves have is known to the tree above them.

use ahash::RandomState;

use super::member_index::{LeafId, MemberHash, MemberIndex};
use super::run::{Found, Place, Run, Scored};
use crate::values::heap::size_class;

/// Most entries of a leaf. More cost less memory, and more time to go through.
const LEN_MAX: usize = 48;
/// Most bytes of a leaf that has more than one entry.
const BYTES_MAX: usize = 4096;
/// Entries of a leaf that is built at once; some more have room.
const LEN_FILLED: usize = LEN_MAX * 3 / 4;
/// Bytes of a leaf that is built at once.
const BYTES_FILLED: usize = BYTES_MAX * 3 / 4;
/// A leaf with fewer entries is merged with a neighbour, if the two together have no more than [`LEN_FILLED`].
const LEN_MIN: usize = LEN_MAX / 4;

/// Runs of members by number, with an index of the members.
#[derive(Debug, Clone)]
pub struct Leaves {
    runs: Vec<Run>,
    /// Numbers that are not in use.
    free: Vec<LeafId>,
    index: MemberIndex,
    hasher: RandomState,
    /// Bytes of heap of all runs.
    run_bytes: usize,
}

impl Default for Leaves {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            free: Vec::new(),
            index: MemberIndex::default(),
            hasher: RandomState::new(),
            run_bytes: 0,
        }
    }
}

impl Leaves {
    /// Bytes of heap, as the allocator rounds them. O(1).
    pub fn heap_bytes(&self) -> usize {
        size_class(self.runs.capacity() * size_of::<Run>())
            + size_class(self.free.capacity() * size_of::<LeafId>())
            + self.index.heap_bytes()
            + self.run_bytes
    }

    /// The entries of a leaf.
    #[inline]
    pub fn run(&self, leaf: LeafId) -> &Run {
        &self.runs[leaf as usize]
    }

    /// The leaf of `member` and what it holds of it. O(1).
    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<(LeafId, Found)> {
        self.index.find(self.hash(member), |leaf| {
            let found = self.run(leaf).find(member)?;
            Some((leaf, found))
        })
    }

    /// Adds a leaf with the next of these entries, which come in order, except for members that a leaf holds already.
    /// There is none if none are left.
    pub fn add<'a>(&mut self, entries: &mut impl Iterator<Item = Scored<'a>>) -> Option<LeafId> {
        let leaf = self.place(Run::default());
        while self.run(leaf).len() < LEN_FILLED && self.run(leaf).byte_len() < BYTES_FILLED {
            let Some(entry) = entries.next() else { break };
            if self.find(entry.member).is_none() {
                self.index.add(self.hash(entry.member), leaf);
                self.change(leaf, |run| run.push(entry));
            }
        }
        let is_empty = self.run(leaf).is_empty();
        if is_empty {
            self.free.push(leaf);
        }
        (!is_empty).then_some(leaf)
    }

    /// Adds a member, which no leaf holds yet, to a leaf. If that is too large then, a part of it becomes a new leaf
    /// behind it, which is returned.
    pub fn insert(&mut self, leaf: LeafId, entry: Scored<'_>) -> Option<LeafId> {
        let (_, offset) = self.run(leaf).seek(Place::Of(entry));
        self.index.add(self.hash(entry.member), leaf);
        self.change(leaf, |run| run.insert(offset, entry));
        let run = self.run(leaf);
        let is_full = run.len() > LEN_MAX || run.byte_len() > BYTES_MAX && run.len() > 1;
        is_full.then(|| self.divide(leaf, offset))
    }

    /// Gives a member that was found in a leaf another score. Does nothing and returns false if its place is, or may
    /// be, in another leaf then, and if it is the first of its leaf.
    pub fn reorder(&mut self, leaf: LeafId, found: Found, entry: Scored<'_>) -> bool {
        let run = self.run(leaf);
        let (index, offset) = run.seek(Place::Of(entry));
        let stays = found.index > 0 && index > 0 && index < run.len();
        if stays {
            self.change(leaf, |run| {
                let before = run.byte_len();
                run.remove(found.offset, 1);
                let removed = before - run.byte_len();
                let offset = if index > found.index {
                    offset - removed
                } else {
                    offset
                };
                run.insert(offset, entry);
            });
        }
        stays
    }

    /// Removes up to `count` entries of a leaf, from that of index `index` on, and shows each before. Tells how many
    /// there were. A leaf without entries is gone.
    pub fn remove(
        &mut self,
        leaf: LeafId,
        index: usize,
        count: usize,
        each: &mut dyn FnMut(Scored<'_>),
    ) -> usize {
        let offset = self.run(leaf).offset_of(index);
        let mut removed = 0;
        for entry in self.runs[leaf as usize].iter_from(offset).take(count) {
            self.index.remove(hash_with(&self.hasher, entry.member), leaf);
            each(entry);
            removed += 1;
        }
        self.change(leaf, |run| run.remove(offset, removed));
        if self.run(leaf).is_empty() {
            self.free.push(leaf);
        }
        removed
    }

    /// Whether a leaf has become small enough to be merged with a neighbour.
    pub fn is_small(&self, leaf: LeafId) -> bool {
        self.run(leaf).len() < LEN_MIN
    }

    /// Moves the entries of the leaf `right` to `left`, its neighbour before it, unless they are too many.
    pub fn merge(&mut self, left: LeafId, right: LeafId) -> bool {
        let (one, other) = (self.run(left), self.run(right));
        let fits = one.len() + other.len() <= LEN_FILLED && one.byte_len() + other.byte_len() <= BYTES_FILLED;
        if fits {
            let moved = std::mem::take(&mut self.runs[right as usize]);
            self.run_bytes -= moved.heap_bytes();
            self.free.push(right);
            self.relocate_all(&moved, right, left);
            self.change(left, |run| run.append(&moved));
        }
        fits
    }

    /// Hashes of members and the leaves that hold them, in the order of the hashes, from this hash on.
    pub fn hashes_from(&self, hash: MemberHash) -> impl Iterator<Item = (MemberHash, LeafId)> + '_ {
        self.index.iter_from(hash)
    }

    /// The entries of a leaf whose members have this hash.
    pub fn with_hash(&self, hash: MemberHash, leaf: LeafId) -> impl Iterator<Item = Scored<'_>> {
        let entries = self.run(leaf).iter();
        entries.filter(move |entry| self.hash(entry.member) == hash)
    }

    /// Divides a leaf: in the middle, unless the last change was at one of its ends, as more of these may follow.
    fn divide(&mut self, leaf: LeafId, changed_at: usize) -> LeafId {
        let run = self.run(leaf);
        let middle = run.middle();
        let at = match changed_at {
            0 => run.offset_of((run.len() / 8).max(1)),
            end if end == run.offset_of(run.len() - 1) => end,
            _ => middle,
        };
        let mut tail = Run::default();
        self.change(leaf, |run| tail = run.split_off(at));
        let new = self.place(Run::default());
        self.relocate_all(&tail, leaf, new);
        self.change(new, |run| *run = tail);
        new
    }

    fn relocate_all(&mut self, run: &Run, from: LeafId, to: LeafId) {
        for entry in run {
            let hash = self.hash(entry.member);
            self.index.relocate(hash, from, to);
        }
    }

    /// Makes a leaf of a run, whose members are still to be indexed.
    fn place(&mut self, run: Run) -> LeafId {
        self.run_bytes += run.heap_bytes();
        if let Some(leaf) = self.free.pop() {
            self.runs[leaf as usize] = run;
            return leaf;
        }
        self.runs.push(run);
        (self.runs.len() - 1) as LeafId
    }

    fn change(&mut self, leaf: LeafId, change: impl FnOnce(&mut Run)) {
        let run = &mut self.runs[leaf as usize];
        self.run_bytes -= run.heap_bytes();
        change(run);
        self.run_bytes += run.heap_bytes();
    }

    #[inline]
    fn hash(&self, member: &[u8]) -> MemberHash {
        hash_with(&self.hasher, member)
    }
}

#[inline]
fn hash_with(hasher: &RandomState, member: &[u8]) -> MemberHash {
    (hasher.hash_one(member) >> 32) as MemberHash
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Leaves {
        /// Fails unless `len` members are where the index says, and the bytes are those of the runs.
        pub(crate) fn check(&self, len: usize) {
            let bytes: usize = self.runs.iter().map(Run::heap_bytes).sum();
            assert_eq!(self.run_bytes, bytes);
            let empty = self.runs.iter().filter(|run| run.is_empty()).count();
            assert_eq!(empty, self.free.len());
            let mut members = 0;
            for (leaf, run) in self.runs.iter().enumerate() {
                assert!(run.len() <= LEN_MAX);
                for entry in run {
                    let (found_in, found) = self.find(entry.member).unwrap();
                    assert_eq!((found_in as usize, found.score), (leaf, entry.score));
                    members += 1;
                }
            }
            assert_eq!((members, self.hashes_from(0).count()), (len, len));
        }
    }

    #[test]
    fn large_members_have_leaves_of_their_own() {
        let mut leaves = Leaves::default();
        let [small, large] = [vec![b'a'; 10], vec![b'b'; 100_000]];
        let leaf = leaves.add(&mut [Scored::new(&small, 0.0)].into_iter()).unwrap();
        let new = leaves.insert(leaf, Scored::new(&large, 1.0)).unwrap();
        leaves.check(2);
        assert_eq!((leaves.run(leaf).len(), leaves.run(new).len()), (1, 1));
        assert!(!leaves.merge(leaf, new));
    }
}
