//! What is fuzzed: one function for each target, which panics if a promise of the filter is broken.
//!
//! `fuzz_targets/` runs them under libFuzzer, and `tests/fuzz_corpus.rs` of the filter replays the
//! kept corpus through the same functions on every `cargo test`. The promises are checked against
//! naive code of their own, not against the code that is under test.

// Fixed keys; its `crate::token` is the filter's.
#[allow(dead_code)]
#[path = "../../src/testing.rs"]
mod testing;
// What servers make of a path, as the property tests have it.
#[allow(dead_code)]
#[path = "../../src/resource/path/tests/steps.rs"]
mod steps;

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth_filter::bearer::{self, Credentials};
use mcp_auth_filter::config::{Config, Mode};
use mcp_auth_filter::gate::reply::{self, Origin, Reply};
use mcp_auth_filter::gate::{self, Decision, Edits, Refusal};
use mcp_auth_filter::head::Head;
use mcp_auth_filter::ids::{IssuerId, ResourceId};
use mcp_auth_filter::introspection::Command;
use mcp_auth_filter::jose;
use mcp_auth_filter::jose::jwk::{KeySet, Lookup};
use mcp_auth_filter::jose::signature::{Algorithm, Portable};
use mcp_auth_filter::keys::{FetchOutcome, Keys};
use mcp_auth_filter::mcp::{self, Messages};
use mcp_auth_filter::reason::{Challenge, Reason};
use mcp_auth_filter::resource::Route;
use mcp_auth_filter::resource::host::Authority;
use mcp_auth_filter::resource::path::{PathMatch, PathPattern, RequestPath};
use mcp_auth_filter::template::Bindings;
use mcp_auth_filter::time::UnixNanos;
use mcp_auth_filter::token::{TokenPolicy, TokenType, UnverifiedToken};
use mcp_auth_filter::trust::Trust;
use serde_json::{Value, json};

use steps::backwards;
use testing::Signer;

/// A target: its name, and what is done with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by name.
pub const TARGETS: [Target; 8] = [
    ("token", token),
    ("jwk_set", jwk_set),
    ("configuration", configuration),
    ("request_path", request_path),
    ("request_body", request_body),
    ("authorization", authorization),
    ("decision", decision),
    ("introspection", introspection),
];

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 60;
const MAX_TOKEN_BYTES: usize = 8192;
const ISSUER: &str = "https://auth.example.com";
const STRANGER: &str = "https://other.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// A token as it comes, or `HEADER|CLAIMS` in JSON, which is signed here with the issuer's Ed25519
/// key: the way behind the signature is open to the fuzzer, too.
pub fn token(input: &[u8]) {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        KeySet::parse(testing::key_set().to_string().as_bytes())
            .unwrap()
            .0
    });
    let signed = signed(Signer::Issuer, input);
    let text = signed.as_deref().map_or(input, str::as_bytes);

    let parsed = UnverifiedToken::parse(text, MAX_TOKEN_BYTES);
    let again = UnverifiedToken::parse(text, MAX_TOKEN_BYTES);
    assert_eq!(parsed.as_ref().err(), again.as_ref().err());
    if text.len() > MAX_TOKEN_BYTES {
        assert_eq!(parsed.err(), Some(Reason::TokenTooLarge));
        return;
    }
    let Ok(parsed) = parsed else { return };

    let text = std::str::from_utf8(text).expect("a token is ASCII");
    let parts: Vec<Vec<u8>> = text
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"))
        .collect();
    assert_eq!(parts.len(), 3);
    let spelt_anew: Vec<String> = parts.iter().map(|part| testing::encode(part)).collect();
    assert_eq!(spelt_anew.join("."), text, "a token has one spelling");
    let header: Value = serde_json::from_slice(&parts[0]).expect("JSON header");
    let claims: Value = serde_json::from_slice(&parts[1]).expect("JSON claims");
    assert_eq!(header["kid"].as_str(), parsed.unverified_kid());
    assert_eq!(header["typ"].as_str(), parsed.unverified_type());
    assert!(header.get("crit").is_none());
    assert_eq!(
        Algorithm::from_name(header["alg"].as_str().unwrap()),
        Some(parsed.algorithm())
    );
    assert_eq!(claims["iss"].as_str(), Some(parsed.unverified_issuer()));

    let policy = policy();
    let failure = parsed.fails(&policy, &[RESOURCE], UnixNanos::from_secs(NOW));
    if failure.is_none() {
        assert_good(&claims, ISSUER, RESOURCE);
        assert!(is_type_of_access_token(header["typ"].as_str()));
        let life = number(&claims, "exp").unwrap() - number(&claims, "iat").unwrap();
        assert!(life < 86_400.0 + 2.0);
    }
    let far = UnixNanos::from_secs(253_402_300_799 + SKEW);
    assert!(parsed.fails(&policy, &[RESOURCE], far).is_some());

    let kid = parsed.unverified_kid().map(str::to_owned);
    let algorithm = parsed.algorithm();
    let Lookup::Fitting(fitting) = keys.lookup(kid.as_deref(), algorithm) else {
        return;
    };
    match parsed.verify(fitting, &Portable) {
        Ok(_) => assert!(signed.is_some() || is_known(text), "a forged token"),
        Err(_) => {
            assert!(signed.is_none() || algorithm != Algorithm::EdDsa);
        }
    }
}

