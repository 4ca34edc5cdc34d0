use jwt_simple::algorithms::{P256PublicKey, P384PublicKey, RSAPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::jose::jwk::KeySet;
use crate::testing::{self, Signer};

#[test]
fn names_are_read_back() {
    for &alg in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
    }
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    for name in [
        "none", "None", "NONE", "HS256", "HS384", "HS512", "rs256", "RS1", "ES521", "Ed448",
        "eddsa", "", "RS256 ", "RSA-OAEP", "A128GCM", "dir",
    ] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    alg: String,
    jwk: Value,
    token: String,
    good: bool,
}

/// Examples of the RFCs, and signatures by OpenSSL: good ones in every spelling that is allowed,
/// and those that only resemble one.
#[test]
fn vectors_of_others() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 80);
    for vector in vectors {
        let set = serde_json::json!({ "keys": [vector.jwk] }).to_string();
        let (keys, skipped) = KeySet::parse(set.as_bytes()).unwrap();
        assert_eq!(skipped, [], "{}", vector.name);
        let alg = Algorithm::from_name(&vector.alg).unwrap();
        let crate::jose::jwk::Lookup::Fitting(keys) = keys.lookup(None, alg) else {
            panic!("{}", vector.name);
        };
        let (input, signature) = vector.token.rsplit_once('.').unwrap();
        let signature = testing::decode(signature);
        assert_eq!(
            keys[0].verify(&Portable, alg, input.as_bytes(), &signature),
            vector.good,
            "{}",
            vector.name
        );
    }
}

fn public_key(signer: Signer, alg: Algorithm) -> PublicKey {
    let jwk = testing::public_jwk(signer, alg.name());
    let bytes = |name: &str| testing::decode(jwk[name].as_str().unwrap());
    let point = || [vec![4], bytes("x"), bytes("y")].concat();
    match alg.key_type() {
        KeyType::Rsa => PublicKey::rsa(&bytes("n"), &bytes("e")),
        KeyType::P256 => PublicKey::p256(&point()),
        KeyType::P384 => PublicKey::p384(&point()),
        KeyType::P521 => PublicKey::p521(&point()),
        KeyType::Secp256k1 => PublicKey::secp256k1(&point()),
        KeyType::Ed25519 => PublicKey::ed25519(&bytes("x")),
        KeyType::MlDsa44 => PublicKey::ml_dsa_44(&bytes("pub")),
        KeyType::MlDsa65 => PublicKey::ml_dsa_65(&bytes("pub")),
        KeyType::MlDsa87 => PublicKey::ml_dsa_87(&bytes("pub")),
    }
    .unwrap()
}

/// One signature, presented under every algorithm to every key: one pair is right.
#[test]
fn only_the_algorithm_and_the_key_of_the_signer_fit() {
    let mut keys = Vec::new();
    for signer in [Signer::Issuer, Signer::Stranger] {
        keys.extend(
            Algorithm::ALL
                .iter()
                .map(|&alg| (signer, public_key(signer, alg))),
        );
    }
    for &signed_with in Algorithm::ALL {
        let signature = testing::sign(Signer::Issuer, signed_with.name(), b"message");
        for &alg in Algorithm::ALL {
            for (signer, key) in &keys {
                let right = alg == signed_with
                    && *signer == Signer::Issuer
                    && key.key_type() == alg.key_type();
                assert_eq!(
                    Portable.verify(alg, key, b"message", &signature),
                    right,
                    "signed with {signed_with:?}, taken for {alg:?}, {:?} key of {signer:?}",
                    key.key_type()
                );
                if right {
                    assert!(!Portable.verify(alg, key, b"massage", &signature));
                    assert!(!Portable.verify(alg, key, b"", &signature));
                }
            }
        }
    }
}

#[test]
fn signatures_of_any_length_are_refused_without_a_panic() {
    for &alg in Algorithm::ALL {
        let key = public_key(Signer::Issuer, alg);
        for length in [
            0, 1, 31, 32, 63, 64, 65, 95, 96, 97, 128, 131, 132, 133, 255, 256, 257, 512, 2420,
            3309, 4627, 4096,
        ] {
            for byte in [0, 1, 0x7f, 0xff] {
                assert!(
                    !Portable.verify(alg, &key, b"message", &vec![byte; length]),
                    "{alg:?} {length}"
                );
            }
        }
    }
}

