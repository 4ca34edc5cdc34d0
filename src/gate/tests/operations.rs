//! Operations: what a body asks for, and what its answer is stripped of.

use super::*;

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
fn the_answer_to_a_list_is_read() {
    let lists = |case: &Case, body: &str| match case.decide_with(body) {
        Decision::Allow(edits) => {
            assert!(edits.remove.contains(&"accept-encoding".into()));
            edits.response.lists.is_some()
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
    assert_eq!(edits.response.lists, None);
    assert!(!edits.remove.contains(&"accept-encoding".into()));
    let without = filtering().resource("operations", json!([]));
    assert_eq!(without.allowed().response.lists, None);
    assert_eq!(without.config().warnings.len(), 1);
}
