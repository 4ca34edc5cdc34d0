//! Discovery of an issuer's key set: RFC 8414 and OpenID Connect Discovery 1.0.

use std::fmt;

use crate::escape::escaped;
use crate::json::{Json, JsonError, Members};
use crate::url::{HttpUrl, UrlError};

/// The places to ask, in the order of the MCP specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnown {
    /// `/.well-known/oauth-authorization-server` before the issuer's path (RFC 8414 §3.1).
    OauthInserted,
    /// `/.well-known/openid-configuration` before the issuer's path (RFC 8414 §5).
    OpenidInserted,
    /// `/.well-known/openid-configuration` behind it (OpenID Connect Discovery §4.1).
    OpenidAppended,
}

impl WellKnown {
    /// The first place to ask.
    pub const FIRST: Self = Self::OauthInserted;
    /// The most places that one issuer can have.
    pub const MOST: u32 = 3;

    /// The place to ask next. An issuer without a path has its two OpenID places in one.
    pub fn next(self, issuer: &HttpUrl) -> Option<Self> {
        match self {
            Self::OauthInserted if path(issuer).is_empty() => Some(Self::OpenidAppended),
            Self::OauthInserted => Some(Self::OpenidInserted),
            Self::OpenidInserted => Some(Self::OpenidAppended),
            Self::OpenidAppended => None,
        }
    }

    /// The URL of the metadata of `issuer` there.
    pub fn url(self, issuer: &HttpUrl) -> Result<HttpUrl, UrlError> {
        let (origin, path) = (issuer.origin(), path(issuer));
        HttpUrl::parse_location(&match self {
            Self::OauthInserted => format!("{origin}/.well-known/oauth-authorization-server{path}"),
            Self::OpenidInserted => format!("{origin}/.well-known/openid-configuration{path}"),
            Self::OpenidAppended => format!("{origin}{path}/.well-known/openid-configuration"),
        })
    }
}

/// The issuer's path without its terminating slash, which RFC 8414 §3.1 has removed.
fn path(issuer: &HttpUrl) -> &str {
    issuer.path_and_query().trim_end_matches('/')
}

/// Why a discovery document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryError {
    /// Not JSON, or a member comes twice.
    NotJson(JsonError),
    /// Another value than an object.
    NotAnObject,
    /// No `issuer`, or one that is not a text.
    IssuerMissing,
    /// The `issuer` is another one (RFC 8414 §3.3). Escaped and cut.
    IssuerMismatch(String),
    /// No member of this name, or one that is not a text.
    UrlMissing(&'static str),
    /// The member of this name is a URL that cannot be called.
    UrlUnusable(&'static str, UrlError),
    /// The member of this name is over `http` for an issuer over `https`.
    UrlInsecure(&'static str),
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "the metadata is not a JSON object: {error}"),
            Self::NotAnObject => f.write_str("the metadata is not a JSON object"),
            Self::IssuerMissing => f.write_str("the metadata has no issuer"),
            Self::IssuerMismatch(found) => write!(f, "the metadata is for another issuer, {found}"),
            Self::UrlMissing(member) => write!(f, "the metadata has no {member}"),
            Self::UrlUnusable(member, error) => {
                write!(
                    f,
                    "the {member} of the metadata is not {}",
                    error.expected()
                )
            }
            Self::UrlInsecure(member) => write!(f, "the {member} of the metadata is not https"),
        }
    }
}

/// Reads the `jwks_uri` out of the metadata of `issuer`.
pub fn jwks_uri(document: &[u8], issuer: &HttpUrl) -> Result<HttpUrl, DiscoveryError> {
    endpoint("jwks_uri", document, issuer)
}

/// Reads the `introspection_endpoint` (RFC 8414 §2) out of the metadata of `issuer`.
pub(crate) fn introspection_endpoint(
    document: &[u8],
    issuer: &HttpUrl,
) -> Result<HttpUrl, DiscoveryError> {
    endpoint("introspection_endpoint", document, issuer)
}

fn endpoint(
    member: &'static str,
    document: &[u8],
    issuer: &HttpUrl,
) -> Result<HttpUrl, DiscoveryError> {
    let document = metadata_of(document, issuer)?;
    let uri = document.get(member).and_then(Json::string);
    let uri = uri.ok_or(DiscoveryError::UrlMissing(member))?;
    usable(member, &uri, issuer)
}

