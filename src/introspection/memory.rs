//! A bounded memory of answers: the oldest goes first, which is also the first that ends.

use std::collections::{HashMap, VecDeque};

use super::digest::TokenDigest;

/// What is remembered, and about how many bytes each takes.
pub(super) struct Memory<V> {
    most: usize,
    most_bytes: usize,
    bytes: usize,
    kept: HashMap<TokenDigest, Kept<V>>,
    /// In the order of their numbers. One that was replaced or removed is here until its turn.
    order: VecDeque<(TokenDigest, u64)>,
    next: u64,
}

struct Kept<V> {
    value: V,
    bytes: usize,
    number: u64,
}

impl<V> Memory<V> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most,
            most_bytes,
            bytes: 0,
            kept: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }

    pub(super) fn get(&self, question: &TokenDigest) -> Option<&V> {
        self.kept.get(question).map(|kept| &kept.value)
    }

    pub(super) fn insert(&mut self, question: TokenDigest, value: V, bytes: usize) {
        self.remove(&question);
        self.next = self.next.wrapping_add(1);
        let kept = Kept {
            value,
            bytes,
            number: self.next,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.kept.insert(question, kept);
        self.order.push_back((question, self.next));
        // The newest stays, however long it is: somebody waits for it.
        while self.order.len() > self.most || (self.bytes > self.most_bytes && self.order.len() > 1)
        {
            let Some((oldest, number)) = self.order.pop_front() else {
                return;
            };
            if self
                .kept
                .get(&oldest)
                .is_some_and(|kept| kept.number == number)
            {
                self.remove(&oldest);
            }
        }
    }

    pub(super) fn remove(&mut self, question: &TokenDigest) {
        if let Some(kept) = self.kept.remove(question) {
            self.bytes = self.bytes.saturating_sub(kept.bytes);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It never grows beyond its bounds, always has what came last, and never another value
        /// than the last one of a question.
        #[test]
        fn the_bounds_hold(steps in prop::collection::vec((any::<bool>(), 0_u8..12, 0_usize..60), 0..200)) {
            let mut memory = Memory::new(4, 100);
            let mut last: HashMap<u8, usize> = HashMap::new();
            for (inserts, name, bytes) in steps {
                let question = TokenDigest::of(&[name]);
                if inserts {
                    memory.insert(question, bytes, bytes);
                    last.insert(name, bytes);
                    prop_assert_eq!(memory.get(&question), Some(&bytes));
                } else {
                    memory.remove(&question);
                    last.remove(&name);
                }
                let (entries, held) = memory.size();
                prop_assert!(entries <= 4 && memory.order.len() <= 4 && held <= 100);
                prop_assert_eq!(held, memory.kept.values().map(|kept| kept.bytes).sum::<usize>());
                for name in 0..12 {
                    if let Some(found) = memory.get(&TokenDigest::of(&[name])) {
                        prop_assert_eq!(Some(found), last.get(&name));
                    }
                }
            }
        }
    }
}
