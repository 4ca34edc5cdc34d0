//! `mcp-auth issue`, judged by `mcp-auth explain`.

use super::*;

/// The keys that it made, and a configuration that trusts them.
fn keys_and_config(algorithm: &str) -> (PathBuf, PathBuf) {
    let ran = run(&["issue", "keys", "--algorithm", algorithm], "");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let keys: Value = serde_json::from_str(&ran.stdout).unwrap();
    let config = json!({
        "issuers": [
            {"issuer": "https://other.example.com", "cluster": "other"},
            {
                "issuer": "https://auth.example.com", "jwks": keys["jwks"],
                "max_token_lifetime_seconds": 120,
            },
        ],
        "resources": [{
            "resource": "https://mcp.example.com/t/{tenant}/mcp",
            "scopes": ["mcp:read", "mcp:call"],
            "require_claims": {"tenant": ["{tenant}"], "/realm_access/roles": ["user", "admin"]},
        }],
    });
    (file(&keys), file(&config))
}

const RESOURCE: &str = "https://mcp.example.com/t/acme/mcp";

fn token_of(keys: &Path, config: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["issue", "token"];
    arguments.extend([
        "--keys",
        keys.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ]);
    arguments.extend(["--resource", RESOURCE]);
    arguments.extend(more);
    run(&arguments, "")
}

fn judged(config: &Path, token: &str) -> Ran {
    let config = config.to_str().unwrap();
    run(&["explain", "--config", config, "--url", RESOURCE], token)
}

#[test]
fn a_token_is_right_or_wrong_as_it_was_asked_for() {
    let (keys, config) = keys_and_config("es256");
    for (wrong, reason) in [
        ("", "Allowed"),
        ("audience", "audience_not_allowed"),
        ("issuer", "issuer_not_allowed"),
        ("expired", "expired"),
        ("not-yet-valid", "not_yet_valid"),
        ("no-expiry", "claims_malformed"),
        ("scope", "scope_insufficient"),
        ("claims", "claim_not_allowed"),
        ("signature", "signature_invalid"),
        ("key", "key_unknown"),
        ("unsigned", "algorithm_not_allowed"),
        ("type", "token_type_not_allowed"),
    ] {
        let more = if wrong.is_empty() {
            vec![]
        } else {
            vec!["--wrong", wrong]
        };
        let issued = token_of(&keys, &config, &more);
        assert_eq!((issued.code, issued.stderr.as_str()), (0, ""), "{wrong}");
        let ran = judged(&config, &issued.stdout);
        assert_eq!(
            ran.code,
            i32::from(!wrong.is_empty()),
            "{wrong}: {}",
            ran.stdout
        );
        assert!(
            ran.stdout.contains(reason),
            "{wrong} {reason}: {}",
            ran.stdout
        );
    }
}

#[test]
fn every_algorithm_is_one_that_the_filter_verifies() {
    for algorithm in ["es256", "rs256", "eddsa"] {
        let (keys, config) = keys_and_config(algorithm);
        let issued = token_of(&keys, &config, &["--subject", "alice", "--lifetime", "60"]);
        let ran = judged(&config, &issued.stdout);
        assert_eq!(ran.code, 0, "{algorithm}: {}", ran.stdout);
    }
}

/// The issuer itself would have to know the token.
#[test]
fn no_token_is_made_where_the_issuer_is_asked_about_all() {
    let (keys, config) = keys_and_config("es256");
    let written = fs::read_to_string(&config).unwrap();
    for (introspection, has_keys, code) in [
        (
            json!({"cluster": "i", "endpoint": "https://auth.example.com/i"}),
            true,
            0,
        ),
        (
            json!({"cluster": "i", "endpoint": "https://auth.example.com/i"}),
            false,
            2,
        ),
        (
            json!({"cluster": "i", "endpoint": "https://auth.example.com/i", "tokens": "all"}),
            true,
            2,
        ),
    ] {
        let mut config: Value = serde_json::from_str(&written).unwrap();
        config["issuers"].as_array_mut().unwrap().remove(0);
        let issuer = &mut config["issuers"][0];
        issuer["introspection"] = introspection;
        if !has_keys {
            issuer.as_object_mut().unwrap().remove("jwks");
        }
        let ran = token_of(&keys, &file(&config), &[]);
        assert_eq!(
            (ran.code, ran.stdout.is_empty()),
            (code, code == 2),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.contains("asked about every token"), code == 2);
    }
}

#[test]
fn check_warns_of_testing_keys() {
    let (_, config) = keys_and_config("eddsa");
    let ran = run(&["check", config.to_str().unwrap()], "");
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout
            .contains("issuers[1].jwks: the key mcp-auth-testing-"),
        "{}",
        ran.stdout
    );
}

#[test]
fn only_testing_keys_sign() {
    let (keys, config) = keys_and_config("es256");
    let text = fs::read_to_string(&keys).unwrap();
    for (found, said) in [
        (text.replace("mcp-auth-testing-", "production-"), "kid"),
        (text.replace("\"private\"", "\"public\""), "private"),
        ("[]".to_owned(), "private"),
        ("no".to_owned(), "JSON"),
    ] {
        fs::write(&keys, found).unwrap();
        let ran = token_of(&keys, &config, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1);
    }
    fs::write(&keys, text).unwrap();
    let ran = token_of(
        &keys,
        &config,
        &["--resource", "https://mcp.example.com/other"],
    );
    assert_eq!(ran.code, 2);
}

/// What is called wrong is never good.
#[test]
fn nothing_is_left_out_that_is_not_needed() {
    let (keys, _) = keys_and_config("es256");
    let config = json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [{"resource": "https://mcp.example.com/t/{tenant}/mcp"}],
    });
    for (wrong, field) in [("scope", "scopes"), ("claims", "require_claims")] {
        let ran = token_of(&keys, &file(&config), &["--wrong", wrong]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(
            ran.stderr.contains(&format!("has no {field}")),
            "{}",
            ran.stderr
        );
    }
}
