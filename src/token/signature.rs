//! Signatures: which algorithms exist, what a public key is, and whether a signature is by it.
//!
//! The mathematics is jwt-simple's. Its constructors build the keys, and so apply its policy: RSA
//! of 2048 to 4096 bits with an exponent of 65537, points on their curve and not at infinity,
//! Ed25519 points canonical and not of small order. Its `verify_token` is not used: it reads
//! header and claims once more by rules of its own, with a tolerance of 15 minutes. The signature
//! is checked by the library objects inside its keys.

#[cfg(test)]
mod tests;

use jwt_simple::JWTError;
use jwt_simple::algorithms::{
    Edwards25519PublicKey, K256PublicKey, MLDSAPublicKey, P256PublicKey, P384PublicKey,
    RSAPublicKey,
};
use k256::ecdsa::signature::Verifier as _;
use superboring::hash::MessageDigest;
use superboring::mldsa;
use superboring::pkey::{PKey, Public};
use superboring::rsa::Padding;
use superboring::sign::{RsaPssSaltlen, Verifier};

macro_rules! algorithms {
    ($( $(#[doc = $doc:literal])+ $variant:ident => $name:literal, $key_type:ident; )+) => {
        /// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3.2, RFC 9964 §4). All
        /// are asymmetric: HMAC and `none` cannot be expressed. ES512 is not among them, for want of
        /// P-521 in the library.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Algorithm { $( $(#[doc = $doc])+ $variant, )+ }

        impl Algorithm {
            /// Every algorithm.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The `alg` value, case-sensitive. `Ed25519` (RFC 9864 §2.2) is read as `EdDSA`, of
            /// which it is the only curve here.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$variant), )+
                    "Ed25519" => Some(Self::EdDsa),
                    _ => None,
                }
            }

            /// The `alg` value.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// The one type of key that it works with.
            pub const fn key_type(self) -> KeyType {
                match self { $( Self::$variant => KeyType::$key_type, )+ }
            }
        }
    };
}

algorithms! {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 => "RS256", Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 => "RS384", Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 => "RS512", Rsa;
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256 => "PS256", Rsa;
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    Ps384 => "PS384", Rsa;
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    Ps512 => "PS512", Rsa;
    /// ECDSA on P-256 with SHA-256.
    Es256 => "ES256", P256;
    /// ECDSA on P-384 with SHA-384.
    Es384 => "ES384", P384;
    /// ECDSA on secp256k1 with SHA-256.
    Es256k => "ES256K", Secp256k1;
    /// EdDSA on Ed25519.
    EdDsa => "EdDSA", Ed25519;
    /// ML-DSA with the parameters of category 2.
    MlDsa44 => "ML-DSA-44", MlDsa44;
    /// ML-DSA with the parameters of category 3.
    MlDsa65 => "ML-DSA-65", MlDsa65;
    /// ML-DSA with the parameters of category 5.
    MlDsa87 => "ML-DSA-87", MlDsa87;
}

/// `kty` in one with `crv` or, for ML-DSA, `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// EC on P-256.
    P256,
    /// EC on P-384.
    P384,
    /// EC on secp256k1.
    Secp256k1,
    /// OKP on Ed25519.
    Ed25519,
    /// AKP for ML-DSA-44.
    MlDsa44,
    /// AKP for ML-DSA-65.
    MlDsa65,
    /// AKP for ML-DSA-87.
    MlDsa87,
}

/// Why numbers are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// An RSA modulus below 2048 bits.
    ModulusTooSmall,
    /// An RSA modulus above 4096 bits.
    ModulusTooLarge,
    /// An RSA exponent other than 65537.
    Exponent,
    /// An even modulus, a point that is not on the curve, or one of small order.
    Invalid,
}

/// A public key of a sound size and shape.
#[derive(Clone, Debug)]
pub struct PublicKey(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Rsa(Box<RsaKey>),
    P256(P256PublicKey),
    P384(P384PublicKey),
    Secp256k1(K256PublicKey),
    Ed25519(Edwards25519PublicKey),
    MlDsa(MLDSAPublicKey),
}

#[derive(Clone, Debug)]
struct RsaKey {
    key: PKey<Public>,
    /// Of the modulus, and so of every signature (RFC 8017 §8.1.2, §8.2.2), in bytes.
    size: usize,
}