#[test]
fn unsound_keys() {
    let e = [1, 0, 1];
    for (modulus, exponent, expected) in [
        (vec![0xff; 255], &e[..], KeyError::ModulusTooSmall),
        (
            [vec![0; 10], vec![0xff; 255]].concat(),
            &e,
            KeyError::ModulusTooSmall,
        ),
        // 2047 bits.
        (
            [vec![0x7f], vec![0xff; 255]].concat(),
            &e,
            KeyError::ModulusTooSmall,
        ),
        // 4097 bits.
        (
            [vec![1], vec![0xff; 512]].concat(),
            &e,
            KeyError::ModulusTooLarge,
        ),
        (vec![0xff; 100_000], &e, KeyError::ModulusTooLarge),
        (vec![0xfe; 256], &e, KeyError::Invalid),
        (vec![0xff; 256], &[3], KeyError::Exponent),
        (vec![0xff; 256], &[1], KeyError::Exponent),
        (vec![0xff; 256], &[], KeyError::Exponent),
        (vec![0xff; 256], &[0], KeyError::Exponent),
        (vec![0xff; 256], &[0xff; 256], KeyError::Exponent),
        (vec![], &e, KeyError::ModulusTooSmall),
        (vec![0; 256], &e, KeyError::ModulusTooSmall),
    ] {
        assert_eq!(
            PublicKey::rsa(&modulus, exponent).unwrap_err(),
            expected,
            "{} {exponent:?}",
            modulus.len()
        );
    }
    assert!(PublicKey::rsa(&[vec![0], vec![0xff; 256]].concat(), &[0, 1, 0, 1]).is_ok());

    type Construct = fn(&[u8]) -> Result<PublicKey, KeyError>;
    for (construct, length) in [
        (PublicKey::p256 as Construct, 32),
        (PublicKey::p384, 48),
        (PublicKey::p521, 66),
        (PublicKey::secp256k1, 32),
    ] {
        for point in [
            vec![],
            // The point at infinity.
            vec![0],
            vec![4; 2 * length + 1],
            [vec![4], vec![0; 2 * length]].concat(),
            [vec![4], vec![0xff; 2 * length]].concat(),
            vec![4; length],
            // The second coordinate is missing, or is one byte short.
            [vec![4], vec![1; length]].concat(),
            vec![4; 2 * length],
        ] {
            assert_eq!(
                construct(&point).unwrap_err(),
                KeyError::Invalid,
                "{point:?}"
            );
        }
    }
}

/// JWKs have both coordinates, so that of the spellings of SEC 1 §2.3.3 one is enough.
#[test]
fn points_in_another_spelling() {
    type Construct = fn(&[u8]) -> Result<PublicKey, KeyError>;
    for (alg, construct) in [
        (Algorithm::Es256, PublicKey::p256 as Construct),
        (Algorithm::Es384, PublicKey::p384),
        (Algorithm::Es512, PublicKey::p521),
        (Algorithm::Es256k, PublicKey::secp256k1),
    ] {
        let jwk = testing::public_jwk(Signer::Issuer, alg.name());
        let [x, y] = ["x", "y"].map(|name| testing::decode(jwk[name].as_str().unwrap()));
        let point = |first: u8| [&[first], x.as_slice(), &y].concat();
        assert!(construct(&point(4)).is_ok());
        let parity = y.last().unwrap() & 1;
        for other in [
            [&[2 + parity], x.as_slice()].concat(),
            point(2 + parity),
            point(6 + parity),
            point(0),
            point(4)[1..].to_vec(),
            [point(4), vec![0]].concat(),
            [&[4], y.as_slice(), &x].concat(),
        ] {
            assert_eq!(
                construct(&other).unwrap_err(),
                KeyError::Invalid,
                "{alg:?} {other:?}"
            );
        }
    }
}

#[test]
fn unsound_ed25519_keys() {
    const P: [u8; 32] = {
        let mut p = [0xff; 32];
        p[0] = 0xed;
        p[31] = 0x7f;
        p
    };
    let with = |first: u8, last: u8| {
        let mut key = P;
        key[0] = first;
        key[31] = last;
        key
    };
    let mut one = [0; 32];
    one[0] = 1;
    let mut negative_one = one;
    negative_one[31] = 0x80;
    let order_eight = |last| {
        let mut key = *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a";
        key[31] |= last;
        key
    };
    for (name, key) in [
        ("the neutral point", one),
        ("the neutral point with a sign", negative_one),
        ("order two", with(0xec, 0x7f)),
        ("order four", [0; 32]),
        ("order four, other sign", {
            let mut key = [0; 32];
            key[31] = 0x80;
            key
        }),
        ("order eight", order_eight(0)),
        ("order eight, other sign", order_eight(0x80)),
        ("p, which is zero", P),
        ("p and a sign", with(0xed, 0xff)),
        ("p + 1, which is one", with(0xee, 0x7f)),
        ("p + 3, which is three", with(0xf0, 0x7f)),
        ("not on the curve", {
            let mut key = [0; 32];
            key[0] = 2;
            key
        }),
        ("all ones", [0xff; 32]),
    ] {
        assert_eq!(
            PublicKey::ed25519(&key).unwrap_err(),
            KeyError::Invalid,
            "{name}"
        );
    }
    for length in [0, 31, 33, 64] {
        assert!(PublicKey::ed25519(&vec![5; length]).is_err());
    }
}

/// A verifier that is wrong in one way.
struct Wrong(fn(bool) -> bool);

impl SignatureVerifier for Wrong {
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        (self.0)(Portable.verify(alg, key, message, signature))
    }
}

