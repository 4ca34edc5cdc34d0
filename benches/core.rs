//! What the core costs natively: `cargo bench --bench core`, or a part of it by name.
//!
//! These figures are for comparing two states of the code. What a request costs in Envoy is
//! measured by `make bench`: there the same code runs as wasm.

// A failure here ends a measurement, and no worker.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use divan::Bencher;
use mcp_auth_filter::config::Config;
use mcp_auth_filter::gate::{self, Decision};
use mcp_auth_filter::head::Head;
use mcp_auth_filter::ids::ResourceId;
use mcp_auth_filter::introspection;
use mcp_auth_filter::jose::jwk::KeySet;
use mcp_auth_filter::json::Object;
use mcp_auth_filter::keys::{FetchOutcome, Keys};
use mcp_auth_filter::lists::Lists;
use mcp_auth_filter::mcp::{Messages, Operation};
use mcp_auth_filter::resource::host::Authority;
use mcp_auth_filter::resource::path::{PathPattern, RequestPath};
use mcp_auth_filter::time::UnixNanos;
// For the fixed keys, which are written as a module of the crate.
use mcp_auth_filter::jose::{self, signature::Portable};
use mcp_auth_filter::token::UnverifiedToken;
use mcp_auth_filter::trust::Trust;
use serde_json::{Value, json};

#[allow(dead_code, unreachable_pub, clippy::all, clippy::restriction)]
#[path = "../src/testing.rs"]
mod testing;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/mcp";
const MAX_TOKEN_BYTES: usize = 16_384;

const ALGORITHMS: [&str; 8] = [
    "RS256",
    "PS256",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
    "ML-DSA-44",
];

fn main() {
    divan::main();
}

/// The gate on one request, from its path to the decision, with all headers read before.
#[divan::bench_group]
mod decide {
    use super::*;

    #[divan::bench]
    fn foreign_path(bencher: Bencher<'_, '_>) {
        decide(bencher, "/health", None, |decision| {
            matches!(decision, Decision::Pass)
        });
    }

    #[divan::bench]
    fn metadata(bencher: Bencher<'_, '_>) {
        decide(bencher, METADATA_PATH, None, |decision| {
            matches!(decision, Decision::Answer(_))
        });
    }

    #[divan::bench]
    fn no_token(bencher: Bencher<'_, '_>) {
        decide(bencher, "/mcp", None, |decision| {
            matches!(decision, Decision::Refuse(..))
        });
    }

    /// It is refused without a look at the signature.
    #[divan::bench]
    fn expired_token(bencher: Bencher<'_, '_>) {
        let token = signed("RS256", &claims(1_799_990_000));
        decide(bencher, "/mcp", Some(&token), |decision| {
            matches!(decision, Decision::Refuse(..))
        });
    }

    #[divan::bench(args = ALGORITHMS)]
    fn new_token(bencher: Bencher<'_, '_>, algorithm: &str) {
        let token = signed(algorithm, &claims(1_800_000_600));
        decide_with(bencher, 0, "/mcp", Some(&token), |decision| {
            matches!(decision, Decision::Allow(_))
        });
    }

    #[divan::bench]
    fn remembered_token(bencher: Bencher<'_, '_>) {
        let token = signed("RS256", &claims(1_800_000_600));
        decide(bencher, "/mcp", Some(&token), |decision| {
            matches!(decision, Decision::Allow(_))
        });
    }

    /// As [`remembered_token`], for a token that its issuer was asked about.
    #[divan::bench]
    fn remembered_opaque_token(bencher: Bencher<'_, '_>) {
        let config = asking_configuration();
        let keys = Keys::new(config.key_sources(), NOW, 0);
        let mut trust = Trust::new(&config, keys, Box::new(Portable), [1, 2]);
        let head = head(
            "/mcp",
            Some("ory_at_mgvDfVDjOmsCTFjuqAO6.0H1KqXnKYHM4ZBNGdHzgHuFHyBTJ"),
        );
        let route = gate::route(&config, Some(b"/mcp"), Authority::NotRead);
        let first = gate::decide(&config, &route, &head, &mut trust, NOW, NOW);
        assert!(matches!(first, Decision::Wait(_)));
        answer_questions(&mut trust);
        let mut decide = || {
            let path = black_box("/mcp").as_bytes();
            let route = gate::route(&config, Some(path), Authority::NotRead);
            gate::decide(&config, &route, black_box(&head), &mut trust, NOW, NOW)
        };
        assert!(matches!(decide(), Decision::Allow(_)));
        bencher.bench_local(decide);
    }

    fn decide(
        bencher: Bencher<'_, '_>,
        path: &str,
        token: Option<&str>,
        expected: fn(&Decision) -> bool,
    ) {
        decide_with(bencher, 100, path, token, expected);
    }

