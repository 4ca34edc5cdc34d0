//! Scripts of inputs and expected commands, in simulated time.

mod discovery;
mod metadata;
#[allow(clippy::arithmetic_side_effects)]
mod workers;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Config;

const ISSUER: IssuerId = IssuerId(0);
const START: UnixNanos = UnixNanos::from_secs(1_800_000_000);
/// The public key of RFC 8037, appendix A.2.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn key_set(kids: &[&str]) -> Vec<u8> {
    let keys: Vec<_> = kids
        .iter()
        .map(|kid| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X}))
        .collect();
    serde_json::json!({ "keys": keys }).to_string().into_bytes()
}

fn ok(body: Vec<u8>) -> FetchOutcome {
    FetchOutcome::Response {
        status: 200,
        cache_control: Vec::new(),
        body,
    }
}

fn status(status: u16) -> FetchOutcome {
    FetchOutcome::Response {
        status,
        cache_control: Vec::new(),
        body: b"<html>".to_vec(),
    }
}

struct World {
    keys: Keys,
    now: UnixNanos,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Known,
    Wait,
    Refused(Reason),
    Unavailable(Reason),
}

impl World {
    fn new(issuer: serde_json::Value) -> Self {
        let json = serde_json::json!({
            "issuers": [issuer],
            "resources": [{"resource": "https://mcp.example.com/mcp"}],
        });
        let config = Config::parse(json.to_string().as_bytes()).unwrap();
        let keys = Keys::new(config.key_sources(), START, 7);
        Self { keys, now: START }
    }

    fn with_uri() -> Self {
        Self::new(serde_json::json!({
            "issuer": "https://auth.example.com",
            "cluster": "auth",
            "jwks_uri": "https://auth.example.com/keys",
        }))
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }

    /// Ticks as the filter does, and returns the URLs fetched.
    fn tick(&mut self) -> Vec<Fetch> {
        self.keys.handle_tick(self.now);
        self.fetches()
    }

    fn fetches(&mut self) -> Vec<Fetch> {
        let mut fetches = Vec::new();
        while let Some(command) = self.keys.next_command() {
            if let Command::Fetch(fetch) = command {
                fetches.push(fetch);
            }
        }
        fetches
    }

    fn answer(&mut self, fetch: &Fetch, outcome: FetchOutcome) {
        self.now = self.now.saturating_add(Duration::from_millis(1));
        self.keys.handle_response(fetch.id, outcome, self.now);
    }

    fn find(&mut self, kid: &str) -> Seen {
        self.find_since(kid, self.now)
    }

    /// For a request that arrived earlier, and has waited.
    fn find_since(&mut self, kid: &str, arrived: UnixNanos) -> Seen {
        match self
            .keys
            .find(ISSUER, Some(kid), Algorithm::EdDsa, arrived, self.now)
        {
            Found::Keys(keys) => {
                assert!(!keys.is_empty());
                Seen::Known
            }
            Found::Wait => Seen::Wait,
            Found::Refused(reason) => Seen::Refused(reason),
            Found::Unavailable {
                reason,
                retry_after,
            } => {
                assert!(retry_after >= Duration::from_secs(1));
                Seen::Unavailable(reason)
            }
        }
    }

    fn metadata(&mut self) -> Mirrored<'_> {
        self.keys.issuer_metadata(ISSUER, self.now)
    }

    /// Why fetches failed, and what was asked, since commands were last looked at.
    fn failures(&mut self) -> Vec<(FetchError, String)> {
        let commands = std::iter::from_fn(|| self.keys.next_command());
        commands
            .filter_map(|command| match command {
                Command::Report(
                    _,
                    Event::FetchFailed { error, url, .. }
                    | Event::MetadataFailed { error, url, .. },
                ) => Some((error, url)),
                _ => None,
            })
            .collect()
    }

    fn only_fetch(&mut self) -> Fetch {
        let fetches = self.tick();
        let [fetch] = fetches.as_slice() else {
            panic!("expected one fetch, got {fetches:?}")
        };
        fetch.clone()
    }
}