#[test]
fn a_host_is_trusted_for_what_it_proves() {
    for &alg in Algorithm::ALL {
        let offered = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"].contains(&alg.name());
        assert_eq!(host::is_sound(alg, &Portable), offered, "{alg:?}");
        for wrong in [|_| true, |_| false, |good: bool| !good] {
            assert!(!host::is_sound(alg, &Wrong(wrong)), "{alg:?}");
        }
    }
}

/// Another library writes the same DER.
#[test]
fn hosts_are_asked_as_others_would() {
    for signer in [Signer::Issuer, Signer::Stranger] {
        let member = |alg: &str, name: &str| {
            testing::decode(testing::public_jwk(signer, alg)[name].as_str().unwrap())
        };
        let point = |alg| [vec![4], member(alg, "x"), member(alg, "y")].concat();
        let [p256, p384] = [point("ES256"), point("ES384")];
        let rsa = RSAPublicKey::from_components(&member("RS256", "n"), &[1, 0, 1]).unwrap();
        for (alg, theirs) in [
            (Algorithm::Rs256, rsa.to_der().unwrap()),
            (
                Algorithm::Es256,
                P256PublicKey::from_bytes(&p256).unwrap().to_der().unwrap(),
            ),
            (
                Algorithm::Es384,
                P384PublicKey::from_bytes(&p384).unwrap().to_der().unwrap(),
            ),
        ] {
            assert_eq!(public_key(signer, alg).encoded, theirs, "{alg:?}");
        }
    }

    // Numbers of every length, and with the first bit set or not.
    for length in 1..=32 {
        for first in [1, 0x7f, 0x80, 0xfe] {
            let number = |size: usize| {
                let mut number = vec![0; size - length];
                number.push(first);
                number.resize(size, 0x91);
                number
            };
            let raw = [number(32), vec![0x80; 32]].concat();
            let theirs = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
            assert_eq!(der::ecdsa_signature(&raw), theirs.as_bytes(), "{raw:?}");
            let raw = [vec![1; 48], number(48)].concat();
            let theirs = p384::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
            assert_eq!(der::ecdsa_signature(&raw), theirs.as_bytes(), "{raw:?}");
            let raw = [number(66), number(66)].concat();
            if let Ok(theirs) = p521::ecdsa::Signature::from_slice(&raw) {
                let theirs = theirs.to_der();
                assert_eq!(der::ecdsa_signature(&raw), theirs.as_bytes(), "{raw:?}");
            }
        }
    }
}

/// What OpenSSL makes of the key of RFC 7515 A.4.
#[test]
fn a_key_on_p521_in_der() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let rfc = vectors.iter().find(|vector| vector.name == "RFC 7515 A.4");
    let jwk = &rfc.unwrap().jwk;
    let [x, y] = ["x", "y"].map(|name| testing::decode(jwk[name].as_str().unwrap()));
    let key = PublicKey::p521(&[&[4], x.as_slice(), &y].concat()).unwrap();
    let start = [
        0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
        0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04,
    ];
    assert_eq!(key.encoded, [&start, x.as_slice(), &y].concat());
}

/// What a host is asked is what OpenSSL's tools read: the forms of RFC 5280 and RFC 3279.
#[test]
fn hosts_are_asked_in_der() {
    let key = public_key(Signer::Issuer, Algorithm::Es256);
    let raw = [vec![0x80; 32], vec![1; 32]].concat();
    let check = host::HostCheck::new(Algorithm::Es256, &key, &raw).unwrap();
    assert_eq!(check.hash, "SHA256");
    // SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING }
    assert_eq!(
        check.key[..27],
        [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
        ]
    );
    // Integers are signed: the first gets a zero.
    let der = [
        vec![0x30, 0x45, 0x02, 0x21, 0],
        raw[..32].to_vec(),
        vec![0x02, 0x20],
    ]
    .concat();
    assert_eq!(check.signature[..], [der, raw[32..].to_vec()].concat());

    let rsa = public_key(Signer::Issuer, Algorithm::Rs512);
    let check = host::HostCheck::new(Algorithm::Rs512, &rsa, b"any").unwrap();
    assert_eq!(
        (check.hash, &check.signature[..]),
        ("SHA512", b"any".as_slice())
    );
    // SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING { SEQUENCE { INTEGER … } } }
    assert_eq!(check.key[..4], [0x30, 0x82, 0x01, 0x22]);
    assert_eq!(
        check.key[4..19],
        [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0
        ]
    );

    for (alg, key, signature) in [
        (Algorithm::Ps256, &rsa, raw.as_slice()),
        (Algorithm::Rs256, &key, &raw),
        (Algorithm::Es256, &rsa, &raw),
        (Algorithm::Es256, &key, &raw[1..]),
        (Algorithm::Es256, &key, &[0; 64]),
        (
            Algorithm::EdDsa,
            &public_key(Signer::Issuer, Algorithm::EdDsa),
            &raw,
        ),
    ] {
        assert_eq!(host::HostCheck::new(alg, key, signature), None, "{alg:?}");
    }
}
