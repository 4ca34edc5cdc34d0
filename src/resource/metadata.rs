//! Protected resource metadata (RFC 9728): where it is found, and what it says.

use serde::Serialize;

use super::WELL_KNOWN;
use super::path::{PathPattern, RequestPath};
use crate::ids::IssuerId;
use crate::template::Bindings;
use crate::template::Template;

/// A resource's metadata, built once.
#[derive(Debug)]
pub struct Metadata {
    /// Its absolute URL: the `resource_metadata` of every challenge (RFC 9728 §5.1).
    pub url: Template,
    /// The JSON document.
    pub document: Template,
    pattern: PathPattern,
}

/// The members of the document besides the identifier (RFC 9728 §2).
#[derive(Serialize)]
pub struct Members<'a> {
    /// The issuers, byte for byte: clients compare them with what those servers say of themselves.
    pub authorization_servers: Vec<&'a str>,
    /// Left out where nothing is configured.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub scopes_supported: &'a [String],
    /// Tokens are read from the `Authorization` header alone.
    pub bearer_methods_supported: [&'static str; 1],
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<&'a str>,
    /// A page for developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<&'a str>,
}

impl Metadata {
    /// For the resource `identifier`, whose URL is `origin` + `path`. `pattern` is that of
    /// [`well_known_path`]. `None` if the members cannot be written as JSON.
    pub fn new(
        identifier: &Template,
        origin: &str,
        path: &Template,
        pattern: PathPattern,
        members: &Members<'_>,
    ) -> Option<Self> {
        let members = serde_json::to_string(members).ok()?;
        let after = format!("\",{}", members.strip_prefix('{')?);
        Some(Self {
            url: path.surrounded(&format!("{origin}{WELL_KNOWN}"), ""),
            // A URL needs no escapes within a JSON string (RFC 3986 §2 has neither `"` nor `\`).
            document: identifier.surrounded("{\"resource\":\"", &after),
            pattern,
        })
    }

    /// The path's variables if this is a request for the document, with or without a trailing
    /// slash or a query. The root form is served too where there is `one_resource` only.
    pub fn request(&self, path: &RequestPath<'_>, one_resource: bool) -> Option<Bindings> {
        let text = path.without_query();
        let text = text.strip_suffix(b"/").unwrap_or(text);
        if one_resource && text == WELL_KNOWN.as_bytes() && !self.document.has_variables() {
            return Some(Bindings::default());
        }
        let segments = text.iter().filter(|b| **b == b'/').count();
        if segments != self.pattern.segments() {
            return None;
        }
        path.exactly(&self.pattern)
    }
}

/// The places where clients of 2025-03-26 look for the metadata of an authorization server, on the host of the
/// MCP server (RFC 8414 §3.1, OpenID Connect Discovery §4).
pub const MIRRORED: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// An issuer's metadata, served on a resource's host.
#[derive(Debug)]
pub struct Mirror {
    /// The issuer.
    pub issuer: IssuerId,
    /// The paths, with that of the resource behind them and without.
    pub places: Vec<PathPattern>,
}

/// The place of a path among those of a [`Mirror`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MirrorMatch {
    /// It is none of them.
    None,
    /// The document is there.
    Document,
    /// It is below the document's, where nothing is.
    Below,
}

impl Mirror {
    /// The place of a path among its own.
    pub(super) fn matches(&self, path: &RequestPath<'_>) -> MirrorMatch {
        let text = path.without_query();
        let text = text.strip_suffix(b"/").unwrap_or(text);
        let segments = text.iter().filter(|b| **b == b'/').count();
        let mut found = MirrorMatch::None;
        for place in &self.places {
            if path.exactly(place).is_some() {
                if segments == place.segments() {
                    return MirrorMatch::Document;
                }
                found = MirrorMatch::Below;
            }
        }
        found
    }
}

/// The path of the metadata of a resource whose URL has `path` (RFC 9728 §3.1).
pub fn well_known_path(path: &str) -> String {
    format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path })
}