#[test]
fn the_first_request_waits_and_goes_on() {
    let mut world = World::with_uri();
    assert_eq!(world.find("a"), Seen::Wait);
    let fetch = world.only_fetch();
    assert_eq!(fetch.url.as_str(), "https://auth.example.com/keys");
    assert_eq!(world.find("a"), Seen::Wait);
    world.answer(&fetch, ok(key_set(&["a"])));
    let mut commands = std::iter::from_fn(|| world.keys.next_command());
    assert!(commands.any(|command| command == Command::Wake(ISSUER)));
    assert_eq!(world.find("a"), Seen::Known);
}

#[test]
fn inline_keys_need_no_fetch() {
    let mut world = World::new(serde_json::json!({
        "issuer": "https://auth.example.com",
        "jwks": serde_json::from_slice::<serde_json::Value>(&key_set(&["a"])).unwrap(),
    }));
    assert_eq!(world.tick(), []);
    assert_eq!(world.keys.poll_timeout(), None);
    assert_eq!(world.find("a"), Seen::Known);
    assert_eq!(world.find("b"), Seen::Refused(Reason::KeyUnknown));
}

#[test]
fn the_kill_switch_stops_fetches_too() {
    let json = serde_json::json!({
        "enabled": false,
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [{"resource": "https://mcp.example.com/mcp"}],
    });
    let config = Config::parse(json.to_string().as_bytes()).unwrap();
    let mut keys = Keys::new(config.key_sources(), START, 7);
    keys.handle_tick(START);
    assert_eq!(keys.next_command(), None);
    assert_eq!(keys.poll_timeout(), None);
}

#[test]
fn keys_are_refreshed_before_they_are_old() {
    let mut world = World::with_uri();
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();
    world.pass(539);
    assert_eq!(world.tick(), []);
    world.pass(61);
    let fetch = world.only_fetch();
    assert_eq!(world.find("a"), Seen::Known);
    world.answer(&fetch, ok(key_set(&["b"])));
    assert_eq!(world.find("b"), Seen::Known);
    // The cooldown lets one refresh for the key that left; it is not accepted meanwhile.
    assert_eq!(world.find("a"), Seen::Wait);
}

#[test]
fn an_unknown_key_causes_one_refresh_per_cooldown() {
    let mut world = World::with_uri();
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();

    let arrived = world.now;
    assert_eq!(world.find("new"), Seen::Wait);
    assert_eq!(world.find("other"), Seen::Wait);
    let fetch = world.only_fetch();
    assert_eq!(world.tick(), []);
    world.answer(&fetch, ok(key_set(&["a", "new"])));
    assert_eq!(world.find("new"), Seen::Known);
    assert_eq!(
        world.find_since("other", arrived),
        Seen::Refused(Reason::KeyUnknown)
    );
    world.pass(29);
    assert_eq!(world.find("other"), Seen::Refused(Reason::KeyUnknown));
    assert_eq!(world.tick(), []);
    world.pass(1);
    assert_eq!(world.find("other"), Seen::Wait);
    world.only_fetch();
}

