//! Responses from which entries of lists are taken out.
//!
//! Headers are sent on at once: a host that holds them may hold the body back, too. So what cannot
//! be judged is replaced by an error within the body.

use log::warn;

use super::host::{self, HostError};
use super::worker::Worker;
use crate::config::ResourceId;
use crate::held::StreamId;
use crate::mcp::lists::{Lists, Response, Unreadable};

/// A response that is, or will be, filtered.
pub(super) struct Filtering {
    resource: ResourceId,
    state: State,
}

enum State {
    Expected(Lists),
    Begun(Response),
}

/// What becomes of the part of a body that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Forward,
    Keep,
}

impl Worker {
    /// The response to a request will have to be read.
    pub(super) fn expect_lists(&mut self, stream: StreamId, resource: ResourceId, lists: Lists) {
        let state = State::Expected(lists);
        self.filtering.insert(stream, Filtering { resource, state });
    }

    /// Whether a stream's response is one of those.
    pub(super) fn is_filtering(&self, stream: StreamId) -> bool {
        self.filtering.contains_key(&stream)
    }

    /// The headers of a response have come. Called in the context of its stream.
    pub(super) fn response_headers(&mut self, stream: StreamId, ends: bool) {
        let Some(Filtering { resource, state }) = self.filtering.remove(&stream) else {
            return;
        };
        let State::Expected(lists) = state else {
            return;
        };
        if ends {
            return;
        }
        let response = match host::response_head() {
            Ok(head) => Response::begin(lists, &head, self.config.limits.body_bytes, report),
            Err(HostError) => Some(Response::unreadable(lists, report)),
        };
        if let Some(response) = response {
            host::remove_response_headers(&Response::STALE_HEADERS);
            let state = State::Begun(response);
            self.filtering.insert(stream, Filtering { resource, state });
        }
    }

    /// A part of a response's body has come: all that was kept, and what is new. Called in the
    /// context of its stream.
    pub(super) fn response_body(&mut self, stream: StreamId, bytes: usize, ends: bool) -> Part {
        let Some(Filtering {
            resource,
            state: State::Begun(response),
        }) = self.filtering.get_mut(&stream)
        else {
            return Part::Forward;
        };
        if !ends && response.waits(bytes) {
            return Part::Keep;
        }
        let replacement = match (host::response_body(bytes), self.config.resource(*resource)) {
            (Ok(part), Some(resource)) => response.part(&part, ends, resource, report),
            (Err(HostError), _) | (_, None) => Some(Vec::new()),
        };
        if let Some(replacement) = replacement {
            host::replace_response_body(bytes, &replacement);
        }
        Part::Forward
    }

    /// A response has ended with trailers. Called in the context of its stream.
    pub(super) fn response_trailers(&mut self, stream: StreamId) {
        if let Some(kept) = host::kept_response_body() {
            self.response_body(stream, kept, true);
        }
    }
}

fn report(error: Unreadable) {
    warn!(
        "lists: a response cannot be filtered, and is replaced by an error: {}",
        error.as_str()
    );
}
