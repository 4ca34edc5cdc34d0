//! Several workers of one Envoy that tell each other of tokens.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::shared::{Found, Place};
use super::*;
use crate::keys::shared::FOLLOW;

const TOKEN: &str = "token00";
const WORKERS: usize = 4;
const ALL: [usize; WORKERS] = [0, 1, 2, 3];

/// Workers of one process, and the shared data of their host.
struct Process {
    source: IntrospectionSource,
    workers: Vec<Introspection>,
    data: BTreeMap<String, SharedEntry>,
    /// Somebody else writes between a read and the write that follows it, so many times.
    interferes: usize,
    shares: bool,
    now: UnixNanos,
    calls: Vec<(usize, Call, UnixNanos)>,
    woken: BTreeSet<(usize, TokenDigest)>,
}

impl Process {
    fn new(source: IntrospectionSource) -> Self {
        let mut process = Self {
            source,
            workers: Vec::new(),
            data: BTreeMap::new(),
            interferes: 0,
            shares: true,
            now: START,
            calls: Vec::new(),
            woken: BTreeSet::new(),
        };
        for worker in ALL {
            let started = process.started(worker);
            process.workers.push(started);
        }
        process
    }

    fn started(&self, worker: usize) -> Introspection {
        let mut started = Introspection::new([Some(&self.source)]);
        started.share(u64::try_from(worker).unwrap());
        started
    }

    /// A worker is gone, without a word.
    fn lose(&mut self, worker: usize) {
        self.calls.retain(|(owner, ..)| *owner != worker);
        self.workers[worker] = self.started(worker + 100);
    }

    fn run(&mut self, worker: usize) {
        while let Some(command) = self.workers[worker].next_command() {
            match command {
                Command::Call(call) => self.calls.push((worker, call, self.now)),
                Command::ReadShared { entry, key } => {
                    let first = SharedEntry {
                        value: b"\n".to_vec(),
                        version: 1,
                    };
                    let found = self.data.entry(key).or_insert(first).clone();
                    let found = self.shares.then_some(found);
                    self.workers[worker].handle_shared(entry, found, self.now);
                }
                Command::WriteShared {
                    entry,
                    key,
                    value,
                    version,
                } => {
                    let stored = self.data.get_mut(&key).unwrap();
                    if self.interferes > 0 {
                        self.interferes -= 1;
                        stored.version += 1;
                    }
                    let written = stored.version == version;
                    if written {
                        stored.value = value;
                        stored.version += 1;
                    }
                    self.workers[worker].handle_shared_written(entry, written, self.now);
                }
                Command::Wake(_, question) => {
                    self.woken.insert((worker, question));
                }
                Command::Report(..) => {}
            }
        }
    }

    fn tick(&mut self, worker: usize) {
        self.workers[worker].handle_tick(self.now);
        self.run(worker);
    }

