//! One key of a shard that is lent: the only way to an entry.

use super::Visit;
use super::entry::{Entry, EntryRef, Kind};
use super::events::Class;
use super::freshness::Freshness;
use super::generation::{DIRTY, Trust};
use super::hash::KeyHash;
use super::object::{ObjectRef, Stored};
use super::plain::PlainForm;
use super::shard::Shard;
use super::table::{Position, SLOT_BYTES};
use crate::values::random::Random;
use crate::values::stampede::refreshes_early;
use crate::values::text::{Text, canonical_integer};

/// The key holds another type of value than the command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

/// A key, looked up once. Dead entries were removed on the way; an entry of an earlier feed generation counts
/// as absent, since upstream may hold something newer.
pub struct Key<'s> {
    shard: &'s mut Shard,
    name: &'s [u8],
    hash: KeyHash,
    visit: Visit,
    position: Option<Position>,
    /// An entry that may not be served to this visit and is kept for others.
    hidden: Option<Position>,
    /// Of the entry, should it be packed: nobody outside the store sees it so.
    plain: PlainForm,
}

impl<'s> Key<'s> {
    /// Looks `name` up. O(1).
    #[inline]
    pub fn find(shard: &'s mut Shard, name: &'s [u8], hash: KeyHash, visit: Visit) -> Self {
        let position = shard.find(visit.db, hash, name);
        let mut key = Self {
            shard,
            name,
            hash,
            visit,
            position,
            hidden: None,
            plain: PlainForm::default(),
        };
        if let Some(position) = position {
            key.look_closer(position);
        }
        key
    }

