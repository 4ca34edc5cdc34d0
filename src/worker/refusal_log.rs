//! The log's lines for refusals: at most [`LINES`] a second of each kind, whatever clients send.

use log::{Level, log};

use crate::config::Config;
use crate::escape::escaped;
use crate::gate::Refusal;
use crate::head::Head;
use crate::rate_limit::RateLimit;
use crate::reason::{Fault, Reason};
use crate::time::UnixNanos;

/// What a worker writes in a second; who looks for one refusal among more has counters and access
/// logs.
const LINES: u32 = 100;

/// The same of questions to issuers, which fail alike.
const QUESTIONS: u32 = 10;

pub(super) struct RefusalLog {
    /// Of clients: a flood of these does not hide that the filter itself lacks something.
    requests: RateLimit,
    outages: RateLimit,
    /// Of questions to issuers that brought no answer.
    questions: RateLimit,
}

impl RefusalLog {
    pub(super) const fn new() -> Self {
        Self {
            requests: RateLimit::new(LINES),
            outages: RateLimit::new(LINES),
            questions: RateLimit::new(QUESTIONS),
        }
    }

    /// One line: whom it was for, what was expected and what was found. Never the token.
    pub(super) fn write(&mut self, refusal: &Refusal, head: Option<&Head>, config: &Config) {
        // A request without a token is how every login begins.
        if refusal.reason == Reason::CredentialsMissing {
            return;
        }
        let (level, limit) = match refusal.reason.fault() {
            // Whoever sends tokens that are unknown chooses how many of these there are.
            Fault::Outage
                if matches!(
                    refusal.reason,
                    Reason::KeyPending | Reason::IntrospectionUnavailable
                ) =>
            {
                (Level::Info, &mut self.requests)
            }
            Fault::Outage => (Level::Warn, &mut self.outages),
            Fault::Request | Fault::Token | Fault::Policy => (Level::Info, &mut self.requests),
        };
        if !limit.take() {
            return;
        }
        let request_id = head
            .and_then(|head| head.values("x-request-id").next())
            .and_then(|id| std::str::from_utf8(id).ok())
            .map(escaped);
        let issuer = refusal.issuer.and_then(|id| config.issuer(id));
        log!(
            level,
            "refused: reason={} resource={} issuer={} {} request_id={}",
            refusal.reason.label(),
            config
                .resource(refusal.resource)
                .map_or("-", |resource| &resource.label),
            issuer.map_or("-", |issuer| &issuer.policy.issuer),
            refusal.evidence(),
            request_id.as_deref().unwrap_or("-"),
        );
    }

    /// Whether one more line may be written of a question that brought no answer.
    pub(super) fn may_tell_question(&mut self) -> bool {
        self.questions.take()
    }

    pub(super) fn tick(&mut self, now: UnixNanos) {
        let limits = [
            (Level::Info, &mut self.requests),
            (Level::Warn, &mut self.outages),
        ];
        self.questions.handle_tick(now);
        for (level, limit) in limits {
            if let Some(left_out) = limit.handle_tick(now) {
                log!(
                    level,
                    "refused: {left_out} more, which are counted but not logged each"
                );
            }
        }
    }
}