    fn tick_all(&mut self) {
        for worker in ALL {
            self.tick(worker);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    fn find(&mut self, worker: usize, token: &str) -> Seen {
        let now = self.now;
        match self.workers[worker].find(ISSUER, token.as_bytes(), now, now) {
            Told::Active(answer) => {
                assert!(answer.at <= now && now < answer.until);
                Seen::Active
            }
            Told::Inactive => Seen::Inactive,
            Told::Wait(_) => Seen::Wait,
            Told::Unavailable { .. } => Seen::Unavailable,
        }
    }

    fn find_all(&mut self, token: &str) -> Vec<Seen> {
        ALL.map(|worker| self.find(worker, token)).to_vec()
    }

    /// Answers the only call under way; the worker that had sent it.
    fn answer(&mut self, outcome: FetchOutcome) -> usize {
        let [(worker, call, _)] = self.calls.as_slice() else {
            panic!("expected one call, got {:?}", self.calls)
        };
        let (worker, id) = (*worker, call.id);
        self.calls.clear();
        self.pass(Duration::from_millis(3));
        self.workers[worker].handle_response(id, outcome, self.now);
        self.run(worker);
        worker
    }

    /// Everybody's next look.
    fn look(&mut self) {
        self.pass(FOLLOW);
        self.tick_all();
    }

    fn place(&self) -> Place {
        Place::of(
            &format!("1 {:?}", self.source),
            &TokenDigest::of(TOKEN.as_bytes()),
        )
    }

    /// Somebody writes to the token's slot.
    fn plant(&mut self, value: &[u8]) {
        let entry = SharedEntry {
            value: value.to_vec(),
            version: 1,
        };
        self.data.insert(self.place().key().to_owned(), entry);
    }

    /// A worker asks about the token although this is in its slot.
    fn asks_in_spite_of(&mut self, value: &[u8]) -> bool {
        self.plant(value);
        assert_eq!(self.find(0, TOKEN), Seen::Wait);
        self.tick(0);
        self.calls.len() == 1
    }
}

fn process() -> Process {
    Process::new(source())
}

#[test]
fn one_question_for_all_workers() {
    let mut process = process();
    for _ in 0..3 {
        assert_eq!(process.find_all(TOKEN), [Seen::Wait; WORKERS]);
        process.tick_all();
        process.look();
        let asker = process.answer(says(ACTIVE));
        process.look();
        assert_eq!(process.woken.len(), WORKERS);
        process.woken.clear();
        assert_eq!(process.find_all(TOKEN), [Seen::Active; WORKERS], "{asker}");
        assert!(process.calls.is_empty());
        // Nobody's answer holds longer than that of who asked.
        process.pass(Duration::from_secs(CACHE));
    }
}

#[test]
fn a_worker_that_comes_later_need_not_ask() {
    let mut process = process();
    process.find(0, TOKEN);
    process.tick(0);
    process.answer(says(r#"{"active":true,"exp":1800000020}"#));
    process.pass(Duration::from_secs(10));
    assert_eq!(process.find(1, TOKEN), Seen::Wait);
    process.tick(1);
    assert!(process.calls.is_empty());
    assert_eq!(process.find(1, TOKEN), Seen::Active);
    process.pass(Duration::from_secs(10));
    assert_eq!(process.find(1, TOKEN), Seen::Wait);
    assert_eq!(process.find(2, TOKEN), Seen::Wait);
    process.tick_all();
    assert_eq!(process.calls.len(), 1);
}

#[test]
fn who_follows_asks_at_once_when_no_answer_comes() {
    for outcome in [says(INACTIVE), status(500, ""), says("{}")] {
        let mut process = process();
        process.find_all(TOKEN);
        process.tick_all();
        let mut asked = BTreeSet::new();
        for _ in ALL {
            asked.insert(process.answer(outcome.clone()));
            process.look();
        }
        assert_eq!(asked.len(), WORKERS);
        assert!(process.calls.is_empty());
        assert!(!process.find_all(TOKEN).contains(&Seen::Active));
    }
}

#[test]
fn an_answer_that_is_told_from_then_on_is_not_the_old_one() {
    let mut process = process();
    process.find_all(TOKEN);
    process.tick_all();
    process.answer(says(ACTIVE));
    process.look();
    process.pass(Duration::from_secs(CACHE));
    process.find_all(TOKEN);
    process.tick_all();
    // Revoked.
    for _ in ALL {
        process.answer(says(INACTIVE));
        process.look();
    }
    assert_eq!(process.find_all(TOKEN), [Seen::Inactive; WORKERS]);
    process.pass(Duration::from_secs(6));
    assert_eq!(process.find_all(TOKEN), [Seen::Wait; WORKERS]);
    process.tick_all();
    assert_eq!(process.calls.len(), 1);
}

#[test]
fn a_worker_that_is_gone_is_not_waited_for() {
    let mut process = process();
    process.find(0, TOKEN);
    process.tick(0);
    process.find(1, TOKEN);
    process.tick(1);
    process.workers[0].handle_shutdown();
    process.run(0);
    process.lose(0);
    process.look();
    assert_eq!(process.answer(says(ACTIVE)), 1);
    assert_eq!(process.find(1, TOKEN), Seen::Active);
}

#[test]
fn a_worker_that_is_lost_is_waited_for_no_longer_than_a_question_takes() {
    let mut process = process();
    process.find(0, TOKEN);
    process.tick(0);
    process.lose(0);
    process.pass(Duration::from_secs(1));
    process.find(1, TOKEN);
    process.tick(1);
    let mut waited = Duration::ZERO;
    while process.calls.is_empty() {
        process.pass(FOLLOW);
        waited += FOLLOW;
        process.tick(1);
        assert!(waited <= Duration::from_secs(TIMEOUT + 2));
    }
}

#[test]
fn the_questions_of_a_worker_that_ends_are_still_answered_to_it() {
    let mut process = process();
    process.find(0, TOKEN);
    process.tick(0);
    process.workers[0].handle_shutdown();
    process.run(0);
    process.answer(says(ACTIVE));
    assert_eq!(process.find(0, TOKEN), Seen::Active);
    process.find(1, TOKEN);
    process.tick(1);
    assert_eq!(process.calls.len(), 1);
}

#[test]
fn who_cannot_write_asks_in_the_end() {
    let mut process = process();
    process.interferes = 20;
    process.find(0, TOKEN);
    process.tick(0);
    while process.calls.is_empty() {
        process.look();
    }
    // Nor is it told what came of it.
    process.interferes = 20;
    process.answer(says(ACTIVE));
    process.interferes = 0;
    assert_eq!(process.find(0, TOKEN), Seen::Active);
    let until = process.now.saturating_add(Duration::from_secs(TIMEOUT + 2));
    while process.calls.is_empty() {
        assert_eq!(process.find(1, TOKEN), Seen::Wait);
        process.look();
        assert!(process.now <= until);
    }
}

#[test]
fn without_shared_data_each_asks() {
    let mut process = process();
    process.shares = false;
    process.find_all(TOKEN);
    process.tick_all();
    assert_eq!(process.calls.len(), WORKERS);
}

#[test]
fn answers_that_are_not_remembered_are_not_shared() {
    let mut process = Process::new(IntrospectionSource {
        cache: Duration::ZERO,
        ..source()
    });
    process.find_all(TOKEN);
    process.tick_all();
    assert_eq!(process.calls.len(), WORKERS);
    assert!(process.data.is_empty());
}

#[test]
fn long_answers_are_not_shared() {
    let mut process = process();
    process.find_all(TOKEN);
    process.tick_all();
    let long = format!(r#"{{"active":true,"a":"{}"}}"#, "x".repeat(4096));
    process.answer(says(&long));
    process.look();
    assert_eq!(process.answer(says(&long)), 1);
}

#[test]
fn other_tokens_and_other_configurations_have_other_names() {
    let token = TokenDigest::of(TOKEN.as_bytes());
    let binding = format!("1 {:?}", source());
    let own = Place::of(&binding, &token).asked(1, START).unwrap();
    let read = |place: Place| {
        let now = START.saturating_sub(Duration::from_secs(1));
        place.read(&own, 2, Duration::from_secs(7), now) == Found::Asked
    };
    assert!(read(Place::of(&binding, &token)));
    let others = [
        IntrospectionSource {
            require_audience: false,
            ..source()
        },
        IntrospectionSource {
            cluster: "other".to_owned(),
            ..source()
        },
        IntrospectionSource {
            cache: Duration::from_secs(31),
            ..source()
        },
        discovered(),
    ];
    for other in others {
        assert!(!read(Place::of(&format!("1 {other:?}"), &token)));
    }
    assert!(!read(Place::of(&binding, &TokenDigest::of(b"token01"))));
}

#[test]
fn a_slot_is_left_to_its_token_while_that_holds() {
    let mut process = process();
    let other = Place::of("", &TokenDigest::of(b"another"));
    let until = START.saturating_add(Duration::from_secs(20));
    let value = other.active(ACTIVE.as_bytes(), START, until).unwrap();
    assert!(process.asks_in_spite_of(&value));
    process.answer(says(ACTIVE));
    let key = process.place().key().to_owned();
    assert_eq!(process.data[&key].value, value);
    process.pass(Duration::from_secs(CACHE));
    process.find(0, TOKEN);
    process.tick(0);
    process.answer(says(ACTIVE));
    assert_ne!(process.data[&key].value, value);
}

#[test]
fn nothing_that_is_planted_is_believed_but_an_answer_that_could_be_the_issuers() {
    let place = process().place();
    let soon = START.saturating_add(Duration::from_secs(20));
    let late = START.saturating_add(Duration::from_secs(7200));
    let other = Place::of("", &TokenDigest::of(b"another"));
    let active = ACTIVE.as_bytes();
    let values = [
        Vec::new(),
        b"\n\n\n".to_vec(),
        b"{}\n{\"active\":true}".to_vec(),
        active.to_vec(),
        place
            .active(b"{\"active\":true,\"active\":true}", START, soon)
            .unwrap(),
        place.active(b"{\"active\":\"true\"}", START, soon).unwrap(),
        place.active(INACTIVE.as_bytes(), START, soon).unwrap(),
        place
            .active(b"{\"active\":true,\"exp\":1}", START, soon)
            .unwrap(),
        place.active(b"", START, soon).unwrap(),
        // Too old, whatever it says of itself; from the future; for too long.
        place
            .active(
                active,
                START.saturating_sub(Duration::from_secs(CACHE)),
                soon,
            )
            .unwrap(),
        place
            .active(active, START.saturating_add(Duration::from_secs(2)), soon)
            .unwrap(),
        place.active(active, START, late).unwrap(),
        place.active(active, START, START).unwrap(),
        place.asked(7, soon).unwrap(),
        place.asked(0, soon).unwrap(),
        other.active(active, START, soon).unwrap(),
        other.active(active, START, late).unwrap(),
        [place.active(active, START, soon).unwrap(), vec![b' '; 4096]].concat(),
    ];
    for value in values {
        assert!(
            process().asks_in_spite_of(&value),
            "{}",
            value.escape_ascii()
        );
    }
    let mut process = process();
    let good = place.active(active, START, soon).unwrap();
    assert!(!process.asks_in_spite_of(&good));
    assert_eq!(process.find(0, TOKEN), Seen::Active);
}

#[derive(Clone, Debug)]
enum Step {
    Find(usize, u8),
    Pass(u64),
    /// The how-manieth call under way ends, and how.
    Answer(usize, u8),
    Lose(usize),
    ShutDown(usize),
    Interfere(usize),
    /// Somebody else writes into the how-manieth entry.
    Plant(usize, Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        10 => (0..WORKERS, 0_u8..6).prop_map(|(worker, name)| Step::Find(worker, name)),
        3 => (0_u64..20).prop_map(Step::Pass),
        2 => (0_u64..20_000).prop_map(Step::Pass),
        6 => (any::<usize>(), 0_u8..6).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => (0..WORKERS).prop_map(Step::Lose),
        1 => (0..WORKERS).prop_map(Step::ShutDown),
        1 => (0_usize..12).prop_map(Step::Interfere),
        1 => (any::<usize>(), bytes).prop_map(|(which, bytes)| Step::Plant(which, bytes)),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens: a token is taken to be active only if the issuer said so within the time
    /// that is configured; and unless a worker is lost or somebody else writes, no two workers ask
    /// about a token at a time. In the end nobody is left.
    #[test]
    fn no_order_of_events_makes_workers_tell_what_is_not_so(steps in steps()) {
        let mut process = process();
        let mut said_active: BTreeMap<u8, UnixNanos> = BTreeMap::new();
        let mut undisturbed = true;
        for step in steps {
            match step {
                Step::Find(worker, name) => {
                    if process.find(worker, &format!("token{name:02}")) == Seen::Active {
                        let at = said_active.get(&name);
                        prop_assert!(at.is_some_and(|at| process.now.since(*at) < Duration::from_secs(CACHE)));
                    }
                }
                Step::Pass(millis) => process.pass(Duration::from_millis(millis)),
                Step::Answer(which, how) => {
                    if process.calls.is_empty() {
                        continue;
                    }
                    let (worker, call, _) = process.calls.remove(which % process.calls.len());
                    let form = call.form.unwrap();
                    let name = String::from_utf8(form[11..13].to_vec()).unwrap();
                    let outcome = match how {
                        0..=2 => says(ACTIVE),
                        3 => says(INACTIVE),
                        4 => FetchOutcome::Failed,
                        _ => status(503, ""),
                    };
                    process.workers[worker].handle_response(call.id, outcome, process.now);
                    if how < 3 {
                        said_active.insert(name.parse().unwrap(), process.now);
                    }
                    process.run(worker);
                }
                Step::Lose(worker) => {
                    undisturbed = false;
                    process.lose(worker);
                }
                Step::ShutDown(worker) => {
                    undisturbed = false;
                    process.workers[worker].handle_shutdown();
                    process.run(worker);
                }
                Step::Interfere(times) => {
                    undisturbed = false;
                    process.interferes = times;
                }
                Step::Plant(which, bytes) => {
                    undisturbed = false;
                    let most = process.data.len().max(1);
                    if let Some(entry) = process.data.values_mut().nth(which % most) {
                        entry.value = bytes;
                        entry.version += 1;
                    }
                }
            }
            let now = process.now;
            process.calls.retain(|(.., begun)| now.since(*begun) < Duration::from_secs(TIMEOUT + 2));
            process.tick_all();
            if undisturbed {
                let forms: BTreeSet<_> = process.calls.iter().map(|(_, call, _)| &call.form).collect();
                prop_assert_eq!(forms.len(), process.calls.len());
            }
        }
        process.interferes = 0;
        for _ in 0..40 {
            process.pass(Duration::from_secs(1));
            process.tick_all();
        }
        for worker in &process.workers {
            prop_assert_eq!(worker.poll_timeout(), None);
        }
    }
}
