//! Several workers of one Envoy that share the metadata that they mirror.

use super::*;

const DOCUMENT: &[u8] = br#"{"issuer":"https://auth.example.com","n":1}"#;
const NEWER: &[u8] = br#"{"issuer":"https://auth.example.com","n":2}"#;
const OTHERS: &[u8] = br#"{"issuer":"https://evil.example"}"#;

fn process(workers: usize) -> Process {
    with(workers, serde_json::json!({}))
}

fn with(workers: usize, timings: serde_json::Value) -> Process {
    Process::of(
        workers,
        serde_json::json!({
            "issuer": "https://auth.example.com",
            "cluster": "auth",
            "jwks_uri": "https://auth.example.com/keys",
            "authorization_server_metadata": true,
            "keys": timings,
        }),
    )
}

/// Workers that all have the document.
fn warm(workers: usize) -> Process {
    let mut process = process(workers);
    process.tick_all();
    assert_eq!(process.answer_each(ok(DOCUMENT.to_vec())), 1);
    process.pass(Duration::from_millis(5));
    process.tick_all();
    assert!(process.all_have(DOCUMENT));
    assert_eq!(process.fetches.len(), 0);
    process
}

impl Process {
    /// Answers every fetch; returns how many were for metadata.
    fn answer_each(&mut self, metadata: FetchOutcome) -> usize {
        let mut count = 0;
        for (worker, fetch, _) in std::mem::take(&mut self.fetches) {
            let is_metadata = fetch.url.path_and_query().starts_with("/.well-known/");
            let outcome = if is_metadata {
                count += 1;
                metadata.clone()
            } else {
                ok(key_set(&["a"]))
            };
            self.workers[worker].handle_response(fetch.id, outcome, self.now);
            self.run(worker);
        }
        count
    }

    fn metadata(&mut self, worker: usize) -> Mirrored<'_> {
        self.workers[worker].issuer_metadata(ISSUER, self.now)
    }

    fn all_have(&mut self, document: &[u8]) -> bool {
        (0..self.workers.len()).all(|worker| self.metadata(worker) == Mirrored::Document(document))
    }

    fn metadata_entry(&mut self) -> &mut (Vec<u8>, u32) {
        let mut entries = self.data.iter_mut();
        let named = |(key, _): &(&String, _)| key.starts_with("mcp_auth.metadata.");
        entries.find(named).unwrap().1
    }
}

#[test]
fn metadata_is_fetched_once_in_all_workers_together() {
    for workers in [1, 4] {
        let mut process = process(workers);
        process.tick_all();
        process.pass(Duration::from_millis(5));
        process.tick_all();
        for worker in 0..workers {
            assert_eq!(process.metadata(worker), Mirrored::Wait);
        }
        assert_eq!(process.answer_each(ok(DOCUMENT.to_vec())), 1);
        process.pass(Duration::from_millis(5));
        process.tick_all();
        assert!(process.all_have(DOCUMENT));

        // And once when it is an hour old.
        let mut fetched = 0;
        for _ in 0..121 {
            process.pass_seconds(30);
            process.tick_all();
            fetched += process.answer_each(ok(NEWER.to_vec()));
            process.pass(Duration::from_millis(5));
            process.tick_all();
        }
        assert_eq!(fetched, 1, "{workers} workers");
        assert!(process.all_have(NEWER));
    }
}

#[test]
fn an_outage_costs_one_try_for_metadata_per_pause_in_all_workers_together() {
    for (mut process, most) in [(process(4), 32), (warm(4), 8)] {
        process.pass_seconds(3600);
        let mut tries: Vec<UnixNanos> = Vec::new();
        for _ in 0..600 {
            process.tick_all();
            if process.answer_each(FetchOutcome::Failed) > 0 {
                tries.push(process.now);
            }
            for worker in 0..4 {
                // Requests come all the time: they ask, too.
                process.metadata(worker);
            }
            process.pass(Duration::from_millis(100));
        }
        let gaps: Vec<_> = tries.windows(2).map(|two| two[1].since(two[0])).collect();
        assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(1)));
        assert!((most - 3..=most).contains(&tries.len()), "{gaps:?}");
        process.pass_seconds(61);
        process.tick_all();
        assert_eq!(process.answer_each(ok(NEWER.to_vec())), 1);
        process.pass(Duration::from_millis(5));
        process.tick_all();
        assert!(process.all_have(NEWER));
    }
}

#[test]
fn a_fetch_of_metadata_that_is_never_finished_is_done_by_another() {
    for shut_down in [false, true] {
        let mut process = process(2);
        process.tick_all();
        let is_metadata = |(_, fetch, _): &(usize, Fetch, UnixNanos)| {
            fetch.url.path_and_query().starts_with("/.well-known/")
        };
        let at = process.fetches.iter().position(is_metadata).unwrap();
        let (owner, ..) = process.fetches.remove(at);
        process.answer_each(status(500));
        if shut_down {
            process.workers[owner].handle_shutdown();
            process.run(owner);
            process.pass(Duration::from_millis(5));
        } else {
            process.pass_seconds(20);
            process.tick(1 - owner);
            assert_eq!(process.fetches.len(), 0);
            process.pass_seconds(2);
        }
        process.tick(1 - owner);
        assert_eq!(process.answer_each(ok(DOCUMENT.to_vec())), 1);
        assert_eq!(process.metadata(1 - owner), Mirrored::Document(DOCUMENT));
    }
}

