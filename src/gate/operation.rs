//! The things that a caller may do: scopes and claims, and the operation that a body asks for.

use std::rc::Rc;

use super::{Body, Decision, DeniedRequest, MismatchedRequest, Pending, Refusal, Request, Row};
use crate::escape::escaped;
use crate::lists::Lists;
use crate::mcp::{BodyError, Messages, Needs, Operation, Routing, encoding};
use crate::reason::Reason;
use crate::trust::Caller;

impl Request<'_> {
    /// Refuses a caller who lacks one of these scopes.
    pub(super) fn refuse_scopes(&self, needed: &[String], caller: &Caller) -> Row {
        let granted = &caller.granted;
        let hierarchy = &self.target.resource.scope_hierarchy;
        if needed.iter().all(|scope| hierarchy.grants(granted, scope)) {
            return Ok(());
        }
        let refusal = self.refusal_of(Reason::ScopeInsufficient, caller);
        let mut refusal = refusal.told(needed.join(" "), escaped(&granted.join(" ")));
        let stated = self.stated_needs().into_iter();
        let stated = stated.filter(|scope| !needed.contains(scope));
        refusal.needs = Some(needed.iter().cloned().chain(stated).collect());
        Err(self.refuse(refusal))
    }

    /// Refuses a caller whose claims are not what the resource asks for.
    pub(super) fn refuse_claims(&self, caller: &Caller) -> Row {
        let Some(claim) = &caller.refused_claim else {
            return Ok(());
        };
        let refusal = self.refusal_of(Reason::ClaimNotAllowed, caller);
        Err(self.refuse(refusal.told(claim.expected.as_str(), claim.found.as_str())))
    }

    /// Refuses a body by the length that `content-length` states; what is no number counts as
    /// endless.
    pub(super) fn refuse_announced_body(&self, caller: &Caller) -> Row {
        let lengths = self.head.values("content-length").map(|length| {
            std::str::from_utf8(length)
                .ok()
                .and_then(|length| length.parse().ok())
                .unwrap_or(usize::MAX)
        });
        match lengths.max() {
            Some(1..) if !self.expects_body() => Err(self.refuse_unexpected_body(caller)),
            Some(bytes) if bytes > self.config.limits.body_bytes => {
                Err(self.refuse_large_body(caller))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a body that is not plain UTF-8.
    pub(super) fn refuse_encoding(&self, caller: &Caller) -> Row {
        let Some(found) = encoding::foreign(self.head).filter(|_| self.expects_body()) else {
            return Ok(());
        };
        let found = std::str::from_utf8(found).map_or("not UTF-8".to_owned(), escaped);
        let refusal = self.refusal_of(Reason::BodyEncoded, caller);
        Err(self.refuse(refusal.told("utf-8, or us-ascii, not compressed", found)))
    }

    /// The request, once nothing but its body is left to judge.
    pub(super) fn pending(&self, caller: Rc<Caller>) -> Pending {
        let mut edits = self.edits(Some(&caller));
        let expects_body = self.expects_body();
        if !expects_body && self.filters_lists() {
            edits.response.lists = Some(Box::new(Lists::of_stream(&caller.granted)));
        }
        Pending {
            caller,
            expects_body,
            edits,
        }
    }

    /// The body that is to be judged; `None` where a request rightly has none.
    pub(super) fn operation_body<'b>(
        &self,
        pending: &Pending,
        body: Body<'b>,
    ) -> Row<Option<&'b [u8]>> {
        match body {
            Body::Whole(b"") if !pending.expects_body => Ok(None),
            Body::TooLarge | Body::Whole(_) if !pending.expects_body => {
                Err(self.refuse_unexpected_body(&pending.caller))
            }
            Body::TooLarge => Err(self.refuse_large_body(&pending.caller)),
            Body::Whole(body) => Ok(Some(body)),
        }
    }

    /// The messages of a body, unless it is malformed.
    pub(super) fn messages(&self, caller: &Caller, body: &[u8]) -> Row<Messages> {
        Messages::parse(body).map_err(|error| self.refuse_body(caller, error))
    }

    /// Refuses a request whose routing headers do not say what its body says.
    pub(super) fn refuse_mismatch(&self, caller: &Caller, messages: &Messages) -> Row {
        let routing = Routing::of(self.head);
        let confirmed = routing.and_then(|routing| routing.confirm(messages));
        confirmed.map_err(|mismatch| {
            let refusal = self.refusal_of(Reason::HeaderMismatch, caller);
            let mut refusal = refusal.found(mismatch.to_string());
            let id = messages.id().cloned();
            refusal.mismatch = Some(MismatchedRequest { mismatch, id });
            self.refuse(refusal)
        })
    }

    /// Refuses a request without a name where a rule depends on it.
    pub(super) fn refuse_nameless(&self, caller: &Caller, operations: &[Operation]) -> Row {
        let rules = &self.target.resource.operations;
        let mut unnamed = operations.iter().filter(|one| one.lacks_name());
        if unnamed.any(|one| rules.iter().any(|rule| rule.asks_name_of(one))) {
            return Err(self.refuse_body(caller, BodyError::NameMissing));
        }
        Ok(())
    }

    /// The scopes that the operations need, unless one of them is denied.
    pub(super) fn needs(
        &self,
        caller: &Caller,
        operations: &[Operation],
        messages: &Messages,
    ) -> Row<Vec<String>> {
        let resource = self.target.resource;
        let mut needed = resource.scopes.clone();
        for rule in &resource.operations {
            let Some(operation) = operations.iter().find(|operation| rule.matches(operation))
            else {
                continue;
            };
            match &rule.needs {
                Needs::Nothing => return Err(self.refuse_denied(caller, operation, messages)),
                Needs::Scopes(scopes) => add(&mut needed, scopes),
            }
        }
        Ok(needed)
    }

    #[cold]
    fn refuse_denied(
        &self,
        caller: &Caller,
        operation: &Operation,
        messages: &Messages,
    ) -> Decision {
        let operation = named(operation);
        let refusal = self.refusal_of(Reason::OperationNotAllowed, caller);
        let mut refusal = refusal.found(operation.clone());
        let id = messages.id().filter(|_| !messages.is_batch()).cloned();
        refusal.denied = id.map(|id| DeniedRequest { id, operation });
        self.refuse(refusal)
    }

    /// The lists that are to be taken out of the response.
    pub(super) fn lists(
        &self,
        caller: &Caller,
        operations: &[Operation],
        messages: &Messages,
    ) -> Option<Box<Lists>> {
        if !self.filters_lists() {
            return None;
        }
        Lists::asked(operations, &caller.granted, messages.id()).map(Box::new)
    }

    /// The scopes that the request needs, as far as its headers tell: for challenges alone, since
    /// nobody has compared them with a body.
    pub(super) fn stated_needs(&self) -> Vec<String> {
        let mut needed = self.target.resource.scopes.clone();
        let routing = Routing::of(self.head).ok();
        let Some(operation) = routing.and_then(|routing| routing.operation()) else {
            return needed;
        };
        let rules = self.target.resource.operations.iter();
        for rule in rules.filter(|rule| rule.matches(&operation)) {
            match &rule.needs {
                Needs::Nothing => {}
                Needs::Scopes(scopes) => add(&mut needed, scopes),
            }
        }
        needed
    }

    /// Requests of the other methods ask for no operation: they open a stream, or end a session.
    fn expects_body(&self) -> bool {
        !matches!(
            self.head.method(),
            b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS"
        )
    }

    fn refusal_of(&self, reason: Reason, caller: &Caller) -> Box<Refusal> {
        self.refusal(reason).by(caller.issuer)
    }

    #[cold]
    fn refuse_body(&self, caller: &Caller, error: BodyError) -> Decision {
        let refusal = self.refusal_of(Reason::BodyMalformed, caller);
        self.refuse(refusal.found(error.as_str()))
    }

    #[cold]
    fn refuse_large_body(&self, caller: &Caller) -> Decision {
        let most = self.config.limits.body_bytes;
        let refusal = self.refusal_of(Reason::BodyTooLarge, caller);
        self.refuse(refusal.told(format!("at most {most} bytes"), "more"))
    }

    #[cold]
    fn refuse_unexpected_body(&self, caller: &Caller) -> Decision {
        let refusal = self.refusal_of(Reason::BodyUnexpected, caller);
        self.refuse(refusal.told("no body", "a body"))
    }
}

/// Adds those scopes that are not there yet.
fn add(needed: &mut Vec<String>, scopes: &[String]) {
    for scope in scopes {
        if !needed.contains(scope) {
            needed.push(scope.clone());
        }
    }
}

/// An operation, for logs.
fn named(operation: &Operation) -> String {
    match &operation.name {
        None => escaped(&operation.method),
        Some(name) => format!("{} {}", escaped(&operation.method), escaped(name)),
    }
}
