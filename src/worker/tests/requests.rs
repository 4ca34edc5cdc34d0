//! Requests that are decided at once, and what is counted of them.

use super::*;

#[test]
fn a_good_token_goes_on_without_its_token_and_with_its_callers_name() {
    let mut proxy = Proxy::new(&inline());
    proxy.get(2);
    assert_eq!(proxy.mark(2), "allow");
    assert!(proxy.stream(2).values("authorization").is_empty());
    assert_eq!(proxy.stream(2).values("x-mcp-sub"), ["alice"]);
    assert_eq!(proxy.stream(2).state["mcp_auth_subject"], "alice");
}

#[test]
fn a_path_of_no_resource_goes_on_as_it_came() {
    let mut proxy = Proxy::new(&inline());
    proxy.request(2, &[(":path", "/health"), ("x-mcp-sub", "mallory")], false);
    assert_eq!(proxy.mark(2), "pass");
    assert_eq!(proxy.stream(2).values("x-mcp-sub"), ["mallory"]);
    proxy.body(2, b"x", false);
    assert_eq!(proxy.stream(2).sent, b"x");
    proxy.trailers(2, &[("x-mcp-sub", "mallory")]);
    assert_eq!(proxy.trailer_names(2), ["x-mcp-sub"]);
    assert_eq!(proxy.host.world().made.get("headers"), None);
}

#[test]
fn a_filter_that_is_off_reads_the_path_alone() {
    let mut proxy = Proxy::new(&with(inline(), "enabled", json!(false)));
    proxy.request(2, &[(":path", "/mcp"), ("authorization", "Bearer x")], true);
    assert_eq!(proxy.mark(2), "off");
    assert_eq!(proxy.stream(2).values("authorization"), ["Bearer x"]);
    assert_eq!(proxy.host.world().made.get("headers"), None);
    proxy.tick();
    let off = proxy.metric("mcp_auth_requests_total;decision=off");
    assert_eq!(off, 1);
}

#[test]
fn no_token_is_401() {
    let mut proxy = Proxy::new(&inline());
    proxy.request(2, &[(":method", "GET"), (":path", "/mcp")], true);
    assert_eq!(proxy.refusal(2), (401, "credentials_missing".to_owned()));
}

#[test]
fn who_observes_lets_everything_go_on_and_says_why() {
    let mut proxy = Proxy::new(&with(inline(), "mode", json!("observe")));
    proxy.request_with(2, "GET", "x.y.z", true);
    assert_eq!(proxy.mark(2), "observe");
    assert_eq!(proxy.stream(2).state["mcp_auth_reason"], "token_malformed");
    proxy.get(3);
    assert_eq!(proxy.mark(3), "allow");
    proxy.tick();
    assert_eq!(proxy.metric("mcp_auth_requests_total;decision=observe"), 1);
    assert_eq!(proxy.metric("mcp_auth_requests_total;decision=allow"), 1);
}

#[test]
fn who_observes_never_delays_a_request() {
    let mut proxy = Proxy::new(&with(remote(), "mode", json!("observe")));
    proxy.get(2);
    assert_eq!(proxy.mark(2), "observe");
    assert_eq!(proxy.stream(2).state["mcp_auth_reason"], "keys_unavailable");
}

#[test]
fn trailers_that_name_a_caller_do_not_go_on() {
    let mut proxy = Proxy::new(&inline());
    proxy.post(2);
    proxy.body(2, b"x", false);
    proxy.trailers(
        2,
        &[("x_mcp_sub", "m"), ("authorization", "x"), ("x-sum", "1")],
    );
    assert_eq!(proxy.trailer_names(2), ["x-sum"]);
    assert_eq!(proxy.stream(2).sent, b"x");
}

#[test]
fn requests_and_refusals_are_counted_with_the_tick() {
    let mut proxy = Proxy::new(&inline());
    for id in 2..5 {
        proxy.get(id);
    }
    proxy.request_with(5, "GET", "x.y.z", true);
    proxy.request(6, &[(":path", "/health")], true);
    assert!(proxy.host.world().metrics.is_empty());
    proxy.tick();
    let expected = [
        ("mcp_auth_requests_total;decision=allow", 3),
        ("mcp_auth_requests_total;decision=refuse", 1),
        ("mcp_auth_requests_total;decision=pass", 1),
        (
            "mcp_auth_refused_total;reason=token_malformed;\
             resource=https://mcp.example.com/mcp;issuer=",
            1,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(proxy.metric(name), value, "{name}");
    }
    assert_eq!(proxy.host.world().metrics.len(), expected.len());
}

#[test]
fn a_host_that_calls_all_signatures_good_is_not_believed() {
    let mut proxy = Proxy::new(&inline());
    proxy.host.world().calls_all_signatures_good = true;
    let forged = testing::token_by(
        testing::Signer::Stranger,
        "ES256",
        &json!({"kid": "es256"}),
        &claims(),
    );
    proxy.request_with(2, "GET", &forged, true);
    assert_eq!(proxy.refusal(2), (401, "signature_invalid".to_owned()));
    proxy.get(3);
    assert_eq!(proxy.mark(3), "allow");
}

#[test]
fn a_remembered_opaque_token_takes_the_calls_of_a_remembered_jwt() {
    let mut config = inline();
    config["issuers"][0]["introspection"] =
        json!({"cluster": "introspection", "endpoint": "https://auth.example.com/introspect"});
    let mut proxy = Proxy::new(&config);
    let opaque = "an-opaque-token-of-some-length";
    proxy.request_with(2, "GET", opaque, true);
    proxy.tick();
    let mut answer = claims();
    answer["active"] = json!(true);
    proxy.answer(200, &answer.to_string());
    assert_eq!(proxy.ticks(), [[2]]);
    proxy.get(3);

    let mut calls_of = |id, token: &str| {
        proxy.host.world().made.clear();
        proxy.request_with(id, "GET", token, true);
        assert_eq!(proxy.mark(id), "allow");
        proxy.host.world().made.clone()
    };
    assert_eq!(calls_of(4, opaque), calls_of(5, &token()));
}
