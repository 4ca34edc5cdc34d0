//! Decisions carried out: on the request in the host, in the counters, and in the log.

use log::error;

use super::host::{HeaderMap, Host, HostError, Result};
use super::metrics::Metrics;
use super::refusal_log::RefusalLog;
use super::stream::{Callback, Phase, Stream};
use crate::config::Config;
use crate::gate::reply::{self, Reply};
use crate::gate::{Decision, Edits, Refusal};
use crate::head::Head;
use crate::reason::Reason;

/// What filter state says of a request: the interlock behind the filter looks for it.
#[derive(Clone, Copy)]
enum Mark {
    /// Its token was good.
    Allow,
    /// It is for no resource.
    Pass,
    /// A CORS preflight that the server answers.
    Preflight,
    /// It would not have been forwarded, but `mode` is observe.
    Observe,
    /// Nothing was judged: `enabled` is false.
    Off,
}

/// Carries out decisions. All of it is called in the context of the stream that it is about.
pub(super) struct Enforcer<H> {
    pub(super) host: H,
    pub(super) metrics: Metrics,
    pub(super) refusals: RefusalLog,
}

impl<H: Host> Enforcer<H> {
    pub(super) fn new(host: H) -> Self {
        Self {
            host,
            metrics: Metrics::default(),
            refusals: RefusalLog::new(),
        }
    }

    /// Carries out a decision on a request whose headers are paused.
    pub(super) fn carry_out(
        &mut self,
        config: &Config,
        decision: &Decision,
        head: Option<&Head>,
        stream: &Stream,
        callback: Callback,
    ) {
        self.metrics.count(decision);
        let (forwarded, phase) = match decision {
            Decision::Pass => (self.mark(Mark::Pass), Phase::Untouched),
            Decision::Off => (self.mark(Mark::Off), Phase::Untouched),
            Decision::Preflight(edits) => (self.edit(edits, Mark::Preflight), Phase::Forwarded),
            Decision::Unanswered(edits) => (self.edit(edits, Mark::Observe), Phase::Forwarded),
            Decision::Allow(edits) => (self.edit(edits, Mark::Allow), Phase::Forwarded),
            Decision::Observe(refusal, edits) => {
                self.tell(config, refusal, head);
                (self.edit(edits, Mark::Observe), Phase::Forwarded)
            }
            Decision::Answer(reply) => return self.send(reply),
            Decision::Refuse(refusal, reply) => {
                self.tell(config, refusal, head);
                return self.send(reply);
            }
            // The worker has it wait: it stays stopped.
            Decision::Wait(_) | Decision::ReadBody(_) => return,
        };
        match forwarded {
            Ok(()) => self.let_go(stream, phase, callback),
            Err(HostError) => self.give_up(stream),
        }
    }

    /// Sends headers on, as far as the token alone decides; the body stays.
    pub(super) fn forward_headers(
        &mut self,
        edits: &Edits,
        stream: &Stream,
        callback: Callback,
    ) -> Result<()> {
        let forwarded = self.edit(edits, Mark::Allow);
        match forwarded {
            Ok(()) => self.let_go(stream, Phase::HeadersForwarded, callback),
            Err(HostError) => self.give_up(stream),
        }
        forwarded
    }

    /// Lets the body follow headers that were sent on before.
    pub(super) fn forward_body(
        &mut self,
        config: &Config,
        decision: &Decision,
        head: &Head,
        stream: &Stream,
    ) {
        self.metrics.count(decision);
        if let Decision::Observe(refusal, _) = decision {
            self.tell(config, refusal, Some(head));
            if self.mark(Mark::Observe).is_err() {
                error!("the host refused filter state for a mark");
            }
        }
        stream.set(Phase::Forwarded);
    }

    /// The host failed: the request was not judged, so it does not pass.
    pub(super) fn give_up(&mut self, stream: &Stream) {
        stream.set(Phase::Stopped);
        self.metrics.count_internal();
        error!("a host call failed: the request is refused");
        refuse_unjudged(&self.host);
    }

    fn let_go(&self, stream: &Stream, phase: Phase, callback: Callback) {
        stream.set(phase);
        if callback == Callback::Root && self.host.resume_request().is_err() {
            error!("the host did not resume a request");
        }
    }

    /// Why a request was, or in observe mode would have been, refused: for logs and access logs.
    fn tell(&mut self, config: &Config, refusal: &Refusal, head: Option<&Head>) {
        self.refusals.write(refusal, head, config);
        mark_reason(&self.host, refusal.reason);
    }

    fn mark(&self, mark: Mark) -> Result<()> {
        let value: &[u8] = match mark {
            Mark::Allow => b"allow",
            Mark::Pass => b"pass",
            Mark::Preflight => b"preflight",
            Mark::Observe => b"observe",
            Mark::Off => b"off",
        };
        self.host.set_state("mcp_auth", value)
    }

    /// Changes a request that is sent on, and marks it.
    fn edit(&self, edits: &Edits, mark: Mark) -> Result<()> {
        for name in &edits.remove {
            self.host.remove_header(HeaderMap::Request, name)?;
        }
        for (fact, value) in edits.facts() {
            self.host.set_state(fact, value.as_bytes())?;
        }
        // Added, not replaced: Envoy need not look for a header that is known not to be there.
        for (name, value) in edits.headers() {
            self.host
                .add_header(HeaderMap::Request, name, value.as_bytes())?;
        }
        self.mark(mark)
    }

    fn send(&self, reply: &Reply) {
        send(&self.host, reply);
    }
}

/// Refuses a request that came while there is no worker: without a configuration. Called in the
/// context of its stream.
#[cold]
pub fn refuse_unconfigured(host: &impl Host) {
    error!("a request came without a configuration: it is refused");
    refuse_unjudged(host);
}

/// Refuses a request that could not be judged.
#[cold]
fn refuse_unjudged(host: &impl Host) {
    mark_reason(host, Reason::Internal);
    send(host, &reply::internal());
}

fn mark_reason(host: &impl Host, reason: Reason) {
    let reason = reason.label().as_bytes();
    if host.set_state("mcp_auth_reason", reason).is_err() {
        error!("the host refused filter state for a reason");
    }
}

fn send(host: &impl Host, reply: &Reply) {
    if host.send(reply).is_err() {
        error!("the host did not send a response; the request stays stopped");
    }
}
