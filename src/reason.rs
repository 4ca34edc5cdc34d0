//! Why a request was refused: a closed set, and its one mapping to what the client, the counters
//! and the logs are told.

/// The party at fault for a refusal: what an operator looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request itself is malformed or ambiguous.
    Request,
    /// No usable token came with the request.
    Token,
    /// The token is good, but the policy asks for more.
    Policy,
    /// The filter could not judge: keys cannot be had, or a limit is reached.
    Outage,
}

/// The `error` codes of RFC 6750 §3.1, and the one that this filter adds for outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `invalid_request`
    InvalidRequest,
    /// `unauthorized`: no credentials came. In bodies alone; a challenge has no `error` then.
    Unauthorized,
    /// `invalid_token`
    InvalidToken,
    /// `insufficient_scope`
    InsufficientScope,
    /// `access_denied`: no scope can help (RFC 6749 §4.1.2.1 has the name).
    AccessDenied,
    /// `temporarily_unavailable` (RFC 6749 §4.1.2.1 has the name).
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code as it stands in a challenge and in a body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// The things that a client may learn from a refusal: status, code, and a description from a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `error` of challenge and body.
    pub error: ErrorCode,
    /// The `error_description`: ASCII without `"` and `\` (RFC 6750 §3), never from the request.
    pub description: &'static str,
    /// The `WWW-Authenticate` challenge that goes with it.
    pub challenge: Challenge,
}

/// Which challenge goes with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// None: logging in again would not help.
    None,
    /// Without `error`: the client has not tried yet (RFC 6750 §3.1).
    Bare,
    /// With `error` and `error_description`.
    WithError,
}

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident => $label:literal, $fault:ident, $status:literal, $error:ident, $challenge:ident, $description:literal; )+) => {
        /// Why a request was refused. One meaning each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $( $(#[doc = $doc])+ $name, )+ }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[ $( Reason::$name, )+ ];

            /// The `reason` label of counters, logs and filter state.
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )+ }
            }

            /// The party at fault.
            pub const fn fault(self) -> Fault {
                match self { $( Self::$name => Fault::$fault, )+ }
            }

            /// The answer to the client.
            pub const fn answer(self) -> Answer {
                match self { $( Self::$name => Answer {
                    status: $status,
                    error: ErrorCode::$error,
                    description: $description,
                    challenge: Challenge::$challenge,
                }, )+ }
            }
        }
    };
}

