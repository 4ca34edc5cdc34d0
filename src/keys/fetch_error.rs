//! Why a fetch brought no keys.

use std::fmt;

use super::MAX_RESPONSE_BYTES;
use super::discovery::DiscoveryError;
use super::jwk::KeySetError;

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

impl FetchError {
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
