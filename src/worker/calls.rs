//! What the keys and the introspection want done: above all, calls to be sent. For another kind of
//! call, a variant of [`Call`] says what waits for the answer.

use std::time::Duration;

use log::warn;

use super::enforcer::Enforcer;
use super::host::{BodyOf, HeaderMap, Host, HostError, HttpCall, Result};
use super::{CallId, Worker, report};
use crate::escape::escaped;
use crate::ids::IssuerId;
use crate::introspection;
use crate::keys::{Command, Event, Fetch, FetchId, FetchOutcome, MAX_RESPONSE_BYTES};
use crate::time::UnixNanos;
use crate::trust::Awaited;
use crate::url::HttpUrl;

/// A call under way, by what waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// For an issuer's keys or metadata.
    Keys(FetchId),
    /// For what an issuer says of a token.
    Introspection(introspection::CallId),
}

impl<H: Host> Worker<H> {
    /// Carries out what the keys and the introspection want done.
    pub(super) fn run_commands(&mut self, now: UnixNanos) {
        while let Some(command) = self.trust.introspection.next_command() {
            match command {
                introspection::Command::Call(call) => self.ask(&call, now),
                introspection::Command::ReadShared { entry, key } => {
                    let found = self.enforcer.host.read_shared(&key);
                    self.trust.introspection.handle_shared(entry, found, now);
                }
                introspection::Command::WriteShared {
                    entry,
                    key,
                    value,
                    version,
                } => {
                    let written = self.enforcer.host.write_shared(&key, &value, version);
                    let introspection = &mut self.trust.introspection;
                    introspection.handle_shared_written(entry, written, now);
                }
                introspection::Command::Wake(issuer, token) => {
                    self.waiting.wake(Awaited::Answer(issuer, token));
                }
                introspection::Command::Report(issuer, event) => {
                    self.report_introspection(issuer, &event);
                }
            }
        }
        while let Some(command) = self.trust.keys.next_command() {
            let host = &self.enforcer.host;
            match command {
                Command::Fetch(fetch) => self.fetch(&fetch, now),
                Command::ReadShared { entry, key } => {
                    let found = host.read_shared(&key);
                    self.trust.keys.handle_shared(entry, found, now);
                }
                Command::WriteShared {
                    entry,
                    key,
                    value,
                    version,
                } => {
                    let written = host.write_shared(&key, &value, version);
                    self.trust.keys.handle_shared_written(entry, written, now);
                }
                Command::Wake(issuer) => self.waiting.wake(Awaited::Keys(issuer)),
                Command::Report(issuer, event) => self.report_keys(issuer, &event),
            }
        }
    }

    /// Hands the answer to a call to what waits for it. Called in the context of the root.
    pub(super) fn answer_call(
        &mut self,
        call: Call,
        headers: usize,
        body_bytes: usize,
        now: UnixNanos,
    ) {
        let outcome = fetch_outcome(&self.enforcer.host, headers, body_bytes);
        let trust = &mut self.trust;
        match call {
            Call::Keys(fetch) => trust.keys.handle_response(fetch, outcome, now),
            Call::Introspection(call) => trust.introspection.handle_response(call, outcome, now),
        }
    }

    fn fetch(&mut self, fetch: &Fetch, now: UnixNanos) {
        let sent = send(
            &self.enforcer.host,
            &fetch.cluster,
            &fetch.url,
            None,
            fetch.timeout,
        );
        match sent {
            Ok(call) => self.calls.insert(call, Call::Keys(fetch.id)),
            Err(HostError) => {
                warn!(
                    "keys: cluster {} cannot be called: is it configured and resolved?",
                    escaped(&fetch.cluster)
                );
                let outcome = FetchOutcome::Failed;
                self.trust.keys.handle_response(fetch.id, outcome, now);
            }
        }
    }

    fn ask(&mut self, call: &introspection::Call, now: UnixNanos) {
        let sent = send(
            &self.enforcer.host,
            &call.cluster,
            &call.url,
            call.form.as_deref(),
            call.timeout,
        );
        match sent {
            Ok(id) => self.calls.insert(id, Call::Introspection(call.id)),
            Err(HostError) => {
                if self.enforcer.refusals.may_tell_question() {
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

    fn report_keys(&mut self, issuer: IssuerId, event: &Event) {
        let Enforcer { host, metrics, .. } = &mut self.enforcer;
        metrics.key_event(host, &self.config, issuer, event);
        if let Some(issuer) = self.config.issuer(issuer) {
            report::keys(&issuer.policy.issuer, event);
        }
    }

    fn report_introspection(&mut self, issuer: IssuerId, event: &introspection::Event) {
        let Enforcer {
            host,
            metrics,
            refusals,
        } = &mut self.enforcer;
        metrics.introspection_event(host, &self.config, issuer, event);
        if let Some(issuer) = self.config.issuer(issuer) {
            report::introspection(&issuer.policy.issuer, event, refusals);
        }
    }
}

/// Sends a GET, or a form by POST.
fn send(
    host: &impl Host,
    cluster: &str,
    url: &HttpUrl,
    form: Option<&[u8]>,
    timeout: Duration,
) -> Result<CallId> {
    let path = match url.path_and_query() {
        "" => "/",
        path => path,
    };
    let mut headers = vec![
        (":method", if form.is_some() { "POST" } else { "GET" }),
        (":scheme", url.scheme()),
        (":authority", url.authority()),
        (":path", path),
        ("accept", "application/json"),
        (
            "user-agent",
            concat!("mcp-auth-filter/", env!("CARGO_PKG_VERSION")),
        ),
    ];
    let length = form.map(|form| form.len().to_string());
    if let Some(length) = &length {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        headers.push(("content-length", length));
    }
    host.dispatch(&HttpCall {
        cluster,
        headers,
        body: form.unwrap_or_default(),
        timeout,
    })
}

/// What came of a fetch, within its callback.
fn fetch_outcome(host: &impl Host, headers: usize, body_bytes: usize) -> FetchOutcome {
    // A reset has no headers, and a host may fail for those who ask.
    if headers == 0 {
        return FetchOutcome::Failed;
    }
    if body_bytes > MAX_RESPONSE_BYTES {
        return FetchOutcome::TooLarge;
    }
    let header = |name| host.header(HeaderMap::CallResponse, name).ok().flatten();
    let status = header(":status");
    let status = status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
    let cache_control = header("cache-control").unwrap_or_default();
    match (status, host.whole_body(BodyOf::CallResponse, body_bytes)) {
        (Some(status), Ok(body)) => FetchOutcome::Response {
            status,
            cache_control,
            body,
        },
        (Some(_), Err(_)) | (None, Ok(_) | Err(_)) => FetchOutcome::Failed,
    }
}
