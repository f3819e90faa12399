//! Packed texts, unpacked for as long as somebody looks at them.

use std::cell::OnceCell;

use super::entry::{Entry, EntryRef};

/// The plain form of one key's entry, made when it is first asked for.
#[derive(Default)]
pub struct PlainForm(OnceCell<Entry>);

impl PlainForm {
    /// The entry with its text unpacked: itself if it is not packed. The first time linear in a packed value.
    #[inline]
    pub fn of<'a>(&'a self, entry: EntryRef<'a>) -> EntryRef<'a> {
        if entry.is_packed() {
            self.unpacked(entry)
        } else {
            entry
        }
    }

    /// Takes the plain form of a packed entry.
    pub fn take(&mut self, entry: EntryRef<'_>) -> Entry {
        let mut plain = self.0.take().unwrap_or_else(|| entry.unpacked());
        // It may have been used since somebody looked at it.
        plain.set_rank(entry.rank());
        plain
    }

    /// Forgets the form: the entry has changed.
    #[inline]
    pub fn forget(&mut self) {
        self.0.take();
    }

    #[cold]
    fn unpacked<'a>(&'a self, entry: EntryRef<'a>) -> EntryRef<'a> {
        self.0.get_or_init(|| entry.unpacked()).view()
    }
}

/// The plain forms of several keys' entries, by the keys' numbers.
#[derive(Default)]
pub struct PlainForms(OnceCell<Box<[PlainForm]>>);

impl PlainForms {
    /// The same as [`PlainForm::of`] for the entry of the `index`th of `keys` keys. Allocates only for packed entries.
    #[inline]
    pub fn of<'a>(&'a self, index: usize, keys: usize, entry: EntryRef<'a>) -> EntryRef<'a> {
        if entry.is_packed() {
            let forms = self
                .0
                .get_or_init(|| (0..keys).map(|_| PlainForm::default()).collect());
            forms[index].of(entry)
        } else {
            entry
        }
    }

