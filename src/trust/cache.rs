//! A bounded memory of credentials and what was found out about them.
//!
//! What is used stays, however many others pass through once: new entries begin in a small queue,
//! and only those that are used again before they reach its end move into the main one
//! (S3-FIFO; Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction",
//! SOSP 2023).

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash as _, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

use crate::ids::ResourceId;
use crate::template::Bindings;

/// What an entry takes besides its credentials and its value, in bytes: its places in the tables.
const OVERHEAD: usize = 192;
/// An entry takes this part of all bytes at most.
const LARGEST_PART: usize = 8;
/// The small queue has this part of all entries.
const SMALL_PART: usize = 10;
/// More uses than this do not keep an entry longer.
const MOST_USES: u8 = 3;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// How many entries at most; 0 for none.
    pub(super) entries: usize,
    /// How many bytes at most, by the cache's own estimate.
    pub(super) bytes: usize,
}

/// The key of an entry: credentials as they came, for one resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheKey<'a> {
    /// The resource that they are for.
    resource: ResourceId,
    /// What the variables of its path stand for.
    bindings: &'a Bindings,
    /// The whole value of `authorization`.
    credentials: &'a [u8],
    hash: u64,
}

/// Makes the keys of all caches of a worker, with a hash that is seeded by the host's random
/// numbers. Whoever could make two credentials collide would push the one out of the memory with
/// the other, and no more: they are compared in full.
#[derive(Clone)]
pub(super) struct CacheSeed {
    of_worker: SharedSeed,
    of_hasher: u64,
}

impl CacheSeed {
    /// Of numbers that nobody outside can know.
    pub(super) fn new(random: [u64; 2]) -> Self {
        let [of_worker, of_hasher] = random;
        Self {
            of_worker: SharedSeed::from_u64(of_worker),
            of_hasher,
        }
    }

    /// The key for the whole value of `authorization`, and for what the variables of the resource's
    /// path stand for.
    pub(super) fn key<'a>(
        &self,
        resource: ResourceId,
        bindings: &'a Bindings,
        credentials: &'a [u8],
    ) -> CacheKey<'a> {
        let mut hasher = FoldHasher::with_seed(self.of_hasher, &self.of_worker);
        hasher.write(credentials);
        hasher.write_usize(resource.0);
        bindings.hash(&mut hasher);
        CacheKey {
            resource,
            bindings,
            credentials,
            hash: hasher.finish(),
        }
    }
}

/// A memory of `V`s.
pub(super) struct Cache<V> {
    bounds: Bounds,
    /// Where the entry with a hash is. Another key of the same hash takes its place.
    slots: HashMap<u64, usize, BuildHasherDefault<HashItself>>,
    /// Freed entries are `None` until their queue has come to them.
    entries: Vec<Option<Entry<V>>>,
    free: Vec<usize>,
    small: VecDeque<usize>,
    main: VecDeque<usize>,
    /// The hashes of what has left the small queue unused: it gets a second chance.
    ghosts: VecDeque<u64>,
    is_ghost: HashSet<u64, BuildHasherDefault<HashItself>>,
    bytes: usize,
}

struct Entry<V> {
    hash: u64,
    resource: ResourceId,
    bindings: Bindings,
    credentials: Box<[u8]>,
    value: V,
    bytes: usize,
    uses: u8,
}

impl<V> Entry<V> {
    fn is_for(&self, key: CacheKey<'_>) -> bool {
        self.resource == key.resource
            && is_same(&self.credentials, key.credentials)
            && self.bindings == *key.bindings
    }
}

impl<V> Cache<V> {
    /// An empty one.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            slots: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            is_ghost: HashSet::default(),
            bytes: 0,
        }
    }

    /// What was remembered under `key`.
    pub(super) fn get(&mut self, key: CacheKey<'_>) -> Option<&V> {
        let slot = *self.slots.get(&key.hash)?;
        let entry = self.entries.get_mut(slot)?.as_mut()?;
        if !entry.is_for(key) {
            return None;
        }
        entry.uses = entry.uses.saturating_add(1).min(MOST_USES);
        Some(&entry.value)
    }

    /// Remembers a value of about `value_bytes`, if there can be room for it.
    pub(super) fn insert(&mut self, key: CacheKey<'_>, value: V, value_bytes: usize) {
        let bytes = OVERHEAD
            .saturating_add(key.credentials.len())
            .saturating_add(key.bindings.bytes())
            .saturating_add(value_bytes);
        let largest = self.bounds.bytes.checked_div(LARGEST_PART);
        if self.bounds.entries == 0 || Some(bytes) > largest {
            return;
        }
        let hash = key.hash;
        self.forget(hash);
        while self.bytes.saturating_add(bytes) > self.bounds.bytes
            || (self.free.is_empty() && self.entries.len() >= self.bounds.entries)
        {
            if !self.evict() {
                return;
            }
        }
        let entry = Some(Entry {
            hash,
            resource: key.resource,
            bindings: key.bindings.clone(),
            credentials: key.credentials.into(),
            value,
            bytes,
            uses: 0,
        });
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.entries.push(None);
                self.entries.len().saturating_sub(1)
            }
        };
        if let Some(place) = self.entries.get_mut(slot) {
            *place = entry;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.slots.insert(hash, slot);
        if self.is_ghost.remove(&hash) {
            self.main.push_back(slot);
        } else {
            self.small.push_back(slot);
        }
    }

    /// Forgets what was remembered under `key`.
    pub(super) fn remove(&mut self, key: CacheKey<'_>) {
        self.forget(key.hash);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how many bytes they take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn forget(&mut self, hash: u64) {
        let entry = self
            .slots
            .remove(&hash)
            .and_then(|slot| self.entries.get_mut(slot)?.take());
        if let Some(entry) = entry {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    /// Makes room; `false` if there is nothing left to give up.
    fn evict(&mut self) -> bool {
        loop {
            let small = self.bounds.entries.checked_div(SMALL_PART).unwrap_or(0);
            let from_small = self.small.len() > small || self.main.is_empty();
            let queue = if from_small {
                &mut self.small
            } else {
                &mut self.main
            };
            let Some(slot) = queue.pop_front() else {
                return false;
            };
            let Some(Some(entry)) = self.entries.get_mut(slot) else {
                self.free.push(slot);
                return true;
            };
            if entry.uses > 0 {
                entry.uses = if from_small {
                    0
                } else {
                    entry.uses.saturating_sub(1)
                };
                self.main.push_back(slot);
                continue;
            }
            let hash = entry.hash;
            self.forget(hash);
            self.free.push(slot);
            if from_small {
                self.remember_ghost(hash);
            }
            return true;
        }
    }

    fn remember_ghost(&mut self, hash: u64) {
        if self.ghosts.len() >= self.bounds.entries
            && let Some(oldest) = self.ghosts.pop_front()
        {
            self.is_ghost.remove(&oldest);
        }
        if self.is_ghost.insert(hash) {
            self.ghosts.push_back(hash);
        }
    }
}

/// In words: the C library's `memcmp` for WebAssembly goes byte by byte, and tokens are long.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks(), other.as_chunks());
    one.len() == other.len()
        && words
            .iter()
            .zip(other_words)
            .all(|(word, other)| u64::from_ne_bytes(*word) == u64::from_ne_bytes(*other))
        && rest == other_rest
}

/// Without any entry: each holds a token.
impl<V> std::fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// For keys that are hashes already.
#[derive(Default)]
struct HashItself(u64);

impl Hasher for HashItself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
