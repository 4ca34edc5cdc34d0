//! The configuration as it is written: shapes, defaults and bounds, nothing checked yet.
//!
//! The JSON Schema is generated from these types, so the descriptions are for those who write
//! configurations, and the bounds of numbers stand here alone. What an absent `Option` comes to is
//! said in its description.

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) const DAY: u64 = 24 * 60 * 60;

/// The longest `max_token_lifetime_seconds`.
pub(super) const MAX_TOKEN_LIFETIME: u64 = 366 * DAY;

/// A whole number with its default and its bounds.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Number<const DEFAULT: u64, const MIN: u64, const MAX: u64>(
    pub(super) Option<u64>,
);

/// The configuration of the MCP authorization filter for Envoy: whose tokens are accepted, for
/// which resources. Every field that is not described here is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(target_family = "wasm"),
    derive(schemars::JsonSchema),
    schemars(title = "mcp-auth-filter")
)]
pub(super) struct Config {
    /// The kill switch. `false`: every request passes, and no metadata is served.
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    /// The handling of refusals: they are carried out, or counted and logged.
    #[serde(default)]
    pub(super) mode: Mode,
    /// Bounds on what one worker takes in.
    #[serde(default)]
    pub(super) limits: Limits,
    /// The authorization servers whose tokens are accepted, each `issuer` once.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub(super) issuers: Vec<Issuer>,
    /// The protected resources. No two share a path, unless `hosts` tell them apart.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub(super) resources: Vec<Resource>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(
    not(target_family = "wasm"),
    derive(schemars::JsonSchema, serde::Serialize)
)]
pub(super) enum Mode {
    /// Requests without a good token are refused.
    #[default]
    Enforce,
    /// Such requests are counted and logged, and forwarded all the same: nothing is protected.
    Observe,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub(super) struct Limits {
    /// The longest token that is looked at, in bytes.
    #[serde(default)]
    pub(super) token_bytes: Number<16_384, 256, 65_536>,
    /// The most requests that wait for keys at once, per worker; those beyond are answered 503.
    #[serde(default)]
    pub(super) held_requests: Number<1024, 1, 65_536>,
    /// The most verified tokens that are remembered, per worker; 0 for none.
    #[serde(default)]
    pub(super) cached_tokens: Number<16_384, 0, 1_048_576>,
    /// The most bytes that these may take, per worker.
    #[serde(default)]
    pub(super) cached_bytes: Number<33_554_432, 0, 1_073_741_824>,
    /// The longest request body that is read where `operations` need it, in bytes; longer ones are
    /// answered 413. Envoy's buffer (`per_connection_buffer_limit_bytes`) must be longer.
    #[serde(default)]
    pub(super) body_bytes: Number<524_288, 1024, 16_777_216>,
    /// The most bytes of bodies that are held at once until they are judged, per worker; a body
    /// beyond that is answered 503. It must not be less than `body_bytes`.
    #[serde(default)]
    pub(super) held_body_bytes: Number<67_108_864, 65_536, 1_073_741_824>,
    /// The time that a body that `operations` need may take to end, in seconds; then it is
    /// answered 408.
    #[serde(default)]
    pub(super) body_seconds: Number<30, 1, 3600>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(target_family = "wasm"),
    derive(schemars::JsonSchema),
    schemars(transform = super::schema::one_source_of_keys)
)]
pub(super) struct Issuer {
    /// The issuer identifier, byte for byte as in the `iss` of its tokens: an http(s) URL without
    /// query and fragment (RFC 8414 §2).
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::IDENTIFIER))
    )]
    pub(super) issuer: String,
    /// The Envoy cluster that reaches the issuer, for discovery and keys. Either this or `jwks`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::NOT_BLANK))
    )]
    pub(super) cluster: Option<String>,
    /// The URL of the key set; https where the issuer's is. Default: discovered (RFC 8414, OpenID
    /// Connect Discovery).
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::LOCATION))
    )]
    pub(super) jwks_uri: Option<String>,
    /// The Envoy cluster that serves the key set, for providers that keep it on another host.
    /// Default: `cluster`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::NOT_BLANK))
    )]
    pub(super) jwks_cluster: Option<String>,
    /// The key set itself (RFC 7517 §5), instead of a cluster to fetch it from. At least one of its
    /// keys must be a public signature key.
    #[serde(default)]
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(schema_with = "super::schema::key_set")
    )]
    pub(super) jwks: Option<serde_json::Value>,
    /// The signature algorithms that are accepted. Default: all of these.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(transform = super::schema::algorithms)
    )]
    pub(super) algorithms: Option<Vec<String>>,
    /// The audiences of which a token must have one, in place of the resource's identifier.
    /// Default: the identifier of the resource that is asked for (RFC 8707).
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(length(min = 1), inner(length(min = 1)))
    )]
    pub(super) audiences: Option<Vec<String>>,
    /// The `typ` that tokens may have, with or without `application/`; null stands for none at
    /// all. Default: `at+jwt` (RFC 9068), `JWT` and null.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(length(min = 1), inner(regex(pattern = super::schema::VISIBLE)))
    )]
    pub(super) token_types: Option<Vec<Option<String>>>,
    /// The most that the issuer's clock may be off, in seconds, in both directions.
    #[serde(default)]
    pub(super) clock_skew_seconds: Number<60, 0, 600>,
    /// The longest `exp - iat`, in seconds; where it is set, tokens must have `iat`. Default: no
    /// bound.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(range(min = 1, max = MAX_TOKEN_LIFETIME))
    )]
    pub(super) max_token_lifetime_seconds: Option<u64>,
    /// The times at which keys are fetched, and for which they are trusted.
    #[serde(default)]
    pub(super) keys: KeyTimings,
    /// True if the issuer's metadata is served at /.well-known/oauth-authorization-server and
    /// /.well-known/openid-configuration of the resources' hosts, for clients of 2025-03-26. It
    /// needs `cluster`.
    #[serde(default)]
    pub(super) authorization_server_metadata: bool,
    /// The way in which the issuer is asked about tokens (RFC 7662). With `endpoint` it makes up
    /// for keys, where all tokens are opaque. Default: it is not asked, and opaque tokens are
    /// refused.
    pub(super) introspection: Option<Introspection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub(super) struct Introspection {
    /// The Envoy cluster that is asked. It adds the credentials (`credential_injector`), so it is
    /// another one than `cluster`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::NOT_BLANK))
    )]
    pub(super) cluster: String,
    /// The URL of the introspection endpoint. Default: discovered (RFC 8414, OpenID Connect
    /// Discovery), by `cluster` of the issuer.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::LOCATION))
    )]
    pub(super) endpoint: Option<String>,
    /// The tokens that the issuer is asked about.
    #[serde(default)]
    pub(super) tokens: IntrospectedTokens,
    /// For how long an answer holds, in seconds, never beyond the token's `exp`; 0: every request
    /// asks. A token that was revoked is good for so long.
    #[serde(default)]
    pub(super) cache_seconds: Number<30, 0, 3600>,
    /// True if an answer must have `aud`. `false`: one without is accepted, where the resource has
    /// `scopes`; then any token of the issuer with these is good for the resource.
    #[serde(default = "yes")]
    pub(super) require_audience: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(
    not(target_family = "wasm"),
    derive(schemars::JsonSchema, serde::Serialize)
)]
pub(super) enum IntrospectedTokens {
    /// Those that are no JWT.
    #[default]
    Opaque,
    /// JWTs as well: they are verified here, and asked about besides.
    All,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub(super) struct KeyTimings {
    /// The age at which keys are refreshed, in seconds.
    #[serde(default)]
    pub(super) refresh_seconds: Number<600, 1, DAY>,
    /// The bound on one fetch, and on the time that a request waits for keys, in seconds.
    #[serde(default)]
    pub(super) timeout_seconds: Number<5, 1, 60>,
    /// The least time between two fetches that unknown keys cause, in seconds.
    #[serde(default)]
    pub(super) unknown_key_cooldown_seconds: Number<30, 1, 3600>,
    /// The time past `refresh_seconds` for which the last good keys are used while they cannot be
    /// refreshed, in seconds. A revoked key is trusted for so long in an outage.
    #[serde(default)]
    pub(super) max_stale_seconds: Number<3600, 0, { 7 * DAY }>,
}

impl KeyTimings {
    /// `true` if any of them is given.
    pub(super) fn has_any(&self) -> bool {
        let Self {
            refresh_seconds,
            timeout_seconds,
            unknown_key_cooldown_seconds,
            max_stale_seconds,
        } = self;
        refresh_seconds.0.is_some()
            || timeout_seconds.0.is_some()
            || unknown_key_cooldown_seconds.0.is_some()
            || max_stale_seconds.0.is_some()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub(super) struct Resource {
    /// The resource's identifier (RFC 8707 §2), the URL that clients use: http(s), without query
    /// and fragment. `{name}` stands for one segment of its path.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::RESOURCE))
    )]
    pub(super) resource: String,
    /// The path that Envoy sees; it stands for itself and all below it. Default: that of
    /// `resource`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::PATH))
    )]
    pub(super) path: Option<String>,
    /// The hosts that it is served on, in lower case, with a port where it matters; requests for
    /// others are not its. Default: all.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(length(min = 1), inner(regex(pattern = super::schema::HOST)))
    )]
    pub(super) hosts: Option<Vec<String>>,
    /// The issuers whose tokens are accepted: some of the `issuer`s, byte for byte. Default: all of
    /// them.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub(super) issuers: Option<Vec<String>>,
    /// The scopes that every request needs.
    #[serde(default)]
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(inner(regex(pattern = super::schema::SCOPE)))
    )]
    pub(super) scopes: Vec<String>,
    /// The scopes that the metadata names (RFC 9728 §2). Default: `scopes`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(inner(regex(pattern = super::schema::SCOPE)))
    )]
    pub(super) scopes_supported: Option<Vec<String>>,
    /// The needs of single operations beyond `scopes`: a request needs what every rule asks for
    /// that matches it.
    #[serde(default)]
    pub(super) operations: Vec<OperationRule>,
    /// True if tools/list, prompts/list and resources/list lose the entries that `operations` do
    /// not let the client use.
    #[serde(default)]
    pub(super) filter_lists: bool,
    /// Broader scopes, each with the narrower ones that it implies.
    #[serde(default)]
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(transform = super::schema::scope_hierarchy)
    )]
    pub(super) scope_hierarchy: BTreeMap<String, Vec<String>>,
    /// Claims, each with the values of which it must have one. A claim is a name or a JSON Pointer
    /// such as /realm_access/roles (RFC 6901); `{name}` in a value is a variable of the path.
    #[serde(default)]
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(transform = super::schema::claim_rules)
    )]
    pub(super) require_claims: BTreeMap<String, Vec<String>>,
    /// The only origins of browsers that are served, such as https://app.example.com. Default: all.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(inner(regex(pattern = super::schema::ORIGIN)))
    )]
    pub(super) allowed_origins: Option<Vec<String>>,
    /// A name for people, for the metadata.
    pub(super) name: Option<String>,
    /// The URL of a page for developers, for the metadata.
    pub(super) documentation: Option<String>,
    /// Claims (as in `require_claims`), each with the request header that tells the server its
    /// value: a-z, 0-9 and `-`. Default: `sub` → `x-mcp-sub`, `client_id` → `x-mcp-client-id`,
    /// `scope` → `x-mcp-scope`, `iss` → `x-mcp-issuer`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(transform = super::schema::identity_headers)
    )]
    pub(super) identity_headers: Option<BTreeMap<String, String>>,
    /// The facts of the client that filter state has, for access logs and for filters behind this
    /// one: `wasm.mcp_auth_subject` and so on. Default: all of it.
    pub(super) filter_state: Option<Vec<FilterState>>,
    /// True if the server gets the token itself.
    #[serde(default)]
    pub(super) forward_token: bool,
    /// True if CORS is answered here; else it is left to the server.
    #[serde(default = "yes")]
    pub(super) cors: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(target_family = "wasm"),
    derive(schemars::JsonSchema),
    schemars(transform = super::schema::scopes_or_deny)
)]
pub(super) struct OperationRule {
    /// The JSON-RPC method, such as tools/call; `*` stands for any characters.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(regex(pattern = super::schema::NOT_BLANK))
    )]
    pub(super) method: String,
    /// Of what: the tool, the prompt, the URI of a resource, or the task; `*` stands for any
    /// characters. Default: all.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub(super) name: Option<String>,
    /// The names that the rule is not about; `*` stands for any characters. With `deny` this makes
    /// a list of what is allowed. A URI is excepted only if it is so however a server reads it.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(inner(length(min = 1))))]
    pub(super) except: Vec<String>,
    /// The scopes that it needs, all of them. Either this or `deny`.
    #[serde(default)]
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(inner(regex(pattern = super::schema::SCOPE)))
    )]
    pub(super) scopes: Vec<String>,
    /// `true`: nobody may, whatever the scopes.
    #[serde(default)]
    pub(super) deny: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub(super) enum FilterState {
    /// `sub`
    Subject,
    /// `client_id`, or `azp` where there is none.
    Client,
    /// `iss`
    Issuer,
    /// The scopes.
    Scopes,
}

const fn yes() -> bool {
    true
}

#[cfg(not(target_family = "wasm"))]
impl<const DEFAULT: u64, const MIN: u64, const MAX: u64> schemars::JsonSchema
    for Number<DEFAULT, MIN, MAX>
{
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "null"],
            "minimum": MIN,
            "maximum": MAX,
            "default": DEFAULT,
        })
    }
}
