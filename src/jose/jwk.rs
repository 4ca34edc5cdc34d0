//! JWK sets (RFC 7517 §5): bytes to the keys that can verify a signature.
//!
//! Real sets hold keys for encryption, of types to come, and mistakes. One such key is skipped with
//! its reason, and the rest is used; only a document that is no set at all is refused.

mod roca;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use crate::escape::escaped;
use crate::jose::jws::MAX_KID_BYTES;
use crate::jose::signature::{Algorithm, KeyError, KeyType, PublicKey, SignatureVerifier};
use crate::json::{Elements, Json, JsonError, Members};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The most keys of a set that are looked at, from its beginning.
pub const MAX_KEYS: usize = 64;
/// The most `key_ops` that one key can have: RFC 7517 §4.3 knows eight.
const MAX_KEY_OPS: usize = 64;

/// Tells a key of an issuer from all others that it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(u64);

/// A public key, and what it may verify.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    id: KeyId,
    kid: Option<String>,
    /// The one algorithm it is for; all of its type where the JWK has no `alg`, as Entra's.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

impl VerificationKey {
    /// The id that it is remembered by.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms that it verifies.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let every = Algorithm::ALL.iter().copied();
        every.filter(|alg| self.fits(*alg))
    }

    /// Returns whether `kty`, `crv` and `alg` of the key let it verify signatures of `alg` (RFC 8725 §3.1:
    /// the key decides, not the token).
    pub fn fits(&self, alg: Algorithm) -> bool {
        self.key.key_type() == alg.key_type() && self.algorithm.is_none_or(|own| own == alg)
    }

    /// Returns whether the signature is by this key, and the key fits.
    pub fn verify(
        &self,
        verifier: &dyn SignatureVerifier,
        alg: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.fits(alg) && verifier.verify(alg, &self.key, message, signature)
    }

    /// Returns whether both are the same but for their ids.
    fn is(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.key == other.key
    }
}

/// The usable keys of one issuer, in the order of its set.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

/// The keys that a set has for a token.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// One key or more to try.
    Fitting(Vec<&'a VerificationKey>),
    /// The set has the `kid`, but not for this algorithm.
    Mismatch,
    /// No such `kid`; or the token has none, and no key fits.
    Unknown,
}

impl KeySet {
    /// Reads a set. Whether one without a usable key will do is the caller's to say; so is the
    /// bound on its size in bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        let Elements { first, more } = elements(bytes)?;
        let mut keys = Vec::with_capacity(first.len());
        let mut skipped = Vec::new();
        for (index, element) in first.into_iter().enumerate() {
            let mut skip = |kid, why| skipped.push(SkippedKey { index, kid, why });
            match element.members() {
                Err(error) => skip(None, SkipReason::NotStrictJson(error)),
                Ok(None) => skip(None, SkipReason::NotAnObject),
                Ok(Some(members)) => match Jwk(&members).verification_key() {
                    Ok(key) => keys.push(VerificationKey {
                        id: KeyId(u64::try_from(index).unwrap_or(u64::MAX)),
                        ..key
                    }),
                    Err(why) => {
                        let kid = Jwk(&members).text("kid").ok().flatten();
                        skip(kid.as_deref().map(escaped), why);
                    }
                },
            }
        }
        if more > 0 {
            skipped.push(SkippedKey {
                index: MAX_KEYS,
                kid: None,
                why: SkipReason::TooManyKeys { more },
            });
        }
        Ok((Self { keys }, skipped))
    }

    /// The usable keys, in the order of the set.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// Returns whether it has this key.
    pub fn has(&self, id: KeyId) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    /// Gives its keys the ids that they have in `old`, and ids from `next` on to those that are
    /// new. `true` if neither set has a key that the other has not: their order says nothing, and
    /// some servers change it with each answer.
    pub(crate) fn succeed(&mut self, old: &Self, next: &mut u64) -> bool {
        let has = |key: &VerificationKey| self.keys.iter().any(|own| own.is(key));
        let mut same = old.keys.iter().all(has);
        for key in &mut self.keys {
            key.id = match old.keys.iter().find(|other| other.is(key)) {
                Some(known) => known.id,
                None => {
                    same = false;
                    *next = next.wrapping_add(1);
                    KeyId(*next)
                }
            };
        }
        same
    }

    /// The names of its keys, each with an algorithm that it fits.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Algorithm)> {
        self.keys
            .iter()
            .filter_map(|key| Some((key.kid()?, key.algorithms().next()?)))
    }

    /// The number of usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys for a token with this `kid` and `alg`. A token without `kid` may be by any key that
    /// fits, and so may any token where no key of the set has a `kid`, which RFC 7517 §4.5 makes
    /// optional. Else one with a `kid` is by a key that has it.
    pub fn lookup(&self, kid: Option<&str>, alg: Algorithm) -> Lookup<'_> {
        let kid = kid.filter(|_| self.keys.iter().any(|key| key.kid.is_some()));
        let named = || {
            self.keys
                .iter()
                .filter(|key| kid.is_none() || key.kid() == kid)
        };
        let fitting: Vec<_> = named().filter(|key| key.fits(alg)).collect();
        if !fitting.is_empty() {
            Lookup::Fitting(fitting)
        } else if kid.is_some() && named().next().is_some() {
            Lookup::Mismatch
        } else {
            Lookup::Unknown
        }
    }
}

