//! What would protect nothing, or could never match, does not go unsaid: it is refused where it
//! cannot be meant, and warned of where it can (docs/configuration.md).

use super::*;

/// The smallest configuration with values at JSON Pointers.
fn made(changes: &[(&str, Value)]) -> Value {
    let mut config = smallest();
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match config.pointer_mut(parent).unwrap() {
            Value::Array(list) => list.push(value.clone()),
            parent => parent[last] = value.clone(),
        }
    }
    config
}

const PATH: &str = "/resources/0/path";
const RESOURCE: &str = "/resources/0/resource";
const OPERATIONS: &str = "/resources/0/operations";
const CLAIMS: &str = "/resources/0/require_claims";
const HEADERS: &str = "/resources/0/identity_headers";
const ORIGINS: &str = "/resources/0/allowed_origins";
const ISSUER: &str = "/issuers/0/issuer";

/// An issuer with one inline key, for ES256.
fn inline_issuer(more: Value) -> Value {
    let keys = crate::testing::key_set();
    let keys = keys["keys"].as_array().unwrap();
    let key = keys
        .iter()
        .find(|key| key["crv"] == json!("P-256"))
        .unwrap();
    let mut issuer = json!({"issuer": "https://auth.example.com", "jwks": {"keys": [key]}});
    for (name, value) in more.as_object().unwrap() {
        issuer[name] = value.clone();
    }
    json!([issuer])
}

