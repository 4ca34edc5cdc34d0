//! Requests whose bodies are read before they are decided.
//!
//! Envoy calls with the body of a request whose headers are paused only if the plugin's
//! `allow_on_headers_stop_iteration` is set. Nothing tells a plugin whether it is. So the first
//! such request finds out: if Envoy has received some of its body without calling, it is not. Then
//! headers are sent on with a good token, and the body alone is held until it is judged: the server
//! can act on no message, but sees that a request has begun.

use super::body_room::BodyRoom;
use super::host::{BodyOf, Host, Result};
use super::stream::{Phase, Stream, UndecidedRequest};
use crate::config::Limits;
use crate::gate::{Body, Pending};
use crate::ids::StreamId;
use crate::reason::Reason;
use crate::sorted_map::SortedMap;
use crate::time::UnixNanos;

/// Whether the host calls with the bodies of requests whose headers are paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// No such request has shown it yet.
    Unknown,
    Delivered,
    Withheld,
}

/// What is to be done with a request next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: more of its body is to come, or it is not read.
    Wait,
    /// Its headers go on before its body is judged.
    ForwardHeaders,
    /// All that it takes to judge it has come.
    Judge,
    /// It is refused without being judged.
    Refuse(Reason),
    /// The host failed.
    GiveUp,
}

/// The requests whose bodies are read, and how much of them is held.
pub(super) struct BodyReads {
    reads: SortedMap<StreamId, BodyRead>,
    room: BodyRoom,
    /// How long a body may be.
    body_bytes: usize,
    pub(super) delivery: Delivery,
}

/// A request whose body is read. The host keeps it until it has ended.
struct BodyRead {
    /// All of it, once it has ended.
    body: Vec<u8>,
    /// How long it was at the last call.
    bytes: usize,
    ended: bool,
    /// Observed only: it did not end in time.
    late: bool,
    /// What the host had received of the request when its headers were read.
    received: Option<u64>,
    /// Absent while the request waits for keys.
    wanted: Option<BodyWanted>,
}

/// A request that is decided but for its body.
pub(super) struct BodyWanted {
    pub(super) request: UndecidedRequest,
    pub(super) pending: Pending,
}

/// A body, as far as it had to be read.
pub(super) struct BodyFound {
    bytes: Vec<u8>,
    too_large: bool,
}

impl BodyFound {
    pub(super) fn as_body(&self) -> Body<'_> {
        if self.too_large {
            Body::TooLarge
        } else {
            Body::Whole(&self.bytes)
        }
    }
}

impl BodyRead {
    fn begin(host: &impl Host) -> Self {
        Self {
            body: Vec::new(),
            bytes: 0,
            ended: false,
            late: false,
            received: received(host),
            wanted: None,
        }
    }

    /// A request that may have no body is refused by its first byte.
    fn is_too_large(&self, most: usize) -> bool {
        match &self.wanted {
            Some(wanted) if !wanted.pending.expects_body => self.bytes > 0,
            Some(_) | None => self.bytes > most,
        }
    }

    /// Takes note of what has come, and takes all of it at its end.
    fn take(
        &mut self,
        bytes: Option<usize>,
        ends: bool,
        most: usize,
        host: &impl Host,
    ) -> Result<()> {
        self.bytes = bytes.unwrap_or(self.bytes);
        self.ended |= ends;
        if ends && !self.is_too_large(most) {
            self.body = host.whole_body(BodyOf::Request, self.bytes)?;
        }
        Ok(())
    }

    fn can_be_judged(&self, most: usize) -> bool {
        self.wanted.is_some() && (self.ended || self.is_too_large(most))
    }

    fn phase(&self) -> Option<Phase> {
        let wanted = self.wanted.as_ref();
        wanted.map(|wanted| wanted.request.stream.phase())
    }
}