/// A JWK set.
pub fn jwk_set(input: &[u8]) {
    let Ok((keys, skipped)) = KeySet::parse(input) else {
        return;
    };
    let (again, skipped_again) = KeySet::parse(input).unwrap();
    assert_eq!((keys.len(), &skipped), (again.len(), &skipped_again));
    for key in &skipped {
        let line = key.to_string();
        assert!(!line.contains(char::is_control), "{line:?}");
    }

    // What nobody reads need not be decoded: a number beyond any, half of a surrogate pair.
    let Ok(document) = serde_json::from_slice::<Value>(input) else {
        return;
    };
    let elements = document["keys"].as_array().expect("a list of keys");
    assert!(keys.len() <= elements.len());
    let mut kids: BTreeSet<Option<&str>> = elements
        .iter()
        .map(|jwk| jwk["kid"].as_str())
        .take(8)
        .collect();
    kids.extend([None, Some(""), Some("none")]);
    let is_nameless = keys.keys().iter().all(|key| key.kid().is_none());
    for alg in Algorithm::ALL.iter().copied() {
        for kid in &kids {
            match keys.lookup(*kid, alg) {
                Lookup::Fitting(fitting) => {
                    assert!(!fitting.is_empty() && fitting.len() <= keys.len());
                    for key in &fitting {
                        assert!(key.fits(alg));
                        assert!(kid.is_none() || is_nameless || key.kid() == *kid);
                    }
                    for signature in [&[][..], &[0; 64], &[0; 96], &[0; 256], &[1; 64]] {
                        assert!(!fitting[0].verify(&Portable, alg, b"message", signature));
                    }
                }
                Lookup::Mismatch => assert!(kid.is_some()),
                Lookup::Unknown => {}
            }
        }
    }
    // Not one key of a set of private or symmetric ones.
    let is_secret = |jwk: &Value| jwk["kty"] == "oct" || jwk.get("d").is_some();
    assert!(keys.is_empty() || !elements.iter().all(is_secret));
}

/// A configuration; of one that is accepted, every answer is written once.
pub fn configuration(input: &[u8]) {
    let config = match (Config::parse(input), Config::parse(input)) {
        (Ok(config), Ok(_)) => config,
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            assert!(!error.to_string().is_empty());
            return;
        }
        _ => panic!("accepted and refused"),
    };
    assert!(!config.issuers.is_empty() && !config.resources.is_empty());
    for (at, resource) in config.resources.iter().enumerate() {
        let path: String = resource
            .pattern
            .to_string()
            .split_inclusive('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    "v/"
                } else {
                    segment
                }
            })
            .collect();
        let path = path.strip_suffix('/').unwrap_or(&path).to_owned() + "/tail";
        let bindings = match RequestPath::new(path.as_bytes()).matches(&resource.pattern) {
            PathMatch::Exact(bindings) => bindings,
            other => panic!("{other:?} for {path}"),
        };
        assert!(
            resource
                .pattern
                .variables()
                .all(|name| bindings.get(name) == Some("v"))
        );
        let route = gate::route(&config, Some(path.as_bytes()), Authority::Missing);
        assert_eq!(route == Route::Foreign, !config.enabled, "{path}");

        let identifier = resource.identifier.render(&bindings);
        let document: Value =
            serde_json::from_str(&resource.metadata.document.render(&bindings)).unwrap();
        assert_eq!(document["resource"], identifier.as_ref());
        for reason in Reason::ALL {
            let refusal = Refusal {
                reason: *reason,
                resource: ResourceId(at),
                issuer: Some(IssuerId(0)),
                expected: None,
                found: None,
                retry_after: Some(Duration::from_millis(1)),
                needs: None,
                mismatch: None,
                denied: None,
            };
            let reply = reply::refusal(&refusal, resource, &bindings, Origin::Any);
            assert_sendable(&reply);
            assert_refusal(*reason, &reply);
        }
        assert_sendable(&reply::metadata(resource, &bindings));
    }
}

