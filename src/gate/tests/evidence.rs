//! Every refusal that is logged says what was found.

use super::*;

/// `(reason, expected, found)` of a request, as its log line has them.
type Told = (Reason, Option<String>, Option<String>);

fn told(decision: Decision) -> Told {
    match decision {
        Decision::Refuse(refusal, _) => (refusal.reason, refusal.expected, refusal.found),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn with(name: &str, value: Value) -> Case {
    let mut claims = claims();
    claims[name] = value;
    Case::new().bearer(&token(&claims))
}

fn header_of(name: &str, value: Value) -> Case {
    let mut header = json!({"kid": "es256"});
    header[name] = value;
    Case::new().bearer(&testing::token("ES256", &header, &claims()))
}

/// Refused by its headers.
fn by_headers() -> Vec<(Case, Reason, &'static str, &'static str)> {
    let good = token(&claims());
    let forged = testing::token_by(
        testing::Signer::Stranger,
        "ES256",
        &json!({"kid": "es256"}),
        &claims(),
    );
    let authorization = |value: &str| Case::new().header("authorization", value);
    let path = |path: &'static str| Case::new().at("POST", path).header(":path", path);
    vec![
        (
            path("//mcp%3Ftoken=secret"),
            Reason::PathAmbiguous,
            "a plain path",
            r#""//mcp""#,
        ),
        (
            Case::new()
                .header("origin", "https://evil.example\n")
                .resource("allowed_origins", json!(["https://app.example.com"])),
            Reason::OriginNotAllowed,
            "https://app.example.com",
            r#""https://evil.example\n""#,
        ),
        (
            authorization("DPoP abc"),
            Reason::SchemeNotBearer,
            "Bearer",
            "DPoP",
        ),
        (
            authorization(&good),
            Reason::SchemeNotBearer,
            "Bearer",
            "another scheme",
        ),
        (
            Case::new().bearer(&good).bearer(&good),
            Reason::MultipleCredentials,
            "one Authorization header",
            "2 headers",
        ),
        (
            authorization("Bearer a, Bearer b"),
            Reason::MultipleCredentials,
            "one Authorization header",
            "several, joined by a comma",
        ),
        (
            authorization("Bearer"),
            Reason::TokenMalformed,
            "one token behind Bearer",
            "none, or characters that no token has (RFC 6750 §2.1)",
        ),
        (
            Case::new().bearer("2YotnFZFEjr1zCsicMWpAA2YotnFZFEj"),
            Reason::TokenMalformed,
            "a signed JWT",
            "opaque, 32 characters",
        ),
        (
            Case::new().bearer(&"x".repeat(20_000)),
            Reason::TokenTooLarge,
            "at most 16384 bytes",
            "20000 bytes",
        ),
        (
            header_of("crit", json!(["x"])),
            Reason::CriticalHeader,
            "no crit",
            r#""[\"x\"]""#,
        ),
        (
            header_of("typ", json!("a\tb")),
            Reason::TokenTypeNotAllowed,
            "at+jwt JWT absent",
            r#""a\tb""#,
        ),
        (
            with("token_use", json!("id")),
            Reason::NotAnAccessToken,
            "an access token",
            r#"token_use "id""#,
        ),
        (
            header_of("alg", json!("HS256")),
            Reason::AlgorithmNotAllowed,
            "an asymmetric algorithm",
            r#""HS256""#,
        ),
        (
            with("x", json!(1)).issuer("algorithms", json!(["RS256", "PS256"])),
            Reason::AlgorithmNotAllowed,
            "RS256 PS256",
            "ES256",
        ),
        (
            with("exp", json!("1800000600")),
            Reason::ClaimsMalformed,
            "exp: a number of seconds since 1970 (RFC 7519 §4.1.4); required",
            "exp: a string",
        ),
        (
            Case::new().bearer(&token(&json!({"iss": "https://evil.example\n"}))),
            Reason::ClaimsMalformed,
            "aud: a string, or a list of strings (RFC 7519 §4.1.3); required",
            r#"aud: absent; iss "https://evil.example\n""#,
        ),
        (
            with("iss", json!("https://evil.example\n")),
            Reason::IssuerNotAllowed,
            ISSUER,
            r#""https://evil.example\n""#,
        ),
        (
            with("aud", json!(["a", "b\u{1b}"])),
            Reason::AudienceNotAllowed,
            RESOURCE,
            r#""a" "b\u{1b}""#,
        ),
        (
            with("exp", json!(1_799_999_000)),
            Reason::Expired,
            "exp after 1799999940 (now 1800000000)",
            "1799999000",
        ),
        (
            with("nbf", json!(1_800_000_100)),
            Reason::NotYetValid,
            "nbf by 1800000060 (now 1800000000)",
            "1800000100",
        ),
        (
            with("iat", json!(1_800_000_100)),
            Reason::IssuedInFuture,
            "iat by 1800000060 (now 1800000000)",
            "1800000100",
        ),
        (
            with("x", json!(1)).issuer("max_token_lifetime_seconds", json!(300)),
            Reason::LifetimeTooLong,
            "exp - iat of at most 300 s",
            "600 s",
        ),
        (
            with("cnf", json!({"kid": "a", "jkt": "b"})),
            Reason::SenderConstrained,
            "no cnf",
            r#"cnf "jkt" "kid""#,
        ),
        (
            header_of("kid", json!("no\r")),
            Reason::KeyUnknown,
            "a key of the issuer",
            r#""no\r" for ES256"#,
        ),
        (
            header_of("kid", json!("rs256")),
            Reason::KeyMismatch,
            "a key of the issuer",
            r#""rs256""#,
        ),
        (
            Case::new().bearer(&forged),
            Reason::SignatureInvalid,
            "a key of the issuer",
            r#""es256""#,
        ),
        (
            with("x", json!(1)).resource("scopes", json!(["mcp:admin"])),
            Reason::ScopeInsufficient,
            "mcp:admin",
            r#""mcp:read mcp:write""#,
        ),
        (
            with("tenant", json!("evil")).resource("require_claims", json!({"tenant": ["a", "b"]})),
            Reason::ClaimNotAllowed,
            r#"tenant: "a" "b""#,
            r#""evil""#,
        ),
    ]
}

/// Refused by the body, or because something is not to be had.
fn by_the_rest() -> Vec<Told> {
    let case = with_operations;
    let mut many = testing::stranger_key_set()["keys"].clone();
    many.as_array_mut()
        .unwrap()
        .retain(|key| key["alg"] == "ES256");
    many[0]["kid"] = json!("many");
    let many = vec![many[0].clone(); 40];
    let too_many_keys = header_of("kid", json!("many")).issuer("jwks", json!({"keys": many}));
    let config = case().config();
    let (route, head) = (case().route(&config), case().head());
    let refused = |reason| told(refuse(&config, &route, &head, reason, NOW));
    let hosts = json!({
        "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
        "resources": [{"resource": RESOURCE, "hosts": ["mcp.example.com"]}],
    });
    let hosts = Config::parse(hosts.to_string().as_bytes()).unwrap();
    let unclear = |path: Option<&[u8]>, authority| {
        let route = super::route(&hosts, path, authority);
        told(decide(&hosts, &route, &head, &mut trust(&hosts), NOW, NOW))
    };
    vec![
        unclear(None, Authority::Present(b"mcp.example.com")),
        unclear(Some(b"/mcp"), Authority::Missing),
        told(case().decide_with(&"x".repeat(600_000))),
        told(case().decide_with("{")),
        told(case().decide_with(&call("shell"))),
        told(
            case()
                .header("mcp-protocol-version", "2026-07-28")
                .decide_with(&call("read")),
        ),
        told(
            case()
                .header("content-type", "application/json; charset=utf-7")
                .decide(),
        ),
        told(
            case()
                .at("GET", "/mcp")
                .header("content-length", "1")
                .decide(),
        ),
        told(too_many_keys.decide()),
        refused(Reason::KeysUnavailable),
        refused(Reason::KeysStale),
        refused(Reason::KeyPending),
        refused(Reason::IntrospectionUnavailable),
        refused(Reason::TooManyWaiting),
        refused(Reason::NoRoomForBody),
        refused(Reason::BodyTimeout),
    ]
}

#[test]
fn every_refusal_says_what_was_found() {
    let mut seen = Vec::new();
    for (case, reason, expected, found) in by_headers() {
        let (is, says, has) = told(case.decide());
        assert_eq!(
            (is, says.as_deref(), has.as_deref()),
            (reason, Some(expected), Some(found))
        );
        seen.push(reason);
    }
    for (reason, expected, found) in by_the_rest() {
        assert!(found.is_some(), "{reason:?} {expected:?}");
        seen.push(reason);
    }
    // How every login begins is not logged, and where the host fails there is nothing to tell.
    seen.extend([Reason::CredentialsMissing, Reason::Internal]);
    // Tried with what an issuer says of tokens, by the tests of `trust`.
    seen.push(Reason::TokenInactive);
    for reason in Reason::ALL {
        assert!(seen.contains(reason), "{reason:?} is not tried");
    }
}

#[test]
fn no_part_of_a_token_is_told() {
    for (case, ..) in by_headers() {
        let (_, expected, found) = told(case.decide());
        for (name, value) in &case.headers {
            let value = std::str::from_utf8(value).unwrap();
            if name == "authorization" {
                for part in value.split([' ', '.', ',']).filter(|part| part.len() > 8) {
                    let told = format!("{expected:?} {found:?}");
                    assert!(!told.contains(part), "{told}");
                }
            }
        }
    }
}
