//! One response, from its headers to its end.

use super::{Events, Lists, Unreadable};
use crate::head::Head;
use crate::resource::Resource;

/// A response from which entries of lists are taken out. JSON is judged when all of it is there, a
/// stream of events goes on as it comes.
#[derive(Debug)]
pub struct Response {
    lists: Lists,
    limit: usize,
    handling: Handling,
}

/// The way in which the body goes on.
#[derive(Debug)]
enum Handling {
    Json,
    Events(Events),
    /// It cannot be judged. An error goes in its place, once.
    Replaced {
        by: Vec<u8>,
    },
    /// The rest is no list answer.
    Passed,
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
        let handling = match (encoded, is_events) {
            (true, _) => replaced(&lists, is_events, Unreadable::Encoded, report),
            (false, true) => Handling::Events(Events::new(limit)),
            (false, false) => Handling::Json,
        };
        Self {
            lists,
            limit,
            handling,
        }
        .unless_passed()
    }

    /// A response whose headers could not be had.
    pub fn unreadable(lists: Lists, report: impl FnMut(Unreadable)) -> Option<Self> {
        let handling = replaced(&lists, false, Unreadable::NotJson, report);
        let limit = 0;
        Self {
            lists,
            limit,
            handling,
        }
        .unless_passed()
    }

    fn unless_passed(self) -> Option<Self> {
        (!self.has_passed()).then_some(self)
    }

    /// `true` once the rest goes on as it is.
    pub fn has_passed(&self) -> bool {
        matches!(self.handling, Handling::Passed)
    }

    /// `true` if more is needed than the first `bytes`.
    pub fn waits(&self, bytes: usize) -> bool {
        matches!(self.handling, Handling::Json) && bytes <= self.limit
    }

    /// Returns the bytes that go on in place of a `part`, which is all that was waited for; `None`
    /// if it goes on as it is.
    pub fn part(
        &mut self,
        part: &[u8],
        ends: bool,
        resource: &Resource,
        mut report: impl FnMut(Unreadable),
    ) -> Option<Vec<u8>> {
        let lists = &self.lists;
        match &mut self.handling {
            Handling::Json => {
                let (beginning, over) = part.split_at_checked(self.limit).unwrap_or((part, b""));
                if !lists.has_begun(beginning) {
                    self.handling = Handling::Passed;
                    return None;
                }
                let judged = if over.is_empty() {
                    lists.filter(resource, part)
                } else {
                    Err(Unreadable::TooLarge)
                };
                match judged {
                    Ok(filtered) => filtered.map(String::into_bytes),
                    Err(error) => {
                        self.handling = replaced(lists, false, error, report);
                        self.replacement()
                    }
                }
            }
            Handling::Events(events) => {
                let mut out = events.push(part, lists, resource, &mut report);
                if ends {
                    out.append(&mut events.end(lists, resource, report));
                }
                (out != part).then_some(out)
            }
            Handling::Replaced { .. } => self.replacement(),
            Handling::Passed => None,
        }
    }

    fn replacement(&mut self) -> Option<Vec<u8>> {
        match &mut self.handling {
            Handling::Replaced { by } => Some(std::mem::take(by)),
            Handling::Json | Handling::Events(_) | Handling::Passed => None,
        }
    }
}

fn replaced(
    lists: &Lists,
    is_events: bool,
    error: Unreadable,
    mut report: impl FnMut(Unreadable),
) -> Handling {
    report(error);
    let Some(error) = lists.error() else {
        return Handling::Passed;
    };
    let mut by = error.into_bytes();
    if is_events {
        by = [b"data: ".as_slice(), &by, b"\n\n"].concat();
    }
    Handling::Replaced { by }
}

fn is_events(head: &Head) -> bool {
    head.values("content-type").any(|kind| {
        let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    })
}
