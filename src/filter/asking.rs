//! What the introspection of tokens wants done, and what an operator is told of it.

use log::{debug, info, warn};

use super::host;
use super::worker::{CalledFor, Worker};
use crate::evidence::escaped;
use crate::ids::IssuerId;
use crate::introspection::{Call, Command, Event};
use crate::keys::FetchOutcome;
use crate::time::UnixNanos;
use crate::trust::Awaited;

impl Worker {
    pub(super) fn work_for_introspection(&mut self, now: UnixNanos) {
        while let Some(command) = self.trust.introspection.next_command() {
            match command {
                Command::Call(call) => self.call(&call, now),
                Command::Wake(issuer, token) => self.held.wake(Awaited::Answer(issuer, token)),
                Command::Report(issuer, event) => self.report_introspection(issuer, &event),
            }
        }
    }

    fn call(&mut self, call: &Call, now: UnixNanos) {
        match host::dispatch(&call.cluster, &call.url, call.form.as_deref(), call.timeout) {
            Ok(id) => self.calls.insert(id, CalledFor::Introspection(call.id)),
            Err(host::HostError) => {
                if self.refusals.may_tell_question() {
                    warn!(
                        "introspection: cluster {} cannot be called: is it configured and resolved?",
                        escaped(&call.cluster)
                    );
                }
                let outcome = FetchOutcome::Failed;
                self.trust
                    .introspection
                    .handle_response(call.id, outcome, now);
            }
        }
    }

    fn report_introspection(&mut self, issuer: IssuerId, event: &Event) {
        self.metrics
            .introspection_event(&self.config, issuer, event);
        let Some(issuer) = self.config.issuer(issuer) else {
            return;
        };
        let name = issuer.policy.issuer.as_str();
        match event {
            Event::Answered { active } => debug!("introspection: issuer {name}: active {active}"),
            // Clients can cause it at will, so the lines have a bound.
            Event::Failed { error, url } => {
                if self.refusals.may_tell_question() {
                    warn!("introspection: issuer {name}: {error}, from {url}");
                }
            }
            Event::TurnedAway { questions } => warn!(
                "introspection: issuer {name}: {questions} questions not asked: too many at once, or too many new tokens in a second"
            ),
            Event::EndpointFound { url } => {
                info!("introspection: issuer {name}: the endpoint is {url}");
            }
            Event::EndpointFailed {
                error,
                url,
                retry_in,
            } => warn!(
                "introspection: issuer {name}: no endpoint: {error}, from {url}; next try in {} ms",
                retry_in.as_millis()
            ),
        }
    }
}
