//! Configurations of earlier versions load, and mean what they meant (`tests/configurations/`).

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_auth_filter::config::{Config, Mode};
use mcp_auth_filter::keys::{KeySource, RemoteKeys};
use mcp_auth_filter::mcp::Needs;
use mcp_auth_filter::resource::host::Hosts;
use serde_json::Value;

/// Every field that 0.1 has.
const FIELDS_OF_0_1: &[&str] = &[
    "algorithms",
    "allowed_origins",
    "audiences",
    "authorization_server_metadata",
    "body_bytes",
    "cached_bytes",
    "cached_tokens",
    "clock_skew_seconds",
    "cluster",
    "cors",
    "deny",
    "documentation",
    "enabled",
    "filter_lists",
    "filter_state",
    "forward_token",
    "held_requests",
    "hosts",
    "identity_headers",
    "issuer",
    "issuers",
    "jwks",
    "jwks_cluster",
    "jwks_uri",
    "keys",
    "limits",
    "max_stale_seconds",
    "max_token_lifetime_seconds",
    "method",
    "mode",
    "name",
    "operations",
    "path",
    "refresh_seconds",
    "require_claims",
    "resource",
    "resources",
    "scope_hierarchy",
    "scopes",
    "scopes_supported",
    "timeout_seconds",
    "token_bytes",
    "token_types",
    "unknown_key_cooldown_seconds",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations")
}

