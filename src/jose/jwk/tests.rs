use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jose::signature::Portable;
use crate::testing::{self, Signer};

fn parse(set: &Value) -> (KeySet, Vec<SkippedKey>) {
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

/// A sound key of the type for `alg`, with `member` set to `value`, or without it if that is null.
fn jwk(alg: &str, member: &str, value: Value) -> Value {
    let mut jwk = testing::public_jwk(Signer::Issuer, alg);
    if value.is_null() {
        jwk.as_object_mut().unwrap().remove(member);
    } else {
        jwk[member] = value;
    }
    jwk
}

#[test]
fn odd_keys_are_skipped_with_their_reason() {
    use SkipReason::*;
    let with = |alg: &str, member: &'static str, value: Value| jwk(alg, member, value);
    let x = testing::public_jwk(Signer::Issuer, "ES256")["x"]
        .as_str()
        .unwrap()
        .to_owned();
    let n = testing::public_jwk(Signer::Issuer, "RS256")["n"]
        .as_str()
        .unwrap()
        .to_owned();
    for (jwk, expected) in [
        (json!(null), NotAnObject),
        (json!("key"), NotAnObject),
        (json!([]), NotAnObject),
        (json!({}), MissingMember("kty")),
        (with("ES256", "kty", json!(null)), MissingMember("kty")),
        (with("ES256", "kty", json!(7)), MalformedMember("kty")),
        (with("ES256", "kty", json!("ec")), UnknownKeyType),
        (with("ES256", "kty", json!("AKP")), MissingMember("alg")),
        (
            with("ML-DSA-44", "alg", json!("ML-DSA-66")),
            UnknownAlgorithm,
        ),
        (with("ML-DSA-44", "alg", json!("ES256")), UnknownAlgorithm),
        (
            with("ML-DSA-44", "alg", json!("ML-DSA-65")),
            MalformedMember("pub"),
        ),
        (with("ML-DSA-44", "pub", json!(null)), MissingMember("pub")),
        (
            with("ML-DSA-44", "pub", json!(testing::encode(&[0; 1313]))),
            MalformedMember("pub"),
        ),
        (with("ML-DSA-44", "priv", json!("AA")), Private),
        (
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}),
            Symmetric,
        ),
        (json!({"kty": "oct", "alg": "HS256"}), Symmetric),
        (with("ES256", "kid", json!(1)), MalformedMember("kid")),
        (
            with("ES256", "kid", json!("k".repeat(513))),
            MalformedMember("kid"),
        ),
        (with("ES256", "crv", json!(null)), MissingMember("crv")),
        (with("ES256", "crv", json!({})), MalformedMember("crv")),
        (with("ES256", "crv", json!("P-521")), MalformedMember("x")),
        (with("ES512", "crv", json!("P-384")), MalformedMember("x")),
        (with("ES512", "alg", json!("ES384")), AlgorithmMismatch),
        (
            with("ES512", "x", json!(testing::encode(&[1; 65]))),
            MalformedMember("x"),
        ),
        (
            with("ES512", "x", json!(testing::encode(&[1; 66]))),
            Unsound(KeyError::Invalid),
        ),
        (with("ES256", "crv", json!("P-224")), UnknownCurve),
        (with("ES256", "crv", json!("P-256K")), UnknownCurve),
        (with("ES256", "crv", json!("Ed25519")), UnknownCurve),
        (with("EdDSA", "crv", json!("Ed448")), UnknownCurve),
        (with("EdDSA", "crv", json!("X25519")), UnknownCurve),
        (with("ES256", "use", json!("enc")), NotForSignatures),
        (with("ES256", "use", json!("")), NotForSignatures),
        (with("ES256", "use", json!(["sig"])), MalformedMember("use")),
        (with("ES256", "key_ops", json!([])), NotForVerification),
        (
            with("ES256", "key_ops", json!(["sign", "encrypt"])),
            NotForVerification,
        ),
        (
            with("ES256", "key_ops", json!("verify")),
            MalformedMember("key_ops"),
        ),
        (
            with("ES256", "key_ops", json!(["verify", 1])),
            MalformedMember("key_ops"),
        ),
        (with("ES256", "d", json!("AQAB")), Private),
        (with("EdDSA", "d", json!("")), Private),
        (with("RS256", "p", json!("AQAB")), Private),
        (with("RS256", "oth", json!([])), Private),
        (with("RS256", "k", json!("AQAB")), Private),
        (with("ES256", "alg", json!(1)), MalformedMember("alg")),
        (with("RS256", "alg", json!("RSA-OAEP")), UnknownAlgorithm),
        (with("RS256", "alg", json!("HS256")), UnknownAlgorithm),
        (with("RS256", "alg", json!("none")), UnknownAlgorithm),
        (with("RS256", "alg", json!("ES256")), AlgorithmMismatch),
        (with("ES256", "alg", json!("ES384")), AlgorithmMismatch),
        (with("ES256", "alg", json!("ES256K")), AlgorithmMismatch),
        (with("EdDSA", "alg", json!("RS256")), AlgorithmMismatch),
        (with("RS256", "n", json!(null)), MissingMember("n")),
        (with("RS256", "e", json!(null)), MissingMember("e")),
        (with("ES256", "x", json!(null)), MissingMember("x")),
        (with("ES256", "y", json!(null)), MissingMember("y")),
        (with("EdDSA", "x", json!(null)), MissingMember("x")),
        (with("RS256", "n", json!(7)), MalformedMember("n")),
        (with("RS256", "n", json!("")), MalformedMember("n")),
        (with("RS256", "e", json!("")), MalformedMember("e")),
        (
            with("RS256", "n", json!(format!("{n}="))),
            MalformedMember("n"),
        ),
        (
            with("RS256", "n", json!(format!("{n}=="))),
            MalformedMember("n"),
        ),
        (
            with("RS256", "n", json!(format!(" {n}"))),
            MalformedMember("n"),
        ),
        (
            with("RS256", "n", json!(n.replace(['-', '_'], "+"))),
            MalformedMember("n"),
        ),
        (
            with("RS256", "e", json!("AQAC")),
            Unsound(KeyError::Exponent),
        ),
        // `Aw` with bits behind its byte.
        (with("RS256", "e", json!("Ax")), MalformedMember("e")),
        (with("RS256", "e", json!("Aw")), Unsound(KeyError::Exponent)),
        (
            with("RS256", "n", json!(testing::encode(&[0xff; 128]))),
            Unsound(KeyError::ModulusTooSmall),
        ),
        (
            with("RS256", "n", json!(testing::encode(&[0xff; 513]))),
            Unsound(KeyError::ModulusTooLarge),
        ),
        (
            with("RS256", "n", json!(testing::encode(&[0xfe; 256]))),
            Unsound(KeyError::Invalid),
        ),
        (
            with("ES256", "x", json!(testing::encode(&[1; 31]))),
            MalformedMember("x"),
        ),
        (
            with("ES256", "x", json!(testing::encode(&[1; 33]))),
            MalformedMember("x"),
        ),
        (
            with("ES384", "y", json!(testing::encode(&[1; 32]))),
            MalformedMember("y"),
        ),
        (
            with("EdDSA", "x", json!(testing::encode(&[1; 33]))),
            MalformedMember("x"),
        ),
        (with("ES256", "y", json!(x)), Unsound(KeyError::Invalid)),
        (
            with("ES256K", "crv", json!("P-256")),
            Unsound(KeyError::Invalid),
        ),
        (
            with("EdDSA", "x", json!(testing::encode(&[0; 32]))),
            Unsound(KeyError::Invalid),
        ),
    ] {
        let good = testing::public_jwk(Signer::Issuer, "ES256");
        let (keys, skipped) = parse(&json!({"keys": [good, jwk, good]}));
        assert_eq!(keys.len(), 2, "{jwk}");
        let [skipped] = &skipped[..] else {
            panic!("{jwk}: {skipped:?}")
        };
        assert_eq!((skipped.index, &skipped.why), (1, &expected), "{jwk}");
        assert!(!skipped.to_string().is_empty());
    }
}

