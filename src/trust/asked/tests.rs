#![allow(clippy::arithmetic_side_effects)]

mod recorded;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::gate::{self, Decision};
use crate::head::Head;
use crate::introspection::{Command, Event};
use crate::jose::signature::Portable;
use crate::keys::{FetchOutcome, Keys};
use crate::resource::Route;
use crate::resource::host::Authority;
use crate::testing;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const OPAQUE: &str = "ory_at_mgvDfVDjOmsCTFjuqAO6";

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Allowed(Vec<(String, String)>),
    Refused(Reason),
    Waits,
}

/// A worker whose issuer says what it is told to say.
struct Worker {
    config: Config,
    trust: Trust,
    now: UnixNanos,
    asked: usize,
    events: Vec<Event>,
}

impl Worker {
    fn new(introspection: Value, resource: Value, rest: Value) -> Self {
        let mut config = json!({
            "issuers": [{
                "issuer": ISSUER,
                "jwks": testing::key_set(),
                "introspection": {
                    "cluster": "introspection",
                    "endpoint": "https://auth.example.com/introspect",
                },
            }],
            "resources": [{"resource": RESOURCE, "scopes": ["mcp:read"]}],
        });
        merge(&mut config["issuers"][0]["introspection"], introspection);
        merge(&mut config["resources"][0], resource);
        merge(&mut config, rest);
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let keys = Keys::new(config.key_sources(), NOW, 7);
        Self {
            trust: Trust::new(&config, keys, Box::new(Portable), [1, 2]),
            config,
            now: NOW,
            asked: 0,
            events: Vec::new(),
        }
    }

    fn plain() -> Self {
        Self::new(json!({}), json!({}), json!({}))
    }

    fn decide(&mut self, token: &str, arrived: UnixNanos) -> Seen {
        let credentials = format!("Bearer {token}");
        let headers = [(":method", "GET"), ("authorization", &credentials)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let head = Head::new(headers.to_vec()).ending(true);
        let route: Route = gate::route(&self.config, Some(b"/mcp"), Authority::NotRead);
        let trust = &mut self.trust;
        match gate::decide(&self.config, &route, &head, trust, arrived, self.now) {
            Decision::Allow(edits) => {
                let headers = edits.headers();
                let mut headers: Vec<(String, String)> = headers
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect();
                headers.sort();
                Seen::Allowed(headers)
            }
            Decision::Refuse(refusal, _) | Decision::Observe(refusal, _) => {
                let evidence = refusal.evidence().to_string();
                assert!(!evidence.ends_with("found=-"), "{evidence}");
                Seen::Refused(refusal.reason)
            }
            Decision::Wait(Awaited::Answer(..)) => Seen::Waits,
            decision => panic!("{decision:?}"),
        }
    }

    /// Decides on a request, with this answer of the issuer if it is asked.
    fn see(&mut self, token: &str, status: u16, answer: &str) -> Seen {
        let arrived = self.now;
        let seen = self.decide(token, arrived);
        if seen != Seen::Waits {
            return seen;
        }
        self.trust.introspection.handle_tick(self.now);
        while let Some(command) = self.trust.introspection.next_command() {
            match command {
                Command::Call(call) => {
                    self.asked += 1;
                    let outcome = FetchOutcome::Response {
                        status,
                        cache_control: Vec::new(),
                        body: answer.into(),
                    };
                    let introspection = &mut self.trust.introspection;
                    introspection.handle_response(call.id, outcome, self.now);
                }
                Command::Wake(..) | Command::ReadShared { .. } | Command::WriteShared { .. } => {}
                Command::Report(_, event) => self.events.push(event),
            }
        }
        self.decide(token, arrived)
    }

    fn answered(&mut self, token: &str, answer: &Value) -> Seen {
        self.see(token, 200, &answer.to_string())
    }
}

fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("{more}")
    };
    for (name, value) in more {
        into[name] = value;
    }
}

fn answer() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": [RESOURCE], "exp": 1_800_000_600, "sub": "alice",
        "client_id": "client", "scope": "mcp:read openid", "token_type": "Bearer",
        "token_use": "access_token",
    })
}

fn but(changes: Value) -> Value {
    let mut answer = answer();
    merge(&mut answer, changes);
    answer
}

fn without(names: &[&str]) -> Value {
    let mut answer = answer();
    for name in names {
        answer.as_object_mut().unwrap().remove(*name);
    }
    answer
}

