//! The answers to questions about an issuer.

use std::time::Duration;

use crate::jose::jwk::VerificationKey;
use crate::reason::Reason;

/// The keys that an issuer has for a token.
#[derive(Debug)]
pub enum Found<'a> {
    /// Keys that may have signed it.
    Keys(Vec<&'a VerificationKey>),
    /// A fetch is under way, or about to be: judge the request again when woken.
    Wait,
    /// The issuer does not have the key, and was asked recently enough.
    Refused(Reason),
    /// Nobody can tell for now.
    Unavailable {
        /// [`Reason::KeysUnavailable`], [`Reason::KeysStale`] or [`Reason::KeyPending`].
        reason: Reason,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}

/// The copy of an issuer's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// The last good document.
    Document(&'a [u8]),
    /// The first one is being fetched, or about to be: ask again when woken.
    Wait,
    /// It cannot be had for now.
    Unavailable,
}

/// The state of a token that no key verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is by no key of the issuer's: the set was asked for after the token was seen.
    Settled,
    /// A fetch is under way, or about to be: judge the request again when woken.
    Wait,
    /// Its key may be one that the issuer has had since, and nobody can tell for now.
    Unavailable {
        /// [`Reason::KeysUnavailable`] or [`Reason::KeyPending`].
        reason: Reason,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}
