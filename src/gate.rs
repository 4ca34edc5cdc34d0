//! The decision for one request: the decision table, top to bottom, first match wins.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::bearer::{self, Credentials};
use crate::claim;
use crate::config::{Config, Issuer, IssuerId, Mode, ResourceId};
use crate::evidence::escaped;
use crate::head::Head;
use crate::keys::{Found, Keys};
use crate::reason::Reason;
use crate::reply::{self, Origin, Reply};
use crate::resource::host::Authority;
use crate::resource::path::{Bindings, RequestPath};
use crate::resource::{self, Resource, Route};
use crate::time::UnixNanos;
use crate::token::{Claims, UnverifiedToken, VerifiedToken};

/// When a client that was refused for want of room may come again.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// What becomes of a request.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Forward it untouched: it is for no resource.
    Pass,
    /// Answer it here; nothing is refused by that.
    Answer(Reply),
    /// Forward it, with these edits.
    Allow(Edits),
    /// Answer it here with a refusal.
    Refuse(Refusal, Reply),
    /// Forward it with these edits although it would be refused ([`Mode::Observe`]).
    Observe(Refusal, Edits),
    /// Hold it until the keys of this issuer have come, and decide again.
    Wait(IssuerId),
}

/// What is changed in a request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Headers to remove: the token, and whatever a server could take for an identity header.
    pub remove: Vec<String>,
    /// Headers to set, in place of all of their name.
    pub set: Vec<(String, String)>,
}

/// Why a request was refused, and what an operator wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason: it decides the answer.
    pub reason: Reason,
    /// The resource that was asked for.
    pub resource: ResourceId,
    /// The issuer of the token, once it is known to be one of the resource's.
    pub issuer: Option<IssuerId>,
    /// What the configuration allows, where a comparison failed.
    pub expected: Option<String>,
    /// What was found in its place: from the token, escaped and cut.
    pub found: Option<String>,
    /// When the client may come again.
    pub retry_after: Option<Duration>,
}

/// Finds whom a request is for, from its path (and authority, where [`needs_authority`]) alone.
pub fn route(config: &Config, path: Option<&[u8]>, authority: Authority<'_>) -> Route {
    if !config.enabled {
        return Route::Foreign;
    }
    match (path, config.by_specificity.first()) {
        (Some(path), _) => resource::route(config, &RequestPath::new(path), authority),
        (None, Some(resource)) => Route::Unclear(*resource, Reason::PathMissing),
        (None, None) => Route::Foreign,
    }
}

/// Whether [`route`] has to know the `:authority`.
pub fn needs_authority(config: &Config) -> bool {
    config
        .resources
        .iter()
        .any(|resource| resource.hosts != resource::host::Hosts::Any)
}

/// Decides on a request that [`route`] has placed.
pub fn decide(
    config: &Config,
    route: &Route,
    head: &Head,
    keys: &mut Keys,
    now: UnixNanos,
) -> Decision {
    decide_with(config, route, head, now, |request| request.authorize(keys))
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
    authorize: impl FnOnce(&Request<'_>) -> Result<Edits, Stop>,
) -> Decision {
    let (id, bindings) = match route {
        Route::Foreign => return Decision::Pass,
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
        Route::Foreign => Decision::Pass,
        Route::Unclear(_, reason) => request.refuse(request.refusal(*reason)),
        Route::Metadata(..) => request.metadata(),
        Route::Protected(..) => request.protected(authorize),
    }
}

/// Refuses a request without judging it: the wait was too long, or there is no room to wait.
pub fn refuse(
    config: &Config,
    route: &Route,
    head: &Head,
    reason: Reason,
    now: UnixNanos,
) -> Decision {
    let (Route::Unclear(id, _) | Route::Metadata(id, _) | Route::Protected(id, _)) = route else {
        return Decision::Pass;
    };
    let Some(resource) = config.resource(*id) else {
        return Decision::Pass;
    };
    let bindings = match route {
        Route::Metadata(_, bindings) | Route::Protected(_, bindings) => bindings,
        Route::Foreign | Route::Unclear(..) => &Bindings::default(),
    };
    let request = Request {
        config,
        id: *id,
        resource,
        bindings,
        head,
        now,
    };
    let mut refusal = request.refusal(reason);
    refusal.retry_after = Some(RETRY_WHEN_FULL);
    request.refuse(refusal)
}

struct Request<'a> {
    config: &'a Config,
    id: ResourceId,
    resource: &'a Resource,
    bindings: &'a Bindings,
    head: &'a Head,
    now: UnixNanos,
}

/// What stops a request on its way.
enum Stop {
    Refused(Refusal),
    Waits(IssuerId),
}

