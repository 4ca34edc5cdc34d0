use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gate::{self, Decision};
use crate::head::Head;
use crate::jose::signature::{Algorithm, Portable, PublicKey};
use crate::keys::{Command, FetchOutcome};
use crate::reason::Reason;
use crate::resource::Route;
use crate::resource::host::Authority;
use crate::testing;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
/// Stands for a request that waits.
const WAITS: Reason = Reason::Internal;
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// Counts how often a signature is computed.
#[derive(Clone, Default)]
struct Counted(Rc<Cell<u32>>);

impl SignatureVerifier for Counted {
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        self.0.set(self.0.get().saturating_add(1));
        Portable.verify(alg, key, message, signature)
    }
}

fn token(claims: &Value) -> String {
    testing::token("ES256", &json!({"kid": "es256"}), claims)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": 1_800_000_600, "iat": 1_799_999_900,
        "sub": "alice", "scope": "mcp:read",
    })
}

fn forged(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let swapped = if signature.starts_with('A') { 'B' } else { 'A' };
    let rest: String = signature.chars().skip(1).collect();
    format!("{input}.{swapped}{rest}")
}

struct Worker {
    config: Config,
    trust: Trust,
    signatures: Counted,
    now: UnixNanos,
}

impl Worker {
    fn new(issuer: Value, resource: Value, limits: Value) -> Self {
        let config = json!({"issuers": [issuer], "resources": [resource], "limits": limits});
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let signatures = Counted::default();
        let keys = Keys::new(config.key_sources(), NOW, 7);
        Self {
            trust: Trust::new(&config, keys, Box::new(signatures.clone()), [1, 2]),
            config,
            signatures,
            now: NOW,
        }
    }

    fn inline() -> Self {
        Self::new(
            json!({"issuer": ISSUER, "jwks": testing::key_set()}),
            json!({"resource": RESOURCE}),
            json!({}),
        )
    }

    fn remote() -> Self {
        let mut worker = Self::new(
            json!({
                "issuer": ISSUER, "cluster": "auth", "jwks_uri": format!("{ISSUER}/jwks"),
                "keys": {"refresh_seconds": 100, "max_stale_seconds": 50,
                         "unknown_key_cooldown_seconds": 10},
            }),
            json!({"resource": RESOURCE}),
            json!({}),
        );
        worker.fetch(&testing::key_set());
        worker
    }

    /// Time passes until a fetch is wanted, and it brings this set.
    fn fetch(&mut self, set: &Value) {
        self.trust.keys.handle_tick(self.now);
        let mut fetched = false;
        while let Some(command) = self.trust.keys.next_command() {
            if let Command::Fetch(fetch) = command {
                let outcome = FetchOutcome::Response {
                    status: 200,
                    cache_control: Vec::new(),
                    body: set.to_string().into_bytes(),
                };
                self.trust.keys.handle_response(fetch.id, outcome, self.now);
                fetched = true;
            }
        }
        assert!(fetched, "no fetch was wanted");
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }

