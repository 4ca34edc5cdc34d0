//! Requests that wait for keys.

use super::*;

fn held(proxy: &Proxy) -> i64 {
    proxy.metric("mcp_auth_held_requests")
}

#[test]
fn many_wait_for_the_first_keys_and_all_go_on_in_order() {
    let mut proxy = Proxy::new(&remote());
    for id in 2..102 {
        proxy.get(id);
        assert!(proxy.is_paused(id));
    }
    assert_eq!(held(&proxy), 100);
    assert_eq!(proxy.host.world().tick, SHORTEST_TICK);
    assert_eq!(proxy.tick(), NOBODY);
    assert_eq!(proxy.open_calls(), 1, "one fetch for all");
    proxy.answer(200, &key_set("es256"));
    let settled = proxy.ticks();
    // Thirty at a time, and the next tick is near.
    let sizes: Vec<usize> = settled.iter().map(Vec::len).collect();
    assert_eq!(sizes, [30, 30, 30, 10]);
    assert_eq!(settled.concat(), (2..102).collect::<Vec<u32>>());
    for id in 2..102 {
        assert_eq!(proxy.mark(id), "allow");
        assert_eq!(proxy.stream(id).values("x-mcp-sub"), ["alice"]);
    }
    assert_eq!(held(&proxy), 0);
    assert_eq!(proxy.host.world().tick, LONGEST_TICK);
}

#[test]
fn the_rest_has_its_turn_at_the_next_tick() {
    let mut proxy = Proxy::new(&remote());
    for id in 2..40 {
        proxy.get(id);
    }
    proxy.give_keys("es256");
    assert_eq!(proxy.tick().len(), AT_ONCE);
    assert_eq!(proxy.host.world().tick, SHORTEST_TICK);
    assert_eq!(proxy.tick().len(), 38 - AT_ONCE);
    assert_eq!(proxy.host.world().tick, LONGEST_TICK);
}

#[test]
fn the_fetch_goes_where_the_configuration_says() {
    let mut proxy = Proxy::new(&remote());
    proxy.get(2);
    proxy.tick();
    let world = proxy.host.world();
    let sent = &world.calls[0];
    assert_eq!(sent.cluster, "auth");
    let header = |name: &str| sent.headers.iter().find(|(other, _)| other == name);
    assert_eq!(header(":method").unwrap().1, "GET");
    assert_eq!(header(":authority").unwrap().1, "auth.example.com");
    assert_eq!(header(":path").unwrap().1, "/jwks?a=1");
    assert_eq!(header("authorization"), None);
}

#[test]
fn who_waits_too_long_is_503() {
    let mut proxy = Proxy::new(&remote());
    proxy.get(2);
    proxy.tick();
    proxy.pass(Duration::from_millis(4999));
    assert_eq!(proxy.tick(), NOBODY);
    proxy.pass(TICK);
    assert_eq!(proxy.tick(), [2]);
    assert_eq!(proxy.refusal(2), (503, "keys_unavailable".to_owned()));
    let stream = proxy.stream(2);
    let headers = &stream.reply.as_ref().unwrap().headers;
    assert!(headers.iter().any(|(name, _)| *name == "retry-after"));
    assert!(headers.iter().all(|(name, _)| *name != "www-authenticate"));
    drop(stream);
    assert_eq!(held(&proxy), 0);
}

#[test]
fn who_finds_no_room_to_wait_is_503() {
    let mut proxy = Proxy::new(&with(remote(), "limits", json!({"held_requests": 2})));
    for id in 2..5 {
        proxy.get(id);
    }
    assert_eq!(proxy.refusal(4), (503, "too_many_waiting".to_owned()));
    assert_eq!(held(&proxy), 2);
    proxy.give_keys("es256");
    assert_eq!(proxy.tick(), [2, 3]);
}

