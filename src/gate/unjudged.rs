//! Requests that are refused without being judged.

use super::{Decision, Refusal, Request};
use crate::escape::escaped_bytes;
use crate::reason::Reason;

impl Request<'_> {
    /// Refuses a request whose path or host is not clear.
    #[cold]
    pub(super) fn refuse_unclear(&self, reason: Reason) -> Decision {
        let is_path = reason == Reason::PathAmbiguous || reason == Reason::PathMissing;
        let name = if is_path { ":path" } else { ":authority" };
        let value = self.head.values(name).next();
        let found = value.map_or("none".to_owned(), |value| {
            escaped_bytes(if is_path { without_query(value) } else { value })
        });
        let expected = if is_path {
            "a plain path"
        } else {
            "a host, with or without a port"
        };
        self.refuse(self.refusal(reason).told(expected, found))
    }

    /// The refusal of a request that cannot wait for its issuer or for its body, or no longer.
    #[cold]
    pub(super) fn not_judged(&self, reason: Reason) -> Box<Refusal> {
        let limits = &self.config.limits;
        let (expected, found) = if reason == Reason::TooManyWaiting {
            let most = limits.held_requests;
            (format!("at most {most} that wait"), "as many")
        } else if reason == Reason::NoRoomForBody {
            let most = limits.held_body_bytes;
            (
                format!("at most {most} bytes of bodies that wait"),
                "as many",
            )
        } else if reason == Reason::BodyTimeout {
            let most = limits.body_time.as_secs();
            (format!("the end of the body within {most} s"), "none yet")
        } else if reason == Reason::IntrospectionUnavailable {
            ("an answer of the issuer".to_owned(), "none yet")
        } else {
            ("keys of the issuer".to_owned(), "none yet")
        };
        self.refusal(reason).told(expected, found)
    }
}

/// The path alone: its query may be a secret, however the question mark is spelt.
fn without_query(path: &[u8]) -> &[u8] {
    const ENDS: [&[u8]; 6] = [b"?", b"#", b"%3f", b"%3F", b"%23", b"%25"];
    let ends = |at: &usize| {
        path.get(*at..)
            .is_some_and(|rest| ENDS.iter().any(|end| rest.starts_with(end)))
    };
    let end = (0..path.len()).find(ends);
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}
