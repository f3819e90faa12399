//! Going through a sorted set in order, from any rank, up or down.

use std::ops::Range;

use smallvec::SmallVec;

use super::leaves::Leaves;
use super::run::{Entries, Run, Scored};
use super::tree::{Branch, Child, RankedTree};

/// A leaf of a tree, and the way there from the root: branches with the index of the edge taken.
#[derive(Debug, Clone)]
struct Walk<'a> {
    leaves: &'a Leaves,
    way: SmallVec<[(&'a Branch, usize); 6]>,
}

impl<'a> Walk<'a> {
    /// To the leaf that has the member of this rank, which there is; with the rank there. O(log N).
    fn to_rank(tree: &'a RankedTree, mut rank: usize) -> (Self, usize) {
        let (mut branch, leaves) = tree.parts();
        let mut way = SmallVec::new();
        loop {
            let (at, rank_below) = branch.edge_of_rank(rank);
            way.push((branch, at));
            rank = rank_below;
            match &branch.edges[at].child {
                Child::Branch(child) => branch = child,
                Child::Leaf(_) => return (Self { leaves, way }, rank),
            }
        }
    }

    /// The entries of the leaf.
    #[inline]
    fn run(&self) -> &'a Run {
        match self.child() {
            Child::Leaf(leaf) => self.leaves.run(*leaf),
            Child::Branch(_) => unreachable!("a way leads to a leaf"),
        }
    }

    /// Goes on to the next leaf, if there is one.
    fn forward(&mut self) -> bool {
        self.step(
            |branch, at| (at + 1 < branch.edges.len()).then_some(at + 1),
            |_| 0,
        )
    }

    /// Goes back to the previous leaf, if there is one.
    fn back(&mut self) -> bool {
        self.step(|_, at| at.checked_sub(1), |branch| branch.edges.len() - 1)
    }

    /// Goes to a leaf beside this one: up until there is an edge beside the one taken, then down by the edges that
    /// are nearest.
    fn step(
        &mut self,
        beside: impl Fn(&Branch, usize) -> Option<usize>,
        nearest: impl Fn(&Branch) -> usize,
    ) -> bool {
        let Some(height) = self
            .way
            .iter()
            .rposition(|(branch, at)| beside(branch, *at).is_some())
        else {
            return false;
        };
        self.way.truncate(height + 1);
        let (branch, at) = &mut self.way[height];
        *at = beside(branch, *at).expect("it was just found");
        while let Child::Branch(branch) = self.child() {
            self.way.push((branch, nearest(branch)));
        }
        true
    }

    fn child(&self) -> &'a Child {
        let (branch, at) = self.way.last().expect("the root is on every way");
        &branch.edges[*at].child
    }
}

/// Members of a sorted set in order.
#[derive(Debug, Clone)]
pub struct Ascending<'a> {
    entries: Entries<'a>,
    left: usize,
    /// The way to the leaf with `entries`, which is none where all stand in one run.
    walk: Option<Walk<'a>>,
}

impl<'a> Ascending<'a> {
    /// The entries of these ranks, which there are.
    pub fn in_run(run: &'a Run, ranks: Range<usize>) -> Self {
        Self {
            entries: run.iter_from(run.offset_of(ranks.start)),
            left: ranks.len(),
            walk: None,
        }
    }

    /// The members of these ranks, which there are; the tree is not empty.
    pub fn in_tree(tree: &'a RankedTree, ranks: Range<usize>) -> Self {
        let (walk, rank) = Walk::to_rank(tree, ranks.start.min(tree.len() - 1));
        Self {
            walk: Some(walk.clone()),
            ..Self::in_run(walk.run(), rank..rank + ranks.len())
        }
    }
}

impl<'a> Iterator for Ascending<'a> {
    type Item = Scored<'a>;

    #[inline]
    fn next(&mut self) -> Option<Scored<'a>> {
        self.left = self.left.checked_sub(1)?;
        if let Some(entry) = self.entries.next() {
            return Some(entry);
        }
        let walk = self.walk.as_mut().expect("a run has all ranks asked for");
        walk.forward();
        self.entries = walk.run().iter();
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ascending<'_> {}

/// Members of a sorted set in reverse order.
#[derive(Debug, Clone)]
pub struct Descending<'a> {
    run: &'a Run,
    /// Where the entries of `run` begin that are still to come; the last is the next.
    offsets: SmallVec<[u32; 64]>,
    left: usize,
    /// As in [`Ascending`].
    walk: Option<Walk<'a>>,
}

impl<'a> Descending<'a> {
    /// The entries of these ranks, which there are.
    pub fn in_run(run: &'a Run, ranks: Range<usize>) -> Self {
        Self {
            run,
            offsets: offsets(run, ranks.clone()),
            left: ranks.len(),
            walk: None,
        }
    }

    /// The members of these ranks, which there are; the tree is not empty.
    pub fn in_tree(tree: &'a RankedTree, ranks: Range<usize>) -> Self {
        let (walk, rank) = Walk::to_rank(tree, ranks.end.saturating_sub(1));
        let end = rank + usize::from(!ranks.is_empty());
        Self {
            run: walk.run(),
            offsets: offsets(walk.run(), end.saturating_sub(ranks.len())..end),
            left: ranks.len(),
            walk: Some(walk),
        }
    }
}

impl<'a> Iterator for Descending<'a> {
    type Item = Scored<'a>;

    #[inline]
    fn next(&mut self) -> Option<Scored<'a>> {
        self.left = self.left.checked_sub(1)?;
        if self.offsets.is_empty() {
            let walk = self.walk.as_mut().expect("a run has all ranks asked for");
            walk.back();
            self.run = walk.run();
            self.offsets = offsets(self.run, 0..self.run.len());
        }
        let offset = self.offsets.pop()?;
        Some(self.run.get_at(offset as usize))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Descending<'_> {}

/// Where the entries of these indexes begin. O(their end).
fn offsets(run: &Run, indexes: Range<usize>) -> SmallVec<[u32; 64]> {
    let mut entries = run.iter_from(run.offset_of(indexes.start));
    indexes
        .map(|_| {
            let offset = entries.offset() as u32;
            entries.next();
            offset
        })
        .collect()
}
