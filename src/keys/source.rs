//! The source of an issuer's keys, and how they are kept: the part of the configuration that is about
//! keys.

use std::time::Duration;

use crate::jose::jwk::KeySet;
use crate::url::HttpUrl;

/// The documents that are fetched of one issuer.
#[derive(Clone, Copy, Debug)]
pub struct Source<'c> {
    /// The source of its keys.
    pub keys: &'c KeySource,
    /// `true` if its metadata is wanted too.
    pub mirrors_metadata: bool,
}

/// The source of an issuer's keys.
#[derive(Debug)]
pub enum KeySource {
    /// From the configuration; they never change and never grow stale.
    Inline(KeySet),
    /// Fetched through Envoy.
    Remote(RemoteKeys),
}

/// The fetching of an issuer's keys.
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
    /// The time past `refresh` for which the last good keys are used when they cannot be refreshed: 0 to
    /// 7 days; default 3,600 s. A revoked key is trusted for so long in an outage.
    pub max_stale: Duration,
}
