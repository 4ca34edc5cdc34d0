//! The claims of a token (RFC 7519 §4), with those that are judged here in their types.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use serde_json::Value;

use super::TokenPolicy;
use crate::json::{Json, JsonString, Object};
use crate::reason::Reason;
use crate::scope::is_scope_token;
use crate::time::UnixNanos;

/// 9999-12-31T23:59:59Z, the last second of RFC 3339; later NumericDates are mistakes of unit.
const LAST_SECOND: u64 = 253_402_300_799;

/// The claims of one token.
///
/// `iss`, `aud` and `exp` are there, and every registered claim has its type; what else it holds
/// is any JSON.
pub struct Claims {
    members: Object,
    issuer: JsonString,
    audiences: Vec<JsonString>,
    scopes: Rc<Vec<String>>,
    expires_at: UnixNanos,
    not_before: Option<UnixNanos>,
    issued_at: Option<UnixNanos>,
    /// Where they are an answer of introspection.
    answer: Option<AnswerTerms>,
}

/// What an answer of introspection (RFC 7662 §2.2) may leave out.
#[derive(Clone, Copy, Debug)]
pub struct AnswerTerms {
    /// When a token ends whose `exp` it does not name.
    pub ends: UnixNanos,
    /// Whether it must have an `aud`. Without one it is for nobody otherwise.
    pub require_audience: bool,
}

impl Claims {
    /// From the members of a payload; [`Reason::ClaimsMalformed`] for what is wrong with one.
    pub(super) fn from_object(members: Object) -> Result<Self, Reason> {
        Self::from_members(members, None).map_err(|_| Reason::ClaimsMalformed)
    }

    /// From the members of an answer of introspection, of which `iss` must be one; the name of the
    /// claim at fault otherwise.
    pub(crate) fn from_answer(members: Object, terms: AnswerTerms) -> Result<Self, &'static str> {
        Self::from_members(members, Some(terms))
    }

    /// The first claim that makes a token [`Reason::ClaimsMalformed`].
    pub(super) fn malformed(members: Object) -> Option<&'static str> {
        Self::from_members(members, None).err()
    }

    /// The error is the name of the claim at fault.
    fn from_members(members: Object, answer: Option<AnswerTerms>) -> Result<Self, &'static str> {
        let issuer = members.get("iss").and_then(Json::place).ok_or("iss")?;
        let audiences = match answer {
            None => members.get("aud").and_then(places).ok_or("aud")?,
            Some(_) => optional(&members, "aud", places)?.unwrap_or_default(),
        };
        if audiences.is_empty() && answer.is_none() {
            return Err("aud");
        }
        // Rounded so that a fraction of a second never lengthens the life of a token.
        let expires_at = optional(&members, "exp", |value| numeric_date(value, f64::floor))?
            .or(answer.map(|terms| terms.ends))
            .ok_or("exp")?;
        let not_before = optional(&members, "nbf", |value| numeric_date(value, f64::ceil))?;
        let issued_at = optional(&members, "iat", |value| numeric_date(value, f64::floor))?;
        for name in ["sub", "client_id", "jti"] {
            optional(&members, name, |value| value.is_string().then_some(()))?;
        }
        optional(&members, "cnf", |value| value.is_object().then_some(()))?;
        let mut scopes = optional(&members, "scope", scope_tokens)?.unwrap_or_default();
        if let Some(more) = optional(&members, "scp", scope_tokens)? {
            // Anybody can send thousands of both, so they are not compared each with each.
            let own: BTreeSet<String> = scopes.iter().cloned().collect();
            scopes.extend(more.into_iter().filter(|token| !own.contains(token)));
        }
        Ok(Self {
            members,
            issuer,
            audiences,
            scopes: Rc::new(scopes),
            expires_at,
            not_before,
            issued_at,
            answer,
        })
    }

    /// All members.
    pub(crate) fn members(&self) -> &Object {
        &self.members
    }

    /// `iss`, byte for byte.
    pub fn issuer(&self) -> &str {
        self.members.read(&self.issuer)
    }

    /// `aud`: one or more, but for answers.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().map(|text| self.members.read(text))
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
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The same, to be kept.
    pub(crate) fn shared_scopes(&self) -> Rc<Vec<String>> {
        Rc::clone(&self.scopes)
    }

    /// The member at `path`, member names from the top; `None` for an empty path.
    pub fn get(&self, path: &[String]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.members.get(first)?.value()?;
        for name in rest {
            value = value.as_object_mut()?.remove(name)?;
        }
        Some(value)
    }

    /// A top-level claim that is a string.
    pub fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        self.members.get(name)?.string()
    }

    /// A top-level claim that is a string, or the strings of one that is a list.
    pub(super) fn texts(&self, name: &str) -> Vec<Cow<'_, str>> {
        let Some(value) = self.members.get(name) else {
            return Vec::new();
        };
        match value.string() {
            Some(text) => vec![text],
            None => {
                let elements = value.list().unwrap_or_default().into_iter();
                elements.filter_map(Json::string).collect()
            }
        }
    }

    /// `aud` has one of these, or need not be there and is not.
    pub(super) fn is_for(&self, audiences: &[impl AsRef<str>]) -> bool {
        let is_waived = self.answer.is_some_and(|terms| !terms.require_audience);
        if is_waived && self.audiences.is_empty() {
            return true;
        }
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

    /// The members of `cnf`, of which each may bind it: for logs.
    pub fn confirmations(&self) -> Vec<String> {
        let cnf = self.members.get("cnf").and_then(Json::value);
        let members = cnf.as_ref().and_then(Value::as_object);
        members.map_or_else(Vec::new, |members| members.keys().cloned().collect())
    }

    /// Whoever sends it needs to prove no key besides. Any `cnf` binds (RFC 7800 §3.1): members that
    /// are not known here bind to what cannot be proved here, and none at all to nobody knows what.
    ///
    /// An answer may say so by its `token_type` alone: who knows no such type must not use the token
    /// (RFC 6749 §7.1).
    pub(super) fn is_bearer(&self) -> bool {
        let is_bound = self.answer.is_some() && self.other_token_type().is_some();
        !is_bound && self.members.get("cnf").is_none_or(Json::is_null)
    }

    /// A `token_type` that is neither Bearer nor a name of access tokens.
    pub(crate) fn other_token_type(&self) -> Option<Cow<'_, str>> {
        let name = self.string("token_type")?;
        let known = ["bearer", "access", "jwt"];
        let lower = name.to_ascii_lowercase();
        (!name.is_empty() && !known.iter().any(|known| lower.contains(known))).then_some(name)
    }

    /// Whether they are an answer of introspection.
    pub(super) fn is_answer(&self) -> bool {
        self.answer.is_some()
    }
}

