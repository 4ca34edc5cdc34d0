use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jose::jwk::{KeySet, Lookup};
use crate::jose::signature::Portable;
use crate::testing::{self, Signer};

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const MAX_BYTES: usize = 16_384;
const AUDIENCES: [&str; 2] = ["https://mcp.example/mcp", "api"];

fn claims() -> Value {
    json!({
        "iss": "https://auth.example", "aud": "https://mcp.example/mcp", "exp": 1_800_000_600,
        "iat": 1_800_000_000, "sub": "alice", "scope": "mcp:read",
    })
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        issuer: "https://auth.example".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        token_types: vec![TokenType::Named("at+jwt".to_owned()), TokenType::Absent],
        clock_skew: Duration::from_secs(60),
        max_token_lifetime: Some(Duration::from_secs(3600)),
    }
}

fn keys(set: &Value) -> KeySet {
    KeySet::parse(set.to_string().as_bytes()).unwrap().0
}

/// The keys of [`testing::key_set`], parsed once.
fn issuer_keys() -> &'static KeySet {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    KEYS.get_or_init(|| keys(&testing::key_set()))
}

fn parse(token: &str) -> Result<UnverifiedToken<'_>, Reason> {
    UnverifiedToken::parse(token.as_bytes(), MAX_BYTES)
}

/// The answer of every check, as the reason of the first that does not pass.
fn judged(
    token: &UnverifiedToken<'_>,
    policy: &TokenPolicy,
    audiences: &[&str],
    now: UnixNanos,
) -> Result<(), Reason> {
    let failure = token.fails(policy, audiences, now);
    failure.map_or(Ok(()), |check| Err(check.reason()))
}

/// The whole way of a token, with the keys of its issuer.
fn judge(token: &[u8], keys: &KeySet) -> Result<VerifiedToken, Reason> {
    let token = UnverifiedToken::parse(token, MAX_BYTES)?;
    judged(&token, &policy(), &AUDIENCES, NOW)?;
    match keys.lookup(token.unverified_kid(), token.algorithm()) {
        Lookup::Fitting(keys) => token
            .verify(keys, &Portable)
            .map_err(|_| Reason::SignatureInvalid),
        Lookup::Mismatch => Err(Reason::KeyMismatch),
        Lookup::Unknown => Err(Reason::KeyUnknown),
    }
}

#[test]
fn good_tokens() {
    let keys = issuer_keys();
    for &alg in Algorithm::ALL {
        for header in [
            json!({"kid": alg.name().to_lowercase()}),
            json!({}),
            json!({"kid": alg.name().to_lowercase(), "typ": "application/AT+jwt"}),
        ] {
            let token = testing::token(alg.name(), &header, &claims());
            let verified = judge(token.as_bytes(), keys).unwrap();
            assert_eq!(verified.claims().string("sub").as_deref(), Some("alice"));
            let later = NOW.saturating_add(Duration::from_secs(660));
            let expired = judged(&parse(&token).unwrap(), &policy(), &AUDIENCES, later);
            assert_eq!(expired, Err(Reason::Expired));
        }
    }
    let token = testing::token("Ed25519", &json!({"kid": "eddsa"}), &claims());
    assert!(judge(token.as_bytes(), keys).is_ok());
}

