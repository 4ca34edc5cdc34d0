//! What an operator is told of a refusal: what was expected and what was found, never a secret.

use std::borrow::Cow;
use std::time::Duration;

use super::{Refusal, Request};
use crate::bearer;
use crate::config::Issuer;
use crate::evidence::{escaped, escaped_bytes};
use crate::ids::IssuerId;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::{Check, Claims, TokenPolicy, TokenType, Unreadable, UnverifiedToken};

/// How many values of a list are shown.
const SHOWN: usize = 4;

impl Refusal {
    /// As logs have it. What is not known is `-`.
    pub fn evidence(&self) -> String {
        format!(
            "expected={} found={}",
            self.expected.as_deref().unwrap_or("-"),
            self.found.as_deref().unwrap_or("-"),
        )
    }
}

impl Request<'_> {
    #[cold]
    pub(super) fn told(
        &self,
        reason: Reason,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Refusal {
        Refusal {
            expected: Some(expected.into()),
            found: Some(found.into()),
            ..self.refusal(reason)
        }
    }

    /// A request whose path or host is not clear.
    #[cold]
    pub(super) fn unclear(&self, reason: Reason) -> Refusal {
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
        self.told(reason, expected, found)
    }

    #[cold]
    pub(super) fn refused_origin(&self) -> Refusal {
        let allowed = self.resource.allowed_origins.as_deref().unwrap_or_default();
        let found = self.head.values("origin").take(SHOWN);
        let found: Vec<String> = found.map(escaped_bytes).collect();
        self.told(Reason::OriginNotAllowed, allowed.join(" "), found.join(" "))
    }

    /// Credentials that are none of a Bearer token.
    #[cold]
    pub(super) fn unusable(&self, reason: Reason) -> Refusal {
        let mut values = self.head.values("authorization");
        let (first, more) = (values.next().unwrap_or_default(), values.count());
        if reason == Reason::SchemeNotBearer {
            let scheme = bearer::known_scheme(first).unwrap_or("another scheme");
            return self.told(reason, "Bearer", scheme);
        }
        if reason == Reason::MultipleCredentials {
            let found = match more {
                0 => "several, joined by a comma".to_owned(),
                more => format!("{} headers", more.saturating_add(1)),
            };
            return self.told(reason, "one Authorization header", found);
        }
        let found = "none, or characters that no token has (RFC 6750 §2.1)";
        self.told(reason, "one token behind Bearer", found)
    }

    /// A request that cannot wait for keys or for its body, or no longer.
    #[cold]
    pub(super) fn unjudged(&self, reason: Reason) -> Refusal {
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
        } else {
            ("keys of the issuer".to_owned(), "none yet")
        };
        self.told(reason, expected, found)
    }

    #[cold]
    pub(super) fn too_large(&self, issuer: IssuerId) -> Refusal {
        let most = self.config.limits.body_bytes;
        Refusal {
            issuer: Some(issuer),
            ..self.told(
                Reason::BodyTooLarge,
                format!("at most {most} bytes"),
                "more",
            )
        }
    }

    #[cold]
    pub(super) fn unexpected_body(&self, issuer: IssuerId) -> Refusal {
        Refusal {
            issuer: Some(issuer),
            ..self.told(Reason::BodyUnexpected, "no body", "a body")
        }
    }

    /// A token whose key is not there. `token` is one of its issuer.
    #[cold]
    pub(super) fn without_key(
        &self,
        token: &UnverifiedToken<'_>,
        reason: Reason,
        issuer: IssuerId,
    ) -> Refusal {
        let algorithm = token.algorithm().name();
        let mut refusal = self.unsigned(token.unverified_kid(), issuer);
        refusal.reason = reason;
        refusal.found = refusal.found.map(|kid| format!("{kid} for {algorithm}"));
        refusal
    }

    /// A token that no key of its issuer signed.
    #[cold]
    pub(super) fn unsigned(&self, kid: Option<&str>, issuer: IssuerId) -> Refusal {
        let found = kid.map_or("no kid".to_owned(), escaped);
        Refusal {
            issuer: Some(issuer),
            ..self.told(Reason::SignatureInvalid, "a key of the issuer", found)
        }
    }

    /// A token that cannot be read.
    #[cold]
    pub(super) fn unreadable(&self, token: &[u8], reason: Reason) -> Refusal {
        let told = Unreadable::of(token, reason, self.config.limits.token_bytes);
        let issuer = told.issuer.as_deref().and_then(|name| self.issuer_of(name));
        let found = match (issuer, &told.issuer) {
            (None, Some(other)) => format!("{}; iss {}", told.found, escaped(other)),
            (Some(_), _) | (None, None) => told.found,
        };
        Refusal {
            issuer: issuer.map(|(id, _)| id),
            expected: told.expected.or_else(|| Some("a signed JWT".to_owned())),
            found: Some(found),
            ..self.refusal(reason)
        }
    }

    /// A token that a check refuses.
    #[cold]
    pub(super) fn failed(
        &self,
        check: Check,
        token: &UnverifiedToken<'_>,
        id: IssuerId,
        issuer: &Issuer,
        audiences: &[Cow<'_, str>],
    ) -> Refusal {
        let (policy, claims) = (&issuer.policy, token.unverified_claims());
        let (expected, found) = match check {
            Check::Issuer => (policy.issuer.clone(), escaped(claims.issuer())),
            Check::Type => {
                let found = token.unverified_type().map_or("absent".to_owned(), escaped);
                (types(policy), found)
            }
            Check::Purpose => ("an access token".to_owned(), purpose(claims)),
            Check::Algorithm => {
                let allowed = policy.algorithms.iter().map(|alg| alg.name());
                let allowed: Vec<&str> = allowed.collect();
                (allowed.join(" "), token.algorithm().name().to_owned())
            }
            Check::Audience => {
                let found = token.unverified_audiences().take(SHOWN).map(escaped);
                let found: Vec<String> = found.collect();
                (audiences.join(" "), found.join(" "))
            }
            Check::Expiry => self.time(
                "exp after",
                back(self.now, policy),
                Some(claims.expires_at()),
            ),
            Check::NotBefore => self.time("nbf by", ahead(self.now, policy), claims.not_before()),
            Check::IssuedAt => self.time("iat by", ahead(self.now, policy), claims.issued_at()),
            Check::Lifetime => lifetime(claims, policy),
            Check::Possession => ("no cnf".to_owned(), binding(claims)),
        };
        Refusal {
            issuer: Some(id),
            ..self.told(check.reason(), expected, found)
        }
    }

    /// Both times, and what the clock says, in seconds since 1970.
    fn time(&self, what: &str, bound: UnixNanos, found: Option<UnixNanos>) -> (String, String) {
        (
            format!("{what} {} (now {})", bound.as_secs(), self.now.as_secs()),
            found.map_or("absent".to_owned(), |found| found.as_secs().to_string()),
        )
    }
}

