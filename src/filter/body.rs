//! Requests whose body is read before they are decided.
//!
//! Envoy calls with the body of a request whose headers are paused only if the plugin's
//! `allow_on_headers_stop_iteration` is set. Nothing tells a plugin whether it is. So the first
//! such request finds out: if Envoy has received some of its body without calling, it is not. Then
//! headers are sent on with a good token, and the body alone is held until it is judged: the server
//! can act on no message, but sees that a request has begun.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use log::{error, warn};

use super::host;
use super::worker::{HeldRequest, Phase, Worker};
use crate::config::{Config, Mode};
use crate::gate::{self, Body, Decision, Pending};
use crate::head::Head;
use crate::held::bodies::HeldBodies;
use crate::ids::StreamId;
use crate::reason::Reason;
use crate::sorted::SortedMap;
use crate::time::UnixNanos;

/// How often it is asked whether bodies come without a call.
pub(super) const PROBE: Duration = Duration::from_millis(5);

/// Whether the host calls with the bodies of requests whose headers are paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Unknown,
    Delivered,
    Withheld,
}

/// The requests whose bodies are read, and how much of them is held.
pub(super) struct Readings {
    of: SortedMap<StreamId, Reading>,
    held: HeldBodies,
}

impl Readings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            of: SortedMap::default(),
            held: HeldBodies::new(config.limits.held_body_bytes),
        }
    }

    /// Begins with a body, if it is not begun.
    pub(super) fn begin(&mut self, stream: StreamId) {
        if !self.of.contains(stream) {
            self.of.insert(stream, Reading::begin());
        }
    }

    /// How many bytes of bodies are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.used()
    }

    pub(super) fn remove(&mut self, stream: StreamId) -> Option<Reading> {
        self.held.forget(stream);
        self.of.remove(stream)
    }
}

/// A request whose body is read. The host keeps it until it has ended.
pub(super) struct Reading {
    /// All of it, once it has ended.
    body: Vec<u8>,
    /// How long it was at the last call.
    bytes: usize,
    ended: bool,
    too_large: bool,
    /// Observed only: it did not end in time.
    late: bool,
    /// What the host had received of the request when its headers were read.
    received: Option<u64>,
    /// Absent while the request waits for keys.
    wanted: Option<Wanted>,
}

struct Wanted {
    request: HeldRequest,
    pending: Pending,
}

impl Reading {
    fn begin() -> Self {
        Self {
            body: Vec::new(),
            bytes: 0,
            ended: false,
            too_large: false,
            late: false,
            received: host::received(),
            wanted: None,
        }
    }

    /// Takes note of what has come, and takes all of it at its end.
    fn take(&mut self, bytes: Option<usize>, ends: bool, config: &Config) -> host::Result<()> {
        self.bytes = bytes.unwrap_or(self.bytes);
        self.ended |= ends;
        self.too_large |= self.bytes > config.limits.body_bytes;
        if ends && !self.too_large {
            self.body = host::request_body(0, self.bytes)?;
        }
        Ok(())
    }

    /// Whether it can be judged. A body that should not be there is refused by its first byte.
    fn is_complete(&self) -> bool {
        let is_unexpected = !self.body.is_empty()
            && matches!(&self.wanted, Some(wanted) if !wanted.pending.expects_body);
        self.ended || self.too_large || is_unexpected
    }

    /// Whether its headers wait for its body.
    fn is_withheld(&self) -> bool {
        let phase = self
            .wanted
            .as_ref()
            .map(|wanted| wanted.request.phase.get());
        phase == Some(Phase::Stopped)
    }
}

