//! Signatures: which algorithms exist, what a public key is, and whether a signature is by it.
//!
//! The mathematics is not ours, it is that of the RustCrypto libraries, and of `ed25519-dalek`, whose
//! numbers fit WebAssembly's. A host may offer to check signatures, too: both stand behind
//! [`SignatureVerifier`].

mod der;
pub mod host;
#[cfg(test)]
mod tests;

use ed25519_dalek::VerifyingKey as Ed25519PublicKey;
use ml_dsa::{EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use p256::ecdsa::signature::Verifier as _;
use p256::elliptic_curve::point::AffineCoordinates;
use rsa::BoxedUint;
use sha2::{Sha256, Sha384, Sha512};

macro_rules! algorithms {
    ($( $(#[doc = $doc:literal])+ $variant:ident => $name:literal, $key_type:ident; )+) => {
        /// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3.2, RFC 9964 §4). All
        /// are asymmetric: HMAC and `none` cannot be expressed.
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
    /// ECDSA on P-521 with SHA-512.
    Es512 => "ES512", P521;
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
    /// EC on P-521.
    P521,
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

/// The sizes of an RSA modulus that are accepted, in bits.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key of a sound size and shape.
#[derive(Clone, Debug)]
pub struct PublicKey {
    inner: Inner,
    /// SubjectPublicKeyInfo in DER (RFC 5280 §4.1) where hosts want it, else the key's own bytes.
    encoded: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Inner {
    Rsa(Box<rsa::PublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Secp256k1(Box<k256::ecdsa::VerifyingKey>),
    Ed25519(Box<Ed25519PublicKey>),
    MlDsa44(Box<ml_dsa::VerifyingKey<MlDsa44>>),
    MlDsa65(Box<ml_dsa::VerifyingKey<MlDsa65>>),
    MlDsa87(Box<ml_dsa::VerifyingKey<MlDsa87>>),
}

/// The same type and the same numbers.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key_type() == other.key_type() && self.encoded == other.encoded
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    /// From an RSA modulus and exponent, big-endian; leading zeros are ignored.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        if trim(exponent) != [1, 0, 1] {
            return Err(KeyError::Exponent);
        }
        let encoded = der::rsa_key(modulus, exponent);
        let number = BoxedUint::from_be_slice_vartime;
        let (modulus, exponent) = (number(trim(modulus)), number(&[1, 0, 1]));
        let key = rsa::PublicKey::new_with_size_limits(modulus, exponent, MODULUS_BITS).map_err(
            |error| {
                if matches!(error, rsa::Error::ModulusTooSmall) {
                    KeyError::ModulusTooSmall
                } else if matches!(error, rsa::Error::ModulusTooLarge) {
                    KeyError::ModulusTooLarge
                } else {
                    KeyError::Invalid
                }
            },
        )?;
        Ok(Self {
            inner: Inner::Rsa(Box::new(key)),
            encoded,
        })
    }

    /// From an uncompressed point (SEC 1 §2.3.3): the byte 4, then both coordinates.
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        let key = p256::ecdsa::VerifyingKey::from_affine(on_curve(point)?);
        Ok(Self {
            inner: Inner::P256(Box::new(key.map_err(|_| KeyError::Invalid)?)),
            encoded: der::p256_key(point),
        })
    }

    /// As [`PublicKey::p256`].
    pub fn p384(point: &[u8]) -> Result<Self, KeyError> {
        let key = p384::ecdsa::VerifyingKey::from_affine(on_curve(point)?);
        Ok(Self {
            inner: Inner::P384(Box::new(key.map_err(|_| KeyError::Invalid)?)),
            encoded: der::p384_key(point),
        })
    }

    /// As [`PublicKey::p256`].
    pub fn p521(point: &[u8]) -> Result<Self, KeyError> {
        let key = p521::ecdsa::VerifyingKey::from_affine(on_curve(point)?);
        Ok(Self {
            inner: Inner::P521(Box::new(key.map_err(|_| KeyError::Invalid)?)),
            encoded: der::p521_key(point),
        })
    }

    /// As [`PublicKey::p256`].
    pub fn secp256k1(point: &[u8]) -> Result<Self, KeyError> {
        let key = k256::ecdsa::VerifyingKey::from_affine(on_curve(point)?);
        let key = key.map_err(|_| KeyError::Invalid)?;
        Ok(Self::with_bytes(Inner::Secp256k1(Box::new(key)), point))
    }

    /// From the 32 bytes of RFC 8032 §5.1.2, in the one spelling that a point has.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let array = bytes.try_into().map_err(|_| KeyError::Invalid)?;
        let key = Ed25519PublicKey::from_bytes(array).map_err(|_| KeyError::Invalid)?;
        // The library takes coordinates that are not reduced, too.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != array {
            return Err(KeyError::Invalid);
        }
        Ok(Self::with_bytes(Inner::Ed25519(Box::new(key)), bytes))
    }

    /// From the 1312 bytes of FIPS 204 §4.
    pub fn ml_dsa_44(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(Inner::MlDsa44, bytes)
    }

    /// From the 1952 bytes of FIPS 204 §4.
    pub fn ml_dsa_65(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(Inner::MlDsa65, bytes)
    }

    /// From the 2592 bytes of FIPS 204 §4.
    pub fn ml_dsa_87(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::ml_dsa(Inner::MlDsa87, bytes)
    }

    fn ml_dsa<P: MlDsaParams>(
        inner: fn(Box<ml_dsa::VerifyingKey<P>>) -> Inner,
        bytes: &[u8],
    ) -> Result<Self, KeyError> {
        let encoded = EncodedVerifyingKey::<P>::try_from(bytes).map_err(|_| KeyError::Invalid)?;
        let key = Box::new(ml_dsa::VerifyingKey::decode(&encoded));
        Ok(Self::with_bytes(inner(key), bytes))
    }

    fn with_bytes(inner: Inner, bytes: &[u8]) -> Self {
        Self {
            inner,
            encoded: bytes.to_vec(),
        }
    }

    /// The kind of the key.
    pub fn key_type(&self) -> KeyType {
        match &self.inner {
            Inner::Rsa(_) => KeyType::Rsa,
            Inner::P256(_) => KeyType::P256,
            Inner::P384(_) => KeyType::P384,
            Inner::P521(_) => KeyType::P521,
            Inner::Secp256k1(_) => KeyType::Secp256k1,
            Inner::Ed25519(_) => KeyType::Ed25519,
            Inner::MlDsa44(_) => KeyType::MlDsa44,
            Inner::MlDsa65(_) => KeyType::MlDsa65,
            Inner::MlDsa87(_) => KeyType::MlDsa87,
        }
    }
}

/// An uncompressed point that fulfils the equation of its curve. Compressed ones are not taken: to
/// find their square root takes 50 KB of code, and JWKs have both coordinates (RFC 7518 §6.2.1).
fn on_curve<P>(point: &[u8]) -> Result<P, KeyError>
where
    P: AffineCoordinates,
    P::FieldRepr: for<'a> TryFrom<&'a [u8]>,
{
    let Some((4, coordinates)) = point.split_first() else {
        return Err(KeyError::Invalid);
    };
    let (x, y) = coordinates
        .split_at_checked(coordinates.len() / 2)
        .unwrap_or_default();
    let coordinate = |bytes| P::FieldRepr::try_from(bytes).map_err(|_| KeyError::Invalid);
    P::from_coordinates(&coordinate(x)?, &coordinate(y)?)
        .into_option()
        .ok_or(KeyError::Invalid)
}

fn trim(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

/// Checks signatures.
pub trait SignatureVerifier {
    /// Returns whether `signature` is by the holder of `key`, under `alg`, over `message`. `false` also
    /// where the key is not for the algorithm.
    ///
    /// Signatures have one length each; ECDSA's are `r` and `s` side by side (RFC 7518 §3.4), never
    /// DER. Ed25519 refuses an `s` that is not reduced, an `R` of small order, and components of small
    /// order in the equation (the one without a cofactor, which RFC 8032 §5.1.7 allows).
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool;
}

/// The verifier that needs no host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl SignatureVerifier for Portable {
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        if alg.key_type() != key.key_type() {
            return false;
        }
        match &key.inner {
            Inner::Rsa(key) => verify_rsa(alg, key, message, signature),
            Inner::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Inner::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Inner::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // k256 takes the lower of the two possible `s` only, as Bitcoin does. RFC 8812 has no
            // such rule, and OpenSSL signs with either.
            Inner::Secp256k1(key) => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature.normalize_s()).is_ok()),
            Inner::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Inner::MlDsa44(key) => verify_ml_dsa(key, message, signature),
            Inner::MlDsa65(key) => verify_ml_dsa(key, message, signature),
            Inner::MlDsa87(key) => verify_ml_dsa(key, message, signature),
        }
    }
}

