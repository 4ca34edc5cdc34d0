//! Responses that are changed on their way: lists lose entries, and browsers may read them.
//!
//! Headers are sent on at once: a host that holds them may hold the body back, too. So a list answer
//! that cannot be judged is replaced by an error within the body.

use log::warn;

use super::host::{self, HostError};
use super::worker::Worker;
use crate::gate::Edits;
use crate::ids::ResourceId;
use crate::ids::StreamId;
use crate::lists::{Lists, Response, Unreadable};
use crate::resource::Route;

/// What is to be done to a response.
pub(super) struct Expected {
    resource: ResourceId,
    readable: Vec<(&'static str, String)>,
    lists: Option<Box<Lists>>,
    /// Whose body is being read.
    begun: Option<Response>,
}

/// What becomes of the part of a body that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Forward,
    Keep,
}

impl Worker {
    /// Remembers what an allowed request's response needs.
    pub(super) fn expect_response(&mut self, stream: StreamId, route: &Route, edits: &mut Edits) {
        let Route::Protected(resource, _) = route else {
            return;
        };
        if edits.lists.is_none() && edits.readable.is_empty() {
            return;
        }
        let expected = Expected {
            resource: *resource,
            readable: std::mem::take(&mut edits.readable),
            lists: edits.lists.take(),
            begun: None,
        };
        self.responses.insert(stream, expected);
    }

    /// Whether a stream's response is one of those.
    pub(super) fn expects_response(&self, stream: StreamId) -> bool {
        self.responses.contains(stream)
    }

    /// The headers of a response have come. Called in the context of its stream.
    pub(super) fn response_headers(&mut self, stream: StreamId, ends: bool) {
        let Some(expected) = self.responses.get_mut(stream) else {
            return;
        };
        let head = host::response_head();
        if let Ok(head) = &head
            && !head.has("access-control-allow-origin")
        {
            host::add_response_headers(&expected.readable);
        }
        let Some(lists) = expected.lists.take().filter(|_| !ends) else {
            return;
        };
        expected.begun = match head {
            Ok(head) => Response::begin(*lists, &head, self.config.limits.body_bytes, report),
            Err(HostError) => Response::unreadable(*lists, report),
        };
        if expected.begun.is_some() {
            host::remove_response_headers(&Response::STALE_HEADERS);
        }
    }

    /// A part of a response's body has come: all that was kept, and what is new. Called in the
    /// context of its stream.
    pub(super) fn response_body(&mut self, stream: StreamId, bytes: usize, ends: bool) -> Part {
        let Some(Expected {
            resource, begun, ..
        }) = self.responses.get_mut(stream)
        else {
            return Part::Forward;
        };
        let Some(response) = begun else {
            return Part::Forward;
        };
        if !ends && response.waits(bytes) {
            return Part::Keep;
        }
        let replacement = match (host::response_body(bytes), self.config.resource(*resource)) {
            (Ok(part), Some(resource)) => response.part(&part, ends, resource, report),
            (Err(HostError), _) | (_, None) => Some(Vec::new()),
        };
        if response.has_passed() {
            *begun = None;
        }
        if let Some(replacement) = replacement {
            host::replace_response_body(bytes, &replacement);
        }
        Part::Forward
    }

    /// A response has ended with trailers. Called in the context of its stream.
    pub(super) fn response_trailers(&mut self, stream: StreamId) {
        let is_read = self
            .responses
            .get(stream)
            .is_some_and(|expected| expected.begun.is_some());
        if is_read && let Some(kept) = host::kept_response_body() {
            self.response_body(stream, kept, true);
        }
    }
}

fn report(error: Unreadable) {
    warn!(
        "lists: an answer cannot be filtered (an error takes its place; on a stream that a GET opened it passes): {}",
        error.as_str()
    );
}
