//! Scripts of inputs and expected commands, in simulated time.

#![allow(clippy::arithmetic_side_effects)]

mod endpoint;
mod properties;
mod workers;

use super::asker::{NEW_PER_SECOND, OPEN, UNDER_WAY, UNDER_WAY_NEW};
use super::*;

const ISSUER: IssuerId = IssuerId(0);
const START: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ENDPOINT: &str = "https://auth.example.com/introspect";
const TIMEOUT: u64 = 5;
const CACHE: u64 = 30;

fn url(text: &str) -> HttpUrl {
    HttpUrl::parse_location(text).unwrap()
}

fn source() -> IntrospectionSource {
    IntrospectionSource {
        issuer: url("https://auth.example.com"),
        cluster: "introspection".to_owned(),
        endpoint: EndpointSource::Configured(url(ENDPOINT)),
        tokens: Tokens::Opaque,
        cache: Duration::from_secs(CACHE),
        require_audience: true,
        timeout: Duration::from_secs(TIMEOUT),
    }
}

fn discovered() -> IntrospectionSource {
    let cluster = "auth".to_owned();
    IntrospectionSource {
        endpoint: EndpointSource::Discovered { cluster },
        ..source()
    }
}

fn says(body: &str) -> FetchOutcome {
    status(200, body)
}

fn status(status: u16, body: &str) -> FetchOutcome {
    FetchOutcome::Response {
        status,
        cache_control: Vec::new(),
        body: body.into(),
    }
}

const ACTIVE: &str = r#"{"active":true,"sub":"alice"}"#;
const INACTIVE: &str = r#"{"active":false}"#;

struct World {
    machine: Introspection,
    now: UnixNanos,
    woken: Vec<TokenDigest>,
    events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Active,
    Inactive,
    Wait,
    Unavailable,
}

impl World {
    fn new(source: &IntrospectionSource) -> Self {
        Self {
            machine: Introspection::new([Some(source)]),
            now: START,
            woken: Vec::new(),
            events: Vec::new(),
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(millis));
    }

    fn calls(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(command) = self.machine.next_command() {
            match command {
                Command::Call(call) => calls.push(call),
                Command::ReadShared { .. } | Command::WriteShared { .. } => {
                    panic!("it does not share")
                }
                Command::Wake(issuer, question) => {
                    assert_eq!(issuer, ISSUER);
                    self.woken.push(question);
                }
                Command::Report(ISSUER, event) => self.events.push(event),
                Command::Report(issuer, _) => panic!("{issuer:?} is nobody"),
            }
        }
        calls
    }

    fn tick(&mut self) -> Vec<Call> {
        self.machine.handle_tick(self.now);
        self.calls()
    }

    fn only_call(&mut self) -> Call {
        let calls = self.tick();
        let [call] = calls.as_slice() else {
            panic!("expected one call, got {calls:?}")
        };
        call.clone()
    }

    /// Returns the calls that follow.
    fn answer(&mut self, call: &Call, outcome: FetchOutcome) -> Vec<Call> {
        self.pass(1);
        self.machine.handle_response(call.id, outcome, self.now);
        self.calls()
    }

    fn find(&mut self, token: &str) -> Seen {
        self.find_since(token, self.now)
    }

    /// For a request that arrived earlier, and has waited.
    fn find_since(&mut self, token: &str, arrived: UnixNanos) -> Seen {
        match self
            .machine
            .find(ISSUER, token.as_bytes(), arrived, self.now)
        {
            Told::Active(answer) => {
                assert!(answer.at <= self.now);
                Seen::Active
            }
            Told::Inactive => Seen::Inactive,
            Told::Wait(question) => {
                assert_eq!(question, TokenDigest::of(token.as_bytes()));
                Seen::Wait
            }
            Told::Unavailable { retry_after } => {
                assert!(retry_after >= Duration::from_secs(1));
                Seen::Unavailable
            }
        }
    }

    fn ask(&mut self, token: &str, outcome: FetchOutcome) -> Seen {
        let arrived = self.now;
        let first = self.find(token);
        if first != Seen::Wait {
            return first;
        }
        let mut calls = self.tick();
        // A reset is tried twice.
        while let Some(call) = calls.pop() {
            calls = self.answer(&call, outcome.clone());
        }
        assert_eq!(self.woken.pop(), Some(TokenDigest::of(token.as_bytes())));
        self.find_since(token, arrived)
    }
}

fn tokens(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}{number}"))
        .collect()
}

