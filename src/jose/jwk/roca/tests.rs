use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::jwk::{KeySet, SkipReason};
use crate::testing::{self, Signer};

/// Of 2048, 3072 and 4096 bits, each of two primes that were made as the flawed library made them.
const MODULI: &str = include_str!("moduli.txt");

#[test]
fn moduli_of_the_flawed_library_are_told() {
    for modulus in MODULI.lines() {
        assert!(has_its_mark(&testing::decode(modulus)), "{modulus}");
    }
}

#[test]
fn such_keys_are_skipped_and_the_rest_is_used() {
    let ordinary = testing::public_jwk(Signer::Issuer, "RS256");
    let mut keys = vec![ordinary];
    for modulus in MODULI.lines() {
        keys.push(json!({"kty": "RSA", "kid": "weak", "e": "AQAB", "n": modulus}));
    }
    let set = json!({ "keys": keys }).to_string();
    let (keys, skipped) = KeySet::parse(set.as_bytes()).unwrap();
    assert_eq!(keys.len(), 1);
    let reasons: Vec<_> = skipped.iter().map(|key| &key.why).collect();
    assert_eq!(reasons, [&SkipReason::Roca; 3]);
    assert_eq!(
        skipped[0].to_string(),
        "key 1 (kid \"weak\") is not used: its modulus is weak (ROCA, CVE-2017-15361)"
    );
}

#[test]
fn primes() {
    let primes: Vec<u32> = (2..30).filter(|number| is_prime(*number)).collect();
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    assert_eq!(
        (3..=GREATEST).filter(|number| is_prime(*number)).count(),
        125
    );
}

proptest! {
    /// By chance it is one in 2^169.
    #[test]
    fn ordinary_moduli_are_not(
        modulus in prop::collection::vec(any::<u8>(), 256..=512)
    ) {
        prop_assert!(!has_its_mark(&modulus));
    }
}
