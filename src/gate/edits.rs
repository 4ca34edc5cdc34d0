//! The changes to a request before it is forwarded: identity in, token out.

use std::borrow::Cow;
use std::rc::Rc;

use super::Request;
use super::reply;
use crate::config::{Config, Mode};
use crate::head::Head;
use crate::head::folds_to;
use crate::lists::Lists;
use crate::trust::Caller;

/// The changes to a request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Headers to remove: the token, and whatever a server could take for an identity header, the
    /// client's own copy included.
    pub remove: Vec<Cow<'static, str>>,
    /// The caller: identity headers to add once those are gone, and what filter state
    /// says.
    pub caller: Option<Rc<Caller>>,
    /// What the response needs.
    pub response: ResponseEdits,
}

/// The changes to the response of a request that was forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseEdits {
    /// The lists that are filtered.
    pub lists: Option<Box<Lists>>,
    /// Headers that let a browser's script read it, unless the server itself says who may
    /// (`access-control-allow-origin`).
    pub readable: Vec<(&'static str, String)>,
}

impl ResponseEdits {
    /// Returns whether the response goes on as it comes.
    pub fn is_empty(&self) -> bool {
        self.lists.is_none() && self.readable.is_empty()
    }
}

impl Edits {
    /// Identity headers to add: names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.caller.iter().flat_map(|caller| &caller.headers);
        headers.map(|(name, value)| (&**name, value.as_str()))
    }

    /// The facts of the caller for filter state: names and values.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let facts = self.caller.iter().flat_map(|caller| &caller.facts);
        facts.map(|(fact, value)| (fact.name(), value.as_str()))
    }
}

impl Request<'_> {
    /// For a request of a caller who is known, or of one who is not.
    pub(super) fn edits(&self, caller: Option<&Rc<Caller>>) -> Edits {
        let hides_token = caller.is_some() && !self.target.resource.forward_token;
        let reads_response = caller.is_some() && self.filters_lists();
        // Whoever is known sent a token.
        let mut remove = if hides_token {
            vec![Cow::Borrowed("authorization")]
        } else {
            Vec::new()
        };
        if reads_response && self.head.has("accept-encoding") {
            remove.push(Cow::Borrowed("accept-encoding"));
        }
        for header in self.target.resource.withheld.names() {
            for name in self.head.names_of_length(header.len()) {
                if let Ok(name) = std::str::from_utf8(name)
                    && folds_to(name, header)
                    && remove.iter().all(|removed| removed != name)
                {
                    remove.push(Cow::Owned(name.to_owned()));
                }
            }
        }
        Edits {
            remove,
            caller: caller.map(Rc::clone),
            response: ResponseEdits {
                lists: None,
                readable: match (caller, self.config.mode) {
                    (Some(_), Mode::Enforce) => reply::readable(self.origin()),
                    (None, _) | (_, Mode::Observe) => Vec::new(),
                },
            },
        }
    }

    /// Returns whether responses are read. Who only observes changes nothing.
    pub(super) fn filters_lists(&self) -> bool {
        self.target.resource.filter_lists && self.config.mode == Mode::Enforce
    }
}

/// The trailers of a request that must not reach a server, of whichever resource it is: those that it
/// could take for an identity header of one, and `authorization`, which no trailer may be
/// (RFC 9110 §6.5.1).
pub fn withheld_trailers(config: &Config, trailers: &Head) -> Vec<String> {
    let names = trailers.names().filter(|name| {
        let mut withheld = config.resources.iter().map(|resource| &resource.withheld);
        folds_to(name, "authorization")
            || withheld.any(|withheld| withheld.names().any(|header| folds_to(name, header)))
    });
    names.map(str::to_owned).collect()
}