#[test]
fn flaws_of_json_inside_one_key_are_its_own() {
    let good = testing::public_jwk(Signer::Issuer, "ES256").to_string();
    let set = format!(r#"{{"keys":[{{"kty":"EC","kty":"RSA"}},{good},{{"a":1,"\u0061":2}}]}}"#);
    let (keys, skipped) = KeySet::parse(set.as_bytes()).unwrap();
    assert_eq!(keys.len(), 1);
    let duplicate = |index| SkippedKey {
        index,
        kid: None,
        why: SkipReason::NotStrictJson(JsonError::DuplicateMember),
    };
    assert_eq!(skipped, [duplicate(0), duplicate(2)]);
}

/// All of it is JSON by its grammar (RFC 8259 §6, §8.2), though no program could decode it.
#[test]
fn what_nobody_reads_is_no_harm() {
    let good = testing::public_jwk(Signer::Issuer, "ES256");
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for value in ["1e400", r#""\ud800""#, r#"{"a":1,"a":2}"#, &deep] {
        let mut key = good.to_string();
        key.insert_str(1, &format!("\"x-other\":{value},"));
        let set = format!("{{\"other\":{value},\"keys\":[{key},{good}]}}");
        let (keys, skipped) = KeySet::parse(set.as_bytes()).unwrap();
        assert_eq!((keys.len(), skipped), (2, vec![]), "{value}");
    }
    let set = format!("\u{feff}{{\"keys\":[{good}]}}");
    assert_eq!(KeySet::parse(set.as_bytes()).unwrap().0.len(), 1);
}

/// In a member that is read it is that key's alone.
#[test]
fn what_cannot_be_decoded_where_it_is_read_loses_one_key() {
    let good = testing::public_jwk(Signer::Issuer, "ES256");
    for (member, value) in [
        ("kid", r#""\ud800""#),
        ("kid", "1e400"),
        ("use", r#""\udc00""#),
        ("key_ops", r#"["\ud800"]"#),
        ("key_ops", "[1e400]"),
        ("alg", "{}"),
    ] {
        let mut key = good.to_string();
        key.insert_str(1, &format!("\"{member}\":{value},"));
        let set = format!("{{\"keys\":[{key},{good}]}}");
        let (keys, skipped) = KeySet::parse(set.as_bytes()).unwrap();
        assert_eq!(keys.len(), 1, "{key}");
        assert_eq!(skipped[0].why, SkipReason::MalformedMember(member), "{key}");
    }
}

#[test]
fn what_is_no_set() {
    for (text, expected) in [
        (
            "",
            KeySetError::NotJson(JsonError::Syntax { line: 1, column: 0 }),
        ),
        (
            "<html>",
            KeySetError::NotJson(JsonError::Syntax { line: 1, column: 1 }),
        ),
        (
            r#"{"keys":[]"#,
            KeySetError::NotJson(JsonError::Syntax {
                line: 1,
                column: 10,
            }),
        ),
        (
            r#"{"keys":[],"keys":[]}"#,
            KeySetError::NotJson(JsonError::DuplicateMember),
        ),
        ("[]", KeySetError::NotAKeySet),
        ("null", KeySetError::NotAKeySet),
        ("{}", KeySetError::NotAKeySet),
        (r#"{"keys":{}}"#, KeySetError::NotAKeySet),
        (r#"{"keys":null}"#, KeySetError::NotAKeySet),
        (r#"{"kty":"EC","crv":"P-256"}"#, KeySetError::NotAKeySet),
    ] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).unwrap_err(),
            expected,
            "{text}"
        );
    }
    assert_eq!(
        KeySet::parse(b"{\"keys\":[],\"a\":\"\xff\"}").unwrap_err(),
        KeySetError::NotJson(JsonError::NotUtf8)
    );
    let (keys, skipped) = KeySet::parse(br#"{"keys":[],"version":[1]}"#).unwrap();
    assert!(keys.is_empty() && skipped.is_empty());
}

#[test]
fn only_the_first_64_keys_are_looked_at() {
    let key = testing::public_jwk(Signer::Issuer, "EdDSA");
    let (keys, skipped) = parse(&json!({"keys": vec![key.clone(); 64]}));
    assert_eq!((keys.len(), skipped), (64, vec![]));
    let (keys, skipped) = parse(&json!({"keys": vec![key; 70]}));
    assert_eq!(keys.len(), 64);
    assert_eq!(
        skipped,
        [SkippedKey {
            index: 64,
            kid: None,
            why: SkipReason::TooManyKeys { more: 6 }
        }]
    );
}

#[test]
fn a_kid_is_logged_harmlessly() {
    let (_, skipped) = parse(&json!({"keys": [{"kid": "a\n\u{1b}[2J\"", "kty": "oct"}]}));
    assert_eq!(
        skipped[0].to_string(),
        r#"key 0 (kid "a\n\u{1b}[2J\"") is not used: it is symmetric"#
    );
}

/// The kids that a lookup finds, in order.
fn found<'a>(
    keys: &'a KeySet,
    kid: Option<&str>,
    alg: Algorithm,
) -> Result<Vec<Option<&'a str>>, &'static str> {
    match keys.lookup(kid, alg) {
        Lookup::Fitting(keys) => Ok(keys.into_iter().map(VerificationKey::kid).collect()),
        Lookup::Mismatch => Err("mismatch"),
        Lookup::Unknown => Err("unknown"),
    }
}

#[test]
fn lookups() {
    let named = |alg: &str, kid: Option<&str>, for_alg: Option<&str>| {
        let mut jwk = testing::public_jwk(Signer::Issuer, alg);
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        if let Some(alg) = for_alg {
            jwk["alg"] = alg.into();
        }
        jwk
    };
    let (keys, skipped) = parse(&json!({"keys": [
        named("RS256", Some("entra"), None),
        named("RS256", Some("pss"), Some("PS256")),
        named("ES256", Some("twice"), Some("ES256")),
        named("EdDSA", Some("twice"), Some("Ed25519")),
        named("ES256", Some("twice"), None),
        named("ES256", None, None),
        named("ES384", Some(""), None),
    ]}));
    assert_eq!(skipped, []);
    use Algorithm::*;
    for (kid, alg, expected) in [
        (Some("entra"), Rs256, Ok(vec![Some("entra")])),
        (Some("entra"), Rs512, Ok(vec![Some("entra")])),
        (Some("entra"), Ps256, Ok(vec![Some("entra")])),
        (Some("entra"), Es256, Err("mismatch")),
        (Some("pss"), Ps256, Ok(vec![Some("pss")])),
        (Some("pss"), Ps384, Err("mismatch")),
        (Some("pss"), Rs256, Err("mismatch")),
        (Some("twice"), Es256, Ok(vec![Some("twice"), Some("twice")])),
        (Some("twice"), EdDsa, Ok(vec![Some("twice")])),
        (Some("twice"), Es384, Err("mismatch")),
        (Some("Entra"), Rs256, Err("unknown")),
        (Some("entra "), Rs256, Err("unknown")),
        (Some("other"), Rs256, Err("unknown")),
        // An empty kid is one, and is not the absent one.
        (Some(""), Es384, Ok(vec![Some("")])),
        (Some(""), Es256, Err("mismatch")),
        (None, Es256, Ok(vec![Some("twice"), Some("twice"), None])),
        (None, Rs256, Ok(vec![Some("entra")])),
        (None, Ps256, Ok(vec![Some("entra"), Some("pss")])),
        (None, Es256k, Err("unknown")),
    ] {
        assert_eq!(found(&keys, kid, alg), expected, "{kid:?} {alg:?}");
    }
    assert_eq!(found(&KeySet::default(), None, Es256), Err("unknown"));
    assert_eq!(found(&KeySet::default(), Some("a"), Es256), Err("unknown"));
}

/// RFC 7517 §4.5: `kid` is optional.
#[test]
fn a_token_with_a_kid_may_be_by_a_key_of_a_set_without_any() {
    use Algorithm::*;
    let bare = |alg: &str| testing::public_jwk(Signer::Issuer, alg);
    let (keys, _) = parse(&json!({"keys": [bare("ES256"), bare("RS256"), bare("ES256")]}));
    assert_eq!(found(&keys, Some("a"), Es256), Ok(vec![None, None]));
    assert_eq!(found(&keys, Some("a"), Ps256), Ok(vec![None]));
    assert_eq!(found(&keys, None, Es256), Ok(vec![None, None]));
    assert_eq!(found(&keys, Some("a"), EdDsa), Err("unknown"));
    // One key that has a name is enough: the issuer names its keys, and this is none of them.
    let mut named = bare("EdDSA");
    named["kid"] = json!("b");
    let (keys, _) = parse(&json!({"keys": [bare("ES256"), named]}));
    assert_eq!(found(&keys, Some("a"), Es256), Err("unknown"));
    assert_eq!(found(&keys, None, Es256), Ok(vec![None]));
}

/// Ory Hydra 2.3 changes it from answer to answer.
#[test]
fn the_order_of_a_set_is_no_news() {
    let key = |alg: &str, kid: &str| {
        let mut jwk = testing::public_jwk(Signer::Issuer, alg);
        jwk["kid"] = json!(kid);
        jwk
    };
    let (a, b, c) = (key("ES256", "a"), key("RS256", "b"), key("EdDSA", "c"));
    let mut next = 0;
    let mut old = parse(&json!({"keys": [a, b, c]})).0;
    assert!(!old.succeed(&KeySet::default(), &mut next));
    let ids = |set: &KeySet, kids: [&str; 3]| {
        kids.map(|kid| {
            set.keys
                .iter()
                .find(|key| key.kid() == Some(kid))
                .unwrap()
                .id
        })
    };
    let before = ids(&old, ["a", "b", "c"]);
    let mut new = parse(&json!({"keys": [c, a, b]})).0;
    assert!(new.succeed(&old, &mut next));
    assert_eq!((ids(&new, ["a", "b", "c"]), next), (before, 3));
    // A key that stands there twice in the place of another is news.
    let mut twice = parse(&json!({"keys": [a, a, b]})).0;
    assert!(!twice.succeed(&new, &mut next));
}

#[test]
fn a_leading_zero_of_the_modulus_is_no_harm() {
    let n = testing::public_jwk(Signer::Issuer, "RS256")["n"]
        .as_str()
        .unwrap()
        .to_owned();
    let padded = [vec![0], testing::decode(&n)].concat();
    let (keys, _) = parse(&json!({"keys": [jwk("RS256", "n", json!(testing::encode(&padded)))]}));
    let signature = testing::sign(Signer::Issuer, "RS256", b"message");
    assert!(keys.keys[0].verify(&Portable, Algorithm::Rs256, b"message", &signature));
}

#[test]
fn a_key_verifies_for_its_own_algorithm_only() {
    let (keys, _) = parse(&json!({"keys": [jwk("RS256", "alg", json!("PS256"))]}));
    for (alg, good) in [(Algorithm::Rs256, false), (Algorithm::Ps256, true)] {
        let signature = testing::sign(Signer::Issuer, alg.name(), b"message");
        assert_eq!(
            keys.keys[0].verify(&Portable, alg, b"message", &signature),
            good
        );
    }
}

/// RFC 7517 appendix A: public, private and symmetric keys.
#[test]
fn examples_of_rfc_7517() {
    let sets: Value = serde_json::from_str(include_str!("rfc7517.json")).unwrap();
    let kid = |text: &str| Some(format!("\"{text}\""));
    let (keys, skipped) = parse(&sets["a1"]);
    assert_eq!(
        found(&keys, Some("2011-04-29"), Algorithm::Rs256),
        Ok(vec![Some("2011-04-29")])
    );
    assert_eq!(
        skipped,
        [SkippedKey {
            index: 0,
            kid: kid("1"),
            why: SkipReason::NotForSignatures
        }]
    );
    let (keys, skipped) = parse(&sets["a2"]);
    assert!(keys.is_empty());
    assert_eq!(
        skipped,
        [
            SkippedKey {
                index: 0,
                kid: kid("1"),
                why: SkipReason::NotForSignatures
            },
            SkippedKey {
                index: 1,
                kid: kid("2011-04-29"),
                why: SkipReason::Private
            },
        ]
    );
    let (keys, skipped) = parse(&sets["a3"]);
    assert!(keys.is_empty());
    assert!(skipped.iter().all(|key| key.why == SkipReason::Symmetric));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = KeySet::parse(&bytes);
    }

    /// Any member of a sound set changed to anything: no panic, and each key is used or named.
    #[test]
    fn no_member_panics(
        index in 0..Algorithm::ALL.len(),
        member in prop::sample::select(vec!["kty", "crv", "x", "y", "n", "e", "pub", "kid", "use", "alg", "key_ops"]),
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..520).prop_map(|bytes| json!(testing::encode(&bytes))),
            ".*".prop_map(Value::from),
            prop::sample::select(vec![json!(null), json!(1), json!([]), json!({}), json!(["verify"])]),
            prop::sample::select(vec!["RSA", "EC", "OKP", "AKP", "oct", "P-256", "P-384", "secp256k1", "Ed25519", "RS256", "AQAB"])
                .prop_map(Value::from),
        ],
    ) {
        let mut set = testing::key_set();
        set["keys"][index][member] = value;
        let (keys, skipped) = parse(&set);
        prop_assert_eq!(skipped.len(), Algorithm::ALL.len().saturating_sub(keys.len()));
    }

    #[test]
    fn no_mutation_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut set = testing::key_set().to_string().into_bytes();
        let at = at.index(set.len());
        set[at] = byte;
        if let Ok((keys, skipped)) = KeySet::parse(&set) {
            prop_assert!(keys.len().saturating_add(skipped.len()) <= Algorithm::ALL.len());
        }
    }
}
