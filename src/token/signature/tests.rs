use super::*;

#[test]
fn names_are_read_back() {
    for &alg in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
    }
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    for name in [
        "none", "None", "HS256", "HS384", "HS512", "rs256", "RS1", "ES512", "Ed448", "eddsa", "",
        "RS256 ",
    ] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
}
