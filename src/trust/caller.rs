//! The sender of a good token, and all that is made of its claims.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::claim::{self, CallerFact, ClaimRule};
use crate::escape::escaped;
use crate::ids::IssuerId;
use crate::resource::Target;
use crate::template::Bindings;
use crate::token::Claims;

/// The sender of a request, with all that is made of its claims for each request again.
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
    /// The caller that these claims of `issuer` describe. Whoever calls this vouches that they are
    /// the issuer's, and has judged them.
    pub(super) fn new(claims: &Claims, issuer: IssuerId, target: Target<'_>) -> Self {
        let (resource, bound) = (target.resource, target.bindings);
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
    pub(super) fn bytes(&self) -> usize {
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
