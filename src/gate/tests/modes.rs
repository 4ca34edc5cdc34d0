//! The kill switch, `observe`, and what is none of our business.

use super::*;

#[test]
fn what_is_of_no_resource_passes() {
    let case = Case::new()
        .at("GET", "/health")
        .header("authorization", "Bearer x, Bearer y");
    assert!(matches!(case.decide(), Decision::Pass));
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
        Case::new()
            .global("issuers", json!([{"issuer": ISSUER, "cluster": "auth", "authorization_server_metadata": true}]))
            .at("POST", "/.well-known/oauth-authorization-server/mcp"),
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
fn observing_forwards_what_an_operation_lacks() {
    let case = with_operations().global("mode", json!("observe"));
    for body in [call("delete_one"), call("shell"), "x".to_owned()] {
        assert!(
            matches!(case.decide_with(&body), Decision::Observe(..)),
            "{body}"
        );
    }
}