impl Worker {
    /// A request's token is good: its body is to be judged. `later` outside its own callback.
    pub(super) fn read_body(
        &mut self,
        stream: StreamId,
        request: HeldRequest,
        pending: Pending,
        now: UnixNanos,
        later: bool,
    ) {
        self.reading.begin(stream);
        let Some(reading) = self.reading.of.get_mut(stream) else {
            return;
        };
        reading.ended |= request.ends;
        // What has come of a body already would be sent on with the headers.
        let bodiless = !pending.expects_body && reading.bytes == 0;
        reading.wanted = Some(Wanted { request, pending });
        if reading.is_complete() {
            return self.judge(stream, now, later);
        }
        if !bodiless {
            let deadline = now.saturating_add(self.config.limits.body_time);
            self.reading.held.expect_end(stream, deadline);
        }
        match self.bodies {
            _ if bodiless => self.forward_bodiless(stream, later),
            Bodies::Unknown => self.plan(now),
            Bodies::Delivered => {}
            Bodies::Withheld => self.forward_headers(stream, later),
        }
    }

    /// More of a body has come, or its end. Called in the context of its stream.
    pub(super) fn body(&mut self, stream: StreamId, bytes: Option<usize>, ends: bool) {
        let Some(reading) = self.reading.of.get_mut(stream) else {
            return;
        };
        let forwarded = reading
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.request.phase.get() == Phase::HeadersForwarded);
        if !forwarded {
            self.bodies = Bodies::Delivered;
        }
        let taken = reading.take(bytes, ends, &self.config);
        let judged = reading.is_complete() && reading.wanted.is_some();
        let refused = if reading.late {
            Some(Reason::BodyTimeout)
        } else {
            let room = self.reading.held.grow(stream, reading.bytes);
            room.is_err().then_some(Reason::NoRoomForBody)
        };
        if !judged && refused.is_none() && taken.is_ok() {
            return;
        }
        match (taken, host::now(), refused) {
            (Err(host::HostError), _, _) | (_, Err(host::HostError), _) => {
                self.give_up_reading(stream);
            }
            (Ok(()), Ok(now), Some(reason)) => self.refuse_body(stream, reason, now, false),
            (Ok(()), Ok(now), None) => self.judge(stream, now, false),
        }
    }

    /// Refuses up to `most` requests whose body has not ended in time; returns how many more it
    /// could have been. Called in the context of the root.
    pub(super) fn end_bodies(&mut self, now: UnixNanos, most: usize) -> usize {
        let overdue = self.reading.held.take_overdue(now, most);
        let left = most.saturating_sub(overdue.len());
        for stream in overdue {
            if self.config.mode == Mode::Observe {
                // It goes on with its next piece: Envoy before 1.39.1 loses that if it is resumed
                // from here.
                if let Some(reading) = self.reading.of.get_mut(stream) {
                    reading.late = true;
                }
            } else {
                self.on_behalf_of(stream, |worker| {
                    worker.refuse_body(stream, Reason::BodyTimeout, now, true);
                });
            }
        }
        left
    }

    /// Refuses a request for its body, which is not judged.
    fn refuse_body(&mut self, stream: StreamId, reason: Reason, now: UnixNanos, later: bool) {
        let waiting = self.forget_waiting(stream);
        let reading = self.reading.remove(stream);
        let wanted = reading.and_then(|reading| reading.wanted);
        let Some(request) = wanted.map(|wanted| wanted.request).or(waiting) else {
            return;
        };
        let decision = gate::refuse(&self.config, &request.route, &request.head, reason, now);
        self.finish(&request.head, &request.phase, decision, later);
    }

    /// Whether headers wait for a body.
    pub(super) fn holds_headers(&self) -> bool {
        self.reading
            .of
            .iter()
            .any(|(_, reading)| reading.is_withheld())
    }

    /// Finds out whether the host withholds bodies, and sends headers on if it does: up to `most`,
    /// the rest at the next tick. Called in the context of the root.
    pub(super) fn probe_bodies(&mut self, most: usize) {
        if self.bodies == Bodies::Unknown && self.any_body_withheld() {
            self.bodies = Bodies::Withheld;
            warn!(
                "operations: the host holds bodies back while headers wait, so headers are sent on \
                 before the body is judged; set `allow_on_headers_stop_iteration` for this plugin"
            );
        }
        if self.bodies == Bodies::Withheld {
            let waiting: Vec<StreamId> = self
                .reading
                .of
                .iter()
                .filter(|(_, reading)| reading.is_withheld())
                .map(|(stream, _)| stream)
                .take(most)
                .collect();
            for stream in waiting {
                self.on_behalf_of(stream, |worker| worker.forward_headers(stream, true));
            }
        }
    }

    /// Whether the host has received something of a body that it did not call with.
    fn any_body_withheld(&mut self) -> bool {
        let waiting: Vec<(StreamId, Option<u64>)> = self
            .reading
            .of
            .iter()
            .filter(|(_, reading)| reading.is_withheld())
            .map(|(stream, reading)| (stream, reading.received))
            .collect();
        waiting.into_iter().any(|(stream, before)| {
            let mut more = false;
            self.on_behalf_of(stream, |_| more = host::received() > before);
            more
        })
    }

    /// Sends headers on, as far as the token alone decides; the body stays.
    fn forward_headers(&mut self, stream: StreamId, later: bool) {
        let Some(wanted) = self
            .reading
            .of
            .get(stream)
            .and_then(|reading| reading.wanted.as_ref())
        else {
            return;
        };
        let phase = Rc::clone(&wanted.request.phase);
        let forwarded =
            host::edit_request(&wanted.pending.edits).and_then(|()| host::mark(host::Mark::Allow));
        if forwarded.is_err() {
            self.reading.remove(stream);
            return self.give_up(&phase);
        }
        phase.set(Phase::HeadersForwarded);
        if later && host::resume_request().is_err() {
            error!("the host did not resume a request");
        }
    }

    /// Sends on a request that has no body by its method, although the host cannot say yet that it
    /// has none.
    fn forward_bodiless(&mut self, stream: StreamId, later: bool) {
        if let Some(wanted) = self
            .reading
            .of
            .get_mut(stream)
            .and_then(|reading| reading.wanted.as_mut())
        {
            let route = wanted.request.route.clone();
            let mut edits = wanted.pending.edits.clone();
            self.expect_response(stream, &route, &mut edits);
        }
        self.forward_headers(stream, later);
    }

    /// The host failed while a body was read.
    fn give_up_reading(&mut self, stream: StreamId) {
        if let Some(Reading {
            wanted: Some(wanted),
            ..
        }) = self.reading.remove(stream)
        {
            self.give_up(&wanted.request.phase);
        }
    }

    fn judge(&mut self, stream: StreamId, now: UnixNanos, later: bool) {
        let Some(Reading {
            body,
            too_large,
            wanted: Some(Wanted { request, pending }),
            ..
        }) = self.reading.remove(stream)
        else {
            return;
        };
        let HeldRequest {
            route, head, phase, ..
        } = request;
        let expects_body = pending.expects_body;
        let body = if too_large {
            Body::TooLarge
        } else {
            Body::Whole(&body)
        };
        let mut decision = gate::decide_operation(&self.config, &route, &head, pending, body, now);
        let headers_are_gone = phase.get() == Phase::HeadersForwarded;
        if let Decision::Allow(edits) = &mut decision
            && (expects_body || !headers_are_gone)
        {
            self.expect_response(stream, &route, edits);
        }
        self.finish(&head, &phase, decision, later);
    }

    /// Carries out what was decided by the body, or for the want of it.
    fn finish(&mut self, head: &Head, phase: &Rc<Cell<Phase>>, decision: Decision, later: bool) {
        let headers_are_gone = phase.get() == Phase::HeadersForwarded;
        if headers_are_gone && matches!(decision, Decision::Allow(_) | Decision::Observe(..)) {
            return self.carry_out_body(&decision, head, phase);
        }
        phase.set(Phase::Stopped);
        if later {
            self.carry_out_later(decision, head, phase);
        } else {
            self.carry_out(decision, Some(head), phase);
        }
    }
}
