//! The decision table, row by row, without a host.

mod evidence;

use serde_json::{Value, json};

use super::*;
use crate::ids::IssuerId;
use crate::jose::signature::Portable;
use crate::keys::Keys;
use crate::reason::{Challenge, Fault};
use crate::testing;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": 1_800_000_600, "iat": 1_800_000_000,
        "sub": "alice", "client_id": "cli", "scope": "mcp:read mcp:write",
    })
}

fn token(claims: &Value) -> String {
    testing::token("ES256", &json!({"kid": "es256"}), claims)
}

struct Case {
    issuer: Value,
    resource: Value,
    global: Value,
    method: &'static str,
    path: &'static str,
    headers: Vec<(String, Vec<u8>)>,
    ends: bool,
}

impl Case {
    fn new() -> Self {
        Self {
            issuer: json!({"issuer": ISSUER, "jwks": testing::key_set()}),
            resource: json!({"resource": RESOURCE}),
            global: json!({}),
            method: "POST",
            path: "/mcp",
            headers: Vec::new(),
            ends: true,
        }
    }

    fn resource(mut self, name: &str, value: Value) -> Self {
        self.resource[name] = value;
        self
    }

    fn issuer(mut self, name: &str, value: Value) -> Self {
        self.issuer[name] = value;
        self
    }

    fn global(mut self, name: &str, value: Value) -> Self {
        self.global[name] = value;
        self
    }

    fn at(mut self, method: &'static str, path: &'static str) -> Self {
        self.method = method;
        self.path = path;
        self
    }

    fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Decides on the headers, and on the body where it is asked for.
    fn decide_with(&self, body: &str) -> Decision {
        let config = self.config();
        let (route, head) = (self.route(&config), self.head());
        let mut trust = trust(&config);
        match decide(&config, &route, &head, &mut trust, NOW, NOW) {
            Decision::ReadBody(pending) => {
                let body = if body.len() > config.limits.body_bytes {
                    Body::TooLarge
                } else {
                    Body::Whole(body.as_bytes())
                };
                decide_operation(&config, &route, &head, pending, body, NOW)
            }
            other => panic!("expected to read the body, got {other:?}"),
        }
    }