/// Why bytes are no JWK set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetError {
    /// Not strict JSON on its top level.
    NotJson(JsonError),
    /// Not an object with an array `keys`.
    NotAKeySet,
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => error.fmt(f),
            Self::NotAKeySet => f.write_str("not a JSON object with an array \"keys\""),
        }
    }
}

impl std::error::Error for KeySetError {}

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its `kid`, escaped and cut for logs.
    pub kid: Option<String>,
    /// Why.
    pub why: SkipReason,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.index)?;
        if let Some(kid) = &self.kid {
            write!(f, " (kid {kid})")?;
        }
        write!(f, " is not used: {}", self.why)
    }
}

/// Why a key is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// A flaw inside it: a duplicate member.
    NotStrictJson(JsonError),
    /// Not a JSON object.
    NotAnObject,
    /// A member that it needs is absent.
    MissingMember(&'static str),
    /// A member is not of its type or length, or not canonical base64url without padding.
    MalformedMember(&'static str),
    /// A symmetric key (`oct`): whoever can check could also sign.
    Symmetric,
    /// A private key: it is nobody's secret any more.
    Private,
    /// A `kty` other than `RSA`, `EC`, `OKP` and `AKP`.
    UnknownKeyType,
    /// A `crv` that is not supported.
    UnknownCurve,
    /// A `use` other than `sig`.
    NotForSignatures,
    /// `key_ops` without `verify`.
    NotForVerification,
    /// An `alg` that is not a supported signature algorithm.
    UnknownAlgorithm,
    /// An `alg` that is for another type of key or curve.
    AlgorithmMismatch,
    /// The numbers are no sound key.
    Unsound(KeyError),
    /// An RSA key whose private key can be computed (CVE-2017-15361).
    Roca,
    /// The set has `more` keys behind the first [`MAX_KEYS`].
    TooManyKeys {
        /// Their number.
        more: usize,
    },
}

impl SkipReason {
    /// Returns whether something is wrong with the key, or it is only for another purpose.
    pub const fn is_fault(&self) -> bool {
        !matches!(self, Self::NotForSignatures | Self::NotForVerification)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStrictJson(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("it is not a JSON object"),
            Self::MissingMember(name) => write!(f, "it has no {name}"),
            Self::MalformedMember(name) => write!(f, "its {name} is malformed"),
            Self::Symmetric => f.write_str("it is symmetric"),
            Self::Private => f.write_str("it is a private key"),
            Self::UnknownKeyType => f.write_str("its kty is not RSA, EC, OKP or AKP"),
            Self::UnknownCurve => f.write_str("its crv is not supported"),
            Self::NotForSignatures => f.write_str("its use is not sig"),
            Self::NotForVerification => f.write_str("its key_ops are without verify"),
            Self::UnknownAlgorithm => f.write_str("its alg is not a supported signature algorithm"),
            Self::AlgorithmMismatch => f.write_str("its alg is for another type of key"),
            Self::Unsound(KeyError::ModulusTooSmall) => {
                f.write_str("its modulus has less than 2048 bits")
            }
            Self::Unsound(KeyError::ModulusTooLarge) => {
                f.write_str("its modulus has more than 4096 bits")
            }
            Self::Unsound(KeyError::Exponent) => f.write_str("its exponent is not 65537"),
            Self::Unsound(KeyError::Invalid) => {
                f.write_str("it is no point of its curve, or no RSA modulus")
            }
            Self::Roca => f.write_str("its modulus is weak (ROCA, CVE-2017-15361)"),
            Self::TooManyKeys { more } => {
                write!(
                    f,
                    "the set has {more} more than the {MAX_KEYS} that are looked at"
                )
            }
        }
    }
}

/// The first [`MAX_KEYS`] elements of the array `keys`, and how many more it has. Other members of
/// the set are passed over.
fn elements(bytes: &[u8]) -> Result<Elements<'_>, KeySetError> {
    let members = Json::marked_document(bytes).and_then(Json::members);
    let members = members.map_err(KeySetError::NotJson)?;
    let keys = members.and_then(|members| members.get("keys"));
    let keys = keys.ok_or(KeySetError::NotAKeySet)?;
    let elements = keys.elements(MAX_KEYS).map_err(KeySetError::NotJson)?;
    elements.ok_or(KeySetError::NotAKeySet)
}

/// The members of one JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2, RFC 9964 §3).
#[derive(Clone, Copy)]
struct Jwk<'a>(&'a Members<'a>);

