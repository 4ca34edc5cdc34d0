//! Origins of browsers, and their preflights (Fetch standard, CORS).

use super::reply::Origin;
use super::{Decision, Request, Row, reply};
use crate::config::Mode;
use crate::escape::escaped_bytes;
use crate::head::{Head, folds_to};
use crate::reason::Reason;

/// The most values of a list that are shown.
const SHOWN: usize = 4;

impl Request<'_> {
    /// The request's `Origin`, beside those that the resource allows.
    pub(super) fn origin(&self) -> Origin<'_> {
        let resource = self.target.resource;
        let mut origins = self.head.values("origin");
        let Some(origin) = origins.next() else {
            return Origin::Absent;
        };
        let Some(allowed) = &resource.allowed_origins else {
            return if resource.cors {
                Origin::Any
            } else {
                Origin::Absent
            };
        };
        match allowed.iter().find(|allowed| allowed.as_bytes() == origin) {
            Some(_) if origins.next().is_some() => Origin::NotAllowed,
            Some(_) if !resource.cors => Origin::Absent,
            Some(allowed) => Origin::Allowed(allowed),
            None => Origin::NotAllowed,
        }
    }

    pub(super) fn refuse_origin(&self) -> Row {
        if self.origin() != Origin::NotAllowed {
            return Ok(());
        }
        let allowed = self.target.resource.allowed_origins.as_deref();
        let found = self.head.values("origin").take(SHOWN);
        let found: Vec<String> = found.map(escaped_bytes).collect();
        let refusal = self.refusal(Reason::OriginNotAllowed);
        let expected = allowed.unwrap_or_default().join(" ");
        Err(self.refuse(refusal.told(expected, found.join(" "))))
    }

    /// A preflight is answered without a token, or is the server's where `cors` is false: if it can
    /// do nothing but ask.
    pub(super) fn answer_preflight(&self) -> Row {
        if !self.is_preflight() {
            return Ok(());
        }
        if !self.target.resource.cors {
            return if is_nothing_else(self.head) {
                Err(Decision::Preflight(self.edits(None)))
            } else {
                Ok(())
            };
        }
        Err(match self.config.mode {
            Mode::Enforce => Decision::Answer(reply::resource_preflight(self.origin())),
            Mode::Observe => Decision::Unanswered(self.edits(None)),
        })
    }

    /// Fetch standard, "CORS-preflight request".
    pub(super) fn is_preflight(&self) -> bool {
        self.head.method() == b"OPTIONS"
            && self.head.has("origin")
            && self.head.has("access-control-request-method")
    }
}

/// Returns whether a preflight can do nothing but ask: it has no body, no credentials, and no header by
/// which a server could take it for another method, in any spelling. A browser sends none of these.
fn is_nothing_else(head: &Head) -> bool {
    const OTHERS: [&str; 5] = [
        "authorization",
        "transfer-encoding",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    ];
    head.ends()
        && head.values("content-length").all(|length| length == b"0")
        && !head
            .names()
            .any(|name| OTHERS.iter().any(|other| folds_to(name, other)))
}
