//! One worker: what becomes of its streams, and of the calls that it sends.
//!
//! A [`Worker`] is all that one of the host's threads has for one configuration. The host's callbacks
//! are its methods: those of a stream, in the order in which they come, then those of the root. It
//! asks the [`gate`] for each decision, has requests wait, reads bodies, carries decisions out, and
//! keeps the keys by what [`Trust`] wants done. All that it does to the world is a call to its
//! [`Host`], so that tests drive it with a host in memory.
//!
//! | what | where |
//! |---|---|
//! | a stream, and how far it is | `stream` |
//! | requests that wait for keys: bound, deadline, whose turn it is | `wait_queue` |
//! | requests whose bodies are judged; how far they are read, and how much of them is held | `bodies`; `body_reads`, `body_room` |
//! | the work of a tick; whether the host withholds bodies | `ticks`; `probe` |
//! | decisions, carried out | `enforcer` |
//! | responses that are changed | `responses` |
//! | what the keys want done: calls, by what waits for their answers | `calls` |
//! | signatures that the host checks | `signatures` |
//! | counters and gauges; lines for the log | `metrics`; `refusal_log`, `report` |

mod bodies;
mod body_reads;
mod body_room;
mod calls;
mod enforcer;
pub mod host;
mod metrics;
mod probe;
mod refusal_log;
mod report;
mod responses;
mod signatures;
mod stream;
#[cfg(test)]
mod tests;
mod ticks;
mod wait_queue;

use std::time::Duration;

use log::error;

use crate::config::Config;
use crate::gate::{self, Decision};
use crate::ids::StreamId;
use crate::keys::{KeySource, Keys};
use crate::reason::Reason;
use crate::resource::Route;
use crate::resource::host::Authority;
use crate::sorted_map::SortedMap;
use crate::time::UnixNanos;
use crate::trust::{Awaited, Trust};
use body_reads::{BodyReads, BodyWanted};
use calls::Call;
use enforcer::Enforcer;
use host::{CallId, HeaderMap, Host};
use responses::Responses;
use stream::{Callback, Phase, Turn, UndecidedRequest};
use wait_queue::{Full, WaitQueue};

pub use enforcer::refuse_unconfigured;
pub use stream::{Action, Stream};

/// What one worker has for one configuration.
pub struct Worker<H> {
    config: Config,
    needs_authority: bool,
    trust: Trust,
    waiting: WaitQueue<UndecidedRequest>,
    bodies: BodyReads,
    responses: Responses,
    /// The calls under way.
    calls: SortedMap<CallId, Call>,
    enforcer: Enforcer<H>,
    /// Streams that go on with the next tick.
    resuming: Vec<StreamId>,
    /// Whether the last tick had no room for all that was due.
    behind: bool,
}

impl<H: Host> Worker<H> {
    /// Called in the context of the root.
    pub fn new(host: H, config: Config) -> Self {
        // Nothing is judged by this reading: at worst, keys are fetched late.
        let now = host.now().unwrap_or(UnixNanos::ZERO);
        // No two workers are alike.
        let seed = host.random();
        let shares = has_own_shared_data(&host);
        let keys = if shares {
            Keys::sharing(config.key_sources(), now, seed)
        } else {
            Keys::new(config.key_sources(), now, seed)
        };
        let mut trust = Trust::new(
            &config,
            keys,
            signatures::preferred(&host),
            [host.random(), host.random()],
        );
        if shares {
            trust.introspection.share(seed);
        }
        let worker = Self {
            needs_authority: gate::needs_authority(&config),
            trust,
            waiting: WaitQueue::new(config.limits.held_requests),
            bodies: BodyReads::new(&config.limits),
            responses: Responses::new(),
            calls: SortedMap::default(),
            enforcer: Enforcer::new(host),
            resuming: Vec::new(),
            behind: false,
            config,
        };
        worker.plan(now);
        worker
    }

    /// A request's headers have come; nothing follows them if it `ends`.
    pub fn request_headers(&mut self, stream: &Stream, ends: bool) -> Action {
        self.begin(stream, ends);
        stream.headers_action()
    }

    /// More of a request's body has come: so many bytes are held of it. Called also while its
    /// headers are paused, if the host is set to do that.
    pub fn request_body(&mut self, stream: &Stream, bytes: usize, ends: bool) -> Action {
        self.read_more(stream, Some(bytes), ends);
        stream.body_action()
    }