/// Checks that a document is metadata of `issuer` (RFC 8414 §3.3).
pub fn check_issuer(document: &[u8], issuer: &HttpUrl) -> Result<(), DiscoveryError> {
    metadata_of(document, issuer).map(|_| ())
}

fn metadata_of<'d>(document: &'d [u8], issuer: &HttpUrl) -> Result<Members<'d>, DiscoveryError> {
    let members = Json::marked_document(document)
        .and_then(Json::members)
        .map_err(DiscoveryError::NotJson)?
        .ok_or(DiscoveryError::NotAnObject)?;
    let found = members.get("issuer").and_then(Json::string);
    let found = found.ok_or(DiscoveryError::IssuerMissing)?;
    if found != issuer.as_str() {
        return Err(DiscoveryError::IssuerMismatch(escaped(&found)));
    }
    Ok(members)
}

/// Checks a `jwks_uri` of `issuer`.
pub fn usable_jwks_uri(uri: &str, issuer: &HttpUrl) -> Result<HttpUrl, DiscoveryError> {
    usable("jwks_uri", uri, issuer)
}

fn usable(member: &'static str, uri: &str, issuer: &HttpUrl) -> Result<HttpUrl, DiscoveryError> {
    let unusable = |error| DiscoveryError::UrlUnusable(member, error);
    let uri = HttpUrl::parse_location(uri).map_err(unusable)?;
    if uri.scheme() == "http" && issuer.scheme() == "https" {
        return Err(DiscoveryError::UrlInsecure(member));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str) -> Vec<String> {
        let issuer = HttpUrl::parse_identifier(issuer).unwrap();
        let mut place = Some(WellKnown::FIRST);
        let mut urls = Vec::new();
        while let Some(at) = place {
            urls.push(at.url(&issuer).unwrap().as_str().to_owned());
            place = at.next(&issuer);
        }
        urls
    }

    #[test]
    fn asks_in_the_order_of_the_mcp_specification() {
        assert_eq!(
            places("https://a.example"),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration",
            ]
        );
        assert_eq!(places("https://a.example/"), places("https://a.example"));
        assert_eq!(
            places("https://a.example/t/1"),
            [
                "https://a.example/.well-known/oauth-authorization-server/t/1",
                "https://a.example/.well-known/openid-configuration/t/1",
                "https://a.example/t/1/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn reads_the_uri_or_says_why_not() {
        let issuer = HttpUrl::parse_identifier("https://a.example/t").unwrap();
        let good = br#"{"issuer":"https://a.example/t","jwks_uri":"https://b.example/keys?v=1"}"#;
        assert_eq!(
            jwks_uri(good, &issuer).unwrap().as_str(),
            "https://b.example/keys?v=1"
        );
        for (document, expected) in [
            (
                r#"{"jwks_uri":"https://b.example/"}"#,
                DiscoveryError::IssuerMissing,
            ),
            (
                r#"{"issuer":1,"jwks_uri":"https://b.example/"}"#,
                DiscoveryError::IssuerMissing,
            ),
            (
                r#"{"issuer":"https://a.example/t/","jwks_uri":"https://b.example/"}"#,
                DiscoveryError::IssuerMismatch("\"https://a.example/t/\"".to_owned()),
            ),
            (
                r#"{"issuer":"https://a.example/t"}"#,
                DiscoveryError::UrlMissing("jwks_uri"),
            ),
            (
                r#"{"issuer":"https://a.example/t","jwks_uri":"/keys"}"#,
                DiscoveryError::UrlUnusable("jwks_uri", UrlError::NotAbsolute),
            ),
            (
                r#"{"issuer":"https://a.example/t","jwks_uri":"http://a.example/keys"}"#,
                DiscoveryError::UrlInsecure("jwks_uri"),
            ),
        ] {
            assert_eq!(
                jwks_uri(document.as_bytes(), &issuer),
                Err(expected),
                "{document}"
            );
        }
        for document in ["", "<html>", "[]", r#"{"issuer":"a","issuer":"b"}"#] {
            assert!(
                jwks_uri(document.as_bytes(), &issuer).is_err(),
                "{document}"
            );
        }
    }
}
