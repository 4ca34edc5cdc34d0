use serde_json::json;

use super::*;
use crate::keys::jwk::{KeySet, Lookup};
use crate::testing;

#[test]
fn every_algorithm_verifies() {
    let (keys, skipped) = KeySet::parse(testing::key_set().to_string().as_bytes()).unwrap();
    assert_eq!(skipped, []);
    for &alg in Algorithm::ALL {
        let kid = alg.name().to_lowercase();
        let token = testing::token(
            alg.name(),
            &json!({"kid": kid}),
            &json!({"iss": "i", "aud": "a", "exp": 1}),
        );
        let token = UnverifiedToken::parse(token.as_bytes(), 8192).unwrap();
        let Lookup::Fitting(fitting) = keys.lookup(token.unverified_kid(), alg) else {
            panic!("{kid}");
        };
        assert!(token.verify(fitting).is_ok(), "{kid}");
    }
}