impl Request<'_> {
    fn metadata(&self) -> Decision {
        match self.head.method() {
            b"GET" | b"HEAD" => Decision::Answer(reply::metadata(self.resource, self.bindings)),
            _ if self.config.mode == Mode::Observe => Decision::Pass,
            b"OPTIONS" if self.is_preflight() => Decision::Answer(reply::metadata_preflight()),
            _ => Decision::Answer(reply::method_not_allowed()),
        }
    }

    fn protected(&self, authorize: impl FnOnce(&Self) -> Result<Edits, Stop>) -> Decision {
        let origin = self.origin();
        let refused_origin = origin == Origin::NotAllowed;
        if self.resource.cors
            && self.is_preflight()
            && !refused_origin
            && self.config.mode == Mode::Enforce
        {
            return Decision::Answer(reply::resource_preflight(origin));
        }
        if refused_origin {
            return self.refuse(self.refusal(Reason::OriginNotAllowed));
        }
        match authorize(self) {
            Ok(edits) => Decision::Allow(edits),
            Err(Stop::Refused(refusal)) => self.refuse(refusal),
            // Observing never delays a request.
            Err(Stop::Waits(issuer)) if self.config.mode == Mode::Observe => {
                self.refuse(self.refusal_by(Reason::KeysUnavailable, issuer))
            }
            Err(Stop::Waits(issuer)) => Decision::Wait(issuer),
        }
    }

    /// Everything that a request must have to be allowed.
    fn authorize(&self, keys: &mut Keys) -> Result<Edits, Stop> {
        let token = self.token()?;
        let (id, issuer) = self.issuer(&token)?;
        self.check(&token, id, issuer)?;
        let token = self.verify(token, id, keys)?;
        self.grant(token.claims(), id)
    }

    /// The same but for the signature.
    #[cfg(not(target_family = "wasm"))]
    fn authorize_unverified(&self) -> Result<Edits, Stop> {
        let token = self.token()?;
        let (id, issuer) = self.issuer(&token)?;
        self.check(&token, id, issuer)?;
        self.grant(token.unverified_claims(), id)
    }

    /// What claims that are taken to be the issuer's grant.
    fn grant(&self, claims: &Claims, id: IssuerId) -> Result<Edits, Stop> {
        self.authorize_scopes(claims, id)?;
        self.authorize_claims(claims, id)?;
        Ok(self.edits(Some(claims)))
    }

    fn token(&self) -> Result<UnverifiedToken, Stop> {
        let token = match bearer::credentials(self.head.values("authorization")) {
            Credentials::Bearer(token) => token,
            Credentials::Missing => return self.stop(Reason::CredentialsMissing),
            Credentials::OtherScheme => return self.stop(Reason::SchemeNotBearer),
            Credentials::Multiple => return self.stop(Reason::MultipleCredentials),
            Credentials::MalformedBearer => return self.stop(Reason::TokenMalformed),
        };
        UnverifiedToken::parse(token, self.config.limits.token_bytes)
            .or_else(|reason| self.stop(reason))
    }

    fn issuer(&self, token: &UnverifiedToken) -> Result<(IssuerId, &Issuer), Stop> {
        self.resource
            .issuers
            .iter()
            .filter_map(|id| self.config.issuer(*id).map(|issuer| (*id, issuer)))
            .find(|(_, issuer)| issuer.policy.issuer == token.unverified_issuer())
            .ok_or_else(|| {
                let mut refusal = self.refusal(Reason::IssuerNotAllowed);
                let issuers = self.resource.issuers.iter();
                let expected: Vec<&str> = issuers
                    .filter_map(|id| self.config.issuer(*id))
                    .map(|issuer| issuer.policy.issuer.as_str())
                    .collect();
                refusal.expected = Some(expected.join(" "));
                refusal.found = Some(escaped(token.unverified_issuer()));
                Stop::Refused(refusal)
            })
    }

    /// What needs no key. A refusal needs no proof, so this comes before any fetch or signature.
    fn check(&self, token: &UnverifiedToken, id: IssuerId, issuer: &Issuer) -> Result<(), Stop> {
        let identifier = [self.resource.identifier.render(self.bindings)];
        let result = match &issuer.audiences {
            Some(audiences) => token.check(&issuer.policy, audiences, self.now),
            None => token.check(&issuer.policy, &identifier, self.now),
        };
        result.map_err(|reason| {
            let mut refusal = self.refusal_by(reason, id);
            if reason == Reason::AudienceNotAllowed {
                let [identifier] = identifier;
                let expected = issuer
                    .audiences
                    .as_ref()
                    .map(|audiences| audiences.join(" "));
                let found: Vec<String> =
                    token.unverified_audiences().take(4).map(escaped).collect();
                refusal.expected = Some(expected.unwrap_or_else(|| identifier.into_owned()));
                refusal.found = Some(found.join(" "));
            }
            if reason == Reason::TokenTypeNotAllowed {
                refusal.found = token.unverified_type().map(escaped);
            }
            if reason == Reason::AlgorithmNotAllowed {
                refusal.found = Some(token.algorithm().name().to_owned());
            }
            Stop::Refused(refusal)
        })
    }

    fn verify(
        &self,
        token: UnverifiedToken,
        id: IssuerId,
        keys: &mut Keys,
    ) -> Result<VerifiedToken, Stop> {
        let kid = token.unverified_kid().map(str::to_owned);
        let found = keys.find(self.config, id, kid.as_deref(), token.algorithm(), self.now);
        let mut refusal = match found {
            Found::Keys(candidates) => match token.verify(candidates) {
                Ok(token) => return Ok(token),
                Err(reason) => {
                    if kid.is_none() && keys.handle_unverified(id, self.now) {
                        return Err(Stop::Waits(id));
                    }
                    self.refusal_by(reason, id)
                }
            },
            Found::Wait => return Err(Stop::Waits(id)),
            Found::Refused(reason) => self.refusal_by(reason, id),
            Found::Unavailable {
                reason,
                retry_after,
            } => {
                let mut refusal = self.refusal_by(reason, id);
                refusal.retry_after = Some(retry_after);
                refusal
            }
        };
        refusal.found = kid.as_deref().map(escaped);
        Err(Stop::Refused(refusal))
    }

    fn authorize_scopes(&self, claims: &Claims, id: IssuerId) -> Result<(), Stop> {
        let granted: Vec<&str> = claims.scopes().collect();
        let lacks = |needed: &&String| !self.resource.scope_hierarchy.grants(&granted, needed);
        if self.resource.scopes.iter().any(|needed| lacks(&needed)) {
            let mut refusal = self.refusal_by(Reason::ScopeInsufficient, id);
            refusal.expected = Some(self.resource.scopes.join(" "));
            refusal.found = Some(escaped(&granted.join(" ")));
            return Err(Stop::Refused(refusal));
        }
        Ok(())
    }

    fn authorize_claims(&self, claims: &Claims, id: IssuerId) -> Result<(), Stop> {
        let admitted = self
            .resource
            .require_claims
            .iter()
            .all(|rule| rule.admits(claims, self.bindings));
        if admitted {
            Ok(())
        } else {
            Err(Stop::Refused(self.refusal_by(Reason::ClaimNotAllowed, id)))
        }
    }

    /// Fetch standard, "CORS-preflight request".
    fn is_preflight(&self) -> bool {
        self.head.method() == b"OPTIONS"
            && self.head.has("origin")
            && self.head.has("access-control-request-method")
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

    fn edits(&self, claims: Option<&Claims>) -> Edits {
        let set: Vec<(String, String)> = claims
            .into_iter()
            .flat_map(|claims| {
                self.resource.identity_headers.iter().filter_map(|header| {
                    Some((
                        header.name.clone(),
                        claim::header_value(&header.claim, claims)?,
                    ))
                })
            })
            .collect();
        let hides_token = claims.is_some() && !self.resource.forward_token;
        let remove = self
            .head
            .names()
            .filter(|name| {
                (hides_token && *name == "authorization")
                    || (self
                        .resource
                        .identity_headers
                        .iter()
                        .any(|header| folds_to(name, &header.name))
                        && !set.iter().any(|(set, _)| set == name))
            })
            .map(str::to_owned)
            .collect();
        Edits { remove, set }
    }

    fn stop<T>(&self, reason: Reason) -> Result<T, Stop> {
        Err(Stop::Refused(self.refusal(reason)))
    }

    fn refusal(&self, reason: Reason) -> Refusal {
        Refusal {
            reason,
            resource: self.id,
            issuer: None,
            expected: None,
            found: None,
            retry_after: None,
        }
    }

    fn refusal_by(&self, reason: Reason, issuer: IssuerId) -> Refusal {
        Refusal {
            issuer: Some(issuer),
            ..self.refusal(reason)
        }
    }

    fn refuse(&self, refusal: Refusal) -> Decision {
        match self.config.mode {
            Mode::Enforce => {
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

/// Whether a server that folds header names (CGI makes all but letters and digits one) could take
/// `name` for `header`.
fn folds_to(name: &str, header: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte.to_ascii_lowercase()
        } else {
            b'-'
        }
    };
    name.len() == header.len() && name.bytes().map(fold).eq(header.bytes().map(fold))
}
