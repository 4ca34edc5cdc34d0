//! The refusal of a token: why, what was expected and what was found, never a secret.

use std::borrow::Cow;
use std::time::Duration;

use super::Question;
use crate::config::Issuer;
use crate::escape::escaped;
use crate::ids::IssuerId;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::{Check, Claims, TokenPolicy, TokenType, Unreadable, UnverifiedToken};

/// How many values of a list are shown.
const SHOWN: usize = 4;

/// The refusal of a token, with what an operator wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The reason: it decides the answer.
    pub(crate) reason: Reason,
    /// The issuer of the token, once it is known to be one of the resource's.
    pub(crate) issuer: Option<IssuerId>,
    /// What the configuration allows.
    pub(crate) expected: String,
    /// What was found in its place: from the token, escaped and cut.
    pub(crate) found: String,
    /// When the client may come again.
    pub(crate) retry_after: Option<Duration>,
}

impl Rejection {
    #[cold]
    pub(super) fn new(
        reason: Reason,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            reason,
            issuer: None,
            expected: expected.into(),
            found: found.into(),
            retry_after: None,
        }
    }

    pub(super) fn by(self, issuer: IssuerId) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    pub(super) fn expected(self, expected: String) -> Self {
        Self { expected, ..self }
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// A token whose key is not there.
    #[cold]
    pub(super) fn without_key(
        token: &UnverifiedToken<'_>,
        reason: Reason,
        issuer: IssuerId,
    ) -> Self {
        let rejection = Self::unsigned(reason, token.unverified_kid(), issuer);
        let algorithm = token.algorithm().name();
        Self {
            found: format!("{} for {algorithm}", rejection.found),
            ..rejection
        }
    }

    /// A token that no key of its issuer signed.
    #[cold]
    pub(super) fn unsigned(reason: Reason, kid: Option<&str>, issuer: IssuerId) -> Self {
        let found = kid.map_or("no kid".to_owned(), escaped);
        Self::new(reason, "a key of the issuer", found).by(issuer)
    }
}

impl Question<'_> {
    /// A token that cannot be read.
    #[cold]
    pub(super) fn unreadable(&self, token: &[u8], reason: Reason) -> Rejection {
        let told = Unreadable::of(token, reason, self.config.limits.token_bytes);
        let issuer = told.issuer.as_deref().and_then(|name| self.issuer(name));
        let found = match (issuer, &told.issuer) {
            (None, Some(other)) => format!("{}; iss {}", told.found, escaped(other)),
            (Some(_), _) | (None, None) => told.found,
        };
        let expected = told.expected.unwrap_or_else(|| "a signed JWT".to_owned());
        Rejection {
            issuer: issuer.map(|(id, _)| id),
            ..Rejection::new(reason, expected, found)
        }
    }

    /// A token of an issuer whose tokens the resource does not accept.
    #[cold]
    pub(super) fn issuer_not_allowed(&self, name: &str) -> Rejection {
        let issuers = self.target.resource.issuers.iter();
        let expected: Vec<&str> = issuers
            .filter_map(|id| self.config.issuer(*id))
            .map(|issuer| issuer.policy.issuer.as_str())
            .collect();
        Rejection::new(Reason::IssuerNotAllowed, expected.join(" "), escaped(name))
    }

    /// A token that a check refuses.
    #[cold]
    pub(super) fn failed(
        &self,
        check: Check,
        claims: &Claims,
        token: Option<&UnverifiedToken<'_>>,
        id: IssuerId,
        issuer: &Issuer,
        audiences: &[Cow<'_, str>],
    ) -> Rejection {
        let policy = &issuer.policy;
        let (expected, found) = match check {
            Check::Issuer => (policy.issuer.clone(), escaped(claims.issuer())),
            Check::Type => {
                let found = token.and_then(UnverifiedToken::unverified_type);
                let found = found.map_or("absent".to_owned(), escaped);
                (types(policy), found)
            }
            Check::Purpose => ("an access token".to_owned(), purpose(claims)),
            Check::Algorithm => {
                let allowed = policy.algorithms.iter().map(|alg| alg.name());
                let allowed: Vec<&str> = allowed.collect();
                let found = token.map_or("absent", |token| token.algorithm().name());
                (allowed.join(" "), found.to_owned())
            }
            Check::Audience => {
                let found = claims.audiences().take(SHOWN).map(escaped);
                let found: Vec<String> = found.collect();
                let found = if found.is_empty() {
                    "absent".to_owned()
                } else {
                    found.join(" ")
                };
                (audiences.join(" "), found)
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
        Rejection::new(check.reason(), expected, found).by(id)
    }

    /// Both times, and what the clock says, in seconds since 1970.
    fn time(&self, what: &str, bound: UnixNanos, found: Option<UnixNanos>) -> (String, String) {
        (
            format!("{what} {} (now {})", bound.as_secs(), self.now.as_secs()),
            found.map_or("absent".to_owned(), |found| found.as_secs().to_string()),
        )
    }
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
    if let (true, Some(other)) = (names.is_empty(), claims.other_token_type()) {
        format!("token_type {}", escaped(&other))
    } else if names.is_empty() {
        "an empty cnf".to_owned()
    } else {
        format!("cnf {}", names.join(" "))
    }
}
