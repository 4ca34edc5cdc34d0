//! Every refusal that needs no body, with its answer.

use super::*;

#[test]
fn an_ambiguous_path_is_400() {
    let (reason, reply) = Case::new().at("POST", "//mcp").refused();
    assert_eq!(reason, Reason::PathAmbiguous);
    assert_eq!(reply.status, 400);
    assert_eq!(header(&reply, "www-authenticate"), None);
}

#[test]
fn without_a_bearer_token_the_challenge_has_no_error() {
    for case in [
        Case::new(),
        Case::new().header("authorization", "Basic YTpi"),
        Case::new().at("POST", "/mcp?access_token=x"),
    ] {
        let (_, reply) = case
            .resource("scopes", json!(["mcp:read", "mcp:write"]))
            .refused();
        assert_eq!(reply.status, 401);
        assert_eq!(
            header(&reply, "www-authenticate").unwrap(),
            format!("Bearer resource_metadata=\"{METADATA}\", scope=\"mcp:read mcp:write\"")
        );
        assert_eq!(header(&reply, "cache-control"), Some("no-store"));
        assert_eq!(header(&reply, "access-control-allow-origin"), None);
    }
}

#[test]
fn two_credentials_are_400() {
    let good = token(&claims());
    let separate = Case::new().bearer(&good).bearer(&good);
    let joined = Case::new().bearer(&format!("{good},Bearer {good}"));
    for case in [separate, joined] {
        let (reason, reply) = case.refused();
        assert_eq!(reason, Reason::MultipleCredentials);
        assert_eq!(reply.status, 400);
    }
}

#[test]
fn a_bad_token_is_401_with_its_reason() {
    let change = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(&claims)
    };
    for (token, expected) in [
        ("x".to_owned(), Reason::TokenMalformed),
        ("x".repeat(20_000), Reason::TokenTooLarge),
        (
            change("iss", json!("https://evil.example")),
            Reason::IssuerNotAllowed,
        ),
        (
            change("aud", json!("https://mcp.example.com/other")),
            Reason::AudienceNotAllowed,
        ),
        (change("exp", json!(1_799_999_000)), Reason::Expired),
        (change("exp", json!("1800000600")), Reason::ClaimsMalformed),
        (change("nbf", json!(1_800_000_100)), Reason::NotYetValid),
        (change("iat", json!(1_800_000_100)), Reason::IssuedInFuture),
        (
            change("cnf", json!({"jkt": "x"})),
            Reason::SenderConstrained,
        ),
        (
            change("cnf", json!({"x5t#S256": "x"})),
            Reason::SenderConstrained,
        ),
        (
            change("cnf", json!({"kid": "x"})),
            Reason::SenderConstrained,
        ),
        (change("cnf", json!("x")), Reason::ClaimsMalformed),
        (change("typ", json!("Refresh")), Reason::NotAnAccessToken),
        (
            testing::token("ES256", &json!({"kid": "no"}), &claims()),
            Reason::KeyUnknown,
        ),
        (
            testing::token("ES256", &json!({"kid": "rs256"}), &claims()),
            Reason::KeyMismatch,
        ),
        (
            testing::token("ES256", &json!({"typ": "dpop+jwt"}), &claims()),
            Reason::TokenTypeNotAllowed,
        ),
        (
            testing::token("ES256", &json!({"crit": ["x"]}), &claims()),
            Reason::CriticalHeader,
        ),
    ] {
        let (reason, reply) = Case::new().bearer(&token).refused();
        assert_eq!(reason, expected);
        assert_eq!(reply.status, 401);
        let description = expected.answer().description;
        assert_eq!(
            header(&reply, "www-authenticate").unwrap(),
            format!(
                "Bearer error=\"invalid_token\", error_description=\"{description}\", resource_metadata=\"{METADATA}\""
            )
        );
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({"error": "invalid_token", "error_description": description})
        );
    }
}

#[test]
fn a_missing_scope_is_403_with_all_that_are_needed() {
    let case = Case::new()
        .bearer(&token(&claims()))
        .resource("scopes", json!(["mcp:read", "mcp:admin"]));
    let (reason, reply) = case.refused();
    assert_eq!(reason, Reason::ScopeInsufficient);
    assert_eq!(reply.status, 403);
    let challenge = header(&reply, "www-authenticate").unwrap();
    assert!(challenge.starts_with(&format!(
        "Bearer error=\"insufficient_scope\", scope=\"mcp:read mcp:admin\", resource_metadata=\"{METADATA}\""
    )));
    Case::new()
        .bearer(&token(&claims()))
        .resource("scopes", json!(["mcp:list"]))
        .resource("scope_hierarchy", json!({"mcp:write": ["mcp:list"]}))
        .allowed();
}