    /// Forgets all forms: entries may change.
    #[inline]
    pub fn forget(&mut self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rdb::Decoded;
    use crate::store::{Key, Store, Visit};
    use crate::values::compression::{self, Method};
    use crate::values::hash::Hash;
    use crate::values::text::Text;

    const VISIT: Visit = Visit::new(0, 1_000);

    fn text() -> Vec<u8> {
        b"some text ".repeat(50)
    }

    fn with_key<R>(store: &Store, name: &[u8], work: impl FnOnce(&mut Key<'_>) -> R) -> R {
        let hash = store.hash(name);
        work(&mut Key::find(&mut store.lock(hash), name, hash, VISIT))
    }

    /// A store in which the key "k" holds the text packed.
    fn filled(deadline_ms: Option<u64>) -> Store {
        let store = Store::new(2);
        let text = text();
        let value = Decoded::of_bytes(&text).packed(Method::Lz4, 0);
        with_key(&store, b"k", |key| {
            key.place(value.into_entry(b"k", deadline_ms));
            assert!(key.used_bytes().unwrap() < text.len() / 2);
        });
        store
    }

    fn read(store: &Store, name: &[u8]) -> Option<Vec<u8>> {
        with_key(store, name, |key| match key.read().unwrap()? {
            Text::Bytes(bytes) => Some(bytes.to_vec()),
            Text::Int(_) => panic!("the text is no integer"),
        })
    }

    #[test]
    fn a_key_shows_a_packed_text_plain_and_leaves_it_packed() {
        let store = filled(Some(5_000));
        with_key(&store, b"k", |key| {
            let used_bytes = key.used_bytes();
            assert_eq!(key.read(), Ok(Some(Text::Bytes(&text()))));
            assert_eq!(key.peek(), Ok(Some(Text::Bytes(&text()))));
            assert!(key.read_as::<Hash>().is_err());
            let entry = key.entry().unwrap();
            assert_eq!(entry.text(), Some(Text::Bytes(&text()[..])));
            assert_eq!(
                (entry.deadline_ms(), key.deadline_ms()),
                (Some(5_000), Some(5_000))
            );
            assert_eq!((key.encoding(), key.type_name()), (Some("raw"), Some("string")));
            assert_eq!(key.used_bytes(), used_bytes);
        });
    }

    #[test]
    fn a_new_deadline_is_seen_at_once_and_unpacks_nothing() {
        let store = filled(None);
        with_key(&store, b"k", |key| {
            assert_eq!(key.entry().unwrap().deadline_ms(), None);
            for deadline_ms in [Some(7_000), Some(8_000), None] {
                key.set_deadline(deadline_ms);
                assert_eq!(key.entry().unwrap().deadline_ms(), deadline_ms);
                assert!(key.used_bytes().unwrap() < text().len() / 2);
            }
        });
        assert_eq!(read(&store, b"k"), Some(text()));
    }

    #[test]
    fn an_edit_changes_the_plain_text() {
        let store = filled(Some(5_000));
        with_key(&store, b"k", |key| {
            key.peek().unwrap();
            key.edit(text().len() + 1, |bytes| bytes[0] = b'S');
            assert_eq!(key.deadline_ms(), Some(5_000));
            assert!(key.entry().unwrap().is_edited());
        });
        let mut edited = text();
        edited[0] = b'S';
        edited.push(0);
        assert_eq!(read(&store, b"k"), Some(edited));
    }

    #[test]
    fn what_was_seen_is_forgotten_when_the_value_is_replaced_or_taken() {
        let store = filled(None);
        let other = b"other text ".repeat(50);
        with_key(&store, b"k", |key| {
            assert_eq!(key.peek(), Ok(Some(Text::Bytes(&text()))));
            let packed = compression::pack(Method::Lz4, &other).unwrap();
            key.place(Entry::of_packed(b"k", &packed, None));
            assert_eq!(key.peek(), Ok(Some(Text::Bytes(&other))));
            key.put(Text::Bytes(b"plain"), None);
            assert_eq!(key.peek(), Ok(Some(Text::Bytes(b"plain"))));
            let entry = key.take().unwrap();
            key.in_database(1).adopt(entry);
            assert_eq!(key.peek(), Ok(None));
        });
    }

    #[test]
    fn renamed_and_copied_it_stays_packed_and_right() {
        let store = filled(Some(5_000));
        let taken = with_key(&store, b"k", |key| key.take().unwrap());
        let renamed = taken.renamed(b"a much longer name than before");
        // What a scan looks at is not unpacked.
        assert!(renamed.view().is_packed() && renamed.view().type_name() == "string");
        with_key(&store, b"a much longer name than before", |key| {
            key.adopt(renamed);
        });
        assert_eq!(read(&store, b"a much longer name than before"), Some(text()));
        assert_eq!(read(&store, b"k"), None);
    }

    #[test]
    fn what_is_to_be_carried_upstream_is_not_packed() {
        let store = filled(None);
        let hash = store.hash(b"k");
        let mut shard = store.lock(hash);
        let visit = Visit {
            defers: true,
            ..VISIT
        };
        Key::find(&mut shard, b"k", hash, visit).set_deadline(Some(9_000));
        let at = shard.find(0, hash, b"k").unwrap();
        let entry = shard.entry(0, at);
        assert_eq!(
            (entry.text(), entry.deadline_ms()),
            (Some(Text::Bytes(&text()[..])), Some(9_000))
        );
    }

    #[test]
    fn keys_that_are_looked_at_together_are_plain_too() {
        let store = filled(None);
        let hashes = [store.hash(b"k")];
        let mut shards = store.lock_all_of(&hashes);
        let mut plain = PlainForms::default();
        {
            let entry = Key::peek_in(shards.view(hashes[0]), b"k", hashes[0], VISIT).unwrap();
            assert_eq!(entry.text(), None);
            assert_eq!(plain.of(0, 1, entry).text(), Some(Text::Bytes(&text()[..])));
        }
        Key::find(shards.of(hashes[0]), b"k", hashes[0], VISIT).set_deadline(Some(9_000));
        plain.forget();
        let entry = Key::peek_in(shards.view(hashes[0]), b"k", hashes[0], VISIT).unwrap();
        assert_eq!(plain.of(0, 1, entry).deadline_ms(), Some(9_000));
    }

    #[test]
    fn integers_and_short_texts_are_not_packed() {
        let integer = b"1111111111111111111";
        assert!(matches!(
            Decoded::of_bytes(integer).packed(Method::Lz4, 0),
            Decoded::Text(_)
        ));
        let text = text();
        assert!(matches!(
            Decoded::of_bytes(&text).packed(Method::Lz4, text.len() + 1),
            Decoded::Text(_)
        ));
        assert!(matches!(
            Decoded::of_bytes(&text).packed(Method::Zstd, text.len()),
            Decoded::Packed(..)
        ));
    }

    #[test]
    fn marked_texts_come_in_plain_unless_they_are_too_large() {
        let text = text();
        let marked = compression::mark(&compression::pack(Method::Zstd, &text).unwrap());
        let plain = Decoded::of_bytes(&marked).unmarked(text.len()).unwrap();
        assert_eq!(plain.bytes(), text.len());
        assert!(Decoded::of_bytes(&marked).unmarked(text.len() - 1).is_none());
        let own = Decoded::of_bytes(&marked[1..]).unmarked(1).unwrap();
        assert_eq!(own.bytes(), marked.len() - 1);
    }
}
