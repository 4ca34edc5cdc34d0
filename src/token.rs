//! One JWT: parsed, judged, and verified.
//!
//! [`UnverifiedToken::parse`] reads it, [`UnverifiedToken::fails`] refuses by what it says of
//! itself, [`UnverifiedToken::verify`] makes it a [`VerifiedToken`]. A refusal needs no trust, so
//! the cheap step comes first: a token for someone else makes no one fetch a key or compute a
//! signature.

pub mod claims;
mod purpose;
#[cfg(test)]
mod tests;
mod unreadable;

use std::fmt;
use std::time::Duration;

use crate::jose::jwk::{KeyId, VerificationKey};
use crate::reason::Reason;
use crate::time::UnixNanos;

use crate::jose::jws::{Header, Jws};
use crate::jose::signature::{Algorithm, SignatureVerifier};
pub use claims::{AnswerTerms, Claims};
pub use unreadable::{Unreadable, right_form};

/// The most keys that a token is tried against; more than one only without `kid`, or where an issuer
/// gave one `kid` to several keys.
pub const MAX_KEYS_TRIED: usize = 4;

/// The rules for the tokens of one issuer.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// `alg` must be one of these.
    pub algorithms: Vec<Algorithm>,
    /// `typ` must be one of these.
    pub token_types: Vec<TokenType>,
    /// The most that the issuer's clock may be off, in both directions.
    pub clock_skew: Duration,
    /// The longest `exp - iat`; where it is set, `iat` is required.
    pub max_token_lifetime: Option<Duration>,
}

/// A `typ` that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// A token without `typ`.
    Absent,
    /// A media type, with or without `application/`, in any case (RFC 7515 §4.1.9).
    Named(String),
}

impl TokenType {
    fn accepts(&self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::Absent, None) => true,
            (Self::Named(accepted), Some(typ)) => {
                media_subtype(accepted).eq_ignore_ascii_case(media_subtype(typ))
            }
            (Self::Absent, Some(_)) | (Self::Named(_), None) => false,
        }
    }
}

/// Without the `application/` that may be left out if no other slash follows.
fn media_subtype(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((kind, subtype))
            if kind.eq_ignore_ascii_case("application") && !subtype.contains('/') =>
        {
            subtype
        }
        _ => typ,
    }
}

/// One thing that a token is asked without a key, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// `iss` is the policy's. First, for the rest is what this issuer's tokens must be like.
    Issuer,
    /// `typ` is one of the policy's.
    Type,
    /// No claim says that it is for anything but access.
    Purpose,
    /// `alg` is one of the policy's.
    Algorithm,
    /// `aud` has one of the accepted audiences.
    Audience,
    /// `exp` is still to come.
    Expiry,
    /// `nbf` has passed, or is absent.
    NotBefore,
    /// `iat` has passed, or is absent.
    IssuedAt,
    /// `exp - iat` is within the policy's bound.
    Lifetime,
    /// `cnf` binds it to no key that the sender would have to prove.
    Possession,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 10] = [
        Self::Issuer,
        Self::Type,
        Self::Purpose,
        Self::Algorithm,
        Self::Audience,
        Self::Expiry,
        Self::NotBefore,
        Self::IssuedAt,
        Self::Lifetime,
        Self::Possession,
    ];

    /// The reason that a token is refused for which does not pass.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Issuer => Reason::IssuerNotAllowed,
            Self::Type => Reason::TokenTypeNotAllowed,
            Self::Purpose => Reason::NotAnAccessToken,
            Self::Algorithm => Reason::AlgorithmNotAllowed,
            Self::Audience => Reason::AudienceNotAllowed,
            Self::Expiry => Reason::Expired,
            Self::NotBefore => Reason::NotYetValid,
            Self::IssuedAt => Reason::IssuedInFuture,
            Self::Lifetime => Reason::LifetimeTooLong,
            Self::Possession => Reason::SenderConstrained,
        }
    }
}