    fn at(&mut self, path: &str, token: &str) -> Decision {
        let headers = [(":method", "POST"), ("authorization", token)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let route = gate::route(&self.config, Some(path.as_bytes()), Authority::NotRead);
        assert!(matches!(route, Route::Protected(..)));
        gate::decide(
            &self.config,
            &route,
            &Head::new(headers.to_vec()),
            &mut self.trust,
            self.now,
            self.now,
        )
    }

    /// Why a request with this token is refused, and how many signatures that took.
    fn send(&mut self, token: &str) -> (Option<Reason>, u32) {
        let before = self.signatures.0.get();
        let reason = match self.at("/mcp", &format!("Bearer {token}")) {
            Decision::Allow(_) => None,
            Decision::Refuse(refusal, _) => Some(refusal.reason),
            Decision::Wait(_) => {
                return (Some(WAITS), self.signatures.0.get().saturating_sub(before));
            }
            other => panic!("{other:?}"),
        };
        (reason, self.signatures.0.get().saturating_sub(before))
    }
}

#[test]
fn a_token_is_verified_once() {
    let mut worker = Worker::inline();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    for _ in 0..10 {
        assert_eq!(worker.send(&token), (None, 0));
    }
    assert_eq!(worker.trust.memory.remembered().0, 1);
}

#[test]
fn one_byte_makes_another_token() {
    let mut worker = Worker::inline();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    assert_eq!(
        worker.send(&forged(&token)),
        (Some(Reason::SignatureInvalid), 1)
    );
    assert_eq!(
        worker.send(token.strip_suffix(|_: char| true).unwrap()),
        (Some(Reason::TokenMalformed), 0)
    );
    assert_eq!(worker.send(&token), (None, 0));
}

#[test]
fn nothing_outlives_the_token() {
    let mut worker = Worker::inline();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    worker.later(659);
    assert_eq!(worker.send(&token), (None, 0));
    worker.later(1);
    assert_eq!(worker.send(&token), (Some(Reason::Expired), 0));
    worker.now = UnixNanos::from_secs(1_799_999_839);
    assert_eq!(worker.send(&token), (Some(Reason::IssuedInFuture), 0));
}

#[test]
fn nothing_outlives_the_key() {
    let mut worker = Worker::remote();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    worker.later(100);
    worker.fetch(&testing::key_set());
    assert_eq!(worker.send(&token), (None, 0), "the key is still there");

    let mut without = testing::key_set();
    without["keys"]
        .as_array_mut()
        .unwrap()
        .retain(|key| key["kid"] != "es256");
    worker.later(100);
    worker.fetch(&without);
    assert_eq!(worker.send(&token), (Some(Reason::KeyUnknown), 0));

    worker.later(100);
    worker.fetch(&testing::key_set());
    assert_eq!(worker.send(&token), (None, 1), "it was forgotten");
}

/// The set with another key named `es256`.
fn replaced(with: &Value) -> Value {
    let mut set = testing::key_set();
    for key in set["keys"].as_array_mut().unwrap() {
        if key["kid"] == "es256" {
            *key = with.clone();
            key["kid"] = json!("es256");
        }
    }
    set
}

fn other_key() -> Value {
    testing::public_jwk(testing::Signer::Stranger, "ES256")
}

#[test]
fn another_key_of_the_same_name_is_another_key() {
    let mut worker = Worker::remote();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    worker.later(100);
    worker.fetch(&replaced(&other_key()));
    assert_eq!(worker.send(&token), (Some(Reason::SignatureInvalid), 1));
}

/// Issuers do that: good tokens are never called bad for it.
#[test]
fn a_key_replaced_under_its_name_is_fetched_once_and_used() {
    // By one of the same algorithm, and by one for another.
    for old in [
        other_key(),
        testing::public_jwk(testing::Signer::Issuer, "EdDSA"),
    ] {
        let mut worker = Worker::remote();
        worker.later(100);
        worker.fetch(&replaced(&old));
        worker.later(1);
        let token = token(&claims());
        assert_eq!(worker.send(&token).0, Some(WAITS));
        worker.fetch(&testing::key_set());
        assert_eq!(worker.send(&token), (None, 1));
        assert_eq!(worker.send(&token), (None, 0));
    }
}

/// Within the cooldown nobody can tell, unless the issuer was asked since the token was seen.
#[test]
fn a_forged_token_is_bad_once_its_issuer_was_asked_and_pending_before() {
    let mut worker = Worker::remote();
    let first = forged(&token(&claims()));
    let mut other = claims();
    other["jti"] = json!("other");
    let second = forged(&token(&other));
    worker.later(1);
    assert_eq!(worker.send(&first), (Some(WAITS), 1));
    worker.fetch(&testing::key_set());
    assert_eq!(worker.send(&first), (Some(Reason::SignatureInvalid), 0));
    worker.later(1);
    assert_eq!(worker.send(&first), (Some(Reason::SignatureInvalid), 0));
    assert_eq!(worker.send(&second), (Some(Reason::KeyPending), 1));
    assert_eq!(worker.send(&second), (Some(Reason::KeyPending), 0));
    worker.later(9);
    assert_eq!(worker.send(&second), (Some(WAITS), 0));
    worker.fetch(&replaced(&other_key()));
    // Other keys: it is tried again, and was seen before they were asked for.
    assert_eq!(worker.send(&second), (Some(Reason::SignatureInvalid), 1));
}

#[test]
fn more_keys_than_are_tried_are_no_bad_token() {
    let mut worker = Worker::remote();
    let mut keys = vec![other_key(); 4];
    keys.push(testing::public_jwk(testing::Signer::Issuer, "ES256"));
    worker.later(100);
    worker.fetch(&json!({ "keys": keys }));
    for token in [
        token(&claims()),
        testing::token("ES256", &json!({}), &claims()),
    ] {
        assert_eq!(worker.send(&token), (Some(Reason::TooManyKeys), 4));
        assert_eq!(worker.send(&token), (Some(Reason::TooManyKeys), 0));
    }
    worker.later(100);
    worker.fetch(&json!({ "keys": keys.split_off(1) }));
    assert_eq!(worker.send(&token(&claims())), (None, 4));
}

#[test]
fn nothing_outlives_the_bound_on_stale_keys() {
    let mut worker = Worker::remote();
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    worker.later(149);
    assert_eq!(worker.send(&token), (None, 0));
    let forged = forged(&token);
    assert_eq!(worker.send(&forged), (Some(WAITS), 1));
    assert_eq!(worker.send(&forged), (Some(WAITS), 0));
    worker.later(1);
    for token in [token, forged] {
        let decision = worker.at("/mcp", &format!("Bearer {token}"));
        assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    }
}

#[test]
fn a_forged_token_costs_one_signature() {
    for header in [json!({"kid": "es256"}), json!({})] {
        let mut worker = Worker::remote();
        let forged = forged(&testing::token("ES256", &header, &claims()));
        worker.later(10);
        assert_eq!(worker.send(&forged), (Some(WAITS), 1));
        worker.fetch(&testing::key_set());
        for _ in 0..10 {
            assert_eq!(worker.send(&forged), (Some(Reason::SignatureInvalid), 0));
        }
        worker.later(50);
        assert_eq!(worker.send(&forged), (Some(Reason::SignatureInvalid), 0));
        worker.later(10);
        assert_eq!(worker.send(&forged), (Some(WAITS), 1), "briefly");
        worker.fetch(&rotated(&["rs256"]));
        assert_eq!(
            worker.send(&forged),
            (Some(Reason::SignatureInvalid), 1),
            "other keys"
        );
        worker.later(1000);
        worker.fetch(&testing::key_set());
        assert_eq!(worker.send(&forged), (Some(Reason::Expired), 0));
    }
}

#[test]
fn a_missing_scope_costs_one_signature() {
    let mut worker = Worker::new(
        json!({"issuer": ISSUER, "jwks": testing::key_set()}),
        json!({"resource": RESOURCE, "scopes": ["mcp:admin"]}),
        json!({}),
    );
    let token = token(&claims());
    assert_eq!(worker.send(&token), (Some(Reason::ScopeInsufficient), 1));
    assert_eq!(worker.send(&token), (Some(Reason::ScopeInsufficient), 0));
}

#[test]
fn a_verdict_is_for_one_tenant() {
    let mut worker = Worker::new(
        json!({"issuer": ISSUER, "jwks": testing::key_set()}),
        json!({"resource": "https://mcp.example.com/{tenant}/mcp"}),
        json!({}),
    );
    let mut claims = claims();
    claims["aud"] = json!("https://mcp.example.com/a/mcp");
    let credentials = format!("Bearer {}", token(&claims));
    for _ in 0..2 {
        assert!(matches!(
            worker.at("/a/mcp", &credentials),
            Decision::Allow(_)
        ));
        let Decision::Refuse(refusal, _) = worker.at("/b/mcp", &credentials) else {
            panic!("it is for another tenant")
        };
        assert_eq!(refusal.reason, Reason::AudienceNotAllowed);
    }
}

#[test]
fn memory_can_be_turned_off() {
    let mut worker = Worker::new(
        json!({"issuer": ISSUER, "jwks": testing::key_set()}),
        json!({"resource": RESOURCE}),
        json!({"cached_tokens": 0}),
    );
    let token = token(&claims());
    assert_eq!(worker.send(&token), (None, 1));
    assert_eq!(worker.send(&token), (None, 1));
    assert_eq!(worker.trust.memory.remembered(), (0, 0));
}

fn rotated(without: &[&str]) -> Value {
    let mut set = testing::key_set();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.retain(|key| !without.iter().any(|kid| key["kid"] == *kid));
    set
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens in whatever order, a worker that remembers decides as one that does not.
    #[test]
    fn memory_changes_no_decision(
        steps in prop::collection::vec((0_u8..8, 0_usize..4, 0_u64..120), 1..60),
        entries in prop::sample::select(vec![1_usize, 3, 100]),
    ) {
        let issuer = json!({
            "issuer": ISSUER, "cluster": "auth", "jwks_uri": format!("{ISSUER}/jwks"),
            "keys": {"refresh_seconds": 100, "max_stale_seconds": 50,
                     "unknown_key_cooldown_seconds": 10},
        });
        let worker = |entries: usize| Worker::new(
            issuer.clone(), json!({"resource": RESOURCE}), json!({"cached_tokens": entries}),
        );
        let (mut with, mut without) = (worker(entries), worker(0));
        let good = token(&claims());
        let mut short = claims();
        short["exp"] = json!(1_800_000_040);
        let tokens = [
            good.clone(),
            token(&short),
            testing::token("ES256", &json!({}), &claims()),
            testing::token("EdDSA", &json!({"kid": "eddsa"}), &claims()),
        ];
        for (step, which, seconds) in steps {
            match step {
                0 => {
                    let set = match which {
                        0 | 1 => rotated(&[]),
                        2 => rotated(&["es256"]),
                        _ => rotated(&["eddsa"]),
                    };
                    for worker in [&mut with, &mut without] {
                        worker.trust.keys.handle_tick(worker.now);
                        let mut fetches = Vec::new();
                        while let Some(command) = worker.trust.keys.next_command() {
                            if let Command::Fetch(fetch) = command {
                                fetches.push(fetch.id);
                            }
                        }
                        for id in fetches {
                            let outcome = FetchOutcome::Response {
                                status: 200,
                                cache_control: Vec::new(),
                                body: set.to_string().into_bytes(),
                            };
                            worker.trust.keys.handle_response(id, outcome, worker.now);
                        }
                    }
                }
                1 => {
                    with.later(seconds);
                    without.later(seconds);
                }
                _ => {
                    let credentials = format!("Bearer {}", tokens[which]);
                    prop_assert_eq!(
                        format!("{:?}", with.at("/mcp", &credentials)),
                        format!("{:?}", without.at("/mcp", &credentials))
                    );
                }
            }
        }
    }

    /// Whatever forged tokens come, and however the key of the same name is replaced: a good token of
    /// a key that the worker has is allowed at once; a token is called forged only where the issuer was
    /// asked after it was first seen; and all of them cost one fetch per cooldown.
    #[test]
    fn forged_tokens_cost_good_ones_nothing(
        steps in prop::collection::vec((0_u8..8, 0_usize..4, 0_u64..8), 1..80),
    ) {
        let mut worker = Worker::remote();
        let mut has_ours = true;
        let mut publishes_ours = true;
        let mut asked = worker.now;
        let mut causes: Vec<UnixNanos> = Vec::new();
        let mut first_seen: std::collections::BTreeMap<String, UnixNanos> = Default::default();
        for (step, which, seconds) in steps {
            match step {
                0 => publishes_ours = which > 1,
                1 | 2 => worker.later(seconds),
                3 => {
                    let scheduled = worker.now.since(asked) >= Duration::from_secs(90);
                    worker.trust.keys.handle_tick(worker.now);
                    while let Some(command) = worker.trust.keys.next_command() {
                        let Command::Fetch(fetch) = command else { continue };
                        if !scheduled {
                            causes.push(worker.now);
                        }
                        asked = worker.now;
                        let set = if publishes_ours { testing::key_set() } else { replaced(&other_key()) };
                        let outcome = FetchOutcome::Response {
                            status: 200,
                            cache_control: Vec::new(),
                            body: set.to_string().into_bytes(),
                        };
                        worker.trust.keys.handle_response(fetch.id, outcome, worker.now);
                        has_ours = publishes_ours;
                    }
                }
                _ => {
                    let mut claims = claims();
                    claims["jti"] = json!(which.to_string());
                    let good = token(&claims);
                    let is_good = step > 5;
                    let sent = if is_good { good } else { forged(&good) };
                    let seen = *first_seen.entry(sent.clone()).or_insert(worker.now);
                    let reason = worker.send(&sent).0;
                    if is_good && has_ours {
                        prop_assert_eq!(reason, None);
                    } else {
                        prop_assert_ne!(reason, None);
                    }
                    if reason == Some(Reason::SignatureInvalid) {
                        prop_assert!(seen <= asked, "nobody has asked since");
                    }
                }
            }
        }
        for pair in causes.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= Duration::from_secs(10));
        }
    }
}