#[test]
fn one_question_for_all_who_send_a_token() {
    let mut world = World::new(&source());
    assert_eq!(world.machine.poll_timeout(), None);
    let arrived = world.now;
    assert_eq!(world.find("a+b"), Seen::Wait);
    assert_eq!(world.find("a+b"), Seen::Wait);
    assert_eq!(world.machine.poll_timeout(), Some(UnixNanos::ZERO));
    let call = world.only_call();
    assert_eq!(call.cluster, "introspection");
    assert_eq!(call.url.as_str(), ENDPOINT);
    let form = String::from_utf8(call.form.clone().unwrap()).unwrap();
    assert_eq!(form, "token=a%2Bb&token_type_hint=access_token");
    assert_eq!(call.timeout, Duration::from_secs(TIMEOUT));
    assert_eq!(world.find("a+b"), Seen::Wait);
    assert_eq!(world.tick(), []);
    assert_eq!(world.answer(&call, says(ACTIVE)), []);
    assert_eq!(world.woken, [TokenDigest::of(b"a+b")]);
    assert_eq!(world.events, [Event::Answered { active: true }]);
    assert_eq!(world.find_since("a+b", arrived), Seen::Active);
    world.pass(CACHE * 1000 - 1);
    assert_eq!(world.find("a+b"), Seen::Active);
    assert_eq!(world.answer(&call, says(INACTIVE)), [], "it ends once");
    assert_eq!(world.find("a+b"), Seen::Wait);
    assert_eq!(world.find_since("a+b", arrived), Seen::Active, "it waited");
}

