//! A large sorted set: a B+-tree over leaves of a few dozen members, whose branches count what is below them.
//!
//! The counts make ranks as cheap as members: whatever is asked for by score, by member or by rank is one way from
//! the root down (counted B-trees: Knuth, The Art of Computer Programming 3, 6.2.3). The score of a member does not
//! take even that: the leaves have an index.

use std::ops::Range;

use super::leaves::Leaves;
use super::member_index::{LeafId, MemberHash};
use super::run::{Place, Scored, is_same_score};

/// Most edges of a branch.
const EDGES_MAX: usize = 31;
/// Edges of a branch that is built at once; some more have room.
const EDGES_FILLED: usize = EDGES_MAX * 3 / 4;
/// A branch with fewer edges is merged with a neighbour, if the two together have no more than [`EDGES_FILLED`].
const EDGES_MIN: usize = EDGES_MAX / 4;

/// Members in the order of their scores.
#[derive(Debug, Clone, Default)]
pub struct RankedTree {
    root: Branch,
    below: Below,
    len: usize,
}

/// What the branches lead to, and how many there are beside the root.
#[derive(Debug, Clone, Default)]
struct Below {
    leaves: Leaves,
    branches: usize,
}

/// What stands above some leaves, or above some branches of one height.
#[derive(Debug)]
pub struct Branch {
    pub edges: Vec<Edge>,
}

/// A part of the tree, which is not empty.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The score of the first member below.
    score_min: f64,
    /// How many members are below.
    count: usize,
    pub child: Child,
}

/// The top of a part of the tree.
#[derive(Debug, Clone)]
pub enum Child {
    Leaf(LeafId),
    Branch(Branch),
}

