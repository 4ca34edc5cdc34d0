//! Requests whose bodies are read.

use super::*;

/// One host calls with bodies while headers wait, another one does not.
fn on_both_hosts(config: &Value, test: impl Fn(&mut Proxy)) {
    for delivers in [true, false] {
        let mut proxy = Proxy::new(config);
        proxy.delivers_bodies = delivers;
        test(&mut proxy);
    }
}

fn timeouts() -> Value {
    with(
        with_operations(inline()),
        "limits",
        json!({"body_seconds": 2, "body_bytes": 40_000, "held_body_bytes": 65_536}),
    )
}

#[test]
fn a_body_decides_whether_its_request_goes_on() {
    on_both_hosts(&with_operations(inline()), |proxy| {
        proxy.post(2);
        proxy.body(2, &call("echo"), true);
        proxy.post(3);
        proxy.body(3, &call("delete_all"), true);
        proxy.ticks();
        assert_eq!(proxy.mark(2), "allow");
        assert_eq!(proxy.stream(2).sent, call("echo"));
        assert_eq!(proxy.stream(2).values("x-mcp-sub"), ["alice"]);
        assert_eq!(proxy.refusal(3), (403, "scope_insufficient".to_owned()));
    });
}

#[test]
fn a_body_may_come_in_pieces() {
    on_both_hosts(&with_operations(inline()), |proxy| {
        proxy.post(2);
        let body = call("echo");
        for (at, piece) in body.chunks(7).enumerate() {
            proxy.body(2, piece, 7 * (at + 1) >= body.len());
            if 7 * (at + 1) < body.len() {
                assert!(proxy.stream(2).sent.is_empty());
                proxy.ticks();
            }
        }
        proxy.ticks();
        assert_eq!(proxy.mark(2), "allow");
        assert_eq!(proxy.stream(2).sent, body);
    });
}

#[test]
fn a_body_may_end_with_trailers() {
    on_both_hosts(&with_operations(inline()), |proxy| {
        proxy.delivers_bodies = true;
        for (id, tool) in [(2, "echo"), (3, "delete_all")] {
            proxy.post(id);
            proxy.body(id, &call(tool), false);
            assert!(proxy.stream(id).sent.is_empty());
            proxy.trailers(id, &[("x-mcp-sub", "m"), ("x-sum", "1")]);
        }
        assert_eq!(proxy.stream(2).sent, call("echo"));
        assert_eq!(proxy.trailer_names(2), ["x-sum"]);
        assert_eq!(proxy.refusal(3), (403, "scope_insufficient".to_owned()));
    });
}

/// Envoy loses it if its headers and its trailers go on by one and the same call.
#[test]
fn a_body_with_trailers_goes_on_at_the_next_tick_where_headers_had_gone() {
    let mut proxy = Proxy::new(&with_operations(inline()));
    proxy.delivers_bodies = false;
    proxy.post(2);
    proxy.body(2, &call("echo"), true);
    proxy.ticks();
    for id in 3..6 {
        proxy.post(id);
        proxy.body(id, &call("echo"), false);
        proxy.trailers(id, &[("x-sum", "1")]);
        assert!(proxy.stream(id).sent.is_empty());
    }
    assert_eq!(proxy.host.world().tick, SHORTEST_TICK);
    proxy.end(4);
    assert_eq!(proxy.ticks(), [[3, 5]]);
    assert_eq!(proxy.stream(5).sent, call("echo"));
}

#[test]
fn a_host_that_withholds_bodies_is_found_out_by_the_first() {
    let mut proxy = Proxy::new(&with_operations(inline()));
    proxy.delivers_bodies = false;
    proxy.post(2);
    assert_eq!(proxy.host.world().tick, PROBE);
    proxy.tick();
    assert!(proxy.is_paused(2), "nothing has come");
    proxy.body(2, &call("delete_all"), true);
    assert_eq!(proxy.tick(), [2]);
    assert_eq!(proxy.refusal(2).0, 403);
    // From now on headers go on at once, and with them nothing.
    proxy.post(3);
    assert_eq!(proxy.mark(3), "allow");
    proxy.body(3, &call("delete_all"), true);
    assert_eq!(proxy.refusal(3).0, 403);
}

