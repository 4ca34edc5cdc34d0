//! The filter's configuration: JSON in, a [`Config`] that needs no further check out.
//!
//! Whatever is missing, unknown or out of bounds is an error that names the field, what was found
//! and what is allowed. Nothing is served half-configured.

mod deserialize;
mod document;
mod reserved;
#[cfg(not(target_family = "wasm"))]
mod schema;
#[cfg(test)]
mod tests;
mod validate;
mod words;

use std::fmt;
use std::time::Duration;

use deserialize::Node;
use serde::Deserialize as _;

use crate::evidence::printable;
use crate::ids::{IssuerId, ResourceId};
use crate::introspection::IntrospectionSource;
use crate::keys::{KeySource, Source};
use crate::resource::{Resource, Resources};
use crate::token::TokenPolicy;

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
    pub resources: Resources,
    /// What is legal but unwise, a sentence each.
    pub warnings: Vec<String>,
}

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
    /// How it is asked about tokens; `None` if it is not.
    pub introspection: Option<IntrospectionSource>,
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
        let written = document::Config::deserialize(tree)?;
        validate::config(written)
    }

    /// The JSON Schema (draft 2020-12) of what [`Config::parse`] accepts, as far as it can be said
    /// in one.
    #[cfg(not(target_family = "wasm"))]
    pub fn schema() -> serde_json::Value {
        schema::of::<document::Config>()
    }

    /// What is fetched of the issuers, in their order: nothing where the filter is switched off.
    pub fn key_sources(&self) -> impl Iterator<Item = Source<'_>> {
        let issuers = self.issuers.iter().filter(|_| self.enabled);
        issuers.map(|issuer| Source {
            keys: &issuer.keys,
            mirrors_metadata: issuer.mirrors_metadata,
        })
    }

    /// How the issuers are asked about tokens, in their order: not at all where the filter is
    /// switched off.
    pub fn introspection_sources(&self) -> impl Iterator<Item = Option<&IntrospectionSource>> {
        let issuers = self.issuers.iter().filter(|_| self.enabled);
        issuers.map(|issuer| issuer.introspection.as_ref())
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
