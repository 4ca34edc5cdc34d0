//! Bodies that are held until their request is decided: bounded in all, and each in time.

use crate::ids::StreamId;
use crate::sorted::SortedMap;
use crate::time::UnixNanos;

/// How much of each body is held, by the module and by the host for it, and until when its end is
/// waited for.
#[derive(Debug)]
pub struct HeldBodies {
    held: SortedMap<StreamId, Held>,
    used: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    deadline: Option<UnixNanos>,
}

/// There is no room for so much of a body.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl HeldBodies {
    /// Room for `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            held: SortedMap::default(),
            used: 0,
            most,
        }
    }

    /// A stream's body is `bytes` long by now. If there is no room for it, nothing is changed.
    pub fn grow(&mut self, stream: StreamId, bytes: usize) -> Result<(), NoRoom> {
        let before = self.held.get(stream).map_or(0, |held| held.bytes);
        let used = self.used.saturating_sub(before).saturating_add(bytes);
        if used > self.most && bytes > before {
            return Err(NoRoom);
        }
        self.used = used;
        self.entry(stream, |held| held.bytes = bytes);
        Ok(())
    }

    /// A stream's body is to end by `deadline`.
    pub fn expect_end(&mut self, stream: StreamId, deadline: UnixNanos) {
        self.entry(stream, |held| held.deadline = Some(deadline));
    }

    /// The body is held no longer.
    pub fn forget(&mut self, stream: StreamId) {
        if let Some(held) = self.held.remove(stream) {
            self.used = self.used.saturating_sub(held.bytes);
        }
    }

    /// The first `most` whose end has not come in time. Each is named once.
    pub fn take_overdue(&mut self, now: UnixNanos, most: usize) -> Vec<StreamId> {
        let overdue: Vec<StreamId> = self
            .held
            .iter()
            .filter(|(_, held)| held.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(stream, _)| stream)
            .take(most)
            .collect();
        for stream in &overdue {
            self.entry(*stream, |held| held.deadline = None);
        }
        overdue
    }

    /// How many bytes are held.
    pub fn used(&self) -> usize {
        self.used
    }

    fn entry(&mut self, stream: StreamId, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held.get_mut(stream) {
            change(held);
        } else {
            let mut held = Held::default();
            change(&mut held);
            self.held.insert(stream, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 100;

    #[test]
    fn the_body_that_has_no_room_is_the_one_that_grows() {
        let mut bodies = HeldBodies::new(MOST);
        bodies.grow(StreamId(1), 60).unwrap();
        bodies.grow(StreamId(2), 40).unwrap();
        assert_eq!(bodies.grow(StreamId(2), 41), Err(NoRoom));
        assert_eq!(bodies.used(), 100);
        bodies.forget(StreamId(1));
        bodies.grow(StreamId(2), 41).unwrap();
        assert_eq!(bodies.used(), 41);
    }

    #[test]
    fn an_overdue_body_is_named_once() {
        let at = UnixNanos::from_secs;
        let mut bodies = HeldBodies::new(MOST);
        for number in 1..=3 {
            bodies.expect_end(StreamId(number), at(30));
        }
        bodies.expect_end(StreamId(4), at(31));
        assert_eq!(bodies.take_overdue(at(29), 8), []);
        assert_eq!(bodies.take_overdue(at(30), 2), [StreamId(1), StreamId(2)]);
        assert_eq!(bodies.take_overdue(at(30), 2), [StreamId(3)]);
        assert_eq!(bodies.take_overdue(at(30), 2), []);
        bodies.forget(StreamId(4));
        assert_eq!(bodies.take_overdue(at(99), 2), []);
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_room_for(steps in prop::collection::vec((0_u32..6, 0_usize..60, any::<bool>()), 0..60)) {
            let mut bodies = HeldBodies::new(MOST);
            let mut expected: BTreeMap<u32, usize> = BTreeMap::new();
            for (stream, bytes, stays) in steps {
                if stays {
                    let others: usize = expected.iter().filter(|(one, _)| **one != stream).map(|(_, bytes)| bytes).sum();
                    let fits = others.saturating_add(bytes) <= MOST;
                    prop_assert_eq!(bodies.grow(StreamId(stream), bytes).is_ok(), fits);
                    if fits {
                        expected.insert(stream, bytes);
                    }
                } else {
                    bodies.forget(StreamId(stream));
                    expected.remove(&stream);
                }
                prop_assert_eq!(bodies.used(), expected.values().sum::<usize>());
                prop_assert!(bodies.used() <= MOST);
            }
        }
    }
}
