//! Documents, preflights and origins: what a browser needs.

use super::*;

#[test]
fn the_metadata_is_served_with_cors() {
    for (method, path) in [
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("HEAD", "/.well-known/oauth-protected-resource/mcp/?x"),
        ("GET", "/.well-known/oauth-protected-resource"),
    ] {
        let reply = Case::new().at(method, path).answered();
        assert_eq!(reply.status, 200);
        assert_eq!(header(&reply, "content-type"), Some("application/json"));
        assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
        assert!(
            header(&reply, "cache-control")
                .unwrap()
                .starts_with("public, max-age=")
        );
        let document: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(document["resource"], RESOURCE);
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
    }
}

#[test]
fn the_metadata_has_no_other_method() {
    for method in ["POST", "DELETE", "OPTIONS", "PUT", ""] {
        let reply = Case::new()
            .at(method, "/.well-known/oauth-protected-resource/mcp")
            .answered();
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(header(&reply, "allow"), Some("GET, HEAD, OPTIONS"));
    }
}

#[test]
fn a_preflight_needs_no_token() {
    for path in ["/mcp", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = Case::new()
            .at("OPTIONS", path)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "POST")
            .answered();
        assert_eq!(reply.status, 204);
        assert_eq!(reply.body, "");
        assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
        let allowed = header(&reply, "access-control-allow-headers").unwrap();
        for name in [
            "Authorization",
            "Mcp-Session-Id",
            "MCP-Protocol-Version",
            "Mcp-Method",
            "Mcp-Name",
        ] {
            assert!(allowed.contains(name), "{name}");
        }
    }
    // Without its two headers it is a request like any other.
    assert_eq!(
        Case::new().at("OPTIONS", "/mcp").refused().0,
        Reason::CredentialsMissing
    );
    let plain = Case::new()
        .at("OPTIONS", "/mcp")
        .header("origin", "https://app.example.com");
    assert_eq!(plain.refused().0, Reason::CredentialsMissing);
}

#[test]
fn a_preflight_is_the_servers_where_cors_is_not_the_filters() {
    let preflight = || {
        Case::new()
            .at("OPTIONS", "/mcp")
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "POST")
            .header("x-mcp-sub", "mallory")
            .resource("cors", json!(false))
    };
    for mode in ["enforce", "observe"] {
        let case = preflight().global("mode", json!(mode));
        for case in [case, preflight().header("content-length", "0")] {
            let Decision::Preflight(edits) = case.decide() else {
                panic!("{mode}: it is the server's")
            };
            assert_eq!(edits.remove, ["x-mcp-sub"], "{mode}");
        }
    }

    // What may be more than a question needs a token.
    let not_whole = Case {
        ends: false,
        ..preflight()
    };
    assert_eq!(not_whole.refused().0, Reason::CredentialsMissing);
    for (name, value) in [
        ("content-length", "2"),
        ("content-length", "00"),
        ("transfer-encoding", "chunked"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        // To servers that make `_` of `-`, or `-` of whatever is no letter.
        ("x_http_method_override", "DELETE"),
        ("x-http.method-override", "DELETE"),
    ] {
        let (reason, _) = preflight().header(name, value).refused();
        assert_eq!(reason, Reason::CredentialsMissing, "{name}: {value}");
    }
    let (reason, _) = preflight().bearer("no.good.token").refused();
    assert_eq!(reason, Reason::TokenMalformed);
    let elsewhere = preflight().resource("allowed_origins", json!(["https://other.example"]));
    assert_eq!(elsewhere.refused().0, Reason::OriginNotAllowed);
}

#[test]
fn origins_that_are_not_allowed_are_403() {
    let case = |origin: &str| {
        Case::new()
            .bearer(&token(&claims()))
            .header("origin", origin)
            .resource("allowed_origins", json!(["https://app.example.com"]))
    };
    case("https://app.example.com").allowed();
    for origin in [
        "https://evil.example",
        "null",
        "",
        "https://app.example.com.",
    ] {
        let (reason, reply) = case(origin).refused();
        assert_eq!(reason, Reason::OriginNotAllowed, "{origin}");
        assert_eq!(reply.status, 403);
        assert_eq!(header(&reply, "access-control-allow-origin"), None);
    }
    let twice = case("https://app.example.com").header("origin", "https://evil.example");
    assert_eq!(twice.refused().0, Reason::OriginNotAllowed);
}

#[test]
fn a_browser_may_read_a_refusal() {
    let open = Case::new().header("origin", "https://app.example.com");
    let (_, reply) = open.refused();
    assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
    assert_eq!(
        header(&reply, "access-control-expose-headers"),
        Some("WWW-Authenticate, Mcp-Session-Id")
    );
    let listed = Case::new()
        .header("origin", "https://app.example.com")
        .resource("allowed_origins", json!(["https://app.example.com"]));
    let (_, reply) = listed.refused();
    assert_eq!(
        header(&reply, "access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(header(&reply, "vary"), Some("Origin"));
    let left = Case::new()
        .header("origin", "https://app.example.com")
        .resource("cors", json!(false));
    assert_eq!(
        header(&left.refused().1, "access-control-allow-origin"),
        None
    );
}

#[test]
fn a_browser_may_read_the_servers_answer() {
    let with = |origin: &str| {
        Case::new()
            .bearer(&token(&claims()))
            .header("origin", origin)
    };
    let names = |case: &Case| -> Vec<&'static str> {
        let headers = case.allowed().response.readable;
        headers.into_iter().map(|(name, _)| name).collect()
    };
    let open = [
        "access-control-allow-origin",
        "access-control-expose-headers",
    ];
    assert_eq!(names(&with("https://app.example.com")), open);
    let listed = with("https://app.example.com")
        .resource("allowed_origins", json!(["https://app.example.com"]));
    assert_eq!(
        names(&listed),
        [
            "access-control-allow-origin",
            "vary",
            "access-control-expose-headers"
        ]
    );
    let none: [&str; 0] = [];
    assert_eq!(names(&Case::new().bearer(&token(&claims()))), none);
    let left = with("https://app.example.com").resource("cors", json!(false));
    assert_eq!(names(&left), none);
    let observing = with("https://app.example.com").global("mode", json!("observe"));
    assert_eq!(names(&observing), none);
}
