//! Every configuration error names the field, what was found, and what is allowed.

mod corpus;
mod schema;
mod silent;

use serde_json::{Value, json};

use super::*;
use crate::introspection::{EndpointSource, Tokens};
use crate::keys::KeyTimings;

fn smallest() -> Value {
    json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [{"resource": "https://mcp.example.com/mcp"}],
    })
}

fn parse(config: &Value) -> Result<Config, ConfigError> {
    Config::parse(config.to_string().as_bytes())
}

/// The smallest configuration with the value at a JSON Pointer set.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = smallest();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => list.push(value),
        _ => parent[last] = value,
    }
    config
}

#[test]
fn the_smallest_configuration_has_the_stated_defaults() {
    let config = parse(&smallest()).unwrap();
    assert!(config.enabled);
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(
        config.limits,
        Limits {
            token_bytes: 16_384,
            held_requests: 1024,
            body_bytes: 524_288,
            held_body_bytes: 67_108_864,
            body_time: Duration::from_secs(30),
            cached_tokens: 16_384,
            cached_bytes: 32 * 1024 * 1024,
        }
    );
    assert_eq!(config.warnings, Vec::<String>::new());
    let issuer = &config.issuers[0];
    assert_eq!(issuer.policy.clock_skew, Duration::from_secs(60));
    assert_eq!(issuer.audiences, None);
    let KeySource::Remote(remote) = &issuer.keys else {
        panic!("keys are fetched")
    };
    assert_eq!(remote.jwks_cluster, "auth");
    assert_eq!(
        remote.timings,
        KeyTimings {
            refresh: Duration::from_secs(600),
            timeout: Duration::from_secs(5),
            unknown_key_cooldown: Duration::from_secs(30),
            max_stale: Duration::from_secs(3600),
        }
    );
    let resource = &config.resources[0];
    assert_eq!(resource.pattern.to_string(), "/mcp");
    assert!(resource.cors);
    assert!(!resource.forward_token);
    let headers: Vec<&str> = resource
        .identity_headers
        .iter()
        .map(|header| &*header.name)
        .collect();
    assert_eq!(
        headers,
        [
            "x-mcp-sub",
            "x-mcp-client-id",
            "x-mcp-scope",
            "x-mcp-issuer"
        ]
    );
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    for (text, says) in [
        ("{", "JSON that ends too early, in line 1"),
        ("{} {}", "what is no JSON at line 1, column 4: `{`"),
        ("issuers: []", "what is no JSON at line 1, column 1: `i`"),
        (
            "{\n  \"issuers\": [],\n}",
            "what is no JSON at line 3, column 1: `}`",
        ),
    ] {
        let error = Config::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error, ConfigError::NotJson(says.to_owned()));
        assert!(error.to_string().contains(says));
    }
    assert_eq!(Config::parse(b" \n").unwrap_err(), ConfigError::Empty);
}