    /// A request's trailers have come.
    pub fn request_trailers(&mut self, stream: &Stream) -> Action {
        if stream.phase() == Phase::Untouched {
            return Action::Continue;
        }
        if self.remove_trailers().is_err() {
            self.end(stream);
            self.enforcer.give_up(stream);
            return Action::Pause;
        }
        // What waits now goes on without another call for its trailers.
        let headers_were_gone = stream.phase() == Phase::HeadersForwarded;
        self.read_more(stream, None, true);
        if headers_were_gone && stream.body_action() == Action::Continue {
            // Envoy loses a held body that goes on from here, if its headers were resumed by the
            // same call.
            self.resuming.push(stream.id);
            self.plan_now();
            return Action::Pause;
        }
        stream.body_action()
    }

    /// A response's headers have come; nothing follows them if it `ends`.
    pub fn response_headers(&mut self, stream: &Stream, ends: bool) {
        let host = &self.enforcer.host;
        self.responses.headers(stream.id, ends, host, &self.config);
    }

    /// More of a response's body has come: so many bytes are held of it.
    pub fn response_body(&mut self, stream: &Stream, bytes: usize, ends: bool) -> Action {
        let host = &self.enforcer.host;
        self.responses
            .body(stream.id, bytes, ends, host, &self.config)
    }

    /// A response has ended with trailers.
    pub fn response_trailers(&mut self, stream: &Stream) {
        let host = &self.enforcer.host;
        self.responses.trailers(stream.id, host, &self.config);
    }

    /// A stream has ended, for whatever reason.
    pub fn end(&mut self, stream: &Stream) {
        self.bodies.remove(stream.id);
        self.responses.remove(stream.id);
        self.stop_waiting(stream.id);
        self.resuming.retain(|resuming| *resuming != stream.id);
    }

    /// The answer to a call has come. Called in the context of the root.
    pub fn call_response(&mut self, call: CallId, headers: usize, body_bytes: usize) {
        let (Some(call), Some(now)) = (self.calls.remove(call), self.now()) else {
            return;
        };
        self.answer_call(call, headers, body_bytes, now);
        self.run_commands(now);
        self.plan(now);
    }

    /// The configuration is no longer used. Called in the context of the root.
    pub fn shut_down(&mut self) {
        self.trust.keys.handle_shutdown();
        self.trust.introspection.handle_shutdown();
        if let Some(now) = self.now() {
            self.run_commands(now);
        }
        let Enforcer { host, metrics, .. } = &mut self.enforcer;
        metrics.held(host, &self.config, 0);
        metrics.held_body_bytes(host, &self.config, 0);
        metrics.flush(host, &self.config);
    }

    fn begin(&mut self, stream: &Stream, ends: bool) {
        let host = &self.enforcer.host;
        let Ok(path) = host.header(HeaderMap::Request, ":path") else {
            return self.enforcer.give_up(stream);
        };
        let authority = if self.needs_authority {
            host.header(HeaderMap::Request, ":authority")
        } else {
            Ok(None)
        };
        let Ok(authority) = authority else {
            return self.enforcer.give_up(stream);
        };
        let authority = match &authority {
            _ if !self.needs_authority => Authority::NotRead,
            Some(authority) => Authority::Present(authority),
            None => Authority::Missing,
        };
        let route = gate::route(&self.config, path.as_deref(), authority);
        if route == Route::Foreign {
            let decision = gate::unjudged(&self.config);
            return self.enforcer.carry_out(
                &self.config,
                &decision,
                None,
                stream,
                Callback::Stream,
            );
        }
        let (Ok(head), Ok(arrived)) = (host.headers(HeaderMap::Request), host.now()) else {
            return self.enforcer.give_up(stream);
        };
        let request = UndecidedRequest {
            stream: stream.clone(),
            route,
            head: head.ending(ends),
            arrived,
        };
        self.decide(request, Turn::First);
    }

    fn decide(&mut self, request: UndecidedRequest, turn: Turn) {
        let (now, callback) = turn.now_and_callback(request.arrived);
        let UndecidedRequest {
            stream,
            route,
            head,
            arrived,
        } = &request;
        let mut decision = gate::decide(&self.config, route, head, &mut self.trust, *arrived, now);
        if let Decision::ReadBody(pending) = decision {
            return self.read_body(BodyWanted { request, pending }, now, callback);
        }
        if let Decision::Wait(awaited) = decision {
            return self.wait(request, awaited, turn);
        }
        self.bodies.remove(stream.id);
        if let Decision::Allow(edits) = &mut decision {
            self.responses.expect(stream.id, route, edits);
        }
        self.enforcer
            .carry_out(&self.config, &decision, Some(head), stream, callback);
    }

