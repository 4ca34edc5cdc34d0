//! The decision for one request: the decision table, top to bottom, first match wins.

mod edits;
mod evidence;
pub mod refusal;
pub mod reply;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use crate::bearer::{self, Credentials};
use crate::config::{Config, Issuer, Mode};
use crate::evidence::escaped;
use crate::head::Head;
use crate::ids::{IssuerId, ResourceId};
use crate::keys::{Doubt, Found, Keys, Mirrored};
use crate::lists::Lists;
use crate::mcp::{BodyError, Messages, Needs, Operation, Routing, encoding};
use crate::reason::{Fault, Reason};
use crate::resource::host::Authority;
use crate::resource::{self, Resource, Route};
use crate::template::Bindings;
use crate::time::UnixNanos;
use crate::token::{Claims, MAX_KEYS_TRIED, UnverifiedToken, VerifiedToken};
use crate::trust::cache::{Key, Keyed};
use crate::trust::{Caller, Trust, Unverified};
use reply::{Origin, Reply};

pub use edits::{Edits, withheld_trailers};
pub use refusal::{DeniedRequest, MismatchedRequest, Refusal};

/// When a client may come again whose token may be by a key that is not tried: when the set changes.
const RETRY_WITH_FEWER_KEYS: Duration = Duration::from_secs(60);
/// When a client that was refused for want of room may come again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// What becomes of a request.
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
    /// Hold it until the keys of this issuer have come, and decide again.
    Wait(IssuerId),
    /// Its token is good. Hold it until its body has come, and go on with [`decide_operation`].
    ReadBody(Pending),
}

/// What is known of a request whose operation is still to be read: all that headers and token say
/// of it is decided.
#[derive(Clone, Debug)]
pub struct Pending {
    caller: Rc<Caller>,
    /// Whether a request of this method has a body. If not, it need not wait for one: there is no
    /// operation in it, and the first byte of a body is refused.
    pub expects_body: bool,
    /// What is changed in it if it is allowed.
    pub edits: Edits,
}

