//! The checks of a token, one row each: what the filter expects, what it found.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth_filter::bearer::Credentials;
use mcp_auth_filter::config::Issuer;
use mcp_auth_filter::escape::escaped;
use mcp_auth_filter::ids::IssuerId;
use mcp_auth_filter::jose::signature::Portable;
use mcp_auth_filter::json::{Json, Object};
use mcp_auth_filter::keys::KeySource;
use mcp_auth_filter::keys::{Found, Keys};
use mcp_auth_filter::reason::Reason;
use mcp_auth_filter::resource::{Resource, Route};
use mcp_auth_filter::template::Bindings;
use mcp_auth_filter::time::UnixNanos;
use mcp_auth_filter::token::{Check, Claims, TokenPolicy, Unreadable, UnverifiedToken, right_form};
use serde_json::Value;

use super::Explanation;
use crate::show;

/// The outcome of one check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    /// It could not be judged, or there was no need.
    Open,
}

impl Verdict {
    fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

struct Row {
    verdict: Verdict,
    name: String,
    expected: String,
    found: String,
}

/// The table of one request.
pub(crate) struct Rows(Vec<Row>);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.0 {
            let mark = match row.verdict {
                Verdict::Good => "ok",
                Verdict::Bad => "NO",
                Verdict::Open => "-",
            };
            writeln!(
                f,
                "  {mark:<4}{:<12} expected  {}",
                show::line(&row.name),
                show::line(&row.expected)
            )?;
            writeln!(f, "  {:<16} found     {}", "", show::line(&row.found))?;
        }
        Ok(())
    }
}

/// The issuer that is asked about the resource's tokens.
fn asked<'a>(explanation: &Explanation<'a>, resource: &Resource) -> Option<&'a str> {
    let mut issuers = resource.issuers.iter();
    let issuer = issuers.find_map(|id| {
        let issuer = explanation.config.issuer(*id)?;
        issuer.introspection.is_some().then_some(issuer)
    });
    Some(issuer?.policy.issuer.as_str())
}

impl Rows {
    /// For a request of a protected resource.
    pub(crate) fn of(explanation: &Explanation<'_>, keys: &mut Keys) -> Self {
        let mut rows = Self(Vec::new());
        let Route::Protected(id, bindings) = &explanation.route else {
            return rows;
        };
        let Some(resource) = explanation.config.resource(*id) else {
            return rows;
        };
        rows.origin(explanation, resource);
        let Some(token) = rows.credentials(explanation) else {
            return rows;
        };
        match UnverifiedToken::parse(token, explanation.config.limits.token_bytes) {
            Err(reason) => {
                let most = explanation.config.limits.token_bytes;
                match asked(explanation, resource) {
                    Some(asked) if reason == Reason::TokenMalformed => {
                        let found = Unreadable::of(token, reason, most).found;
                        let expected = format!("a JWT, or a token that {asked} is asked about");
                        rows.push(Verdict::Open, "form", expected, found);
                    }
                    Some(_) | None => rows.unreadable(token, reason, most),
                }
            }
            Ok(parsed) => {
                rows.push(
                    Verdict::Good,
                    "form",
                    "a compact JWS of JSON (RFC 7515, RFC 7519)",
                    "one",
                );
                rows.token(explanation, resource, bindings, token, parsed, keys);
            }
        }
        rows
    }

