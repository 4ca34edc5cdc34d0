//! Requests that wait for an issuer's keys, or for what it says of a token: bounded in number and in
//! time.

use crate::ids::StreamId;
use crate::sorted_map::SortedMap;
use crate::time::UnixNanos;
use crate::trust::Awaited;

/// Requests that wait, each with what is needed to judge it again.
///
/// A stream leaves when it is taken to be judged, or when it ends; the host forgets its number
/// soon after, so nothing may be done to it later. Those that need not wait any longer are taken a
/// few at a time, first come first served: the host numbers streams as they come.
#[derive(Debug)]
pub(super) struct WaitQueue<T> {
    waiting: SortedMap<StreamId, Waiting<T>>,
    most: usize,
    /// No one is due before.
    earliest: UnixNanos,
}

#[derive(Debug)]
struct Waiting<T> {
    awaited: Awaited,
    deadline: UnixNanos,
    woken: bool,
    request: T,
}

/// A request that need not wait any longer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<T> {
    /// Its stream.
    pub(super) stream: StreamId,
    /// Something that it waited for.
    pub(super) awaited: Awaited,
    /// How long it might wait.
    pub(super) deadline: UnixNanos,
    /// `true` if something has changed for it; else its time is over.
    pub(super) woken: bool,
    /// What it waited with.
    pub(super) request: T,
}

/// There is no room: the request is given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full<T>(pub(super) T);

impl<T> Waiting<T> {
    fn due(&self) -> UnixNanos {
        if self.woken {
            UnixNanos::ZERO
        } else {
            self.deadline
        }
    }
}

impl<T> WaitQueue<T> {
    /// Room for `most` requests.
    pub(super) fn new(most: usize) -> Self {
        Self {
            waiting: SortedMap::default(),
            most,
            earliest: UnixNanos::ZERO,
        }
    }

    /// Has `stream` wait for `issuer`, until `deadline` at the latest.
    pub(super) fn add(
        &mut self,
        stream: StreamId,
        awaited: Awaited,
        deadline: UnixNanos,
        request: T,
    ) -> Result<(), Full<T>> {
        if self.waiting.len() >= self.most && !self.waiting.contains(stream) {
            return Err(Full(request));
        }
        self.earliest = match self.poll_timeout() {
            Some(earliest) => earliest.min(deadline),
            None => deadline,
        };
        self.waiting.insert(
            stream,
            Waiting {
                awaited,
                deadline,
                woken: false,
                request,
            },
        );
        Ok(())
    }

    /// The stream has ended, or is decided on for another reason: what it waited with, if it did.
    pub(super) fn remove(&mut self, stream: StreamId) -> Option<T> {
        self.waiting.remove(stream).map(|waiting| waiting.request)
    }

    /// Something has changed for all that wait for this: they are due.
    pub(super) fn wake(&mut self, awaited: Awaited) {
        for waiting in self.waiting.values_mut() {
            if waiting.awaited == awaited {
                waiting.woken = true;
                self.earliest = UnixNanos::ZERO;
            }
        }
    }

    /// Takes out the first `most` that were woken, or whose deadline has come.
    pub(super) fn take_due(&mut self, now: UnixNanos, most: usize) -> Vec<Due<T>> {
        let mut room = most;
        let mut earliest = None;
        let taken = self.waiting.take(|waiting| {
            let due = waiting.due();
            if due <= now
                && let Some(left) = room.checked_sub(1)
            {
                room = left;
                return true;
            }
            earliest = Some(earliest.map_or(due, |earliest: UnixNanos| earliest.min(due)));
            false
        });
        self.earliest = earliest.unwrap_or(UnixNanos::ZERO);
        taken
            .into_iter()
            .map(|(stream, waiting)| Due {
                stream,
                awaited: waiting.awaited,
                deadline: waiting.deadline,
                woken: waiting.woken,
                request: waiting.request,
            })
            .collect()
    }

    /// When to call [`WaitQueue::take_due`] at the latest; `None` if never.
    pub(super) fn poll_timeout(&self) -> Option<UnixNanos> {
        (!self.is_empty()).then_some(self.earliest)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::IssuerId;

    const A: Awaited = Awaited::Keys(IssuerId(0));
    const B: Awaited = Awaited::Keys(IssuerId(1));

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos::from_secs(seconds)
    }

    fn due<T>(stream: u32, deadline: u64, woken: bool, request: T) -> Due<T> {
        due_for(A, stream, deadline, woken, request)
    }

    fn due_for<T>(awaited: Awaited, stream: u32, deadline: u64, woken: bool, request: T) -> Due<T> {
        Due {
            stream: StreamId(stream),
            awaited,
            deadline: at(deadline),
            woken,
            request,
        }
    }

