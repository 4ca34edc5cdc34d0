//! The judge of tokens: [`Trust`] says whose a token is, by its issuer's keys and by what was found
//! out about it before.
//!
//! Each way to a verdict is a file here, called by [`Trust::judge`]: `signed` tokens are judged by
//! what they say of themselves, then by their issuer's keys; `asked` ones by what their issuer says
//! of them. Every way keeps to the same steps:
//!
//! - claims are judged by `Question::check`; once they are proven to be the issuer's, they become a
//!   caller by `Question::caller`, and in no other way;
//! - where something must come from outside first, the answer is `NoCaller::Waits`: the request is
//!   held, and the question is put again when what is [`Awaited`] has come;
//! - a verdict is kept by `Memory::remember` with its `Grounds`, and ends with these.

mod asked;
mod cache;
mod caller;
mod memory;
mod rejection;
mod signed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::rc::Rc;

use crate::config::{Config, Issuer};
use crate::ids::IssuerId;
use crate::introspection::{Introspection, TokenDigest};
use crate::jose::jws;
use crate::jose::signature::SignatureVerifier;
use crate::keys::Keys;
use crate::resource::Target;
use crate::time::UnixNanos;
use crate::token::{Claims, UnverifiedToken};
use cache::CacheKey;
use memory::Memory;

pub use caller::{Caller, RefusedClaim};
pub(crate) use rejection::Rejection;

/// The judge of one worker's tokens.
pub struct Trust {
    /// The issuers' keys.
    pub keys: Keys,
    /// The issuers that are asked about tokens.
    pub introspection: Introspection,
    verifier: Box<dyn SignatureVerifier>,
    memory: Memory,
}

/// A question to [`Trust`]: whose token came with a request for a resource?
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    config: &'a Config,
    target: Target<'a>,
    /// Under which the answer is remembered; `None` where it is not.
    key: Option<CacheKey<'a>>,
    /// When the request came: keys that were asked for since are new enough for its token.
    arrived: UnixNanos,
    now: UnixNanos,
}

/// Something from outside that a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The keys of this issuer, or its metadata where that is mirrored.
    Keys(IssuerId),
    /// What this issuer says of this token.
    Answer(IssuerId, TokenDigest),
}

/// Why a token has no caller.
pub(crate) enum NoCaller {
    /// It cannot be told before this has come.
    Waits(Awaited),
    /// The token is refused.
    Rejected(Box<Rejection>),
}

impl From<Rejection> for NoCaller {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(Box::new(rejection))
    }
}

impl Trust {
    /// For one worker. The `random` numbers must be unknown to clients: they spread what is
    /// remembered.
    pub fn new(
        config: &Config,
        keys: Keys,
        verifier: Box<dyn SignatureVerifier>,
        random: [u64; 2],
    ) -> Self {
        Self {
            keys,
            introspection: Introspection::new(config.introspection_sources()),
            verifier,
            memory: Memory::new(&config.limits, random),
        }
    }

    /// The question for a request with these `credentials`, the whole value of its only
    /// `authorization`. What is answered is remembered under them.
    pub(crate) fn question<'a>(
        &self,
        config: &'a Config,
        target: Target<'a>,
        credentials: Option<&'a [u8]>,
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Question<'a> {
        let key = |credentials| self.memory.key(target, credentials);
        Question {
            key: credentials.map(key),
            ..Question::new(config, target, arrived, now)
        }
    }

    /// The caller whose these credentials are, if that was found out before and is still so.
    pub(crate) fn recall(&mut self, question: &Question<'_>) -> Option<Rc<Caller>> {
        let key = question.key?;
        self.memory.recall(key, &mut self.keys, question.now)
    }

    /// The caller whose `token` this is, or why nobody's. Rare: kept out of the way of tokens that
    /// [`Trust::recall`] knows.
    #[inline(never)]
    pub(crate) fn judge(
        &mut self,
        question: &Question<'_>,
        token: &[u8],
    ) -> Result<Rc<Caller>, NoCaller> {
        match question.asked() {
            Some(asked) if !jws::is_jwt(token) => self.judge_opaque(question, token, &asked),
            Some(_) | None => self.judge_signed(question, token),
        }
    }
}

impl<'a> Question<'a> {
    /// A question whose answer is not remembered.
    pub(crate) fn new(
        config: &'a Config,
        target: Target<'a>,
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Self {
        Self {
            config,
            target,
            key: None,
            arrived,
            now,
        }
    }

    /// The issuer of this name, if the resource accepts its tokens.
    fn issuer(&self, name: &str) -> Option<(IssuerId, &'a Issuer)> {
        let config = self.config;
        let accepted = self.target.resource.issuers.iter();
        accepted
            .filter_map(|id| config.issuer(*id).map(|issuer| (*id, issuer)))
            .find(|(_, issuer)| issuer.policy.issuer == name)
    }

    /// Everything that is asked of a token without a key. A refusal needs no proof, so this comes
    /// before any fetch or signature.
    fn check(
        &self,
        token: &UnverifiedToken<'_>,
        id: IssuerId,
        issuer: &Issuer,
    ) -> Result<(), Rejection> {
        let audiences = self.audiences(issuer);
        match token.fails(&issuer.policy, &audiences, self.now) {
            None => Ok(()),
            Some(check) => {
                let claims = token.unverified_claims();
                Err(self.failed(check, claims, Some(token), id, issuer, &audiences))
            }
        }
    }

    /// The audiences of which a token must have one.
    fn audiences<'i>(&'i self, issuer: &'i Issuer) -> Vec<Cow<'i, str>> {
        match &issuer.audiences {
            Some(audiences) => audiences.iter().map(|name| name.as_str().into()).collect(),
            None => vec![self.target.identifier()],
        }
    }

    /// The caller that the claims of an issuer describe: for claims that are proven to be the
    /// issuer's.
    fn caller(&self, claims: &Claims, issuer: IssuerId) -> Rc<Caller> {
        Rc::new(Caller::new(claims, issuer, self.target))
    }

    /// The answer that [`Trust::judge`] would give if its issuer had signed the token, whoever did.
    /// For explanations alone, and so not part of the module.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn judge_unverified(&self, token: &[u8]) -> Result<Rc<Caller>, NoCaller> {
        let (token, id, _) = self.read(token)?;
        Ok(self.caller(token.unverified_claims(), id))
    }
}
