//! Why a fetch brought no keys.

use std::fmt;

use super::MAX_RESPONSE_BYTES;
use super::discovery::DiscoveryError;
use crate::escape::escaped;
use crate::jose::jwk::KeySetError;
use crate::url::HttpUrl;

/// Why a fetch brought no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The connection was reset, or the call could not be made.
    Failed,
    /// No answer, and no callback either.
    Lost,
    /// Another status than 200; 503 and 504 are Envoy's own where the server cannot be reached.
    Status(u16),
    /// Longer than [`MAX_RESPONSE_BYTES`].
    TooLarge,
    /// The issuer's metadata cannot be used.
    Discovery(DiscoveryError),
    /// The answer is not a JWK set.
    KeySet(KeySetError),
    /// The set has no key that can verify a signature.
    NoUsableKey,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the call failed or was reset"),
            Self::Lost => f.write_str("the call was never answered"),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::TooLarge => write!(f, "the answer is longer than {} bytes", MAX_RESPONSE_BYTES),
            Self::Discovery(error) => write!(f, "{error}"),
            Self::KeySet(error) => write!(f, "the answer is not a JWK set: {error}"),
            Self::NoUsableKey => f.write_str("the JWK set has no key that can verify a signature"),
        }
    }
}

/// The URL that was asked, for logs: without the query, in which a key might stand.
pub(crate) fn shown(url: &HttpUrl) -> String {
    let text = url.as_str();
    escaped(text.split_once('?').map_or(text, |(before, _)| before))
}

impl FetchError {
    /// The weight of what it says of why no place had the metadata: the cause is seldom in the last one.
    pub(crate) const fn weight(&self) -> u8 {
        match self {
            Self::Discovery(DiscoveryError::IssuerMismatch(_)) => 5,
            Self::Discovery(
                DiscoveryError::UrlMissing(_)
                | DiscoveryError::UrlUnusable(..)
                | DiscoveryError::UrlInsecure(_),
            ) => 4,
            Self::Discovery(
                DiscoveryError::NotJson(_)
                | DiscoveryError::NotAnObject
                | DiscoveryError::IssuerMissing,
            )
            | Self::KeySet(_)
            | Self::NoUsableKey => 3,
            Self::TooLarge => 2,
            Self::Status(404) => 0,
            Self::Status(_) | Self::Failed | Self::Lost => 1,
        }
    }

    /// The `result` label of the counter of fetches.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Failed | Self::Status(503) => "unreachable",
            Self::Lost | Self::Status(504) => "timeout",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::Discovery(_) => "metadata",
            Self::KeySet(_) => "key_set",
            Self::NoUsableKey => "no_usable_key",
        }
    }
}