impl RankedTree {
    /// A tree of these members, which come in order; of a member that comes twice the first is taken. O(N).
    pub fn from_sorted<'a>(entries: impl IntoIterator<Item = Scored<'a>>) -> Self {
        let mut tree = Self::default();
        let mut entries = entries.into_iter();
        let mut edges = Vec::new();
        while let Some(leaf) = tree.below.leaves.add(&mut entries) {
            let edge = Edge::to_leaf(leaf, &tree.below.leaves);
            tree.len += edge.count;
            edges.push(edge);
        }
        while edges.len() > EDGES_MAX {
            edges = tree.below.branches_of(edges);
        }
        tree.root.edges.extend(edges);
        tree
    }

    /// How many members there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of heap, as the allocator rounds them. O(1).
    pub fn heap_bytes(&self) -> usize {
        (self.below.branches + 1) * Branch::HEAP_BYTES + self.below.leaves.heap_bytes()
    }

    /// A member's score. O(1).
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.below.leaves.find(member).map(|(_, found)| found.score)
    }

    /// How many members stand before `place`. O(log N).
    pub fn rank_of(&self, place: Place<'_>) -> usize {
        let leaves = &self.below.leaves;
        let (mut branch, mut rank) = (&self.root, 0);
        loop {
            let at = branch.edge_at(place, leaves);
            rank += branch.edges[..at].iter().map(|edge| edge.count).sum::<usize>();
            match branch.edges.get(at).map(|edge| &edge.child) {
                Some(Child::Branch(child)) => branch = child,
                Some(Child::Leaf(leaf)) => return rank + leaves.run(*leaf).seek(place).0,
                None => return rank,
            }
        }
    }

    /// Adds a member, or gives it another score; returns the score that it had. O(log N).
    pub fn insert(&mut self, entry: Scored<'_>) -> Option<f64> {
        let Some((leaf, found)) = self.below.leaves.find(entry.member) else {
            self.add(entry);
            return None;
        };
        let is_moved = !is_same_score(found.score, entry.score);
        if is_moved && !self.below.leaves.reorder(leaf, found, entry) {
            self.remove_at(Scored::new(entry.member, found.score));
            self.add(entry);
        }
        Some(found.score)
    }

    /// Removes a member; returns the score that it had. O(log N).
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.score(member)?;
        self.remove_at(Scored::new(member, score));
        Some(score)
    }

    /// Removes the members of these ranks, all of which there are, and shows each before. O(log N) and O(1) for each.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, each: &mut dyn FnMut(Scored<'_>)) {
        let mut left = ranks.len();
        while left > 0 {
            let removed = self.root.remove(ranks.start, left, &mut self.below, each);
            left -= removed;
            self.len -= removed;
            self.lower_root();
        }
    }

    /// Shows about `count` members from those with this hash on, in the order of the hashes, all with one hash at
    /// once. Returns the hash of the next, if there is one.
    pub fn scan(
        &self,
        from: MemberHash,
        count: usize,
        each: &mut dyn FnMut(Scored<'_>),
    ) -> Option<MemberHash> {
        let leaves = &self.below.leaves;
        let (mut last, mut shown) = (None, 0);
        for (hash, leaf) in leaves.hashes_from(from) {
            let is_new = last.is_none_or(|(last, _)| last != hash);
            if is_new && shown >= count.max(1) {
                return Some(hash);
            }
            // Several members of one leaf with the same hash are shown with the first of them.
            if last != Some((hash, leaf)) {
                leaves.with_hash(hash, leaf).for_each(&mut *each);
            }
            last = Some((hash, leaf));
            shown += 1;
        }
        None
    }

    /// The leaves, and the branch above them all.
    pub fn parts(&self) -> (&Branch, &Leaves) {
        (&self.root, &self.below.leaves)
    }

    /// Adds a member that is not there.
    fn add(&mut self, entry: Scored<'_>) {
        self.len += 1;
        if self.root.edges.is_empty() {
            let leaf = self.below.leaves.add(&mut std::iter::once(entry));
            let leaf = leaf.expect("there was no member of that name");
            self.root.edges.push(Edge::to_leaf(leaf, &self.below.leaves));
        } else if let Some(right) = self.root.insert(entry, &mut self.below) {
            let left = Edge::to_branch(std::mem::take(&mut self.root));
            self.below.branches += 1;
            self.root.edges.extend([left, right]);
        }
    }

    /// Removes this member, which is there with this score.
    fn remove_at(&mut self, entry: Scored<'_>) {
        let rank = self.rank_of(Place::Of(entry));
        self.remove_ranks(rank..rank + 1, &mut |_| ());
    }

    /// While all is below one branch, makes that the root.
    fn lower_root(&mut self) {
        while let [
            Edge {
                child: Child::Branch(only),
                ..
            },
        ] = &mut self.root.edges[..]
        {
            self.root = std::mem::take(only);
            self.below.branches -= 1;
        }
    }
}

impl Below {
    /// Branches above these edges.
    fn branches_of(&mut self, edges: Vec<Edge>) -> Vec<Edge> {
        let mut branches = Vec::with_capacity(edges.len() / EDGES_FILLED + 1);
        let mut edges = edges.into_iter();
        while edges.len() > 0 {
            let mut branch = Branch::default();
            branch.edges.extend(edges.by_ref().take(EDGES_FILLED));
            branches.push(Edge::to_branch(branch));
        }
        self.branches += branches.len();
        branches
    }
}

impl Branch {
    /// One more than there may be, for a moment.
    const CAPACITY: usize = EDGES_MAX + 1;
    /// What each takes, whatever it holds: one of the allocator's size classes.
    const HEAP_BYTES: usize = Self::CAPACITY * size_of::<Edge>();

    /// Adds a member below. If there are too many edges then, some of them become a branch behind this one.
    fn insert(&mut self, entry: Scored<'_>, below: &mut Below) -> Option<Edge> {
        let at = self.edge_at(Place::Of(entry), &below.leaves);
        let edge = &mut self.edges[at];
        let divided = match &mut edge.child {
            Child::Branch(branch) => branch.insert(entry, below),
            Child::Leaf(leaf) => {
                let new = below.leaves.insert(*leaf, entry);
                new.map(|leaf| Edge::to_leaf(leaf, &below.leaves))
            }
        };
        edge.score_min = edge.score_min.min(entry.score);
        edge.count += 1;
        let right = divided?;
        edge.count -= right.count;
        self.edges.insert(at + 1, right);
        (self.edges.len() > EDGES_MAX).then(|| {
            below.branches += 1;
            Edge::to_branch(self.divide(at + 1))
        })
    }