/// A `:path`.
pub fn request_path(input: &[u8]) {
    assert_undone_is_not_foreign(input);
    static PATTERNS: OnceLock<Vec<PathPattern>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        [
            "/",
            "/mcp",
            "/MCP/v1",
            "/t/{tenant}/mcp",
            "/{a}/{b}",
            "/.well-known/oauth-protected-resource/mcp",
        ]
        .map(|text| PathPattern::parse(text).unwrap())
        .to_vec()
    });
    let path = RequestPath::new(input);
    let raw = input.split(|b| *b == b'?').next().unwrap();
    assert_eq!(path.without_query(), raw);
    // What chains of servers make of it is many readings: too many, if it is long.
    let read = if raw.len() <= 256 {
        naive::readings(raw)
    } else {
        BTreeSet::new()
    };
    // Read once for all patterns: reading costs far more than matching.
    let queried = [raw, b"?/../mcp%2f".as_slice()].concat();
    let queried = RequestPath::new(&queried);
    for pattern in patterns {
        let found = path.matches(pattern);
        assert_eq!(found, queried.matches(pattern));
        let text = pattern.to_string();
        match &found {
            PathMatch::None => {
                for segments in &read {
                    assert!(
                        !naive::below(segments, &text),
                        "{segments:?} is below {text}"
                    );
                }
            }
            PathMatch::Ambiguous => {}
            // Some server has another path there, and it is plain all the same.
            PathMatch::Suffixed(_) => {
                assert!(path.exactly(pattern).is_none());
                assert!(std::str::from_utf8(raw).is_ok());
            }
            PathMatch::Exact(bindings) => {
                assert_eq!(path.exactly(pattern).as_ref(), Some(bindings));
                assert_spelt_below(raw, &text, bindings);
                for segments in &read {
                    assert!(
                        naive::below(segments, &text),
                        "{segments:?} is not below {text}"
                    );
                }
                if raw.len() <= 1024 && !raw.ends_with(b"/") {
                    let deeper = [raw, b"/x".as_slice()].concat();
                    assert_eq!(RequestPath::new(&deeper).matches(pattern), found);
                }
            }
        }
    }
}

/// The input as a list of things that servers undo, done to the path of a resource: whatever comes of
/// it is the resource's for some chain of servers.
fn assert_undone_is_not_foreign(input: &[u8]) {
    for (start, pattern) in [("/mcp", "/mcp"), ("/t/a/mcp", "/t/{tenant}/mcp")] {
        let mut path = start.as_bytes().to_vec();
        for step in input.chunks_exact(3).take(8) {
            let [kind, place, variant] = [step[0], step[1], step[2]].map(usize::from);
            let kind = (kind % usize::from(backwards::KINDS)) as u8;
            backwards::undo(&mut path, kind, place, variant);
        }
        // What is behind `?` is for no server the path.
        for byte in &mut path {
            if *byte == b'?' {
                *byte = b'#';
            }
        }
        let found = RequestPath::new(&path).matches(&PathPattern::parse(pattern).unwrap());
        assert!(found != PathMatch::None, "{}", path.escape_ascii());
    }
}

/// A JSON-RPC body. What is read of it is what an ordinary reader reads, however it treats repeated
/// members, and member names that differ in case.
pub fn request_body(input: &[u8]) {
    let found = Messages::parse(input);
    assert_eq!(found, Messages::parse(input));
    let Ok(messages) = found else {
        return;
    };
    // What no rule asks for may be what this reader cannot decode.
    let Ok(value) = serde_json::from_slice::<Value>(input) else {
        return;
    };
    let values = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    let mut operations = messages.operations();
    for value in values {
        assert_eq!(value["jsonrpc"], "2.0");
        let members = value.as_object().unwrap();
        assert!(
            members
                .keys()
                .all(|name| name == "method" || name.to_lowercase() != "method")
        );
        let Some(method) = value.get("method") else {
            continue;
        };
        let operation = operations.next().unwrap();
        assert_eq!(method, &operation.method);
        if let Some(member) = mcp::name_member(&operation.method) {
            assert_eq!(value["params"][member].as_str(), operation.name.as_deref());
        }
    }
    assert_eq!(operations.next(), None);
}

/// The `authorization` values of a request, one a line.
pub fn authorization(input: &[u8]) {
    let values: Vec<&[u8]> = if input.is_empty() {
        Vec::new()
    } else {
        input.split(|b| *b == b'\n').collect()
    };
    let found = bearer::credentials(values.iter().copied());
    assert_eq!(found, bearer::credentials(values.iter().copied()));
    let blank = |value: &[u8]| value.iter().all(u8::is_ascii_whitespace);
    let names_bearer = |value: &[u8]| {
        value
            .to_ascii_lowercase()
            .windows(b"bearer".len())
            .any(|window| window == b"bearer")
    };
    match (found, values.as_slice()) {
        (Credentials::Missing, values) => {
            assert!(values.is_empty() || (values.len() == 1 && blank(values[0])));
        }
        (Credentials::Multiple, [value]) => assert!(value.contains(&b',') && names_bearer(value)),
        (Credentials::Multiple, values) => assert!(values.len() > 1),
        (Credentials::Bearer(token), [value]) => {
            assert!(!token.is_empty() && token.iter().all(|b| is_b64token_byte(*b)));
            let text = std::str::from_utf8(value).unwrap().trim_ascii();
            let (scheme, rest) = text.split_at("bearer".len());
            assert!(scheme.eq_ignore_ascii_case("bearer"));
            assert!(rest.starts_with([' ', '\t']));
            assert_eq!(rest.trim_ascii_start().as_bytes(), token);
        }
        (Credentials::MalformedBearer, [value]) => assert!(names_bearer(value)),
        (Credentials::OtherScheme, [value]) => {
            assert!(!blank(value));
            let scheme = value.trim_ascii().to_ascii_lowercase();
            assert!(!scheme.starts_with(b"bearer ") && scheme != b"bearer");
        }
        (found, values) => panic!("{found:?} in {} values", values.len()),
    }
}

