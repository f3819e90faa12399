//! Sorted sets: members with scores, in the order of the scores.
//!
//! A small one is a single packed run, a large one a [`RankedTree`]. Members with the same score are in the order of
//! their bytes.

use std::collections::HashSet;
use std::ops::{Bound, Range};

use ahash::RandomState;

mod leaves;
mod member_index;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use super::heap::{Collection, size_class};
use super::packed::PackedLimits;
use super::random::{Choice, Random, numbers_below};
use member_index::MemberHash;
use run::{Place, Run};
pub use run::{Scored, is_same_score};
use tree::RankedTree;
pub use walk::{Ascending, Descending};

/// Of a tree, one of so many members or more are picked by going through all, as fewer are by their ranks.
const PASS_FACTOR: usize = 8;

/// Members with their scores. No score is NaN: whoever adds members sees to that.
#[derive(Debug, Clone)]
pub struct SortedSet {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Packed(Run),
    Tree(Box<RankedTree>),
}

/// From the lowest score to the highest.
pub type ScoreBounds = (Bound<f64>, Bound<f64>);

/// Where a range of members begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members there could be.
    Least,
    /// Behind all members there could be.
    Greatest,
    /// At this member, which belongs to the range.
    Included(&'a [u8]),
    /// At this member, which does not belong to the range.
    Excluded(&'a [u8]),
}

impl Default for SortedSet {
    fn default() -> Self {
        Self {
            form: Form::Packed(Run::default()),
        }
    }
}

impl SortedSet {
    /// Without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of these members, in any order; where one comes twice, the one with the lower score is taken. O(N log N).
    pub fn from_scored<M: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (f64, M)>,
        limits: PackedLimits,
    ) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut entries: Vec<_> = entries
            .iter()
            .map(|(score, member)| Scored::new(member.as_ref(), *score))
            .collect();
        entries.sort_unstable_by(Scored::order);
        Self::from_sorted(&entries, limits)
    }

    /// Of these members, which come in order; where one comes twice, the first is taken. O(N).
    pub fn from_sorted(entries: &[Scored<'_>], limits: PackedLimits) -> Self {
        let bytes: usize = entries.iter().map(|entry| Run::bytes_of(entry.member)).sum();
        let is_small = limits.holds(entries.len())
            && bytes <= PackedLimits::BLOCK_BYTES_MAX / 2
            && entries.iter().all(|entry| limits.admits(entry.member));
        let form = if is_small {
            let mut members = HashSet::with_capacity_and_hasher(entries.len(), RandomState::new());
            let entries = entries.iter().filter(|entry| members.insert(entry.member));
            Form::Packed(entries.map(packable).collect())
        } else {
            Form::Tree(Box::new(RankedTree::from_sorted(entries.iter().copied())))
        };
        Self { form }
    }

    /// How many members there are. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(run) => run.len(),
            Form::Tree(tree) => tree.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is one packed run.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// A member's score. O(1), or O(N) if packed.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Packed(run) => run.find(member).map(|found| found.score),
            Form::Tree(tree) => tree.score(member),
        }
    }

    /// How many members stand before this one, and its score. O(log N), or O(N) if packed.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.form {
            Form::Packed(run) => run.find(member).map(|found| (found.index, found.score)),
            Form::Tree(tree) => {
                let score = tree.score(member)?;
                Some((tree.rank_of(Place::Of(Scored::new(member, score))), score))
            }
        }
    }

    /// The member of this rank. O(log N), or O(N) if packed.
    pub fn get(&self, rank: usize) -> Option<Scored<'_>> {
        self.range(rank..rank.saturating_add(1)).next()
    }

    /// Adds a member, or gives it another score; returns the score that it had. What is packed becomes a tree when
    /// it outgrows `limits`. O(log N), or O(N) if packed.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: PackedLimits) -> Option<f64> {
        debug_assert!(!score.is_nan(), "NaN has no place in an order");
        let entry = Scored::new(member, score);
        let run = match &mut self.form {
            Form::Packed(run) => run,
            Form::Tree(tree) => return tree.insert(entry),
        };
        if let Some(found) = run.find(member) {
            if !is_same_score(found.score, score) {
                run.remove(found.offset, 1);
                run.insert(run.seek(Place::Of(entry)).1, packable(&entry));
            }
            return Some(found.score);
        }
        let fits = limits.holds(run.len() + 1) && limits.admits(member) && run.has_room_for(member.len());
        if fits {
            run.insert(run.seek(Place::Of(entry)).1, packable(&entry));
            return None;
        }
        self.unpack().insert(entry)
    }

    /// Removes a member; returns the score that it had. O(log N), or O(N) if packed.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Packed(run) => {
                let found = run.find(member)?;
                run.remove(found.offset, 1);
                Some(found.score)
            }
            Form::Tree(tree) => {
                let score = tree.remove(member)?;
                self.give_up_empty_tree();
                Some(score)
            }
        }
    }

    /// Removes the members of these ranks, as far as there are such, and shows each before. O(log N) and O(1) for
    /// each. Tells how many there were.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, mut each: impl FnMut(Scored<'_>)) -> usize {
        let ranks = self.existing(ranks);
        let count = ranks.len();
        match &mut self.form {
            Form::Packed(run) => {
                let offset = run.offset_of(ranks.start);
                run.iter_from(offset).take(count).for_each(each);
                run.remove(offset, count);
            }
            Form::Tree(tree) => {
                tree.remove_ranks(ranks, &mut each);
                self.give_up_empty_tree();
            }
        }
        count
    }

    /// The members in order.
    pub fn iter(&self) -> Ascending<'_> {
        self.range(0..self.len())
    }

    /// The members of these ranks, as far as there are such, in order. O(log N) for the first (O(N) if packed), and
    /// O(1) for each further one.
    pub fn range(&self, ranks: Range<usize>) -> Ascending<'_> {
        let ranks = self.existing(ranks);
        match &self.form {
            Form::Packed(run) => Ascending::in_run(run, ranks),
            Form::Tree(tree) => Ascending::in_tree(tree, ranks),
        }
    }

    /// The same members in reverse order.
    pub fn range_back(&self, ranks: Range<usize>) -> Descending<'_> {
        let ranks = self.existing(ranks);
        match &self.form {
            Form::Packed(run) => Descending::in_run(run, ranks),
            Form::Tree(tree) => Descending::in_tree(tree, ranks),
        }
    }

    /// Shows `count` different members picked at random, or all if there are no more, in no order that tells anything.
    /// O(count log N), or O(N).
    pub fn sample<'a>(&'a self, count: usize, random: &mut Random, mut each: impl FnMut(Scored<'a>)) {
        let count = count.min(self.len());
        if self.is_packed() || count > self.len() / PASS_FACTOR {
            let mut choice = Choice::new(count, self.len());
            self.iter().filter(|_| choice.takes_next(random)).for_each(each);
            return;
        }
        for rank in numbers_below(self.len(), count, random) {
            each(self.get(rank).expect("it is below the number of members"));
        }
    }

    /// The ranks of the members with scores within these bounds. O(log N), or O(N) if packed.
    pub fn score_ranks(&self, (min, max): ScoreBounds) -> Range<usize> {
        let start = match min {
            Bound::Included(score) => self.rank_of(Place::BeforeScore(score)),
            Bound::Excluded(score) => self.rank_of(Place::BehindScore(score)),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(score) => self.rank_of(Place::BehindScore(score)),
            Bound::Excluded(score) => self.rank_of(Place::BeforeScore(score)),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// The ranks of the members within these bounds, if all have the same score; else it is of no use. O(log N), or
    /// O(N) if packed.
    pub fn lex_ranks(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let start = match min {
            LexBound::Least => 0,
            LexBound::Included(member) => self.rank_of(Place::BeforeMember(member)),
            LexBound::Excluded(member) => self.rank_of(Place::BehindMember(member)),
            LexBound::Greatest => self.len(),
        };
        let end = match max {
            LexBound::Least => 0,
            LexBound::Included(member) => self.rank_of(Place::BehindMember(member)),
            LexBound::Excluded(member) => self.rank_of(Place::BeforeMember(member)),
            LexBound::Greatest => self.len(),
        };
        start..end.max(start)
    }

    /// Shows about `count` members and returns the cursor for the next ones; 0 begins and ends. What stays a member
    /// from the first call to the last is shown, however the set changes in between. What is packed is shown at once.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Scored<'_>)) -> u64 {
        match &self.form {
            Form::Packed(run) => {
                run.iter().for_each(each);
                0
            }
            Form::Tree(tree) => {
                let next = MemberHash::try_from(cursor)
                    .ok()
                    .and_then(|hash| tree.scan(hash, count, &mut each));
                next.map_or(0, u64::from)
            }
        }
    }

    fn rank_of(&self, place: Place<'_>) -> usize {
        match &self.form {
            Form::Packed(run) => run.seek(place).0,
            Form::Tree(tree) => tree.rank_of(place),
        }
    }

    fn existing(&self, ranks: Range<usize>) -> Range<usize> {
        let end = ranks.end.min(self.len());
        ranks.start.min(end)..end
    }

    /// Makes a tree of what is packed.
    fn unpack(&mut self) -> &mut RankedTree {
        if let Form::Packed(run) = &self.form {
            self.form = Form::Tree(Box::new(RankedTree::from_sorted(run.iter())));
        }
        match &mut self.form {
            Form::Tree(tree) => tree,
            Form::Packed(_) => unreachable!("it was made a tree"),
        }
    }

    fn give_up_empty_tree(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// An entry as it is packed: a zero loses its sign there, as in Redis.
fn packable<'a>(entry: &Scored<'a>) -> Scored<'a> {
    let is_zero = is_same_score(entry.score, 0.0);
    Scored::new(entry.member, if is_zero { 0.0 } else { entry.score })
}

impl<'a> IntoIterator for &'a SortedSet {
    type Item = Scored<'a>;
    type IntoIter = Ascending<'a>;
    fn into_iter(self) -> Ascending<'a> {
        self.iter()
    }
}

impl Collection for SortedSet {
    fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(run) => run.heap_bytes(),
            Form::Tree(tree) => size_class(size_of::<RankedTree>()) + tree.heap_bytes(),
        }
    }

    fn is_void(&self) -> bool {
        self.is_empty()
    }

    fn elements(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        match self.form {
            Form::Packed(_) => "listpack",
            Form::Tree(_) => "skiplist",
        }
    }
}