/// Every configuration of every version.
fn files() -> Vec<PathBuf> {
    let versions = fs::read_dir(folder()).unwrap();
    let versions = versions.map(|entry| entry.unwrap().path());
    let files = versions
        .filter(|path| path.is_dir())
        .flat_map(|version| fs::read_dir(version).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

fn load(name: &str) -> Config {
    let json = fs::read(folder().join(name)).unwrap();
    Config::parse(&json).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn remote(config: &Config, issuer: usize) -> &RemoteKeys {
    match &config.issuers[issuer].keys {
        KeySource::Remote(remote) => remote,
        KeySource::Inline(_) => panic!("the keys are inline"),
    }
}

#[test]
fn all_of_them_load() {
    let files = files();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        if let Err(error) = Config::parse(&fs::read(&file).unwrap()) {
            panic!("{}: {error}", file.display());
        }
    }
}

#[test]
fn every_field_of_0_1_is_among_them() {
    fn names(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                into.extend(members.keys().cloned());
                members.values().for_each(|value| names(value, into));
            }
            Value::Array(elements) => elements.iter().for_each(|value| names(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    for file in fs::read_dir(folder().join("0.1")).unwrap() {
        let json = fs::read(file.unwrap().path()).unwrap();
        names(&serde_json::from_slice(&json).unwrap(), &mut found);
    }
    let missing: Vec<_> = FIELDS_OF_0_1
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_smallest_of_0_1_means_what_it_meant() {
    for name in ["0.1/smallest.json", "0.1/deployment.json"] {
        let config = load(name);
        assert!(config.enabled);
        assert_eq!(config.mode, Mode::Enforce);
        assert_eq!(config.limits.token_bytes, 16_384);
        assert_eq!(config.limits.held_requests, 1024);
        let (issuer, resource) = (&config.issuers[0], &config.resources[0]);
        assert_eq!(issuer.policy.issuer, "https://auth.example.com");
        assert_eq!(issuer.policy.clock_skew, Duration::from_secs(60));
        assert_eq!(issuer.audiences, None, "the audience is the resource");
        assert_eq!(issuer.policy.max_token_lifetime, None);
        assert!(!issuer.mirrors_metadata);
        assert_eq!(remote(&config, 0).jwks_uri, None, "found by discovery");
        assert_eq!(remote(&config, 0).timings.refresh, Duration::from_secs(600));
        assert_eq!(resource.hosts, Hosts::Any);
        assert_eq!(resource.pattern.to_string(), "/mcp");
        assert_eq!(resource.issuers.len(), 1);
        assert!(!resource.forward_token);
        assert!(resource.cors);
        let headers = resource.identity_headers.iter();
        let headers: BTreeSet<&str> = headers.map(|header| &*header.name).collect();
        assert_eq!(
            headers,
            BTreeSet::from([
                "x-mcp-sub",
                "x-mcp-client-id",
                "x-mcp-scope",
                "x-mcp-issuer"
            ])
        );
    }
    assert_eq!(load("0.1/deployment.json").resources[0].scopes, ["mcp"]);
}

#[test]
fn the_switches_of_0_1_mean_what_they_meant() {
    assert_eq!(load("0.1/observe.json").mode, Mode::Observe);
    assert!(load("0.1/observe.json").enabled);
    assert!(!load("0.1/kill_switch.json").enabled);
    let KeySource::Inline(keys) = &load("0.1/inline_keys.json").issuers[0].keys else {
        panic!("the keys are inline");
    };
    assert_eq!(keys.keys().len(), 3);
}

#[test]
fn tenants_and_hosts_of_0_1_mean_what_they_meant() {
    let tenants = &load("0.1/tenants.json").resources[0];
    assert!(tenants.identifier.has_variables());
    assert!(tenants.require_claims[0].claim.is("tenant"));
    assert!(tenants.require_claims[0].values[0].has_variables());

    let many = load("0.1/many.json");
    assert_eq!(many.issuers.len(), 2);
    assert!(many.issuers[1].mirrors_metadata);
    let issuers: Vec<usize> = many.resources.iter().map(|one| one.issuers.len()).collect();
    assert_eq!(issuers, [1, 2, 2]);
    let Hosts::Only(hosts) = &many.resources[0].hosts else {
        panic!("it has hosts");
    };
    assert_eq!(hosts.len(), 2);
    assert_eq!(many.resources[2].pattern.to_string(), "/tools");
    assert_eq!(many.resources[2].scopes, ["tools:read", "tools:call"]);
}

#[test]
fn everything_of_0_1_means_what_it_meant() {
    let config = load("0.1/everything.json");
    assert_eq!(config.limits.token_bytes, 8192);
    assert_eq!(config.limits.body_bytes, 1_048_576);
    assert_eq!(config.limits.cached_tokens, 1000);
    assert_eq!(config.limits.cached_bytes, 1_048_576);
    assert_eq!(config.limits.held_requests, 100);

    let issuer = &config.issuers[0];
    let seconds = Duration::from_secs;
    assert_eq!(issuer.policy.issuer, "https://auth.example.com/");
    let algorithms: Vec<&str> = issuer
        .policy
        .algorithms
        .iter()
        .map(|alg| alg.name())
        .collect();
    assert_eq!(algorithms, ["RS256", "ES256", "EdDSA"]);
    assert_eq!(issuer.policy.token_types.len(), 2);
    assert_eq!(issuer.policy.clock_skew, seconds(30));
    assert_eq!(issuer.policy.max_token_lifetime, Some(seconds(3600)));
    assert_eq!(issuer.audiences.as_ref().unwrap().len(), 2);
    assert!(issuer.mirrors_metadata);
    let remote = remote(&config, 0);
    assert_eq!((&*remote.cluster, &*remote.jwks_cluster), ("auth", "keys"));
    let uri = remote.jwks_uri.as_ref().unwrap();
    assert_eq!(uri.as_str(), "https://keys.example.com/jwks");
    assert_eq!(remote.timings.refresh, seconds(300));
    assert_eq!(remote.timings.timeout, seconds(3));
    assert_eq!(remote.timings.unknown_key_cooldown, seconds(10));
    assert_eq!(remote.timings.max_stale, seconds(7200));

    let resource = &config.resources[0];
    assert_eq!(resource.pattern.to_string(), "/internal/mcp");
    assert_eq!(resource.operations.len(), 3);
    assert!(matches!(&resource.operations[0].needs, Needs::Scopes(of) if of == &["mcp:admin"]));
    assert!(matches!(&resource.operations[2].needs, Needs::Nothing));
    assert!(resource.filter_lists);
    let granted = ["mcp:admin".to_owned()];
    assert!(resource.scope_hierarchy.grants(&granted, "mcp:read"));
    assert_eq!(resource.require_claims.len(), 2);
    assert_eq!(
        resource.allowed_origins.as_deref(),
        Some(&["https://app.example.com".to_owned()][..])
    );
    assert_eq!(resource.identity_headers.len(), 2);
    assert_eq!(resource.filter_state.len(), 2);
    assert!(resource.forward_token);
    assert!(!resource.cors);
}