/// A request: `METHOD PATH`, then `name: value` lines. `token: HEADER|CLAIMS` and `stranger: …`
/// become an `authorization` with a token that is signed here by one issuer or the other.
pub fn decision(input: &[u8]) {
    let config = deployment();
    let (head, issued) = read_request(input);
    let path = head.values(":path").next();
    let authority = head
        .values(":authority")
        .next()
        .map_or(Authority::Missing, Authority::Present);
    let now = UnixNanos::from_secs(NOW);
    let route = gate::route(config, path, authority);
    assert_eq!(route, gate::route(config, path, authority));

    let keys = Keys::new(config.key_sources(), now, 0);
    let mut trust = Trust::new(config, keys, Box::new(Portable), [1, 2]);
    let decision = gate::decide(config, &route, &head, &mut trust, now, now);
    // What is remembered says the same.
    let again = gate::decide(config, &route, &head, &mut trust, now, now);
    assert_eq!(format!("{decision:?}"), format!("{again:?}"));
    match &decision {
        Decision::Pass => assert_eq!(route, Route::Foreign),
        Decision::Answer(reply) => {
            assert!(matches!(reply.status, 200 | 204 | 405));
            assert!(matches!(route, Route::Metadata(..)) || reply.status == 204);
            assert_sendable(reply);
        }
        Decision::Refuse(refusal, reply) => {
            assert!(matches!(reply.status, 400 | 401 | 403));
            assert_sendable(reply);
            assert_refusal(refusal.reason, reply);
            let found = refusal.found.as_deref().unwrap_or_default();
            assert!(!found.contains(char::is_control), "{found:?}");
        }
        Decision::Allow(edits) => assert_allowed(config, &route, &head, &issued, edits),
        Decision::Off | Decision::Observe(..) | Decision::Unanswered(_) => {
            panic!("the mode is {:?}", config.mode)
        }
        Decision::Preflight(edits) => {
            assert_eq!(head.method(), b"OPTIONS");
            assert!(!head.has("authorization"));
            assert!(edits.caller.is_none());
        }
        Decision::Wait(_) => panic!("no key is fetched here"),
        Decision::ReadBody(_) => panic!("no operation has a rule here"),
    }
}

/// What an issuer answers to the question about an opaque token (RFC 7662).
pub fn introspection(input: &[u8]) {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let endpoint = "https://auth.example.com/introspect";
        let config = json!({
            "issuers": [{
                "issuer": ISSUER, "introspection": {"cluster": "i", "endpoint": endpoint},
            }],
            "resources": [{"resource": RESOURCE, "scopes": ["mcp:read"]}],
        });
        Config::parse(config.to_string().as_bytes()).unwrap()
    });
    let now = UnixNanos::from_secs(NOW);
    let keys = Keys::new(config.key_sources(), now, 0);
    let mut trust = Trust::new(config, keys, Box::new(Portable), [1, 2]);
    let headers = [
        (":method", "GET"),
        ("authorization", "Bearer an-opaque-token-0"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.into()));
    let head = Head::new(headers.to_vec());
    let route = gate::route(config, Some(b"/mcp"), Authority::NotRead);
    let first = gate::decide(config, &route, &head, &mut trust, now, now);
    assert!(matches!(first, Decision::Wait(_)));
    trust.introspection.handle_tick(now);
    while let Some(command) = trust.introspection.next_command() {
        if let Command::Call(call) = command {
            let outcome = FetchOutcome::Response {
                status: 200,
                cache_control: Vec::new(),
                body: input.to_vec(),
            };
            trust.introspection.handle_response(call.id, outcome, now);
        }
    }
    let says: Option<Value> = serde_json::from_slice(input).ok();
    let active = says.as_ref().map(|says| &says["active"]);
    match gate::decide(config, &route, &head, &mut trust, now, now) {
        Decision::Allow(edits) => {
            let says = says.expect("JSON");
            assert_eq!(says["active"], true);
            let is_absent = |name: &str| says.get(name).is_none_or(Value::is_null);
            assert!(is_absent("iss") || says["iss"] == ISSUER);
            assert!(is_absent("cnf") && is_absent("token_use") || is_access(&says["token_use"]));
            let mut claims = says.clone();
            claims["iss"] = json!(ISSUER);
            for name in ["exp", "nbf", "iat"] {
                if claims.get(name).is_some_and(Value::is_null) {
                    claims.as_object_mut().unwrap().remove(name);
                }
            }
            if claims.get("exp").is_none() {
                claims["exp"] = json!(NOW + 1);
            }
            assert_good(&claims, ISSUER, RESOURCE);
            for (name, value) in edits.headers() {
                assert_header(name, value);
            }
        }
        Decision::Refuse(refusal, reply) => {
            assert_sendable(&reply);
            assert_refusal(refusal.reason, &reply);
            let is_answer = matches!(active, Some(Value::Bool(_)));
            assert!(is_answer || reply.status == 503, "{:?}", refusal.reason);
            let is_inactive = refusal.reason == Reason::TokenInactive;
            assert!(!is_inactive || active == Some(&Value::Bool(false)));
        }
        decision => panic!("{decision:?}"),
    }
}