    /// Has a request wait. Rare: kept out of the way of those that are decided at once.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, request: UndecidedRequest, awaited: Awaited, turn: Turn) {
        let stream = request.stream.clone();
        let (now, callback) = turn.now_and_callback(request.arrived);
        let deadline = match turn {
            Turn::First => self.deadline(awaited, now),
            Turn::Again { deadline, .. } => deadline,
        };
        let is_first = callback == Callback::Stream;
        let host = &self.enforcer.host;
        if gate::needs_body(&self.config, &request.route) {
            self.bodies.begin(stream.id, host);
        } else if is_first && !request.head.ends() && host.keep_body_back(stream.id).is_err() {
            return self.enforcer.give_up(&stream);
        }
        match self.waiting.add(stream.id, awaited, deadline, request) {
            Ok(()) => {
                self.count_waiting();
                self.plan(now);
            }
            Err(Full(request)) => self.refuse(request, Reason::TooManyWaiting, now, callback),
        }
    }

    fn deadline(&self, awaited: Awaited, now: UnixNanos) -> UnixNanos {
        let (Awaited::Keys(issuer) | Awaited::Answer(issuer, _)) = awaited;
        let Some(issuer) = self.config.issuer(issuer) else {
            return now;
        };
        let timeout = match (&issuer.keys, &issuer.introspection) {
            (_, Some(source)) => source.timeout,
            (KeySource::Remote(remote), None) => remote.timings.timeout,
            (KeySource::Inline(_), None) => Duration::ZERO,
        };
        now.saturating_add(timeout)
    }

    /// Refuses a request without judging it.
    fn refuse(
        &mut self,
        request: UndecidedRequest,
        reason: Reason,
        now: UnixNanos,
        callback: Callback,
    ) {
        self.bodies.remove(request.stream.id);
        let decision = gate::refuse(&self.config, &request.route, &request.head, reason, now);
        self.finish(&request, &decision, callback);
    }

    /// Carries out a decision on a request whose headers may be on their way already.
    fn finish(&mut self, request: &UndecidedRequest, decision: &Decision, callback: Callback) {
        let UndecidedRequest { stream, head, .. } = request;
        let headers_are_gone = stream.phase() == Phase::HeadersForwarded;
        if headers_are_gone && matches!(decision, Decision::Allow(_) | Decision::Observe(..)) {
            return self
                .enforcer
                .forward_body(&self.config, decision, head, stream);
        }
        stream.set(Phase::Stopped);
        self.enforcer
            .carry_out(&self.config, decision, Some(head), stream, callback);
    }

    /// Takes away the trailers that must not reach a server.
    fn remove_trailers(&self) -> host::Result<()> {
        let host = &self.enforcer.host;
        let trailers = host.headers(HeaderMap::RequestTrailers)?;
        for name in gate::withheld_trailers(&self.config, &trailers) {
            host.remove_header(HeaderMap::RequestTrailers, &name)?;
        }
        Ok(())
    }

    /// A stream waits no longer: its request, if it did.
    fn stop_waiting(&mut self, stream: StreamId) -> Option<UndecidedRequest> {
        let request = self.waiting.remove(stream)?;
        self.count_waiting();
        Some(request)
    }

    fn count_waiting(&mut self) {
        let Enforcer { host, metrics, .. } = &mut self.enforcer;
        metrics.held(host, &self.config, self.waiting.len());
    }

    /// The time, in the context of the root: what cannot be dated is left for another tick.
    fn now(&self) -> Option<UnixNanos> {
        let now = self.enforcer.host.now();
        if now.is_err() {
            error!("the host does not tell the time");
        }
        now.ok()
    }
}

/// Whether the operator says which plugins share data with this one, by a `vm_id`. Without one,
/// every plugin of the proxy does: keys are not taken from those.
fn has_own_shared_data(host: &impl Host) -> bool {
    let id = host.property(&["plugin_vm_id"]);
    id.is_some_and(|id| !id.is_empty())
}