/// Every reason that a token can give, each by a token that is good but for it.
#[test]
fn bad_tokens() {
    let keys = issuer_keys();
    let header = |name: &str, value: Value| {
        let mut header = json!({"kid": "es256"});
        header[name] = value;
        testing::token("ES256", &header, &claims())
    };
    let claim = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        testing::token("ES256", &json!({"kid": "es256"}), &claims)
    };
    let good = header("kid", json!("es256"));
    let (input, _) = good.rsplit_once('.').unwrap();
    for (name, token, expected) in [
        (
            "padding up to the limit",
            claim("pad", json!("x".repeat(MAX_BYTES))),
            Reason::TokenTooLarge,
        ),
        ("nothing", String::new(), Reason::TokenMalformed),
        (
            "an opaque token",
            "2YotnFZFEjr1zCsicMWpAA".to_owned(),
            Reason::TokenMalformed,
        ),
        (
            "a critical header",
            header("crit", json!(["exp"])),
            Reason::CriticalHeader,
        ),
        (
            "an ID token's type",
            header("typ", json!("JWT")),
            Reason::TokenTypeNotAllowed,
        ),
        (
            "an ID-JAG",
            header("typ", json!("oauth-id-jag+jwt")),
            Reason::TokenTypeNotAllowed,
        ),
        (
            "no algorithm",
            header("alg", json!("none")),
            Reason::AlgorithmNotAllowed,
        ),
        (
            "HMAC",
            header("alg", json!("HS256")),
            Reason::AlgorithmNotAllowed,
        ),
        (
            "an audience of the wrong type",
            claim("aud", json!(1)),
            Reason::ClaimsMalformed,
        ),
        (
            "claims that are no object",
            testing::token("ES256", &json!({}), &json!([])),
            Reason::TokenMalformed,
        ),
        (
            "another issuer",
            claim("iss", json!("https://auth.example/")),
            Reason::IssuerNotAllowed,
        ),
        (
            "another audience",
            claim("aud", json!("https://mcp.example/mcp/x")),
            Reason::AudienceNotAllowed,
        ),
        (
            "expired",
            claim("exp", json!(1_799_999_940)),
            Reason::Expired,
        ),
        (
            "not yet valid",
            claim("nbf", json!(1_800_000_061)),
            Reason::NotYetValid,
        ),
        (
            "issued in the future",
            claim("iat", json!(1_800_000_061)),
            Reason::IssuedInFuture,
        ),
        (
            "valid for too long",
            claim("exp", json!(1_800_003_601)),
            Reason::LifetimeTooLong,
        ),
        (
            "an unknown key",
            header("kid", json!("es256 ")),
            Reason::KeyUnknown,
        ),
        (
            "a key for another algorithm",
            header("kid", json!("rs256")),
            Reason::KeyMismatch,
        ),
        (
            "a stranger's key",
            testing::token_by(
                Signer::Stranger,
                "ES256",
                &json!({"kid": "es256"}),
                &claims(),
            ),
            Reason::SignatureInvalid,
        ),
        (
            "no signature",
            format!("{input}."),
            Reason::SignatureInvalid,
        ),
        (
            "another token's signature",
            format!(
                "{input}.{}",
                claim("x", json!(1)).rsplit_once('.').unwrap().1
            ),
            Reason::SignatureInvalid,
        ),
        (
            "a key of its own in the header",
            testing::token_by(
                Signer::Stranger,
                "ES256",
                &json!({"kid": "es256", "jwk": testing::public_jwk(Signer::Stranger, "ES256")}),
                &claims(),
            ),
            Reason::SignatureInvalid,
        ),
    ] {
        assert_eq!(
            judge(token.as_bytes(), keys).err(),
            Some(expected),
            "{name}"
        );
    }
    assert!(judge(good.as_bytes(), keys).is_ok());
    assert_eq!(
        judge(good.as_bytes(), &self::keys(&testing::stranger_key_set())).err(),
        Some(Reason::SignatureInvalid)
    );
}

/// RFC 8725 §2.1: the public key as the secret of an HMAC, and RSA taken for ECDSA.
#[test]
fn algorithms_are_not_confused() {
    let keys = issuer_keys();
    for &signed in Algorithm::ALL {
        for &claimed in Algorithm::ALL {
            let header = json!({"alg": claimed.name()});
            let token = testing::token(signed.name(), &header, &claims());
            assert_eq!(
                judge(token.as_bytes(), keys).is_ok(),
                signed == claimed,
                "{signed:?} as {claimed:?}"
            );
        }
    }
}

