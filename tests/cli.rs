//! The command-line tool, as its users call it.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://mcp.example.com/mcp";

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of its own for each call.
fn file(content: &Value) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{number}.json"));
    fs::write(&path, content.to_string()).unwrap();
    path
}

fn config() -> Value {
    json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [{"resource": URL, "scopes": ["mcp:read"]}],
    })
}

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn key_set() -> Value {
    let x = URL_SAFE_NO_PAD.encode(&key(1).pk[..]);
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]})
}

/// A good token but for these members of header and claims; null takes one out.
fn token_by(seed: u8, header: &Value, claims: &Value) -> String {
    let merge = |mut all: Value, changes: &Value| {
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        URL_SAFE_NO_PAD.encode(all.to_string())
    };
    let header = merge(
        json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}),
        header,
    );
    let claims = merge(
        json!({
            "iss": "https://auth.example.com",
            "aud": URL,
            "exp": NOW + 600,
            "iat": NOW - 60,
            "sub": "alice",
            "scope": "mcp:read",
        }),
        claims,
    );
    let input = format!("{header}.{claims}");
    let signature = key(seed).sk.sign(&input, None);
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn token(claims: Value) -> String {
    token_by(1, &json!({}), &claims)
}

/// `explain` at [`NOW`], with the issuer's keys. Nothing of the token may come out.
fn explain(config: &Value, token: &str, more: &[&str]) -> Ran {
    let keys = file(&key_set());
    let mut arguments = vec!["--jwks", keys.to_str().unwrap()];
    arguments.extend(more);
    explain_without_keys(config, token, &arguments)
}

fn explain_without_keys(config: &Value, token: &str, more: &[&str]) -> Ran {
    let (config, at) = (file(config), NOW.to_string());
    let mut arguments = vec!["explain", "--config", config.to_str().unwrap(), "--at", &at];
    if !more.contains(&"--url") {
        arguments.extend(["--url", URL]);
    }
    arguments.extend(more);
    let ran = run(&arguments, token);
    assert_nothing_of(token, &ran);
    ran
}

/// No 8 bytes of the token's three parts, as they came, are in what was written.
fn assert_nothing_of(token: &str, ran: &Ran) {
    for part in token.trim_start_matches("Bearer ").split('.') {
        for window in part.as_bytes().windows(8) {
            let window = std::str::from_utf8(window).unwrap();
            assert!(!ran.stdout.contains(window), "{window}: {}", ran.stdout);
            assert!(!ran.stderr.contains(window), "{window}: {}", ran.stderr);
        }
    }
}

/// The marks of the rows, by name.
fn marks(ran: &Ran) -> Vec<(String, String)> {
    ran.stdout
        .lines()
        .filter_map(|line| {
            let (start, _) = line.split_once(" expected  ")?;
            let (mark, name) = start.trim().split_once(' ')?;
            Some((name.trim().to_owned(), mark.to_owned()))
        })
        .collect()
}

fn bad(ran: &Ran) -> Vec<String> {
    let bad = marks(ran).into_iter().filter(|(_, mark)| mark == "NO");
    bad.map(|(name, _)| name).collect()
}

fn assert_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stdout.contains(text), "no {text:?} in\n{}", ran.stdout);
    }
}

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

#[test]
fn an_allowed_request_is_shown_with_its_changes() {
    for token in [
        token(json!({})),
        format!("Bearer {}\n", token(json!({}))),
        format!("bearer {}", token(json!({}))),
    ] {
        let spoofed = ["--header", "X_MCP_Sub: root"];
        let ran = explain(&config(), &token, &spoofed);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(bad(&ran), Vec::<String>::new());
        assert_says(
            &ran,
            &[
                "Allowed: forwarded with these changes.",
                "remove  authorization",
                "remove  x_mcp_sub",
                "set     x-mcp-sub: alice",
                "by the key that kid \"k1\" names",
                "2027-01-15T08:10:00Z, in 10m",
            ],
        );
    }
}

