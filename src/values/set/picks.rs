//! Members chosen at random, each with the same chance.

use super::{Repr, Set, SetLimits};
use crate::values::packed::Packed;
use crate::values::random::{Choice, Random, numbers_below};
use crate::values::short_bytes::ShortBytes;
use crate::values::table::Table;
use crate::values::text::Text;

/// A table from which so many times more is taken than is left is made anew from what is left, as in Redis.
const REMAKE_FACTOR: usize = 5;

/// Of a table, one of so many members or more are found by going through it, as fewer are by drawing numbers.
const PASS_FACTOR: usize = 3;

impl Set {
    /// One member. O(1), as what is packed is bounded.
    pub fn random(&self, random: &mut Random) -> Option<Text<'_>> {
        if self.is_empty() {
            return None;
        }
        let at = random.below(self.len());
        Some(match &self.0 {
            Repr::Ints(ints) => Text::Int(ints.get(at)),
            Repr::Packed(packed) => Text::Bytes(packed.get(at)?),
            Repr::Table(table) => Text::Bytes(table.get(at)),
        })
    }

    /// Tells `count` different members, or all if there are not more. O(members), or O(count) where that is much less.
    pub fn sample<'a>(&'a self, count: usize, random: &mut Random, mut tell: impl FnMut(Text<'a>)) {
        match &self.0 {
            Repr::Table(table) if count < self.len() / PASS_FACTOR => {
                for at in numbers_below(table.len(), count, random) {
                    tell(Text::Bytes(table.get(at)));
                }
            }
            _ => {
                let mut choice = Choice::new(count, self.len());
                self.iter().filter(|_| choice.takes_next(random)).for_each(tell);
            }
        }
    }

    /// Removes one member, which it tells before; tells whether there was one. O(1).
    pub fn pop(&mut self, random: &mut Random, tell: impl FnOnce(Text<'_>)) -> bool {
        if self.is_empty() {
            return false;
        }
        let at = random.below(self.len());
        match &mut self.0 {
            Repr::Ints(ints) => {
                tell(Text::Int(ints.get(at)));
                ints.remove_at(at);
            }
            Repr::Packed(packed) => {
                let offset = packed.offset_of(at);
                tell(Text::Bytes(packed.get_at(offset).0));
                packed.remove_at(offset, 1);
            }
            Repr::Table(table) => tell(Text::Bytes(&table.remove_at(at))),
        }
        true
    }

    /// Removes `count` members, or all if there are not more, and tells them. O(count), as what is no table is bounded.
    /// A table of which little is left takes the representation of a new set, within `limits`.
    pub fn pop_many(
        &mut self,
        count: usize,
        limits: SetLimits,
        random: &mut Random,
        mut tell: impl FnMut(Text<'_>),
    ) {
        let count = count.min(self.len());
        let left = self.len() - count;
        let mut choice = Choice::new(count, self.len());
        match &mut self.0 {
            Repr::Ints(ints) => ints.retain(|value| {
                let taken = choice.takes_next(random);
                if taken {
                    tell(Text::Int(value));
                }
                !taken
            }),
            Repr::Packed(packed) => {
                let (taken, kept): (Packed, Packed) = split(packed, || choice.takes_next(random));
                *packed = kept;
                taken.iter().for_each(|member| tell(Text::Bytes(member)));
            }
            Repr::Table(table) if left.saturating_mul(REMAKE_FACTOR) > count => {
                for _ in 0..count {
                    tell(Text::Bytes(&table.remove_at(random.below(table.len()))));
                }
            }
            Repr::Table(table) => {
                let kept = take_some(table, left, limits, random);
                table.iter().for_each(|member| tell(Text::Bytes(member)));
                *self = kept;
            }
        }
    }
}

/// The members that `takes` is true for, and the others.
fn split(packed: &Packed, mut takes: impl FnMut() -> bool) -> (Packed, Packed) {
    let (mut taken, mut kept) = (Packed::new(), Packed::new());
    for member in packed {
        let side = if takes() { &mut taken } else { &mut kept };
        side.push(member);
    }
    (taken, kept)
}

/// Takes `count` members out into a new set.
fn take_some(table: &mut Table<ShortBytes>, count: usize, limits: SetLimits, random: &mut Random) -> Set {
    let mut taken = Set::new();
    for _ in 0..count {
        let member = table.remove_at(random.below(table.len()));
        taken.add(&member, limits);
    }
    taken
}
