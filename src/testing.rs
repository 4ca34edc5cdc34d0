//! Fixed keys, and tokens that are signed with them, for the tests of every module.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use jwt_simple::algorithms::{MLDSAKeyPair, RSAKeyPair};
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value, json};
use superboring::hash::MessageDigest;
use superboring::mldsa;
use superboring::pkey::{PKey, Private};
use superboring::rsa::Padding;

use crate::jose::signature::Algorithm;

/// Which of the two fixed keys of each kind signs: the one in [`key_set`], or a stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// Its public keys are in [`key_set`].
    Issuer,
    /// Its public keys are in [`stranger_key_set`] under the same `kid`s.
    Stranger,
}

/// A compact JWS by the issuer, with `alg` put into the header unless it has one.
pub(crate) fn token(alg: &str, header: &Value, claims: &Value) -> String {
    token_by(Signer::Issuer, alg, header, claims)
}

/// As [`token`], signed by whom one likes.
pub(crate) fn token_by(signer: Signer, alg: &str, header: &Value, claims: &Value) -> String {
    let mut header = header.clone();
    if header.get("alg").is_none() {
        header["alg"] = alg.into();
    }
    token_of_bytes(
        signer,
        alg,
        header.to_string().as_bytes(),
        claims.to_string().as_bytes(),
    )
}

/// As [`token_by`], with header and payload byte for byte.
pub(crate) fn token_of_bytes(signer: Signer, alg: &str, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(signer, alg, input.as_bytes());
    format!("{input}.{}", encode(&signature))
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The other way round.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A JWK set with one key for each algorithm, whose `kid` is the name in lower case: `rs256`.
pub(crate) fn key_set() -> Value {
    key_set_of(Signer::Issuer)
}

/// Other keys under the `kid`s of [`key_set`].
pub(crate) fn stranger_key_set() -> Value {
    key_set_of(Signer::Stranger)
}

fn key_set_of(signer: Signer) -> Value {
    static SETS: OnceLock<[Value; 2]> = OnceLock::new();
    SETS.get_or_init(|| [Signer::Issuer, Signer::Stranger].map(new_key_set))[signer as usize]
        .clone()
}

fn new_key_set(signer: Signer) -> Value {
    let keys: Vec<Value> = Algorithm::ALL
        .iter()
        .map(|alg| {
            let mut jwk = public_jwk(signer, alg.name());
            jwk["kid"] = alg.name().to_lowercase().into();
            jwk["alg"] = alg.name().into();
            jwk["use"] = "sig".into();
            jwk
        })
        .collect();
    json!({ "keys": keys })
}

/// The members of a public JWK without `kid`, `use`, and `alg` unless it is required.
pub(crate) fn public_jwk(signer: Signer, alg: &str) -> Value {
    let ec = |crv: &str, point: &[u8]| {
        let (x, y) = point[1..].split_at(point.len() / 2);
        json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
    };
    match alg {
        "ES256" => ec(
            "P-256",
            p256(signer).verifying_key().to_sec1_point(false).as_bytes(),
        ),
        "ES384" => ec(
            "P-384",
            p384(signer).verifying_key().to_sec1_point(false).as_bytes(),
        ),
        "ES512" => ec(
            "P-521",
            p521(signer).verifying_key().to_sec1_point(false).as_bytes(),
        ),
        "ES256K" => ec(
            "secp256k1",
            k256(signer).verifying_key().to_sec1_point(false).as_bytes(),
        ),
        "EdDSA" | "Ed25519" => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&ed25519(signer).pk[..])})
        }
        "ML-DSA-44" | "ML-DSA-65" | "ML-DSA-87" => {
            let key = ml_dsa(signer, alg).public_key().to_bytes();
            json!({"kty": "AKP", "alg": alg, "pub": encode(&key)})
        }
        _ => {
            let key = rsa(signer).public_key().to_components();
            json!({"kty": "RSA", "n": encode(&key.n), "e": encode(&key.e)})
        }
    }
}