    fn push(
        &mut self,
        verdict: Verdict,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.0.push(Row {
            verdict,
            name: name.to_owned(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    fn origin(&mut self, explanation: &Explanation<'_>, resource: &Resource) {
        let Some(allowed) = &resource.allowed_origins else {
            return;
        };
        let origins: Vec<&[u8]> = explanation.request.head().values("origin").collect();
        let found: Vec<String> = origins
            .iter()
            .map(|origin| std::str::from_utf8(origin).map_or("not UTF-8".to_owned(), escaped))
            .collect();
        let good = match origins.as_slice() {
            [] => true,
            [origin] => allowed.iter().any(|allowed| allowed.as_bytes() == *origin),
            _ => false,
        };
        let found = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(" ")
        };
        let expected = format!("none (no browser), or {}", show::list(allowed, "or"));
        self.push(Verdict::of(good), "Origin", expected, found);
    }

    fn credentials<'a>(&mut self, explanation: &Explanation<'a>) -> Option<&'a [u8]> {
        let (token, found) = match explanation.request.credentials() {
            Credentials::Bearer(token) => (Some(token), format!("one of {} bytes", token.len())),
            Credentials::Missing => (None, "none".to_owned()),
            Credentials::OtherScheme => (None, "another scheme".to_owned()),
            Credentials::Multiple => (None, "more than one".to_owned()),
            Credentials::MalformedBearer => (
                None,
                "characters that no token has (RFC 6750 §2.1)".to_owned(),
            ),
        };
        let max = explanation.config.limits.token_bytes;
        let good = token.is_some_and(|token| token.len() <= max);
        let expected = format!("one Bearer token of at most {max} bytes");
        self.push(Verdict::of(good), "credentials", expected, found);
        token.filter(|_| good)
    }

    /// A token that the filter refuses as it reads it: what of it can be named.
    fn unreadable(&mut self, token: &[u8], reason: Reason, max_bytes: usize) {
        let told = Unreadable::of(token, reason, max_bytes);
        let well_formed = reason != Reason::TokenMalformed;
        let form = if well_formed { "one" } else { &told.found };
        let expected = "a compact JWS of JSON (RFC 7515, RFC 7519)";
        self.push(Verdict::of(well_formed), "form", expected, form);
        let name = if reason == Reason::CriticalHeader {
            "crit"
        } else if reason == Reason::AlgorithmNotAllowed {
            "alg"
        } else if let (Reason::ClaimsMalformed, Some(name)) = (reason, told.claim) {
            let claims = token.split(|byte| *byte == b'.').nth(1).and_then(object);
            let found = claims.as_ref().and_then(|claims| claims.get(name));
            let found = value(found.and_then(Json::value).as_ref());
            return self.push(Verdict::Bad, name, right_form(name), found);
        } else {
            return;
        };
        let expected = told.expected.unwrap_or_default();
        self.push(Verdict::Bad, name, expected, told.found);
    }

    fn token(
        &mut self,
        explanation: &Explanation<'_>,
        resource: &Resource,
        bindings: &Bindings,
        text: &[u8],
        token: UnverifiedToken<'_>,
        keys: &mut Keys,
    ) {
        let accepted = || {
            let issuer = |id: &IssuerId| explanation.config.issuer(*id).map(|issuer| (*id, issuer));
            resource.issuers.iter().filter_map(issuer)
        };
        let own = accepted().find(|(_, issuer)| issuer.policy.issuer == token.unverified_issuer());
        let names = accepted().map(|(_, issuer)| &issuer.policy.issuer);
        self.push(
            Verdict::of(own.is_some()),
            "iss",
            show::list(names, "or"),
            escaped(token.unverified_issuer()),
        );
        // By whose rules to show the rest, if it is by none's.
        let only = match resource.issuers.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let shown_by = own.or_else(|| {
            let id = explanation.issuer.or(only)?;
            explanation.config.issuer(id).map(|issuer| (id, issuer))
        });
        let Some((id, issuer)) = shown_by else {
            self.push(
                Verdict::Open,
                "the rest",
                "what the rules of its issuer say: choose one with --issuer",
                "not judged",
            );
            return;
        };
        let audiences = match &issuer.audiences {
            Some(audiences) => audiences.clone(),
            None => vec![resource.identifier.render(bindings).into_owned()],
        };
        for check in Check::ALL {
            self.check(check, &token, &issuer.policy, &audiences, explanation.now);
        }
        let again = UnverifiedToken::parse(text, explanation.config.limits.token_bytes);
        if own.is_none() {
            self.push(
                Verdict::Open,
                "signature",
                "one by a key of its issuer",
                "not checked: its issuer is not accepted",
            );
        } else if let Ok(again) = again {
            self.signature(explanation, id, issuer, again, keys);
        }
        self.grants(resource, bindings, token.unverified_claims());
    }

    fn check(
        &mut self,
        check: Check,
        token: &UnverifiedToken<'_>,
        policy: &TokenPolicy,
        audiences: &[String],
        now: UnixNanos,
    ) {
        let verdict = Verdict::of(token.passes(check, policy, audiences, now));
        let claims = token.unverified_claims();
        match check {
            // It has a row already, for all issuers together.
            Check::Issuer => {}
            Check::Type => self.push(
                verdict,
                "typ",
                show::token_types(&policy.token_types),
                token.unverified_type().map_or("absent".to_owned(), escaped),
            ),
            // Most tokens say nothing else, and nothing is to be said of that.
            Check::Purpose => {
                if let Some(name) = claims.other_purpose() {
                    let found = value(claims.get(&[name.to_owned()]).as_ref());
                    self.push(
                        verdict,
                        name,
                        "absent, or what is no ID, refresh or logout token",
                        found,
                    );
                }
            }
            Check::Algorithm => {
                let expected = show::algorithms(&policy.algorithms);
                self.push(verdict, "alg", expected, token.algorithm().name());
            }
            Check::Audience => {
                let found = token.unverified_audiences().map(escaped);
                self.push(
                    verdict,
                    "aud",
                    show::list(audiences, "or"),
                    show::joined(found, "and"),
                );
            }
            Check::Expiry | Check::NotBefore | Check::IssuedAt | Check::Lifetime => {
                if let Some((name, expected, found)) = of_time(check, claims, policy, now) {
                    self.push(verdict, name, expected, found);
                }
            }
            // Most tokens have none, and nothing is to be said of that.
            Check::Possession if verdict == Verdict::Good => {}
            Check::Possession => self.push(
                verdict,
                "cnf",
                "absent: no key can be proved here",
                value(claims.get(&["cnf".to_owned()]).as_ref()),
            ),
        }
    }

    fn signature(
        &mut self,
        explanation: &Explanation<'_>,
        id: IssuerId,
        issuer: &Issuer,
        token: UnverifiedToken<'_>,
        keys: &mut Keys,
    ) {
        let alg = token.algorithm();
        let kid = token.unverified_kid().map(str::to_owned);
        let named = kid
            .as_deref()
            .map_or("no kid".to_owned(), |kid| format!("kid {}", escaped(kid)));
        let mut expected = match explanation.keys_from {
            Some(path) => format!("one by a key of {}", path.display()),
            None => "one by a key of its issuer".to_owned(),
        };
        let found = keys.find(id, kid.as_deref(), alg, explanation.now, explanation.now);
        let (verdict, found) = match found {
            Found::Keys(candidates) => match token.verify(candidates, &Portable) {
                Ok(_) => (Verdict::Good, format!("by the key that {named} names")),
                Err(_) => (Verdict::Bad, format!("{named}: the signature is not by it")),
            },
            Found::Wait | Found::Unavailable { .. } => (
                Verdict::Open,
                format!("{named}; not checked: give the key set with --jwks"),
            ),
            Found::Refused(reason) => {
                if let KeySource::Inline(set) = &issuer.keys {
                    let of_set = set.keys().iter().map(|key| {
                        let kid = key.kid().map_or("no kid".to_owned(), escaped);
                        let algorithms = key.algorithms().map(|alg| alg.name().to_owned());
                        format!("{kid} for {}", show::joined(algorithms, "and"))
                    });
                    expected = format!("{expected}: {}", show::joined(of_set, "or"));
                }
                let why = if reason == Reason::KeyMismatch {
                    "that key is for another algorithm"
                } else {
                    "there is no such key"
                };
                (Verdict::Bad, format!("{named}, {}: {why}", alg.name()))
            }
        };
        let found = if kid.is_none() && verdict == Verdict::Good {
            "by one of the keys that fit; it has no kid".to_owned()
        } else {
            found
        };
        self.push(verdict, "signature", expected, found);
    }

    /// The scopes and claims that the token must grant.
    fn grants(&mut self, resource: &Resource, bindings: &Bindings, claims: &Claims) {
        let granted = claims.scopes();
        if !resource.scopes.is_empty() {
            let good = resource
                .scopes
                .iter()
                .all(|needed| resource.scope_hierarchy.grants(granted, needed));
            let found = granted.iter().map(|scope| escaped(scope));
            self.push(
                Verdict::of(good),
                "scope",
                show::list(&resource.scopes, "and"),
                show::joined(found, "and"),
            );
        }
        for rule in &resource.require_claims {
            let values = rule.values.iter().map(|value| value.render(bindings));
            self.push(
                Verdict::of(rule.admits(claims, bindings)),
                &rule.claim.to_string(),
                show::list(values, "or"),
                value(rule.claim.of(claims).as_ref()),
            );
        }
    }
}

/// Name, what is expected and what is found, for a check against the clock.
fn of_time(
    check: Check,
    claims: &Claims,
    policy: &TokenPolicy,
    now: UnixNanos,
) -> Option<(&'static str, String, String)> {
    let skew = show::duration(policy.clock_skew);
    let earliest = show::time(now.saturating_sub(policy.clock_skew));
    let latest = show::time(now.saturating_add(policy.clock_skew));
    let by_latest = format!("by {latest} (now, and {skew} of clock skew)");
    let date = |time: Option<UnixNanos>| match time {
        Some(time) => format!("{}, {}", show::time(time), show::distance(time, now)),
        None => "absent".to_owned(),
    };
    match check {
        Check::Expiry => {
            let expected = format!("after {earliest} (now, less {skew} of clock skew)");
            Some(("exp", expected, date(Some(claims.expires_at()))))
        }
        Check::NotBefore => {
            let expected = format!("absent, or {by_latest}");
            Some(("nbf", expected, date(claims.not_before())))
        }
        Check::IssuedAt => {
            let expected = match policy.max_token_lifetime {
                Some(_) => by_latest,
                None => format!("absent, or {by_latest}"),
            };
            Some(("iat", expected, date(claims.issued_at())))
        }
        Check::Lifetime => {
            let expected = format!("at most {}", show::duration(policy.max_token_lifetime?));
            let found = match claims.issued_at() {
                Some(issued_at) => show::duration(claims.expires_at().since(issued_at)),
                None => "no iat to count from".to_owned(),
            };
            Some(("exp - iat", expected, found))
        }
        Check::Issuer
        | Check::Type
        | Check::Purpose
        | Check::Algorithm
        | Check::Audience
        | Check::Possession => None,
    }
}

/// One part of a token, if it is the base64url of a JSON object.
fn object(part: &[u8]) -> Option<Object> {
    Object::parse(URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// A claim as it is found, escaped and cut.
fn value(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => escaped(text),
        Some(Value::Array(members)) if members.iter().all(Value::is_string) => {
            let texts = members.iter().filter_map(Value::as_str).take(8);
            format!("a list of {}", show::joined(texts.map(escaped), "and"))
        }
        Some(other) => format!("the JSON {}", escaped(&other.to_string())),
    }
}
