//! What tokens are judged by: the issuers' keys, the check of signatures, and what both have
//! already said about a token.
//!
//! What was found out is used again for the very same credentials alone, and no longer than the
//! token lives, its key is in the issuer's set, and that set is not too old. Both memories are
//! bounded, and neither can push the other out: a flood of forged tokens costs good ones nothing.

pub mod cache;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::claim::{self, CallerFact, ClaimRule};
use crate::config::Config;
use crate::evidence::escaped;
use crate::ids::IssuerId;
use crate::jose::jwk::KeyId;
use crate::jose::signature::SignatureVerifier;
use crate::keys::Keys;
use crate::reason::Reason;
use crate::resource::Resource;
use crate::template::Bindings;
use crate::time::UnixNanos;
use crate::token::Claims;
use crate::trust::cache::{Bounds, Cache, Key, Keyed};

/// How many tokens with a wrong signature are remembered, and for how long.
const FORGED: Bounds = Bounds {
    entries: 1024,
    bytes: 1024 * 1024,
};
const FORGED_FOR: Duration = Duration::from_secs(60);

/// What the tokens of one worker are judged by.
pub struct Trust {
    /// The issuers' keys.
    pub keys: Keys,
    pub(crate) verifier: Box<dyn SignatureVerifier>,
    /// Makes the keys under which tokens are remembered.
    pub(crate) keyed: Keyed,
    verified: Cache<Verified>,
    forged: Cache<Forged>,
}

/// A token that was verified, and is right for its resource but for its scopes.
struct Verified {
    key: KeyId,
    validity: Range<UnixNanos>,
    caller: Rc<Caller>,
}

/// A token that no key of its issuer has signed, and the keys of which that is known.
struct Forged {
    token: Unverified,
    /// Of the issuer's keys.
    generation: u64,
    known: Range<UnixNanos>,
}

/// A token that none of the keys verified that it was tried with.
#[derive(Clone)]
pub(crate) struct Unverified {
    /// Whose token it pretends to be.
    pub(crate) issuer: IssuerId,
    /// What it is refused for if its key is not a new one.
    pub(crate) reason: Reason,
    pub(crate) kid: Option<String>,
    /// When it was first seen: its key was published by then.
    pub(crate) since: UnixNanos,
}

/// Who sent a request, and all that is made of it again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose token it is.
    pub issuer: IssuerId,
    /// Its scopes.
    pub granted: Rc<Vec<String>>,
    /// The first of `require_claims` that is not met.
    pub refused_claim: Option<Box<RefusedClaim>>,
    /// Identity headers that are set: names and values.
    pub headers: Vec<(Arc<str>, String)>,
    /// What filter state says.
    pub facts: Vec<(CallerFact, String)>,
}

/// A claim that is not what the resource asks for: for logs, escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedClaim {
    /// Its name, and what it may be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl RefusedClaim {
    #[cold]
    fn new(rule: &ClaimRule, claims: &Claims, bound: &Bindings) -> Self {
        let values = rule.values.iter().map(|value| value.render(bound));
        let values: Vec<String> = values.take(8).map(|value| escaped(&value)).collect();
        let found = match rule.claim.of(claims) {
            None => "absent".to_owned(),
            Some(Value::String(text)) => escaped(&text),
            Some(other) => escaped(&other.to_string()),
        };
        Self {
            expected: format!("{}: {}", rule.claim, values.join(" ")),
            found,
        }
    }
}

impl Caller {
    /// Who the claims of `issuer` say it is, for a resource.
    pub fn new(claims: &Claims, issuer: IssuerId, resource: &Resource, bound: &Bindings) -> Self {
        let headers = resource.identity_headers.iter().filter_map(|header| {
            let value = claim::header_value(&header.claim, claims)?;
            Some((Arc::clone(&header.name), value))
        });
        let facts = resource
            .filter_state
            .iter()
            .filter_map(|fact| Some((*fact, fact.of(claims)?)));
        Self {
            issuer,
            granted: claims.shared_scopes(),
            refused_claim: resource
                .require_claims
                .iter()
                .find(|rule| !rule.admits(claims, bound))
                .map(|rule| Box::new(RefusedClaim::new(rule, claims, bound))),
            headers: headers.collect(),
            facts: facts.collect(),
        }
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        const EACH: usize = 40;
        let texts = self
            .granted
            .iter()
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(self.facts.iter().map(|(_, value)| value));
        let refused = self.refused_claim.iter();
        texts
            .chain(refused.flat_map(|claim| [&claim.expected, &claim.found]))
            .map(|text| text.len().saturating_add(EACH))
            .fold(EACH, usize::saturating_add)
    }
}

impl Trust {
    /// For one worker.
    pub fn new(config: &Config, keys: Keys, verifier: Box<dyn SignatureVerifier>) -> Self {
        let verified = Bounds {
            entries: config.limits.cached_tokens,
            bytes: config.limits.cached_bytes,
        };
        let forged = Bounds {
            entries: FORGED.entries.min(verified.entries),
            ..FORGED
        };
        Self {
            keys,
            verifier,
            keyed: Keyed::default(),
            verified: Cache::new(verified),
            forged: Cache::new(forged),
        }
    }

    /// Who sent these credentials, if that was found out before and is still so.
    pub(crate) fn recall(&mut self, key: Key<'_>, now: UnixNanos) -> Option<Rc<Caller>> {
        let known = self.verified.get(key)?;
        if known.validity.contains(&now) && self.keys.vouch(known.caller.issuer, known.key, now) {
            return Some(Rc::clone(&known.caller));
        }
        self.verified.remove(key);
        None
    }

    pub(crate) fn remember(
        &mut self,
        key: Key<'_>,
        signer: KeyId,
        validity: Range<UnixNanos>,
        caller: &Rc<Caller>,
    ) {
        let known = Verified {
            key: signer,
            validity,
            caller: Rc::clone(caller),
        };
        self.verified.insert(key, known, caller.bytes());
    }

    /// What was found out about these credentials, if no key of their issuer had signed the token in
    /// them and the keys are still the same.
    pub(crate) fn recall_forged(&mut self, key: Key<'_>, now: UnixNanos) -> Option<Unverified> {
        let known = self.forged.get(key)?;
        if !known.known.contains(&now) {
            self.forged.remove(key);
            return None;
        }
        let (issuer, generation) = (known.token.issuer, known.generation);
        let token = known.token.clone();
        self.keys.disowns(issuer, generation, now).then_some(token)
    }

    /// The keys change, but not when the token was first seen.
    pub(crate) fn remember_forged(
        &mut self,
        key: Key<'_>,
        token: &mut Unverified,
        until: UnixNanos,
        now: UnixNanos,
    ) {
        if let Some(known) = self.forged.get(key)
            && known.known.contains(&now)
        {
            token.since = token.since.min(known.token.since);
        }
        let known = Forged {
            token: token.clone(),
            generation: self.keys.generation(token.issuer),
            known: now..until.min(now.saturating_add(FORGED_FOR)),
        };
        let bytes = token.kid.as_ref().map_or(0, String::len);
        self.forged.insert(key, known, bytes);
    }

    /// How many tokens are remembered as verified, and how many bytes that takes about.
    #[cfg(test)]
    fn remembered(&self) -> (usize, usize) {
        (self.verified.len(), self.verified.bytes())
    }
}