    /// Cuts off the second half of the edges; where the last change was at an end, less or more than a half, as
    /// further ones may follow.
    fn divide(&mut self, changed: usize) -> Self {
        let last = self.edges.len() - 1;
        let middle = match changed {
            1 => EDGES_MIN,
            end if end == last => last,
            _ => self.edges.len() / 2,
        };
        let mut right = Self::default();
        right.edges.extend(self.edges.drain(middle..));
        right
    }

    /// Removes up to `count` members from the one of rank `rank` on, those that one leaf holds, and shows each
    /// before. Tells how many.
    fn remove(
        &mut self,
        rank: usize,
        count: usize,
        below: &mut Below,
        each: &mut dyn FnMut(Scored<'_>),
    ) -> usize {
        let (at, rank) = self.edge_of_rank(rank);
        let edge = &mut self.edges[at];
        let removed = match &mut edge.child {
            Child::Branch(branch) => branch.remove(rank, count, below, each),
            Child::Leaf(leaf) => below.leaves.remove(*leaf, rank, count, each),
        };
        edge.count -= removed;
        if edge.count == 0 {
            below.branches -= usize::from(matches!(edge.child, Child::Branch(_)));
            self.edges.remove(at);
        } else {
            edge.score_min = edge.child.score_min(&below.leaves);
            self.merge_around(at, below);
        }
        removed
    }

    /// Merges the child of an edge with one of its neighbours, if it has become small.
    fn merge_around(&mut self, at: usize, below: &mut Below) {
        if self.edges[at].child.is_small(&below.leaves) {
            let _ = self.merge(at, below) || at > 0 && self.merge(at - 1, below);
        }
    }

    /// Merges the child of an edge with that of the next one, if there is one and the two are not too large.
    fn merge(&mut self, left: usize, below: &mut Below) -> bool {
        let Some([one, other]) = self.edges.get_mut(left..left + 2) else {
            return false;
        };
        let merged = match (&mut one.child, &mut other.child) {
            (Child::Leaf(one), Child::Leaf(other)) => below.leaves.merge(*one, *other),
            (Child::Branch(one), Child::Branch(other)) => {
                let fits = one.edges.len() + other.edges.len() <= EDGES_FILLED;
                if fits {
                    one.edges.append(&mut other.edges);
                    below.branches -= 1;
                }
                fits
            }
            _ => unreachable!("all leaves are at one height"),
        };
        if merged {
            one.count += other.count;
            self.edges.remove(left + 1);
        }
        merged
    }

    /// The index of the edge below which a place is: the last that begins before it, or the first.
    #[inline]
    fn edge_at(&self, place: Place<'_>, leaves: &Leaves) -> usize {
        self.edges
            .partition_point(|edge| place.is_behind(edge.score_min, || edge.first(leaves)))
            .saturating_sub(1)
    }

    /// The index of the edge with the member of this rank below it, which there is, and the member's rank there.
    #[inline]
    pub fn edge_of_rank(&self, mut rank: usize) -> (usize, usize) {
        for (at, edge) in self.edges.iter().enumerate() {
            if rank < edge.count {
                return (at, rank);
            }
            rank -= edge.count;
        }
        unreachable!("the rank is one that there is");
    }
}

impl Default for Branch {
    fn default() -> Self {
        Self {
            edges: Vec::with_capacity(Self::CAPACITY),
        }
    }
}

impl Clone for Branch {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.edges.extend_from_slice(&self.edges);
        clone
    }
}

impl Edge {
    fn to_leaf(leaf: LeafId, leaves: &Leaves) -> Self {
        Self {
            count: leaves.run(leaf).len(),
            score_min: leaves.run(leaf).first().score,
            child: Child::Leaf(leaf),
        }
    }

    fn to_branch(branch: Branch) -> Self {
        Self {
            count: branch.edges.iter().map(|edge| edge.count).sum(),
            score_min: branch.edges[0].score_min,
            child: Child::Branch(branch),
        }
    }