#[test]
fn a_refused_token_is_explained_claim_by_claim() {
    for (header, claims, seed, reason, rows) in [
        (
            json!({}),
            json!({"exp": NOW - 61}),
            1,
            "expired",
            vec!["exp"],
        ),
        (
            json!({}),
            json!({"nbf": NOW + 61}),
            1,
            "not_yet_valid",
            vec!["nbf"],
        ),
        (
            json!({}),
            json!({"iat": NOW + 61}),
            1,
            "issued_in_future",
            vec!["iat"],
        ),
        (
            json!({}),
            json!({"aud": "https://mcp.example.com/mcp/"}),
            1,
            "audience_not_allowed",
            vec!["aud"],
        ),
        (
            json!({}),
            json!({"iss": "https://auth.example.com/"}),
            1,
            "issuer_not_allowed",
            vec!["iss"],
        ),
        (
            json!({"typ": "id+jwt"}),
            json!({}),
            1,
            "token_type_not_allowed",
            vec!["typ"],
        ),
        (
            json!({"kid": "k2"}),
            json!({}),
            1,
            "key_unknown",
            vec!["signature"],
        ),
        (
            json!({"alg": "ES256"}),
            json!({}),
            1,
            "key_mismatch",
            vec!["signature"],
        ),
        (
            json!({}),
            json!({}),
            2,
            "signature_invalid",
            vec!["signature"],
        ),
        (
            json!({}),
            json!({"scope": "mcp:write"}),
            1,
            "scope_insufficient",
            vec!["scope"],
        ),
        (
            json!({"alg": "HS256"}),
            json!({}),
            1,
            "algorithm_not_allowed",
            vec!["alg"],
        ),
        (
            json!({"alg": "none"}),
            json!({}),
            1,
            "algorithm_not_allowed",
            vec!["alg"],
        ),
        (
            json!({"crit": ["b64"]}),
            json!({}),
            1,
            "critical_header",
            vec!["crit"],
        ),
        (
            json!({}),
            json!({"exp": null}),
            1,
            "claims_malformed",
            vec!["exp"],
        ),
        (
            json!({}),
            json!({"aud": 7}),
            1,
            "claims_malformed",
            vec!["aud"],
        ),
        (
            json!({}),
            json!({"sub": 7}),
            1,
            "claims_malformed",
            vec!["sub"],
        ),
        (
            json!({"alg": null}),
            json!({}),
            1,
            "token_malformed",
            vec!["form"],
        ),
        // All that is wrong, though the first is what the client hears.
        (
            json!({"typ": "JOSE", "kid": "k9"}),
            json!({"aud": ["a", "b"], "exp": 1, "scope": ["x"]}),
            1,
            "token_type_not_allowed",
            vec!["typ", "aud", "exp", "signature", "scope"],
        ),
    ] {
        let token = token_by(seed, &header, &claims);
        let ran = explain(&config(), &token, &[]);
        assert_eq!(ran.code, 1, "{reason}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(bad(&ran), rows, "{}", ran.stdout);
        assert_says(&ran, &[&format!("Refused: {reason}: ")]);
    }
}

#[test]
fn the_answer_is_exact_and_hints_at_what_was_meant() {
    let slash = token(json!({"aud": "https://mcp.example.com/mcp/"}));
    let ran = explain(
        &config(),
        &slash,
        &["--header", "Origin: https://app.example.com"],
    );
    assert_says(
        &ran,
        &[
            "differ in a final slash only",
            "\n  HTTP status 401\n",
            "\n  www-authenticate: Bearer error=\"invalid_token\", error_description=\"The access token is for another audience\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"mcp:read\"\n",
            "\n  access-control-allow-origin: *\n",
            "\n  {\"error\":\"invalid_token\",\"error_description\":\"The access token is for another audience\"}\n",
        ],
    );
    let missing = explain(&config(), "", &[]);
    assert_eq!(missing.code, 1);
    assert_says(
        &missing,
        &[
            "credentials_missing",
            "www-authenticate: Bearer resource_metadata=",
        ],
    );
}

#[test]
fn without_keys_the_rest_is_judged() {
    let good = explain_without_keys(&config(), &token_by(2, &json!({}), &json!({})), &[]);
    assert_eq!(good.code, 0, "{}", good.stdout);
    assert_says(
        &good,
        &["NOT CHECKED", "Allowed:", "set     x-mcp-sub: alice"],
    );
    assert!(marks(&good).contains(&("signature".to_owned(), "-".to_owned())));

    let scope = explain_without_keys(&config(), &token(json!({"scope": ""})), &[]);
    assert_eq!(scope.code, 1, "{}", scope.stdout);
    assert_says(
        &scope,
        &[
            "NOT CHECKED",
            "Refused: scope_insufficient",
            "HTTP status 403",
        ],
    );

    let expired = explain_without_keys(&config(), &token(json!({"exp": 1})), &[]);
    assert_eq!(expired.code, 1);
    assert!(!expired.stdout.contains("NOT CHECKED"));
}

#[test]
fn rules_of_claims_are_shown_with_the_values_of_the_path() {
    let mut config = config();
    config["resources"][0] = json!({
        "resource": "https://mcp.example.com/{tenant}/mcp",
        "require_claims": {"tenant": ["{tenant}"]},
    });
    let url = ["--url", "https://mcp.example.com/acme/mcp/x"];
    let claims =
        |tenant: &str| json!({"aud": "https://mcp.example.com/acme/mcp", "tenant": tenant});
    let good = explain(&config, &token(claims("acme")), &url);
    assert_eq!(good.code, 0, "{}", good.stdout);
    let other = explain(&config, &token(claims("globex\u{1b}[2J")), &url);
    assert_eq!(bad(&other), ["tenant"]);
    assert_says(
        &other,
        &["claim_not_allowed", "\"acme\"", r#""globex\u{1b}[2J""#],
    );
}

#[test]
fn requests_that_need_no_token_are_told_apart() {
    for (more, code, says) in [
        (vec!["--url", "https://mcp.example.com/other"], 0, "Passed:"),
        (
            vec![
                "--url",
                "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
                "--method",
                "GET",
            ],
            0,
            "\"authorization_servers\":[\"https://auth.example.com\"]",
        ),
        (
            vec![
                "--method",
                "OPTIONS",
                "--header",
                "origin: https://a.example",
                "--header",
                "access-control-request-method: POST",
            ],
            0,
            "HTTP status 204",
        ),
        (
            vec!["--url", "https://mcp.example.com//mcp"],
            1,
            "path_ambiguous",
        ),
        (
            vec!["--url", "https://mcp.example.com/mcp/%2e%2e"],
            1,
            "path_ambiguous",
        ),
    ] {
        let ran = explain(&config(), &token(json!({})), &more);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        assert_says(&ran, &[says]);
        assert_eq!(marks(&ran), []);
    }
    let mut observed = config();
    observed["mode"] = json!("observe");
    let ran = explain(&observed, &token(json!({"exp": 1})), &[]);
    assert_eq!(ran.code, 0);
    assert_says(&ran, &["Forwarded, for `mode` is observe", "expired"]);
}

#[test]
fn hosts_and_issuers_are_told_apart() {
    let mut config = config();
    config["issuers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"issuer": "https://b.example", "cluster": "b"}));
    config["resources"][0]["hosts"] = json!(["mcp.example.com"]);
    let other_host = explain(
        &config,
        &token(json!({})),
        &["--url", "https://x.example/mcp"],
    );
    assert_says(&other_host, &["Passed:"]);

    let stranger = token(json!({"iss": "https://c.example"}));
    let ran = explain(&config, &stranger, &[]);
    assert_eq!(bad(&ran), ["iss"]);
    assert_says(
        &ran,
        &["choose one with --issuer", "the key set is not used"],
    );
    let ran = explain(&config, &stranger, &["--issuer", "https://b.example"]);
    assert!(
        marks(&ran).contains(&("aud".to_owned(), "ok".to_owned())),
        "{}",
        ran.stdout
    );

    // The keys of one issuer do not verify another's tokens.
    let ran = explain(
        &config,
        &token(json!({})),
        &["--issuer", "https://b.example"],
    );
    assert_says(&ran, &["NOT CHECKED"]);
}

#[test]
fn a_token_in_the_wrong_place_is_not_repeated() {
    let token = token(json!({}));
    let header = format!("Authorization: Bearer {token}");
    let query = format!("{URL}?access_token={token}");
    for more in [
        vec![token.as_str()],
        vec!["--header", &header],
        vec!["--header", &token],
        vec!["--url", &token],
        vec!["--at", &token],
        vec!["--issuer", &token],
        vec!["--method", &token, "--method", &token],
        vec!["--token", &token],
    ] {
        let ran = explain(&config(), &token, &more);
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    }
    let ran = explain(&config(), &token, &["--url", &query]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_says(&ran, &["and a query"]);
}

#[test]
fn what_cannot_be_used_is_a_wrong_call() {
    let broken = explain(&json!({}), "", &[]);
    assert_eq!((broken.code, broken.stdout.as_str()), (2, ""));
    assert!(
        broken
            .stderr
            .contains("`issuers`: found nothing; allowed: a value")
    );
    for keys in [
        json!({"keys": []}),
        json!([]),
        json!({"keys": [{"kty": "oct", "k": "AA"}]}),
    ] {
        let keys = file(&keys);
        let more = ["--jwks", keys.to_str().unwrap()];
        let ran = explain_without_keys(&config(), &token(json!({})), &more);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains("--jwks"), "{}", ran.stderr);
    }
    assert_eq!(
        run(&["explain", "--config", "-", "--url", URL], "{}").code,
        2
    );
    assert_eq!(run(&["explain", "--url", URL], "").code, 2);
}

/// Nothing but what can be seen, and the ends of lines.
fn assert_harmless(ran: &Ran) {
    let odd = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for text in [&ran.stdout, &ran.stderr] {
        assert_eq!(text.chars().find(odd), None, "{text:?}");
        assert!(!text.contains("\nforged"), "{text}");
    }
}

#[test]
fn nothing_that_steers_a_terminal_is_printed() {
    let hostile = "a\u{1b}[2J\nforged\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}";
    let escaped = r"a\u{1b}[2J\nforged\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}";
    let with = |pointer: &str, value: Value| {
        let mut config = config();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[last] = value;
        config
    };
    for (config, code) in [
        (with(&format!("/{hostile}"), json!(1)), 1),
        (with(&format!("/resources/0/{hostile}"), json!(1)), 1),
        (with("/resources/0/scopes", json!([hostile])), 1),
        (with("/mode", json!(hostile)), 1),
        (
            with("/resources/0/require_claims", json!({hostile: [hostile]})),
            0,
        ),
        (with("/resources/0/require_claims", json!({hostile: []})), 1),
        (
            with("/resources/0/identity_headers", json!({hostile: "x-a"})),
            0,
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": format!("{hostile}x"), "deny": true}]),
            ),
            0,
        ),
        (with("/issuers/0/audiences", json!([hostile])), 0),
        (with("/issuers/0/cluster", json!(hostile)), 0),
    ] {
        let ran = run(&["check", "-"], &config.to_string());
        assert_eq!(ran.code, code, "{config}: {}", ran.stderr);
        assert_harmless(&ran);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(escaped), "{all}");
        if code == 0 {
            assert_harmless(&explain(&config, &token(json!({hostile: hostile})), &[]));
        }
    }
    let missing = format!("/nonexistent/{hostile}");
    let (config, option) = (file(&config()), format!("--{hostile}"));
    let config = config.to_str().unwrap();
    for arguments in [
        vec!["check", &missing],
        vec!["check", &option],
        vec!["explain", "--config", &missing, "--url", URL],
        vec![
            "explain", "--config", config, "--url", URL, "--jwks", &missing,
        ],
        vec![
            "explain", "--config", config, "--url", URL, "--body", &missing,
        ],
    ] {
        let ran = run(&arguments, "");
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert_harmless(&ran);
    }
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join(hostile);
    let mut set = key_set();
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct", "k": "AA", "kid": hostile}));
    fs::write(&keys, set.to_string()).unwrap();
    let more = ["--jwks", keys.to_str().unwrap()];
    let token = token(json!({"sub": hostile}));
    let ran = run(
        &[&["explain", "--config", config, "--url", URL][..], &more].concat(),
        &token,
    );
    assert_says(&ran, &["Note: ", "it is symmetric"]);
    assert_harmless(&ran);
}

/// A configuration of just so many bytes.
fn padded(bytes: usize) -> String {
    let config = config().to_string();
    format!("{config}{}", " ".repeat(bytes - config.len()))
}

#[test]
fn every_input_has_a_bound() {
    const MAX: usize = 4 * 1024 * 1024;
    let too_long = |ran: &Ran, name: &str| {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        let says = format!("mcp-auth: {name} is longer than 4194304 bytes\n");
        assert_eq!(ran.stderr, says);
    };
    let config = file(&config());
    let explain = [
        "explain",
        "--config",
        config.to_str().unwrap(),
        "--url",
        URL,
    ];
    too_long(&run(&["check", "/dev/zero"], ""), "/dev/zero");
    too_long(
        &run(&["explain", "--config", "/dev/zero", "--url", URL], ""),
        "/dev/zero",
    );
    for option in ["--jwks", "--body"] {
        too_long(
            &run(&[&explain[..], &[option, "/dev/zero"]].concat(), ""),
            "/dev/zero",
        );
    }
    assert_eq!(run(&["check", "-"], &padded(MAX)).code, 0);
    too_long(&run(&["check", "-"], &padded(MAX + 1)), "standard input");
    too_long(&run(&explain, &"x".repeat(MAX + 1)), "standard input");

    // A pipe with a name, that somebody writes into without end.
    let fifo =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-fifo-{}", std::process::id()));
    let fifo = fifo.to_str().unwrap();
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let mut writer = Command::new("sh")
        .args(["-c", "exec yes > \"$0\"", fifo])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    too_long(&run(&["check", fifo], ""), fifo);
    // Nobody reads any more, so it ends by itself.
    assert!(!writer.wait().unwrap().success());
    fs::remove_file(fifo).unwrap();
}

#[test]
fn a_wrong_command_line_is_answered_in_one_sentence() {
    for (arguments, says) in [
        (
            vec!["foo"],
            "there is no such command; see `mcp-auth --help`",
        ),
        (
            vec!["chek", "x"],
            "there is no such command (is check meant?); see `mcp-auth --help`",
        ),
        (
            vec!["check"],
            "check needs <CONFIG>; see `mcp-auth check --help`",
        ),
        (
            vec!["check", "a", "b"],
            "check was given something that it does not take; see `mcp-auth check --help`",
        ),
        (
            vec!["explain", "--url", URL],
            "explain needs --config <FILE>; see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--jkws=x"],
            "explain has no option --jkws (is --jwks meant?); see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--config"],
            "--config <FILE> needs a value; see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--method", "A", "--method", "B"],
            "--method <METHOD> may be given only once; see `mcp-auth explain --help`",
        ),
        (
            vec!["completions", "tcsh"],
            "<SHELL> is one of bash, elvish, fish, powershell, zsh; see `mcp-auth completions --help`",
        ),
    ] {
        let ran = run(&arguments, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert_eq!(ran.stderr, format!("mcp-auth: {says}\n"), "{arguments:?}");
    }
}

