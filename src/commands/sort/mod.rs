//! SORT and `SORT_RO`.
//!
//! The names of the keys that BY and GET mean follow from the elements. So the elements are copied first; then all
//! keys are locked together, and if the elements are still the same, values are read and a result is stored as one
//! step. This is bounded: for more than [`SORT_LOOKUPS_MAX`] elements and lookups the elements are those of one
//! moment, each value that is looked up is that of a moment of its own, and only the elements are looked at again
//! before the result is stored. Where elements are never the same when they are looked at again, it is all done while
//! nobody else can change them. Where nothing is looked up or stored, no lock is held while elements are sorted.

mod options;
mod order;
mod pattern;

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::limits::{SORT_LOOKUPS_MAX, SORT_ROUNDS_MAX};
use crate::store::{Key, KeyHash, LockedShards, Store, Visit};
use crate::values::hash::Hash;
use crate::values::list::{ChunkLimit, End, List};
use crate::values::set::Set;
use crate::values::short_bytes::ShortBytes;
use crate::values::sorted_set::SortedSet;
use crate::values::text::{INTEGER_BYTES_MAX, Text};
use options::{By, SortOptions};
use order::{Wanted, by_bytes, by_number, by_text, number};
use pattern::{KeyPattern, Pattern};

/// Keys whose names follow from the elements, which nobody can tell from the request.
const OF_PATTERNS: Keys = key_at(usize::MAX, READ).secretive();
const DESTINATION: Keys = key_of_option("STORE", 2, &[("LIMIT", 2), ("BY", 1), ("GET", 1)], OVERWRITE);

/// What may be sorted.
const DATA: Categories = SET_CATEGORY
    .or(SORTED_SET_CATEGORY)
    .or(LIST_CATEGORY)
    .or(DANGEROUS_CATEGORY);

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("SORT", -2, "key [BY pattern@1] [LIMIT offset count] [GET pattern@1 [GET pattern@1 ...]] order=[ASC | DESC] [sorting=ALPHA] [STORE destination@2]",
                 &[key_at(1, READ), OF_PATTERNS, DESTINATION], WRITE.or(GROWS).or(RELAYED), "1.0.0",
                 "O(N*log(N)) in the elements, plus one lookup for each pattern and element", Handler::Session(sort),
                 "Sorts a list, set or sorted set, tells the outcome or stores it.")
        .in_categories(DATA),
    Command::new("SORT_RO", -2, "key [BY pattern@1] [LIMIT offset count] [GET pattern@1 [GET pattern@1 ...]] order=[ASC | DESC] [sorting=ALPHA]",
                 &[key_at(1, READ), OF_PATTERNS], READONLY.or(RELAYED), "7.0.0",
                 "O(N*log(N)) in the elements, plus one lookup for each pattern and element", Handler::Session(sort_ro),
                 "Sorts a list, set or sorted set and tells the outcome.")
        .in_categories(DATA),
];

fn sort(call: &mut SessionCall<'_>) -> Result {
    let options = SortOptions::parse(&mut call.args, true)?;
    run(call, &options)
}

fn sort_ro(call: &mut SessionCall<'_>) -> Result {
    let options = SortOptions::parse(&mut call.args, false)?;
    run(call, &options)
}

fn run(call: &mut SessionCall<'_>, options: &SortOptions<'_>) -> Result {
    let sorter = Sorter {
        options,
        store: &call.services.store,
        visit: call.visit,
        chunks: ChunkLimit::from_setting(call.services.config.load().encodings.list_packed_size.into()),
    };
    match sorter.run()? {
        Outcome::Told(values) => {
            call.reply.array(values.len());
            for value in values {
                match value {
                    Some(bytes) => call.reply.bulk(&bytes),
                    None => call.reply.null(),
                }
            }
        }
        Outcome::Stored(len) => call.reply.integer(len as i64),
    }
    Ok(())
}

/// One run of SORT.
struct Sorter<'c> {
    options: &'c SortOptions<'c>,
    store: &'c Store,
    visit: Visit,
    chunks: ChunkLimit,
}

/// What SORT replies with.
enum Outcome {
    /// The elements, or the values that GET asks for.
    Told(Vec<Option<ShortBytes>>),
    /// How many of those were stored.
    Stored(usize),
}

/// What is sorted, at one moment.
#[derive(PartialEq)]
struct Source {
    elements: Vec<ShortBytes>,
    /// Whether these are the elements wanted, in the order wanted.
    is_sorted: bool,
}

