//! A map with little code.

/// Values by key, in the order of the keys. For streams and calls, and where there are few.
///
/// A `BTreeMap` has several times the code, for each type of value. Here a key and a pointer are
/// moved for each that comes after; the host counts upwards, so that a new stream goes to the end. To
/// take the first of ten thousand streams moves 80 KB.
#[derive(Debug)]
pub(crate) struct SortedMap<K, V> {
    entries: Vec<(K, Box<V>)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<K: Copy + Ord, V> SortedMap<K, V> {
    /// The value of `key`.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(_, value)| &**value)
    }

    /// As [`SortedMap::get`].
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| &mut **value)
    }

    /// Returns whether `key` has a value.
    pub(crate) fn contains(&self, key: K) -> bool {
        self.find(key).is_ok()
    }

    /// Gives `key` this value, whatever it had.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => {
                if let Some((_, old)) = self.entries.get_mut(at) {
                    **old = value;
                }
            }
            Err(at) => self.entries.insert(at, (key, Box::new(value))),
        }
    }

    /// Takes out the value of `key`.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(*self.entries.remove(at).1)
    }

    /// Takes out those that are chosen.
    pub(crate) fn take(&mut self, mut chosen: impl FnMut(&V) -> bool) -> Vec<(K, V)> {
        self.entries
            .extract_if(.., |(_, value)| chosen(value))
            .map(|(key, value)| (key, *value))
            .collect()
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|(key, value)| (*key, &**value))
    }

    /// All values, in the order of their keys.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| &mut **value)
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&key, |(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_a_map_of_the_standard_library(steps in prop::collection::vec((0..5, 0_u32..12, any::<u8>()), 0..80)) {
            let mut map = SortedMap::default();
            let mut expected = BTreeMap::new();
            for (step, key, value) in steps {
                match step {
                    0 | 1 => {
                        map.insert(key, value);
                        expected.insert(key, value);
                    }
                    2 => prop_assert_eq!(map.remove(key), expected.remove(&key)),
                    3 => {
                        prop_assert_eq!(map.get(key), expected.get(&key));
                        prop_assert_eq!(map.contains(key), expected.contains_key(&key));
                        prop_assert_eq!(map.get_mut(key), expected.get_mut(&key));
                    }
                    _ => {
                        let taken: Vec<_> = expected.extract_if(.., |_, other| *other < value).collect();
                        prop_assert_eq!(map.take(|other| *other < value), taken);
                    }
                }
                prop_assert!(map.iter().eq(expected.iter().map(|(key, value)| (*key, value))));
                prop_assert!(map.values_mut().eq(expected.values_mut()));
                prop_assert_eq!((map.len(), map.is_empty()), (expected.len(), expected.is_empty()));
            }
        }
    }
}