/// A signature has the modulus's length (RFC 8017 §8.1.2, §8.2.2), and PSS a salt of the digest's.
fn verify_rsa(alg: Algorithm, key: &rsa::PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match alg {
        Algorithm::Rs256 => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
        Algorithm::Rs384 => key.pkcs1v15_verify::<Sha384>(message, signature).is_ok(),
        Algorithm::Rs512 => key.pkcs1v15_verify::<Sha512>(message, signature).is_ok(),
        Algorithm::Ps256 => key.pss_verify::<Sha256>(message, signature).is_ok(),
        Algorithm::Ps384 => key.pss_verify::<Sha384>(message, signature).is_ok(),
        Algorithm::Ps512 => key.pss_verify::<Sha512>(message, signature).is_ok(),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Es256k
        | Algorithm::EdDsa
        | Algorithm::MlDsa44
        | Algorithm::MlDsa65
        | Algorithm::MlDsa87 => false,
    }
}

/// With an empty context, as RFC 9964 §4 has it. Not made part of its caller, whose stack would be
/// as large for every other algorithm.
#[inline(never)]
fn verify_ml_dsa<P: MlDsaParams>(
    key: &ml_dsa::VerifyingKey<P>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    ml_dsa::Signature::try_from(signature)
        .is_ok_and(|signature| key.verify_with_context(message, b"", &signature))
}
