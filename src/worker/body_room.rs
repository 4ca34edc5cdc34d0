//! Bodies that are held until their request is decided: bounded in all, and each in time.

use crate::ids::StreamId;
use crate::sorted_map::SortedMap;
use crate::time::UnixNanos;

/// How much of each body is held, by the module and by the host for it, and until when its end is
/// waited for.
#[derive(Debug)]
pub(super) struct BodyRoom {
    held: SortedMap<StreamId, Body>,
    used: usize,
    most: usize,
    /// As long as so much is held, there is room for bodies of strangers.
    most_for_strangers: usize,
}

#[derive(Debug, Default)]
struct Body {
    bytes: usize,
    deadline: Option<UnixNanos>,
}

/// There is no room for so much of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl BodyRoom {
    /// Room for `most` bytes. Half of it is for callers alone: anybody can send a token that is not
    /// judged at once, and a body of up to `body_bytes` with it.
    pub(super) fn new(most: usize, body_bytes: usize) -> Self {
        Self {
            held: SortedMap::default(),
            used: 0,
            most,
            most_for_strangers: (most / 2).max(body_bytes).min(most),
        }
    }

    /// The body of a stream, whose token is known to be good or not, is `bytes` long by now. If there
    /// is no room for it, nothing is changed.
    pub(super) fn grow(
        &mut self,
        stream: StreamId,
        bytes: usize,
        is_callers: bool,
    ) -> Result<(), NoRoom> {
        let most = if is_callers {
            self.most
        } else {
            self.most_for_strangers
        };
        let before = self.held.get(stream).map_or(0, |held| held.bytes);
        let used = self.used.saturating_sub(before).saturating_add(bytes);
        if used > most && bytes > before {
            return Err(NoRoom);
        }
        self.used = used;
        self.entry(stream, |held| held.bytes = bytes);
        Ok(())
    }

    /// A stream's body is to end by `deadline`.
    pub(super) fn expect_end(&mut self, stream: StreamId, deadline: UnixNanos) {
        self.entry(stream, |held| held.deadline = Some(deadline));
    }

    /// The body is held no longer.
    pub(super) fn release(&mut self, stream: StreamId) {
        if let Some(held) = self.held.remove(stream) {
            self.used = self.used.saturating_sub(held.bytes);
        }
    }

    /// The first `most` whose end has not come in time. Each is named once.
    pub(super) fn take_overdue(&mut self, now: UnixNanos, most: usize) -> Vec<StreamId> {
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
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn entry(&mut self, stream: StreamId, change: impl FnOnce(&mut Body)) {
        if let Some(held) = self.held.get_mut(stream) {
            change(held);
        } else {
            let mut held = Body::default();
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
        let mut room = BodyRoom::new(MOST, 0);
        room.grow(StreamId(1), 60, true).unwrap();
        room.grow(StreamId(2), 40, true).unwrap();
        assert_eq!(room.grow(StreamId(2), 41, true), Err(NoRoom));
        assert_eq!(room.used(), 100);
        room.release(StreamId(1));
        room.grow(StreamId(2), 41, true).unwrap();
        assert_eq!(room.used(), 41);
    }

    #[test]
    fn strangers_have_half_of_it() {
        let mut room = BodyRoom::new(MOST, 10);
        room.grow(StreamId(1), 50, false).unwrap();
        assert_eq!(room.grow(StreamId(2), 1, false), Err(NoRoom));
        room.grow(StreamId(3), 50, true).unwrap();
        // Who was a stranger stays, and is in the way of strangers alone.
        room.grow(StreamId(1), 50, true).unwrap();
        room.release(StreamId(1));
        assert_eq!(room.grow(StreamId(2), 1, false), Err(NoRoom));
        let mut room = BodyRoom::new(MOST, 80);
        room.grow(StreamId(1), 80, false).unwrap();
        assert_eq!(room.grow(StreamId(2), 1, false), Err(NoRoom));
    }

    #[test]
    fn an_overdue_body_is_named_once() {
        let at = UnixNanos::from_secs;
        let mut room = BodyRoom::new(MOST, 0);
        for number in 1..=3 {
            room.expect_end(StreamId(number), at(30));
        }
        room.expect_end(StreamId(4), at(31));
        assert_eq!(room.take_overdue(at(29), 8), []);
        assert_eq!(room.take_overdue(at(30), 2), [StreamId(1), StreamId(2)]);
        assert_eq!(room.take_overdue(at(30), 2), [StreamId(3)]);
        assert_eq!(room.take_overdue(at(30), 2), []);
        room.release(StreamId(4));
        assert_eq!(room.take_overdue(at(99), 2), []);
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_room_for(steps in prop::collection::vec((0_u32..6, 0_usize..60, any::<bool>()), 0..60)) {
            let mut room = BodyRoom::new(MOST, 0);
            let mut expected: BTreeMap<u32, usize> = BTreeMap::new();
            for (stream, bytes, stays) in steps {
                if stays {
                    let others: usize = expected.iter().filter(|(one, _)| **one != stream).map(|(_, bytes)| bytes).sum();
                    let fits = others.saturating_add(bytes) <= MOST;
                    prop_assert_eq!(room.grow(StreamId(stream), bytes, true).is_ok(), fits);
                    if fits {
                        expected.insert(stream, bytes);
                    }
                } else {
                    room.release(StreamId(stream));
                    expected.remove(&stream);
                }
                prop_assert_eq!(room.used(), expected.values().sum::<usize>());
                prop_assert!(room.used() <= MOST);
            }
        }
    }
}
