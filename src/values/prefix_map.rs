//! A map from byte strings to the value of their longest prefix that has one.

/// Values by prefix. The empty prefix always has one, so that every key has.
///
/// Looking a key up takes no allocation: one field where only the empty prefix has a value; otherwise a binary
/// search for the last prefix that does not sort behind the key, and one step for each prefix around that which the
/// key does not have. Prefixes sort before what they are prefixes of, so the chain from any prefix through those
/// around it passes all that a key can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixMap<T> {
    /// The value of the empty prefix.
    fallback: T,
    /// The others, by prefix.
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<T> {
    prefix: Vec<u8>,
    value: T,
    /// The place of the longest of the other prefixes that this one begins with; `None`: the empty one.
    around: Option<usize>,
}

impl<T> PrefixMap<T> {
    /// A map of these pairs, in any order. Of pairs with the same prefix the last one counts.
    ///
    /// # Panics
    /// If the empty prefix has no value.
    pub fn new(pairs: Vec<(Vec<u8>, T)>) -> Self {
        let mut fallback = None;
        let mut sorted = std::collections::BTreeMap::new();
        for (prefix, value) in pairs {
            if prefix.is_empty() {
                fallback = Some(value);
            } else {
                sorted.insert(prefix, value);
            }
        }
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(sorted.len());
        for (prefix, value) in sorted {
            let before = entries.len().checked_sub(1);
            let around = longest(&entries, before, &prefix);
            entries.push(Entry {
                prefix,
                value,
                around,
            });
        }
        let fallback = fallback.expect("the empty prefix has a value");
        Self { fallback, entries }
    }

    /// The value of the longest prefix that `key` begins with.
    #[inline]
    pub fn get(&self, key: &[u8]) -> &T {
        if self.entries.is_empty() {
            return &self.fallback;
        }
        self.search(key)
    }

    fn search(&self, key: &[u8]) -> &T {
        let behind = self.entries.partition_point(|entry| *entry.prefix <= *key);
        match longest(&self.entries, behind.checked_sub(1), key) {
            Some(place) => &self.entries[place].value,
            None => &self.fallback,
        }
    }

    /// All pairs: that of the empty prefix first, the others by prefix.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        let others = self.entries.iter().map(|entry| (&*entry.prefix, &entry.value));
        std::iter::once((&[][..], &self.fallback)).chain(others)
    }
}

/// The place of the longest prefix of `key`, given the last one that does not sort behind it.
fn longest<T>(entries: &[Entry<T>], last: Option<usize>, key: &[u8]) -> Option<usize> {
    let chain = std::iter::successors(last, |place| entries[*place].around);
    let mut fitting = chain.filter(|place| key.starts_with(&entries[*place].prefix));
    fitting.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Looks at all pairs.
    fn model(pairs: &[(Vec<u8>, usize)], key: &[u8]) -> usize {
        let fitting = pairs.iter().filter(|(prefix, _)| key.starts_with(prefix));
        // Of equal lengths the last, which is what `max_by_key` returns.
        fitting.max_by_key(|(prefix, _)| prefix.len()).unwrap().1
    }

    fn map(prefixes: &[&str]) -> PrefixMap<String> {
        let pairs = prefixes
            .iter()
            .map(|prefix| (prefix.as_bytes().to_vec(), (*prefix).to_owned()));
        PrefixMap::new(pairs.collect())
    }

    #[test]
    fn the_longest_prefix_decides() {
        let map = map(&["user:", "", "user:vip:", "z"]);
        for (key, prefix) in [
            ("", ""),
            ("user", ""),
            ("user:", "user:"),
            ("user:1", "user:"),
            ("user:vip:1", "user:vip:"),
            ("user:vip", "user:"),
            ("user:zz", "user:"),
            ("userz", ""),
            ("zebra", "z"),
            ("~", ""),
        ] {
            assert_eq!(map.get(key.as_bytes()), prefix, "{key}");
        }
        let prefixes: Vec<&[u8]> = map.iter().map(|(prefix, _)| prefix).collect();
        assert_eq!(prefixes, [&b""[..], b"user:", b"user:vip:", b"z"]);
    }

    #[test]
    fn the_empty_prefix_alone_has_all_keys() {
        let map = map(&[""]);
        assert_eq!((map.get(b"").as_str(), map.get(b"x").as_str()), ("", ""));
        assert_eq!(map.iter().count(), 1);
    }

    #[test]
    #[should_panic = "the empty prefix has a value"]
    fn without_the_empty_prefix_there_is_no_map() {
        map(&["a"]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(prefixes in vec(vec(0u8..3, 0..5), 0..40), keys in vec(vec(0u8..4, 0..7), 1..60)) {
            let mut pairs: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0)];
            pairs.extend(prefixes.into_iter().zip(1..));
            let map = PrefixMap::new(pairs.clone());
            for key in keys {
                prop_assert_eq!(*map.get(&key), model(&pairs, &key), "{:?}", key);
            }
        }
    }
}