    /// The first member below. O(log N).
    fn first<'a>(&self, leaves: &'a Leaves) -> &'a [u8] {
        let mut child = &self.child;
        loop {
            match child {
                Child::Branch(branch) => child = &branch.edges[0].child,
                Child::Leaf(leaf) => return leaves.run(*leaf).first().member,
            }
        }
    }
}

impl Child {
    fn score_min(&self, leaves: &Leaves) -> f64 {
        match self {
            Self::Branch(branch) => branch.edges[0].score_min,
            Self::Leaf(leaf) => leaves.run(*leaf).first().score,
        }
    }

    fn is_small(&self, leaves: &Leaves) -> bool {
        match self {
            Self::Branch(branch) => branch.edges.len() < EDGES_MIN,
            Self::Leaf(leaf) => leaves.is_small(*leaf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RankedTree {
        /// Fails unless the tree is what its types promise.
        pub(crate) fn check(&self) {
            let mut branches = 0;
            let (mut heights, mut len) = (Vec::new(), 0);
            for edge in &self.root.edges {
                heights.push(self.check_edge(edge, &mut branches));
                len += edge.count;
            }
            assert!(heights.windows(2).all(|pair| pair[0] == pair[1]));
            assert_eq!((branches, len), (self.below.branches, self.len));
            self.below.leaves.check(self.len);
        }

        /// Returns the height.
        fn check_edge(&self, edge: &Edge, branches: &mut usize) -> usize {
            let leaves = &self.below.leaves;
            assert_eq!(
                edge.score_min.to_bits() << 1,
                edge.child.score_min(leaves).to_bits() << 1
            );
            assert!(edge.count > 0);
            let branch = match &edge.child {
                Child::Branch(branch) => branch,
                Child::Leaf(leaf) => {
                    assert_eq!(leaves.run(*leaf).len(), edge.count);
                    return 0;
                }
            };
            *branches += 1;
            assert_eq!(branch.edges.capacity(), Branch::CAPACITY);
            assert!(branch.edges.len() <= EDGES_MAX);
            assert_eq!(
                branch.edges.iter().map(|edge| edge.count).sum::<usize>(),
                edge.count
            );
            let heights: Vec<_> = branch
                .edges
                .iter()
                .map(|edge| self.check_edge(edge, branches))
                .collect();
            assert!(heights.iter().all(|height| *height == heights[0]));
            heights[0] + 1
        }
    }

    #[test]
    fn a_branch_fills_its_size_class() {
        assert_eq!(
            crate::values::heap::size_class(Branch::HEAP_BYTES),
            Branch::HEAP_BYTES
        );
    }

    /// `0.0` to `len`, in the order that `step` makes of them, which has no divisor in common with `len`.
    fn tree_of(len: usize, step: usize) -> RankedTree {
        let mut tree = RankedTree::default();
        for number in (0..len).map(|number| number * step % len) {
            tree.insert(Scored::new(
                format!("member:{number:09}").as_bytes(),
                number as f64,
            ));
        }
        tree
    }

    #[test]
    fn a_hundred_thousand_members_take_few_bytes() {
        const LEN: usize = 100_000;
        const MEMBER_BYTES: usize = 16;
        for step in [1, LEN - 1, 7919] {
            let mut tree = tree_of(LEN, step);
            tree.check();
            let overhead = tree.heap_bytes() as f64 / LEN as f64 - MEMBER_BYTES as f64;
            assert!(overhead < 30.0, "{overhead} bytes a member");
            tree.remove_ranks(1000..LEN - 1000, &mut |_| ());
            tree.check();
            assert!(tree.heap_bytes() < 2000 * 150, "{}", tree.heap_bytes());
        }
    }

    #[test]
    fn a_tree_can_be_emptied_and_filled_again() {
        let mut tree = tree_of(5000, 1);
        let mut removed = 0;
        tree.remove_ranks(0..5000, &mut |_| removed += 1);
        tree.check();
        assert_eq!(
            (removed, tree.len(), tree.rank_of(Place::BeforeScore(1.0))),
            (5000, 0, 0)
        );
        tree.insert(Scored::new(b"m", 1.0));
        tree.check();
        assert_eq!(tree.score(b"m"), Some(1.0));
    }
}
