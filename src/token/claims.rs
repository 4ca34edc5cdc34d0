//! The claims of a token (RFC 7519 §4), with those that are judged here in their types.

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

use super::TokenPolicy;
use crate::reason::Reason;
use crate::scope::is_scope_token;
use crate::time::UnixNanos;

/// 9999-12-31T23:59:59Z, the last second of RFC 3339; later NumericDates are mistakes of unit.
const LAST_SECOND: u64 = 253_402_300_799;

/// The claims of one token.
///
/// `iss`, `aud` and `exp` are there, and every registered claim has its type; what else it holds
/// is any JSON.
#[derive(Clone)]
pub struct Claims {
    members: Map<String, Value>,
    issuer: String,
    expires_at: UnixNanos,
    not_before: Option<UnixNanos>,
    issued_at: Option<UnixNanos>,
}

impl Claims {
    /// Takes them out of the JSON of a payload; [`Reason::TokenMalformed`] if it is no object,
    /// [`Reason::ClaimsMalformed`] for what is wrong inside.
    pub(super) fn from_json(payload: Value) -> Result<Self, Reason> {
        let Value::Object(members) = payload else {
            return Err(Reason::TokenMalformed);
        };
        Self::from_members(members).map_err(|_| Reason::ClaimsMalformed)
    }

    /// The first claim that makes a token [`Reason::ClaimsMalformed`], for explanations.
    pub fn malformed(members: &Map<String, Value>) -> Option<&'static str> {
        Self::from_members(members.clone()).err()
    }

    /// The error is the name of the claim at fault.
    fn from_members(members: Map<String, Value>) -> Result<Self, &'static str> {
        let issuer = members.get("iss").and_then(Value::as_str).ok_or("iss")?;
        let issuer = issuer.to_owned();
        members
            .get("aud")
            .filter(|value| is_audience(value))
            .ok_or("aud")?;
        // Rounded so that a fraction of a second never lengthens the life of a token.
        let expires_at = members
            .get("exp")
            .and_then(|value| numeric_date(value, f64::floor))
            .ok_or("exp")?;
        let not_before = optional(&members, "nbf", |value| numeric_date(value, f64::ceil))?;
        let issued_at = optional(&members, "iat", |value| numeric_date(value, f64::floor))?;
        for name in ["sub", "client_id", "jti"] {
            optional(&members, name, Value::as_str)?;
        }
        for name in ["scope", "scp"] {
            optional(&members, name, |value| is_scope(value).then_some(()))?;
        }
        Ok(Self {
            members,
            issuer,
            expires_at,
            not_before,
            issued_at,
        })
    }

    /// `iss`, byte for byte.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `aud`: one or more.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.members.get("aud").into_iter().flat_map(texts)
    }

    /// `exp`, without its fraction; dates after the year 2554 are [`UnixNanos::MAX`].
    pub fn expires_at(&self) -> UnixNanos {
        self.expires_at
    }

    /// `nbf`, rounded up to the second.
    pub fn not_before(&self) -> Option<UnixNanos> {
        self.not_before
    }

    /// `iat`, without its fraction.
    pub fn issued_at(&self) -> Option<UnixNanos> {
        self.issued_at
    }

    /// The scope tokens of `scope` and of `scp`, each a string with spaces (RFC 8693 §4.2) or a
    /// list. What is not a scope token by RFC 6749 §3.3 is left out, and so is what `scp` repeats.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let scope = || self.members.get("scope").into_iter().flat_map(scope_tokens);
        let scp = self.members.get("scp").into_iter().flat_map(scope_tokens);
        scope().chain(scp.filter(move |token| scope().all(|other| other != *token)))
    }

    /// The member at `path`, member names from the top; `None` for an empty path.
    pub fn get(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.members.get(first)?, |value, name| {
                value.as_object()?.get(name)
            })
    }

    /// A top-level claim that is a string.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// `aud` has one of these.
    pub(super) fn is_for(&self, audiences: &[impl AsRef<str>]) -> bool {
        self.audiences().any(|found| {
            audiences
                .iter()
                .any(|accepted| same_audience(found, accepted.as_ref()))
        })
    }

    /// `exp` is still to come.
    pub(super) fn is_unexpired(&self, policy: &TokenPolicy, now: UnixNanos) -> bool {
        now < self.expires_at.saturating_add(policy.clock_skew)
    }

    /// `nbf`, if there is one, has passed.
    pub(super) fn is_begun(&self, policy: &TokenPolicy, now: UnixNanos) -> bool {
        let latest = now.saturating_add(policy.clock_skew);
        self.not_before
            .is_none_or(|not_before| not_before <= latest)
    }

    /// `iat`, if there is one, has passed.
    pub(super) fn is_issued(&self, policy: &TokenPolicy, now: UnixNanos) -> bool {
        let latest = now.saturating_add(policy.clock_skew);
        self.issued_at.is_none_or(|issued_at| issued_at <= latest)
    }

    /// When the checks of `exp`, `nbf` and `iat` pass.
    pub fn validity(&self, policy: &TokenPolicy) -> Range<UnixNanos> {
        let begins = self.not_before.max(self.issued_at);
        Range {
            start: begins.map_or(UnixNanos::ZERO, |begins| {
                begins.saturating_sub(policy.clock_skew)
            }),
            end: self.expires_at.saturating_add(policy.clock_skew),
        }
    }

    /// `exp - iat` is within the policy's bound, if it has one.
    pub(super) fn is_short_lived(&self, policy: &TokenPolicy) -> bool {
        match (policy.max_token_lifetime, self.issued_at) {
            (None, _) => true,
            (Some(max), Some(issued_at)) => self.expires_at.since(issued_at) <= max,
            (Some(_), None) => false,
        }
    }

    /// Whoever sends it needs to prove no key besides, neither by DPoP nor by mutual TLS.
    pub(super) fn is_bearer(&self) -> bool {
        self.members
            .get("cnf")
            .is_none_or(|cnf| cnf.get("jkt").is_none() && cnf.get("x5t#S256").is_none())
    }
}

