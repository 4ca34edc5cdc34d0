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

use crate::escape::printable;
use crate::ids::{IssuerId, ResourceId};
use crate::introspection::IntrospectionSource;
use crate::keys::{KeySource, Source};
use crate::resource::{Resource, Resources};
use crate::token::TokenPolicy;

/// The filter's task, and for whom. Immutable once parsed.
#[derive(Debug)]
pub struct Config {
    /// `false`: every request passes and no metadata is served.
    pub enabled: bool,
    /// The handling of refusals.
    pub mode: Mode,
    /// Bounds on what one worker takes in.
    pub limits: Limits,
    /// At least one.
    pub issuers: Vec<Issuer>,
    /// At least one.
    pub resources: Resources,
    /// Sentences on what is legal but unwise.
    pub warnings: Vec<String>,
}

/// The handling of refusals.
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
    /// The most requests that may wait for keys at once, per worker: 1 to 65,536; default 1,024.
    pub held_requests: usize,
    /// The longest request body that is read, in bytes: 1,024 to 16 MiB; default 512 KiB.
    pub body_bytes: usize,
    /// The most bytes of bodies that may be held at once, per worker: 64 KiB to 1 GiB; default 64 MiB.
    pub held_body_bytes: usize,
    /// The time that a body may take to end: 1 s to 1 h; default 30 s.
    pub body_time: Duration,
    /// The most verified tokens that are remembered: 0 to 1,048,576; default 16,384.
    pub cached_tokens: usize,
    /// The most bytes that these may take: 0 to 1 GiB; default 32 MiB.
    pub cached_bytes: usize,
}

/// An authorization server whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    /// The rules for its tokens.
    pub policy: TokenPolicy,
    /// Audiences to accept instead of the resource's own identifier.
    pub audiences: Option<Vec<String>>,
    /// The source of its keys.
    pub keys: KeySource,
    /// `true` if its metadata is served on the hosts of the resources that accept its tokens.
    pub mirrors_metadata: bool,
    /// How it is asked about tokens; `None` if it is not.
    pub introspection: Option<IntrospectionSource>,
}

/// Reasons for which a configuration is refused.
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
        /// The values that are allowed there.
        allowed: String,
    },
}

/// The configuration as a whole, in a phrase.
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

    /// The sources of the issuers' keys, in their order: none where the filter is switched off.
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
