//! The headers in which a server is told who calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::checks::{Result, value};
use super::resource::claim_path;
use crate::config::words::quoted;
use crate::resource::IdentityHeader;

/// Claims that go to the server unless `identity_headers` says otherwise.
const DEFAULT_IDENTITY_HEADERS: [(&str, &str); 4] = [
    ("sub", "x-mcp-sub"),
    ("client_id", "x-mcp-client-id"),
    ("scope", "x-mcp-scope"),
    ("iss", "x-mcp-issuer"),
];

/// Headers that a claim must never replace: they steer the request itself.
pub(in crate::config) const RESERVED_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn identity_headers(
    field: &str,
    map: Option<BTreeMap<String, String>>,
) -> Result<Vec<IdentityHeader>> {
    let Some(map) = map else {
        return DEFAULT_IDENTITY_HEADERS
            .iter()
            .map(|(claim, name)| {
                Ok(IdentityHeader {
                    claim: claim_path(field, claim)?,
                    name: Arc::from(*name),
                })
            })
            .collect();
    };
    let mut names = BTreeSet::new();
    map.into_iter()
        .map(|(claim, name)| {
            let field = format!("{field}.{claim}");
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !is_name || RESERVED_HEADERS.contains(&name.as_str()) {
                return Err(value(
                    &field,
                    &quoted(&name),
                    "a header name of a-z, 0-9 and `-` that HTTP itself does not use",
                ));
            }
            if !names.insert(name.clone()) {
                return Err(value(
                    &field,
                    &quoted(&name),
                    "a header of its own for each claim",
                ));
            }
            Ok(IdentityHeader {
                claim: claim_path(&field, &claim)?,
                name: Arc::from(name),
            })
        })
        .collect()
}