/// Without any value: they are personal data as often as not.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

/// The name if the claim is there but `read` refuses it. One that is `null` is not there: so do
/// issuers write what they have no value for, and the claim that is missing can grant nothing.
fn optional<'m, T>(
    members: &'m Object,
    name: &'static str,
    read: impl FnOnce(Json<'m>) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    match members.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(name),
    }
}

/// RFC 7519 §2: a number, which may have a fraction.
fn numeric_date(value: Json<'_>, round: fn(f64) -> f64) -> Option<UnixNanos> {
    let seconds = match value.whole_number() {
        Some(seconds) => seconds,
        None => {
            let seconds = value.number()?;
            // The cast is exact in this range.
            (0.0..=LAST_SECOND as f64)
                .contains(&seconds)
                .then_some(round(seconds) as u64)?
        }
    };
    (seconds <= LAST_SECOND).then_some(UnixNanos::from_secs(seconds))
}

/// A string, or the strings of a list of nothing else.
fn places(value: Json<'_>) -> Option<Vec<JsonString>> {
    match value.place() {
        Some(text) => Some(vec![text]),
        None => value.list()?.into_iter().map(Json::place).collect(),
    }
}

fn scope_tokens(value: Json<'_>) -> Option<Vec<String>> {
    let sound = |text: &str| is_scope_token(text).then(|| text.to_owned());
    if let Some(text) = value.string() {
        // A set of one: the search for a single character is more code.
        return Some(text.split([' ']).filter_map(sound).collect());
    }
    let texts = value.list()?.into_iter().map(Json::string);
    let texts: Vec<Cow<'_, str>> = texts.collect::<Option<_>>()?;
    Some(texts.iter().filter_map(|text| sound(text)).collect())
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
