//! Several workers of one Envoy that share what they fetch.

mod mirrors;
mod orders;
mod untrusted;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Workers of one process, and the shared data of their host.
struct Process {
    config: Config,
    workers: Vec<Keys>,
    data: BTreeMap<String, (Vec<u8>, u32)>,
    next_version: u32,
    shares: bool,
    now: UnixNanos,
    fetches: Vec<(usize, Fetch, UnixNanos)>,
    adopted: usize,
}

impl Process {
    fn new(workers: usize) -> Self {
        Self::with(workers, serde_json::json!({}))
    }

    fn with(workers: usize, timings: serde_json::Value) -> Self {
        Self::of(
            workers,
            serde_json::json!({
                "issuer": "https://auth.example.com",
                "cluster": "auth",
                "jwks_uri": "https://auth.example.com/keys",
                "keys": timings,
            }),
        )
    }

    fn of(workers: usize, issuer: serde_json::Value) -> Self {
        let json = serde_json::json!({
            "issuers": [issuer],
            "resources": [{"resource": "https://mcp.example.com/mcp"}],
        });
        let config = Config::parse(json.to_string().as_bytes()).unwrap();
        let mut process = Self {
            config,
            workers: Vec::new(),
            data: BTreeMap::new(),
            next_version: 1,
            shares: true,
            now: START,
            fetches: Vec::new(),
            adopted: 0,
        };
        for _ in 0..workers {
            process.start_worker();
        }
        process
    }

    fn start_worker(&mut self) {
        let id = u64::try_from(self.workers.len()).unwrap();
        let keys = Keys::sharing(self.config.key_sources(), self.now, id);
        self.workers.push(keys);
    }

    /// A worker ends, and another begins in its place: what it had under way never comes back.
    fn restart(&mut self, worker: usize) {
        self.fetches.retain(|(owner, ..)| *owner != worker);
        self.workers[worker].handle_shutdown();
        self.run(worker);
        self.fetches.retain(|(owner, ..)| *owner != worker);
        let id = 1000 + self.now.as_secs();
        self.workers[worker] = Keys::sharing(self.config.key_sources(), self.now, id);
    }

    /// Carries out one command, as the filter and its host do. `false` if there is none.
    fn run_one(&mut self, worker: usize) -> bool {
        let Some(command) = self.workers[worker].next_command() else {
            return false;
        };
        match command {
            Command::Fetch(fetch) => self.fetches.push((worker, fetch, self.now)),
            Command::ReadShared { entry: id, key } => {
                if self.shares && !self.data.contains_key(&key) {
                    self.write(key.clone(), b"\n".to_vec());
                }
                let entry = self.data.get(&key).map(|(value, version)| SharedEntry {
                    value: value.clone(),
                    version: *version,
                });
                let entry = entry.filter(|_| self.shares);
                self.workers[worker].handle_shared(id, entry, self.now);
            }
            Command::WriteShared {
                entry,
                key,
                value,
                version,
            } => {
                let written = self.data.get(&key).is_some_and(|(_, at)| *at == version);
                if written {
                    self.write(key, value);
                }
                self.workers[worker].handle_shared_written(entry, written, self.now);
            }
            Command::Report(_, Event::Adopted { .. }) => self.adopted += 1,
            Command::Wake(_) | Command::Report(..) => {}
        }
        true
    }

    fn write(&mut self, key: String, value: Vec<u8>) {
        self.data.insert(key, (value, self.next_version));
        self.next_version += 1;
    }

    fn run(&mut self, worker: usize) {
        while self.run_one(worker) {}
    }

    fn tick(&mut self, worker: usize) {
        self.workers[worker].handle_tick(self.now);
        self.run(worker);
    }