/// The raw signature; an `alg` that does not exist is signed as RS256.
pub(crate) fn sign(signer: Signer, alg: &str, message: &[u8]) -> Vec<u8> {
    match alg {
        "ES256" => {
            let signature: p256::ecdsa::Signature = p256(signer).sign(message);
            signature.to_bytes().to_vec()
        }
        "ES384" => {
            let signature: p384::ecdsa::Signature = p384(signer).sign(message);
            signature.to_bytes().to_vec()
        }
        "ES512" => {
            let signature: p521::ecdsa::Signature = p521(signer).sign(message);
            signature.to_bytes().to_vec()
        }
        "ES256K" => {
            let signature: k256::ecdsa::Signature = k256(signer).sign(message);
            signature.to_bytes().to_vec()
        }
        "EdDSA" | "Ed25519" => ed25519(signer).sk.sign(message, None).to_vec(),
        "ML-DSA-44" | "ML-DSA-65" | "ML-DSA-87" => {
            ml_dsa(signer, alg).as_ref().sign(message).unwrap()
        }
        "RS384" => sign_rsa(signer, Padding::PKCS1, MessageDigest::sha384(), message),
        "RS512" => sign_rsa(signer, Padding::PKCS1, MessageDigest::sha512(), message),
        "PS256" => sign_rsa(signer, Padding::PKCS1_PSS, MessageDigest::sha256(), message),
        "PS384" => sign_rsa(signer, Padding::PKCS1_PSS, MessageDigest::sha384(), message),
        "PS512" => sign_rsa(signer, Padding::PKCS1_PSS, MessageDigest::sha512(), message),
        _ => sign_rsa(signer, Padding::PKCS1, MessageDigest::sha256(), message),
    }
}

fn sign_rsa(signer: Signer, padding: Padding, digest: MessageDigest, message: &[u8]) -> Vec<u8> {
    let key: PKey<Private> = PKey::from_rsa(rsa(signer).as_ref().clone()).unwrap();
    let mut signer = superboring::sign::Signer::new(digest, &key).unwrap();
    signer.set_rsa_padding(padding).unwrap();
    signer.update(message).unwrap();
    signer.sign_to_vec().unwrap()
}

fn rsa(signer: Signer) -> &'static RSAKeyPair {
    static KEYS: OnceLock<[RSAKeyPair; 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        [
            include_str!("testing/rsa-a.pem"),
            include_str!("testing/rsa-b.pem"),
        ]
        .map(|pem| RSAKeyPair::from_pem(pem).unwrap())
    });
    &keys[signer as usize]
}

fn scalar<const N: usize>(signer: Signer) -> [u8; N] {
    match signer {
        Signer::Issuer => [1; N],
        Signer::Stranger => [2; N],
    }
}

fn p256(signer: Signer) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_bytes(&scalar::<32>(signer).into()).unwrap()
}

fn p384(signer: Signer) -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_bytes(&scalar::<48>(signer).into()).unwrap()
}

fn p521(signer: Signer) -> p521::ecdsa::SigningKey {
    // The order is shorter than its bytes.
    let mut scalar = scalar::<66>(signer);
    scalar[0] = 0;
    p521::ecdsa::SigningKey::from_bytes(&scalar.into()).unwrap()
}

fn k256(signer: Signer) -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_bytes(&scalar::<32>(signer).into()).unwrap()
}

fn ed25519(signer: Signer) -> KeyPair {
    KeyPair::from_seed(Seed::new(scalar(signer)))
}

fn ml_dsa(signer: Signer, alg: &str) -> MLDSAKeyPair {
    let parameters = match alg {
        "ML-DSA-44" => mldsa::Algorithm::MlDsa44,
        "ML-DSA-65" => mldsa::Algorithm::MlDsa65,
        _ => mldsa::Algorithm::MlDsa87,
    };
    MLDSAKeyPair::from_bytes(parameters, &scalar::<32>(signer)).unwrap()
}
