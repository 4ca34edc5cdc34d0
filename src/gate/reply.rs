//! The answers that the filter gives itself, and the only place where headers are written.
//!
//! Every value is made of constants, of the configuration, and of path variables that
//! [`crate::resource::path`] has confined to unreserved characters: a value is never quoted from
//! a request or a token, because the host sends header values unchecked.

use super::refusal::Refusal;
use crate::mcp::RequestId;
use crate::reason::{Challenge, ErrorCode};
use crate::resource::Resource;
use crate::template::Bindings;

/// Response headers that a browser's script may read, beyond the safelisted ones.
const EXPOSED: &str = "WWW-Authenticate, Mcp-Session-Id";
/// Request headers that MCP clients send; `*` admits those that servers name themselves
/// (`Mcp-Param-*`), but never stands for `Authorization` (Fetch standard, CORS).
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, \
     MCP-Protocol-Version, Mcp-Method, Mcp-Name, *";
const RESOURCE_METHODS: &str = "GET, POST, DELETE, OPTIONS";
/// MCP 2026-07-28, "Error Codes".
const HEADER_MISMATCH: i32 = -32020;
/// One of those that MCP leaves to implementations (-32000 to -32019), and that no SDK uses itself.
const OPERATION_NOT_ALLOWED: i32 = -32003;
const METADATA_METHODS: &str = "GET, HEAD, OPTIONS";
/// The time for which a browser may keep the answer to a preflight, in seconds; Chromium caps it at 2 hours.
const PREFLIGHT_SECONDS: &str = "7200";

/// A whole local response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// May be empty.
    pub body: String,
}

/// The request's `Origin`, as far as a reply needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// No CORS headers: the request has no `Origin`, or the resource leaves CORS to the server.
    Absent,
    /// Every origin may read the reply.
    Any,
    /// This one of the configured origins may.
    Allowed(&'a str),
    /// It is none of the configured ones.
    NotAllowed,
}

/// The metadata document (RFC 9728 §3.2).
pub fn metadata(resource: &Resource, bindings: &Bindings) -> Reply {
    Reply {
        status: 200,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "public, max-age=300".to_owned()),
            ("access-control-allow-origin", "*".to_owned()),
        ],
        body: resource.metadata.document.render(bindings).into_owned(),
    }
}

/// The metadata of an authorization server (RFC 8414 §3.2), as it was fetched.
pub fn issuer_metadata(document: &[u8]) -> Option<Reply> {
    Some(Reply {
        status: 200,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "public, max-age=300".to_owned()),
            ("access-control-allow-origin", "*".to_owned()),
        ],
        body: String::from_utf8(document.to_vec()).ok()?,
    })
}

/// The metadata of the authorization server has not been fetched yet.
pub fn issuer_metadata_unavailable() -> Reply {
    let mut headers = error_headers();
    headers.push(("retry-after", "1".to_owned()));
    headers.push(("access-control-allow-origin", "*".to_owned()));
    Reply {
        status: 503,
        headers,
        body: error_body(
            ErrorCode::TemporarilyUnavailable,
            "The metadata of the authorization server cannot be fetched",
        ),
    }
}

/// No document is there. Some clients cannot read a 404 that is not JSON.
pub fn not_found() -> Reply {
    let mut headers = error_headers();
    headers.push(("access-control-allow-origin", "*".to_owned()));
    Reply {
        status: 404,
        headers,
        body: error_body(ErrorCode::InvalidRequest, "There is no metadata here"),
    }
}

/// A method that the metadata document does not have.
pub fn method_not_allowed() -> Reply {
    let mut headers = error_headers();
    headers.push(("allow", METADATA_METHODS.to_owned()));
    headers.push(("access-control-allow-origin", "*".to_owned()));
    Reply {
        status: 405,
        headers,
        body: error_body(
            ErrorCode::InvalidRequest,
            "The metadata is read with GET or HEAD",
        ),
    }
}

/// The answer to a CORS preflight of the metadata document.
pub fn metadata_preflight() -> Reply {
    preflight(Origin::Any, METADATA_METHODS)
}

/// The answer to a CORS preflight of a resource.
pub fn resource_preflight(origin: Origin<'_>) -> Reply {
    preflight(origin, RESOURCE_METHODS)
}

fn preflight(origin: Origin<'_>, methods: &str) -> Reply {
    let mut headers = vec![
        ("access-control-allow-methods", methods.to_owned()),
        ("access-control-allow-headers", REQUEST_HEADERS.to_owned()),
        ("access-control-max-age", PREFLIGHT_SECONDS.to_owned()),
    ];
    allow_origin(origin, &mut headers);
    Reply {
        status: 204,
        headers,
        body: String::new(),
    }
}