    fn tick_all(&mut self) {
        for worker in 0..self.workers.len() {
            self.tick(worker);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Answers the only fetch under way.
    fn answer(&mut self, outcome: FetchOutcome) -> Fetch {
        let [(worker, fetch, _)] = self.fetches.as_slice() else {
            panic!("expected one fetch, got {:?}", self.fetches)
        };
        let (worker, fetch) = (*worker, fetch.clone());
        self.fetches.clear();
        self.workers[worker].handle_response(fetch.id, outcome, self.now);
        self.run(worker);
        fetch
    }

    fn find(&mut self, worker: usize, kid: &str) -> Seen {
        self.find_since(worker, kid, self.now)
    }

    /// For a request that arrived earlier, and has waited.
    fn find_since(&mut self, worker: usize, kid: &str, arrived: UnixNanos) -> Seen {
        let now = self.now;
        let alg = Algorithm::EdDsa;
        let found = self.workers[worker].find(ISSUER, Some(kid), alg, arrived, now);
        match found {
            Found::Keys(_) => Seen::Known,
            Found::Wait => Seen::Wait,
            Found::Refused(reason) => Seen::Refused(reason),
            Found::Unavailable { reason, .. } => Seen::Unavailable(reason),
        }
    }

    fn find_all(&mut self, kid: &str) -> Vec<Seen> {
        (0..self.workers.len())
            .map(|worker| self.find(worker, kid))
            .collect()
    }

    /// Four workers that know key `a`.
    fn warm() -> Self {
        let mut process = Self::new(4);
        process.tick_all();
        process.answer(ok(key_set(&["a"])));
        process.pass(Duration::from_millis(5));
        process.tick_all();
        process.all_know("a");
        process.adopted = 0;
        process
    }

    fn all_know(&mut self, kid: &str) {
        let seen = self.find_all(kid);
        assert!(
            seen.iter().all(|one| *one == Seen::Known),
            "{kid}: {seen:?}"
        );
    }

    fn all_wait(&mut self, kid: &str) {
        let seen = self.find_all(kid);
        assert!(seen.iter().all(|one| *one == Seen::Wait), "{kid}: {seen:?}");
    }

    fn entry(&mut self) -> &mut (Vec<u8>, u32) {
        assert_eq!(self.data.len(), 1);
        self.data.values_mut().next().unwrap()
    }
}

#[test]
fn a_cold_start_costs_one_fetch() {
    let mut process = Process::new(4);
    assert_eq!(process.find(3, "a"), Seen::Wait);
    process.tick_all();
    assert_eq!(process.fetches.len(), 1);
    process.pass(Duration::from_millis(5));
    process.tick_all();
    process.all_wait("a");
    process.answer(ok(key_set(&["a"])));
    process.pass(Duration::from_millis(5));
    process.tick_all();
    process.all_know("a");
    assert_eq!((process.fetches.len(), process.adopted), (0, 3));
}

#[test]
fn discovery_is_shared_too() {
    let mut process = Process::of(
        2,
        serde_json::json!({"issuer": "https://auth.example.com", "cluster": "auth"}),
    );
    process.tick_all();
    let metadata =
        br#"{"issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/k"}"#;
    process.answer(ok(metadata.to_vec()));
    assert_eq!(
        process.answer(ok(key_set(&["a"]))).url.path_and_query(),
        "/k"
    );
    process.tick_all();
    process.pass_seconds(40);
    assert_eq!(process.find(1, "new"), Seen::Wait);
    process.tick(1);
    let fetch = process.answer(ok(key_set(&["new"])));
    assert_eq!(fetch.url.path_and_query(), "/k", "worker 1 knows where");
}

#[test]
fn a_rotation_costs_one_fetch() {
    let mut process = Process::warm();
    process.pass_seconds(100);
    process.all_wait("b");
    process.tick_all();
    process.answer(ok(key_set(&["b"])));
    process.pass(Duration::from_millis(5));
    process.tick_all();
    process.all_know("b");
    assert_eq!((process.fetches.len(), process.adopted), (0, 3));
    assert!(
        process
            .find_all("a")
            .iter()
            .all(|seen| *seen == Seen::Refused(Reason::KeyUnknown)),
        "it has left the set"
    );
}

#[test]
fn a_refresh_reaches_every_worker_within_its_tick() {
    let mut process = Process::warm();
    process.pass_seconds(600);
    process.tick(2);
    process.answer(ok(key_set(&["b"])));
    process.pass_seconds(1);
    process.tick_all();
    for worker in 0..4 {
        assert_ne!(process.find(worker, "a"), Seen::Known);
        assert_eq!(process.find(worker, "b"), Seen::Known);
    }
    assert_eq!(process.adopted, 3);
}

#[test]
fn unknown_keys_cost_one_fetch_per_cooldown_in_all_workers_together() {
    let mut process = Process::warm();
    process.pass_seconds(100);
    let mut fetched = Vec::new();
    for number in 0..600 {
        let worker = number % 4;
        let seen = process.find(worker, &format!("random-{number}"));
        assert!(
            matches!(
                seen,
                Seen::Wait
                    | Seen::Unavailable(Reason::KeyPending)
                    | Seen::Refused(Reason::KeyUnknown)
            ),
            "{seen:?}"
        );
        process.tick_all();
        if !process.fetches.is_empty() {
            process.answer(ok(key_set(&["a"])));
            fetched.push(process.now);
        }
        process.pass(Duration::from_millis(100));
        assert_eq!(process.find(worker, "a"), Seen::Known);
    }
    assert_eq!(fetched.len(), 2, "in a minute of 30-second cooldowns");
}

#[test]
fn a_key_that_was_refused_is_refused_again_without_a_fetch() {
    let mut process = Process::warm();
    process.pass_seconds(100);
    assert_eq!(process.find(0, "x"), Seen::Wait);
    process.tick(0);
    process.answer(ok(key_set(&["a"])));
    assert_eq!(process.find(0, "x"), Seen::Refused(Reason::KeyUnknown));
    process.pass_seconds(29);
    process.tick_all();
    assert_eq!(process.find(0, "x"), Seen::Refused(Reason::KeyUnknown));
    // Of this one nobody knows yet.
    assert_eq!(process.find(0, "y"), Seen::Unavailable(Reason::KeyPending));
    process.pass_seconds(1);
    process.tick_all();
    assert_eq!(process.find(0, "y"), Seen::Wait);
}

/// A stranger's key causes a fetch; a new key is published a moment later: nobody has asked for it.
#[test]
fn a_key_published_just_after_a_fetch_is_not_called_unknown() {
    let mut process = Process::warm();
    process.pass_seconds(100);
    let arrived = process.now;
    assert_eq!(process.find(0, "stranger"), Seen::Wait);
    process.tick(0);
    process.pass(Duration::from_millis(3));
    // It joins the fetch under way, whose answer may have been written before.
    let joined = process.now;
    assert_eq!(process.find(0, "new"), Seen::Wait);
    process.answer(ok(key_set(&["a"])));
    assert_eq!(
        process.find_since(0, "stranger", arrived),
        Seen::Refused(Reason::KeyUnknown)
    );
    let pending = Seen::Unavailable(Reason::KeyPending);
    assert_eq!(process.find_since(0, "new", joined), pending);
    assert_eq!(process.find(0, "new"), pending);
    process.pass_seconds(31);
    assert_eq!(process.find(0, "new"), Seen::Wait);
    process.tick(0);
    process.answer(ok(key_set(&["a", "new"])));
    assert_eq!(process.find(0, "new"), Seen::Known);
}

#[test]
fn a_new_key_that_another_worker_has_is_found_within_the_cooldown() {
    let mut process = Process::warm();
    process.pass_seconds(600);
    assert_eq!(process.find(0, "x"), Seen::Wait);
    process.tick(0);
    process.answer(ok(key_set(&["a"])));
    process.tick_all();
    process.pass_seconds(10);
    // A refresh that only worker 1 has seen brings a new key.
    process.tick_all();
    process.workers[1].handle_tick(process.now);
    process.run(1);
    process.pass_seconds(590);
    process.tick(1);
    process.answer(ok(key_set(&["a", "b"])));
    assert_eq!(process.find(0, "b"), Seen::Wait);
    process.tick(0);
    assert_eq!(process.find(0, "b"), Seen::Known);
    assert_eq!(process.fetches.len(), 0);
}

/// Requests come all the time: they ask, too.
#[test]
fn an_outage_costs_one_try_per_pause_in_all_workers_together() {
    let mut process = Process::new(4);
    let mut tries: Vec<UnixNanos> = Vec::new();
    for _ in 0..600 {
        process.tick_all();
        if !process.fetches.is_empty() {
            tries.push(process.now);
            process.answer(FetchOutcome::Failed);
            process.tick_all();
        }
        let seen = process.find_all("a");
        let patient = [Seen::Wait, Seen::Unavailable(Reason::KeysUnavailable)];
        assert!(seen.iter().all(|seen| patient.contains(seen)), "{seen:?}");
        process.pass(Duration::from_millis(100));
    }
    let gaps: Vec<Duration> = tries.windows(2).map(|two| two[1].since(two[0])).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(1)));
    assert!(
        gaps[5..].iter().all(|gap| *gap >= Duration::from_secs(2)),
        "{gaps:?}"
    );
    assert!((25..=34).contains(&tries.len()), "{}", tries.len());
}