impl PublicKey {
    /// From an RSA modulus and exponent, big-endian; leading zeros are ignored.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        if trim(exponent) != [1, 0, 1] {
            return Err(KeyError::Exponent);
        }
        let key = RSAPublicKey::from_components(modulus, exponent).map_err(|error| match error
            .downcast_ref::<JWTError>(
        ) {
            Some(JWTError::WeakKey) => KeyError::ModulusTooSmall,
            Some(JWTError::UnsupportedRSAModulus) => KeyError::ModulusTooLarge,
            _ => KeyError::Invalid,
        })?;
        let key = PKey::from_rsa(key.as_ref().clone()).map_err(|_| KeyError::Invalid)?;
        Ok(Self(Inner::Rsa(Box::new(RsaKey {
            key,
            size: trim(modulus).len(),
        }))))
    }

    /// From an uncompressed point (SEC 1 §2.3.3): the byte 4, then both coordinates.
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        P256PublicKey::from_bytes(point)
            .map(|key| Self(Inner::P256(key)))
            .map_err(|_| KeyError::Invalid)
    }

    /// As [`PublicKey::p256`].
    pub fn p384(point: &[u8]) -> Result<Self, KeyError> {
        P384PublicKey::from_bytes(point)
            .map(|key| Self(Inner::P384(key)))
            .map_err(|_| KeyError::Invalid)
    }

    /// As [`PublicKey::p256`].
    pub fn secp256k1(point: &[u8]) -> Result<Self, KeyError> {
        K256PublicKey::from_bytes(point)
            .map(|key| Self(Inner::Secp256k1(key)))
            .map_err(|_| KeyError::Invalid)
    }

    /// From the 32 bytes of RFC 8032 §5.1.2.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        Edwards25519PublicKey::from_bytes(bytes)
            .map(|key| Self(Inner::Ed25519(key)))
            .map_err(|_| KeyError::Invalid)
    }

    /// From the 1312 bytes of FIPS 204 §4.
    pub fn ml_dsa_44(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(mldsa::Algorithm::MlDsa44, bytes)
    }

    /// From the 1952 bytes of FIPS 204 §4.
    pub fn ml_dsa_65(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(mldsa::Algorithm::MlDsa65, bytes)
    }

    /// From the 2592 bytes of FIPS 204 §4.
    pub fn ml_dsa_87(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(mldsa::Algorithm::MlDsa87, bytes)
    }

    fn ml_dsa(parameters: mldsa::Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        MLDSAPublicKey::from_bytes(parameters, bytes)
            .map(|key| Self(Inner::MlDsa(key)))
            .map_err(|_| KeyError::Invalid)
    }

    /// What kind of key it is.
    pub fn key_type(&self) -> KeyType {
        match &self.0 {
            Inner::Rsa(_) => KeyType::Rsa,
            Inner::P256(_) => KeyType::P256,
            Inner::P384(_) => KeyType::P384,
            Inner::Secp256k1(_) => KeyType::Secp256k1,
            Inner::Ed25519(_) => KeyType::Ed25519,
            Inner::MlDsa(key) => match key.as_ref().algorithm() {
                mldsa::Algorithm::MlDsa44 => KeyType::MlDsa44,
                mldsa::Algorithm::MlDsa65 => KeyType::MlDsa65,
                mldsa::Algorithm::MlDsa87 => KeyType::MlDsa87,
            },
        }
    }
}

fn trim(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

/// Whether `signature` is by the holder of `key`, under `alg`, over `message`. `false` also where
/// the key is not for the algorithm.
///
/// Signatures have one length each; ECDSA's are `r` and `s` side by side (RFC 7518 §3.4), never
/// DER. Ed25519 refuses an `s` that is not reduced and an `R` of small order, and ignores
/// components of small order in the equation (RFC 8032 §5.1.7).
pub fn verify(alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    if alg.key_type() != key.key_type() {
        return false;
    }
    match &key.0 {
        Inner::Rsa(key) => rsa_scheme(alg)
            .is_some_and(|(padding, digest)| verify_rsa(key, padding, digest, message, signature)),
        Inner::P256(key) => p256::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| key.as_ref().verify(message, &signature).is_ok()),
        Inner::P384(key) => p384::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| key.as_ref().verify(message, &signature).is_ok()),
        // k256 takes the lower of the two possible `s` only, as Bitcoin does. RFC 8812 has no such
        // rule, and OpenSSL signs with either.
        Inner::Secp256k1(key) => {
            k256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                key.as_ref()
                    .verify(message, &signature.normalize_s())
                    .is_ok()
            })
        }
        Inner::Ed25519(key) => ed25519_compact::Signature::from_slice(signature)
            .is_ok_and(|signature| key.as_ref().verify(message, &signature).is_ok()),
        // With an empty context, as RFC 9964 §4 has it.
        Inner::MlDsa(key) => key.as_ref().verify(message, signature).is_ok(),
    }
}

fn rsa_scheme(alg: Algorithm) -> Option<(Padding, MessageDigest)> {
    match alg {
        Algorithm::Rs256 => Some((Padding::PKCS1, MessageDigest::sha256())),
        Algorithm::Rs384 => Some((Padding::PKCS1, MessageDigest::sha384())),
        Algorithm::Rs512 => Some((Padding::PKCS1, MessageDigest::sha512())),
        Algorithm::Ps256 => Some((Padding::PKCS1_PSS, MessageDigest::sha256())),
        Algorithm::Ps384 => Some((Padding::PKCS1_PSS, MessageDigest::sha384())),
        Algorithm::Ps512 => Some((Padding::PKCS1_PSS, MessageDigest::sha512())),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es256k
        | Algorithm::EdDsa
        | Algorithm::MlDsa44
        | Algorithm::MlDsa65
        | Algorithm::MlDsa87 => None,
    }
}

fn verify_rsa(
    key: &RsaKey,
    padding: Padding,
    digest: MessageDigest,
    message: &[u8],
    signature: &[u8],
) -> bool {
    if signature.len() != key.size {
        return false;
    }
    let Ok(mut verifier) = Verifier::new(digest, &key.key) else {
        return false;
    };
    verifier.set_rsa_padding(padding).is_ok()
        && verifier
            .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
            .is_ok()
        && verifier.update(message).is_ok()
        && matches!(verifier.verify(signature), Ok(true))
}