/// Without any value: they are personal data as often as not.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

/// The name if the claim is there but `read` refuses it.
fn optional<'m, T>(
    members: &'m Map<String, Value>,
    name: &'static str,
    read: impl FnOnce(&'m Value) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(name),
    }
}

/// RFC 7519 §2: a number, which may have a fraction.
fn numeric_date(value: &Value, round: fn(f64) -> f64) -> Option<UnixNanos> {
    let number = value.as_number()?;
    let seconds = match number.as_u64() {
        Some(seconds) => seconds,
        None => {
            let seconds = number.as_f64()?;
            // The cast is exact in this range.
            (0.0..=LAST_SECOND as f64)
                .contains(&seconds)
                .then_some(round(seconds) as u64)?
        }
    };
    (seconds <= LAST_SECOND).then_some(UnixNanos::from_secs(seconds))
}

fn is_audience(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(list) => !list.is_empty() && list.iter().all(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn is_scope(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(list) => list.iter().all(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// A string, or the strings of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str();
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    one.into_iter().chain(list.iter().filter_map(Value::as_str))
}

fn scope_tokens(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str().unwrap_or_default();
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    one.split(' ')
        .chain(list.iter().filter_map(Value::as_str))
        .filter(|token| is_scope_token(token))
}

/// Byte for byte, except that a bare origin is the same with and without its trailing slash: URL
/// libraries of clients add it to what they ask a token for, and both name the same resource
/// (RFC 3986 §6.2.3).
fn same_audience(found: &str, accepted: &str) -> bool {
    found == accepted
        || bare_origin(found).is_some_and(|origin| Some(origin) == bare_origin(accepted))
}

/// `scheme://authority`, if nothing but a slash comes after.
fn bare_origin(url: &str) -> Option<&str> {
    let origin = url.strip_suffix('/').unwrap_or(url);
    let (scheme, authority) = origin.split_once("://")?;
    let scheme_is_sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_bare = !authority.is_empty() && !authority.contains(['/', '?', '#', '\\']);
    (scheme_is_sound && is_bare).then_some(origin)
}