/// A request's body, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it; empty if there is none.
    Whole(&'a [u8]),
    /// It is longer than `limits.body_bytes`.
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

/// Whether [`route`] has to know the `:authority`.
pub fn needs_authority(config: &Config) -> bool {
    config
        .resources
        .iter()
        .any(|resource| resource.hosts != resource::host::Hosts::Any)
}

/// Whether a decision on this request may depend on its body.
pub fn needs_body(config: &Config, route: &Route) -> bool {
    match route {
        Route::Protected(id, _) => config
            .resource(*id)
            .is_some_and(|resource| !resource.operations.is_empty()),
        Route::Foreign | Route::Metadata(..) | Route::Mirror(..) | Route::Unclear(..) => false,
    }
}

/// Decides on a request that [`route`] has placed: one that has just `arrived`, or that has waited
/// for keys.
pub fn decide(
    config: &Config,
    route: &Route,
    head: &Head,
    trust: &mut Trust,
    arrived: UnixNanos,
    now: UnixNanos,
) -> Decision {
    if let Route::Mirror(_, issuer) = route {
        return mirrored(*issuer, head, config.mode, &mut trust.keys, now);
    }
    decide_with(config, route, head, now, |request| {
        request.authorize(trust, arrived)
    })
}

/// The metadata of an authorization server, on the host of a resource.
fn mirrored(
    issuer: Option<IssuerId>,
    head: &Head,
    mode: Mode,
    keys: &mut Keys,
    now: UnixNanos,
) -> Decision {
    let Some(issuer) = issuer else {
        return Decision::Answer(reply::not_found());
    };
    match head.method() {
        b"GET" | b"HEAD" => match keys.issuer_metadata(issuer, now) {
            // Observing never delays a request.
            Mirrored::Wait if mode == Mode::Enforce => Decision::Wait(issuer),
            Mirrored::Document(document) => Decision::Answer(
                reply::issuer_metadata(document).unwrap_or_else(reply::issuer_metadata_unavailable),
            ),
            Mirrored::Wait | Mirrored::Unavailable => {
                Decision::Answer(reply::issuer_metadata_unavailable())
            }
        },
        _ if mode == Mode::Observe => Decision::Unanswered(Edits::default()),
        b"OPTIONS" if is_preflight(head) => Decision::Answer(reply::metadata_preflight()),
        _ => Decision::Answer(reply::method_not_allowed()),
    }
}

/// What [`decide`] would come to if its issuer had signed the token, whoever did. For explanations
/// alone, and so not part of the module.
#[cfg(not(target_family = "wasm"))]
pub fn decide_unverified(config: &Config, route: &Route, head: &Head, now: UnixNanos) -> Decision {
    decide_with(config, route, head, now, |request| {
        request.authorize_unverified()
    })
}

fn decide_with(
    config: &Config,
    route: &Route,
    head: &Head,
    now: UnixNanos,
    authorize: impl FnOnce(&Request<'_>) -> Result<Granted, Stop>,
) -> Decision {
    let (id, bindings) = match route {
        Route::Foreign | Route::Mirror(..) => return unjudged(config),
        Route::Unclear(id, _) => (*id, &Bindings::default()),
        Route::Metadata(id, bindings) | Route::Protected(id, bindings) => (*id, bindings),
    };
    let Some(resource) = config.resource(id) else {
        return Decision::Pass;
    };
    let request = Request {
        config,
        id,
        resource,
        bindings,
        head,
        now,
    };
    match route {
        Route::Foreign | Route::Mirror(..) => unjudged(config),
        Route::Unclear(_, reason) => request.refuse(Box::new(request.unclear(*reason))),
        Route::Metadata(..) => request.metadata(),
        Route::Protected(..) => request.protected(authorize),
    }
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
    decide_with(config, route, head, now, |request| {
        let lists = request.authorize_operation(&pending, body)?;
        Ok(Granted::All(Edits {
            lists,
            ..pending.edits
        }))
    })
}

/// Refuses a request without judging it: the wait was too long, or there is no room to wait.
pub fn refuse(
    config: &Config,
    route: &Route,
    head: &Head,
    reason: Reason,
    now: UnixNanos,
) -> Decision {
    if let Route::Mirror(..) = route {
        return Decision::Answer(reply::issuer_metadata_unavailable());
    }
    let (Route::Unclear(id, _) | Route::Metadata(id, _) | Route::Protected(id, _)) = route else {
        return Decision::Pass;
    };
    let Some(resource) = config.resource(*id) else {
        return Decision::Pass;
    };
    let bindings = match route {
        Route::Metadata(_, bindings) | Route::Protected(_, bindings) => bindings,
        Route::Foreign | Route::Mirror(..) | Route::Unclear(..) => &Bindings::default(),
    };
    let request = Request {
        config,
        id: *id,
        resource,
        bindings,
        head,
        now,
    };
    let mut refusal = request.unjudged(reason);
    refusal.retry_after = (reason.fault() == Fault::Outage).then_some(RETRY_WHEN_FULL);
    request.refuse(Box::new(refusal))
}

struct Request<'a> {
    config: &'a Config,
    id: ResourceId,
    resource: &'a Resource,
    bindings: &'a Bindings,
    head: &'a Head,
    now: UnixNanos,
}

/// What a good token comes to.
enum Granted {
    All(Edits),
    ByOperation(Pending),
}

/// What stops a request on its way.
enum Stop {
    Refused(Box<Refusal>),
    Waits(IssuerId),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Request<'_> {
    fn metadata(&self) -> Decision {
        match self.head.method() {
            b"GET" | b"HEAD" => Decision::Answer(reply::metadata(self.resource, self.bindings)),
            _ if self.config.mode == Mode::Observe => Decision::Unanswered(self.edits(None)),
            b"OPTIONS" if self.is_preflight() => Decision::Answer(reply::metadata_preflight()),
            _ => Decision::Answer(reply::method_not_allowed()),
        }
    }

    fn protected(&self, authorize: impl FnOnce(&Self) -> Result<Granted, Stop>) -> Decision {
        let origin = self.origin();
        if origin == Origin::NotAllowed {
            return self.refuse(Box::new(self.refused_origin()));
        }
        if self.is_preflight()
            && let Some(decision) = self.preflight(origin)
        {
            return decision;
        }
        match authorize(self) {
            Ok(Granted::All(edits)) => Decision::Allow(edits),
            Ok(Granted::ByOperation(pending)) => Decision::ReadBody(pending),
            Err(Stop::Refused(refusal)) => self.refuse(refusal),
            // Observing never delays a request.
            Err(Stop::Waits(issuer)) if self.config.mode == Mode::Observe => {
                let mut refusal = self.unjudged(Reason::KeysUnavailable);
                refusal.issuer = Some(issuer);
                self.refuse(Box::new(refusal))
            }
            Err(Stop::Waits(issuer)) => Decision::Wait(issuer),
        }
    }

    /// Of a CORS preflight of a resource; `None` where it needs a token like any other request.
    fn preflight(&self, origin: Origin<'_>) -> Option<Decision> {
        if !self.resource.cors {
            return is_nothing_else(self.head).then(|| Decision::Preflight(self.edits(None)));
        }
        Some(match self.config.mode {
            Mode::Enforce => Decision::Answer(reply::resource_preflight(origin)),
            Mode::Observe => Decision::Unanswered(self.edits(None)),
        })
    }

    /// Everything that a request must have to be allowed.
    fn authorize(&self, trust: &mut Trust, arrived: UnixNanos) -> Result<Granted, Stop> {
        let key = self.key(&trust.keyed);
        let caller = match key.and_then(|key| trust.recall(key, self.now)) {
            Some(caller) => caller,
            None => self.authenticate(key, trust, arrived)?,
        };
        self.grant(caller)
    }

    /// Refuses credentials that were found to be forged before.
    fn recall_forged(&self, key: Key<'_>, trust: &mut Trust) -> Result<(), Stop> {
        match trust.recall_forged(key, self.now) {
            Some(token) => Err(self.unverified(&token, trust)),
            None => Ok(()),
        }
    }

    /// A token that no key verified is refused for it once its issuer was asked since it was seen.
    fn unverified(&self, token: &Unverified, trust: &mut Trust) -> Stop {
        let mut refusal = self.unsigned(token.kid.as_deref(), token.issuer);
        refusal.reason = token.reason;
        if token.reason == Reason::TooManyKeys {
            refusal.expected = Some(format!("at most {MAX_KEYS_TRIED} keys to try"));
            refusal.retry_after = Some(RETRY_WITH_FEWER_KEYS);
            return Stop::from(refusal);
        }
        match trust.keys.doubt(token.issuer, token.since, self.now) {
            Doubt::Settled => {}
            Doubt::Wait => return Stop::Waits(token.issuer),
            Doubt::Unavailable {
                reason,
                retry_after,
            } => {
                refusal.reason = reason;
                refusal.retry_after = Some(retry_after);
            }
        }
        Stop::from(refusal)
    }

    /// Who sent the token. Rare: kept out of the way of tokens that are known.
    #[inline(never)]
    fn authenticate(
        &self,
        key: Option<Key<'_>>,
        trust: &mut Trust,
        arrived: UnixNanos,
    ) -> Result<Rc<Caller>, Stop> {
        if let Some(key) = key {
            self.recall_forged(key, trust)?;
        }
        let token = self.token()?;
        let (id, issuer) = self.issuer(&token)?;
        self.check(&token, id, issuer)?;
        let validity = token.unverified_claims().validity(&issuer.policy);
        let token = self.verify(token, id, key, trust, arrived, validity.end)?;
        let caller = Rc::new(self.caller(token.claims(), id));
        if let Some(key) = key {
            trust.remember(key, token.key(), validity, &caller);
        }
        Ok(caller)
    }

    /// The same but for the signature.
    #[cfg(not(target_family = "wasm"))]
    fn authorize_unverified(&self) -> Result<Granted, Stop> {
        let token = self.token()?;
        let (id, issuer) = self.issuer(&token)?;
        self.check(&token, id, issuer)?;
        self.grant(Rc::new(self.caller(token.unverified_claims(), id)))
    }

    /// Whom claims that are taken to be the issuer's speak of.
    fn caller(&self, claims: &Claims, issuer: IssuerId) -> Caller {
        Caller::new(claims, issuer, self.resource, self.bindings)
    }

    /// What is remembered of the only `authorization` is remembered under this.
    fn key(&self, keyed: &Keyed) -> Option<Key<'_>> {
        let mut values = self.head.values("authorization");
        let (Some(credentials), None) = (values.next(), values.next()) else {
            return None;
        };
        Some(keyed.key(self.id, self.bindings, credentials))
    }

    /// What this caller may do, as far as headers and token tell.
    fn grant(&self, caller: Rc<Caller>) -> Result<Granted, Stop> {
        self.authorize_scopes(&self.resource.scopes, &caller)?;
        self.authorize_claims(&caller)?;
        let mut edits = self.edits(Some(&caller));
        if self.resource.operations.is_empty() {
            return Ok(Granted::All(edits));
        }
        let expects_body = self.expects_body();
        match self.announced_bytes() {
            Some(1..) if !expects_body => {
                return Err(Stop::from(self.unexpected_body(caller.issuer)));
            }
            Some(bytes) if bytes > self.config.limits.body_bytes => {
                return Err(Stop::from(self.too_large(caller.issuer)));
            }
            Some(_) | None => {}
        }
        if let Some(found) = encoding::foreign(self.head).filter(|_| expects_body) {
            let mut refusal = self.refusal_by(Reason::BodyEncoded, caller.issuer);
            refusal.expected = Some("utf-8, or us-ascii, not compressed".to_owned());
            refusal.found =
                Some(std::str::from_utf8(found).map_or("not UTF-8".to_owned(), escaped));
            return Err(Stop::from(refusal));
        }
        if !expects_body && self.filters_lists() {
            edits.lists = Some(Box::new(Lists::of_stream(&caller.granted)));
        }
        Ok(Granted::ByOperation(Pending {
            edits,
            expects_body,
            caller,
        }))
    }

    /// What the body asks for, and whether the token has all that this needs; then, what is to be
    /// taken out of the response.
    fn authorize_operation(
        &self,
        pending: &Pending,
        body: Body<'_>,
    ) -> Result<Option<Box<Lists>>, Stop> {
        let caller = &pending.caller;
        let body = match body {
            Body::Whole(b"") if !pending.expects_body => return Ok(pending.edits.lists.clone()),
            Body::TooLarge | Body::Whole(_) if !pending.expects_body => {
                return Err(Stop::from(self.unexpected_body(caller.issuer)));
            }
            Body::TooLarge => return Err(Stop::from(self.too_large(caller.issuer))),
            Body::Whole(body) => body,
        };
        let messages = self.messages(caller.issuer, body)?;
        let operations: Vec<Operation> = messages.operations().cloned().collect();
        self.require_names(caller.issuer, &operations)?;
        let mut needed: Vec<&String> = self.resource.scopes.iter().collect();
        for rule in &self.resource.operations {
            let Some(operation) = operations.iter().find(|operation| rule.matches(operation))
            else {
                continue;
            };
            match &rule.needs {
                Needs::Nothing => {
                    let mut refusal = self.refusal_by(Reason::OperationNotAllowed, caller.issuer);
                    let operation = named(operation);
                    refusal.found = Some(operation.clone());
                    let id = messages.id().filter(|_| !messages.is_batch()).cloned();
                    refusal.denied = id.map(|id| DeniedRequest { id, operation });
                    return Err(Stop::from(refusal));
                }
                Needs::Scopes(scopes) => {
                    for scope in scopes {
                        if !needed.contains(&scope) {
                            needed.push(scope);
                        }
                    }
                }
            }
        }
        let needed: Vec<String> = needed.into_iter().cloned().collect();
        self.authorize_scopes(&needed, caller)?;
        let lists = self
            .filters_lists()
            .then(|| Lists::asked(&operations, &caller.granted, messages.id()))
            .flatten();
        Ok(lists.map(Box::new))
    }

    /// Where a rule depends on a name, the request must have one.
    fn require_names(&self, issuer: IssuerId, operations: &[Operation]) -> Result<(), Stop> {
        let rules = &self.resource.operations;
        let mut unnamed = operations.iter().filter(|one| one.lacks_name());
        if unnamed.any(|one| rules.iter().any(|rule| rule.asks_name_of(one))) {
            let mut refusal = self.refusal_by(Reason::BodyMalformed, issuer);
            refusal.found = Some(BodyError::NameMissing.as_str().to_owned());
            return Err(Stop::from(refusal));
        }
        Ok(())
    }

    /// The scopes that the request needs, as far as its headers tell: for challenges alone, since
    /// nobody has compared them with a body.
    fn stated_needs(&self) -> Vec<String> {
        let mut needed = self.resource.scopes.clone();
        let Some(operation) = Routing::of(self.head)
            .ok()
            .and_then(|routing| routing.operation())
        else {
            return needed;
        };
        let rules = self.resource.operations.iter();
        for rule in rules.filter(|rule| rule.matches(&operation)) {
            match &rule.needs {
                Needs::Nothing => {}
                Needs::Scopes(scopes) => {
                    for scope in scopes {
                        if !needed.contains(scope) {
                            needed.push(scope.clone());
                        }
                    }
                }
            }
        }
        needed
    }

    fn messages(&self, issuer: IssuerId, body: &[u8]) -> Result<Messages, Stop> {
        let messages = Messages::parse(body).map_err(|error| {
            let mut refusal = self.refusal_by(Reason::BodyMalformed, issuer);
            refusal.found = Some(error.as_str().to_owned());
            Stop::from(refusal)
        })?;
        Routing::of(self.head)
            .and_then(|routing| routing.confirm(&messages))
            .map_err(|mismatch| {
                let mut refusal = self.refusal_by(Reason::HeaderMismatch, issuer);
                refusal.found = Some(mismatch.to_string());
                let id = messages.id().cloned();
                refusal.mismatch = Some(MismatchedRequest { mismatch, id });
                Stop::from(refusal)
            })?;
        Ok(messages)
    }

    /// Requests of the other methods ask for no operation: they open a stream, or end a session.
    fn expects_body(&self) -> bool {
        !matches!(
            self.head.method(),
            b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS"
        )
    }

    /// The length of the body that `content-length` states; what is no number counts as endless.
    fn announced_bytes(&self) -> Option<usize> {
        let lengths = self.head.values("content-length").map(|length| {
            std::str::from_utf8(length)
                .ok()
                .and_then(|length| length.parse().ok())
                .unwrap_or(usize::MAX)
        });
        lengths.max()
    }

    fn token(&self) -> Result<UnverifiedToken<'_>, Stop> {
        let token = match bearer::credentials(self.head.values("authorization")) {
            Credentials::Bearer(token) => token,
            Credentials::Missing => {
                return Err(Stop::from(self.refusal(Reason::CredentialsMissing)));
            }
            Credentials::OtherScheme => {
                return Err(Stop::from(self.unusable(Reason::SchemeNotBearer)));
            }
            Credentials::Multiple => {
                return Err(Stop::from(self.unusable(Reason::MultipleCredentials)));
            }
            Credentials::MalformedBearer => {
                return Err(Stop::from(self.unusable(Reason::TokenMalformed)));
            }
        };
        UnverifiedToken::parse(token, self.config.limits.token_bytes)
            .map_err(|reason| Stop::from(self.unreadable(token, reason)))
    }

    fn issuer(&self, token: &UnverifiedToken<'_>) -> Result<(IssuerId, &Issuer), Stop> {
        self.issuer_of(token.unverified_issuer()).ok_or_else(|| {
            let issuers = self.resource.issuers.iter();
            let expected: Vec<&str> = issuers
                .filter_map(|id| self.config.issuer(*id))
                .map(|issuer| issuer.policy.issuer.as_str())
                .collect();
            let found = escaped(token.unverified_issuer());
            Stop::from(self.told(Reason::IssuerNotAllowed, expected.join(" "), found))
        })
    }

    /// The issuer of this name, if the resource accepts its tokens.
    fn issuer_of(&self, name: &str) -> Option<(IssuerId, &Issuer)> {
        self.resource
            .issuers
            .iter()
            .filter_map(|id| self.config.issuer(*id).map(|issuer| (*id, issuer)))
            .find(|(_, issuer)| issuer.policy.issuer == name)
    }

    /// What needs no key. A refusal needs no proof, so this comes before any fetch or signature.
    fn check(
        &self,
        token: &UnverifiedToken<'_>,
        id: IssuerId,
        issuer: &Issuer,
    ) -> Result<(), Stop> {
        let audiences: Vec<Cow<'_, str>> = match &issuer.audiences {
            Some(audiences) => audiences.iter().map(|name| name.as_str().into()).collect(),
            None => vec![self.resource.identifier.render(self.bindings)],
        };
        match token.fails(&issuer.policy, &audiences, self.now) {
            None => Ok(()),
            Some(check) => Err(Stop::from(
                self.failed(check, token, id, issuer, &audiences),
            )),
        }
    }

    fn verify(
        &self,
        token: UnverifiedToken<'_>,
        id: IssuerId,
        key: Option<Key<'_>>,
        trust: &mut Trust,
        arrived: UnixNanos,
        expires_at: UnixNanos,
    ) -> Result<VerifiedToken, Stop> {
        let Trust { keys, verifier, .. } = trust;
        let (kid, alg) = (token.unverified_kid(), token.algorithm());
        let found = keys.find(id, kid, alg, arrived, self.now);
        let unverified = |token: &UnverifiedToken<'_>, reason| Unverified {
            issuer: id,
            reason,
            kid: token.unverified_kid().map(str::to_owned),
            since: arrived,
        };
        Err(Stop::from(match found {
            Found::Keys(candidates) => {
                let reason = if candidates.len() > MAX_KEYS_TRIED {
                    Reason::TooManyKeys
                } else {
                    Reason::SignatureInvalid
                };
                match token.verify(candidates, verifier.as_ref()) {
                    Ok(token) => return Ok(token),
                    Err(token) => {
                        let mut token = unverified(&token, reason);
                        if let Some(key) = key {
                            trust.remember_forged(key, &mut token, expires_at, self.now);
                        }
                        return Err(self.unverified(&token, trust));
                    }
                }
            }
            // A key may be replaced by one for another algorithm, too.
            Found::Refused(reason @ Reason::KeyMismatch) => {
                let mut token = unverified(&token, reason);
                if let Some(key) = key {
                    trust.remember_forged(key, &mut token, expires_at, self.now);
                }
                return Err(self.unverified(&token, trust));
            }
            Found::Wait => return Err(Stop::Waits(id)),
            Found::Refused(reason) => self.without_key(&token, reason, id),
            Found::Unavailable {
                reason,
                retry_after,
            } => Refusal {
                retry_after: Some(retry_after),
                ..self.without_key(&token, reason, id)
            },
        }))
    }

    fn authorize_scopes(&self, needed: &[String], caller: &Caller) -> Result<(), Stop> {
        let granted = &caller.granted;
        let hierarchy = &self.resource.scope_hierarchy;
        if needed.iter().any(|scope| !hierarchy.grants(granted, scope)) {
            let mut refusal = self.refusal_by(Reason::ScopeInsufficient, caller.issuer);
            refusal.expected = Some(needed.join(" "));
            refusal.found = Some(escaped(&granted.join(" ")));
            let stated = self.stated_needs().into_iter();
            let stated = stated.filter(|scope| !needed.contains(scope));
            refusal.needs = Some(needed.iter().cloned().chain(stated).collect());
            return Err(Stop::from(refusal));
        }
        Ok(())
    }

    fn authorize_claims(&self, caller: &Caller) -> Result<(), Stop> {
        let Some(claim) = &caller.refused_claim else {
            return Ok(());
        };
        let (expected, found) = (claim.expected.as_str(), claim.found.as_str());
        Err(Stop::from(Refusal {
            issuer: Some(caller.issuer),
            ..self.told(Reason::ClaimNotAllowed, expected, found)
        }))
    }

    fn is_preflight(&self) -> bool {
        is_preflight(self.head)
    }

    fn origin(&self) -> Origin<'_> {
        let mut origins = self.head.values("origin");
        let Some(origin) = origins.next() else {
            return Origin::Absent;
        };
        let Some(allowed) = &self.resource.allowed_origins else {
            return if self.resource.cors {
                Origin::Any
            } else {
                Origin::Absent
            };
        };
        match allowed.iter().find(|allowed| allowed.as_bytes() == origin) {
            Some(_) if origins.next().is_some() => Origin::NotAllowed,
            Some(_) if !self.resource.cors => Origin::Absent,
            Some(allowed) => Origin::Allowed(allowed),
            None => Origin::NotAllowed,
        }
    }

    #[cold]
    fn refusal(&self, reason: Reason) -> Refusal {
        Refusal {
            reason,
            resource: self.id,
            issuer: None,
            expected: None,
            found: None,
            retry_after: None,
            needs: None,
            mismatch: None,
            denied: None,
        }
    }

    fn refusal_by(&self, reason: Reason, issuer: IssuerId) -> Refusal {
        Refusal {
            issuer: Some(issuer),
            ..self.refusal(reason)
        }
    }

    #[inline(never)]
    fn refuse(&self, mut refusal: Box<Refusal>) -> Decision {
        match self.config.mode {
            Mode::Enforce => {
                if refusal.needs.is_none() && refusal.reason.answer().status == 401 {
                    refusal.needs = Some(self.stated_needs());
                }
                let reply = reply::refusal(&refusal, self.resource, self.bindings, self.origin());
                Decision::Refuse(refusal, reply)
            }
            Mode::Observe => {
                let edits = self.edits(None);
                Decision::Observe(refusal, edits)
            }
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

/// Whether a preflight can do nothing but ask: it has no body, no credentials, and no header by
/// which a server could take it for another method. A browser sends none of these.
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
        && !OTHERS.iter().any(|name| head.has(name))
}

/// Fetch standard, "CORS-preflight request".
fn is_preflight(head: &Head) -> bool {
    head.method() == b"OPTIONS" && head.has("origin") && head.has("access-control-request-method")
}
