use serde_json::{Value, json};

use super::*;

/// Broken configurations, each with the field that the error names, and a part of what it says.
pub(super) fn broken() -> Vec<(Value, &'static str, &'static str)> {
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