#[test]
fn at_most_thirty_are_resumed_at_once_when_bodies_are_withheld() {
    let mut proxy = Proxy::new(&with_operations(inline()));
    proxy.delivers_bodies = false;
    for id in 2..72 {
        proxy.post(id);
        proxy.body(id, &call("echo"), true);
    }
    let sizes: Vec<usize> = proxy.ticks().iter().map(Vec::len).collect();
    assert_eq!(sizes, [30, 30, 10]);
    assert!((2..72).all(|id| proxy.stream(id).sent == call("echo")));
}

#[test]
fn a_body_that_is_too_large_is_413_before_it_ends() {
    on_both_hosts(&timeouts(), |proxy| {
        proxy.post(2);
        proxy.body(2, &[b' '; 40_001], false);
        proxy.ticks();
        assert_eq!(proxy.refusal(2), (413, "body_too_large".to_owned()));
        assert_eq!(proxy.metric("mcp_auth_held_body_bytes"), 0);
    });
}

#[test]
fn a_body_that_does_not_end_in_time_is_408() {
    on_both_hosts(&timeouts(), |proxy| {
        proxy.post(2);
        proxy.body(2, b"{", false);
        proxy.pass(Duration::from_millis(1990));
        proxy.ticks();
        assert!(proxy.stream(2).reply.is_none());
        proxy.pass(Duration::from_millis(10));
        assert_eq!(proxy.tick(), [2]);
        assert_eq!(proxy.refusal(2), (408, "body_timeout".to_owned()));
        assert!(proxy.stream(2).sent.is_empty());
    });
}

#[test]
fn at_most_thirty_late_bodies_are_answered_at_once() {
    let mut proxy = Proxy::new(&timeouts());
    for id in 2..72 {
        proxy.post(id);
        proxy.body(id, b"{", false);
    }
    proxy.pass(Duration::from_secs(2));
    let sizes: Vec<usize> = proxy.ticks().iter().map(Vec::len).collect();
    assert_eq!(sizes, [30, 30, 10]);
}

/// Anybody can send a token that its issuer has to be asked about, and a body with it.
#[test]
fn bodies_of_strangers_leave_room_for_those_of_callers() {
    let mut config = with_operations(inline());
    config["issuers"].as_array_mut().unwrap().push(json!({
        "issuer": "https://other.example.com", "introspection": {
            "cluster": "asking", "endpoint": "https://other.example.com/introspect"},
    }));
    config["limits"] = json!({"body_bytes": 16_384, "held_body_bytes": 65_536});
    let mut proxy = Proxy::new(&config);
    for id in 2..10 {
        proxy.request_with(id, "POST", &format!("random-token-{id:08}"), false);
        proxy.body(id, &[b' '; 16_000], false);
    }
    proxy.tick();
    assert_eq!(proxy.metric("mcp_auth_held_body_bytes"), 32_000);
    assert_eq!(proxy.refusal(9), (503, "no_room_for_body".to_owned()));
    proxy.post(10);
    proxy.body(10, &[b' '; 16_000], false);
    assert!(proxy.stream(10).reply.is_none());
    let mut rest = vec![b' '; 300];
    rest.extend(call("echo"));
    proxy.body(10, &rest, true);
    assert!(proxy.stream(10).sent.ends_with(&call("echo")));
}

#[test]
fn a_body_that_finds_no_room_is_503_and_room_comes_back() {
    let mut proxy = Proxy::new(&timeouts());
    proxy.post(2);
    proxy.body(2, &[b' '; 40_000], false);
    proxy.tick();
    assert_eq!(proxy.metric("mcp_auth_held_body_bytes"), 40_000);
    proxy.post(3);
    proxy.body(3, &[b' '; 25_537], false);
    assert_eq!(proxy.refusal(3), (503, "no_room_for_body".to_owned()));
    proxy.end(2);
    proxy.tick();
    assert_eq!(proxy.metric("mcp_auth_held_body_bytes"), 0);
    proxy.post(4);
    proxy.body(4, &[b' '; 25_537], false);
    assert!(proxy.is_paused(4));
}

#[test]
fn a_body_that_comes_while_keys_are_awaited_is_judged_when_they_come() {
    let mut proxy = Proxy::new(&with_operations(remote()));
    for (id, tool) in [(2, "echo"), (3, "delete_all")] {
        proxy.post(id);
        proxy.body(id, &call(tool), true);
    }
    proxy.give_keys("es256");
    assert_eq!(proxy.ticks(), [[2, 3]]);
    assert_eq!(proxy.stream(2).sent, call("echo"));
    assert_eq!(proxy.refusal(3), (403, "scope_insufficient".to_owned()));
}

