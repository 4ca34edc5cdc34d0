//! A key pair for tests, by jwt-simple.

use clap::ValueEnum;
use jwt_simple::prelude::{
    Claims, Duration, ECDSAP256KeyPairLike as _, ES256KeyPair, Ed25519KeyPair,
    EdDSAKeyPairLike as _, HeaderOptions, RS256KeyPair, RSAKeyPairLike as _,
};
use serde_json::{Map, Value};

use crate::Failure;

/// What the kid of a testing key begins with.
const PREFIX: &str = "mcp-auth-testing-";

/// Whether a key is one of `mcp-auth issue keys`, by its kid.
pub(crate) fn is_for_testing(kid: &str) -> bool {
    kid.starts_with(PREFIX)
}

/// What keys sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    Es256,
    Rs256,
    Eddsa,
}

/// A key pair with its kid.
pub(crate) enum Key {
    Es256(ES256KeyPair),
    Rs256(Box<RS256KeyPair>),
    Eddsa(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, Failure> {
        let failed = |error| Failure::Usage(format!("no key could be made: {error}"));
        let key = match algorithm {
            Algorithm::Es256 => Self::Es256(ES256KeyPair::generate()),
            Algorithm::Rs256 => {
                Self::Rs256(Box::new(RS256KeyPair::generate(2048).map_err(failed)?))
            }
            Algorithm::Eddsa => Self::Eddsa(Ed25519KeyPair::generate()),
        };
        let thumbprint = match &key {
            Self::Es256(pair) => pair.jwk_thumbprint(),
            Self::Rs256(pair) => pair.jwk_thumbprint(),
            Self::Eddsa(pair) => pair.jwk_thumbprint(),
        };
        let name: String = thumbprint.chars().take(12).collect();
        Ok(key.with_kid(&format!("{PREFIX}{name}")))
    }

    /// The key of a file of `issue keys`.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::Usage(format!(
                "--keys: {why}; make a file with `mcp-auth issue keys`"
            ))
        };
        let file: Value = serde_json::from_slice(json).map_err(|_| wrong("no JSON"))?;
        let private = file
            .get("private")
            .ok_or_else(|| wrong("no member `private`"))?;
        let jwk = private.to_string();
        let kind = |name| {
            private
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let key = match (kind("kty"), kind("crv")) {
            ("EC", "P-256") => ES256KeyPair::from_jwk(&jwk).map(Self::Es256),
            ("OKP", "Ed25519") => Ed25519KeyPair::from_jwk(&jwk).map(Self::Eddsa),
            ("RSA", _) => RS256KeyPair::from_jwk(&jwk).map(|pair| Self::Rs256(Box::new(pair))),
            _ => return Err(wrong("`private` is no key that it makes")),
        };
        let key = key.map_err(|_| wrong("`private` is no usable private key"))?;
        // A key of production does not belong into a tool for tests.
        if is_for_testing(kind("kid")) {
            Ok(key)
        } else {
            Err(wrong("its kid is none of a testing key"))
        }
    }

    /// The same key under another kid.
    pub(crate) fn with_kid(self, kid: &str) -> Self {
        match self {
            Self::Es256(pair) => Self::Es256(pair.with_key_id(kid)),
            Self::Rs256(pair) => Self::Rs256(Box::new(pair.with_key_id(kid))),
            Self::Eddsa(pair) => Self::Eddsa(pair.with_key_id(kid)),
        }
    }

    /// `alg`.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
            Self::Eddsa(_) => "EdDSA",
        }
    }

    pub(crate) fn public_jwk(&self) -> String {
        match self {
            Self::Es256(pair) => pair.public_key().to_jwk(),
            Self::Rs256(pair) => pair.public_key().to_jwk(),
            Self::Eddsa(pair) => pair.public_key().to_jwk(),
        }
    }

    pub(crate) fn private_jwk(&self) -> String {
        match self {
            Self::Es256(pair) => pair.to_jwk(),
            Self::Rs256(pair) => pair.to_jwk(),
            Self::Eddsa(pair) => pair.to_jwk(),
        }
    }

    /// A token of this type with these claims, and no others.
    pub(crate) fn sign(&self, typ: &str, members: Map<String, Value>) -> Result<String, Failure> {
        let mut claims = Claims::with_custom_claims(members, Duration::from_secs(0));
        // Those of the library: ours are among the members.
        claims.issued_at = None;
        claims.expires_at = None;
        claims.invalid_before = None;
        let options = HeaderOptions {
            content_type: None,
            signature_type: Some(typ.to_owned()),
        };
        let token = match self {
            Self::Es256(pair) => pair.sign_with_options(claims, &options),
            Self::Rs256(pair) => pair.sign_with_options(claims, &options),
            Self::Eddsa(pair) => pair.sign_with_options(claims, &options),
        };
        token.map_err(|error| Failure::Usage(format!("the token cannot be signed: {error}")))
    }
}
