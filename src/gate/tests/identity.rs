//! What reaches the server: the caller, and nothing of the client's that looks like it.

use super::*;

#[test]
fn what_is_allowed_goes_on_without_the_token_and_with_its_identity() {
    let edits = Case::new()
        .bearer(&token(&claims()))
        .header("x-mcp-sub", "mallory")
        .header("x_mcp_sub", "mallory")
        .header("x_mcp-client_id", "mallory")
        .header("x-mcp-subject", "kept")
        .header("script_name", "/prefix")
        .allowed();
    assert_eq!(
        edits.remove,
        [
            "authorization",
            "x-mcp-sub",
            "x_mcp_sub",
            "x_mcp-client_id",
            "script_name"
        ]
    );
    let set: Vec<(&str, &str)> = edits.headers().collect();
    assert_eq!(
        set,
        [
            ("x-mcp-sub", "alice"),
            ("x-mcp-client-id", "cli"),
            ("x-mcp-scope", "mcp:read mcp:write"),
            ("x-mcp-issuer", ISSUER),
        ]
    );
    let kept = Case::new()
        .bearer(&token(&claims()))
        .resource("forward_token", json!(true))
        .allowed();
    assert_eq!(kept.remove, Vec::<String>::new());
}

#[test]
fn the_default_names_are_withheld_whatever_is_configured() {
    let copies = |case: Case| {
        let names = [
            "x-mcp-sub",
            "x_mcp_client_id",
            "x.mcp.scope",
            "x!mcp~issuer",
        ];
        let names = names.into_iter().chain(["x_user_email", "x-user-email"]);
        names.fold(case, |case, name| case.header(name, "mallory"))
    };
    let own = json!({"email": "x-user-email"});
    for (identity, mode, extra) in [
        (own.clone(), "enforce", 2),
        (json!({}), "enforce", 0),
        (own, "observe", 2),
    ] {
        let case = copies(Case::new().bearer(&token(&claims())));
        let case = case.resource("identity_headers", identity.clone());
        let edits = case
            .resource("forward_token", json!(true))
            .global("mode", json!(mode));
        let edits = edits.allowed();
        let default = [
            "x-mcp-sub",
            "x_mcp_client_id",
            "x.mcp.scope",
            "x!mcp~issuer",
        ];
        for name in default {
            assert!(edits.remove.contains(&name.into()), "{name} {identity}");
        }
        assert_eq!(edits.remove.len(), default.len() + extra, "{identity}");
    }
}

#[test]
fn trailers_are_withheld_like_headers() {
    let two = json!({
        "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
        "resources": [
            {"resource": RESOURCE, "forward_token": true},
            {"resource": "https://mcp.example.com/b", "identity_headers": {"email": "x-email"}},
        ],
    });
    let config = Config::parse(two.to_string().as_bytes()).unwrap();
    let names = [
        "x_mcp_sub",
        "grpc-status",
        "authorization",
        "x-mcp-issuer",
        "x_email",
        "x-emails",
    ];
    let trailers = names.map(|name| (name.to_owned(), b"v".to_vec()));
    assert_eq!(
        withheld_trailers(&config, &Head::new(trailers.to_vec())),
        ["x_mcp_sub", "authorization", "x-mcp-issuer", "x_email"]
    );
    assert!(withheld_trailers(&config, &Head::default()).is_empty());
}

#[test]
fn a_claim_that_is_absent_leaves_no_header_of_the_clients() {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("sub");
    let edits = Case::new()
        .bearer(&token(&claims))
        .header("x-mcp-sub", "mallory")
        .allowed();
    assert!(edits.remove.contains(&"x-mcp-sub".into()));
    assert!(edits.headers().all(|(name, _)| name != "x-mcp-sub"));
}

#[test]
fn a_claim_that_is_empty_is_absent() {
    for empty in [json!(""), json!(null), json!([]), json!([""])] {
        let mut claims = claims();
        for name in ["sub", "client_id", "roles"] {
            if name == "roles" || !empty.is_array() {
                claims[name] = empty.clone();
            }
        }
        claims["azp"] = json!("app");
        let names = json!({"sub": "x-mcp-sub", "client_id": "x-mcp-client-id", "roles": "x-roles"});
        let case = Case::new().bearer(&token(&claims)).header("x-mcp-sub", "");
        let edits = case.resource("identity_headers", names).allowed();
        assert!(edits.remove.contains(&"x-mcp-sub".into()));
        assert!(
            edits.headers().all(|(_, value)| !value.is_empty()),
            "{empty}"
        );
        assert!(edits.facts().all(|(_, value)| !value.is_empty()), "{empty}");
        if !empty.is_array() {
            assert!(edits.facts().any(|fact| fact == ("mcp_auth_client", "app")));
        }
    }
}

#[test]
fn different_lists_are_different_headers() {
    let value = |list: Value| {
        let mut claims = claims();
        claims["roles"] = list;
        let case = Case::new().bearer(&token(&claims));
        let case = case.resource("identity_headers", json!({"roles": "x-roles"}));
        let edits = case.allowed();
        let (_, value) = edits.headers().next().unwrap();
        value.to_owned()
    };
    for (list, expected) in [
        (json!(["dev", "admin"]), "dev,admin"),
        (json!(["dev,admin"]), "dev%2Cadmin"),
        (json!(["dev%2Cadmin"]), "dev%252Cadmin"),
        (json!(["a b", " c ", ""]), "a b,%20c%20,"),
        (json!([1, true]), "1,true"),
        // No list: the claim as it is.
        (json!("cn=a,dc=b"), "cn=a,dc=b"),
    ] {
        assert_eq!(value(list.clone()), expected, "{list}");
    }
}

#[test]
fn a_claim_cannot_break_out_of_its_header() {
    let mut claims = claims();
    claims["sub"] = json!(" a\r\nset-cookie: x=1\u{0}é% ");
    let edits = Case::new().bearer(&token(&claims)).allowed();
    assert_eq!(
        edits.headers().next().unwrap().1,
        "%20a%0D%0Aset-cookie: x=1%00%C3%A9%25%20"
    );
}

#[test]
fn filter_state_says_who_calls_in_harmless_bytes() {
    let facts = |claims: &Value| -> Vec<(&'static str, String)> {
        let edits = Case::new().bearer(&token(claims)).allowed();
        edits
            .facts()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    };
    let fact = |name, value: &str| (name, value.to_owned());
    assert_eq!(
        facts(&claims()),
        [
            fact("mcp_auth_subject", "alice"),
            fact("mcp_auth_client", "cli"),
            fact("mcp_auth_issuer", ISSUER),
            fact("mcp_auth_scopes", "mcp:read mcp:write"),
        ]
    );
    let mut odd = claims();
    odd["sub"] = json!("al\r\n\"ice\u{1b}é");
    odd["azp"] = json!("app");
    odd.as_object_mut().unwrap().remove("client_id");
    odd.as_object_mut().unwrap().remove("scope");
    assert_eq!(
        facts(&odd),
        [
            fact("mcp_auth_subject", "al%0D%0A\"ice%1B%C3%A9"),
            fact("mcp_auth_client", "app"),
            fact("mcp_auth_issuer", ISSUER),
            fact("mcp_auth_scopes", ""),
        ]
    );
}