#[test]
fn a_name_that_comes_twice_is_an_error() {
    for (text, named) in [
        (r#"{"issuers":[],"issuers":[],"resources":[]}"#, "issuers"),
        (
            r#"{"issuers":[{"issuer":"a","issuer":"b"}],"resources":[]}"#,
            "issuers[0].issuer",
        ),
        (
            r#"{"issuers":[],"resources":[{"resource":"a","scope_hierarchy":{"x":[],"x":["y"]}}]}"#,
            "resources[0].scope_hierarchy.x",
        ),
    ] {
        let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
        let says = format!(
            "configuration field `{named}`: found it twice; allowed: each name once in an object"
        );
        assert_eq!(error, says);
    }
}

/// Broken configurations, each with the field that the error names, and a part of what it says.
/// The smallest configuration whose issuer is asked about tokens, with these members besides.
fn asked(more: Value) -> Value {
    let mut introspection = json!({"cluster": "introspection"});
    for (name, value) in more.as_object().unwrap() {
        introspection[name] = value.clone();
    }
    with("/issuers/0/introspection", introspection)
}

fn broken() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (with("/x", json!(1)), "x", "an unknown field"),
        (
            with("/issuers/0/isuer", json!("x")),
            "issuers[0].isuer",
            "an unknown field (is `issuer` meant?); allowed: only issuer, cluster",
        ),
        (
            with("/issuers/0/keys", json!({"refresh": 1})),
            "issuers[0].keys.refresh",
            "only refresh_seconds",
        ),
        (
            with("/issuers/0/issuer", json!(7)),
            "issuers[0].issuer",
            "found 7; allowed: a string",
        ),
        (
            with("/issuers/0/issuer", json!("auth.example.com")),
            "issuers[0].issuer",
            "an absolute URL",
        ),
        (
            with("/issuers/0/issuer", json!("https://auth.example.com/#x")),
            "issuers[0].issuer",
            "without a fragment",
        ),
        (
            with("/issuers/0/issuer", json!("https://auth.example.com/?x")),
            "issuers[0].issuer",
            "without a query",
        ),
        (
            with("/issuers/0/cluster", json!("")),
            "issuers[0].cluster",
            "the name of an Envoy cluster",
        ),
        (
            with("/issuers/0/jwks", json!({"keys": []})),
            "issuers[0].jwks",
            "one of them",
        ),
        (
            with("/issuers/0/jwks_uri", json!("http://auth.example.com/k")),
            "issuers[0].jwks_uri",
            "an https URL",
        ),
        (
            with("/issuers/0/jwks_uri", json!("keys")),
            "issuers[0].jwks_uri",
            "an absolute URL",
        ),
        (
            with("/issuers/0/algorithms", json!(["HS256"])),
            "issuers[0].algorithms",
            "found \"HS256\"",
        ),
        (
            with("/issuers/0/algorithms", json!(["none"])),
            "issuers[0].algorithms",
            "found \"none\"",
        ),
        (
            with("/issuers/0/algorithms", json!([])),
            "issuers[0].algorithms",
            "an empty list",
        ),
        (
            with("/issuers/0/audiences", json!([])),
            "issuers[0].audiences",
            "at least one audience",
        ),
        (
            with("/issuers/0/token_types", json!([])),
            "issuers[0].token_types",
            "at least one",
        ),
        (
            with("/issuers/0/clock_skew_seconds", json!(601)),
            "issuers[0].clock_skew_seconds",
            "0 to 600 seconds",
        ),
        (
            with("/issuers/0/clock_skew_seconds", json!(-1)),
            "issuers[0].clock_skew_seconds",
            "found -1; allowed: a whole number, 0 or more",
        ),
        (
            with("/issuers/0/max_token_lifetime_seconds", json!(0)),
            "issuers[0].max_token_lifetime_seconds",
            "1 to",
        ),
        (
            with("/issuers/0/keys", json!({"timeout_seconds": 61})),
            "issuers[0].keys.timeout_seconds",
            "1 to 60 seconds",
        ),
        (
            with(
                "/issuers/1",
                json!({"issuer": "https://auth.example.com", "cluster": "b"}),
            ),
            "issuers[1].issuer",
            "not in the list yet",
        ),
        (
            with("/issuers/1", json!({"issuer": "https://b.example"})),
            "issuers[1].cluster",
            "neither `cluster` nor `jwks`",
        ),
        (
            with(
                "/issuers/1",
                json!({"issuer": "https://b.example", "jwks": {"keys": []}}),
            ),
            "issuers[1].jwks",
            "no key that can verify",
        ),
        (
            with(
                "/issuers/1",
                json!({"issuer": "https://b.example", "jwks": []}),
            ),
            "issuers[1].jwks",
            "a JWK set",
        ),
        (
            with(
                "/issuers/1",
                json!({"issuer": "https://b.example", "jwks": {"keys": []}, "jwks_uri": "https://b.example/k"}),
            ),
            "issuers[1].jwks_uri",
            "beside `jwks`",
        ),
        (
            with("/resources/0/resource", json!("/mcp")),
            "resources[0].resource",
            "an absolute URL",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://mcp.example.com/mcp#x"),
            ),
            "resources[0].resource",
            "without a fragment",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://mcp.example.com/mcp?x"),
            ),
            "resources[0].resource",
            "without a query",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://MCP.example.com/mcp"),
            ),
            "resources[0].resource",
            "host in lower case",
        ),
        (
            with("/resources/0/resource", json!("ftp://mcp.example.com/mcp")),
            "resources[0].resource",
            "https",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://mcp.example.com/a/../mcp"),
            ),
            "resources[0].resource",
            "a plain path",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://mcp.example.com/a%2fmcp"),
            ),
            "resources[0].resource",
            "a plain path",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://{t}.example.com/mcp"),
            ),
            "resources[0].resource",
            "variables in its path only",
        ),
        (
            with(
                "/resources/0/resource",
                json!("https://mcp.example.com/{t/mcp"),
            ),
            "resources[0].resource",
            "plain path",
        ),
        (
            with("/resources/0/path", json!("mcp")),
            "resources[0].path",
            "a plain path",
        ),
        (
            with("/resources/0/path", json!("/m//p")),
            "resources[0].path",
            "a plain path",
        ),
        (
            with("/resources/0/hosts", json!([])),
            "resources[0].hosts",
            "at least one host",
        ),
        (
            with("/resources/0/hosts", json!(["https://mcp.example.com"])),
            "resources[0].hosts",
            "a host in lower case",
        ),
        (
            with("/resources/0/issuers", json!(["https://other.example"])),
            "resources[0].issuers",
            "byte for byte",
        ),
        (
            with("/resources/0/issuers", json!([])),
            "resources[0].issuers",
            "at least one",
        ),
        (
            with("/resources/0/scopes", json!(["a b"])),
            "resources[0].scopes",
            "RFC 6749",
        ),
        (
            with("/resources/0/scopes_supported", json!(["a\"b"])),
            "resources[0].scopes_supported",
            "RFC 6749",
        ),
        (
            with("/resources/0/scope_hierarchy", json!({"a": ["b\\"]})),
            "resources[0].scope_hierarchy",
            "RFC 6749",
        ),
        (
            with("/resources/0/require_claims", json!({"tenant": []})),
            "resources[0].require_claims.tenant",
            "at least one value",
        ),
        (
            with("/resources/0/require_claims", json!({"tenant": ["{t}"]})),
            "resources[0].require_claims.tenant",
            "a variable of the resource's path",
        ),
        (
            with("/resources/0/require_claims", json!({"/a~2": ["x"]})),
            "resources[0].require_claims./a~2",
            "RFC 6901",
        ),
        (
            with("/resources/0/identity_headers", json!({"sub": "X-Sub"})),
            "resources[0].identity_headers.sub",
            "a-z, 0-9",
        ),
        (
            with(
                "/resources/0/identity_headers",
                json!({"sub": "authorization"}),
            ),
            "resources[0].identity_headers.sub",
            "that HTTP, MCP and Envoy do not use",
        ),
        (
            with(
                "/resources/0/identity_headers",
                json!({"sub": "x", "iss": "x"}),
            ),
            "resources[0].identity_headers.sub",
            "of its own",
        ),
        (
            with(
                "/resources/0/allowed_origins",
                json!(["https://app.example.com/"]),
            ),
            "resources[0].allowed_origins",
            "without a path",
        ),
        (
            with("/resources/1", json!({"resource": "https://b.example/mcp"})),
            "resources[1]",
            "a path of its own",
        ),
        (
            with("/limits", json!({"token_bytes": 10})),
            "limits.token_bytes",
            "256 to 65536",
        ),
        (
            with("/limits", json!({"held_requests": 0})),
            "limits.held_requests",
            "1 to 65536",
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": " ", "scopes": ["a"]}]),
            ),
            "resources[0].operations[0].method",
            "such as tools/call",
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": "tools/list", "name": "x", "scopes": ["a"]}]),
            ),
            "resources[0].operations[0].name",
            "names for tools/call",
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": "tools/call", "name": "", "scopes": ["a"]}]),
            ),
            "resources[0].operations[0].name",
            "a name, or none",
        ),
        (
            with("/resources/0/operations", json!([{"method": "tools/call"}])),
            "resources[0].operations[0].scopes",
            "at least one scope",
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": "x", "scopes": ["a"], "deny": true}]),
            ),
            "resources[0].operations[0].deny",
            "one of the two",
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": "x", "scopes": ["a b"]}]),
            ),
            "resources[0].operations[0].scopes",
            "RFC 6749",
        ),
        (
            with(
                "/issuers/0",
                json!({
                    "issuer": "https://inline.example.com",
                    "jwks": crate::testing::key_set(),
                    "authorization_server_metadata": true,
                }),
            ),
            "issuers[1].authorization_server_metadata",
            "a `cluster`",
        ),
        (
            with("/limits", json!({"body_bytes": 1})),
            "limits.body_bytes",
            "1024 to 16777216",
        ),
        (
            with(
                "/limits",
                json!({"body_bytes": 70_000, "held_body_bytes": 69_999}),
            ),
            "limits.held_body_bytes",
            "at least as much as limits.body_bytes",
        ),
        (
            with("/limits", json!({"body_seconds": 0})),
            "limits.body_seconds",
            "1 to 3600",
        ),
        (
            with("/mode", json!("off")),
            "mode",
            "found \"off\"; allowed: \"enforce\" or \"observe\"",
        ),
        (
            with("/enabled", json!("yes")),
            "enabled",
            "found a string; allowed: true or false",
        ),
        (
            with("/issuers", json!([])),
            "issuers",
            "at least one issuer",
        ),
        (
            with("/resources", json!([])),
            "resources",
            "at least one resource",
        ),
        (
            with("/issuers/0/introspection", json!({"cluster": " "})),
            "issuers[0].introspection.cluster",
            "the name of an Envoy cluster",
        ),
        (
            asked(json!({"endpoint": "/introspect"})),
            "issuers[0].introspection.endpoint",
            "an absolute URL",
        ),
        (
            asked(json!({"tokens": "jwt"})),
            "issuers[0].introspection.tokens",
            "opaque",
        ),
        (
            asked(json!({"cache_seconds": 3601})),
            "issuers[0].introspection.cache_seconds",
            "0 to 3600 seconds",
        ),
        (
            asked(json!({"secret": "x"})),
            "issuers[0].introspection.secret",
            "an unknown field",
        ),
        (
            json!({
                "issuers": [{
                    "issuer": "https://auth.example.com", "introspection": {"cluster": "i"},
                }],
                "resources": [{"resource": "https://mcp.example.com/mcp"}],
            }),
            "issuers[0].introspection.endpoint",
            "the URL of the introspection endpoint",
        ),
        (
            json!({
                "issuers": [{
                    "issuer": "https://auth.example.com",
                    "introspection": {
                        "cluster": "i", "endpoint": "https://auth.example.com/i", "tokens": "all",
                    },
                }],
                "resources": [{"resource": "https://mcp.example.com/mcp"}],
            }),
            "issuers[0].introspection.tokens",
            "opaque",
        ),
        (
            json!({
                "issuers": [
                    {"issuer": "https://a.example", "cluster": "a", "introspection": {"cluster": "i"}},
                    {"issuer": "https://b.example", "cluster": "b", "introspection": {"cluster": "j"}},
                ],
                "resources": [{"resource": "https://mcp.example.com/mcp"}],
            }),
            "resources[0].issuers",
            "at most one with `introspection`",
        ),
        (
            asked(json!({"require_audience": false})),
            "resources[0].scopes",
            "at least one scope",
        ),
    ]
}