fn allowed(headers: &[(&str, &str)]) -> Seen {
    let headers = headers.iter();
    Seen::Allowed(
        headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

const ALICE: [(&str, &str); 4] = [
    ("x-mcp-client-id", "client"),
    ("x-mcp-issuer", ISSUER),
    ("x-mcp-scope", "mcp:read openid"),
    ("x-mcp-sub", "alice"),
];

#[test]
fn an_answer_is_judged_as_claims_are() {
    let all = allowed(&ALICE);
    let nobody = allowed(&ALICE[..3]);
    for (answer, expected) in [
        (answer(), all.clone()),
        (without(&["iss"]), all.clone()),
        (but(json!({"iss": null})), all.clone()),
        (
            but(json!({"iss": "https://evil.example"})),
            Seen::Refused(Reason::IssuerNotAllowed),
        ),
        (
            but(json!({"iss": "https://auth.example.com/"})),
            Seen::Refused(Reason::IssuerNotAllowed),
        ),
        (
            but(json!({"iss": 1})),
            Seen::Refused(Reason::ClaimsMalformed),
        ),
        (but(json!({"aud": RESOURCE})), all.clone()),
        (without(&["aud"]), Seen::Refused(Reason::AudienceNotAllowed)),
        (
            but(json!({"aud": []})),
            Seen::Refused(Reason::AudienceNotAllowed),
        ),
        (
            but(json!({"aud": "mcp:read"})),
            Seen::Refused(Reason::AudienceNotAllowed),
        ),
        (
            but(json!({"aud": 1})),
            Seen::Refused(Reason::ClaimsMalformed),
        ),
        (without(&["exp"]), all.clone()),
        (but(json!({"exp": null})), all.clone()),
        (but(json!({"exp": 1_800_000_600.25})), all.clone()),
        (
            but(json!({"exp": 1_799_999_000})),
            Seen::Refused(Reason::Expired),
        ),
        (
            but(json!({"exp": 1e300})),
            Seen::Refused(Reason::ClaimsMalformed),
        ),
        (
            but(json!({"exp": "1800000600"})),
            Seen::Refused(Reason::ClaimsMalformed),
        ),
        (
            but(json!({"nbf": 1_800_000_100})),
            Seen::Refused(Reason::NotYetValid),
        ),
        (
            but(json!({"iat": 1_800_000_100.5})),
            Seen::Refused(Reason::IssuedInFuture),
        ),
        (but(json!({"sub": null})), nobody.clone()),
        (without(&["sub"]), nobody),
        (
            but(json!({"sub": 1})),
            Seen::Refused(Reason::ClaimsMalformed),
        ),
        (but(json!({"scope": ["mcp:read", "openid"]})), all.clone()),
        (
            but(json!({"scope": "openid"})),
            Seen::Refused(Reason::ScopeInsufficient),
        ),
        (
            without(&["scope"]),
            Seen::Refused(Reason::ScopeInsufficient),
        ),
        (
            but(json!({"cnf": {"jkt": "x"}})),
            Seen::Refused(Reason::SenderConstrained),
        ),
        (
            but(json!({"cnf": {}})),
            Seen::Refused(Reason::SenderConstrained),
        ),
        (
            but(json!({"token_type": "DPoP"})),
            Seen::Refused(Reason::SenderConstrained),
        ),
        (without(&["token_type", "token_use"]), all.clone()),
        (but(json!({"token_type": "bearer"})), all.clone()),
        (but(json!({"token_type": "access_token"})), all.clone()),
        (but(json!({"typ": "Bearer"})), all.clone()),
        (
            but(json!({"token_use": "refresh_token"})),
            Seen::Refused(Reason::NotAnAccessToken),
        ),
        (
            but(json!({"token_use": "session"})),
            Seen::Refused(Reason::NotAnAccessToken),
        ),
        (
            but(json!({"tokenType": "Refresh"})),
            Seen::Refused(Reason::NotAnAccessToken),
        ),
        (
            but(json!({"typ": "ID"})),
            Seen::Refused(Reason::NotAnAccessToken),
        ),
        (
            json!({"active": false, "aud": RESOURCE}),
            Seen::Refused(Reason::TokenInactive),
        ),
    ] {
        let mut worker = Worker::plain();
        assert_eq!(worker.answered(OPAQUE, &answer), expected, "{answer}");
        assert_eq!(worker.answered(OPAQUE, &answer), expected, "{answer}");
        assert_eq!(worker.asked, 1, "it is remembered: {answer}");
        if let Seen::Allowed(_) = expected {
            assert_eq!(worker.trust.memory.remembered().0, 1, "{answer}");
        }
    }
}

#[test]
fn without_an_audience_only_where_that_is_allowed() {
    let config = json!({"require_audience": false});
    for (answer, expected) in [
        (answer(), allowed(&ALICE)),
        (without(&["aud"]), allowed(&ALICE)),
        (but(json!({"aud": []})), allowed(&ALICE)),
        (
            but(json!({"aud": "another"})),
            Seen::Refused(Reason::AudienceNotAllowed),
        ),
    ] {
        let mut worker = Worker::new(config.clone(), json!({}), json!({}));
        assert_eq!(worker.answered(OPAQUE, &answer), expected, "{answer}");
    }
}

#[test]
fn trouble_is_never_a_bad_token() {
    for (status, body) in [
        (200, r#"{"active":"true"}"#),
        (200, "{}"),
        (200, r#"{"active":true,"active":false}"#),
        (200, "<html>"),
        (400, r#"{"error":"invalid_request"}"#),
        (401, ""),
        (403, "<html>"),
        (404, ""),
        (429, ""),
        (500, ""),
        (503, ""),
        (504, ""),
    ] {
        let mut worker = Worker::plain();
        let expected = Seen::Refused(Reason::IntrospectionUnavailable);
        assert_eq!(
            worker.see(OPAQUE, status, body),
            expected,
            "{status} {body}"
        );
        assert!(matches!(worker.events.as_slice(), [Event::Failed { .. }]));
    }
}

#[test]
fn nobody_is_asked_about_what_cannot_be_a_token() {
    let long = "x".repeat(65_536);
    let jwt = |header: &str, claims: &str| {
        let [header, claims] = [header, claims].map(|part| testing::encode(part.as_bytes()));
        format!("{header}.{claims}.AAAA")
    };
    for (token, reason) in [
        ("a", Reason::TokenMalformed),
        ("fifteen-letters", Reason::TokenMalformed),
        ("user:grant:secret-that-is-long", Reason::TokenMalformed),
        (
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            Reason::TokenMalformed,
        ),
        (&long, Reason::TokenTooLarge),
        (&jwt(r#"{"alg":"none"}"#, "{}"), Reason::AlgorithmNotAllowed),
        (
            &jwt(r#"{"alg":"ES256"}"#, "nothing"),
            Reason::TokenMalformed,
        ),
        (&jwt(r#"{"alg":"ES256"}"#, "{}"), Reason::ClaimsMalformed),
        (
            &testing::token(
                "ES256",
                &json!({}),
                &json!({"iss": "https://other.example", "aud": RESOURCE, "exp": 1_800_000_600}),
            ),
            Reason::IssuerNotAllowed,
        ),
    ] {
        let mut worker = Worker::plain();
        assert_eq!(
            worker.answered(token, &answer()),
            Seen::Refused(reason),
            "{token}"
        );
        assert_eq!(worker.asked, 0, "{token}");
    }
}

#[test]
fn opaque_tokens_have_any_form() {
    for token in [
        OPAQUE,
        "sixteen-letters-",
        "a.b.cccccccccccccc",
        "eyJhbGciOiJkaXIifQ..iv.ciphertext.tag",
        "2YotnFZFEjr1zCsicMWpAA==",
    ] {
        let mut worker = Worker::plain();
        assert_eq!(
            worker.answered(token, &answer()),
            allowed(&ALICE),
            "{token}"
        );
    }
}

fn signed(claims: &Value) -> String {
    testing::token("ES256", &json!({"kid": "es256"}), claims)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": 1_800_000_600, "sub": "alice",
        "scope": "mcp:read openid", "client_id": "client",
    })
}

#[test]
fn jwts_are_asked_about_only_where_that_is_configured_and_after_their_signature() {
    let token = signed(&claims());
    let mut worker = Worker::plain();
    assert_eq!(worker.answered(&token, &answer()), allowed(&ALICE));
    assert_eq!(worker.asked, 0);

    let all = json!({"tokens": "all"});
    let ask = |token: &str, answer: &Value| {
        let mut worker = Worker::new(all.clone(), json!({}), json!({}));
        (worker.answered(token, answer), worker.asked)
    };
    assert_eq!(ask(&token, &answer()), (allowed(&ALICE), 1));
    assert_eq!(ask(OPAQUE, &answer()), (allowed(&ALICE), 1));
    // What the answer leaves out is as the token has it.
    assert_eq!(ask(&token, &json!({"active": true})), (allowed(&ALICE), 1));
    assert_eq!(
        ask(&token, &json!({"active": true, "sub": null, "aud": null})),
        (allowed(&ALICE), 1)
    );
    for (answer, reason) in [
        (json!({"active": false}), Reason::TokenInactive),
        (
            json!({"active": true, "scope": "openid"}),
            Reason::ScopeInsufficient,
        ),
        (
            json!({"active": true, "aud": "another"}),
            Reason::AudienceNotAllowed,
        ),
        (
            json!({"active": true, "cnf": {"jkt": "x"}}),
            Reason::SenderConstrained,
        ),
        (
            json!({"active": true, "exp": 1_799_999_000}),
            Reason::Expired,
        ),
    ] {
        assert_eq!(ask(&token, &answer), (Seen::Refused(reason), 1), "{answer}");
    }
    // A scope that the token lacks and the answer has: canaille's.
    let mut lean = claims();
    lean.as_object_mut().unwrap().remove("scope");
    assert_eq!(ask(&signed(&lean), &answer()), (allowed(&ALICE), 1));
    let forged = testing::token_by(
        testing::Signer::Stranger,
        "ES256",
        &json!({"kid": "es256"}),
        &claims(),
    );
    for (token, reason) in [
        (forged, Reason::SignatureInvalid),
        (
            signed(&json!({"iss": ISSUER, "aud": "another", "exp": 1_800_000_600})),
            Reason::AudienceNotAllowed,
        ),
    ] {
        assert_eq!(ask(&token, &answer()), (Seen::Refused(reason), 0));
    }
}

#[test]
fn a_token_that_is_revoked_is_refused_when_the_answer_has_had_its_time() {
    for (tokens, token) in [("opaque", OPAQUE.to_owned()), ("all", signed(&claims()))] {
        let config = json!({"tokens": tokens, "cache_seconds": 10});
        let mut worker = Worker::new(config, json!({}), json!({}));
        let inactive = json!({"active": false});
        assert_eq!(worker.answered(&token, &answer()), allowed(&ALICE));
        worker.now = NOW.saturating_add(Duration::from_millis(9_999));
        assert_eq!(worker.answered(&token, &inactive), allowed(&ALICE));
        worker.now = NOW.saturating_add(Duration::from_secs(10));
        let refused = Seen::Refused(Reason::TokenInactive);
        assert_eq!(worker.answered(&token, &inactive), refused);
        assert_eq!(worker.asked, 2);
    }
}

#[test]
fn a_verdict_does_not_outlive_the_token() {
    let mut worker = Worker::new(json!({"cache_seconds": 3600}), json!({}), json!({}));
    let answer = but(json!({"exp": 1_800_000_020.9}));
    assert_eq!(worker.answered(OPAQUE, &answer), allowed(&ALICE));
    worker.now = NOW.saturating_add(Duration::from_secs(20));
    worker.answered(OPAQUE, &json!({"active": false}));
    assert_eq!(worker.asked, 2);
}

#[test]
fn observing_never_delays_a_request() {
    let mut worker = Worker::new(json!({}), json!({}), json!({"mode": "observe"}));
    let unavailable = Seen::Refused(Reason::IntrospectionUnavailable);
    assert_eq!(worker.decide(OPAQUE, NOW), unavailable);
    assert_eq!(worker.decide(OPAQUE, NOW), unavailable);
}

#[test]
fn an_issuer_may_have_no_keys() {
    let config = json!({
        "issuers": [{
            "issuer": ISSUER,
            "introspection": {"cluster": "i", "endpoint": "https://auth.example.com/introspect"},
        }],
    });
    let mut worker = Worker::new(json!({}), json!({}), config);
    assert_eq!(worker.answered(OPAQUE, &answer()), allowed(&ALICE));
    let unknown = Seen::Refused(Reason::KeyUnknown);
    assert_eq!(worker.answered(&signed(&claims()), &answer()), unknown);
    assert_eq!(worker.asked, 1);
}

/// A few tokens, and a few answers.
fn requests() -> impl Strategy<Value = Vec<(u8, u8, u64)>> {
    prop::collection::vec((0_u8..4, 0_u8..6, 0_u64..20_000), 0..40)
}

proptest! {
    /// A worker that remembers and one that does not agree on every request, as long as the issuer
    /// does not change its mind about a token; and on a changed mind when the time has passed.
    #[test]
    fn memory_changes_no_verdict(requests in requests(), minds in prop::collection::vec(0_u8..6, 4)) {
        let limits = json!({"limits": {"cached_tokens": 0}});
        let mut with = Worker::plain();
        let mut never = Worker::new(json!({"cache_seconds": 0}), json!({}), limits);
        for (which, _, wait) in requests {
            let token = format!("{OPAQUE}{which}");
            let answer = match minds[usize::from(which)] {
                0 => answer(),
                1 => json!({"active": false}),
                2 => without(&["aud"]),
                3 => but(json!({"exp": 1_800_000_030})),
                4 => but(json!({"token_use": "refresh_token"})),
                _ => but(json!({"scope": "other"})),
            };
            let one = with.answered(&token, &answer);
            let other = never.answered(&token, &answer);
            prop_assert_eq!(one, other);
            for worker in [&mut with, &mut never] {
                worker.now = worker.now.saturating_add(Duration::from_millis(wait));
                worker.trust.introspection.handle_tick(worker.now);
            }
        }
        prop_assert!(with.asked <= never.asked);
    }
}