#[test]
fn a_token_in_place_of_a_command_or_option_is_not_repeated() {
    let token = token(json!({}));
    let option = format!("--{token}");
    for arguments in [
        vec![token.as_str()],
        vec!["check", "-", &token],
        vec!["schema", &token],
        vec!["schema", &option],
        vec!["completions", &token],
    ] {
        let ran = run(&arguments, "");
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        assert_nothing_of(&token, &ran);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = run(&["--help"], "");
    assert_eq!(all.code, 0);
    assert_says(&all, &["Exit code: 0 for yes", "Examples:"]);
    assert_eq!(run(&[], "").code, 2);
    for command in ["check", "explain", "schema", "completions"] {
        assert_says(&all, &[command]);
        let ran = run(&[command, "--help"], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_says(&ran, &["Example", &format!("mcp-auth {command}")]);
    }
    for command in ["check", "explain"] {
        assert_says(&run(&[command, "--help"], ""), &["Exit code: 0 if"]);
    }
}

#[test]
fn each_shell_gets_its_script() {
    for (shell, says) in [
        ("bash", "complete -F"),
        ("elvish", "edit:completion"),
        ("fish", "complete -c mcp-auth"),
        ("powershell", "Register-ArgumentCompleter"),
        ("zsh", "#compdef mcp-auth"),
    ] {
        let ran = run(&["completions", shell], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        assert_says(&ran, &[says, "--jwks"]);
    }
}

/// The script at work. The other shells are not everywhere; bash is, where this is built.
#[test]
fn bash_completes_commands_options_and_values() {
    let script = run(&["completions", "bash"], "").stdout;
    for (line, last, wanted) in [
        (
            "mcp-auth",
            "",
            vec!["check", "explain", "schema", "completions"],
        ),
        ("mcp-auth ex", "ex", vec!["explain"]),
        ("mcp-auth explain", "--j", vec!["--jwks"]),
        ("mcp-auth completions", "b", vec!["bash"]),
    ] {
        let words: Vec<&str> = line.split(' ').filter(|word| *word != last).collect();
        let asked = format!(
            "{script}\nCOMP_WORDS=({} '{last}'); COMP_CWORD={}\n_mcp__auth mcp-auth '{last}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len(),
            words.last().unwrap(),
        );
        let output = Command::new("bash").args(["-c", &asked]).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = found.lines().collect();
        assert!(
            wanted.iter().all(|word| found.contains(word)),
            "{line} {last}: {found:?} {}",
            String::from_utf8(output.stderr).unwrap(),
        );
    }
}

#[test]
fn the_shipped_schema_is_current() {
    let ran = run(&["schema"], "");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stdout,
        include_str!("../envoy/config.schema.json"),
        "renew it: cargo run --bin mcp-auth -- schema > envoy/config.schema.json"
    );
}
