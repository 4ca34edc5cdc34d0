//! The configuration as it is written: shapes and defaults, nothing checked yet.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) issuers: Vec<Issuer>,
    pub(super) resources: Vec<Resource>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    #[default]
    Enforce,
    Observe,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) token_bytes: Option<u64>,
    pub(super) held_requests: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) issuer: String,
    pub(super) cluster: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) jwks_cluster: Option<String>,
    pub(super) jwks: Option<serde_json::Value>,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) token_types: Option<Vec<Option<String>>>,
    pub(super) clock_skew_seconds: Option<u64>,
    pub(super) max_token_lifetime_seconds: Option<u64>,
    #[serde(default)]
    pub(super) keys: KeyTimings,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTimings {
    pub(super) refresh_seconds: Option<u64>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) unknown_key_cooldown_seconds: Option<u64>,
    pub(super) max_stale_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resource {
    pub(super) resource: String,
    pub(super) path: Option<String>,
    pub(super) hosts: Option<Vec<String>>,
    pub(super) issuers: Option<Vec<String>>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    pub(super) scopes_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) scope_hierarchy: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) require_claims: BTreeMap<String, Vec<String>>,
    pub(super) allowed_origins: Option<Vec<String>>,
    pub(super) name: Option<String>,
    pub(super) documentation: Option<String>,
    pub(super) identity_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) forward_token: bool,
    #[serde(default = "yes")]
    pub(super) cors: bool,
}

const fn yes() -> bool {
    true
}