/// In every worker, all the time, with the name of a key that is known.
#[test]
fn forged_tokens_cost_one_fetch_per_cooldown_and_good_ones_nothing() {
    for workers in [1, 4] {
        let mut process = Process::new(workers);
        process.tick_all();
        process.answer(ok(key_set(&["a"])));
        process.pass_seconds(100);
        process.tick_all();
        let mut fetched = Vec::new();
        for _ in 0..2400 {
            for worker in 0..workers {
                let now = process.now;
                let doubt = process.workers[worker].doubt(ISSUER, now, now);
                assert_ne!(doubt, Doubt::Settled, "nobody has asked since");
                assert_eq!(process.find(worker, "a"), Seen::Known);
            }
            process.tick_all();
            if !process.fetches.is_empty() {
                process.pass(Duration::from_millis(10));
                process.answer(ok(key_set(&["a"])));
                fetched.push(process.now);
            }
            process.pass(Duration::from_millis(50));
        }
        assert_eq!(fetched.len(), 4, "in 120 seconds of 30-second cooldowns");
        for pair in fetched.windows(2) {
            assert!(pair[1].since(pair[0]) >= Duration::from_secs(30));
        }
    }
}

#[test]
fn a_token_is_forged_in_all_workers_once_one_has_asked() {
    let mut process = Process::warm();
    process.pass_seconds(100);
    let seen = process.now;
    assert_eq!(process.workers[2].doubt(ISSUER, seen, seen), Doubt::Wait);
    process.tick(2);
    process.answer(ok(key_set(&["a"])));
    process.pass(Duration::from_millis(5));
    process.tick_all();
    for worker in 0..4 {
        let now = process.now;
        assert_eq!(
            process.workers[worker].doubt(ISSUER, seen, now),
            Doubt::Settled
        );
        assert!(matches!(
            process.workers[worker].doubt(ISSUER, now, now),
            Doubt::Unavailable {
                reason: Reason::KeyPending,
                ..
            }
        ));
    }
}

