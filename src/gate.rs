//! The decision for one request: the decision table, top to bottom, first match wins.

mod cors;
mod credentials;
mod edits;
mod metadata;
mod operation;
mod refusal;
pub mod reply;
#[cfg(test)]
mod tests;
mod unjudged;

use std::rc::Rc;
use std::time::Duration;

use crate::config::{Config, Mode};
use crate::head::Head;
use crate::mcp::Operation;
use crate::reason::{Fault, Reason};
use crate::resource::host::{Authority, Hosts};
use crate::resource::{Route, Target};
use crate::time::UnixNanos;
use crate::trust::{Awaited, Caller, Trust};
use reply::Reply;

pub use edits::{Edits, ResponseEdits, withheld_trailers};
pub use refusal::{DeniedRequest, MismatchedRequest, Refusal};

/// When a client that was refused for want of room may come again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// The decision on a request.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Forward it untouched: it is for no resource.
    Pass,
    /// Forward it untouched: nothing is judged, for `enabled` is false.
    Off,
    /// Forward it, with these edits: a CORS preflight that the server answers, for `cors` is false.
    Preflight(Edits),
    /// Answer it here; nothing is refused by that.
    Answer(Reply),
    /// Forward it, with these edits.
    Allow(Edits),
    /// Answer it here with a refusal.
    Refuse(Box<Refusal>, Reply),
    /// Forward it with these edits although it would be refused ([`Mode::Observe`]).
    Observe(Box<Refusal>, Edits),
    /// Forward it with these edits although it would be answered here ([`Mode::Observe`]).
    Unanswered(Edits),
    /// Hold it until this has come, and decide again.
    Wait(Awaited),
    /// Its token is good. Hold it until its body has come, and go on with [`decide_operation`].
    ReadBody(Pending),
}

/// A request whose operation is still to be read: all that headers and token say of it is decided.
#[derive(Clone, Debug)]
pub struct Pending {
    caller: Rc<Caller>,
    /// `true` if a request of this method has a body. If not, it need not wait for one: there is no
    /// operation in it, and the first byte of a body is refused.
    pub expects_body: bool,
    /// The changes to it if it is allowed.
    pub edits: Edits,
}

/// A request's body, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it; empty if there is none.
    Whole(&'a [u8]),
    /// It is longer than it may be: than `limits.body_bytes`, or than nothing.
    TooLarge,
}

/// Finds whom a request is for, from its path (and authority, where [`needs_authority`]) alone.
pub fn route(config: &Config, path: Option<&[u8]>, authority: Authority<'_>) -> Route {
    if !config.enabled {
        return Route::Foreign;
    }
    match (path, config.resources.most_specific()) {
        (Some(path), _) => config.resources.route(path, authority),
        (None, Some(resource)) => Route::Unclear(resource, Reason::PathMissing),
        (None, None) => Route::Foreign,
    }
}

/// Decides on a request that [`route`] calls foreign: no more of it is read.
pub fn unjudged(config: &Config) -> Decision {
    if config.enabled {
        Decision::Pass
    } else {
        Decision::Off
    }
}

/// Returns whether [`route`] has to know the `:authority`.
pub fn needs_authority(config: &Config) -> bool {
    config
        .resources
        .iter()
        .any(|resource| resource.hosts != Hosts::Any)
}

/// Returns whether a decision on this request may depend on its body.
pub fn needs_body(config: &Config, route: &Route) -> bool {
    match route {
        Route::Protected(id, _) => config
            .resource(*id)
            .is_some_and(|resource| !resource.operations.is_empty()),
        Route::Foreign | Route::Metadata(..) | Route::Mirror(..) | Route::Unclear(..) => false,
    }
}

/// Decides on a request that [`route`] has placed: one that has just `arrived`, or that has waited.
pub fn decide(
    config: &Config,
    route: &Route,
    head: &Head,
    trust: &mut Trust,
    arrived: UnixNanos,
    now: UnixNanos,
) -> Decision {
    let Some(request) = Request::new(config, route, head, now) else {
        return unjudged(config);
    };
    let decided = match route {
        Route::Foreign => Ok(unjudged(config)),
        Route::Unclear(_, reason) => Err(request.refuse_unclear(*reason)),
        Route::Metadata(..) => Ok(request.metadata()),
        Route::Mirror(_, issuer) => Ok(request.issuer_metadata(*issuer, &mut trust.keys)),
        Route::Protected(..) => request.protected(trust, arrived),
    };
    decided.unwrap_or_else(|decision| decision)
}