#[test]
fn a_new_worker_takes_over_the_metadata_that_is_there() {
    let mut process = warm(2);
    process.pass_seconds(3000);
    process.start_worker();
    process.tick(2);
    assert_eq!(process.metadata(2), Mirrored::Document(DOCUMENT));
    assert_eq!(process.answer_each(ok(NEWER.to_vec())), 0);
    // As old as it is, not as new as the worker.
    process.pass_seconds(600);
    process.tick(2);
    assert_eq!(process.answer_each(ok(NEWER.to_vec())), 1);
}

#[test]
fn without_shared_data_every_worker_fetches_metadata() {
    let mut process = process(2);
    process.shares = false;
    process.tick_all();
    assert_eq!(process.answer_each(ok(DOCUMENT.to_vec())), 2);
    assert!(process.all_have(DOCUMENT));
}

#[test]
fn metadata_of_others_is_checked_like_that_of_the_network() {
    for body in [OTHERS, b"", b"[]", b"<html>"] {
        let mut process = warm(1);
        let value = process.metadata_entry().0.clone();
        let end = value.iter().position(|b| *b == b'\n').unwrap();
        process.metadata_entry().0 = [&value[..=end], body].concat();
        process.start_worker();
        process.tick(1);
        assert_eq!(process.metadata(1), Mirrored::Wait);
        assert_eq!(process.answer_each(ok(NEWER.to_vec())), 1);
        assert_eq!(process.metadata(1), Mirrored::Document(NEWER));
    }
}

#[test]
fn metadata_that_is_bound_to_another_configuration_is_not_taken() {
    let value = warm(1).metadata_entry().0.clone();
    let mut other = with(1, serde_json::json!({"timeout_seconds": 6}));
    other.tick(0);
    other.fetches.clear();
    other.metadata_entry().0.clone_from(&value);
    other.start_worker();
    other.tick(1);
    assert_eq!(other.metadata(1), Mirrored::Wait);
    assert_eq!(other.answer_each(ok(NEWER.to_vec())), 1);
    assert_eq!(other.metadata(1), Mirrored::Document(NEWER));
}

#[test]
fn implausible_entries_neither_stop_fetches_of_metadata_nor_extend_it() {
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
    ] {
        let mut process = warm(2);
        let value = process.metadata_entry().0.clone();
        process.metadata_entry().0 = tampered(&value, member, with.clone());
        process.pass_seconds(3600);
        process.tick_all();
        assert_eq!(
            process.answer_each(ok(NEWER.to_vec())),
            1,
            "{member} {with}"
        );
        process.pass(Duration::from_millis(5));
        process.tick_all();
        assert!(process.all_have(NEWER));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Tick(usize),
    Run(usize),
    Ask(usize),
    Answer(usize, usize),
    Restart(usize),
    Scribble(Vec<u8>),
}

const WORKERS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..2_000).prop_map(Step::Pass),
        1 => (0_u64..4_000_000).prop_map(Step::Pass),
        8 => (0..WORKERS).prop_map(Step::Tick),
        20 => (0..WORKERS).prop_map(Step::Run),
        8 => (0..WORKERS).prop_map(Step::Ask),
        8 => (0..WORKERS, 0_usize..6).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => (0..WORKERS).prop_map(Step::Restart),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Step::Scribble),
    ]
}

proptest! {
    /// Commands of several workers, one by one, in every order, beside faults, restarts and
    /// somebody else's writes.
    #[test]
    fn metadata_arrives_in_every_order(steps in proptest::collection::vec(step(), 1..300)) {
        let mut process = process(WORKERS);
        for step in steps {
            match step {
                Step::Pass(millis) => {
                    if millis > 100 {
                        (0..WORKERS).for_each(|worker| process.run(worker));
                    }
                    process.pass(Duration::from_millis(millis));
                }
                Step::Tick(worker) => process.workers[worker].handle_tick(process.now),
                Step::Run(worker) => {
                    process.run_one(worker);
                }
                Step::Ask(worker) => {
                    if let Mirrored::Document(document) = process.metadata(worker) {
                        prop_assert_eq!(document, DOCUMENT);
                    }
                }
                Step::Answer(which, how) => {
                    if !process.fetches.is_empty() {
                        let (worker, fetch, _) =
                            process.fetches.remove(which % process.fetches.len());
                        let outcome = match how {
                            0 => status(500),
                            1 => FetchOutcome::Failed,
                            2 => ok(OTHERS.to_vec()),
                            _ => ok(DOCUMENT.to_vec()),
                        };
                        process.workers[worker].handle_response(fetch.id, outcome, process.now);
                    }
                }
                Step::Restart(worker) => process.restart(worker),
                Step::Scribble(bytes) => {
                    if let Some(key) = process.data.keys().next_back().cloned() {
                        process.write(key, bytes);
                    }
                }
            }
        }
        // From here on everything works: everybody has the newest within the hour, by one fetch.
        let mut fetched = 0;
        for round in 0..124 {
            process.tick_all();
            let answered = process.answer_each(ok(NEWER.to_vec()));
            // What was under way is left aside.
            fetched += if round > 4 { answered } else { 0 };
            process.pass_seconds(30);
        }
        prop_assert!(process.all_have(NEWER));
        prop_assert!(fetched <= 1, "{fetched} fetches");
    }
}