#[test]
fn a_stream_that_ends_while_it_waits_is_forgotten() {
    let mut proxy = Proxy::new(&with_operations(remote()));
    for id in 2..5 {
        proxy.post(id);
        proxy.body(id, &call("echo"), true);
    }
    proxy.end(3);
    assert_eq!(held(&proxy), 2);
    proxy.give_keys("es256");
    // The host panics for who acts on a stream that has ended.
    assert_eq!(proxy.tick(), [2, 4]);
    proxy.pass(Duration::from_secs(60));
    assert_eq!(proxy.tick(), NOBODY);
}

#[test]
fn a_new_key_is_fetched_once_and_an_old_one_is_refused_once_it_is_gone() {
    let mut proxy = Proxy::new(&remote());
    proxy.give_keys("old");
    proxy.request_with(2, "GET", &token_of_key("old"), true);
    assert_eq!(proxy.mark(2), "allow");
    proxy.pass(TICK);
    for id in 3..10 {
        proxy.request_with(id, "GET", &token_of_key("new"), true);
        assert!(proxy.is_paused(id));
    }
    proxy.pass(TICK);
    proxy.tick();
    assert_eq!(proxy.open_calls(), 1);
    proxy.answer(200, &key_set("new"));
    assert_eq!(proxy.ticks(), [(3..10).collect::<Vec<u32>>()]);
    assert_eq!(proxy.mark(9), "allow");
    proxy.request_with(10, "GET", &token_of_key("old"), true);
    assert_eq!(proxy.refusal(10), (401, "key_unknown".to_owned()));
}

#[test]
fn a_failed_fetch_is_tried_again_and_who_waits_goes_on_then() {
    let mut proxy = Proxy::new(&remote());
    proxy.get(2);
    proxy.tick();
    proxy.answer(500, "");
    assert!(proxy.is_paused(2));
    proxy.pass(Duration::from_secs(2));
    proxy.tick();
    assert_eq!(proxy.open_calls(), 1);
    proxy.answer(200, &key_set("es256"));
    assert_eq!(proxy.ticks(), [[2]]);
    assert_eq!(proxy.mark(2), "allow");
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut proxy = Proxy::new(&remote());
    proxy.give_keys("es256");
    proxy.worker.call_response(CallId(99), 1, 0);
    proxy.worker.call_response(CallId(1), 1, 0);
    proxy.get(2);
    assert_eq!(proxy.mark(2), "allow");
}

#[test]
fn workers_that_share_fetch_once() {
    let host = host::MemoryHost::default();
    host.world().has_vm_id = true;
    let mut first = Proxy::with(host.clone(), &remote());
    first.get(2);
    let mut second = Proxy::with(host, &remote());
    second.get(3);
    first.ticks();
    second.ticks();
    first.ticks();
    assert_eq!(first.open_calls(), 1);
    first.answer(200, &key_set("es256"));
    assert_eq!(first.ticks(), [[2]]);
    second.pass(Duration::from_secs(1));
    assert_eq!(second.ticks(), [[3]]);
    assert_eq!(first.open_calls(), 0);
}

#[test]
fn a_shutdown_takes_back_what_was_counted() {
    let mut proxy = Proxy::new(&remote());
    proxy.get(2);
    assert_eq!(held(&proxy), 1);
    proxy.worker.shut_down();
    assert_eq!(held(&proxy), 0);
}

#[test]
fn the_age_and_number_of_keys_are_told() {
    let mut proxy = Proxy::new(&remote());
    proxy.give_keys("es256");
    proxy.pass(Duration::from_secs(7));
    proxy.tick();
    let of = |name: &str| proxy.metric(&format!("{name};issuer={ISSUER}"));
    assert_eq!(of("mcp_auth_keys"), 1);
    assert_eq!(of("mcp_auth_keys_age_seconds"), 7);
    let fetches = format!("mcp_auth_key_fetches_total;issuer={ISSUER};result=ok");
    assert_eq!(proxy.metric(&fetches), 1);
}