/// The changes, the field that is named, and a part of what is said.
type Case = (Vec<(&'static str, Value)>, &'static str, &'static str);

/// What is refused.
fn refused() -> Vec<Case> {
    let mut all = Vec::new();
    for (path, says) in [
        ("/*", "write / for it and all below it"),
        ("/mcp*", "write /mcp for it and all below it"),
        ("/mcp/**", "write /mcp for it and all below it"),
        ("/.*", "write / for it and all below it"),
        ("/(.*)", "write / for it and all below it"),
        ("/mcp$", "write /mcp for it and all below it"),
        ("/:tenant/mcp", "write {tenant} for one segment"),
        ("/$tenant/mcp", "write {tenant} for one segment"),
        ("/mcp,/sse", "give each path a resource of its own"),
        ("/mcp|/sse", "it has the character '|'"),
        ("/mcp?", "it has the character '?'"),
        ("/[^/]+/mcp", "it has the character '['"),
        ("/{tenant:[a-z]+}/mcp", "neither a segment nor a variable"),
        ("/<tenant>/mcp", "it has the character '<'"),
    ] {
        all.push((vec![(PATH, json!(path))], "resources[0].path", says));
        if !says.starts_with("it has") && !says.starts_with("neither") {
            let url = json!(format!("https://mcp.example.com{path}"));
            all.push((vec![(RESOURCE, url.clone())], "resources[0].resource", says));
            let both = vec![(RESOURCE, url), (PATH, json!("/mcp"))];
            all.push((both, "resources[0].resource", says));
        }
    }
    let mut one = |pointer: &'static str, value: Value, field: &'static str, says: &'static str| {
        all.push((vec![(pointer, value)], field, says));
    };
    one(
        RESOURCE,
        json!("https://*.example.com/mcp"),
        "resources[0].resource",
        "`*` is no wildcard",
    );
    for method in [
        " tools/call",
        "tools/call ",
        "\ttools/call",
        "tools/call\u{a0}",
    ] {
        let rules = json!([{"method": method, "deny": true}]);
        one(
            OPERATIONS,
            rules,
            "resources[0].operations[0].method",
            "without white space around it",
        );
    }
    for method in ["Tools/Call", "tools/cal"] {
        let rules = json!([{"method": method, "name": "shell", "deny": true}]);
        one(
            OPERATIONS,
            rules,
            "resources[0].operations[0].name",
            "(is tools/call meant?)",
        );
    }
    for origin in ["*", "https://*", "https://*.example.com", "null"] {
        one(
            ORIGINS,
            json!([origin]),
            "resources[0].allowed_origins",
            "without `*`",
        );
    }
    for name in ["*", "*+jwt"] {
        one(
            "/issuers/0/token_types",
            json!([name]),
            "issuers[0].token_types",
            "`*` is no wildcard",
        );
    }
    for audience in [
        "*",
        "https://*.example.com/mcp",
        "https://mcp.example.com/{tenant}/mcp",
    ] {
        one(
            "/issuers/0/audiences",
            json!([audience]),
            "issuers[0].audiences",
            "byte for byte",
        );
    }
    for (issuer, says) in [
        (
            "https://a.example/.well-known/openid-configuration",
            "not the URL of a document",
        ),
        (
            "https://a.example/.well-known/oauth-authorization-server/t",
            "not the URL of a document",
        ),
        (
            "https://login.microsoftonline.com/common/v2.0",
            "the issuer of one tenant",
        ),
        (
            "https://login.microsoftonline.com/organizations/v2.0",
            "the issuer of one tenant",
        ),
        (
            "https://login.microsoftonline.com/consumers/v2.0",
            "the issuer of one tenant",
        ),
        (
            "https://sts.windows.net/common/",
            "the issuer of one tenant",
        ),
        ("https://*.okta.example", "`*` is no wildcard"),
    ] {
        one(ISSUER, json!(issuer), "issuers[0].issuer", says);
    }
    let algorithms = json!({"algorithms": ["RS256", "EdDSA"]});
    let says = "found RS256, EdDSA; allowed: what the keys in `jwks` are for: ES256";
    one(
        "/issuers",
        inline_issuer(algorithms),
        "issuers[0].algorithms",
        says,
    );
    for header in [
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-x",
        "mcp-session-id",
        "mcp-method",
        "accept",
        "accept-encoding",
        "last-event-id",
        "expect",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "x-http-method-override",
        "x-original-url",
        "x-rewrite-url",
    ] {
        let says = "that HTTP, MCP and Envoy do not use themselves";
        one(
            HEADERS,
            json!({"sub": header}),
            "resources[0].identity_headers.sub",
            says,
        );
    }
    all
}

/// What is warned of.
fn warned() -> Vec<Case> {
    let mut all = Vec::new();
    let mut one = |pointer: &'static str, value: Value, field: &'static str, says: &'static str| {
        all.push((vec![(pointer, value)], field, says));
    };
    for (method, says) in [
        ("Tools/Call", "(is tools/call meant?)"),
        ("tools/cal", "(is tools/call meant?)"),
        ("tool/call", "(is tools/call meant?)"),
        ("resource/read", "(is resources/read meant?)"),
        ("logging/setlevel", "(is logging/setLevel meant?)"),
        ("[a-z]*", "only `*` stands for other characters"),
        ("Tools/*", "methods are compared byte for byte"),
        (
            "sampling/createMessage",
            "is no method of MCP that a client asks for",
        ),
    ] {
        let rules = json!([{"method": method, "deny": true}]);
        one(OPERATIONS, rules, "resources[0].operations[0].method", says);
    }
    for (name, says) in [
        ("delete?all", "`?` stands for itself"),
        ("[a-z]*", "`[` stands for itself"),
        ("^delete", "`^` stands for itself"),
        ("(a|b)", "`(` stands for itself"),
        ("a,b", "`,` stands for itself"),
        ("{tenant}_delete", "`{` stands for itself"),
        (" shell", "white space around a name"),
    ] {
        let rules = json!([{"method": "tools/call", "name": name, "deny": true}]);
        one(OPERATIONS, rules, "resources[0].operations[0].name", says);
    }
    let rules = json!([{"method": "resources/read", "name": "file:///{path}", "deny": true}]);
    one(
        OPERATIONS,
        rules,
        "resources[0].operations[0].name",
        "`{` stands for itself",
    );
    let hosts = "/resources/0/hosts";
    for list in [json!(["other.example"]), json!(["mcp.example.com:8443"])] {
        one(
            hosts,
            list,
            "resources[0].hosts",
            "mcp.example.com, the host of `resource`, is not",
        );
    }
    one(
        ORIGINS,
        json!(["https://a.example:443"]),
        "resources[0].allowed_origins",
        "write https://a.example",
    );
    one(
        ORIGINS,
        json!(["http://a.example:80"]),
        "resources[0].allowed_origins",
        "write http://a.example",
    );
    one(
        CLAIMS,
        json!({"tenant": ["*"]}),
        "resources[0].require_claims.tenant",
        "`*` stands for itself",
    );
    one(
        CLAIMS,
        json!({"tenant": ["acme-*"]}),
        "resources[0].require_claims.tenant",
        "`*` stands for itself",
    );
    let claim = "resources[0].require_claims.realm_access.roles";
    one(
        CLAIMS,
        json!({"realm_access.roles": ["a"]}),
        claim,
        "is written /realm_access/roles",
    );
    let claim = "resources[0].identity_headers.$.org.id";
    one(
        HEADERS,
        json!({"$.org.id": "x-org"}),
        claim,
        "is written /org/id",
    );
    for header in [
        "x-forwarded-user",
        "x-forwarded-for",
        "forwarded",
        "traceparent",
        "tracestate",
    ] {
        let field = "resources[0].identity_headers.sub";
        one(
            HEADERS,
            json!({"sub": header}),
            field,
            "proxies and tracing write",
        );
    }
    let keys = inline_issuer(json!({"keys": {"refresh_seconds": 60}}));
    one(
        "/issuers",
        keys,
        "issuers[0].keys",
        "does nothing beside `jwks`",
    );
    let algorithms = inline_issuer(json!({"algorithms": ["ES256", "RS256"]}));
    one(
        "/issuers",
        algorithms,
        "issuers[0].algorithms",
        "no key in `jwks` is for RS256",
    );
    let slash = json!({"issuer": "https://auth.example.com/", "cluster": "auth"});
    one(
        "/issuers/1",
        slash,
        "issuers[1].issuer",
        "differs from that of issuers[0] in a final slash",
    );
    let twin = json!({"resource": "https://mcp.example.com/mcp", "path": "/sse"});
    one(
        "/resources/1",
        twin,
        "resources[1].resource",
        "resources[0] has it too",
    );
    let cycle = json!({"a": ["b"], "b": ["a"], "c": ["a"]});
    one(
        "/resources/0/scope_hierarchy",
        cycle,
        "resources[0].scope_hierarchy",
        "a cycle: a, b imply",
    );
    one(
        PATH,
        json!("/{tenant}/mcp"),
        "resources[0].path",
        "{tenant} is not in `resource`",
    );
    let scopes = ("/resources/0/scopes", json!(["mcp:read", "mcp:call"]));
    let supported = ("/resources/0/scopes_supported", json!(["mcp:read"]));
    let says = "mcp:call is not among them";
    all.push((
        vec![scopes, supported],
        "resources[0].scopes_supported",
        says,
    ));
    all
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (changes, field, says) in refused() {
        let config = made(&changes);
        let error = parse(&config).expect_err(&config.to_string()).to_string();
        assert!(
            error.contains(&format!("`{field}`")),
            "{changes:?}: {error}"
        );
        assert!(error.contains(says), "{changes:?}: {error}");
    }
}

