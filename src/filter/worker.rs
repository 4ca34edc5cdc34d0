//! What one worker has for one configuration, and how a decision is carried out.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;
use std::time::Duration;

use log::{debug, error, info, warn};

use super::body::{Bodies, PROBE, Readings};
use super::host::{self, Mark};
use super::metrics::Metrics;
use super::refusals::RefusalLog;
use super::response::Expected;
use super::signature::HostVerifier;
use crate::config::Config;
use crate::evidence::escaped;
use crate::gate::{self, Decision};
use crate::head::Head;
use crate::held::{Due, Full, Held};
use crate::ids::IssuerId;
use crate::ids::StreamId;
use crate::introspection::CallId;
use crate::keys::KeySource;
use crate::keys::{Command, Event, FetchId, FetchOutcome, Keys};
use crate::reason::Reason;
use crate::resource::Route;
use crate::resource::host::Authority;
use crate::sorted::SortedMap;
use crate::time::UnixNanos;
use crate::trust::{Awaited, Trust};

/// The longest time between two ticks: a wall clock may jump, and nothing else wakes the root.
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// The shortest one: how long a stream's wish for a fetch waits for the root.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

/// How many streams one callback answers or resumes.
///
/// Envoy does so once the callback has returned, and within it: the answer to a stream calls the
/// module, the answer to the next one comes at the end of that call, and so on. About 305 of them
/// end the stack, and with it the VM. So it is done in ticks alone, and with a margin of ten.
const AT_ONCE: usize = 30;

/// How far a stream is.
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

/// On whose behalf a call is under way.
pub(super) enum CalledFor {
    Keys(FetchId),
    Introspection(CallId),
}

/// A request that waits, with what is needed to decide again.
pub(super) struct HeldRequest {
    pub(super) route: Route,
    pub(super) head: Head,
    pub(super) arrived: UnixNanos,
    /// Whether it has no body.
    pub(super) ends: bool,
    pub(super) phase: Rc<Cell<Phase>>,
}

/// What one worker has for one configuration.
pub(super) struct Worker {
    root: u32,
    pub(super) config: Config,
    needs_authority: bool,
    pub(super) trust: Trust,
    pub(super) held: Held<HeldRequest>,
    /// The host's token of each call under way.
    pub(super) calls: SortedMap<u32, CalledFor>,
    pub(super) metrics: Metrics,
    pub(super) refusals: RefusalLog,
    pub(super) reading: Readings,
    /// Whether the last tick had no room for all that was due.
    behind: bool,
    pub(super) bodies: Bodies,
    pub(super) responses: SortedMap<StreamId, Expected>,
}

impl Worker {
    pub(super) fn new(root: u32, config: Config, now: UnixNanos) -> Self {
        // The standard library's only source of randomness: no two workers are alike.
        let worker = RandomState::new().build_hasher().finish();
        let keys = if host::has_own_shared_data() {
            Keys::sharing(config.key_sources(), now, worker)
        } else {
            Keys::new(config.key_sources(), now, worker)
        };
        Self {
            root,
            needs_authority: gate::needs_authority(&config),
            trust: Trust::new(&config, keys, HostVerifier::preferred()),
            held: Held::new(config.limits.held_requests),
            calls: SortedMap::default(),
            metrics: Metrics::default(),
            refusals: RefusalLog::new(),
            reading: Readings::new(&config),
            behind: false,
            bodies: Bodies::Unknown,
            responses: SortedMap::default(),
            config,
        }
    }

    /// A request's headers have come. Called in the context of its stream.
    pub(super) fn begin(&mut self, stream: StreamId, ends: bool, phase: &Rc<Cell<Phase>>) {
        let Ok(path) = host::request_header(":path") else {
            return self.give_up(phase);
        };
        let authority = if self.needs_authority {
            host::request_header(":authority")
        } else {
            Ok(None)
        };
        let Ok(authority) = authority else {
            return self.give_up(phase);
        };
        let authority = match &authority {
            _ if !self.needs_authority => Authority::NotRead,
            Some(authority) => Authority::Present(authority),
            None => Authority::Missing,
        };
        let route = gate::route(&self.config, path.as_deref(), authority);
        if route == Route::Foreign {
            return self.carry_out(gate::unjudged(&self.config), None, phase);
        }
        let (Ok(head), Ok(arrived)) = (host::request_head(ends), host::now()) else {
            return self.give_up(phase);
        };
        let request = HeldRequest {
            route,
            head,
            arrived,
            ends,
            phase: Rc::clone(phase),
        };
        self.decide(stream, request, None);
    }