    fn decide_with(
        bencher: Bencher<'_, '_>,
        cached_tokens: usize,
        path: &str,
        token: Option<&str>,
        expected: fn(&Decision) -> bool,
    ) {
        let mut config = configuration();
        config.limits.cached_tokens = cached_tokens;
        let keys = Keys::new(config.key_sources(), NOW, 0);
        let mut trust = Trust::new(&config, keys, Box::new(Portable), [1, 2]);
        let head = head(path, token);
        let mut decide = || {
            let path = black_box(path).as_bytes();
            let route = gate::route(&config, Some(path), Authority::NotRead);
            gate::decide(&config, &route, black_box(&head), &mut trust, NOW, NOW)
        };
        assert!(expected(&decide()));
        bencher.bench_local(decide);
    }
}

/// A token's text to its header and claims, without the signature.
#[divan::bench]
fn parse_token(bencher: Bencher<'_, '_>) {
    let token = signed("RS256", &claims(1_800_000_600));
    bencher.bench(|| UnverifiedToken::parse(black_box(token.as_bytes()), MAX_TOKEN_BYTES).unwrap());
}

/// The JSON of claims: those of the other measurements, and with as many groups.
#[divan::bench(args = [0, 10, 100])]
fn parse_claims(bencher: Bencher<'_, '_>, groups: usize) {
    let mut claims = claims(1_800_000_600);
    if let Value::Object(members) = &mut claims {
        let groups: Vec<String> = (0..groups).map(|n| format!("group-{n}")).collect();
        members.insert("groups".to_owned(), groups.into());
    }
    let text = claims.to_string();
    bencher.bench(|| Object::parse(black_box(&text).clone().into_bytes()).unwrap());
}

/// A set of one key for each algorithm.
#[divan::bench]
fn parse_key_set(bencher: Bencher<'_, '_>) {
    let text = testing::key_set().to_string();
    bencher.bench(|| KeySet::parse(black_box(text.as_bytes())).unwrap());
}

/// The operations of a request, from its body: a small call, one with a long string among its
/// arguments, one with a large tree there, one with as many members, and a batch.
#[divan::bench(args = ["small", "string", "tree", "members", "batch"])]
fn parse_body(bencher: Bencher<'_, '_>, kind: &str) {
    let text = body(kind);
    bencher.bench(|| Messages::parse(black_box(text.as_bytes())).unwrap());
}

/// A response without the entries that its reader may not use: twice as much should cost twice as
/// much.
#[divan::bench_group]
mod filter_list {
    use super::*;

    /// A list of so many tools, every second of them hidden.
    #[divan::bench(args = [7_500, 15_000, 30_000])]
    fn entries(bencher: Bencher<'_, '_>, entries: usize) {
        let tools: Vec<Value> = (0..entries)
            .map(|n| json!({"name": if n & 1 == 0 { "open" } else { "closed" }}))
            .collect();
        filter(bencher, &json!({"result": {"tools": tools}}));
    }

    /// As a server lists them: so many tools with descriptions and schemas, every second hidden.
    #[divan::bench(args = [10, 1_000])]
    fn tools(bencher: Bencher<'_, '_>, entries: usize) {
        let schema = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "The \"file\" that is read, from the root."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            },
            "required": ["path"],
        });
        let tools: Vec<Value> = (0..entries)
            .map(|n| {
                json!({
                    "name": if n & 1 == 0 { "open" } else { "closed" },
                    "title": "A tool",
                    "description": "Reads a file, or a part of it, and returns its lines as text.",
                    "inputSchema": schema,
                    "annotations": {"readOnlyHint": true, "openWorldHint": false},
                })
            })
            .collect();
        filter(
            bencher,
            &json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}),
        );
    }

    /// A list of one tool that is hidden, which has so many members, in a result with as many.
    #[divan::bench(args = [7_500, 15_000, 30_000])]
    fn members(bencher: Bencher<'_, '_>, members: usize) {
        let members = (0..members).map(|n| (format!("m{n}"), json!(0)));
        let mut tool: serde_json::Map<String, Value> = members.collect();
        let mut result = tool.clone();
        tool.insert("name".to_owned(), json!("closed"));
        result.insert("tools".to_owned(), json!([tool]));
        filter(bencher, &json!({"result": result}));
    }

    fn filter(bencher: Bencher<'_, '_>, body: &Value) {
        let text = json!({
            "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
            "resources": [{
                "resource": RESOURCE,
                "filter_lists": true,
                "operations": [{"method": "tools/call", "name": "closed", "deny": true}],
            }],
        });
        let config = Config::parse(text.to_string().as_bytes()).unwrap();
        let resource = config.resource(ResourceId(0)).unwrap();
        let body = body.to_string();
        let lists = Lists::of_stream(&[]);
        let filter = || lists.filter(resource, black_box(body.as_bytes()));
        assert!(filter().unwrap().is_some());
        bencher.bench_local(filter);
    }
}