#[test]
fn refusals_in_their_order() {
    let mut bad =
        json!({"iss": "https://evil.example", "aud": "x", "exp": 0, "nbf": 1_900_000_000});
    let mut policy = policy();
    policy.algorithms = vec![Algorithm::Rs256];
    let check = |header: &Value, claims: &Value, policy: &TokenPolicy| {
        let token = testing::token("ES256", header, claims);
        judged(&parse(&token).unwrap(), policy, &AUDIENCES, NOW)
    };
    let typ = json!({"typ": "JWT"});
    assert_eq!(check(&typ, &bad, &policy), Err(Reason::IssuerNotAllowed));
    bad["iss"] = json!("https://auth.example");
    assert_eq!(check(&typ, &bad, &policy), Err(Reason::TokenTypeNotAllowed));
    bad["token_use"] = json!("id");
    assert_eq!(
        check(&json!({}), &bad, &policy),
        Err(Reason::NotAnAccessToken)
    );
    bad["token_use"] = json!("access");
    assert_eq!(
        check(&json!({}), &bad, &policy),
        Err(Reason::AlgorithmNotAllowed)
    );
    policy.algorithms.push(Algorithm::Es256);
    assert_eq!(
        check(&json!({}), &bad, &policy),
        Err(Reason::AudienceNotAllowed)
    );
    bad["aud"] = json!(["x", "api"]);
    assert_eq!(check(&json!({}), &bad, &policy), Err(Reason::Expired));
    bad["exp"] = json!(1_900_000_001);
    assert_eq!(check(&json!({}), &bad, &policy), Err(Reason::NotYetValid));
    bad["nbf"] = json!(0);
    assert_eq!(
        check(&json!({}), &bad, &policy),
        Err(Reason::LifetimeTooLong)
    );
    bad["iat"] = json!(1_900_000_000);
    assert_eq!(
        check(&json!({}), &bad, &policy),
        Err(Reason::IssuedInFuture)
    );
    let nobody: [&str; 0] = [];
    let token = testing::token("ES256", &json!({}), &claims());
    let token = parse(&token).unwrap();
    assert_eq!(
        judged(&token, &policy, &nobody, NOW),
        Err(Reason::AudienceNotAllowed)
    );
}

#[test]
fn token_types() {
    for (accepted, typ, fits) in [
        ("at+jwt", "at+jwt", true),
        ("at+jwt", "AT+JWT", true),
        ("at+jwt", "application/at+jwt", true),
        ("application/at+jwt", "at+jwt", true),
        ("Application/At+jwt", "aPPLICATION/aT+JWT", true),
        ("at+jwt", "jwt", false),
        ("at+jwt", "", false),
        ("at+jwt", "at+jwt ", false),
        ("at+jwt", "text/at+jwt", false),
        ("at+jwt", "/at+jwt", false),
        ("at+jwt", "application/application/at+jwt", false),
        ("JWT", "application/jwt", true),
        ("application/a/b", "a/b", false),
        ("text/plain", "text/plain", true),
    ] {
        assert_eq!(
            TokenType::Named(accepted.to_owned()).accepts(Some(typ)),
            fits,
            "{accepted} {typ}"
        );
    }
    assert!(TokenType::Absent.accepts(None));
    assert!(!TokenType::Absent.accepts(Some("")));
    assert!(!TokenType::Named(String::new()).accepts(None));
}

#[test]
fn at_most_four_keys_are_tried() {
    let named = |signer| {
        let mut jwk = testing::public_jwk(signer, "ES256");
        jwk["kid"] = json!("same");
        jwk
    };
    let (right, wrong) = (named(Signer::Issuer), named(Signer::Stranger));
    let other = testing::public_jwk(Signer::Issuer, "RS256");
    let token = testing::token("ES256", &json!({"kid": "same"}), &claims());
    let of = |wrong_keys: usize| {
        let mut list = vec![wrong.clone(); wrong_keys];
        list.extend([right.clone(), other.clone()]);
        keys(&json!({ "keys": list }))
    };
    assert!(judge(token.as_bytes(), &of(3)).is_ok());
    assert_eq!(
        judge(token.as_bytes(), &of(4)).err(),
        Some(Reason::SignatureInvalid)
    );
    let (set, _) = KeySet::parse(json!({"keys": [other]}).to_string().as_bytes()).unwrap();
    let Lookup::Fitting(unfit) = set.lookup(None, Algorithm::Rs256) else {
        panic!()
    };
    assert!(parse(&token).unwrap().verify(unfit, &Portable).is_err());
    assert!(parse(&token).unwrap().verify([], &Portable).is_err());
}

