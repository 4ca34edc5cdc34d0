//! What other writers put into shared data.

use super::*;

/// Issuers whose entries would be in one place share nonetheless.
#[test]
fn an_entry_of_another_issuer_is_left_alone() {
    let mut other = Process::with(1, serde_json::json!({"refresh_seconds": 601}));
    other.tick(0);
    other.answer(ok(key_set(&["z"])));
    let foreign = other.entry().clone();

    let mut process = Process::new(3);
    process.workers[0].handle_tick(process.now);
    let Some(Command::ReadShared { key, .. }) = process.workers[0].next_command() else {
        panic!("it looks for the shared entry first")
    };
    process.data.insert(key.clone(), foreign.clone());
    process.workers[0] = Keys::sharing(process.config.key_sources(), process.now, 0);
    process.tick_all();
    process.answer(ok(key_set(&["a"])));
    process.pass(Duration::from_millis(5));
    process.tick_all();
    process.all_know("a");
    assert_eq!((process.fetches.len(), process.adopted), (0, 2));
    assert_eq!(process.data.get(&key), Some(&foreign));

    // Where all places are taken, the first is as good as any: it works, if with more fetches.
    let mut process = Process::new(1);
    let key: u64 = key.rsplit_once('.').unwrap().1.parse().unwrap();
    for slot in key..key + 4 {
        process
            .data
            .insert(format!("mcp_auth.keys.{}", slot % 4096), foreign.clone());
    }
    process.tick(0);
    process.answer(ok(key_set(&["a"])));
    assert_eq!(process.find(0, "a"), Seen::Known);
    assert_eq!(process.data.len(), 4);
}

#[test]
fn what_is_bound_to_another_configuration_is_not_taken() {
    let mut process = Process::warm();
    let (value, _) = process.entry().clone();
    for timings in [
        serde_json::json!({"refresh_seconds": 601}),
        serde_json::json!({"max_stale_seconds": 1}),
    ] {
        let mut other = Process::with(1, timings);
        other.tick(0);
        other.fetches.clear();
        other.entry().0.clone_from(&value);
        other.start_worker();
        other.tick(1);
        assert_eq!(other.adopted, 0);
        assert_eq!(other.find(1, "a"), Seen::Wait);
        assert_eq!(other.fetches.len(), 1);
    }
}

#[test]
fn implausible_entries_neither_stop_fetches_nor_extend_keys() {
    let nanos = |seconds: u64| serde_json::json!(seconds * 1_000_000_000);
    let far = 1_800_000_000 + 100_000;
    for (member, with) in [
        (
            "lease",
            serde_json::json!({"owner": 99, "until": nanos(far)}),
        ),
        (
            "failure",
            serde_json::json!({"count": 1, "at": nanos(1), "retry_at": nanos(far)}),
        ),
        (
            "fetched",
            serde_json::json!({
                "begun": nanos(far),
                "at": nanos(far),
                "refresh": {"secs": 600, "nanos": 0},
            }),
        ),
        (
            "fetched",
            serde_json::json!({
                "begun": nanos(1),
                "at": nanos(1),
                "refresh": {"secs": u64::MAX, "nanos": 0},
            }),
        ),
        (
            "location",
            serde_json::json!({"jwks_uri": "https://evil.example/", "until": nanos(far)}),
        ),
        ("unknown", serde_json::json!(1)),
        ("fetched", serde_json::json!("text")),
    ] {
        let mut process = Process::warm();
        process.pass_seconds(100);
        let value = process.entry().0.clone();
        process.entry().0 = tampered(&value, member, with.clone());
        process.start_worker();
        process.tick(4);
        process.fetches.clear();
        process.pass_seconds(600);
        process.tick_all();
        let fetch = process.answer(ok(key_set(&["b"])));
        assert_eq!(
            fetch.url.as_str(),
            "https://auth.example.com/keys",
            "{member} {with}"
        );
        process.tick_all();
        process.all_know("b");
    }
}

#[test]
fn a_key_set_of_others_is_parsed_like_one_of_the_network() {
    for body in [&b""[..], b"{}", b"<html>", br#"{"keys":[]}"#] {
        let mut process = Process::warm();
        let value = process.entry().0.clone();
        let end = value.iter().position(|b| *b == b'\n').unwrap();
        process.entry().0 = [&value[..=end], body].concat();
        process.start_worker();
        process.tick(4);
        assert_eq!(process.adopted, 0);
        process.answer(ok(key_set(&["b"])));
        assert_eq!(process.find(4, "b"), Seen::Known);
    }
}