impl BodyReads {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            reads: SortedMap::default(),
            room: BodyRoom::new(limits.held_body_bytes, limits.body_bytes),
            body_bytes: limits.body_bytes,
            delivery: Delivery::Unknown,
        }
    }

    /// Begins with a body, if it is not begun. Called in the context of its stream.
    pub(super) fn begin(&mut self, stream: StreamId, host: &impl Host) {
        if !self.reads.contains(stream) {
            self.reads.insert(stream, BodyRead::begin(host));
        }
    }

    /// The body of this request is to be judged, and to end by `deadline`. Called in the context of
    /// its stream.
    pub(super) fn want(
        &mut self,
        wanted: BodyWanted,
        deadline: UnixNanos,
        host: &impl Host,
    ) -> Step {
        let stream = wanted.request.stream.id;
        self.begin(stream, host);
        let Some(read) = self.reads.get_mut(stream) else {
            return Step::GiveUp;
        };
        read.ended |= wanted.request.head.ends();
        // By its method it has no body, although the host cannot say yet that it has none.
        let bodiless = !wanted.pending.expects_body;
        read.wanted = Some(wanted);
        if read.can_be_judged(self.body_bytes) {
            return Step::Judge;
        }
        self.room.expect_end(stream, deadline);
        match self.delivery {
            _ if bodiless => Step::ForwardHeaders,
            Delivery::Unknown | Delivery::Delivered => Step::Wait,
            Delivery::Withheld => Step::ForwardHeaders,
        }
    }

    /// More of a body has come, or its end: with its trailers if `bytes` is absent. Called in the
    /// context of its stream.
    pub(super) fn take(
        &mut self,
        stream: StreamId,
        bytes: Option<usize>,
        ends: bool,
        host: &impl Host,
    ) -> Step {
        let Some(read) = self.reads.get_mut(stream) else {
            return Step::Wait;
        };
        if read.phase() != Some(Phase::HeadersForwarded) {
            self.delivery = Delivery::Delivered;
        }
        if read.take(bytes, ends, self.body_bytes, host).is_err() {
            return Step::GiveUp;
        }
        if read.late {
            return Step::Refuse(Reason::BodyTimeout);
        }
        let is_callers = read.wanted.is_some();
        if self.room.grow(stream, read.bytes, is_callers).is_err() {
            return Step::Refuse(Reason::NoRoomForBody);
        }
        if read.can_be_judged(self.body_bytes) {
            Step::Judge
        } else {
            Step::Wait
        }
    }

    /// The request whose body is wanted.
    pub(super) fn wanted(&self, stream: StreamId) -> Option<&BodyWanted> {
        self.reads.get(stream)?.wanted.as_ref()
    }

    /// Ends with a body: the request that wanted it, if one did, and what has been read of it.
    pub(super) fn remove(&mut self, stream: StreamId) -> Option<(BodyWanted, BodyFound)> {
        self.room.release(stream);
        let read = self.reads.remove(stream)?;
        let too_large = read.is_too_large(self.body_bytes);
        let found = BodyFound {
            bytes: read.body,
            too_large,
        };
        Some((read.wanted?, found))
    }

    /// The first `most` bodies that have not ended in time. Each is named once.
    pub(super) fn take_overdue(&mut self, now: UnixNanos, most: usize) -> Vec<StreamId> {
        self.room.take_overdue(now, most)
    }

    /// Has a body that has not ended in time be refused with its next piece.
    pub(super) fn mark_late(&mut self, stream: StreamId) {
        if let Some(read) = self.reads.get_mut(stream) {
            read.late = true;
        }
    }

    /// How many bytes of bodies are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.room.used()
    }

    /// The streams whose headers wait for their bodies.
    pub(super) fn holding_headers(&self) -> impl Iterator<Item = Stream> {
        let wanted = self
            .reads
            .iter()
            .filter_map(|(_, read)| read.wanted.as_ref());
        let streams = wanted.map(|wanted| &wanted.request.stream);
        streams
            .filter(|stream| stream.phase() == Phase::Stopped)
            .cloned()
    }

    /// Whether the host has received something of a body that it did not call with. Called in the
    /// context of its stream.
    pub(super) fn has_more(&self, stream: StreamId, host: &impl Host) -> bool {
        let read = self.reads.get(stream);
        read.is_some_and(|read| received(host) > read.received)
    }
}

/// What the host has received of a request so far, in bytes.
fn received(host: &impl Host) -> Option<u64> {
    let bytes = host.property(&["request", "total_size"])?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}