#[test]
fn what_may_be_known_before() {
    let token = testing::token("ES256", &json!({"kid": "k", "typ": "at+jwt"}), &claims());
    let token = parse(&token).unwrap();
    assert_eq!(token.unverified_issuer(), "https://auth.example");
    assert_eq!(
        token.unverified_audiences().collect::<Vec<_>>(),
        ["https://mcp.example/mcp"]
    );
    assert_eq!(token.unverified_kid(), Some("k"));
    assert_eq!(token.unverified_type(), Some("at+jwt"));
    assert_eq!(
        token.unverified_claims().string("sub").as_deref(),
        Some("alice")
    );
    assert_eq!(token.algorithm(), Algorithm::Es256);
    assert_eq!(
        format!("{token:?}"),
        "UnverifiedToken { algorithm: Es256, .. }"
    );
    let exact = testing::token("EdDSA", &json!({}), &claims());
    assert!(UnverifiedToken::parse(exact.as_bytes(), exact.len()).is_ok());
    assert_eq!(
        UnverifiedToken::parse(exact.as_bytes(), exact.len() - 1).err(),
        Some(Reason::TokenTooLarge)
    );
}

#[test]
fn examples_of_the_rfcs() {
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (name, token, expected) in [
        ("RFC 7515 A.1: HS256", format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Reason::AlgorithmNotAllowed),
        ("RFC 7515 A.2: without aud", format!("eyJhbGciOiJSUzI1NiJ9.{payload}.AAAA"), Reason::ClaimsMalformed),
        ("RFC 7515 A.4: ES512, not JSON", "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AAAA".to_owned(), Reason::TokenMalformed),
        ("RFC 7515 A.5: none", format!("eyJhbGciOiJub25lIn0.{payload}."), Reason::AlgorithmNotAllowed),
        ("RFC 7515 A.7: JSON", format!(r#"{{"payload":"{payload}","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AAAA"}}"#), Reason::TokenMalformed),
        ("RFC 7515 E: crit", "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.".to_owned(), Reason::CriticalHeader),
        ("RFC 7519 A.1: JWE", "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtM.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaMHDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu9g3J8.fiK51VwhsxJ-siBMR-YFiA".to_owned(), Reason::TokenMalformed),
        ("RFC 7520 4.1: not JSON", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlz.AAAA".to_owned(), Reason::TokenMalformed),
        ("RFC 8037 A.4: not JSON", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.AAAA".to_owned(), Reason::TokenMalformed),
    ] {
        assert_eq!(parse(&token).err(), Some(expected), "{name}");
    }
}

#[test]
fn example_of_rfc_9068() {
    let token = testing::token(
        "RS256",
        &json!({"typ": "at+JWT", "kid": "RjEwOwOA"}),
        &json!({
            "iss": "https://authorization-server.example.com/",
            "sub": "5ba552d67",
            "aud": "https://rs.example.com/",
            "exp": 1_639_528_912,
            "iat": 1_618_354_090,
            "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
            "client_id": "s6BhdRkqt3",
            "scope": "openid profile reademail",
        }),
    );
    let token = parse(&token).unwrap();
    let mut policy = policy();
    policy.issuer = "https://authorization-server.example.com/".to_owned();
    policy.max_token_lifetime = None;
    let now = UnixNanos::from_secs(1_618_354_090);
    assert_eq!(
        judged(&token, &policy, &["https://rs.example.com"], now),
        Ok(())
    );
    assert_eq!(
        token.unverified_claims().scopes(),
        ["openid", "profile", "reademail"]
    );
}

fn signed() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "ES256", "EdDSA", "RS256", "PS256", "ES384", "ES512", "ES256K",
    ])
    .prop_map(|alg| testing::token(alg, &json!({"typ": "at+jwt"}), &claims()))
}

/// With every key of the issuer that fits, whatever the `kid` says.
fn verifies(token: &[u8], keys: &KeySet) -> bool {
    UnverifiedToken::parse(token, MAX_BYTES).is_ok_and(|token| {
        match keys.lookup(None, token.algorithm()) {
            Lookup::Fitting(keys) => token.verify(keys, &Portable).is_ok(),
            Lookup::Mismatch | Lookup::Unknown => false,
        }
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    // Mostly of the token's own alphabet, or nearly everything is refused by its first step.
    let byte = || prop_oneof![3 => "[A-Za-z0-9_.=-]".prop_map(|text| text.as_bytes()[0]), 1 => any::<u8>()];
    prop_oneof![
        6 => (index(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        1 => (index(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        1 => index().prop_map(Mutation::Remove),
        1 => (index(), index()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        1 => index().prop_map(Mutation::Cut),
    ]
}

proptest! {
    #[test]
    fn no_mutation_of_a_good_token_verifies(token in signed(), mutation in mutation()) {
        let keys = issuer_keys();
        let mut mutant = token.clone().into_bytes();
        match mutation {
            Mutation::Replace(at, byte) => mutant[at.index(token.len())] = byte,
            Mutation::Insert(at, byte) => mutant.insert(at.index(token.len()), byte),
            Mutation::Remove(at) => _ = mutant.remove(at.index(token.len())),
            Mutation::Swap(one, other) => mutant.swap(one.index(token.len()), other.index(token.len())),
            Mutation::Cut(at) => mutant.truncate(at.index(token.len())),
        }
        prop_assert_eq!(verifies(&mutant, keys), mutant == token.as_bytes());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = UnverifiedToken::parse(&bytes, MAX_BYTES);
    }

    /// Any JSON in the three parts, so that what stands behind the base64 is reached.
    #[test]
    fn no_parts_panic(
        header in r#"\{"alg":"(ES256|EdDSA|none)"(,"(kid|typ|crit|x)":(1|"a"|null|\[\]|\{\})){0,3}\}"#,
        claims in r#"\{"iss":"i"(,"(aud|exp|nbf|iat|sub|scope|scp|x)":(-?[0-9]{1,20}|[0-9]e[0-9]{1,3}|1\.5|"a b"|null|\["a"\]|\[\]|\{\})){0,6}\}"#,
        signature in prop::collection::vec(any::<u8>(), 0..100),
        now in any::<u64>(),
    ) {
        let token = format!(
            "{}.{}.{}",
            testing::encode(header.as_bytes()),
            testing::encode(claims.as_bytes()),
            testing::encode(&signature)
        );
        if let Ok(token) = parse(&token) {
            let _ = token.fails(&policy(), &AUDIENCES, UnixNanos::from_nanos(now));
            let _ = token.unverified_claims().scopes().len();
        }
        let verified = verifies(token.as_bytes(), issuer_keys());
        prop_assert!(!verified);
    }
}

/// Every place of the token, every byte of its alphabet, for the two algorithms that are fast.
#[test]
fn no_change_of_one_byte_verifies() {
    let keys = issuer_keys();
    for alg in ["ES256", "EdDSA"] {
        let token = testing::token(alg, &json!({}), &json!({"iss": "i", "aud": "a", "exp": 1}));
        assert!(verifies(token.as_bytes(), keys));
        for at in 0..token.len() {
            for byte in [
                b'A', b'Q', b'g', b'w', b'z', b'_', b'-', b'0', b'.', b'=', b'+', b' ', 0, 0x80,
            ] {
                let mut mutant = token.clone().into_bytes();
                mutant[at] = byte;
                assert_eq!(
                    verifies(&mutant, keys),
                    mutant == token.as_bytes(),
                    "{alg} {at} {byte}"
                );
            }
        }
    }
}
