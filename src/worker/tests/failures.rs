//! A host that fails: nothing goes on that was not judged.

use super::*;

/// Every call whose failure is a value.
const CALLS: [&str; 22] = [
    "now",
    "header",
    "headers",
    "add_header",
    "remove_header",
    "body",
    "replace_response_body",
    "property",
    "set_state",
    "send",
    "resume_request",
    "keep_body_back",
    "act_for",
    "act_for_root",
    "tick_every",
    "dispatch",
    "read_shared",
    "write_shared",
    "define_metric",
    "add_to_metric",
    "set_metric",
    "verify_signature",
];

#[test]
fn a_request_that_cannot_be_judged_is_503() {
    for call in [
        "now",
        "header",
        "headers",
        "add_header",
        "remove_header",
        "set_state",
    ] {
        let mut proxy = Proxy::new(&inline());
        proxy.fail(call);
        proxy.get(2);
        let (status, reason) = proxy.refusal(2);
        assert_eq!(status, 503, "{call}");
        let told = if call == "set_state" { "" } else { "internal" };
        assert_eq!(reason, told, "{call}");
        assert!(proxy.stream(2).forwarded.is_none(), "{call}");
    }
}

#[test]
fn a_body_that_cannot_be_judged_does_not_go_on() {
    for call_that_fails in ["now", "body"] {
        let mut proxy = Proxy::new(&with_operations(inline()));
        proxy.post(2);
        proxy.fail(call_that_fails);
        proxy.body(2, &call("echo"), true);
        assert_eq!(proxy.refusal(2), (503, "internal".to_owned()));
    }
}

#[test]
fn trailers_that_cannot_be_read_do_not_go_on() {
    let mut proxy = Proxy::new(&inline());
    proxy.post(2);
    proxy.fail("headers");
    proxy.trailers(2, &[("authorization", "x")]);
    assert_eq!(proxy.stream(2).reply.as_ref().unwrap().status, 503);
}

#[test]
fn whatever_fails_a_bad_request_never_goes_on() {
    for config in [
        inline(),
        remote(),
        with_operations(inline()),
        with_operations(remote()),
    ] {
        for delivers in [true, false] {
            for failing in CALLS {
                let mut proxy = Proxy::new(&config);
                proxy.delivers_bodies = delivers;
                proxy.fail(failing);
                proxy.request_with(2, "GET", "x.y.z", true);
                proxy.request_with(3, "POST", &token_of_key("unknown"), false);
                proxy.body(3, &call("echo"), true);
                proxy.post(4);
                proxy.body(4, &call("delete_all"), true);
                for _ in 0..3 {
                    proxy.tick();
                    if proxy.open_calls() > 0 {
                        proxy.answer(200, &key_set("es256"));
                    }
                    proxy.pass(Duration::from_secs(1));
                }
                let what = format!("{config} {delivers} {failing}");
                assert!(proxy.stream(2).forwarded.is_none(), "{what}");
                assert!(proxy.stream(3).forwarded.is_none(), "{what}");
                if config["resources"][0]["operations"].is_array() {
                    assert!(proxy.stream(4).sent.is_empty(), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_cluster_that_cannot_be_called_is_tried_again() {
    let mut proxy = Proxy::new(&remote());
    proxy.fail("dispatch");
    proxy.get(2);
    proxy.tick();
    proxy.host.world().fails = None;
    proxy.pass(Duration::from_secs(2));
    proxy.tick();
    proxy.answer(200, &key_set("es256"));
    assert_eq!(proxy.ticks(), [[2]]);
}

#[test]
fn a_stream_without_a_worker_is_refused() {
    let mut proxy = Proxy::new(&inline());
    proxy.get(2);
    proxy.stream(2).forwarded = None;
    refuse_unconfigured(&proxy.host);
    assert_eq!(proxy.refusal(2), (503, "internal".to_owned()));
}