#[test]
fn a_claim_that_no_scope_can_mend_is_403_without_a_challenge() {
    let case = |values: Value| {
        let mut claims = claims();
        claims["tenant"] = json!(["acme", "other"]);
        claims["aud"] = json!("https://mcp.example.com/t/acme/mcp");
        Case::new()
            .at("POST", "/t/acme/mcp")
            .bearer(&token(&claims))
            .resource("resource", json!("https://mcp.example.com/t/{ns}/mcp"))
            .resource("require_claims", json!({"tenant": values}))
    };
    case(json!(["{ns}"])).allowed();
    let (reason, reply) = case(json!(["ac{ns}"])).refused();
    assert_eq!(reason, Reason::ClaimNotAllowed);
    assert_eq!(reply.status, 403);
    assert_eq!(header(&reply, "www-authenticate"), None);
}

#[test]
fn a_token_of_one_tenant_is_not_for_another() {
    let mut claims = claims();
    claims["aud"] = json!("https://mcp.example.com/t/acme/mcp");
    let case = |path| {
        Case::new()
            .at("POST", path)
            .bearer(&token(&claims))
            .resource("resource", json!("https://mcp.example.com/t/{ns}/mcp"))
    };
    case("/t/acme/mcp").allowed();
    let (reason, reply) = case("/t/other/mcp").refused();
    assert_eq!(reason, Reason::AudienceNotAllowed);
    assert!(header(&reply, "www-authenticate").unwrap().contains(
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/t/other/mcp\""
    ));
}

#[test]
fn keys_that_cannot_be_had_are_503_and_never_a_challenge() {
    let config = json!({
        "issuers": [{"issuer": ISSUER, "cluster": "auth"}],
        "resources": [{"resource": RESOURCE}],
    });
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let mut trust = trust(&config);
    let head = Head::new(vec![
        (":method".to_owned(), b"POST".to_vec()),
        (
            "authorization".to_owned(),
            format!("Bearer {}", token(&claims())).into_bytes(),
        ),
    ]);
    let route = route(&config, Some(b"/mcp"), Authority::NotRead);
    assert!(matches!(
        decide(&config, &route, &head, &mut trust, NOW, NOW),
        Decision::Wait(Awaited::Keys(IssuerId(0)))
    ));
    for reason in Reason::ALL
        .iter()
        .filter(|reason| reason.fault() == Fault::Outage)
    {
        let Decision::Refuse(_, reply) = refuse(&config, &route, &head, *reason, NOW) else {
            panic!("{reason:?} is a refusal");
        };
        assert_eq!(reply.status, 503);
        assert_eq!(header(&reply, "retry-after"), Some("1"));
        assert_eq!(header(&reply, "www-authenticate"), None);
        assert!(!reply.body.contains("invalid_token"));
    }
}

#[test]
fn configured_audiences_replace_the_resource() {
    let mut claims = claims();
    claims["aud"] = json!(["api://mcp", "x"]);
    let case = Case::new()
        .bearer(&token(&claims))
        .issuer("audiences", json!(["api://mcp"]));
    case.allowed();
    assert_eq!(
        Case::new().bearer(&token(&claims)).refused().0,
        Reason::AudienceNotAllowed
    );
}

#[test]
fn every_reason_is_consistent() {
    let mut labels = std::collections::BTreeSet::new();
    for reason in Reason::ALL {
        let answer = reason.answer();
        assert!(labels.insert(reason.label()), "{reason:?}");
        assert!(
            answer
                .description
                .bytes()
                .all(|b| b.is_ascii() && !matches!(b, b'"' | b'\\' | 0..=31))
        );
        assert_eq!(
            answer.status == 401,
            matches!(answer.challenge, Challenge::Bare | Challenge::WithError)
                && answer.status != 403
        );
        assert_eq!(answer.status == 503, reason.fault() == Fault::Outage);
        assert!(answer.status != 404);
    }
}