#[test]
fn an_error_is_one_line_that_names_the_field() {
    for (config, field, says) in broken() {
        let error = parse(&config).expect_err(&config.to_string()).to_string();
        assert!(error.contains(&format!("`{field}`")), "{field}: {error}");
        assert!(error.contains(says), "{says}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn what_is_not_an_object_of_the_shape_is_refused() {
    for (text, says) in [
        ("", "found nothing"),
        (" \n", "found nothing"),
        ("{}", "`issuers`: found nothing"),
        ("[]", "found a list"),
        ("{", "ends too early"),
        (
            r#"{"issuers":[],"issuers":[],"resources":[]}"#,
            "`issuers`: found it twice",
        ),
        (r#"{"issuers":[],"resources":[]} x"#, "what is no JSON"),
        ("\u{ff}", "what is no JSON"),
    ] {
        let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
    assert!(Config::parse(b"\xff\xfe").is_err());
}

#[test]
fn two_resources_may_share_a_path_on_different_hosts() {
    let config = json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [
            {"resource": "https://a.example/mcp", "hosts": ["a.example"]},
            {"resource": "https://b.example/mcp", "hosts": ["b.example"]},
        ],
    });
    assert!(parse(&config).is_ok());
}

#[test]
fn what_is_unwise_is_said() {
    for (config, says) in [
        (
            with("/resources/0/resource", json!("http://mcp.example.com/mcp")),
            "is not https",
        ),
        (
            with("/issuers/0/issuer", json!("http://auth.example.com")),
            "is not https",
        ),
        (
            with("/resources/0/scopes", json!(["offline_access"])),
            "offline_access",
        ),
    ] {
        let config = parse(&config).unwrap();
        assert!(
            config.warnings.iter().any(|warning| warning.contains(says)),
            "{:?}",
            config.warnings
        );
    }
    let local = with("/resources/0/resource", json!("http://127.0.0.1:8080/mcp"));
    assert_eq!(parse(&local).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn how_an_issuer_is_asked() {
    let config = parse(&asked(json!({}))).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let source = config.issuers[0].introspection.as_ref().unwrap();
    let cluster = "auth".to_owned();
    assert_eq!(source.endpoint, EndpointSource::Discovered { cluster });
    assert_eq!(source.tokens, Tokens::Opaque);
    assert_eq!(source.cache, Duration::from_secs(30));
    assert!(source.require_audience);
    assert_eq!(source.timeout, Duration::from_secs(5));
    for (more, scopes, warning) in [
        (
            json!({"cluster": "auth"}),
            json!([]),
            "issuers[0].introspection.cluster: \"auth\" is also asked for metadata and keys",
        ),
        (
            json!({"endpoint": "http://auth.internal:4445/introspect"}),
            json!([]),
            "issuers[0].introspection.endpoint: \"http://auth.internal:4445/introspect\" is not https",
        ),
        (
            json!({"require_audience": false}),
            json!(["mcp:read"]),
            "resources[0].scopes: any token of \"https://auth.example.com\"",
        ),
    ] {
        let mut config = asked(more);
        config["resources"][0]["scopes"] = scopes;
        let warnings = parse(&config).unwrap().warnings;
        assert!(warnings[0].starts_with(warning), "{warnings:?}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
    let mut off = asked(json!({}));
    off["enabled"] = json!(false);
    assert_eq!(parse(&off).unwrap().introspection_sources().count(), 0);
}