    /// A request's trailers have come. Whether they may go on. Called in the context of its stream.
    pub(super) fn trailers(&mut self, stream: StreamId, phase: &Rc<Cell<Phase>>) -> bool {
        let config = &self.config;
        let removed = host::remove_trailers(|trailers| gate::withheld_trailers(config, trailers));
        if removed.is_err() {
            self.end(stream);
            self.give_up(phase);
        }
        removed.is_ok()
    }

    /// A stream has ended.
    pub(super) fn end(&mut self, stream: StreamId) {
        self.reading.remove(stream);
        self.responses.remove(stream);
        self.forget_waiting(stream);
    }

    /// A stream waits no longer: what it waited with, if it did.
    pub(super) fn forget_waiting(&mut self, stream: StreamId) -> Option<HeldRequest> {
        let request = self.held.forget(stream)?;
        self.metrics.held(&self.config, self.held.len());
        Some(request)
    }

    /// Time has passed. Called in the context of the root.
    pub(super) fn tick(&mut self) {
        let Some(now) = clock() else {
            return;
        };
        self.trust.keys.handle_tick(now);
        self.trust.introspection.handle_tick(now);
        self.work(now);
        let left = self.settle(now, AT_ONCE);
        let left = self.end_bodies(now, left);
        self.probe_bodies(left);
        self.behind = left == 0;
        self.metrics
            .held_body_bytes(&self.config, self.reading.held_bytes());
        self.metrics.flush(&self.config);
        self.refusals.tick(now);
        for (issuer, status) in self.trust.keys.status(now) {
            self.metrics.key_status(&self.config, issuer, status);
        }
        self.plan(now);
    }

    /// The configuration is no longer used. Called in the context of the root.
    pub(super) fn shut_down(&mut self) {
        self.trust.keys.handle_shutdown();
        if let Some(now) = clock() {
            self.work(now);
        }
        self.metrics.held(&self.config, 0);
        self.metrics.held_body_bytes(&self.config, 0);
        self.metrics.flush(&self.config);
    }

    /// A call has ended. Called in the context of the root.
    pub(super) fn response(&mut self, call: u32, headers: usize, body_bytes: usize) {
        let (Some(called_for), Some(now)) = (self.calls.remove(call), clock()) else {
            return;
        };
        let outcome = host::fetch_outcome(headers, body_bytes);
        match called_for {
            CalledFor::Keys(fetch) => self.trust.keys.handle_response(fetch, outcome, now),
            CalledFor::Introspection(call) => {
                self.trust.introspection.handle_response(call, outcome, now);
            }
        }
        self.work(now);
        self.plan(now);
    }

    /// Sets the next tick to when something is to be done.
    pub(super) fn plan(&self, now: UnixNanos) {
        let probe = match self.bodies {
            Bodies::Unknown => self.holds_headers().then(|| now.saturating_add(PROBE)),
            Bodies::Withheld => self.holds_headers().then_some(now),
            Bodies::Delivered => None,
        };
        let behind = self.behind.then_some(now);
        let next = [
            self.trust.keys.poll_timeout(),
            self.trust.introspection.poll_timeout(),
            self.held.poll_timeout(),
            probe,
            behind,
        ]
        .into_iter()
        .flatten()
        .min();
        let wait = next.map_or(LONGEST_TICK, |next| next.since(now));
        host::tick_every(wait.clamp(SHORTEST_TICK, LONGEST_TICK));
    }

    /// Carries out what the keys and the introspection want done.
    fn work(&mut self, now: UnixNanos) {
        self.work_for_introspection(now);
        while let Some(command) = self.trust.keys.next_command() {
            match command {
                Command::Fetch(fetch) => {
                    match host::dispatch(&fetch.cluster, &fetch.url, None, fetch.timeout) {
                        Ok(call) => self.calls.insert(call, CalledFor::Keys(fetch.id)),
                        Err(host::HostError) => {
                            warn!(
                                "keys: cluster {} cannot be called: is it configured and resolved?",
                                escaped(&fetch.cluster)
                            );
                            self.trust
                                .keys
                                .handle_response(fetch.id, FetchOutcome::Failed, now);
                        }
                    }
                }
                Command::ReadShared { entry, key } => {
                    let found = host::read_shared(&key);
                    self.trust.keys.handle_shared(entry, found, now);
                }
                Command::WriteShared {
                    entry,
                    key,
                    value,
                    version,
                } => {
                    let written = host::write_shared(&key, &value, version);
                    self.trust.keys.handle_shared_written(entry, written, now);
                }
                Command::Wake(issuer) => self.held.wake(Awaited::Keys(issuer)),
                Command::Report(issuer, event) => self.report(issuer, &event),
            }
        }
    }

