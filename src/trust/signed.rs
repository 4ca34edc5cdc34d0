//! Signed tokens (JWTs): read, judged by what they say of themselves, then by their issuer's keys.

use std::rc::Rc;
use std::time::Duration;

use super::memory::{Forged, Grounds};
use super::{Awaited, Caller, NoCaller, Question, Rejection, Trust};
use crate::config::Issuer;
use crate::ids::IssuerId;
use crate::keys::{Doubt, Found};
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::{MAX_KEYS_TRIED, UnverifiedToken, VerifiedToken};

/// When a client may come again whose token may be by a key that is not tried: when the set changes.
const RETRY_WITH_FEWER_KEYS: Duration = Duration::from_secs(60);

impl Trust {
    /// The caller of a token that its issuer must have signed.
    pub(super) fn judge_signed(
        &mut self,
        question: &Question<'_>,
        token: &[u8],
    ) -> Result<Rc<Caller>, NoCaller> {
        if let Some(forged) = self.recall_forged(question) {
            return Err(self.unverified(&forged, question.now));
        }
        let (read, id, issuer) = question.read(token)?;
        let mut validity = read.unverified_claims().validity(&issuer.policy);
        let verified = self.verify(question, read, id, validity.end)?;
        let mut claims = verified.claims();
        // Nobody is asked about a token that the issuer did not sign.
        let answered;
        if let Some(asked) = question.asked_as_well(id) {
            let answer = self.ask(question, token, id)?;
            answered = question.answered(&answer, Some(claims), &asked)?;
            claims = &answered;
            validity = answer.bound(validity);
        }
        let caller = question.caller(claims, id);
        if let Some(key) = question.key {
            let grounds = Grounds::Key(verified.key());
            self.memory.remember(key, grounds, validity, &caller);
        }
        Ok(caller)
    }

    fn recall_forged(&mut self, question: &Question<'_>) -> Option<Forged> {
        let key = question.key?;
        self.memory.recall_forged(key, &mut self.keys, question.now)
    }

    fn verify(
        &mut self,
        question: &Question<'_>,
        token: UnverifiedToken<'_>,
        id: IssuerId,
        expires_at: UnixNanos,
    ) -> Result<VerifiedToken, NoCaller> {
        let (kid, alg) = (token.unverified_kid(), token.algorithm());
        let found = self.keys.find(id, kid, alg, question.arrived, question.now);
        let (token, reason) = match found {
            Found::Keys(candidates) => {
                let reason = if candidates.len() > MAX_KEYS_TRIED {
                    Reason::TooManyKeys
                } else {
                    Reason::SignatureInvalid
                };
                match token.verify(candidates, self.verifier.as_ref()) {
                    Ok(token) => return Ok(token),
                    Err(token) => (*token, reason),
                }
            }
            // A key may be replaced by one for another algorithm, too.
            Found::Refused(reason @ Reason::KeyMismatch) => (token, reason),
            Found::Refused(reason) => {
                return Err(Rejection::without_key(&token, reason, id).into());
            }
            Found::Wait => return Err(NoCaller::Waits(Awaited::Keys(id))),
            Found::Unavailable {
                reason,
                retry_after,
            } => {
                let rejection = Rejection::without_key(&token, reason, id);
                return Err(rejection.retry_after(retry_after).into());
            }
        };
        let mut forged = Forged {
            issuer: id,
            reason,
            kid: token.unverified_kid().map(str::to_owned),
            since: question.arrived,
        };
        if let Some(key) = question.key {
            let generation = self.keys.generation(id);
            let (until, now) = (expires_at, question.now);
            self.memory
                .remember_forged(key, &mut forged, generation, until, now);
        }
        Err(self.unverified(&forged, question.now))
    }

    /// A token that no key verified is refused for it once its issuer was asked since it was seen.
    fn unverified(&mut self, token: &Forged, now: UnixNanos) -> NoCaller {
        let rejection = Rejection::unsigned(token.reason, token.kid.as_deref(), token.issuer);
        if token.reason == Reason::TooManyKeys {
            let rejection = rejection.expected(format!("at most {MAX_KEYS_TRIED} keys to try"));
            return rejection.retry_after(RETRY_WITH_FEWER_KEYS).into();
        }
        match self.keys.doubt(token.issuer, token.since, now) {
            Doubt::Settled => rejection.into(),
            Doubt::Wait => NoCaller::Waits(Awaited::Keys(token.issuer)),
            Doubt::Unavailable {
                reason,
                retry_after,
            } => Rejection {
                reason,
                ..rejection.retry_after(retry_after)
            }
            .into(),
        }
    }
}

impl<'a> Question<'a> {
    /// A token that passes all that can be asked without a key, and whose it says it is.
    pub(super) fn read<'t>(
        &self,
        token: &'t [u8],
    ) -> Result<(UnverifiedToken<'t>, IssuerId, &'a Issuer), Rejection> {
        let most = self.config.limits.token_bytes;
        let token =
            UnverifiedToken::parse(token, most).map_err(|reason| self.unreadable(token, reason))?;
        let name = token.unverified_issuer();
        let (id, issuer) = self
            .issuer(name)
            .ok_or_else(|| self.issuer_not_allowed(name))?;
        self.check(&token, id, issuer)?;
        Ok((token, id, issuer))
    }
}