    /// The entry of `name`, in a shard that is lent for looking only: nothing is counted or removed. It may be packed:
    /// see [`super::PlainForms`]. O(1).
    pub fn peek_in<'a>(shard: &'a Shard, name: &[u8], hash: KeyHash, visit: Visit) -> Option<EntryRef<'a>> {
        let entry = shard.entry(visit.db, shard.find(visit.db, hash, name)?);
        let dead = entry.deadline_ms().is_some_and(|at| at <= visit.now_ms);
        let is_sound = !dead && shard.settings().counts_as_current(entry);
        (is_sound || shard.serves_old(entry, visit)).then_some(entry)
    }

    /// The key itself.
    pub fn name(&self) -> &'s [u8] {
        self.name
    }

    /// Whether there is an entry.
    #[inline]
    pub fn exists(&self) -> bool {
        self.position.is_some()
    }

    /// The text, read for a client: counts a hit or a miss, and the hit for eviction. Fails if the key holds
    /// something else.
    #[inline]
    pub fn read(&mut self) -> Result<Option<Text<'_>>, WrongType> {
        self.probe();
        self.peek()
    }

    /// The structure, read for a client: otherwise like [`Key::read`].
    #[inline]
    pub fn read_as<T: Stored>(&mut self) -> Result<Option<&T>, WrongType> {
        self.probe();
        self.peek_as()
    }

    /// Counts a hit or a miss as [`Key::read`] does; tells which.
    #[inline]
    pub fn probe(&mut self) -> bool {
        let found = self.look();
        if let Some(position) = self.position {
            self.use_at(position);
        }
        found
    }

    /// Counts a hit or a miss, but no use for eviction: for what tells of an entry rather than of its value.
    #[inline]
    pub fn look(&mut self) -> bool {
        let found = self.look_quietly();
        if !found {
            self.notify(Class::MISS, "keymiss");
        }
        found
    }

    /// The same without telling of the miss: for what inspects the server rather than reads.
    #[inline]
    pub fn look_quietly(&mut self) -> bool {
        let totals = &mut self.shard.totals;
        let counter = if self.position.is_some() {
            &mut totals.hits
        } else {
            &mut totals.misses
        };
        *counter += 1;
        self.position.is_some()
    }

    /// Counts a use for eviction, but neither a hit nor a miss: what Redis does for a command that looks a key up
    /// to change it, and then leaves it.
    pub fn touch(&mut self) {
        if let Some(position) = self.position {
            self.use_at(position);
        }
    }

    /// The same, also for a client that wants its uses not to count: TOUCH asks for nothing else.
    pub fn touch_anyway(&mut self) {
        self.visit.touch = true;
        self.touch();
    }

    /// The text, without counting anything. Fails if the key holds something else.
    #[inline]
    pub fn peek(&self) -> Result<Option<Text<'_>>, WrongType> {
        let Some(entry) = self.stored() else {
            return Ok(None);
        };
        let text = entry.text().or_else(|| self.plain.of(entry).text());
        text.ok_or(WrongType).map(Some)
    }

    /// The structure, without counting anything. Fails if the key holds something else.
    #[inline]
    pub fn peek_as<T: Stored>(&self) -> Result<Option<&T>, WrongType> {
        match self.stored() {
            Some(entry) => entry.get().ok_or(WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// The entry, for what inspects rather than reads.
    #[inline]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.stored().map(|entry| self.plain.of(entry))
    }

    /// When the entry dies, in Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.stored().and_then(EntryRef::deadline_ms)
    }

    /// Bytes that the entry takes as it is stored, its allocations and its slot in the table.
    pub fn used_bytes(&self) -> Option<usize> {
        self.stored().map(|entry| entry.allocated_bytes() + SLOT_BYTES)
    }

    /// Redis's name for the type of the value.
    pub fn type_name(&self) -> Option<&'static str> {
        self.stored().map(EntryRef::type_name)
    }

    /// The entry as it stands.
    #[inline]
    fn stored(&self) -> Option<EntryRef<'_>> {
        self.position
            .map(|position| self.shard.entry(self.visit.db, position))
    }

    /// Redis's name for the value's encoding.
    pub fn encoding(&self) -> Option<&'static str> {
        /// Longest text that Redis stores in one piece with its header.
        const EMBEDDED_MAX: usize = 44;
        let entry = self.entry()?;
        Some(match (entry.kind(), entry.text()) {
            (Kind::Int, _) => "int",
            (_, Some(text)) if entry.is_edited() || text.len() > EMBEDDED_MAX => "raw",
            (_, Some(_)) => "embstr",
            (_, None) => entry.object().map_or("", ObjectRef::encoding),
        })
    }

    /// Stores `value`; bytes that are a canonical integer become one.
    #[inline]
    pub fn set(&mut self, value: &[u8], deadline_ms: Option<u64>) {
        let value = canonical_integer(value).map_or(Text::Bytes(value), Text::Int);
        self.put(value, deadline_ms);
    }

    /// Stores an integer.
    pub fn set_integer(&mut self, value: i64, deadline_ms: Option<u64>) {
        self.put(Text::Int(value), deadline_ms);
    }

    /// Stores `value` as it is.
    #[inline]
    pub fn put(&mut self, value: Text<'_>, deadline_ms: Option<u64>) {
        let Visit { db, now_ms, .. } = self.visit;
        if self.stored().is_some_and(EntryRef::is_object) {
            self.overwrite(Entry::new(self.name, value, deadline_ms));
        } else if let Some(position) = self.position {
            self.shard.replace(db, position, value, deadline_ms, now_ms);
            self.shard.touch(db, position, now_ms);
        } else {
            self.create(Entry::new(self.name, value, deadline_ms));
        }
        self.changed();
    }

    /// Stores `bytes` as the outcome of an edit, which Redis reports as encoding `raw`.
    pub fn put_edited(&mut self, bytes: &[u8], deadline_ms: Option<u64>) {
        self.put(Text::Bytes(bytes), deadline_ms);
        let Visit { db, now_ms, .. } = self.visit;
        let position = self.position.expect("the entry was just stored");
        self.shard.change(db, position, now_ms, |entry| {
            entry.edit(0);
        });
    }

    /// Changes the structure in place; `change` gives its result and how many changes it made. If it made any,
    /// `event` is told unless it is empty; a structure that is void then is removed. `None` if there is no entry; fails
    /// if the key holds something else.
    pub fn update<T: Stored, R>(
        &mut self,
        event: &str,
        change: impl FnOnce(&mut T) -> (R, u64),
    ) -> Result<Option<R>, WrongType> {
        let Some(position) = self.position else {
            return Ok(None);
        };
        if self.peek_as::<T>()?.is_none() {
            return Ok(None);
        }
        self.use_at(position);
        let (result, changes, is_void) = self.change_object::<T, R>(position, change);
        if changes > 0 {
            self.shard.totals.changes += changes - 1;
            self.changed();
            self.notify(T::CLASS, event);
        }
        if is_void {
            self.remove_void();
        }
        Ok(Some(result))
    }

    /// The same, for a key that is created if it is not there. A structure that is void afterwards was never there.
    pub fn upsert<T: Stored, R>(
        &mut self,
        event: &str,
        change: impl FnOnce(&mut T) -> (R, u64),
    ) -> Result<R, WrongType> {
        if self.position.is_some() {
            let result = self.update(event, change)?;
            return Ok(result.expect("the entry exists"));
        }
        let mut value = Box::<T>::default();
        let (result, changes) = change(&mut value);
        if !value.is_void() {
            self.create(Entry::of_object(self.name, value.into_object(), None));
            self.shard.totals.changes += changes.saturating_sub(1);
            self.changed();
            self.notify(T::CLASS, event);
        }
        Ok(result)
    }

    /// Stores a structure, whatever the key holds, without a deadline, and tells `event`. One that is void removes the
    /// key instead.
    pub fn store_value<T: Stored>(&mut self, event: &str, value: T) {
        if value.is_void() {
            self.remove_for_client();
            return;
        }
        self.overwrite(Entry::of_object(self.name, Box::new(value).into_object(), None));
        self.changed();
        self.notify(T::CLASS, event);
    }

    /// Tells of an event of this key, if anybody listens.
    #[inline]
    pub fn notify(&self, class: Class, event: &str) {
        self.shard.notice(self.visit.db, self.name, class, event);
    }

    /// Randomness that differs from call to call.
    pub fn random(&mut self) -> Random {
        Random::new(self.shard.random.bits())
    }

    /// Stores a new entry that bears this key. The key counts as created only if it held nothing.
    fn overwrite(&mut self, entry: Entry) {
        if self.discard() {
            let Visit { db, now_ms, .. } = self.visit;
            self.position = Some(self.shard.insert(db, self.hash, entry, now_ms));
        } else {
            self.create(entry);
        }
    }

    /// Stores a new entry that bears this key. The key counts as created, whatever it held.
    pub fn place(&mut self, entry: Entry) {
        self.discard();
        self.create(entry);
        self.changed();
    }

    /// Has the policy in force see the entry as last used so long ago or as used so often, as far as it keeps that.
    pub fn set_use(&mut self, idle_ms: Option<u64>, frequency: Option<u8>) {
        let Some(position) = self.position else { return };
        let (policy, now_ms) = (self.shard.settings().policy(), self.visit.now_ms);
        let by_time = idle_ms.and_then(|idle_ms| policy.rank_of_idle(idle_ms, now_ms));
        let by_count = frequency.and_then(|frequency| policy.rank_of_frequency(frequency, now_ms));
        if let Some(rank) = by_time.or(by_count) {
            self.shard.set_rank(self.visit.db, position, rank);
        }
    }

    /// Stores an entry that bears this key: one that was taken from another database, or copied for this key. The key
    /// counts as created, whatever it held.
    pub fn adopt(&mut self, entry: Entry) {
        debug_assert_eq!(
            entry.view().key(),
            self.name,
            "an entry is stored under its own key"
        );
        let Visit { db, now_ms, .. } = self.visit;
        self.discard();
        self.discard_hidden();
        self.position = Some(self.shard.adopt(db, self.hash, entry, now_ms));
        self.notify(Class::NEW, "new");
        self.changed();
    }

    /// Lends the text's bytes for editing, grown with zero bytes to at least `len`; an absent key is created,
    /// and something else than a text is lost: see to it before.
    pub fn edit<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        self.edit_counted(len, |bytes| (edit(bytes), 1))
    }

    /// The same for an edit that tells how many changes it made: writing what was there already is none.
    pub fn edit_counted<R>(&mut self, len: usize, edit: impl FnOnce(&mut [u8]) -> (R, u64)) -> R {
        let Visit { db, now_ms, .. } = self.visit;
        let position = self
            .position
            .unwrap_or_else(|| self.create(Entry::new(self.name, Text::Bytes(b""), None)));
        self.use_at(position);
        self.keep_plain(position);
        let (result, changes) = self
            .shard
            .change(db, position, now_ms, |entry| edit(entry.edit(len)));
        if changes > 0 {
            self.shard.totals.changes += changes - 1;
            self.changed();
        }
        result
    }

    /// Sets or clears the deadline of an entry that exists.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        let Some(position) = self.position else { return };
        let Visit { db, now_ms, .. } = self.visit;
        self.plain.forget();
        self.shard
            .change(db, position, now_ms, |entry| entry.set_deadline(deadline_ms));
        self.changed();
    }

    /// Removes the entry and hands it over.
    pub fn take(&mut self) -> Option<Entry> {
        let position = self.position.take()?;
        self.plain.forget();
        self.changed();
        Some(self.shard.remove(self.visit.db, position))
    }

    /// Removes the entry; tells whether there was one. What is large is freed aside.
    pub fn remove(&mut self) -> bool {
        let removed = self.discard();
        if removed {
            self.changed();
        }
        removed
    }

    /// The same because a client asked for it: tells of the event "del".
    pub fn remove_for_client(&mut self) -> bool {
        let removed = self.remove();
        if removed {
            self.notify(Class::GENERIC, "del");
        }
        removed
    }

    /// The same key in another database.
    pub fn in_database(&mut self, db: usize) -> Key<'_> {
        Key::find(self.shard, self.name, self.hash, Visit { db, ..self.visit })
    }

    /// Whether the key is known not to exist, though it may be a copy of something: it was removed here and upstream
    /// does not know yet, or upstream was found not to have it, a short while ago.
    pub fn is_known_missing(&mut self) -> bool {
        let Visit { db, now_ms, .. } = self.visit;
        self.shard.is_dirty(db, self.name)
            || self
                .shard
                .known_absent()
                .is_some_and(|absent| absent.is_missing(db, self.name, now_ms))
    }

    /// Adds the entry, which is not there.
    #[inline]
    fn create(&mut self, entry: Entry) -> Position {
        let Visit { db, now_ms, .. } = self.visit;
        self.discard_hidden();
        let position = self.shard.insert(db, self.hash, entry, now_ms);
        self.position = Some(position);
        self.notify(Class::NEW, "new");
        position
    }

    /// Changes the structure at `position`, which holds one of this type, and keeps the books.
    #[inline]
    fn change_object<T: Stored, R>(
        &mut self,
        position: Position,
        change: impl FnOnce(&mut T) -> (R, u64),
    ) -> (R, u64, bool) {
        let Visit { db, now_ms, .. } = self.visit;
        self.shard.change(db, position, now_ms, |entry| {
            let value = entry.get_mut::<T>().expect("the type was looked at");
            let (result, changes) = change(value);
            let is_void = value.is_void();
            entry.note_field_deadlines();
            (result, changes, is_void)
        })
    }

    /// Has the entry at `position` hold its text unpacked, which is about to be edited.
    #[inline]
    fn keep_plain(&mut self, position: Position) {
        let Visit { db, now_ms, .. } = self.visit;
        if self.shard.entry(db, position).is_packed() {
            let plain = &mut self.plain;
            self.shard
                .change(db, position, now_ms, |entry| *entry = plain.take(entry.view()));
        }
    }

    /// Removes a structure that has become void.
    #[cold]
    fn remove_void(&mut self) {
        self.discard();
        self.notify(Class::GENERIC, "del");
    }

    /// Removes the entry, without a word to anybody; tells whether there was one.
    fn discard(&mut self) -> bool {
        let Some(position) = self.position.take() else {
            return false;
        };
        self.plain.forget();
        let entry = self.shard.remove(self.visit.db, position);
        self.shard.discard(entry);
        true
    }

    #[inline]
    fn use_at(&mut self, position: Position) {
        if self.visit.touch {
            self.shard.touch(self.visit.db, position, self.visit.now_ms);
        }
    }

    /// Removes the entry at `position` if it is dead, or what of it is, and decides whether this visit may be served
    /// one that is not sound.
    #[inline]
    fn look_closer(&mut self, position: Position) {
        let entry = self.shard.entry(self.visit.db, position);
        let settings = self.shard.settings();
        let is_due = |at: u64| at <= self.visit.now_ms.saturating_add(settings.early_window_ms());
        if entry.due_ms().is_some_and(is_due) {
            self.judge_deadline(position);
        } else if entry.generation() != settings.generations.current() {
            self.judge_generation(position);
        }
    }

    /// Removes what is dead of the entry at `position`, unless a dead copy may be served; wishes for what will be
    /// dead soon.
    #[cold]
    fn judge_deadline(&mut self, position: Position) {
        let Visit {
            db,
            now_ms,
            freshness,
            ..
        } = self.visit;
        let entry = self.shard.entry(db, position);
        let left_ms = entry.due_ms().map_or(i64::MAX, |at| at as i64 - now_ms as i64);
        let dies_whole = entry.deadline_ms() == entry.due_ms();
        let rules = self.shard.rules_of(db, position);
        if left_ms > 0 {
            let lead_ms = rules.early_refresh_ms;
            let is_early = freshness > Freshness::Sound && lead_ms > 0 && dies_whole;
            if is_early && refreshes_early(left_ms as u64, lead_ms, self.shard.random.bits()) {
                self.shard.wish(db, self.name);
            }
        } else if dies_whole && rules.serves_dead(left_ms.unsigned_abs(), freshness) {
            self.serve_stale(freshness == Freshness::Lenient);
        } else if !self.shard.remove_dead(db, position, now_ms, usize::MAX) {
            self.position = None;
            return;
        }
        if self.shard.entry(db, position).generation() != self.shard.settings().generations.current() {
            self.judge_generation(position);
        }
    }

    /// Decides on the entry at `position`, which is of an earlier generation, or upstream does not know it yet.
    #[cold]
    fn judge_generation(&mut self, position: Position) {
        let Visit {
            db,
            now_ms,
            freshness,
            ..
        } = self.visit;
        let generation = self.shard.entry(db, position).generation();
        if generation == DIRTY {
            return;
        }
        let rules = self.shard.rules_of(db, position);
        let settings = self.shard.settings();
        let is_cut = settings.is_cut();
        match settings.generations.trust(generation, &rules) {
            Trust::Sound => self.shard.renew(db, position),
            Trust::Suspect { since_ms } => {
                let age_ms = now_ms.saturating_sub(since_ms);
                if rules.serves_suspect(age_ms, freshness, is_cut) {
                    self.serve_stale(freshness == Freshness::Lenient && !is_cut);
                } else if freshness > Freshness::Sound && rules.keeps_suspect(age_ms) {
                    self.hidden = self.position.take();
                } else {
                    self.discard();
                }
            }
            Trust::Void => _ = self.discard(),
        }
    }

    /// The visit is served what is not sound; `wishes` that it be fetched anew.
    fn serve_stale(&mut self, wishes: bool) {
        self.shard.totals.stale_served += 1;
        if wishes {
            self.shard.wish(self.visit.db, self.name);
        }
    }

    /// Removes an entry that is not shown to this visit.
    #[inline]
    fn discard_hidden(&mut self) {
        if let Some(position) = self.hidden.take() {
            self.position = Some(position);
            self.discard();
        }
    }

    #[inline]
    fn changed(&mut self) {
        self.shard.totals.changes += 1;
        self.shard.note_change(self.visit.db, self.name);
        if self.visit.defers {
            // Its state is noted and carried next, which wants it plain.
            if let Some(position) = self.position {
                self.keep_plain(position);
            }
            self.shard.touch_dirty(self.visit.db, self.name, self.position);
        }
    }
}