    /// Decides on up to `most` of those that need not wait any longer; returns how many more it
    /// could have been. The rest has its turn at the next tick, which [`Worker::plan`] brings near.
    fn settle(&mut self, now: UnixNanos, most: usize) -> usize {
        let due = self.held.take_due(now, most);
        let left = most.saturating_sub(due.len());
        for Due {
            stream,
            awaited,
            deadline,
            woken,
            request,
        } in due
        {
            self.on_behalf_of(stream, |worker| {
                if woken {
                    worker.decide(stream, request, Some((deadline, now)));
                } else {
                    worker.refuse_overdue(stream, awaited, &request, now);
                }
            });
        }
        self.metrics.held(&self.config, self.held.len());
        left
    }

    fn refuse_overdue(
        &mut self,
        stream: StreamId,
        awaited: Awaited,
        request: &HeldRequest,
        now: UnixNanos,
    ) {
        let HeldRequest {
            route, head, phase, ..
        } = request;
        self.reading.remove(stream);
        let reason = match awaited {
            Awaited::Keys(_) => Reason::KeysUnavailable,
            Awaited::Answer(..) => Reason::IntrospectionUnavailable,
        };
        let decision = gate::refuse(&self.config, route, head, reason, now);
        self.carry_out_later(decision, head, phase);
    }

    /// Decides, at first or, for a stream that waited, `again` with its old deadline.
    fn decide(
        &mut self,
        stream: StreamId,
        request: HeldRequest,
        again: Option<(UnixNanos, UnixNanos)>,
    ) {
        let HeldRequest {
            route,
            head,
            arrived,
            phase,
            ..
        } = &request;
        let now = again.map_or(*arrived, |(_, now)| now);
        let mut decision = gate::decide(&self.config, route, head, &mut self.trust, *arrived, now);
        if let Decision::ReadBody(pending) = decision {
            return self.read_body(stream, request, pending, now, again.is_some());
        }
        if let Decision::Wait(awaited) = decision {
            let deadline = again.map(|(deadline, _)| deadline);
            return self.hold(stream, request, awaited, deadline, now);
        }
        self.reading.remove(stream);
        if let Decision::Allow(edits) = &mut decision {
            self.expect_response(stream, route, edits);
        }
        if again.is_some() {
            self.carry_out_later(decision, head, phase);
        } else {
            self.carry_out(decision, Some(head), phase);
        }
    }