#[test]
fn an_outage_is_never_a_bad_token() {
    for outcome in [
        FetchOutcome::Failed,
        FetchOutcome::TooLarge,
        status(500),
        status(503),
        ok(Vec::new()),
        ok(b"<html>".to_vec()),
        ok(br#"{"keys":[]}"#.to_vec()),
        ok(br#"{"keys":{}}"#.to_vec()),
    ] {
        let mut world = World::with_uri();
        let fetch = world.only_fetch();
        world.answer(&fetch, outcome.clone());
        // The next try is so near that it is worth waiting.
        assert_eq!(world.find("a"), Seen::Wait, "{outcome:?}");
        world.fetches();
        world.pass(2);
        let fetch = world.only_fetch();
        world.answer(&fetch, ok(key_set(&["a"])));
        assert_eq!(world.find("a"), Seen::Known);

        // Known keys go on; a key that nobody can ask about is not called bad either.
        world.pass(600);
        let fetch = world.only_fetch();
        world.answer(&fetch, outcome.clone());
        assert_eq!(world.find("a"), Seen::Known, "{outcome:?}");
    }
}

#[test]
fn a_refresh_that_fails_does_not_condemn_an_unknown_key() {
    let mut world = World::with_uri();
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();
    assert_eq!(world.find("new"), Seen::Wait);
    let fetch = world.only_fetch();
    world.answer(&fetch, FetchOutcome::Failed);
    assert_eq!(
        world.find("new"),
        Seen::Unavailable(Reason::KeysUnavailable)
    );
    assert_eq!(world.find("a"), Seen::Known);
}

#[test]
fn stale_keys_are_used_up_to_the_bound() {
    let mut world = World::with_uri();
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();
    world.pass(600 + 3599);
    for fetch in world.tick() {
        world.answer(&fetch, FetchOutcome::Failed);
    }
    world.fetches();
    assert_eq!(world.find("a"), Seen::Known);
    world.pass(1);
    // A fetch may be due by now: waiting for it is as good as a refusal, a verdict is not.
    assert!(matches!(
        world.find("a"),
        Seen::Wait | Seen::Unavailable(Reason::KeysStale)
    ));
    for fetch in world.tick() {
        world.answer(&fetch, FetchOutcome::Failed);
    }
    assert_eq!(world.find("a"), Seen::Unavailable(Reason::KeysStale));
}

#[test]
fn a_lost_callback_does_not_stop_refreshes() {
    let mut world = World::with_uri();
    let lost = world.only_fetch();
    world.pass(7);
    assert_eq!(world.tick(), []);
    assert_eq!(world.find("a"), Seen::Wait);
    world.pass(2);
    let fetch = world.only_fetch();
    world.answer(&lost, ok(key_set(&["old"])));
    assert_eq!(world.find("a"), Seen::Wait);
    world.answer(&fetch, ok(key_set(&["a"])));
    assert_eq!(world.find("a"), Seen::Known);
}

#[test]
fn a_clock_that_goes_back_neither_stops_refreshes_nor_extends_keys() {
    let mut world = World::with_uri();
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();
    world.now = world.now.saturating_sub(Duration::from_secs(86_400));
    let fetch = world.only_fetch();
    world.answer(&fetch, FetchOutcome::Failed);
    world.pass(600 + 3600 + 1);
    for fetch in world.tick() {
        world.answer(&fetch, FetchOutcome::Failed);
    }
    assert_eq!(world.find("a"), Seen::Unavailable(Reason::KeysStale));
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Back(u64),
    Tick,
    Find(usize),
    Answer(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..700).prop_map(Step::Pass),
        1 => (0_u64..10_000).prop_map(Step::Back),
        6 => Just(Step::Tick),
        6 => (0_usize..4).prop_map(Step::Find),
        6 => (0_usize..6).prop_map(Step::Answer),
    ]
}

proptest! {
    /// Whatever happens in whatever order: one fetch in flight at most, no verdict from keys
    /// beyond their bound, at most one fetch per cooldown for unknown keys.
    #[test]
    fn invariants_hold_in_every_order(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::with_uri();
        let mut in_flight: Option<Fetch> = None;
        let mut fetched_at: Option<UnixNanos> = None;
        let kids = ["a", "b", "c", "d"];
        for step in steps {
            let called = match step {
                Step::Pass(_) | Step::Back(_) => false,
                Step::Tick | Step::Find(_) => true,
                Step::Answer(_) => in_flight.is_some(),
            };
            if called {
                // The machine sees a jump of the clock when it is called next, as its model does.
                fetched_at = fetched_at.map(|at| at.min(world.now));
            }
            match step {
                Step::Pass(seconds) => world.pass(seconds),
                Step::Back(seconds) => {
                    world.now = world.now.saturating_sub(Duration::from_secs(seconds));
                }
                Step::Tick => {
                    let begun = world.tick();
                    prop_assert!(begun.len() <= 1);
                    if let Some(fetch) = begun.into_iter().next() {
                        // Only a fetch whose callback is overdue may be followed by another.
                        in_flight = Some(fetch);
                    }
                }
                Step::Find(kid) => {
                    let seen = world.find(kids[kid]);
                    let age = fetched_at.map(|at| world.now.since(at));
                    let too_old = age.is_none_or(|age| age >= Duration::from_secs(600 + 3600));
                    if matches!(seen, Seen::Known | Seen::Refused(_)) {
                        prop_assert!(!too_old, "{seen:?} from keys of age {age:?}");
                    }
                }
                Step::Answer(kind) => {
                    if let Some(fetch) = in_flight.take() {
                        let outcome = match kind {
                            0 | 1 => ok(key_set(&["a", "b"])),
                            2 => ok(key_set(&["c"])),
                            3 => status(500),
                            4 => FetchOutcome::Failed,
                            _ => ok(b"{}".to_vec()),
                        };
                        let good = kind <= 2;
                        world.answer(&fetch, outcome);
                        let refreshed = std::iter::from_fn(|| world.keys.next_command())
                            .any(|command| matches!(command, Command::Report(_, Event::Refreshed { .. })));
                        prop_assert!(!refreshed || good);
                        if refreshed {
                            fetched_at = Some(world.now);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn only_keys_that_something_is_wrong_with_are_news() {
    let key = |changes: serde_json::Value| {
        let mut key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": X});
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let mut world = World::with_uri();
    let fetches = world.tick();
    let set = serde_json::json!({"keys": [
        key(serde_json::json!({"use": "enc"})),
        key(serde_json::json!({"key_ops": ["sign"]})),
        key(serde_json::json!({"crv": "X25519"})),
        key(serde_json::json!({})),
    ]});
    world.answer(&fetches[0], ok(set.to_string().into_bytes()));
    let mut skipped = Vec::new();
    while let Some(command) = world.keys.next_command() {
        if let Command::Report(_, Event::KeySkipped(key)) = command {
            skipped.push(key.index);
        }
    }
    assert_eq!(skipped, [2]);
    assert_eq!(world.find("k"), Seen::Known);
}

#[test]
fn first_keys_are_tried_for_again_within_two_seconds() {
    let mut world = World::with_uri();
    for _ in 0..5 {
        let fetch = world.only_fetch();
        world.answer(&fetch, status(504));
        assert_eq!(world.find("a"), Seen::Wait);
        world.fetches();
        world.pass(2);
    }
    let fetch = world.only_fetch();
    world.answer(&fetch, ok(key_set(&["a"])));
    assert_eq!(world.find("a"), Seen::Known);
}

/// The backoff is up to 75 seconds long by then: a request does not wait for it.
#[test]
fn keys_that_cannot_be_used_are_asked_for_on_request() {
    for stale in [false, true] {
        let mut world = World::with_uri();
        if stale {
            let fetch = world.only_fetch();
            world.answer(&fetch, ok(key_set(&["a"])));
            world.fetches();
            world.pass(600 + 3600);
        }
        for _ in 0..12 {
            let fetch = world.only_fetch();
            world.answer(&fetch, FetchOutcome::Failed);
            world.fetches();
            world.pass(100);
        }
        let fetch = world.only_fetch();
        world.answer(&fetch, FetchOutcome::Failed);
        world.fetches();
        assert!(matches!(world.find("a"), Seen::Unavailable(_)));
        world.pass(1);
        assert!(matches!(world.find("a"), Seen::Unavailable(_)));
        assert_eq!(world.tick(), []);
        world.pass(1);
        assert_eq!(world.find("a"), Seen::Wait);
        let fetch = world.only_fetch();
        assert_eq!(world.find("a"), Seen::Wait);
        world.answer(&fetch, ok(key_set(&["a"])));
        assert_eq!(world.find("a"), Seen::Known);
    }
}
