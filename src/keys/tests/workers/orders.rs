//! Workers, in every order of what they do.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Tick(usize),
    Run(usize),
    Find(usize, usize),
    Answer(usize, usize),
    Rotate(usize),
    Restart(usize),
    Scribble(Vec<u8>),
}

const WORKERS: usize = 3;

const KIDS: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..2_000).prop_map(Step::Pass),
        1 => (0_u64..900_000).prop_map(Step::Pass),
        8 => (0..WORKERS).prop_map(Step::Tick),
        20 => (0..WORKERS).prop_map(Step::Run),
        8 => (0..WORKERS, 0..KIDS.len()).prop_map(|(worker, kid)| Step::Find(worker, kid)),
        8 => (0..WORKERS, 0_usize..6).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => (1_usize..16).prop_map(Step::Rotate),
        1 => (0..WORKERS).prop_map(Step::Restart),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Step::Scribble),
    ]
}

proptest! {
    /// Commands of several workers, one by one, in every order, beside faults, restarts and
    /// somebody else's writes.
    #[test]
    fn invariants_hold_among_workers(
        steps in proptest::collection::vec(step(), 1..300),
        healthy in any::<bool>(),
    ) {
        let timings = serde_json::json!({"refresh_seconds": 86_400, "max_stale_seconds": 600});
        let bound = Duration::from_secs(86_400 + 600);
        let timeout = Duration::from_secs(5);
        let cooldown = Duration::from_secs(30);
        let mut process = Process::with(WORKERS, timings);
        let mut published: Vec<&str> = vec!["a", "b"];
        let mut last_success: Option<UnixNanos> = None;
        let mut first_success: Option<UnixNanos> = None;
        let mut begun: BTreeSet<UnixNanos> = BTreeSet::new();
        let mut disturbed = false;
        for step in steps {
            match step {
                Step::Pass(millis) => {
                    // Workers interleave, but none stands still for seconds within a callback.
                    if millis > 100 {
                        (0..WORKERS).for_each(|worker| process.run(worker));
                    }
                    process.pass(Duration::from_millis(millis));
                }
                Step::Tick(worker) => process.workers[worker].handle_tick(process.now),
                Step::Run(worker) => {
                    process.run_one(worker);
                }
                Step::Find(worker, kid) => {
                    let seen = process.find(worker, KIDS[kid]);
                    let age = last_success.map(|at| process.now.since(at));
                    if matches!(seen, Seen::Known | Seen::Refused(_)) {
                        prop_assert!(age.is_some_and(|age| age < bound), "{seen:?} at {age:?}");
                    }
                }
                Step::Answer(which, how) => {
                    if !process.fetches.is_empty() {
                        let at = which % process.fetches.len();
                        let (worker, fetch, _) = process.fetches.remove(at);
                        let outcome = match how {
                            0 if !healthy => status(500),
                            1 if !healthy => FetchOutcome::Failed,
                            _ => ok(key_set(&published)),
                        };
                        if matches!(outcome, FetchOutcome::Response { status: 200, .. }) {
                            last_success = Some(process.now);
                            first_success = first_success.or(last_success);
                        }
                        process.workers[worker].handle_response(fetch.id, outcome, process.now);
                    }
                    continue;
                }
                Step::Rotate(bits) => {
                    published = KIDS
                        .iter()
                        .enumerate()
                        .filter_map(|(at, kid)| (bits >> at & 1 == 1).then_some(*kid))
                        .collect();
                }
                Step::Restart(worker) => process.restart(worker),
                Step::Scribble(bytes) => {
                    if let Some(key) = process.data.keys().next().cloned() {
                        process.write(key, bytes);
                        disturbed = true;
                    }
                }
            }
            // Envoy ends a fetch after its timeout.
            let now = process.now;
            let ended: Vec<_> = process
                .fetches
                .iter()
                .filter(|(_, _, at)| now.since(*at) >= timeout)
                .map(|(worker, fetch, _)| (*worker, fetch.id))
                .collect();
            process.fetches.retain(|(_, _, at)| now.since(*at) < timeout);
            for (worker, fetch) in ended {
                process.workers[worker].handle_response(fetch, status(504), now);
                disturbed = true;
            }
            let owners: BTreeSet<usize> =
                process.fetches.iter().map(|(worker, ..)| *worker).collect();
            prop_assert_eq!(owners.len(), process.fetches.len(), "two fetches of one worker");
            if !disturbed {
                prop_assert!(process.fetches.len() <= 1, "two fetches of one process");
            }
            begun.extend(process.fetches.iter().map(|(_, _, at)| *at));
        }
        // With a healthy server, whatever follows the first keys is for unknown keys, or by
        // schedule, a day later.
        if let (true, false, Some(first)) = (healthy, disturbed, first_success) {
            let later: Vec<UnixNanos> = begun.into_iter().filter(|at| *at > first).collect();
            for pair in later.windows(2) {
                let gap = pair[1].since(pair[0]);
                prop_assert!(gap >= cooldown, "{gap:?}");
            }
        }

        // From here on everything works: everybody is answered, by the same keys.
        for _ in 0..40 {
            for (worker, fetch, _) in std::mem::take(&mut process.fetches) {
                process.workers[worker].handle_response(
                    fetch.id,
                    ok(key_set(&published)),
                    process.now,
                );
                process.run(worker);
            }
            process.tick_all();
            process.pass_seconds(2);
        }
        for kid in KIDS {
            for worker in 0..WORKERS {
                process.find(worker, kid);
            }
            for _ in 0..2 {
                process.tick_all();
                for (worker, fetch, _) in std::mem::take(&mut process.fetches) {
                    process.workers[worker].handle_response(
                        fetch.id,
                        ok(key_set(&published)),
                        process.now,
                    );
                    process.run(worker);
                }
                process.pass(Duration::from_millis(5));
            }
            process.tick_all();
            for seen in process.find_all(kid) {
                if published.contains(&kid) {
                    prop_assert_eq!(seen, Seen::Known);
                } else {
                    prop_assert_ne!(seen, Seen::Wait);
                }
            }
            process.pass_seconds(31);
        }
    }
}