// The one table: label, fault, status, error, challenge, description.
reasons! {
    /// The request has no `:path` (a CONNECT without protocol), so nothing can be decided.
    PathMissing => "path_missing", Request, 400, InvalidRequest, None, "The request has no path";
    /// The path has several readings, and one of them is protected.
    PathAmbiguous => "path_ambiguous", Request, 400, InvalidRequest, None, "The request path is ambiguous";
    /// The host is missing or malformed where `hosts` decides who is asked.
    HostInvalid => "host_invalid", Request, 400, InvalidRequest, None, "The request host is missing or malformed";
    /// More than one `Authorization`, separate or comma-joined.
    MultipleCredentials => "multiple_credentials", Request, 400, InvalidRequest, None, "The request has more than one Authorization header";
    /// The `Origin` is not one of `allowed_origins`.
    OriginNotAllowed => "origin_not_allowed", Policy, 403, AccessDenied, None, "The Origin is not allowed";

    /// No `Authorization` at all.
    CredentialsMissing => "credentials_missing", Token, 401, Unauthorized, Bare, "A Bearer access token is required";
    /// An `Authorization` of another scheme than Bearer.
    SchemeNotBearer => "scheme_not_bearer", Token, 401, Unauthorized, Bare, "A Bearer access token is required";

    /// Longer than `limits.token_bytes`.
    TokenTooLarge => "token_too_large", Token, 401, InvalidToken, WithError, "The access token is too large";
    /// Not a compact JWS with JSON header and claims (RFC 7515 §3.1, RFC 7519 §7.2).
    TokenMalformed => "token_malformed", Token, 401, InvalidToken, WithError, "The access token is not a well-formed JWT";
    /// A `crit` header (RFC 7515 §4.1.11): no extension is understood.
    CriticalHeader => "critical_header", Token, 401, InvalidToken, WithError, "The access token has a critical header that is not understood";
    /// A `typ` that is not one of `token_types` (RFC 9068 §4, RFC 8725 §3.11).
    TokenTypeNotAllowed => "token_type_not_allowed", Token, 401, InvalidToken, WithError, "The token type is not that of an access token";
    /// A claim `token_use`, `typ`, `tokenType`, `token_type` or `type` names an ID, refresh or logout
    /// token (RFC 8725 §3.12: one kind of token must not pass for another).
    NotAnAccessToken => "not_an_access_token", Token, 401, InvalidToken, WithError, "The token says of itself that it is not an access token";
    /// An `alg` that is unknown, symmetric, `none`, or outside the issuer's `algorithms`.
    AlgorithmNotAllowed => "algorithm_not_allowed", Token, 401, InvalidToken, WithError, "The signature algorithm of the access token is not allowed";
    /// A registered claim is missing or has a wrong type or value range (RFC 7519 §4.1).
    ClaimsMalformed => "claims_malformed", Token, 401, InvalidToken, WithError, "A claim of the access token is missing or malformed";
    /// `iss` is not an issuer of this resource.
    IssuerNotAllowed => "issuer_not_allowed", Token, 401, InvalidToken, WithError, "The access token is from another issuer";
    /// `aud` does not name this resource.
    AudienceNotAllowed => "audience_not_allowed", Token, 401, InvalidToken, WithError, "The access token is for another audience";
    /// `exp` has passed.
    Expired => "expired", Token, 401, InvalidToken, WithError, "The access token has expired";
    /// `nbf` is still to come.
    NotYetValid => "not_yet_valid", Token, 401, InvalidToken, WithError, "The access token is not valid yet";
    /// `iat` is in the future.
    IssuedInFuture => "issued_in_future", Token, 401, InvalidToken, WithError, "The access token was issued in the future";
    /// `exp - iat` is more than `max_token_lifetime_seconds`, or `iat` is absent where that is set.
    LifetimeTooLong => "lifetime_too_long", Token, 401, InvalidToken, WithError, "The access token is valid for too long";
    /// It has a `cnf` (RFC 7800) of any kind: as a Bearer token it proves nothing, and must be
    /// refused (RFC 9449 §7.1, RFC 8705 §3).
    SenderConstrained => "sender_constrained", Token, 401, InvalidToken, WithError, "The access token is bound to a key that the request does not prove";
    /// No key of the issuer has this `kid`, also after a refresh.
    KeyUnknown => "key_unknown", Token, 401, InvalidToken, WithError, "The signing key of the access token is unknown";
    /// The issuer has the key, but it is not for this `alg`.
    KeyMismatch => "key_mismatch", Token, 401, InvalidToken, WithError, "The signing key of the access token is not for its algorithm";
    /// The signature does not verify.
    SignatureInvalid => "signature_invalid", Token, 401, InvalidToken, WithError, "The signature of the access token is invalid";

    /// Its issuer, asked by introspection (RFC 7662), calls it inactive: it was revoked, has expired
    /// or never was, or whoever asks may not know of it.
    TokenInactive => "token_inactive", Token, 401, InvalidToken, WithError, "The authorization server does not call the access token active";

    /// A scope that the resource needs is missing.
    ScopeInsufficient => "scope_insufficient", Policy, 403, InsufficientScope, WithError, "The access token lacks a scope that this request needs";
    /// A claim that `require_claims` names is missing or has another value.
    ClaimNotAllowed => "claim_not_allowed", Policy, 403, AccessDenied, None, "The access token is not entitled to this resource";

    /// A rule of `operations` denies what the request asks for to everybody.
    OperationNotAllowed => "operation_not_allowed", Policy, 403, AccessDenied, None, "The operation is not allowed here";
    /// The body is longer than `limits.body_bytes`, and `operations` need it.
    BodyTooLarge => "body_too_large", Request, 413, InvalidRequest, None, "The request body is too large to be judged";
    /// The body did not end within `limits.body_seconds`, and `operations` need it.
    BodyTimeout => "body_timeout", Request, 408, InvalidRequest, None, "The request body did not end in time";
    /// The headers say that the body is in another encoding than UTF-8, or compressed, and
    /// `operations` need it.
    BodyEncoded => "body_encoded", Request, 415, InvalidRequest, None, "The request body must be UTF-8 and not compressed";
    /// A body came with a method that has none (GET, HEAD, DELETE, OPTIONS): some server may look
    /// for an operation in it.
    BodyUnexpected => "body_unexpected", Request, 400, InvalidRequest, None, "A request of this method has no body";
    /// The body is not one that all servers read in the same way, and `operations` need it.
    BodyMalformed => "body_malformed", Request, 400, InvalidRequest, None, "The request body is not well-formed JSON-RPC";
    /// Routing headers (`Mcp-Method`, `Mcp-Name`, `MCP-Protocol-Version`) and body disagree.
    HeaderMismatch => "header_mismatch", Request, 400, InvalidRequest, None, "The routing headers and the body disagree";

    /// The issuer's keys were never fetched.
    KeysUnavailable => "keys_unavailable", Outage, 503, TemporarilyUnavailable, None, "The keys of the authorization server cannot be fetched";
    /// The issuer's keys are older than `keys.max_stale_seconds` allows.
    KeysStale => "keys_stale", Outage, 503, TemporarilyUnavailable, None, "The keys of the authorization server are too old";
    /// The token's key is not in the issuer's set, which was fetched before the token came; the
    /// issuer was asked for another key too recently to be asked again.
    KeyPending => "key_pending", Outage, 503, TemporarilyUnavailable, None, "The signing key of the access token is not known yet";
    /// More keys of the set may have signed the token than are tried, and none that was tried has.
    TooManyKeys => "too_many_keys", Outage, 503, TemporarilyUnavailable, None, "The authorization server has too many keys that may have signed the access token";
    /// The issuer could not be asked about the token, or gave no answer, or too many questions are
    /// open.
    IntrospectionUnavailable => "introspection_unavailable", Outage, 503, TemporarilyUnavailable, None, "The authorization server cannot be asked about the access token";
    /// `limits.held_requests` requests wait for keys already.
    TooManyWaiting => "too_many_waiting", Outage, 503, TemporarilyUnavailable, None, "Too many requests wait for the keys of the authorization server";
    /// Bodies of `limits.held_body_bytes` are held already.
    NoRoomForBody => "no_room_for_body", Outage, 503, TemporarilyUnavailable, None, "Too many request bodies wait to be judged";
    /// The filter itself failed; the request was not judged.
    Internal => "internal", Outage, 503, TemporarilyUnavailable, None, "The request could not be judged";
}
