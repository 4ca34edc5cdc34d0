//! `mcp-auth explain`.

use super::*;

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
fn a_saved_answer_of_introspection_is_judged() {
    let mut asking = config();
    asking["issuers"][0]["introspection"] = json!({"cluster": "introspection"});
    let good = json!({
        "active": true, "aud": "https://mcp.example.com/mcp", "exp": NOW + 600, "sub": "alice",
        "scope": "mcp:read",
    });
    let with = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    for (answer, code, says) in [
        (good.clone(), 0, "set     x-mcp-sub: alice"),
        (json!({"active": false}), 1, "Refused: token_inactive"),
        (
            with("token_use", json!("refresh_token")),
            1,
            "Refused: not_an_access_token",
        ),
        (with("aud", json!(null)), 1, "Refused: audience_not_allowed"),
        (
            with("active", json!("true")),
            1,
            "Note: --introspection: the answer cannot be used: its active is neither true nor false.",
        ),
    ] {
        let saved = file(&answer);
        let token = "ory_at_mgvDfVDjOmsCTFjuqAO6";
        let more = ["--introspection", saved.to_str().unwrap()];
        let ran = explain_without_keys(&asking, token, &more);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        assert_says(&ran, &[says, "is asked about"]);
        assert_nothing_of(token, &ran);
    }
    let ran = explain_without_keys(&asking, "ory_at_mgvDfVDjOmsCTFjuqAO6", &[]);
    assert_says(&ran, &["Held until https://", "--introspection"]);
    let checked = run(&["check", file(&asking).to_str().unwrap()], "");
    assert_says(
        &checked,
        &[
            "asked about       opaque tokens",
            "through cluster \"introspection\"",
            "holds for 30s",
        ],
    );
}
