//! Responses that are changed on their way: lists lose entries, and browsers may read them.
//!
//! Headers are sent on at once: a host that holds them may hold the body back, too. So a list answer
//! that cannot be judged is replaced by an error within the body.

use log::{error, warn};

use super::host::{BodyOf, HeaderMap, Host, HostError, Result};
use super::stream::Action;
use crate::config::Config;
use crate::gate::{Edits, ResponseEdits};
use crate::ids::{ResourceId, StreamId};
use crate::lists::{Response, Unreadable};
use crate::rate_limit::RateLimit;
use crate::resource::Route;
use crate::sorted_map::SortedMap;
use crate::time::UnixNanos;

/// The lines that a worker writes in a second of lists that cannot be filtered: clients ask for them.
const LINES: u32 = 10;

/// The streams whose responses are to be changed.
pub(super) struct Responses {
    expected: SortedMap<StreamId, Expected>,
    lines: RateLimit,
}

/// A response that is to be changed.
struct Expected {
    resource: ResourceId,
    edits: ResponseEdits,
    /// Whose body is being read.
    begun: Option<Response>,
}

impl Responses {
    pub(super) fn new() -> Self {
        Self {
            expected: SortedMap::default(),
            lines: RateLimit::new(LINES),
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: UnixNanos) {
        if let Some(more) = self.lines.handle_tick(now) {
            warn!("lists: {more} more answers that cannot be filtered");
        }
    }

    /// Remembers what an allowed request's response needs.
    pub(super) fn expect(&mut self, stream: StreamId, route: &Route, edits: &mut Edits) {
        let Route::Protected(resource, _) = route else {
            return;
        };
        if edits.response.is_empty() {
            return;
        }
        let expected = Expected {
            resource: *resource,
            edits: std::mem::take(&mut edits.response),
            begun: None,
        };
        self.expected.insert(stream, expected);
    }

    /// The stream has ended.
    pub(super) fn remove(&mut self, stream: StreamId) {
        self.expected.remove(stream);
    }

    /// The headers of a response have come. Called in the context of its stream.
    pub(super) fn headers(
        &mut self,
        stream: StreamId,
        ends: bool,
        host: &impl Host,
        config: &Config,
    ) {
        let Some(expected) = self.expected.get_mut(stream) else {
            return;
        };
        let head = host.headers(HeaderMap::Response);
        if let Ok(head) = &head
            && !head.has("access-control-allow-origin")
        {
            for (name, value) in &expected.edits.readable {
                let added = host.add_header(HeaderMap::Response, name, value.as_bytes());
                log_failure(added, "add a response header");
            }
        }
        let Some(lists) = expected.edits.lists.take().filter(|_| !ends) else {
            return;
        };
        expected.begun = match head {
            Ok(head) => Response::begin(*lists, &head, config.limits.body_bytes, |error| {
                report(error, &mut self.lines);
            }),
            Err(HostError) => Response::unreadable(*lists, |error| report(error, &mut self.lines)),
        };
        if expected.begun.is_some() {
            for name in Response::STALE_HEADERS {
                let removed = host.remove_header(HeaderMap::Response, name);
                log_failure(removed, "remove a response header");
            }
        }
    }

    /// A part of a response's body has come: all that was kept, and what is new. Called in the
    /// context of its stream.
    pub(super) fn body(
        &mut self,
        stream: StreamId,
        bytes: usize,
        ends: bool,
        host: &impl Host,
        config: &Config,
    ) -> Action {
        let Some(Expected {
            resource, begun, ..
        }) = self.expected.get_mut(stream)
        else {
            return Action::Continue;
        };
        let Some(response) = begun else {
            return Action::Continue;
        };
        if !ends && response.waits(bytes) {
            return Action::Pause;
        }
        let part = host.whole_body(BodyOf::Response, bytes);
        let replacement = match (part, config.resource(*resource)) {
            (Ok(part), Some(resource)) => response.part(&part, ends, resource, |error| {
                report(error, &mut self.lines);
            }),
            (Err(HostError), _) | (_, None) => Some(Vec::new()),
        };
        if response.has_passed() {
            *begun = None;
        }
        if let Some(replacement) = replacement {
            let replaced = host.replace_response_body(bytes, &replacement);
            log_failure(replaced, "replace a response's body");
        }
        Action::Continue
    }

    /// A response has ended with trailers. Called in the context of its stream.
    pub(super) fn trailers(&mut self, stream: StreamId, host: &impl Host, config: &Config) {
        let expected = self.expected.get(stream);
        if expected.is_some_and(|expected| expected.begun.is_some())
            && let Ok(kept) = host.body(BodyOf::Response, usize::MAX)
        {
            self.body(stream, kept.len(), true, host, config);
        }
    }
}

fn report(error: Unreadable, lines: &mut RateLimit) {
    if !lines.take() {
        return;
    }
    warn!(
        "lists: an answer cannot be filtered (an error takes its place; on a stream that a GET opened it passes): {}",
        error.as_str()
    );
}

fn log_failure(outcome: Result<()>, what: &str) {
    if outcome.is_err() {
        error!("the host did not {what}");
    }
}
