use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

struct Numbers {
    seed: CacheSeed,
    cache: Cache<u32>,
    bindings: Bindings,
}

impl Numbers {
    fn new(entries: usize, bytes: usize) -> Self {
        Self {
            seed: CacheSeed::new([1, 2]),
            cache: Cache::new(Bounds { entries, bytes }),
            bindings: Bindings::default(),
        }
    }

    fn insert(&mut self, number: u32) {
        let credentials = number.to_be_bytes();
        self.cache.insert(
            self.seed.key(ResourceId(0), &self.bindings, &credentials),
            number,
            0,
        );
    }

    fn get(&mut self, number: u32) -> Option<u32> {
        let credentials = number.to_be_bytes();
        self.cache
            .get(self.seed.key(ResourceId(0), &self.bindings, &credentials))
            .copied()
    }

    /// What a worker does: look, and remember what it had to find out.
    fn ask(&mut self, number: u32) -> bool {
        let known = self.get(number) == Some(number);
        if !known {
            self.insert(number);
        }
        known
    }

    fn hits(&mut self, numbers: impl Iterator<Item = u32>) -> usize {
        numbers.filter(|number| self.ask(*number)).count()
    }
}

#[test]
fn all_of_a_key_counts() {
    let mut cache = Cache::new(Bounds {
        entries: 10,
        bytes: 100_000,
    });
    let none = Bindings::default();
    let one = Bindings::from_iter([("t", "one")]);
    let seed = CacheSeed::new([1, 2]);
    let resource =
        |number, credentials, bindings| seed.key(ResourceId(number), bindings, credentials);
    cache.insert(resource(0, b"a".as_slice(), &none), 1, 0);
    assert_eq!(cache.get(resource(0, b"a", &none)), Some(&1));
    assert_eq!(cache.get(resource(0, b"b", &none)), None);
    assert_eq!(cache.get(resource(0, b"", &none)), None);
    assert_eq!(cache.get(resource(1, b"a", &none)), None);
    assert_eq!(cache.get(resource(0, b"a", &one)), None);
    cache.insert(resource(0, b"a", &none), 2, 0);
    assert_eq!(cache.get(resource(0, b"a", &none)), Some(&2));
    assert_eq!(cache.len(), 1);
    cache.remove(resource(0, b"a", &none));
    assert_eq!(cache.get(resource(0, b"a", &none)), None);
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

#[test]
fn what_fits_stays() {
    let mut numbers = Numbers::new(1000, 1 << 20);
    assert_eq!(numbers.hits(0..1000), 0);
    for _ in 0..3 {
        assert_eq!(numbers.hits(0..1000), 1000);
    }
}

#[test]
fn a_flood_of_what_comes_once_does_not_evict_what_is_used() {
    let mut numbers = Numbers::new(1000, 1 << 20);
    numbers.hits(0..800);
    numbers.hits(0..800);
    let mut hits = 0;
    for round in 0..100 {
        numbers.hits((0..1000).map(|number| 10_000 + round * 1000 + number));
        hits += numbers.hits(0..800);
    }
    assert!(hits > 100 * 780, "{hits} of 80000");
}

#[test]
fn what_comes_to_be_used_gets_in() {
    let mut numbers = Numbers::new(1000, 1 << 20);
    for _ in 0..4 {
        numbers.hits(0..1000);
    }
    for _ in 0..8 {
        numbers.hits(5000..5900);
    }
    assert!(numbers.hits(5000..5900) > 850);
}

#[test]
fn bytes_are_bounded() {
    let mut numbers = Numbers::new(1_000_000, 100_000);
    numbers.hits(0..10_000);
    assert!(numbers.cache.bytes() <= 100_000);
    assert!(numbers.cache.len() > 400);
    let bindings = Bindings::default();
    let before = numbers.cache.len();
    let large = vec![0; 20_000];
    let key = numbers.seed.key(ResourceId(0), &bindings, &large);
    numbers.cache.insert(key, 1, 0);
    assert_eq!(numbers.cache.get(key), None);
    assert_eq!(numbers.cache.len(), before);
}

#[test]
fn none_is_none() {
    let mut numbers = Numbers::new(0, 1 << 20);
    assert_eq!(numbers.hits([1, 1, 1].into_iter()), 0);
    assert!(numbers.cache.is_empty());
}

#[test]
fn shows_no_token() {
    let mut numbers = Numbers::new(10, 10_000);
    let bindings = Bindings::default();
    let key = numbers.seed.key(ResourceId(0), &bindings, b"Bearer secret");
    numbers.cache.insert(key, 1, 0);
    assert!(!format!("{:?}", numbers.cache).contains("secret"));
}

proptest! {
    /// Whatever is asked, inserted and removed: it never says what was not said to it last, and
    /// never takes more than it may.
    #[test]
    fn agrees_with_a_map(
        steps in prop::collection::vec((0_u8..4, 0_u32..40), 0..400),
        entries in 0_usize..20,
        bytes in 0_usize..6000,
    ) {
        let mut numbers = Numbers::new(entries, bytes);
        let seed = numbers.seed.clone();
        let mut model: HashMap<u32, u32> = HashMap::new();
        let bindings = Bindings::default();
        for (at, (step, number)) in steps.into_iter().enumerate() {
            let value = u32::try_from(at).unwrap();
            let credentials = number.to_be_bytes();
            let key = seed.key(ResourceId(0), &bindings, &credentials);
            match step {
                0 | 1 => {
                    numbers.cache.insert(key, value, number as usize);
                    model.insert(number, value);
                }
                2 => {
                    numbers.cache.remove(key);
                    model.remove(&number);
                }
                _ => {
                    if let Some(found) = numbers.cache.get(key) {
                        prop_assert_eq!(Some(found), model.get(&number));
                    }
                }
            }
            let cache = &numbers.cache;
            prop_assert!(cache.len() <= entries && cache.bytes() <= bytes);
            prop_assert!(cache.entries.len() <= entries && cache.ghosts.len() <= entries);
            let sum: usize = cache.entries.iter().flatten().map(|entry| entry.bytes).sum();
            prop_assert_eq!(sum, cache.bytes());
            prop_assert_eq!(cache.entries.iter().flatten().count(), cache.len());
            let places = [cache.small.len(), cache.main.len(), cache.free.len()];
            prop_assert_eq!(places.iter().sum::<usize>(), cache.entries.len());
        }
    }
}

proptest! {
    #[test]
    fn credentials_are_compared_in_full(
        credentials in prop::collection::vec(any::<u8>(), 1..40),
        at in any::<prop::sample::Index>(),
        flipped in 1_u8..,
    ) {
        let mut other = credentials.clone();
        *at.get_mut(&mut other) ^= flipped;
        prop_assert!(is_same(&credentials, &credentials.clone()));
        prop_assert!(!is_same(&credentials, &other));
        prop_assert!(!is_same(&credentials, &credentials[1..]));
    }
}
