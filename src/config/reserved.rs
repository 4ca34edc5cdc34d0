//! Names of headers that no claim may be written to.

/// Headers that a claim must never replace: they steer the request itself, in HTTP, in MCP, or in
/// servers that take the method or the path from there.
pub(super) const RESERVED_HEADERS: [&str; 23] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// The beginnings of the names of more such headers: those of Envoy, of MCP, of content negotiation.
pub(super) const RESERVED_PREFIXES: [&str; 3] = ["accept", "mcp-", "x-envoy-"];