/// A token that anybody may have written.
pub struct UnverifiedToken<'t> {
    header: Header,
    claims: Claims,
    signing_input: &'t [u8],
    signature: Vec<u8>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a compact JWS of at most `max_bytes`. The reasons are, in this order,
    /// [`Reason::TokenTooLarge`], [`Reason::TokenMalformed`], [`Reason::CriticalHeader`],
    /// [`Reason::AlgorithmNotAllowed`] and [`Reason::ClaimsMalformed`].
    pub fn parse(token: &'t [u8], max_bytes: usize) -> Result<Self, Reason> {
        if token.len() > max_bytes {
            return Err(Reason::TokenTooLarge);
        }
        let Jws {
            header,
            payload,
            signing_input,
            signature,
        } = Jws::parse(token)?;
        let claims = Claims::from_object(payload)?;
        Ok(Self {
            header,
            claims,
            signing_input,
            signature,
        })
    }

    /// `iss`: decides whose keys are tried, and nothing else.
    pub fn unverified_issuer(&self) -> &str {
        self.claims.issuer()
    }

    /// `aud`, for logs.
    pub fn unverified_audiences(&self) -> impl Iterator<Item = &str> {
        self.claims.audiences()
    }

    /// `kid`, at most [`MAX_KID_BYTES`].
    pub fn unverified_kid(&self) -> Option<&str> {
        self.header.kid()
    }

    /// `typ` as it came, for logs.
    pub fn unverified_type(&self) -> Option<&str> {
        self.header.typ()
    }

    /// Every claim, for explanations.
    pub fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// `alg`. The key must be for it, so it needs no trust.
    pub fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// The first [`Check`] that does not pass. `audiences` are the values of which `aud` must have
    /// one.
    pub fn fails(
        &self,
        policy: &TokenPolicy,
        audiences: &[impl AsRef<str>],
        now: UnixNanos,
    ) -> Option<Check> {
        first_failure(Some(&self.header), &self.claims, policy, audiences, now)
    }

    /// Returns whether one check passes, whatever comes of the others: for explanations.
    pub fn passes(
        &self,
        check: Check,
        policy: &TokenPolicy,
        audiences: &[impl AsRef<str>],
        now: UnixNanos,
    ) -> bool {
        check.passes(Some(&self.header), &self.claims, policy, audiences, now)
    }

    /// Tries the keys, which must be the issuer's, in their order, and at most [`MAX_KEYS_TRIED`];
    /// keys for another algorithm are passed over. The only way to a [`VerifiedToken`]; without one
    /// the token is given back, and the reason is [`Reason::SignatureInvalid`].
    pub fn verify<'k>(
        self,
        keys: impl IntoIterator<Item = &'k VerificationKey>,
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedToken, Box<Self>> {
        let algorithm = self.header.algorithm;
        let signer = keys
            .into_iter()
            .filter(|key| key.fits(algorithm))
            .take(MAX_KEYS_TRIED)
            .find(|key| key.verify(verifier, algorithm, self.signing_input, &self.signature));
        match signer {
            Some(signer) => Ok(VerifiedToken {
                claims: self.claims,
                key: signer.id(),
            }),
            None => Err(Box::new(self)),
        }
    }
}

/// Without the token: a log line must not let anyone in.
impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("algorithm", &self.header.algorithm)
            .finish_non_exhaustive()
    }
}

/// A token that its issuer signed: nobody else changed a byte of it. Whether it is for this
/// resource, [`UnverifiedToken::fails`] has said before.
pub struct VerifiedToken {
    claims: Claims,
    key: KeyId,
}

impl VerifiedToken {
    /// Its claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that it was signed with.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

/// As [`UnverifiedToken`]'s.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").finish_non_exhaustive()
    }
}

impl Claims {
    /// The first [`Check`] that does not pass, of those that need no header: for what an issuer says
    /// of a token by introspection.
    pub(crate) fn fails(
        &self,
        policy: &TokenPolicy,
        audiences: &[impl AsRef<str>],
        now: UnixNanos,
    ) -> Option<Check> {
        first_failure(None, self, policy, audiences, now)
    }
}

fn first_failure(
    header: Option<&Header>,
    claims: &Claims,
    policy: &TokenPolicy,
    audiences: &[impl AsRef<str>],
    now: UnixNanos,
) -> Option<Check> {
    Check::ALL
        .into_iter()
        .find(|check| !check.passes(header, claims, policy, audiences, now))
}

impl Check {
    fn passes(
        self,
        header: Option<&Header>,
        claims: &Claims,
        policy: &TokenPolicy,
        audiences: &[impl AsRef<str>],
        now: UnixNanos,
    ) -> bool {
        match self {
            Self::Issuer => claims.issuer() == policy.issuer,
            Self::Type => policy
                .token_types
                .iter()
                .any(|accepted| header.is_none_or(|header| accepted.accepts(header.typ()))),
            Self::Purpose => claims.other_purpose().is_none(),
            Self::Algorithm => {
                header.is_none_or(|header| policy.algorithms.contains(&header.algorithm))
            }
            Self::Audience => claims.is_for(audiences),
            Self::Expiry => claims.is_unexpired(policy, now),
            Self::NotBefore => claims.is_begun(policy, now),
            Self::IssuedAt => claims.is_issued(policy, now),
            Self::Lifetime => claims.is_short_lived(policy),
            Self::Possession => claims.is_bearer(),
        }
    }
}
