//! The headers in which a server is told who calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::advice::dotted_claim;
use super::checks::{Result, claim_path, value, warn};
use crate::claim::IdentityHeader;
use crate::config::reserved::{RESERVED_HEADERS, RESERVED_PREFIXES};
use crate::config::words::quoted;

/// Claims that go to the server unless `identity_headers` says otherwise.
const DEFAULT_IDENTITY_HEADERS: [(&str, &str); 4] = [
    ("sub", "x-mcp-sub"),
    ("client_id", "x-mcp-client-id"),
    ("scope", "x-mcp-scope"),
    ("iss", "x-mcp-issuer"),
];

/// Headers that proxies and tracing write: others may rely on what they say.
const WRITTEN_BY_PROXIES: [&str; 4] = ["forwarded", "traceparent", "tracestate", "x-forwarded-"];

fn default_headers(field: &str) -> Result<Vec<IdentityHeader>> {
    DEFAULT_IDENTITY_HEADERS
        .iter()
        .map(|(claim, name)| {
            Ok(IdentityHeader {
                claim: claim_path(field, claim)?,
                name: Arc::from(*name),
            })
        })
        .collect()
}

/// `true` if a claim may be written into the header of this name.
fn is_free(name: &str) -> bool {
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_name
        && !RESERVED_HEADERS.contains(&name)
        && !RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

pub(super) fn identity_headers(
    field: &str,
    map: Option<BTreeMap<String, String>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<IdentityHeader>> {
    let Some(map) = map else {
        return default_headers(field);
    };
    let mut names = BTreeSet::new();
    map.into_iter()
        .map(|(claim, name)| {
            let field = format!("{field}.{claim}");
            if !is_free(&name) {
                return Err(value(
                    &field,
                    &quoted(&name),
                    "a header name of a-z, 0-9 and `-` that HTTP, MCP and Envoy do not use themselves",
                ));
            }
            if WRITTEN_BY_PROXIES.iter().any(|known| name.starts_with(known)) {
                let text = format!("proxies and tracing write {name} themselves, and rely on it");
                warn(warnings, &field, &text);
            }
            dotted_claim(&field, &claim, warnings);
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