fn is_access(token_use: &Value) -> bool {
    let texts = match token_use {
        Value::Array(texts) => texts.clone(),
        text => vec![text.clone()],
    };
    let mut texts = texts.iter().filter_map(Value::as_str);
    texts.all(|text| text.to_ascii_lowercase().contains("access"))
}

/// Two issuers with the same `kid`s, and resources of every kind.
fn deployment() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let config = json!({
            "issuers": [
                {"issuer": ISSUER, "jwks": testing::key_set()},
                {"issuer": STRANGER, "jwks": testing::stranger_key_set(), "algorithms": ["EdDSA"]},
            ],
            "resources": [
                {"resource": RESOURCE, "scopes": ["mcp:read"], "issuers": [ISSUER]},
                {
                    "resource": "https://mcp.example.com/t/{tenant}/mcp",
                    "require_claims": {"tenant": ["{tenant}"]},
                },
                {
                    "resource": "https://api.example.com/open",
                    "hosts": ["api.example.com"],
                    "allowed_origins": ["https://app.example.com"],
                    "identity_headers": {"/deep/claim": "x-claim", "email": "x-user-mail"},
                    "forward_token": true,
                },
            ],
        });
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        assert_eq!(config.mode, Mode::Enforce);
        config
    })
}

fn read_request(input: &[u8]) -> (Head, Vec<(Signer, String)>) {
    let mut issued = Vec::new();
    let mut headers = Vec::new();
    let mut lines = input.split(|b| *b == b'\n');
    let mut start = lines.next().unwrap_or_default().splitn(2, |b| *b == b' ');
    headers.push((
        ":method".to_owned(),
        start.next().unwrap_or_default().to_vec(),
    ));
    if let Some(path) = start.next() {
        headers.push((":path".to_owned(), path.to_vec()));
    }
    for line in lines {
        let Some(at) = line.windows(2).position(|window| window == b": ") else {
            continue;
        };
        let (name, value) = (&line[..at], &line[at + 2..]);
        let signer = match name {
            b"token" => Some(Signer::Issuer),
            b"stranger" => Some(Signer::Stranger),
            _ => None,
        };
        if let Some(signer) = signer
            && let Some(token) = signed(signer, value)
        {
            let value = format!("Bearer {token}").into_bytes();
            headers.push(("authorization".to_owned(), value));
            issued.push((signer, token));
        } else if let Ok(name) = std::str::from_utf8(name) {
            headers.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    (Head::new(headers).ending(true), issued)
}

fn assert_allowed(
    config: &Config,
    route: &Route,
    head: &Head,
    issued: &[(Signer, String)],
    edits: &Edits,
) {
    let Route::Protected(id, bindings) = route else {
        panic!("{route:?} was allowed");
    };
    let values: Vec<&[u8]> = head.values("authorization").collect();
    let [value] = values.as_slice() else {
        panic!("{} credentials were allowed", values.len());
    };
    let value = std::str::from_utf8(value).unwrap().trim_ascii();
    let token = value["bearer".len()..].trim_ascii();
    let signer = issued
        .iter()
        .find(|(_, issued)| issued == token)
        .map(|(signer, _)| *signer)
        .or_else(|| is_known(token).then_some(Signer::Issuer))
        .expect("a forged token was allowed");
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&testing::decode(payload)).unwrap();
    let issuer = match signer {
        Signer::Issuer => ISSUER,
        Signer::Stranger => STRANGER,
    };
    let resource = config.resource(*id).unwrap();
    assert_good(&claims, issuer, &resource.identifier.render(bindings));
    match id.0 {
        0 => {
            assert_eq!(signer, Signer::Issuer);
            let scopes = [&claims["scope"], &claims["scp"]]
                .map(Value::to_string)
                .concat();
            assert!(scopes.contains("mcp:read"));
        }
        1 => {
            let tenant = bindings.get("tenant").unwrap();
            assert!(claims["tenant"].to_string().contains(tenant));
        }
        _ => {
            let mut origins = head.values("origin");
            assert!(origins.all(|origin| origin == b"https://app.example.com"));
        }
    }

    for (name, value) in edits.headers() {
        assert_header(name, value);
        assert_ne!(name, "authorization");
    }
    assert_eq!(
        edits.remove.iter().any(|name| name == "authorization"),
        !resource.forward_token
    );
    let fold = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    for header in &resource.identity_headers {
        for sent in head.names().filter(|sent| fold(sent) == fold(&header.name)) {
            assert!(
                edits.remove.iter().any(|name| name == sent)
                    || edits.headers().any(|(name, _)| name == sent),
                "{sent} of the client was forwarded"
            );
        }
    }
}

/// `HEADER|CLAIMS` as a token.
fn signed(signer: Signer, input: &[u8]) -> Option<String> {
    if !input.starts_with(b"{") {
        return None;
    }
    let bar = input.iter().position(|b| *b == b'|')?;
    let (header, claims) = (&input[..bar], &input[bar + 1..]);
    Some(testing::token_of_bytes(signer, "EdDSA", header, claims))
}

/// Good tokens by the issuer, one of each algorithm. They do not change: the keys are fixed.
pub fn known_tokens() -> &'static [String] {
    static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
    TOKENS.get_or_init(|| {
        Algorithm::ALL
            .iter()
            .map(|alg| {
                let header = json!({"kid": alg.name().to_lowercase(), "typ": "at+jwt"});
                testing::token(alg.name(), &header, &good_claims())
            })
            .collect()
    })
}