#[test]
fn what_may_be_meant_is_warned_of() {
    for (changes, field, says) in warned() {
        let config = made(&changes);
        let parsed = parse(&config).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        let warnings = &parsed.warnings;
        let told = |text: &String| text.starts_with(&format!("{field}: ")) && text.contains(says);
        assert!(warnings.iter().any(told), "{changes:?}: {warnings:?}");
        assert_eq!(warnings.len(), 1, "{changes:?}: {warnings:?}");
    }
}

#[test]
fn what_is_sound_is_left_alone() {
    let operations = json!([
        {"method": "tools/call", "name": "delete_*", "deny": true},
        {"method": "resources/read", "name": "https://a.example/b?c=(d),$e*", "deny": true},
        {"method": "*", "scopes": ["a"]},
        {"method": "notifications/*", "scopes": ["a"]},
    ]);
    let hierarchy = ("/resources/0/scope_hierarchy", json!({"all": ["read"]}));
    for changes in [
        vec![(OPERATIONS, operations)],
        vec![(
            "/resources/0/hosts",
            json!(["b.example", "mcp.example.com"]),
        )],
        vec![(
            CLAIMS,
            json!({"https://a.example/roles": ["x"], "/a.b/c": ["y"], "cognito:groups": ["z"]}),
        )],
        vec![(
            ORIGINS,
            json!([
                "https://a.example",
                "https://a.example:80",
                "http://localhost:443"
            ]),
        )],
        vec![(HEADERS, json!({"sub": "x-mcp-user", "iss": "x-accept"}))],
        vec![
            (PATH, json!("/{tenant}/mcp")),
            (CLAIMS, json!({"tenant": ["{tenant}"]})),
        ],
        vec![(PATH, json!("/@scope/v1/projects:list"))],
        vec![
            hierarchy,
            ("/resources/0/scopes", json!(["read"])),
            ("/resources/0/scopes_supported", json!(["all"])),
        ],
        vec![(
            "/issuers",
            inline_issuer(json!({"algorithms": ["ES256"], "keys": {}})),
        )],
        vec![(
            "/issuers/1",
            json!({"issuer": "https://auth.example.com/t", "cluster": "auth"}),
        )],
        vec![(
            ISSUER,
            json!("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
        )],
    ] {
        let parsed = parse(&made(&changes)).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        assert_eq!(parsed.warnings, Vec::<String>::new(), "{changes:?}");
    }
}

#[test]
fn nothing_hostile_gets_into_a_warning() {
    let hostile = "a.\u{1b}[2J\n\u{85}\u{202e}";
    let config = made(&[(CLAIMS, json!({hostile: [format!("*{hostile}")]}))]);
    let warnings = parse(&config).unwrap().warnings;
    assert_eq!(warnings.len(), 2);
    for warning in warnings {
        assert_eq!(warning, crate::escape::printable(&warning));
    }
}
