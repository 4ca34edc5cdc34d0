//! How an issuer is asked: the part of the configuration that is about introspection.

use std::time::Duration;

use crate::url::HttpUrl;

/// How an issuer is asked about tokens.
#[derive(Clone, Debug)]
pub struct IntrospectionSource {
    /// The issuer's identifier, from which discovery URLs are made.
    pub issuer: HttpUrl,
    /// The Envoy cluster that is asked; it adds the credentials.
    pub cluster: String,
    /// Where the endpoint is.
    pub endpoint: EndpointSource,
    /// Which tokens it is asked about.
    pub tokens: Tokens,
    /// For how long an answer holds: 0 to 1 h; default 30 s.
    pub cache: Duration,
    /// Whether an answer must have an `aud`; default true.
    pub require_audience: bool,
    /// The bound on one question: that of a fetch of keys.
    pub timeout: Duration,
}

/// Where an introspection endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// Here.
    Configured(HttpUrl),
    /// Where the issuer's metadata says, which this Envoy cluster serves. It is another one than
    /// the cluster that is asked, so that no credentials go with it.
    Discovered {
        /// The cluster.
        cluster: String,
    },
}

/// Which tokens an issuer is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Those that are no JWT.
    Opaque,
    /// JWTs as well, which are verified besides.
    All,
}
