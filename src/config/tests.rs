//! Every configuration error names the field, what was found, and what is allowed.

mod broken;
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

/// The smallest configuration whose issuer is asked about tokens, with these members besides.
fn asked(more: Value) -> Value {
    let mut introspection = json!({"cluster": "introspection"});
    for (name, value) in more.as_object().unwrap() {
        introspection[name] = value.clone();
    }
    with("/issuers/0/introspection", introspection)
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

#[test]
fn an_issuer_that_a_resource_names_twice_is_its_issuer_once() {
    let name = "https://auth.example.com";
    let mut json = with(
        "/issuers/0/introspection",
        json!({"cluster": "introspection", "endpoint": "https://auth.example.com/introspect"}),
    );
    json["resources"][0]["issuers"] = json!([name, name]);
    let config = Config::parse(json.to_string().as_bytes()).unwrap();
    assert_eq!(
        config.resource(ResourceId(0)).unwrap().issuers,
        [IssuerId(0)]
    );
}