/// How keys are reached.
enum Reach<'s> {
    /// The shards of all that are needed are locked.
    Together(LockedShards<'s>),
    /// Each is locked when its turn comes.
    Singly,
}

impl Sorter<'_> {
    fn run(&self) -> Result<Outcome> {
        let mut source = self.with_key(&mut Reach::Singly, self.options.source, |key| {
            key.probe();
            self.source(key)
        })?;
        for _ in 0..SORT_ROUNDS_MAX {
            let mut reach = self.reach_for(&source);
            if self.has_changed(&mut source, &mut reach)? {
                continue;
            }
            let values = self.values(&source, &mut reach)?;
            let Some(destination) = self.options.destination else {
                return Ok(Outcome::Told(values));
            };
            if matches!(reach, Reach::Singly) {
                reach = self.lock_ends();
                if self.has_changed(&mut source, &mut reach)? {
                    continue;
                }
            }
            return Ok(self.store(destination, &values, &mut reach));
        }
        self.run_against_changes()
    }

    /// For elements that change all the time: they can't while everything is locked.
    fn run_against_changes(&self) -> Result<Outcome> {
        let mut reach = if self.options.lookups().next().is_some() {
            Reach::Together(self.store.lock_all())
        } else {
            self.lock_ends()
        };
        let source = self.with_key(&mut reach, self.options.source, |key| self.source(key))?;
        let values = self.values(&source, &mut reach)?;
        Ok(match self.options.destination {
            Some(destination) => self.store(destination, &values, &mut reach),
            None => Outcome::Told(values),
        })
    }

    /// What the key holds, in the order in which it holds it.
    fn source(&self, key: &Key<'_>) -> Result<Source> {
        let Some(entry) = key.entry() else {
            return Ok(Source {
                elements: Vec::new(),
                is_sorted: true,
            });
        };
        if let Some(list) = entry.get::<List>() {
            return Ok(self.source_of_list(list));
        }
        if let Some(set) = entry.get::<Set>() {
            return Ok(self.source_of_set(set));
        }
        let sorted_set = entry.get::<SortedSet>().ok_or(Error::WrongType)?;
        Ok(self.source_of_sorted_set(sorted_set))
    }

    fn source_of_list(&self, list: &List) -> Source {
        let len = list.len();
        let range = self.options.range(len);
        let is_sorted = matches!(self.options.by, By::Nothing);
        let elements = match (is_sorted, self.options.descending) {
            (false, _) => list.iter().map(ShortBytes::from).collect(),
            (true, false) => list.range(range).map(ShortBytes::from).collect(),
            (true, true) => list
                .range_back(len - range.end..len - range.start)
                .map(ShortBytes::from)
                .collect(),
        };
        Source { elements, is_sorted }
    }

    fn source_of_sorted_set(&self, set: &SortedSet) -> Source {
        let len = set.len();
        let range = self.options.range(len);
        let is_sorted = matches!(self.options.by, By::Nothing);
        let elements = match (is_sorted, self.options.descending) {
            (false, _) => set.iter().map(|scored| scored.member.into()).collect(),
            (true, false) => set.range(range).map(|scored| scored.member.into()).collect(),
            (true, true) => set
                .range_back(len - range.end..len - range.start)
                .map(|scored| scored.member.into())
                .collect(),
        };
        Source { elements, is_sorted }
    }

    /// A set that is stored as a list without being sorted is sorted after all, so that the list is always the same.
    fn source_of_set(&self, set: &Set) -> Source {
        let is_sorted = matches!(self.options.by, By::Nothing) && self.options.destination.is_none();
        let range = if is_sorted {
            self.options.range(set.len())
        } else {
            0..set.len()
        };
        let member = |member: Text<'_>| member.as_bytes(&mut [0; INTEGER_BYTES_MAX]).into();
        let elements = set
            .iter()
            .skip(range.start)
            .take(range.len())
            .map(member)
            .collect();
        Source { elements, is_sorted }
    }

    /// Locks all that the elements lead to, unless that is too much or nothing.
    fn reach_for(&self, source: &Source) -> Reach<'_> {
        let patterns = self.options.lookups().count();
        let lookups = source.elements.len().saturating_mul(patterns.max(1));
        if lookups > SORT_LOOKUPS_MAX || patterns == 0 && self.options.destination.is_none() {
            return Reach::Singly;
        }
        let mut hashes = self.ends();
        for pattern in self.options.lookups() {
            let names = source.elements.iter().map(|element| pattern.name_for(element));
            hashes.extend(names.map(|name| self.store.hash(&name)));
        }
        Reach::Together(self.store.lock_all_of(&hashes))
    }

    /// Locks source and destination.
    fn lock_ends(&self) -> Reach<'_> {
        Reach::Together(self.store.lock_all_of(&self.ends()))
    }

    fn ends(&self) -> Vec<KeyHash> {
        let ends = [Some(self.options.source), self.options.destination];
        ends.into_iter()
            .flatten()
            .map(|name| self.store.hash(name))
            .collect()
    }

    /// Looks whether the elements are others than when they were copied, now that they are locked; then these are
    /// taken.
    fn has_changed(&self, source: &mut Source, reach: &mut Reach<'_>) -> Result<bool> {
        if matches!(reach, Reach::Singly) {
            return Ok(false);
        }
        let now = self.with_key(reach, self.options.source, |key| self.source(key))?;
        let has_changed = now != *source;
        *source = now;
        Ok(has_changed)
    }

    /// The elements wanted, or the values wanted of them, in order.
    fn values(&self, source: &Source, reach: &mut Reach<'_>) -> Result<Vec<Option<ShortBytes>>> {
        let wanted: Vec<&[u8]> = if source.is_sorted {
            source.elements.iter().map(|element| &**element).collect()
        } else {
            self.sorted(&source.elements, reach)?
        };
        if self.options.gets.is_empty() {
            return Ok(wanted.into_iter().map(|element| Some(element.into())).collect());
        }
        let mut values = Vec::with_capacity(wanted.len());
        for element in wanted {
            for pattern in &self.options.gets {
                values.push(match pattern {
                    Pattern::Element => Some(element.into()),
                    Pattern::Nothing => None,
                    Pattern::Key(pattern) => self.value(pattern, element, reach),
                });
            }
        }
        Ok(values)
    }

    /// The elements wanted, in order.
    fn sorted<'e>(&self, elements: &'e [ShortBytes], reach: &mut Reach<'_>) -> Result<Vec<&'e [u8]>> {
        let wanted = Wanted {
            range: self.options.range(elements.len()),
            descending: self.options.descending,
        };
        match self.options.by {
            By::Key(pattern) => {
                let weights = elements
                    .iter()
                    .map(|element| self.value(&pattern, element, reach));
                if self.options.alpha {
                    return Ok(by_text(elements, weights.collect(), &wanted));
                }
                let numbers = weights.map(|weight| weight.map_or(Some(0.0), |text| number(&text)));
                // All keys are looked up, also behind a weight that is no number.
                let numbers: Vec<Option<f64>> = numbers.collect();
                let numbers: Option<Vec<f64>> = numbers.into_iter().collect();
                Ok(by_number(elements, numbers.ok_or(Error::SORT_WEIGHT)?, &wanted))
            }
            By::Element if !self.options.alpha => {
                let numbers: Option<Vec<f64>> = elements.iter().map(|element| number(element)).collect();
                Ok(by_number(elements, numbers.ok_or(Error::SORT_WEIGHT)?, &wanted))
            }
            By::Element | By::Nothing => Ok(by_bytes(elements, &wanted)),
        }
    }

    /// The text, or the field's value, that a pattern leads to.
    fn value(&self, pattern: &KeyPattern<'_>, element: &[u8], reach: &mut Reach<'_>) -> Option<ShortBytes> {
        let name = pattern.name_for(element);
        self.with_key(reach, &name, |key| {
            let Some(field) = pattern.field else {
                let text = key.read().ok()??;
                return Some(text.as_bytes(&mut [0; INTEGER_BYTES_MAX]).into());
            };
            let field = key.read_as::<Hash>().ok()??.field(field)?;
            let is_alive = field.deadline_ms.is_none_or(|at| at > self.visit.now_ms);
            is_alive.then(|| field.value.into())
        })
    }

    /// Stores the values as a list; what has no value is empty there.
    fn store(&self, destination: &[u8], values: &[Option<ShortBytes>], reach: &mut Reach<'_>) -> Outcome {
        let mut list = List::default();
        for value in values {
            list.push(End::Back, value.as_deref().unwrap_or_default(), self.chunks);
        }
        self.with_key(reach, destination, |key| key.store_value("sortstore", list));
        Outcome::Stored(values.len())
    }

    fn with_key<R>(&self, reach: &mut Reach<'_>, name: &[u8], work: impl FnOnce(&mut Key<'_>) -> R) -> R {
        let hash = self.store.hash(name);
        match reach {
            Reach::Together(shards) => work(&mut Key::find(shards.of(hash), name, hash, self.visit)),
            Reach::Singly => work(&mut Key::find(&mut self.store.lock(hash), name, hash, self.visit)),
        }
    }
}