/// Claims that let a token in at [`RESOURCE`].
pub fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": NOW + 600, "iat": NOW, "nbf": NOW, "jti": "1",
        "sub": "alice", "client_id": "cli", "scope": "mcp:read",
    })
}

/// The inputs that the corpus began with.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut add = |target, input: &dyn AsRef<[u8]>| seeds.push((target, input.as_ref().to_vec()));
    let claims = good_claims();
    for answer in answers(&claims) {
        add("introspection", &answer);
    }
    for known in known_tokens() {
        add("token", known);
        add(
            "decision",
            &format!("POST /mcp\nauthorization: Bearer {known}"),
        );
        add("authorization", &format!("Bearer {known}"));
    }
    for header in [
        r#"{"alg":"EdDSA","kid":"eddsa","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"Ed25519","kid":"eddsa","typ":"application/at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"es256"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","alg":"ES256"}"#,
    ] {
        add("token", &format!("{header}|{claims}"));
        add("decision", &format!("POST /mcp\ntoken: {header}|{claims}"));
    }
    for (name, value) in [
        ("exp", json!(NOW as f64 + 0.5)),
        ("exp", json!("1800000600")),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(-1)),
        ("aud", json!([RESOURCE, "other"])),
        ("aud", json!([])),
        ("scp", json!(["a", "b"])),
        ("deep", json!({"claim": [true, 1, "\u{e9}\r\n"]})),
    ] {
        let mut claims = claims.clone();
        claims[name] = value;
        add("token", &format!("{{\"alg\":\"EdDSA\"}}|{claims}"));
    }
    for (signer, path, changes) in [
        ("token", "/mcp", json!({})),
        ("token", "/mcp?x", json!({"scope": "x"})),
        ("stranger", "/mcp", json!({"iss": STRANGER})),
        (
            "stranger",
            "/t/acme/mcp",
            json!({"iss": STRANGER, "tenant": "acme", "aud": "https://mcp.example.com/t/acme/mcp"}),
        ),
        (
            "token",
            "/open/x",
            json!({"aud": "https://api.example.com/open", "deep": {"claim": "\u{e9}"}, "email": "a"}),
        ),
    ] {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        add(
            "decision",
            &format!(
                "POST {path}\n:authority: api.example.com\norigin: https://app.example.com\n\
                 x-mcp_sub: evil\nx-claim: evil\n{signer}: {{\"alg\":\"EdDSA\"}}|{claims}"
            ),
        );
    }
    for request in [
        "GET /.well-known/oauth-protected-resource/mcp",
        "GET /.well-known/oauth-protected-resource/t/acme/mcp/?x",
        "POST /.well-known/oauth-protected-resource/mcp",
        "OPTIONS /mcp\norigin: https://a.example\naccess-control-request-method: POST",
        "OPTIONS /open\n:authority: api.example.com\norigin: https://a.example",
        "POST /mcp\nauthorization: Basic YTpi\norigin: null",
        "POST /mcp\nauthorization: Bearer a\nauthorization: Bearer b",
        "POST //mcp",
        "GET /elsewhere",
        "CONNECT",
    ] {
        add("decision", &request);
    }
    for value in [
        "Bearer abc",
        "bearer\tabc==",
        "Bearer a, Bearer b",
        "Basic YTpi,Bearer a",
        "Digest a=\"b\", c=\"d\"",
        "DPoP abc",
        "Bearer a\nBearer b",
        "Bearer",
        " ",
    ] {
        add("authorization", &value);
    }
    add("jwk_set", &testing::key_set().to_string());
    for alg in Algorithm::ALL {
        let mut jwk = testing::public_jwk(Signer::Issuer, alg.name());
        add("jwk_set", &json!({"keys": [jwk]}).to_string());
        jwk["kid"] = "a".into();
        jwk["use"] = "sig".into();
        jwk["key_ops"] = json!(["verify"]);
        jwk["d"] = "AAAA".into();
        let other = json!({"kty": "oct", "k": "AAAA", "kid": "a"});
        add(
            "jwk_set",
            &json!({"x": 1, "keys": [other, jwk]}).to_string(),
        );
    }
    for path in [
        "/",
        "/mcp",
        "/mcp/",
        "/mcp/x?y",
        "/MCP/v1",
        "/t/acme/mcp",
        "/t/a%20b/mcp",
        "//mcp",
        "/./mcp",
        "/x/../mcp",
        "/x/%2e%2e/mcp",
        "/%6dcp",
        "/%256dcp",
        "/mcp%2fx",
        "/mcp;a=b/x",
        "/x\\..\\mcp",
        "/mcp%00",
        "/mcp#x",
        "mcp",
        "*",
        "",
        "/mcp.",
        "/mcp%",
        "/x%5c..%5cmcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/caf%C3%A9/mcp",
        "/%c0%afmcp",
        "/mcp ",
    ] {
        add("request_path", &path);
    }
    let issuer = json!({"issuer": ISSUER, "cluster": "auth"});
    for (issuer, resource) in [
        (issuer.clone(), json!({"resource": RESOURCE})),
        (
            issuer.clone(),
            json!({"resource": "https://mcp.example.com"}),
        ),
        (
            json!({
                "issuer": ISSUER, "jwks": testing::key_set(), "algorithms": ["EdDSA", "RS256"],
                "audiences": ["a"], "token_types": ["at+jwt", null], "clock_skew_seconds": 0,
                "max_token_lifetime_seconds": 3600,
            }),
            json!({
                "resource": "https://mcp.example.com/t/{tenant}/mcp", "hosts": ["mcp.example.com"],
                "scopes": ["a"], "scopes_supported": ["a", "b"], "scope_hierarchy": {"b": ["a"]},
                "require_claims": {"/x/y": ["{tenant}"]}, "allowed_origins": ["https://a.example"],
                "name": "Name \u{e9}\"", "documentation": "https://docs.example",
                "identity_headers": {"sub": "x-sub"}, "forward_token": true, "cors": false,
            }),
        ),
        (
            json!({
                "issuer": ISSUER, "cluster": "auth", "jwks_cluster": "keys",
                "jwks_uri": "https://auth.example.com/keys?x",
                "keys": {
                    "refresh_seconds": 60, "timeout_seconds": 1,
                    "unknown_key_cooldown_seconds": 1, "max_stale_seconds": 0,
                },
            }),
            json!({"resource": "https://mcp.example.com/a/b", "path": "/b", "issuers": [ISSUER]}),
        ),
    ] {
        let config = json!({
            "enabled": true, "mode": "observe",
            "limits": {"token_bytes": 4096, "held_requests": 8},
            "issuers": [issuer], "resources": [resource],
        });
        add("configuration", &config.to_string());
    }
    seeds
}