    /// Rare: kept out of the way of requests that are decided at once.
    #[cold]
    #[inline(never)]
    fn hold(
        &mut self,
        stream: StreamId,
        request: HeldRequest,
        awaited: Awaited,
        deadline: Option<UnixNanos>,
        now: UnixNanos,
    ) {
        let is_first = deadline.is_none() && !request.ends;
        let deadline = deadline.unwrap_or_else(|| self.deadline(awaited, now));
        let phase = Rc::clone(&request.phase);
        if gate::needs_body(&self.config, &request.route) {
            self.reading.begin(stream);
        } else if is_first && host::keep_body_back(stream.0, self.root).is_err() {
            return self.give_up(&phase);
        }
        match self.held.hold(stream, awaited, deadline, request) {
            Ok(()) => {
                self.metrics.held(&self.config, self.held.len());
                self.plan(now);
            }
            Err(Full(HeldRequest { route, head, .. })) => {
                self.reading.remove(stream);
                let decision =
                    gate::refuse(&self.config, &route, &head, Reason::TooManyWaiting, now);
                self.carry_out(decision, Some(&head), &phase);
            }
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

    /// Carries out a decision on a stream whose headers were paused.
    pub(super) fn carry_out_later(
        &mut self,
        decision: Decision,
        head: &Head,
        phase: &Rc<Cell<Phase>>,
    ) {
        self.carry_out(decision, Some(head), phase);
        if matches!(phase.get(), Phase::Forwarded | Phase::Untouched)
            && host::resume_request().is_err()
        {
            error!("the host did not resume a request");
        }
    }

    pub(super) fn carry_out(
        &mut self,
        decision: Decision,
        head: Option<&Head>,
        phase: &Rc<Cell<Phase>>,
    ) {
        self.metrics.count(&decision);
        let forwarded = match &decision {
            Decision::Pass => host::mark(Mark::Pass),
            Decision::Off => host::mark(Mark::Off),
            Decision::Preflight(edits) => {
                host::edit_request(edits).and_then(|()| host::mark(Mark::Preflight))
            }
            Decision::Unanswered(edits) => {
                host::edit_request(edits).and_then(|()| host::mark(Mark::Observe))
            }
            Decision::Allow(edits) => {
                host::edit_request(edits).and_then(|()| host::mark(Mark::Allow))
            }
            Decision::Observe(refusal, edits) => {
                self.refusals.write(refusal, head, &self.config);
                host::mark_reason(refusal.reason.label());
                host::edit_request(edits).and_then(|()| host::mark(Mark::Observe))
            }
            Decision::Answer(reply) => return self.send(reply),
            Decision::Refuse(refusal, reply) => {
                self.refusals.write(refusal, head, &self.config);
                host::mark_reason(refusal.reason.label());
                return self.send(reply);
            }
            // Held by the caller: it stays stopped.
            Decision::Wait(_) | Decision::ReadBody(_) => return,
        };
        match forwarded {
            Ok(()) if matches!(decision, Decision::Pass | Decision::Off) => {
                phase.set(Phase::Untouched);
            }
            Ok(()) => phase.set(Phase::Forwarded),
            Err(host::HostError) => self.give_up(phase),
        }
    }

    /// Lets the body follow headers that were sent on before.
    pub(super) fn carry_out_body(
        &mut self,
        decision: &Decision,
        head: &Head,
        phase: &Rc<Cell<Phase>>,
    ) {
        self.metrics.count(decision);
        if let Decision::Observe(refusal, _) = decision {
            self.refusals.write(refusal, Some(head), &self.config);
            host::mark_reason(refusal.reason.label());
            if host::mark(Mark::Observe).is_err() {
                error!("the host refused filter state for a mark");
            }
        }
        phase.set(Phase::Forwarded);
    }

    fn send(&self, reply: &crate::gate::reply::Reply) {
        if host::send(reply).is_err() {
            error!("the host did not send a response; the request stays stopped");
        }
    }

    /// The host failed: the request was not judged, so it does not pass.
    pub(super) fn give_up(&mut self, phase: &Rc<Cell<Phase>>) {
        phase.set(Phase::Stopped);
        self.metrics.count_internal();
        host::mark_reason(Reason::Internal.label());
        error!("a host call failed: the request is refused");
        self.send(&crate::gate::reply::internal());
    }

    /// Runs `act` in the context of a stream, then returns to the root's.
    pub(super) fn on_behalf_of(&mut self, stream: StreamId, act: impl FnOnce(&mut Self)) {
        if host::act_for(stream.0).is_ok() {
            act(self);
        }
        if host::act_for(self.root).is_err() {
            error!("the host does not know the root context");
        }
    }

    fn report(&mut self, issuer: IssuerId, event: &Event) {
        self.metrics.key_event(&self.config, issuer, event);
        let Some(name) = self
            .config
            .issuer(issuer)
            .map(|issuer| issuer.policy.issuer.as_str())
        else {
            return;
        };
        match event {
            Event::Refreshed { keys, refresh } => info!(
                "keys: issuer {name}: {keys} keys fetched, fresh for {} s",
                refresh.as_secs()
            ),
            Event::Adopted { keys } => {
                debug!("keys: issuer {name}: {keys} keys taken over from another worker");
            }
            Event::StaleUse { verdicts } => {
                debug!("keys: issuer {name}: {verdicts} requests judged by keys that are overdue");
            }
            Event::KeySkipped(key) => warn!("keys: issuer {name}: {key}"),
            Event::MetadataFailed {
                error,
                url,
                retry_in,
            } => {
                warn!(
                    "metadata: issuer {name}: {error}, from {url}; next try in {} ms",
                    retry_in.as_millis()
                );
            }
            Event::FetchFailed {
                error,
                url,
                retry_in,
            } => {
                warn!(
                    "keys: issuer {name}: {error}, from {url}; next try in {} ms",
                    retry_in.as_millis()
                );
            }
        }
    }
}

/// The time, in the context of the root: what cannot be dated is left for another tick.
fn clock() -> Option<UnixNanos> {
    let now = host::now();
    if now.is_err() {
        error!("the host does not tell the time");
    }
    now.ok()
}
