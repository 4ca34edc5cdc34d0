//! How far a stream's request is.

use std::cell::Cell;
use std::rc::Rc;

use crate::head::Head;
use crate::ids::StreamId;
use crate::resource::Route;
use crate::time::UnixNanos;

/// A stream, as its context in the filter and the worker see it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The host's number for it.
    pub id: StreamId,
    phase: Rc<Cell<Phase>>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not decided, or answered here: nothing of it may go on.
    Stopped,
    /// Its headers were sent on their way, its body waits for a decision.
    HeadersForwarded,
    /// Sent on its way.
    Forwarded,
    /// Sent on its way as it came: none of our business.
    Untouched,
}

/// What the host is to do with what it has called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it on.
    Continue,
    /// Keep it.
    Pause,
}

impl Stream {
    /// One that has just begun: nothing of it goes on undecided.
    pub fn new(id: StreamId) -> Self {
        Self {
            id,
            phase: Rc::new(Cell::new(Phase::Stopped)),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// What becomes of its request's headers, as far as it is decided.
    pub fn headers_action(&self) -> Action {
        match self.phase() {
            Phase::Stopped => Action::Pause,
            Phase::HeadersForwarded | Phase::Forwarded | Phase::Untouched => Action::Continue,
        }
    }

    /// What becomes of its request's body, as far as it is decided.
    pub fn body_action(&self) -> Action {
        match self.phase() {
            Phase::Stopped | Phase::HeadersForwarded => Action::Pause,
            Phase::Forwarded | Phase::Untouched => Action::Continue,
        }
    }
}

/// A request that is not decided yet, with what is needed to decide it.
#[derive(Debug)]
pub(super) struct UndecidedRequest {
    pub(super) stream: Stream,
    pub(super) route: Route,
    pub(super) head: Head,
    pub(super) arrived: UnixNanos,
}

/// Whose callback runs while a request is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    /// That of its stream, whose answer to the host says what becomes of the request.
    Stream,
    /// The root's, or another stream's: a request that may go on has to be resumed.
    Root,
}

/// At which time a request is decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// As it arrives, within its own callback.
    First,
    /// At a tick: it has waited, and may until its old deadline.
    Again { deadline: UnixNanos, now: UnixNanos },
}

impl Turn {
    pub(super) fn now_and_callback(self, arrived: UnixNanos) -> (UnixNanos, Callback) {
        match self {
            Self::First => (arrived, Callback::Stream),
            Self::Again { now, .. } => (now, Callback::Root),
        }
    }
}