/// Whether what is signed in the token is what is signed in a known one. Its signature may differ:
/// one key can sign the same twice.
fn is_known(token: &str) -> bool {
    let signing_input = |token: &str| token.rsplit_once('.').map(|(input, _)| input.to_owned());
    known_tokens()
        .iter()
        .any(|known| signing_input(known) == signing_input(token))
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        issuer: ISSUER.to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        token_types: vec![TokenType::Named("at+jwt".to_owned()), TokenType::Absent],
        clock_skew: Duration::from_secs(SKEW),
        max_token_lifetime: Some(Duration::from_secs(86_400)),
    }
}

fn is_type_of_access_token(typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| {
        matches!(
            typ.to_ascii_lowercase().as_str(),
            "at+jwt" | "application/at+jwt"
        )
    })
}

/// What a token that is accepted must say, read with the usual JSON reader.
/// Answers of introspection, good and bad.
fn answers(claims: &Value) -> Vec<String> {
    let mut good = claims.clone();
    good["active"] = json!(true);
    let mut answers = vec![
        good.to_string(),
        r#"{"active":false}"#.to_owned(),
        r#"{"active":"true"}"#.to_owned(),
        r#"{"active":true,"active":false}"#.to_owned(),
        "<html>".to_owned(),
    ];
    for (name, value) in [
        ("iss", json!(STRANGER)),
        ("aud", json!(null)),
        ("aud", json!([RESOURCE])),
        ("exp", json!(1e300)),
        ("exp", json!(NOW as f64 + 0.4836)),
        ("exp", json!(null)),
        ("sub", json!(null)),
        ("scope", json!(["mcp:read"])),
        ("cnf", json!({"jkt": "x"})),
        ("token_type", json!("DPoP")),
        ("token_use", json!("refresh_token")),
        ("token_use", json!("access_token")),
        ("typ", json!("ID")),
    ] {
        let mut answer = good.clone();
        answer[name] = value;
        answers.push(answer.to_string());
    }
    answers
}