#[test]
fn a_body_without_room_is_refused_while_keys_are_awaited() {
    let limits = json!({"body_bytes": 65_536, "held_body_bytes": 65_536});
    let mut proxy = Proxy::new(&with(with_operations(remote()), "limits", limits));
    proxy.post(2);
    proxy.body(2, &[b' '; 65_537], false);
    assert_eq!(proxy.refusal(2).0, 503);
    assert_eq!(proxy.metric("mcp_auth_held_requests"), 0);
    proxy.give_keys("es256");
    assert_eq!(proxy.ticks(), Vec::<Vec<u32>>::new());
}

#[test]
fn a_body_is_kept_back_where_nobody_reads_it() {
    let mut proxy = Proxy::new(&remote());
    proxy.post(2);
    proxy.body(2, b"anything", true);
    assert_eq!(proxy.host.world().made["keep_body_back"], 1);
    proxy.give_keys("es256");
    assert_eq!(proxy.ticks(), [[2]]);
    assert_eq!(proxy.stream(2).sent, b"anything");
}

#[test]
fn a_stream_of_events_needs_no_body() {
    for method in BODILESS {
        on_both_hosts(&with_operations(inline()), |proxy| {
            proxy.request_with(2, method, &token(), true);
            assert_eq!(proxy.mark(2), "allow");
            // The host may not know yet that nothing follows.
            proxy.request_with(3, method, &token(), false);
            assert_eq!(proxy.mark(3), "allow");
            proxy.body(3, b"", true);
            assert_eq!(proxy.mark(3), "allow");
        });
    }
}

const BODILESS: [&str; 4] = ["GET", "HEAD", "DELETE", "OPTIONS"];

#[test]
fn a_body_where_none_belongs_is_refused_by_its_first_byte() {
    for method in BODILESS {
        on_both_hosts(&with_operations(inline()), |proxy| {
            proxy.request_with(2, method, &token(), false);
            proxy.body(2, b"", false);
            assert_eq!(proxy.mark(2), "allow");
            proxy.body(2, b"{", false);
            assert_eq!(proxy.refusal(2), (400, "body_unexpected".to_owned()));
            assert!(proxy.stream(2).sent.is_empty());
        });
    }
}

#[test]
fn a_body_where_none_belongs_is_refused_when_keys_come() {
    for ends in [true, false] {
        on_both_hosts(&with_operations(remote()), |proxy| {
            proxy.request_with(2, "GET", &token(), false);
            proxy.body(2, &call("delete_all"), ends);
            proxy.give_keys("es256");
            proxy.ticks();
            assert_eq!(proxy.refusal(2), (400, "body_unexpected".to_owned()));
            assert!(proxy.stream(2).sent.is_empty());
        });
    }
}

#[test]
fn a_body_where_none_belongs_is_observed_by_its_first_byte() {
    on_both_hosts(
        &with(with_operations(inline()), "mode", json!("observe")),
        |proxy| {
            proxy.request_with(2, "GET", &token(), false);
            proxy.body(2, b"{", false);
            assert_eq!(proxy.mark(2), "observe");
            assert_eq!(proxy.stream(2).state["mcp_auth_reason"], "body_unexpected");
            assert_eq!(proxy.stream(2).sent, b"{");
        },
    );
}

#[test]
fn a_request_without_a_body_has_to_end_in_time() {
    for method in BODILESS {
        on_both_hosts(&timeouts(), |proxy| {
            proxy.request_with(2, method, &token(), false);
            proxy.request_with(3, method, &token(), false);
            proxy.body(3, b"", true);
            proxy.pass(Duration::from_secs(2));
            assert_eq!(proxy.tick(), [2]);
            assert_eq!(proxy.refusal(2), (408, "body_timeout".to_owned()));
            assert_eq!(proxy.mark(3), "allow");
        });
    }
}

#[test]
fn who_observes_lets_a_late_body_go_on_with_its_next_piece() {
    let mut proxy = Proxy::new(&with(timeouts(), "mode", json!("observe")));
    proxy.post(2);
    proxy.body(2, b"{", false);
    proxy.pass(Duration::from_secs(2));
    assert_eq!(proxy.tick(), NOBODY);
    proxy.body(2, b"}", false);
    assert_eq!(proxy.mark(2), "observe");
    assert_eq!(proxy.stream(2).sent, b"{}");
    assert_eq!(proxy.stream(2).state["mcp_auth_reason"], "body_timeout");
}
