//! Tokens about which their issuer is asked (RFC 7662): opaque ones, and JWTs besides their signature.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use serde_json::json;

use super::memory::Grounds;
use super::{Awaited, Caller, NoCaller, Question, Rejection, Trust};
use crate::config::Issuer;
use crate::ids::IssuerId;
use crate::introspection::{Answer, IntrospectionSource, Tokens, Told};
use crate::json::{Json, Object};
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::{AnswerTerms, Claims, right_form};

/// The fewest characters of an opaque token that anybody is asked about: fewer could be guessed.
const FEWEST: usize = 16;

/// The issuer that is asked about the tokens of a resource.
pub(super) struct Asked<'a> {
    id: IssuerId,
    issuer: &'a Issuer,
    source: &'a IntrospectionSource,
}

impl Trust {
    /// The caller of a token that says nothing of itself.
    pub(super) fn judge_opaque(
        &mut self,
        question: &Question<'_>,
        token: &[u8],
        asked: &Asked<'_>,
    ) -> Result<Rc<Caller>, NoCaller> {
        question.refuse_unaskable(token)?;
        let answer = self.ask(question, token, asked.id)?;
        let claims = question.answered(&answer, None, asked)?;
        let caller = question.caller(&claims, asked.id);
        if let Some(key) = question.key {
            let validity = answer.bound(claims.validity(&asked.issuer.policy));
            self.memory
                .remember(key, Grounds::Answer, validity, &caller);
        }
        Ok(caller)
    }

    /// The answer of an issuer that calls the token active.
    pub(super) fn ask(
        &mut self,
        question: &Question<'_>,
        token: &[u8],
        id: IssuerId,
    ) -> Result<Rc<Answer>, NoCaller> {
        let (arrived, now) = (question.arrived, question.now);
        match self.introspection.find(id, token, arrived, now) {
            Told::Active(answer) => Ok(answer),
            Told::Inactive => Err(Rejection::inactive().by(id).into()),
            Told::Wait(digest) => Err(NoCaller::Waits(Awaited::Answer(id, digest))),
            Told::Unavailable { retry_after } => {
                let expected = "an answer of the issuer";
                let rejection = Rejection::new(Reason::IntrospectionUnavailable, expected, "none");
                Err(rejection.by(id).retry_after(retry_after).into())
            }
        }
    }
}

impl Rejection {
    #[cold]
    fn inactive() -> Self {
        Self::new(
            Reason::TokenInactive,
            "active",
            "inactive, or a token that whoever asks may not know of",
        )
    }

    /// An answer that lacks a claim, or has one that is malformed.
    #[cold]
    fn claims_malformed(claim: &str, members: &Object) -> Self {
        let found = members.get(claim).map_or("absent", Json::kind);
        Self::new(
            Reason::ClaimsMalformed,
            format!("{claim}: {}", right_form(claim)),
            format!("{claim}: {found}"),
        )
    }
}

impl<'a> Question<'a> {
    /// The issuer that is asked about opaque tokens for the resource: the configuration has one at
    /// most.
    pub(super) fn asked(&self) -> Option<Asked<'a>> {
        let config = self.config;
        self.target.resource.issuers.iter().find_map(|id| {
            let issuer = config.issuer(*id)?;
            let source = issuer.introspection.as_ref()?;
            Some(Asked {
                id: *id,
                issuer,
                source,
            })
        })
    }

    /// The same where it is asked about its JWTs as well.
    pub(super) fn asked_as_well(&self, id: IssuerId) -> Option<Asked<'a>> {
        self.asked()
            .filter(|asked| asked.id == id && asked.source.tokens == Tokens::All)
    }

    /// Refuses what nobody needs to be asked about.
    fn refuse_unaskable(&self, token: &[u8]) -> Result<(), Rejection> {
        if token.len() > self.config.limits.token_bytes {
            return Err(self.unreadable(token, Reason::TokenTooLarge));
        }
        if token.len() < FEWEST {
            return Err(Rejection::new(
                Reason::TokenMalformed,
                format!("a signed JWT, or an opaque token of {FEWEST} characters or more"),
                format!("{} characters", token.len()),
            ));
        }
        Ok(())
    }

    /// The claims of a token that is active, judged as those of a JWT are. What the answer does not
    /// say is as the `signed` claims have it, where there are any.
    pub(super) fn answered(
        &self,
        answer: &Answer,
        signed: Option<&Claims>,
        asked: &Asked<'_>,
    ) -> Result<Claims, Rejection> {
        let Asked { id, issuer, source } = asked;
        let name = json!({ "iss": issuer.policy.issuer }).to_string();
        let members = match signed {
            Some(claims) => answer.members.over(claims.members()),
            None => Object::parse(name.into_bytes()).and_then(|name| answer.members.over(&name)),
        };
        let terms = AnswerTerms {
            // The answer's own time is up before.
            ends: UnixNanos::MAX,
            require_audience: source.require_audience,
        };
        let malformed = |claim| Rejection::claims_malformed(claim, &answer.members).by(*id);
        let members = members.ok_or_else(|| malformed("iss"))?;
        let claims = Claims::from_answer(members, terms).map_err(malformed)?;
        let audiences = self.audiences(issuer);
        match claims.fails(&issuer.policy, &audiences, self.now) {
            None => Ok(claims),
            Some(check) => Err(self.failed(check, &claims, None, *id, issuer, &audiences)),
        }
    }
}