fn assert_good(claims: &Value, issuer: &str, audience: &str) {
    assert_eq!(claims["iss"], issuer);
    let names_us = |aud: &Value| aud == audience;
    assert!(names_us(&claims["aud"]) || claims["aud"].as_array().unwrap().iter().any(names_us));
    let (now, skew) = (NOW as f64, SKEW as f64);
    assert!(number(claims, "exp").unwrap() > now - skew);
    assert!(number(claims, "nbf").is_none_or(|nbf| nbf <= now + skew));
    assert!(number(claims, "iat").is_none_or(|iat| iat < now + skew + 1.0));
}

fn number(claims: &Value, name: &str) -> Option<f64> {
    claims.get(name).map(|value| value.as_f64().expect(name))
}

/// What Envoy would send unchecked.
fn assert_sendable(reply: &Reply) {
    for (name, value) in &reply.headers {
        assert_header(name, value);
    }
    let names: BTreeSet<_> = reply.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), reply.headers.len(), "a header comes twice");
    if reply.status == 204 {
        assert_eq!(reply.body, "");
    } else {
        let body: Value = serde_json::from_str(&reply.body).expect("a body is JSON");
        assert!(body.is_object());
    }
}

fn assert_header(name: &str, value: &str) {
    assert!(
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)),
        "{name:?}"
    );
    assert!(
        value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && value.trim() == value,
        "{name}: {value:?}"
    );
}

fn assert_refusal(reason: Reason, reply: &Reply) {
    let answer = reason.answer();
    assert_eq!(reply.status, answer.status);
    let challenge = reply
        .headers
        .iter()
        .find(|(name, _)| *name == "www-authenticate")
        .map(|(_, value)| value.as_str());
    assert_eq!(challenge.is_none(), answer.challenge == Challenge::None);
    let Some(challenge) = challenge else { return };
    let parameters = challenge.strip_prefix("Bearer ").unwrap();
    // Names and values in turn: no value has a quote of its own.
    let pieces: Vec<&str> = parameters.split('"').collect();
    assert_eq!(pieces.len() % 2, 1);
    for (at, piece) in pieces.iter().enumerate().step_by(2) {
        let name = piece.strip_prefix(", ").unwrap_or(piece);
        match name.strip_suffix('=') {
            Some(name) => assert!(
                ["error", "error_description", "resource_metadata", "scope"].contains(&name)
            ),
            None => assert!(piece.is_empty() && at + 1 == pieces.len(), "{challenge}"),
        }
    }
    assert!(parameters.contains("resource_metadata=\"http"));
}

/// That the path is below the pattern byte for byte.
fn assert_spelt_below(raw: &[u8], pattern: &str, bindings: &Bindings) {
    assert_eq!(raw.first(), Some(&b'/'));
    let segments: Vec<&[u8]> = raw[1..].split(|b| *b == b'/').collect();
    let wanted = pattern[1..]
        .split('/')
        .filter(|segment| !segment.is_empty());
    for (at, wanted) in wanted.enumerate() {
        let found = segments[at];
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            None => assert_eq!(found, wanted.as_bytes()),
            Some(name) => {
                let value = bindings.get(name).expect("bound");
                assert_eq!(value.as_bytes(), found);
                assert!((1..=128).contains(&value.len()));
                assert!(
                    value
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
                );
            }
        }
    }
}

fn is_b64token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// What servers make of a path, as plainly as it can be written.
mod naive {
    use std::collections::BTreeSet;

    use super::steps::STEPS;

    pub(super) type Segments = Vec<Vec<u8>>;

    /// So many paths are followed.
    const MOST: usize = 200;

    /// The segments of all that chains of servers make of a path.
    pub(super) fn readings(raw: &[u8]) -> BTreeSet<Segments> {
        let mut paths = vec![raw.to_vec()];
        let mut at = 0;
        while let Some(path) = paths.get(at).cloned() {
            for step in STEPS {
                let made = step.apply(&path);
                if paths.len() < MOST && !paths.contains(&made) {
                    paths.push(made);
                }
            }
            at += 1;
        }
        let segments = |path: &Vec<u8>| {
            let path = path.strip_prefix(b"/").unwrap_or(path);
            path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect()
        };
        paths.iter().map(segments).collect()
    }

    /// For a server that ignores case. What is behind a final slash is no segment.
    pub(super) fn below(segments: &Segments, pattern: &str) -> bool {
        let segments = match segments.split_last() {
            Some((last, rest)) if last.is_empty() => rest,
            _ => segments,
        };
        let wanted: Vec<&str> = pattern[1..].split('/').filter(|s| !s.is_empty()).collect();
        segments.len() >= wanted.len()
            && wanted.iter().zip(segments).all(|(wanted, found)| {
                wanted.starts_with('{') || found.eq_ignore_ascii_case(wanted.as_bytes())
            })
    }
}
