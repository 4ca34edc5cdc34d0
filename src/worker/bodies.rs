//! Requests whose bodies are judged: read, judged, refused.

use super::Worker;
use super::body_reads::{BodyWanted, Delivery, Step};
use super::host::{Host, HostError};
use super::stream::{Callback, Phase, Stream, UndecidedRequest};
use crate::gate::{self, Decision};
use crate::ids::StreamId;
use crate::reason::Reason;
use crate::time::UnixNanos;

impl<H: Host> Worker<H> {
    /// A request's token is good: its body is to be judged.
    pub(super) fn read_body(&mut self, wanted: BodyWanted, now: UnixNanos, callback: Callback) {
        let stream = wanted.request.stream.clone();
        let deadline = now.saturating_add(self.config.limits.body_time);
        let step = self.bodies.want(wanted, deadline, &self.enforcer.host);
        self.take_step(&stream, step, now, callback);
        if self.bodies.delivery == Delivery::Unknown && step == Step::Wait {
            self.plan(now);
        }
    }

    /// More of a body has come, or its end.
    pub(super) fn read_more(&mut self, stream: &Stream, bytes: Option<usize>, ends: bool) {
        if matches!(stream.phase(), Phase::Forwarded | Phase::Untouched) {
            return;
        }
        let host = &self.enforcer.host;
        let step = self.bodies.take(stream.id, bytes, ends, host);
        if step == Step::Wait {
            return;
        }
        match host.now() {
            Ok(now) => self.take_step(stream, step, now, Callback::Stream),
            Err(HostError) => self.give_up_reading(stream),
        }
    }

    fn take_step(&mut self, stream: &Stream, step: Step, now: UnixNanos, callback: Callback) {
        match step {
            Step::Wait => {}
            Step::ForwardHeaders => self.forward_headers(stream, callback),
            Step::Judge => self.judge_body(stream, now, callback),
            Step::Refuse(reason) => self.refuse_body(stream.id, reason, now, callback),
            Step::GiveUp => self.give_up_reading(stream),
        }
    }

    fn judge_body(&mut self, stream: &Stream, now: UnixNanos, callback: Callback) {
        let Some((BodyWanted { request, pending }, body)) = self.bodies.remove(stream.id) else {
            return;
        };
        let UndecidedRequest { route, head, .. } = &request;
        // Else it was told before what its response needs.
        let tells = pending.expects_body || stream.phase() != Phase::HeadersForwarded;
        let body = body.as_body();
        let mut decision = gate::decide_operation(&self.config, route, head, pending, body, now);
        if let Decision::Allow(edits) = &mut decision
            && tells
        {
            self.responses.expect(stream.id, route, edits);
        }
        self.finish(&request, &decision, callback);
    }

    /// Refuses a request for its body, which is not judged: it may wait for keys still.
    pub(super) fn refuse_body(
        &mut self,
        stream: StreamId,
        reason: Reason,
        now: UnixNanos,
        callback: Callback,
    ) {
        let waiting = self.stop_waiting(stream);
        let wanted = self.bodies.remove(stream);
        if let Some(request) = wanted.map(|(wanted, _)| wanted.request).or(waiting) {
            self.refuse(request, reason, now, callback);
        }
    }

    /// Sends headers on before the body is judged.
    pub(super) fn forward_headers(&mut self, stream: &Stream, callback: Callback) {
        let Some(BodyWanted { request, pending }) = self.bodies.wanted(stream.id) else {
            return;
        };
        if !pending.expects_body {
            let mut edits = pending.edits.clone();
            self.responses.expect(stream.id, &request.route, &mut edits);
        }
        let forwarded = self
            .enforcer
            .forward_headers(&pending.edits, stream, callback);
        if forwarded.is_err() {
            self.bodies.remove(stream.id);
        }
    }

    /// The host failed while a body was read.
    fn give_up_reading(&mut self, stream: &Stream) {
        if self.bodies.remove(stream.id).is_some() {
            self.enforcer.give_up(stream);
        }
    }
}