/// Fifty rules against one long URI: twice the length should cost twice as much.
#[divan::bench(args = [31_250, 62_500, 125_000])]
fn match_rules(bencher: Bencher<'_, '_>, segments: usize) {
    let rules: Vec<Value> = (0..50)
        .map(|n| json!({"method": "resources/*", "name": format!("file:///*a*b{n}*c"), "deny": true}))
        .collect();
    let text = json!({
        "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
        "resources": [{"resource": RESOURCE, "operations": rules}],
    });
    let config = Config::parse(text.to_string().as_bytes()).unwrap();
    let rules = &config.resource(ResourceId(0)).unwrap().operations;
    let uri = format!("file:///{}", "%61b".repeat(segments));
    bencher.bench_local(|| {
        let uri = black_box(&uri).clone();
        let operation = Operation::new("resources/read".to_owned(), Some(uri));
        rules.iter().any(|rule| rule.matches(&operation))
    });
}

#[divan::bench(args = ["/mcp", "/mcp/a/b?c=d", "/health", "/MCP/../x;y", "/%6dcp"])]
fn match_path(bencher: Bencher<'_, '_>, path: &str) {
    let pattern = PathPattern::parse("/mcp").unwrap();
    bencher.bench(|| RequestPath::new(black_box(path).as_bytes()).matches(black_box(&pattern)));
}

/// Long paths of what costs most: two to eleven KiB.
#[divan::bench(args = ["/..", "%25%25..", "%2525252525", "%c0%af", "%u002f;\\", "%ef%bd%8d"])]
fn match_odd_path(bencher: Bencher<'_, '_>, part: &str) {
    let path = format!("/x/{}", part.repeat(1024));
    let pattern = PathPattern::parse("/mcp").unwrap();
    bencher.bench(|| RequestPath::new(black_box(path.as_bytes())).matches(black_box(&pattern)));
}

#[divan::bench]
fn parse_configuration(bencher: Bencher<'_, '_>) {
    let text = configuration_text();
    bencher.bench(|| Config::parse(black_box(text.as_bytes())).unwrap());
}

fn configuration() -> Config {
    Config::parse(configuration_text().as_bytes()).unwrap()
}

fn asking_configuration() -> Config {
    let config = json!({
        "issuers": [{
            "issuer": ISSUER,
            "introspection": {"cluster": "i", "endpoint": "https://auth.example.com/introspect"},
        }],
        "resources": [{"resource": RESOURCE}],
    });
    Config::parse(config.to_string().as_bytes()).unwrap()
}

/// The issuer calls whatever it is asked about active.
fn answer_questions(trust: &mut Trust) {
    let mut answer = claims(1_800_000_600);
    answer
        .as_object_mut()
        .unwrap()
        .insert("active".to_owned(), json!(true));
    trust.introspection.handle_tick(NOW);
    while let Some(command) = trust.introspection.next_command() {
        if let introspection::Command::Call(call) = command {
            let outcome = FetchOutcome::Response {
                status: 200,
                cache_control: Vec::new(),
                body: answer.to_string().into_bytes(),
            };
            trust.introspection.handle_response(call.id, outcome, NOW);
        }
    }
}

fn configuration_text() -> String {
    json!({
        "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
        "resources": [{"resource": RESOURCE}],
    })
    .to_string()
}

fn claims(expiry: u64) -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": expiry, "iat": 1_799_989_000,
        "sub": "alice", "client_id": "cli", "scope": "mcp:read mcp:write",
    })
}

fn body(kind: &str) -> String {
    let call = |arguments: Value| {
        json!({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {
                "name": "search",
                "arguments": arguments,
                "_meta": {"progressToken": 7, "io.modelcontextprotocol/protocolVersion": "2026-07-28"},
            },
        })
    };
    let small = json!({"query": "what is new", "limit": 10});
    match kind {
        "string" => call(json!({"text": "Zwölf \"Boxkämpfer\" jagen\n".repeat(4000)})),
        "tree" => call(json!({"rows": vec![json!({"id": 12, "name": "a name", "tags": ["x", null, true], "at": -1.5e3}); 2000]})),
        "members" => {
            let members = (0..7_500).map(|n| (format!("m{n}"), json!(0)));
            let mut body = call(small);
            let params = body.get_mut("params").and_then(Value::as_object_mut);
            params.unwrap().extend(members);
            body
        }
        "batch" => vec![call(small); 64].into(),
        _ => call(small),
    }
    .to_string()
}

/// With the `kid` that the key set has for the algorithm.
fn signed(algorithm: &str, claims: &Value) -> String {
    testing::token(algorithm, &json!({"kid": algorithm.to_lowercase()}), claims)
}

/// As a client of MCP sends it: ten headers, with the token's.
fn head(path: &str, token: Option<&str>) -> Head {
    let mut headers = vec![
        (":method", "GET".to_owned()),
        (":path", path.to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", "mcp.example.com".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("mcp-protocol-version", "2025-11-25".to_owned()),
        ("user-agent", "bench/1".to_owned()),
        (
            "x-request-id",
            "a1b2c3d4-0000-4000-8000-000000000000".to_owned(),
        ),
    ];
    if let Some(token) = token {
        headers.push(("authorization", format!("Bearer {token}")));
    }
    Head::new(
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()))
            .collect(),
    )
}