    #[test]
    fn wakes_those_of_one_issuer_once() {
        let mut queue = WaitQueue::new(8);
        queue.add(StreamId(1), A, at(5), "one").unwrap();
        queue.add(StreamId(2), B, at(6), "two").unwrap();
        queue.add(StreamId(3), A, at(7), "three").unwrap();
        queue.wake(A);
        assert_eq!(
            queue.take_due(at(0), 8),
            [due(1, 5, true, "one"), due(3, 7, true, "three")]
        );
        queue.wake(A);
        assert_eq!(queue.take_due(at(0), 8), []);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn who_waits_again_is_not_woken() {
        let mut queue = WaitQueue::new(8);
        queue.add(StreamId(1), A, at(5), ()).unwrap();
        queue.wake(A);
        queue.add(StreamId(1), A, at(5), ()).unwrap();
        assert_eq!(queue.take_due(at(0), 8), []);
        assert_eq!(queue.poll_timeout(), Some(at(5)));
    }

    #[test]
    fn a_few_are_taken_at_a_time() {
        let mut queue = WaitQueue::new(8);
        for number in 1..=5 {
            queue.add(StreamId(number), A, at(5), number).unwrap();
        }
        queue.wake(A);
        assert_eq!(queue.take_due(at(0), 0), []);
        assert_eq!(
            queue.take_due(at(0), 2),
            [due(1, 5, true, 1), due(2, 5, true, 2)]
        );
        assert_eq!(queue.poll_timeout(), Some(UnixNanos::ZERO));
        assert_eq!(
            queue.take_due(at(0), 2),
            [due(3, 5, true, 3), due(4, 5, true, 4)]
        );
        assert_eq!(queue.take_due(at(0), 2), [due(5, 5, true, 5)]);
        assert_eq!(queue.poll_timeout(), None);
    }

    #[test]
    fn a_stream_that_ends_is_gone() {
        let mut queue = WaitQueue::new(8);
        queue.add(StreamId(1), A, at(5), ()).unwrap();
        queue.wake(A);
        assert_eq!(queue.remove(StreamId(1)), Some(()));
        assert_eq!(queue.remove(StreamId(1)), None);
        assert!(queue.is_empty());
        assert_eq!(queue.poll_timeout(), None);
        assert_eq!(queue.take_due(at(9), 8), []);
    }

    #[test]
    fn the_wait_has_a_bound() {
        let mut queue = WaitQueue::new(8);
        queue.add(StreamId(1), A, at(5), ()).unwrap();
        queue.add(StreamId(2), A, at(3), ()).unwrap();
        assert_eq!(queue.poll_timeout(), Some(at(3)));
        assert_eq!(queue.take_due(at(2), 8), []);
        assert_eq!(queue.take_due(at(4), 8), [due(2, 3, false, ())]);
        assert_eq!(queue.poll_timeout(), Some(at(5)));
    }

    #[test]
    fn the_room_has_a_bound() {
        let mut queue = WaitQueue::new(1);
        queue.add(StreamId(1), A, at(5), "one").unwrap();
        assert_eq!(queue.add(StreamId(2), A, at(5), "two"), Err(Full("two")));
        queue.add(StreamId(1), A, at(6), "again").unwrap();
        assert_eq!(queue.len(), 1);
    }

    const ROOM: usize = 12;

    fn keys_of(issuer: usize) -> Awaited {
        Awaited::Keys(IssuerId(issuer))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Hold { issuer: usize, patience: u64 },
        Wake(usize),
        Forget(u32),
        Tick { seconds: u64, most: usize },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_usize..2, 0_u64..8).prop_map(|(issuer, patience)| Step::Hold { issuer, patience }),
            1 => (0_usize..2).prop_map(Step::Wake),
            1 => (0_u32..40).prop_map(Step::Forget),
            3 => (0_u64..3, 0_usize..5).prop_map(|(seconds, most)| Step::Tick { seconds, most }),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// Nobody is lost, taken twice, too early or out of turn; nobody who is due is left while
        /// there is room; and whoever is left is called for in time.
        #[test]
        fn first_come_first_served(steps in steps()) {
            let mut queue = WaitQueue::new(ROOM);
            // Issuer, deadline, woken.
            let mut expected: BTreeMap<u32, (usize, u64, bool)> = BTreeMap::new();
            let (mut now, mut next) = (0_u64, 0_u32);
            for step in steps {
                match step {
                    Step::Hold { issuer, patience } => {
                        let deadline = now.saturating_add(patience);
                        let outcome = queue.add(StreamId(next), keys_of(issuer), at(deadline), next);
                        prop_assert_eq!(outcome.is_err(), expected.len() == ROOM);
                        if outcome.is_ok() {
                            expected.insert(next, (issuer, deadline, false));
                        }
                        next = next.saturating_add(1);
                    }
                    Step::Wake(issuer) => {
                        queue.wake(keys_of(issuer));
                        for waiting in expected.values_mut().filter(|waiting| waiting.0 == issuer) {
                            waiting.2 = true;
                        }
                    }
                    Step::Forget(stream) => {
                        prop_assert_eq!(queue.remove(StreamId(stream)), expected.remove(&stream).map(|_| stream));
                    }
                    Step::Tick { seconds, most } => {
                        now = now.saturating_add(seconds);
                        let wanted: Vec<_> = expected
                            .iter()
                            .filter(|(_, (_, deadline, woken))| *woken || *deadline <= now)
                            .take(most)
                            .map(|(stream, (issuer, deadline, woken))| {
                                due_for(keys_of(*issuer), *stream, *deadline, *woken, *stream)
                            })
                            .collect();
                        expected.retain(|stream, _| wanted.iter().all(|due| due.request != *stream));
                        prop_assert_eq!(queue.take_due(at(now), most), wanted);
                    }
                }
                prop_assert_eq!(queue.len(), expected.len());
                let earliest = expected
                    .values()
                    .map(|(_, deadline, woken)| if *woken { UnixNanos::ZERO } else { at(*deadline) })
                    .min();
                prop_assert_eq!(queue.poll_timeout().is_some(), earliest.is_some());
                prop_assert!(queue.poll_timeout() <= earliest);
            }
        }
    }
}