#[test]
fn a_lease_that_its_owner_never_finishes_runs_out() {
    let mut process = Process::new(2);
    process.tick_all();
    let (owner, _, _) = process.fetches.remove(0);
    let other = 1 - owner;
    process.pass(Duration::from_millis(6900));
    process.tick(other);
    assert_eq!(process.fetches.len(), 0);
    process.pass(Duration::from_millis(200));
    process.tick(other);
    process.answer(ok(key_set(&["a"])));
    assert_eq!(process.find(other, "a"), Seen::Known);
}

#[test]
fn a_worker_that_ends_leaves_its_fetch_to_another() {
    let mut process = Process::new(2);
    process.tick_all();
    let (owner, _, _) = process.fetches.remove(0);
    process.workers[owner].handle_shutdown();
    process.run(owner);
    process.pass(Duration::from_millis(5));
    process.tick(1 - owner);
    process.answer(ok(key_set(&["a"])));
    assert_eq!(process.find(1 - owner, "a"), Seen::Known);
}

#[test]
fn a_new_worker_takes_over_what_is_there() {
    let mut process = Process::warm();
    process.pass_seconds(300);
    process.start_worker();
    process.tick(4);
    assert_eq!(process.find(4, "a"), Seen::Known);
    assert_eq!(process.fetches.len(), 0);
    // As old as they are, not as new as the worker.
    let status: Vec<_> = process.workers[4].status(process.now).collect();
    assert_eq!(
        status,
        [(
            ISSUER,
            KeyStatus {
                keys: 1,
                age: Some(Duration::from_millis(300_005))
            }
        )]
    );
}

#[test]
fn without_shared_data_every_worker_works_alone() {
    let mut process = Process::new(2);
    process.shares = false;
    process.tick_all();
    assert_eq!(process.fetches.len(), 2);
    for (worker, fetch, _) in std::mem::take(&mut process.fetches) {
        process.workers[worker].handle_response(fetch.id, ok(key_set(&["a"])), process.now);
        process.run(worker);
    }
    assert_eq!(process.find_all("a"), [Seen::Known, Seen::Known]);
    process.pass_seconds(100);
    assert_eq!(process.find(0, "b"), Seen::Wait);
    process.tick(0);
    process.answer(ok(key_set(&["b"])));
    assert_eq!(process.find(0, "b"), Seen::Known);
}

/// An entry with other members, which is still bound to this configuration.
fn tampered(value: &[u8], member: &str, with: serde_json::Value) -> Vec<u8> {
    let end = value.iter().position(|b| *b == b'\n').unwrap();
    let mut head: serde_json::Value = serde_json::from_slice(&value[..end]).unwrap();
    head[member] = with;
    [head.to_string().as_bytes(), &value[end..]].concat()
}