impl<'a> Jwk<'a> {
    fn verification_key(self) -> Result<VerificationKey, SkipReason> {
        let kid = self.text("kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(SkipReason::MalformedMember("kid"));
        }
        let key_type = self.key_type()?;
        self.is_for_verification()?;
        let algorithm = match self.text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(&name).ok_or(SkipReason::UnknownAlgorithm)?),
        };
        if algorithm.is_some_and(|alg| alg.key_type() != key_type) {
            return Err(SkipReason::AlgorithmMismatch);
        }
        Ok(VerificationKey {
            id: KeyId(0),
            kid: kid.map(Cow::into_owned),
            algorithm,
            key: self.public_key(key_type)?,
        })
    }

    fn text(self, name: &'static str) -> Result<Option<Cow<'a, str>>, SkipReason> {
        self.0
            .get(name)
            .map(|value| value.string().ok_or(SkipReason::MalformedMember(name)))
            .transpose()
    }

    fn required(self, name: &'static str) -> Result<Cow<'a, str>, SkipReason> {
        self.text(name)?.ok_or(SkipReason::MissingMember(name))
    }

    fn bytes(self, name: &'static str) -> Result<Vec<u8>, SkipReason> {
        let text = self.required(name)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text.as_ref())
            .map_err(|_| SkipReason::MalformedMember(name))?;
        if bytes.is_empty() {
            return Err(SkipReason::MalformedMember(name));
        }
        Ok(bytes)
    }

    /// Bytes of one length: leading zeros count (RFC 7518 §6.2.1.2).
    fn fixed_bytes(self, name: &'static str, length: usize) -> Result<Vec<u8>, SkipReason> {
        let bytes = self.bytes(name)?;
        if bytes.len() != length {
            return Err(SkipReason::MalformedMember(name));
        }
        Ok(bytes)
    }

    fn key_type(self) -> Result<KeyType, SkipReason> {
        match self.required("kty")?.as_ref() {
            "RSA" => Ok(KeyType::Rsa),
            "EC" => match self.required("crv")?.as_ref() {
                "P-256" => Ok(KeyType::P256),
                "P-384" => Ok(KeyType::P384),
                "P-521" => Ok(KeyType::P521),
                "secp256k1" => Ok(KeyType::Secp256k1),
                _ => Err(SkipReason::UnknownCurve),
            },
            "OKP" => match self.required("crv")?.as_ref() {
                "Ed25519" => Ok(KeyType::Ed25519),
                _ => Err(SkipReason::UnknownCurve),
            },
            // Its `alg` is required, and decides (RFC 9964 §3).
            "AKP" => match self.required("alg")?.as_ref() {
                "ML-DSA-44" => Ok(KeyType::MlDsa44),
                "ML-DSA-65" => Ok(KeyType::MlDsa65),
                "ML-DSA-87" => Ok(KeyType::MlDsa87),
                _ => Err(SkipReason::UnknownAlgorithm),
            },
            "oct" => Err(SkipReason::Symmetric),
            _ => Err(SkipReason::UnknownKeyType),
        }
    }

    fn is_for_verification(self) -> Result<(), SkipReason> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(SkipReason::NotForSignatures);
        }
        if let Some(operations) = self.0.get("key_ops") {
            let elements = operations.elements(MAX_KEY_OPS).ok().flatten();
            let operations: Vec<Cow<'_, str>> = elements
                .filter(|elements| elements.more == 0)
                .and_then(|elements| elements.first.into_iter().map(Json::string).collect())
                .ok_or(SkipReason::MalformedMember("key_ops"))?;
            if !operations.iter().any(|operation| operation == "verify") {
                return Err(SkipReason::NotForVerification);
            }
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]
            .iter()
            .any(|name| self.0.get(name).is_some())
        {
            return Err(SkipReason::Private);
        }
        Ok(())
    }

    fn public_key(self, key_type: KeyType) -> Result<PublicKey, SkipReason> {
        match key_type {
            KeyType::Rsa => {
                let modulus = self.bytes("n")?;
                let key = PublicKey::rsa(&modulus, &self.bytes("e")?);
                if key.is_ok() && roca::has_its_mark(&modulus) {
                    return Err(SkipReason::Roca);
                }
                key
            }
            KeyType::P256 => PublicKey::p256(&self.point(32)?),
            KeyType::P384 => PublicKey::p384(&self.point(48)?),
            KeyType::P521 => PublicKey::p521(&self.point(66)?),
            KeyType::Secp256k1 => PublicKey::secp256k1(&self.point(32)?),
            KeyType::Ed25519 => PublicKey::ed25519(&self.fixed_bytes("x", 32)?),
            KeyType::MlDsa44 => PublicKey::ml_dsa_44(&self.fixed_bytes("pub", 1312)?),
            KeyType::MlDsa65 => PublicKey::ml_dsa_65(&self.fixed_bytes("pub", 1952)?),
            KeyType::MlDsa87 => PublicKey::ml_dsa_87(&self.fixed_bytes("pub", 2592)?),
        }
        .map_err(SkipReason::Unsound)
    }

    /// Both coordinates as an uncompressed point (SEC 1 §2.3.3).
    fn point(self, length: usize) -> Result<Vec<u8>, SkipReason> {
        let mut point = vec![4];
        point.append(&mut self.fixed_bytes("x", length)?);
        point.append(&mut self.fixed_bytes("y", length)?);
        Ok(point)
    }
}
