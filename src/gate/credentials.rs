//! The caller of a request: its credentials, and what [`Trust`] says of the token in them.

use std::rc::Rc;

use super::{Decision, Request, Row};
use crate::bearer::{self, Credentials};
use crate::config::Mode;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::trust::{Awaited, Caller, NoCaller, Rejection, Trust};

impl Request<'_> {
    /// The caller whose token came with the request.
    pub(super) fn caller(&self, trust: &mut Trust, arrived: UnixNanos) -> Row<Rc<Caller>> {
        let credentials = self.only_credentials();
        let question = trust.question(self.config, self.target, credentials, arrived, self.now);
        if let Some(caller) = trust.recall(&question) {
            return Ok(caller);
        }
        let judged = trust.judge(&question, self.token()?);
        judged.map_err(|no_caller| self.without_caller(no_caller))
    }

    /// The same if the token's issuer had signed it, whoever did.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn unverified_caller(&self) -> Row<Rc<Caller>> {
        let question = crate::trust::Question::new(self.config, self.target, self.now, self.now);
        let judged = question.judge_unverified(self.token()?);
        judged.map_err(|no_caller| self.without_caller(no_caller))
    }

    /// The value of `authorization`, if there is one and no more.
    fn only_credentials(&self) -> Option<&[u8]> {
        let mut values = self.head.values("authorization");
        let credentials = values.next()?;
        values.next().is_none().then_some(credentials)
    }

    /// The token of the request's credentials, if they are one of a scheme that is accepted.
    fn token(&self) -> Row<&[u8]> {
        let reason = match bearer::credentials(self.head.values("authorization")) {
            Credentials::Bearer(token) => return Ok(token),
            Credentials::Missing => {
                return Err(self.refuse(self.refusal(Reason::CredentialsMissing)));
            }
            Credentials::OtherScheme => Reason::SchemeNotBearer,
            Credentials::Multiple => Reason::MultipleCredentials,
            Credentials::MalformedBearer => Reason::TokenMalformed,
        };
        Err(self.refuse_credentials(reason))
    }

    /// Refuses credentials that are none of a Bearer token.
    #[cold]
    fn refuse_credentials(&self, reason: Reason) -> Decision {
        let mut values = self.head.values("authorization");
        let (first, more) = (values.next().unwrap_or_default(), values.count());
        let refusal = self.refusal(reason);
        self.refuse(if reason == Reason::SchemeNotBearer {
            let scheme = bearer::known_scheme(first).unwrap_or("another scheme");
            refusal.told("Bearer", scheme)
        } else if reason == Reason::MultipleCredentials {
            let found = match more {
                0 => "several, joined by a comma".to_owned(),
                more => format!("{} headers", more.saturating_add(1)),
            };
            refusal.told("one Authorization header", found)
        } else {
            let found = "none, or characters that no token has (RFC 6750 §2.1)";
            refusal.told("one token behind Bearer", found)
        })
    }

    #[cold]
    fn without_caller(&self, no_caller: NoCaller) -> Decision {
        match no_caller {
            NoCaller::Rejected(rejection) => {
                let Rejection {
                    reason,
                    issuer,
                    expected,
                    found,
                    retry_after,
                } = *rejection;
                let mut refusal = self.refusal(reason).told(expected, found);
                refusal.issuer = issuer;
                refusal.retry_after = retry_after;
                self.refuse(refusal)
            }
            // Observing never delays a request.
            NoCaller::Waits(awaited) if self.config.mode == Mode::Observe => {
                let (reason, issuer) = match awaited {
                    Awaited::Keys(issuer) => (Reason::KeysUnavailable, issuer),
                    Awaited::Answer(issuer, _) => (Reason::IntrospectionUnavailable, issuer),
                };
                self.refuse(self.not_judged(reason).by(issuer))
            }
            NoCaller::Waits(awaited) => Decision::Wait(awaited),
        }
    }
}