#[test]
fn an_answer_holds_no_longer_than_its_token() {
    let mut world = World::new(&source());
    let seconds = START.as_secs() + 3;
    for (token, exp) in [
        ("whole", seconds.to_string()),
        ("fraction", format!("{seconds}.75")),
    ] {
        let body = format!(r#"{{"active":true,"exp":{exp}}}"#);
        assert_eq!(world.ask(token, says(&body)), Seen::Active);
        assert_eq!(world.find(token), Seen::Active);
    }
    for (token, exp) in [("huge", "1e300"), ("text", "\"1\""), ("null", "null")] {
        let body = format!(r#"{{"active":true,"exp":{exp}}}"#);
        assert_eq!(world.ask(token, says(&body)), Seen::Active);
    }
    world.pass(3000);
    for token in ["whole", "fraction"] {
        assert_eq!(world.find(token), Seen::Wait);
    }
    for token in ["huge", "text", "null"] {
        assert_eq!(world.find(token), Seen::Active, "judged by its claims");
    }
}

#[test]
fn what_is_inactive_is_asked_about_again_soon() {
    let mut world = World::new(&source());
    assert_eq!(world.ask("a", says(INACTIVE)), Seen::Inactive);
    world.pass(4000);
    assert_eq!(world.find("a"), Seen::Inactive);
    world.pass(1001);
    assert_eq!(world.ask("a", says(ACTIVE)), Seen::Active);
    world.pass(CACHE * 1000);
    assert_eq!(world.ask("a", says(INACTIVE)), Seen::Inactive);
}

#[test]
fn nothing_is_remembered_where_that_is_switched_off() {
    let mut world = World::new(&IntrospectionSource {
        cache: Duration::ZERO,
        ..source()
    });
    for outcome in [ACTIVE, INACTIVE] {
        let arrived = world.now;
        assert_eq!(world.find("a"), Seen::Wait);
        let call = world.only_call();
        world.answer(&call, says(outcome));
        assert_ne!(world.find_since("a", arrived), Seen::Wait, "it waited");
        world.pass(1);
        assert_eq!(world.find("a"), Seen::Wait, "it has just come");
        let call = world.only_call();
        world.answer(&call, says(outcome));
        world.pass(1);
    }
}

#[test]
fn trouble_says_nothing_of_a_token_and_is_charged_to_it_alone() {
    for (outcome, error, calls) in [
        (status(400, ""), AskError::Status(400), 1),
        (status(401, ""), AskError::Status(401), 1),
        (status(403, "<html>"), AskError::Status(403), 1),
        (status(404, ""), AskError::Status(404), 1),
        (status(429, ""), AskError::Status(429), 1),
        (status(500, ""), AskError::Status(500), 1),
        (status(503, ""), AskError::Status(503), 2),
        (status(504, ""), AskError::Status(504), 1),
        (status(307, ACTIVE), AskError::Status(307), 1),
        (status(201, ACTIVE), AskError::Status(201), 1),
        (FetchOutcome::Failed, AskError::Failed, 2),
        (
            FetchOutcome::TooLarge,
            AskError::Answer(AnswerFlaw::TooLarge),
            1,
        ),
        (says("<html>"), AskError::Answer(AnswerFlaw::NotAnObject), 1),
        (
            says(r#"{"active":"true"}"#),
            AskError::Answer(AnswerFlaw::NoActive),
            1,
        ),
    ] {
        let mut world = World::new(&source());
        assert_eq!(world.ask("good", says(ACTIVE)), Seen::Active);
        world.pass(1000 * CACHE);
        world.events.clear();
        assert_eq!(world.ask("bad", outcome.clone()), Seen::Unavailable);
        let url = format!("\"{ENDPOINT}\"");
        assert_eq!(world.events, [Event::Failed { error, url }]);
        assert_eq!(world.find("bad"), Seen::Unavailable, "not asked at once");
        assert_eq!(world.tick(), []);
        assert_eq!(world.ask("good", says(ACTIVE)), Seen::Active);
        world.pass(1001);
        assert_eq!(world.find("bad"), Seen::Wait);
        let mut asked = 0;
        let mut next = world.tick();
        while let Some(call) = next.pop() {
            asked += 1;
            next = world.answer(&call, outcome.clone());
        }
        assert_eq!(asked, calls, "{error}");
    }
}

#[test]
fn an_outage_makes_no_answer_hold_longer() {
    let mut world = World::new(&source());
    assert_eq!(world.ask("a", says(ACTIVE)), Seen::Active);
    world.pass(CACHE * 1000);
    assert_eq!(world.ask("a", FetchOutcome::Failed), Seen::Unavailable);
    world.pass(2000);
    assert_eq!(world.ask("a", says(ACTIVE)), Seen::Active);
}

#[test]
fn a_reset_is_tried_once_more_in_the_time_that_is_left() {
    let mut world = World::new(&source());
    let arrived = world.now;
    assert_eq!(world.find("a"), Seen::Wait);
    let call = world.only_call();
    world.pass(1999);
    let again = world.answer(&call, FetchOutcome::Failed).remove(0);
    assert_eq!(again.timeout, Duration::from_secs(3));
    assert_eq!(again.form, call.form);
    assert_eq!(world.answer(&call, says(ACTIVE)), [], "the first is over");
    assert_eq!(world.find("a"), Seen::Wait);
    world.answer(&again, says(ACTIVE));
    assert_eq!(world.find_since("a", arrived), Seen::Active);
}

#[test]
fn a_lost_callback_ends_a_question() {
    let mut world = World::new(&source());
    let arrived = world.now;
    assert_eq!(world.find("a"), Seen::Wait);
    let call = world.only_call();
    let lost_at = world.now.saturating_add(Duration::from_secs(TIMEOUT + 2));
    assert_eq!(world.machine.poll_timeout(), Some(lost_at));
    world.now = lost_at;
    world.tick();
    assert_eq!(world.woken, [TokenDigest::of(b"a")]);
    assert_eq!(world.find_since("a", arrived), Seen::Unavailable);
    assert_eq!(world.answer(&call, says(ACTIVE)), []);
    assert_eq!(world.find_since("a", arrived), Seen::Unavailable);
}

#[test]
fn so_many_questions_are_under_way_and_so_many_wait() {
    let mut world = World::new(&source());
    let known = tokens("known", UNDER_WAY);
    for token in &known {
        assert_eq!(world.ask(token, says(ACTIVE)), Seen::Active);
    }
    world.pass(CACHE * 1000);
    world.tick();
    for token in tokens("new", OPEN) {
        assert_eq!(world.find(&token), Seen::Wait);
    }
    assert_eq!(world.find("one more"), Seen::Unavailable);
    let calls = world.tick();
    assert_eq!(calls.len(), UNDER_WAY_NEW);
    assert_eq!(world.tick(), []);
    for token in &known {
        assert_eq!(world.find(token), Seen::Wait);
    }
    assert_eq!(world.tick().len(), UNDER_WAY - UNDER_WAY_NEW);
    // Whichever ends, those that were active before go first.
    let next = world.answer(&calls[0], says(INACTIVE));
    let form = String::from_utf8(next[0].form.clone().unwrap()).unwrap();
    assert!(form.starts_with("token=known"), "{form}");
    let told = world.events.iter().find_map(|event| match event {
        Event::TurnedAway { questions } => Some(*questions),
        _ => None,
    });
    assert_eq!(told, Some(1));
}

#[test]
fn so_many_new_tokens_in_a_second() {
    let mut world = World::new(&source());
    world.tick();
    let most = usize::try_from(NEW_PER_SECOND).unwrap();
    for token in tokens("a", most) {
        assert_eq!(world.ask(&token, says(INACTIVE)), Seen::Inactive);
    }
    assert!(world.now.since(START) < Duration::from_secs(1));
    assert_eq!(world.find("b"), Seen::Unavailable);
    assert_eq!(world.find("a0"), Seen::Inactive);
    world.pass(1000);
    world.tick();
    assert_eq!(world.find("b"), Seen::Wait);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_asked() {
    let mut world = World::new(&source());
    for token in tokens("a", UNDER_WAY_NEW + 3) {
        world.find(&token);
    }
    let calls = world.tick();
    world.pass(TIMEOUT * 1000);
    assert_eq!(world.tick(), []);
    for call in calls {
        assert_eq!(world.answer(&call, status(504, "")), []);
    }
    assert_eq!(world.machine.poll_timeout(), None);
}

#[test]
fn who_is_not_asked_knows_nothing() {
    let mut machine = Introspection::new([None, Some(&source())]);
    for issuer in [IssuerId(0), IssuerId(7)] {
        let told = machine.find(issuer, b"token", START, START);
        assert!(matches!(told, Told::Unavailable { .. }));
    }
    assert!(matches!(
        machine.find(IssuerId(1), b"token", START, START),
        Told::Wait(_)
    ));
}