/// The decision that [`decide`] would come to if its issuer had signed the token, whoever did. For
/// explanations of protected requests alone, and so not part of the module.
#[cfg(not(target_family = "wasm"))]
pub fn decide_unverified(config: &Config, route: &Route, head: &Head, now: UnixNanos) -> Decision {
    let Some(request) = Request::new(config, route, head, now) else {
        return unjudged(config);
    };
    let decided = request.protected_unverified();
    decided.unwrap_or_else(|decision| decision)
}

/// Decides on a request whose body has come.
pub fn decide_operation(
    config: &Config,
    route: &Route,
    head: &Head,
    pending: Pending,
    body: Body<'_>,
    now: UnixNanos,
) -> Decision {
    let Some(request) = Request::new(config, route, head, now) else {
        return unjudged(config);
    };
    let decided = request.operation(pending, body);
    decided.unwrap_or_else(|decision| decision)
}

/// Refuses a request without judging it: the wait was too long, or there is no room to wait.
pub fn refuse(
    config: &Config,
    route: &Route,
    head: &Head,
    reason: Reason,
    now: UnixNanos,
) -> Decision {
    let Some(request) = Request::new(config, route, head, now) else {
        return unjudged(config);
    };
    if let Route::Mirror(..) = route {
        return Decision::Answer(reply::issuer_metadata_unavailable());
    }
    let mut refusal = request.not_judged(reason);
    refusal.retry_after = (reason.fault() == Fault::Outage).then_some(RETRY_WHEN_FULL);
    request.refuse(refusal)
}

/// A row of the table: what it found out for the next, or the decision, if it matches.
type Row<T = ()> = Result<T, Decision>;

/// A request that is for a resource.
struct Request<'a> {
    config: &'a Config,
    target: Target<'a>,
    head: &'a Head,
    now: UnixNanos,
}

impl<'a> Request<'a> {
    fn new(config: &'a Config, route: &'a Route, head: &'a Head, now: UnixNanos) -> Option<Self> {
        let (id, bindings) = route.resource()?;
        let target = Target {
            id,
            resource: config.resource(id)?,
            bindings,
        };
        Some(Self {
            config,
            target,
            head,
            now,
        })
    }
}

impl Request<'_> {
    /// The rows for a resource itself.
    fn protected(&self, trust: &mut Trust, arrived: UnixNanos) -> Row<Decision> {
        self.refuse_origin()?;
        self.answer_preflight()?;
        let caller = self.caller(trust, arrived)?;
        self.grant(caller)
    }

    /// The same but for the signature.
    #[cfg(not(target_family = "wasm"))]
    fn protected_unverified(&self) -> Row<Decision> {
        self.refuse_origin()?;
        self.answer_preflight()?;
        let caller = self.unverified_caller()?;
        self.grant(caller)
    }

    /// The rows for a caller who is known.
    fn grant(&self, caller: Rc<Caller>) -> Row<Decision> {
        self.refuse_scopes(&self.target.resource.scopes, &caller)?;
        self.refuse_claims(&caller)?;
        if self.target.resource.operations.is_empty() {
            return Ok(Decision::Allow(self.edits(Some(&caller))));
        }
        self.refuse_announced_body(&caller)?;
        self.refuse_encoding(&caller)?;
        Ok(Decision::ReadBody(self.pending(caller)))
    }

    /// The rows for the operation that a body asks for.
    fn operation(&self, pending: Pending, body: Body<'_>) -> Row<Decision> {
        let caller = &pending.caller;
        let Some(body) = self.operation_body(&pending, body)? else {
            return Ok(Decision::Allow(pending.edits));
        };
        let messages = self.messages(caller, body)?;
        self.refuse_mismatch(caller, &messages)?;
        let operations: Vec<Operation> = messages.operations().cloned().collect();
        self.refuse_nameless(caller, &operations)?;
        let needed = self.needs(caller, &operations, &messages)?;
        self.refuse_scopes(&needed, caller)?;
        let lists = self.lists(caller, &operations, &messages);
        let mut edits = pending.edits;
        edits.response.lists = lists;
        Ok(Decision::Allow(edits))
    }

    /// The refusal of this request, to be carried out by [`Request::refuse`].
    fn refusal(&self, reason: Reason) -> Box<Refusal> {
        Refusal::new(reason, self.target.id)
    }

    /// Refuses the request, or lets it pass where the filter only observes.
    #[inline(never)]
    fn refuse(&self, mut refusal: Box<Refusal>) -> Decision {
        match self.config.mode {
            Mode::Enforce => {
                if refusal.needs.is_none() && refusal.reason.answer().status == 401 {
                    refusal.needs = Some(self.stated_needs());
                }
                let reply = reply::refusal(
                    &refusal,
                    self.target.resource,
                    self.target.bindings,
                    self.origin(),
                );
                Decision::Refuse(refusal, reply)
            }
            Mode::Observe => Decision::Observe(refusal, self.edits(None)),
        }
    }
}
