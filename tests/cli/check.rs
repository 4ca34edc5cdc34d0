//! `mcp-auth check`.

use super::*;

#[test]
fn check_says_what_is_protected_and_how() {
    let ran = run(&["check", "-"], &config().to_string());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_says(
        &ran,
        &[
            "The configuration is valid: 1 resource, 1 issuer; mode enforce.",
            "/mcp, and all below it",
            "https://mcp.example.com/.well-known/oauth-protected-resource/mcp\n",
            "https://auth.example.com for the audience \"https://mcp.example.com/mcp\"",
            "mcp:read on every request",
            "x-mcp-sub: claim sub",
            "authorization is removed",
            "GET https://auth.example.com/.well-known/oauth-authorization-server through cluster \"auth\"",
            "GET https://auth.example.com/.well-known/openid-configuration through cluster \"auth\"",
            "jwks_uri found there through cluster \"auth\"",
            "every 10m; for an unknown kid at most every 30s",
            "at most 16384 bytes",
            "everything but /mcp on this host is forwarded, marked `pass`",
            "Nothing in it is unwise",
        ],
    );

    let everything = json!({
        "issuers": [
            {
                "issuer": "https://a.example/t", "cluster": "a", "jwks_cluster": "keys",
                "jwks_uri": "https://keys.example/a?v=1", "algorithms": ["RS256", "ES256"],
                "audiences": ["api://mcp"], "token_types": ["at+jwt", null],
                "max_token_lifetime_seconds": 3600,
            },
            {"issuer": "https://b.example/t", "cluster": "b"},
            {"issuer": "https://c.example", "jwks": key_set()},
        ],
        "resources": [{
            "resource": "https://mcp.example.com/{tenant}/mcp",
            "hosts": ["mcp.example.com:8443"],
            "scope_hierarchy": {"admin": ["write"]},
            "require_claims": {"/org/tenant": ["{tenant}", "all"]},
            "allowed_origins": ["https://app.example.com"],
            "identity_headers": {"sub": "x-user"},
            "forward_token": true, "cors": false,
        }],
    });
    let ran = run(&["check", file(&everything).to_str().unwrap()], "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_says(
        &ran,
        &[
            "/{tenant}/mcp, and all below it",
            "mcp.example.com:8443",
            "https://mcp.example.com/.well-known/oauth-protected-resource/{tenant}/mcp",
            "https://a.example/t for the audience \"api://mcp\"",
            "https://b.example/t for the audience \"https://mcp.example.com/{tenant}/mcp\"",
            "write is implied by admin",
            "/org/tenant must have \"{tenant}\" or \"all\"",
            "Origin must be https://app.example.com",
            "left to the server",
            "x-user: claim sub",
            "authorization: the token itself",
            "GET https://keys.example/a?v=1 through cluster \"keys\"",
            "RS256 or ES256",
            "\"at+jwt\" or absent",
            "at most 1h; iat is required",
            "GET https://b.example/.well-known/oauth-authorization-server/t through",
            "GET https://b.example/.well-known/openid-configuration/t through",
            "GET https://b.example/t/.well-known/openid-configuration through",
            "kid \"k1\", for EdDSA",
        ],
    );
}

#[test]
fn check_says_what_is_open() {
    let open = |resource: Value, mode: &str| {
        let mut config = config();
        config["resources"] = resource;
        config["mode"] = json!(mode);
        let ran = run(&["check", "-"], &config.to_string());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let (_, said) = ran.stdout.split_once("\nOpen\n").unwrap();
        said.lines().next().unwrap().to_owned()
    };
    let whole = json!([{"resource": "https://mcp.example.com/mcp", "path": "/"}]);
    assert!(open(whole.clone(), "enforce").contains("no path is forwarded"));
    assert!(open(whole, "observe").contains("everything is forwarded"));
    let some = json!([
        {"resource": "https://mcp.example.com/a", "hosts": ["mcp.example.com"]},
        {"resource": "https://mcp.example.com/b"},
    ]);
    assert!(open(some, "enforce").contains("everything but /a (on its hosts), /b on this host"));
}

#[test]
fn check_warns_of_what_is_unwise() {
    let with = |pointer: &str, value: Value| {
        let mut config = config();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[last] = value;
        config
    };
    let mut shared = with("/issuers/0/audiences", json!(["api://mcp"]));
    shared["resources"] = json!([{"resource": URL}, {"resource": "https://mcp.example.com/b"}]);
    let mut tenants = with("/issuers/0/audiences", json!(["api://mcp"]));
    tenants["resources"][0]["resource"] = json!("https://mcp.example.com/{tenant}/mcp");
    let mut unused = with("/resources/0/issuers", json!(["https://auth.example.com"]));
    let issuers = unused["issuers"].as_array_mut().unwrap();
    issuers.push(json!({"issuer": "https://b.example", "cluster": "b"}));
    for (config, says) in [
        (with("/enabled", json!(false)), "enabled is false"),
        (with("/mode", json!("observe")), "mode is observe"),
        (
            with("/issuers/0/issuer", json!("http://auth.example.com")),
            "issuers[0].issuer: \"http://auth.example.com\" is not https",
        ),
        (
            with("/issuers/0/clock_skew_seconds", json!(300)),
            "issuers[0].clock_skew_seconds",
        ),
        (
            with("/issuers/0/keys", json!({"max_stale_seconds": 0})),
            "issuers[0].keys.max_stale_seconds: 0",
        ),
        (
            with("/issuers/0/keys", json!({"max_stale_seconds": 604_800})),
            "trusted for 7days",
        ),
        (
            with("/issuers/0/audiences", json!(["api://mcp"])),
            "its ID tokens pass",
        ),
        (shared, "2 resources share them"),
        (tenants, "a token of one tenant is good for all"),
        (unused, "issuers[1]: no resource accepts its tokens"),
        (
            with("/resources/0/resource", json!("https://mcp.example.com")),
            "protects everything",
        ),
        (
            with("/resources/0/hosts", json!(["mcp.example.com"])),
            "pass without a token",
        ),
        (
            with("/resources/0/forward_token", json!(true)),
            "must not pass them on",
        ),
        (
            with("/resources/0/identity_headers", json!({})),
            "not told who",
        ),
        (
            with("/resources/0/allowed_origins", json!([])),
            "refuses every browser",
        ),
    ] {
        let ran = run(&["check", "-"], &config.to_string());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let (_, warnings) = ran.stdout.split_once("\nWarnings\n").unwrap_or_default();
        assert!(warnings.contains(says), "no {says:?} in\n{}", ran.stdout);
    }
}

#[test]
fn check_refuses_in_one_sentence() {
    let mut config = config();
    config["issuers"][0]["clock_skew_seconds"] = json!(601);
    let ran = run(&["check", "-"], &config.to_string());
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert_eq!(
        ran.stderr,
        "mcp-auth: configuration field `issuers[0].clock_skew_seconds`: found 601; allowed: 0 to 600 seconds\n"
    );
    assert_eq!(run(&["check", "/nonexistent/config.json"], "").code, 2);
    assert_eq!(run(&["check"], "").code, 2);
    assert_eq!(run(&["check", "--help"], "").code, 0);
}