/// What follows a path may be a secret, however its question mark is spelt.
fn without_query(path: &[u8]) -> &[u8] {
    const ENDS: [&[u8]; 6] = [b"?", b"#", b"%3f", b"%3F", b"%23", b"%25"];
    let ends = |at: &usize| {
        path.get(*at..)
            .is_some_and(|rest| ENDS.iter().any(|end| rest.starts_with(end)))
    };
    let end = (0..path.len()).find(ends);
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

fn back(now: UnixNanos, policy: &TokenPolicy) -> UnixNanos {
    now.saturating_sub(policy.clock_skew)
}

fn ahead(now: UnixNanos, policy: &TokenPolicy) -> UnixNanos {
    now.saturating_add(policy.clock_skew)
}

fn types(policy: &TokenPolicy) -> String {
    let types = policy.token_types.iter().map(|typ| match typ {
        TokenType::Absent => "absent",
        TokenType::Named(name) => name,
    });
    types.collect::<Vec<_>>().join(" ")
}

fn purpose(claims: &Claims) -> String {
    let name = claims.other_purpose().unwrap_or_default();
    let value = claims.string(name).map(|text| escaped(&text));
    format!("{name} {}", value.as_deref().unwrap_or("a list"))
}

fn lifetime(claims: &Claims, policy: &TokenPolicy) -> (String, String) {
    let max = policy.max_token_lifetime.unwrap_or(Duration::ZERO);
    let found = claims.issued_at().map_or("no iat".to_owned(), |iat| {
        format!("{} s", claims.expires_at().since(iat).as_secs())
    });
    (format!("exp - iat of at most {} s", max.as_secs()), found)
}

fn binding(claims: &Claims) -> String {
    let names = claims.confirmations().into_iter().take(SHOWN);
    let names: Vec<String> = names.map(|name| escaped(&name)).collect();
    if names.is_empty() {
        "an empty cnf".to_owned()
    } else {
        format!("cnf {}", names.join(" "))
    }
}