    fn refused_with(&self, body: &str) -> (Box<Refusal>, Reply) {
        match self.decide_with(body) {
            Decision::Refuse(refusal, reply) => (refusal, reply),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn config(&self) -> Config {
        let mut config = json!({"issuers": [self.issuer], "resources": [self.resource]});
        for (name, value) in self.global.as_object().unwrap() {
            config[name] = value.clone();
        }
        Config::parse(config.to_string().as_bytes()).unwrap()
    }

    fn route(&self, config: &Config) -> Route {
        route(config, Some(self.path.as_bytes()), Authority::NotRead)
    }

    fn head(&self) -> Head {
        let mut headers = vec![(":method".to_owned(), self.method.as_bytes().to_vec())];
        headers.extend(self.headers.iter().cloned());
        Head::new(headers).ending(self.ends)
    }

    fn decide(&self) -> Decision {
        let config = self.config();
        let mut trust = trust(&config);
        decide(
            &config,
            &self.route(&config),
            &self.head(),
            &mut trust,
            NOW,
            NOW,
        )
    }

    fn refused(&self) -> (Reason, Reply) {
        match self.decide() {
            Decision::Refuse(refusal, reply) => (refusal.reason, reply),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn allowed(&self) -> Edits {
        match self.decide() {
            Decision::Allow(edits) => edits,
            other => panic!("expected to be allowed, got {other:?}"),
        }
    }

    fn answered(&self) -> Reply {
        match self.decide() {
            Decision::Answer(reply) => reply,
            other => panic!("expected an answer, got {other:?}"),
        }
    }
}

fn trust(config: &Config) -> Trust {
    Trust::new(
        config,
        Keys::new(config.key_sources(), NOW, 0),
        Box::new(Portable),
    )
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut values = reply.headers.iter().filter(|(other, _)| *other == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} is sent twice");
    value
}

#[test]
fn an_ambiguous_path_is_400() {
    let (reason, reply) = Case::new().at("POST", "//mcp").refused();
    assert_eq!(reason, Reason::PathAmbiguous);
    assert_eq!(reply.status, 400);
    assert_eq!(header(&reply, "www-authenticate"), None);
}

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
fn what_is_of_no_resource_passes() {
    let case = Case::new()
        .at("GET", "/health")
        .header("authorization", "Bearer x, Bearer y");
    assert!(matches!(case.decide(), Decision::Pass));
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
fn the_kill_switch_lets_everything_pass() {
    for path in ["/mcp", "//mcp", "/.well-known/oauth-protected-resource/mcp"] {
        let case = Case::new().at("GET", path).global("enabled", json!(false));
        assert!(matches!(case.decide(), Decision::Off), "{path}");
        assert!(matches!(unjudged(&case.config()), Decision::Off), "{path}");
    }
}

#[test]
fn observing_answers_nothing_but_documents() {
    let preflight = Case::new()
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .at("OPTIONS", "/mcp");
    let others = [
        preflight,
        Case::new().at("POST", "/.well-known/oauth-protected-resource/mcp"),
        Case::new().at("OPTIONS", "/.well-known/oauth-protected-resource/mcp"),
    ];
    for case in others {
        let case = case
            .header("x-mcp-sub", "mallory")
            .global("mode", json!("observe"));
        let Decision::Unanswered(edits) = case.decide() else {
            panic!("{} {} is forwarded", case.method, case.path)
        };
        assert_eq!(edits.remove, ["x-mcp-sub"]);
    }
}

#[test]
fn observing_refuses_nothing_and_still_strips_identity() {
    let case = Case::new()
        .header("x-mcp-sub", "mallory")
        .global("mode", json!("observe"));
    let Decision::Observe(refusal, edits) = case.decide() else {
        panic!("it is observed")
    };
    assert_eq!(refusal.reason, Reason::CredentialsMissing);
    assert_eq!(
        edits,
        Edits {
            remove: vec!["x-mcp-sub".into()],
            ..Edits::default()
        }
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

#[test]
fn observing_delays_nothing() {
    let case = Case::new()
        .bearer(&token(&claims()))
        .global("mode", json!("observe"))
        .global("issuers", json!([{"issuer": ISSUER, "cluster": "auth"}]));
    let Decision::Observe(refusal, _) = case.decide() else {
        panic!("it is observed")
    };
    assert_eq!(refusal.reason, Reason::KeysUnavailable);
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

/// Tools behind scopes; the token of [`claims`] has `mcp:read` and `mcp:write`.
fn with_operations() -> Case {
    Case::new()
        .resource("scopes", json!(["mcp:read"]))
        .resource("scope_hierarchy", json!({"mcp:write": ["mcp:append"]}))
        .resource(
            "operations",
            json!([
                {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]},
                {"method": "tools/call", "name": "*_all", "scopes": ["mcp:bulk", "mcp:admin"]},
                {"method": "tools/call", "name": "append", "scopes": ["mcp:append"]},
                {"method": "prompts/*", "scopes": ["mcp:prompts"]},
                {"method": "tools/call", "name": "shell", "deny": true},
            ]),
        )
        .bearer(&token(&claims()))
}

fn call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}}).to_string()
}

#[test]
fn an_operation_needs_what_its_rules_ask_for() {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    for body in [&call("echo"), &call("append"), &list] {
        match with_operations().decide_with(body) {
            Decision::Allow(edits) => {
                assert!(edits.remove.contains(&"authorization".into()));
                assert!(edits.headers().any(|set| set == ("x-mcp-sub", "alice")));
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    let prompt = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/list"}).to_string();
    let batch = format!("[{},{}]", call("echo"), call("delete_one"));
    for (body, scopes) in [
        (call("delete_one"), "mcp:read mcp:admin"),
        (call("delete_all"), "mcp:read mcp:admin mcp:bulk"),
        (prompt, "mcp:read mcp:prompts"),
        (batch, "mcp:read mcp:admin"),
    ] {
        let (refusal, reply) = with_operations().refused_with(&body);
        assert_eq!(refusal.reason, Reason::ScopeInsufficient);
        assert_eq!(reply.status, 403);
        assert_eq!(
            header(&reply, "www-authenticate").unwrap(),
            format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", \
                 resource_metadata=\"{METADATA}\", \
                 error_description=\"The access token lacks a scope that this request needs\""
            )
        );
    }
}

#[test]
fn what_is_denied_to_everybody_is_an_error_of_json_rpc_with_the_requests_id() {
    let (refusal, reply) = with_operations().refused_with(&call("shell"));
    assert_eq!(refusal.reason, Reason::OperationNotAllowed);
    assert_eq!(refusal.found.as_deref(), Some("\"tools/call\" \"shell\""));
    assert_eq!(
        (reply.status, header(&reply, "www-authenticate")),
        (200, None)
    );
    assert_eq!(header(&reply, "content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        body,
        json!({"jsonrpc": "2.0", "id": 7, "error": {
            "code": -32003,
            "message": "The operation is not allowed here: \"tools/call\" \"shell\""}})
    );
    let one = call("shell");
    for body in [
        format!("[{one}]"),
        one.replace("\"id\":7,", ""),
        one.replace(":7,", ":null,"),
        one.replace(":7,", ":1.5,"),
    ] {
        let (refusal, reply) = with_operations().refused_with(&body);
        assert_eq!(refusal.reason, Reason::OperationNotAllowed, "{body}");
        assert_eq!(reply.status, 403, "{body}");
        assert!(!reply.body.contains("jsonrpc"));
    }
}

#[test]
fn a_name_is_asked_for_where_a_rule_depends_on_it() {
    let nameless = |method: &str| json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
    let (refusal, _) = with_operations().refused_with(&nameless("tools/call"));
    assert_eq!(refusal.reason, Reason::BodyMalformed);
    for method in ["resources/subscribe", "resources/read", "tasks/get"] {
        let decision = with_operations().decide_with(&nameless(method));
        assert!(matches!(decision, Decision::Allow(_)), "{method}");
    }
    // All prompts need a scope, whatever their names.
    let (refusal, _) = with_operations().refused_with(&nameless("prompts/get"));
    assert_eq!(refusal.reason, Reason::ScopeInsufficient);
}

#[test]
fn an_allow_list_denies_the_rest() {
    let only = Case::new().bearer(&token(&claims())).resource(
        "operations",
        json!([{"method": "tools/call", "deny": true, "except": ["echo", "read_*"]}]),
    );
    for tool in ["echo", "read_all"] {
        assert!(matches!(only.decide_with(&call(tool)), Decision::Allow(_)));
    }
    assert_eq!(
        only.refused_with(&call("shell")).0.reason,
        Reason::OperationNotAllowed
    );
}

#[test]
fn the_first_challenge_names_what_the_headers_say_is_needed() {
    let scope = |headers: &[(&str, &str)]| {
        let mut case = with_operations();
        case.headers.clear();
        for (name, value) in headers {
            case = case.header(name, value);
        }
        let (_, reply) = case.refused();
        let challenge = header(&reply, "www-authenticate").unwrap();
        let (_, scope) = challenge.split_once("scope=\"").unwrap();
        scope.split_once('"').unwrap().0.to_owned()
    };
    let method = ("mcp-method", "tools/call");
    for (headers, expected) in [
        (vec![], "mcp:read"),
        (vec![method], "mcp:read"),
        (
            vec![method, ("mcp-name", "delete_all")],
            "mcp:read mcp:admin mcp:bulk",
        ),
        (
            vec![method, ("mcp-name", "=?base64?ZGVsZXRlX3g=?=")],
            "mcp:read mcp:admin",
        ),
        (vec![("mcp-method", "prompts/list")], "mcp:read mcp:prompts"),
        (vec![method, ("mcp-name", "shell")], "mcp:read"),
        (vec![method, method, ("mcp-name", "delete_all")], "mcp:read"),
        (vec![method, ("mcp-name", "=?base64?!?=")], "mcp:read"),
        (
            vec![
                method,
                ("mcp-name", "append"),
                ("authorization", "Bearer x"),
            ],
            "mcp:read mcp:append",
        ),
    ] {
        assert_eq!(scope(&headers), expected, "{headers:?}");
    }
}

#[test]
fn a_bad_token_is_refused_before_any_body_is_read() {
    let case = Case::new().resource("operations", json!([{"method": "*", "scopes": ["a"]}]));
    assert_eq!(case.refused().0, Reason::CredentialsMissing);
    let mut expired = claims();
    expired["exp"] = json!(1);
    assert_eq!(case.bearer(&token(&expired)).refused().0, Reason::Expired);
}

#[test]
fn a_body_that_cannot_be_judged_is_refused() {
    for body in ["", "x", "{}", call("a").trim_start_matches('{')] {
        let (refusal, reply) = with_operations().refused_with(body);
        assert_eq!((refusal.reason, reply.status), (Reason::BodyMalformed, 400));
    }
    let (refusal, reply) = with_operations().refused_with(&call(&"x".repeat(600_000)));
    assert_eq!((refusal.reason, reply.status), (Reason::BodyTooLarge, 413));
    let announced = with_operations().header("content-length", "524289");
    assert_eq!(announced.refused().0, Reason::BodyTooLarge);
    assert!(matches!(
        with_operations()
            .header("content-length", "524288")
            .decide(),
        Decision::ReadBody(_)
    ));
}

#[test]
fn requests_without_a_body_ask_for_no_operation() {
    for method in ["GET", "DELETE", "HEAD", "OPTIONS"] {
        let case = with_operations().at(method, "/mcp");
        let Decision::ReadBody(pending) = case.decide() else {
            panic!("{method}: its body may still come");
        };
        assert!(!pending.expects_body);
        assert!(
            matches!(case.decide_with(""), Decision::Allow(_)),
            "{method}"
        );
        let (refusal, reply) = case.refused_with(&call("echo"));
        assert_eq!(
            (refusal.reason, reply.status),
            (Reason::BodyUnexpected, 400)
        );
        for length in ["5", "+5", "x", "99999999999999999999"] {
            let announced = with_operations().at(method, "/mcp");
            let announced = announced.header("content-length", length);
            assert_eq!(announced.refused().0, Reason::BodyUnexpected);
        }
        assert!(matches!(
            case.header("content-length", "0").decide(),
            Decision::ReadBody(_)
        ));
    }
}

#[test]
fn all_that_headers_and_token_decide_is_decided_before_the_body() {
    for method in ["GET", "POST", "DELETE"] {
        let poor = with_operations()
            .at(method, "/mcp")
            .resource("scopes", json!(["mcp:other"]));
        assert_eq!(poor.refused().0, Reason::ScopeInsufficient);
        let foreign = with_operations()
            .at(method, "/mcp")
            .resource("require_claims", json!({"tenant": ["acme"]}));
        assert_eq!(foreign.refused().0, Reason::ClaimNotAllowed);
    }
}

#[test]
fn headers_that_disagree_with_the_body_are_a_json_rpc_error() {
    let case = with_operations()
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list");
    let (refusal, reply) = case.refused_with(&call("echo"));
    assert_eq!(
        (refusal.reason, reply.status),
        (Reason::HeaderMismatch, 400)
    );
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        body,
        json!({"jsonrpc": "2.0", "id": 7, "error": {
            "code": -32020, "message": "Header mismatch: Mcp-Method and the body disagree"}})
    );
}

#[test]
fn observing_forwards_what_an_operation_lacks() {
    let case = with_operations().global("mode", json!("observe"));
    for body in [call("delete_one"), call("shell"), "x".to_owned()] {
        assert!(
            matches!(case.decide_with(&body), Decision::Observe(..)),
            "{body}"
        );
    }
}

fn filtering() -> Case {
    Case::new()
        .bearer(&token(&claims()))
        .header("accept-encoding", "gzip")
        .resource("filter_lists", json!(true))
        .resource(
            "operations",
            json!([{"method": "tools/call", "name": "x", "scopes": ["mcp:admin"]}]),
        )
}

#[test]
fn the_answer_to_a_list_is_read() {
    let lists = |case: &Case, body: &str| match case.decide_with(body) {
        Decision::Allow(edits) => {
            assert!(edits.remove.contains(&"accept-encoding".into()));
            edits.lists.is_some()
        }
        other => panic!("expected to be allowed, got {other:?}"),
    };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert!(lists(&filtering(), list));
    assert!(lists(&filtering(), &format!("[{ping},{list}]")));
    assert!(!lists(&filtering(), ping));
    assert!(lists(&filtering().at("GET", "/mcp"), ""));
}

#[test]
fn who_only_observes_or_has_no_rules_reads_no_answers() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let observing = filtering().global("mode", json!("observe"));
    let Decision::Allow(edits) = observing.decide_with(list) else {
        panic!("it is allowed")
    };
    assert_eq!(edits.lists, None);
    assert!(!edits.remove.contains(&"accept-encoding".into()));
    let without = filtering().resource("operations", json!([]));
    assert_eq!(without.allowed().lists, None);
    assert_eq!(without.config().warnings.len(), 1);
}

#[test]
fn a_browser_may_read_the_servers_answer() {
    let with = |origin: &str| {
        Case::new()
            .bearer(&token(&claims()))
            .header("origin", origin)
    };
    let names = |case: &Case| -> Vec<&'static str> {
        let headers = case.allowed().readable;
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
