//! The filter's configuration: JSON in, a [`Config`] that needs no further check out.
//!
//! Whatever is missing, unknown or out of bounds is an error that names the field, what was found
//! and what is allowed. Nothing is served half-configured.

mod build;
mod raw;
#[cfg(not(target_family = "wasm"))]
mod schema;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::fmt;
use std::time::Duration;

use serde::Deserialize as _;
use tree::Node;

use crate::evidence::printable;
use crate::keys::jwk::KeySet;
use crate::resource::{Resource, UsualPaths};
use crate::token::TokenPolicy;
use crate::url::HttpUrl;

/// What the filter does, and for whom. Immutable once parsed.
#[derive(Debug)]
pub struct Config {
    /// `false`: every request passes and no metadata is served.
    pub enabled: bool,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// Bounds on what one worker takes in.
    pub limits: Limits,
    /// At least one.
    pub issuers: Vec<Issuer>,
    /// At least one.
    pub resources: Vec<Resource>,
    /// The resources, the most specific path first.
    pub by_specificity: Vec<ResourceId>,
    /// Where the resources stand.
    pub usual_paths: UsualPaths,
    /// What is legal but unwise, a sentence each.
    pub warnings: Vec<String>,
}

/// An issuer's place in [`Config::issuers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

/// A resource's place in [`Config::resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(pub usize);

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse what the decision table refuses.
    Enforce,
    /// Count and log what would be refused, and forward everything.
    Observe,
}

/// Bounds on what one worker takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest token that is looked at, in bytes: 256 to 65,536; default 16,384.
    pub token_bytes: usize,
    /// How many requests may wait for keys at once, per worker: 1 to 65,536; default 1,024.
    pub held_requests: usize,
    /// The longest request body that is read, in bytes: 1,024 to 16 MiB; default 512 KiB.
    pub body_bytes: usize,
    /// How many bytes of bodies may be held at once, per worker: 64 KiB to 1 GiB; default 64 MiB.
    pub held_body_bytes: usize,
    /// How long a body may take to end: 1 s to 1 h; default 30 s.
    pub body_time: Duration,
    /// How many verified tokens are remembered: 0 to 1,048,576; default 16,384.
    pub cached_tokens: usize,
    /// How many bytes that may take: 0 to 1 GiB; default 32 MiB.
    pub cached_bytes: usize,
}

/// An authorization server whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    /// What its tokens must be like.
    pub policy: TokenPolicy,
    /// Audiences to accept instead of the resource's own identifier.
    pub audiences: Option<Vec<String>>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Whether its metadata is served on the hosts of the resources that accept its tokens.
    pub mirrors_metadata: bool,
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// From the configuration; they never change and never grow stale.
    Inline(KeySet),
    /// Fetched through Envoy.
    Remote(RemoteKeys),
}

/// How an issuer's keys are fetched.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// The issuer's identifier, from which discovery URLs are made (RFC 8414 §3).
    pub issuer: HttpUrl,
    /// The Envoy cluster that discovery asks.
    pub cluster: String,
    /// The Envoy cluster that serves the key set.
    pub jwks_cluster: String,
    /// The key set's URL; absent where discovery is to find it.
    pub jwks_uri: Option<HttpUrl>,
    /// When to fetch, and how long to trust.
    pub timings: KeyTimings,
}

/// When keys are fetched, and how long they are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimings {
    /// The age at which keys are refreshed: 1 s to 1 day; default 600 s.
    pub refresh: Duration,
    /// The bound on one fetch, and on the time that a request waits: 1 to 60 s; default 5 s.
    pub timeout: Duration,
    /// The least time between two fetches caused by unknown keys: 1 s to 1 h; default 30 s.
    pub unknown_key_cooldown: Duration,
    /// How long past `refresh` the last good keys are used when they cannot be refreshed: 0 to
    /// 7 days; default 3,600 s. A revoked key is trusted for so long in an outage.
    pub max_stale: Duration,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no configuration at all.
    Empty,
    /// Not JSON: what is wrong with it, and where.
    NotJson(String),
    /// A field has a value that is not allowed, is unknown, missing, or there twice.
    Value {
        /// The path of the field, such as `resources[0].scopes`; empty for the whole.
        field: String,
        /// The value found.
        found: String,
        /// What is allowed there.
        allowed: String,
    },
}

/// What the whole of a configuration is.
const WHOLE: &str = "a JSON object with `issuers` and `resources`";

/// One line, without control characters: names of fields come from outside, too.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "configuration: found nothing; allowed: {WHOLE}"),
            Self::NotJson(problem) => {
                write!(f, "configuration: found {problem}; allowed: {WHOLE}")
            }
            Self::Value { field, found, .. } if field.is_empty() => {
                write!(f, "configuration: found {found}; allowed: {WHOLE}")
            }
            Self::Value {
                field,
                found,
                allowed,
            } => f.write_str(&printable(&format!(
                "configuration field `{field}`: found {found}; allowed: {allowed}"
            ))),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Parses and checks the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Err(ConfigError::Empty);
        }
        let tree: Node = serde_json::from_slice(json)
            .map_err(|error| ConfigError::NotJson(words::not_json(json, &error)))?;
        let raw = raw::Config::deserialize(tree)?;
        build::config(raw)
    }

    /// The JSON Schema (draft 2020-12) of what [`Config::parse`] accepts, as far as it can be said
    /// in one.
    #[cfg(not(target_family = "wasm"))]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }

    /// The issuer with this place.
    pub fn issuer(&self, id: IssuerId) -> Option<&Issuer> {
        self.issuers.get(id.0)
    }

    /// The resource with this place.
    pub fn resource(&self, id: ResourceId) -> Option<&Resource> {
        self.resources.get(id.0)
    }
}
