//! One response, from its headers to its end.

use super::{Events, Lists, Unreadable, events};
use crate::head::Head;
use crate::resource::Resource;

/// A response from which entries of lists are taken out. JSON is judged when all of it is there, a
/// stream of events goes on event by event.
#[derive(Debug)]
pub struct Response {
    lists: Lists,
    limit: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Json,
    Events(Events),
    /// It cannot be judged. An error goes in its place, once.
    Replaced {
        by: Vec<u8>,
    },
}

impl Response {
    /// Headers that are not true of a body that was changed on its way.
    pub const STALE_HEADERS: [&str; 5] = [
        "content-length",
        "content-encoding",
        "content-digest",
        "digest",
        "content-md5",
    ];

    /// A response with this `head`, and with a body; `None` if nothing in it is to be filtered.
    /// JSON, and any event, may have `limit` bytes. `report` is told why it cannot be judged, in
    /// all of these functions.
    pub fn begin(
        lists: Lists,
        head: &Head,
        limit: usize,
        report: impl FnMut(Unreadable),
    ) -> Option<Self> {
        let status = head.values(":status").next().unwrap_or_default();
        let is_events = is_events(head);
        // Only a success has a result; and to a GET, a stream of events is all there is.
        if !status.starts_with(b"2") || (lists.is_stream && !is_events) {
            return None;
        }
        let encoded = head
            .values("content-encoding")
            .any(|encoding| !encoding.eq_ignore_ascii_case(b"identity"));
        let body = match (encoded, is_events) {
            (true, _) => replaced(&lists, is_events, Unreadable::Encoded, report),
            (false, true) => Body::Events(Events::new(limit)),
            (false, false) => Body::Json,
        };
        Some(Self { lists, limit, body })
    }

    /// A response whose headers could not be had.
    pub fn unreadable(lists: Lists, report: impl FnMut(Unreadable)) -> Self {
        Self {
            body: replaced(&lists, false, Unreadable::NotJson, report),
            lists,
            limit: 0,
        }
    }

    /// Whether more is needed than the first `bytes`.
    pub fn waits(&self, bytes: usize) -> bool {
        matches!(self.body, Body::Json) && bytes <= self.limit
    }

    /// What goes on in place of a `part`: of all that was waited for; `None` if it goes on as it
    /// is.
    pub fn part(
        &mut self,
        part: &[u8],
        ends: bool,
        resource: &Resource,
        mut report: impl FnMut(Unreadable),
    ) -> Option<Vec<u8>> {
        let lists = &self.lists;
        match &mut self.body {
            Body::Json if part.is_empty() => None,
            Body::Json => {
                let judged = if part.len() > self.limit {
                    Err(Unreadable::TooLarge)
                } else {
                    lists.filter(resource, part)
                };
                match judged {
                    Ok(filtered) => filtered.map(String::into_bytes),
                    Err(error) => {
                        self.body = replaced(lists, false, error, report);
                        self.replacement()
                    }
                }
            }
            Body::Events(events) => {
                let mut out = events.push(part, lists, resource, &mut report);
                if ends {
                    out.append(&mut events.end(lists, resource, report));
                }
                (out != part).then_some(out)
            }
            Body::Replaced { .. } => self.replacement(),
        }
    }

    fn replacement(&mut self) -> Option<Vec<u8>> {
        match &mut self.body {
            Body::Replaced { by } => Some(std::mem::take(by)),
            Body::Json | Body::Events(_) => None,
        }
    }
}

fn replaced(
    lists: &Lists,
    is_events: bool,
    error: Unreadable,
    mut report: impl FnMut(Unreadable),
) -> Body {
    report(error);
    let mut by = Vec::new();
    match lists.error() {
        Some(error) if is_events => events::write(&mut by, &[], Some(error)),
        Some(error) => by = error.into_bytes(),
        None => {}
    }
    Body::Replaced { by }
}

fn is_events(head: &Head) -> bool {
    head.values("content-type").any(|kind| {
        let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    })
}