/// The answer to a request that is refused: status, challenge and body follow from the reason.
pub fn refusal(
    refusal: &Refusal,
    resource: &Resource,
    bindings: &Bindings,
    origin: Origin<'_>,
) -> Reply {
    let answer = refusal.reason.answer();
    let mut headers = error_headers();
    let error = match answer.challenge {
        Challenge::None => None,
        Challenge::Bare => Some(None),
        Challenge::WithError => Some(Some((answer.error, answer.description))),
    };
    if let Some(error) = error {
        let scopes = refusal.needs.as_deref().unwrap_or(&resource.scopes);
        let challenge = challenge(error, scopes, resource, bindings);
        headers.push(("www-authenticate", challenge));
    }
    if let Some(wait) = refusal.retry_after {
        headers.push(("retry-after", wait.as_secs().max(1).to_string()));
    }
    headers.append(&mut readable(origin));
    let (status, body) = match (&refusal.denied, &refusal.mismatch) {
        // All clients show this answer and go on; with any other some lose the session.
        (Some(denied), _) => {
            let message = format!("{}: {}", answer.description, denied.operation);
            (
                200,
                rpc_error(OPERATION_NOT_ALLOWED, Some(&denied.id), &message),
            )
        }
        // What clients of 2026-07-28 and later expect where headers and body disagree.
        (None, Some(refused)) => {
            let message = format!("Header mismatch: {}", refused.mismatch);
            let body = rpc_error(HEADER_MISMATCH, refused.id.as_ref(), &message);
            (answer.status, body)
        }
        (None, None) => (answer.status, error_body(answer.error, answer.description)),
    };
    Reply {
        status,
        headers,
        body,
    }
}

/// An error of JSON-RPC, with the id of the request.
fn rpc_error(code: i32, id: Option<&RequestId>, message: &str) -> String {
    let id = match id {
        None => serde_json::Value::Null,
        Some(RequestId::Number(number)) => (*number).into(),
        Some(RequestId::String(text)) => text.as_str().into(),
    };
    serde_json::json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {"code": code, "message": message},
    })
    .to_string()
}

/// One challenge (RFC 6750 §3, RFC 9728 §5.1) that every known client reads: `Bearer` first, all
/// values quoted, an absolute metadata URL.
fn challenge(
    error: Option<(ErrorCode, &str)>,
    scopes: &[String],
    resource: &Resource,
    bindings: &Bindings,
) -> String {
    let metadata = format!(
        "resource_metadata=\"{}\"",
        resource.metadata.url.render(bindings)
    );
    let scope = (!scopes.is_empty()).then(|| format!("scope=\"{}\"", scopes.join(" ")));
    let mut parameters = Vec::with_capacity(4);
    match error {
        None => {
            parameters.push(metadata);
            parameters.extend(scope);
        }
        Some((ErrorCode::InsufficientScope, description)) => {
            parameters.push(format!(
                "error=\"{}\"",
                ErrorCode::InsufficientScope.as_str()
            ));
            parameters.extend(scope);
            parameters.push(metadata);
            parameters.push(format!("error_description=\"{description}\""));
        }
        Some((error, description)) => {
            parameters.push(format!("error=\"{}\"", error.as_str()));
            parameters.push(format!("error_description=\"{description}\""));
            parameters.push(metadata);
            parameters.extend(scope);
        }
    }
    format!("Bearer {}", parameters.join(", "))
}

/// The headers that let a script of this origin read a response.
pub fn readable(origin: Origin<'_>) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if origin != Origin::Absent {
        allow_origin(origin, &mut headers);
        headers.push(("access-control-expose-headers", EXPOSED.to_owned()));
    }
    headers
}

fn allow_origin(origin: Origin<'_>, headers: &mut Vec<(&'static str, String)>) {
    match origin {
        Origin::Absent | Origin::NotAllowed => {}
        Origin::Any => headers.push(("access-control-allow-origin", "*".to_owned())),
        Origin::Allowed(origin) => {
            headers.push(("access-control-allow-origin", origin.to_owned()));
            headers.push(("vary", "Origin".to_owned()));
        }
    }
}

fn error_headers() -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/json".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ]
}

/// Codes and descriptions are constants without characters that JSON would escape.
fn error_body(error: ErrorCode, description: &str) -> String {
    format!(
        "{{\"error\":\"{}\",\"error_description\":\"{description}\"}}",
        error.as_str()
    )
}

/// The answer where the filter itself failed, before it is known whom the request is for.
pub fn internal() -> Reply {
    let answer = crate::reason::Reason::Internal.answer();
    let mut headers = error_headers();
    headers.push(("retry-after", "1".to_owned()));
    Reply {
        status: answer.status,
        headers,
        body: error_body(answer.error, answer.description),
    }
}
