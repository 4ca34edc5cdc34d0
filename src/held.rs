//! Requests that wait for an issuer's keys: bounded in number and in time.

use crate::config::IssuerId;
use crate::sorted::SortedMap;
use crate::time::UnixNanos;

/// The host's number for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// Requests that wait, each with what is needed to judge it again.
///
/// A stream leaves when it is taken to be judged, or when it ends; the host forgets its number
/// soon after, so nothing may be done to it later.
#[derive(Debug)]
pub struct Held<T> {
    waiting: SortedMap<StreamId, Waiting<T>>,
    most: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    issuer: IssuerId,
    deadline: UnixNanos,
    request: T,
}

/// There is no room: the request is given back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> Held<T> {
    /// Room for `most` requests.
    pub fn new(most: usize) -> Self {
        Self {
            waiting: SortedMap::default(),
            most,
        }
    }

    /// Has `stream` wait for `issuer`, until `deadline` at the latest.
    pub fn hold(
        &mut self,
        stream: StreamId,
        issuer: IssuerId,
        deadline: UnixNanos,
        request: T,
    ) -> Result<(), Full<T>> {
        if self.waiting.len() >= self.most && !self.waiting.contains(stream) {
            return Err(Full(request));
        }
        self.waiting.insert(
            stream,
            Waiting {
                issuer,
                deadline,
                request,
            },
        );
        Ok(())
    }

    /// The stream has ended. `true` if it waited.
    pub fn forget(&mut self, stream: StreamId) -> bool {
        self.waiting.remove(stream).is_some()
    }

    /// Takes out all that wait for `issuer`, each with its deadline.
    pub fn take_for(&mut self, issuer: IssuerId) -> Vec<(StreamId, UnixNanos, T)> {
        self.take(|waiting| waiting.issuer == issuer)
    }

    /// Takes out all whose deadline has come.
    pub fn take_overdue(&mut self, now: UnixNanos) -> Vec<(StreamId, UnixNanos, T)> {
        self.take(|waiting| waiting.deadline <= now)
    }

    /// The earliest deadline.
    pub fn poll_timeout(&self) -> Option<UnixNanos> {
        self.waiting
            .iter()
            .map(|(_, waiting)| waiting.deadline)
            .min()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, chosen: impl Fn(&Waiting<T>) -> bool) -> Vec<(StreamId, UnixNanos, T)> {
        self.waiting
            .take(chosen)
            .into_iter()
            .map(|(stream, waiting)| (stream, waiting.deadline, waiting.request))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IssuerId = IssuerId(0);
    const B: IssuerId = IssuerId(1);

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos::from_secs(seconds)
    }

    #[test]
    fn wakes_those_of_one_issuer_once() {
        let mut held = Held::new(8);
        held.hold(StreamId(1), A, at(5), "one").unwrap();
        held.hold(StreamId(2), B, at(6), "two").unwrap();
        held.hold(StreamId(3), A, at(7), "three").unwrap();
        assert_eq!(
            held.take_for(A),
            [(StreamId(1), at(5), "one"), (StreamId(3), at(7), "three")]
        );
        assert_eq!(held.take_for(A), []);
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn a_stream_that_ends_is_gone() {
        let mut held = Held::new(8);
        held.hold(StreamId(1), A, at(5), ()).unwrap();
        assert!(held.forget(StreamId(1)));
        assert!(!held.forget(StreamId(1)));
        assert!(held.is_empty());
        assert_eq!(held.poll_timeout(), None);
    }

    #[test]
    fn the_wait_has_a_bound() {
        let mut held = Held::new(8);
        held.hold(StreamId(1), A, at(5), ()).unwrap();
        held.hold(StreamId(2), A, at(3), ()).unwrap();
        assert_eq!(held.poll_timeout(), Some(at(3)));
        assert_eq!(held.take_overdue(at(2)), []);
        assert_eq!(held.take_overdue(at(4)), [(StreamId(2), at(3), ())]);
        assert_eq!(held.poll_timeout(), Some(at(5)));
    }

    #[test]
    fn the_room_has_a_bound() {
        let mut held = Held::new(1);
        held.hold(StreamId(1), A, at(5), "one").unwrap();
        assert_eq!(held.hold(StreamId(2), A, at(5), "two"), Err(Full("two")));
        held.hold(StreamId(1), A, at(6), "again").unwrap();
        assert_eq!(held.len(), 1);
    }
}
