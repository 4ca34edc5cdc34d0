//! The compact serialisation of a JWS (RFC 7515 §3.1), and nothing that merely resembles it.
//!
//! The JSON serialisations, JWE, padding, line breaks, the other base64 alphabet, and bits behind
//! the last byte are refused, so one token has one spelling. Of the header, `alg`, `kid`, `typ` and
//! `crit` count. Keys and key locations in it (`jwk`, `jku`, `x5c`, `x5u`) are never used
//! (RFC 8725 §3.10), nor is `b64`, which without `crit` changes nothing (RFC 7797 §6).

#[cfg(test)]
mod tests;

use super::signature::Algorithm;
use crate::json::{JsonString, Object};
use crate::reason::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest `kid`, in bytes: far above a certificate's thumbprint or a URL in use.
pub const MAX_KID_BYTES: usize = 512;

/// What a header says that counts here.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    members: Object,
    kid: Option<JsonString>,
    typ: Option<JsonString>,
}

/// A compact JWS in its parts, none of them verified.
pub(crate) struct Jws<'t> {
    pub(crate) header: Header,
    pub(crate) payload: Object,
    /// The two parts as they came, which is what is signed (RFC 7515 §5.2).
    pub(crate) signing_input: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    pub(crate) fn parse(token: &'t [u8]) -> Result<Self, Reason> {
        let (signing_input, signature) = split_last(token).ok_or(Reason::TokenMalformed)?;
        let (header, payload) = split_last(signing_input).ok_or(Reason::TokenMalformed)?;
        // The header goes first: of a token of five parts it would be no base64.
        let header = Header::from_object(decode_object(header)?)?;
        let payload = decode_object(payload)?;
        let signature = decode(signature)?;
        Ok(Self {
            header,
            payload,
            signing_input,
            signature,
        })
    }
}

impl Header {
    fn from_object(members: Object) -> Result<Self, Reason> {
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(value) => value.place().map(Some).ok_or(Reason::TokenMalformed),
        };
        let alg = text("alg")?.ok_or(Reason::TokenMalformed)?;
        let kid = text("kid")?;
        let typ = text("typ")?;
        let kid_bytes = kid.as_ref().map_or(0, |kid| members.read(kid).len());
        if kid_bytes > MAX_KID_BYTES {
            return Err(Reason::TokenMalformed);
        }
        if members.get("crit").is_some() {
            return Err(Reason::CriticalHeader);
        }
        let algorithm =
            Algorithm::from_name(members.read(&alg)).ok_or(Reason::AlgorithmNotAllowed)?;
        Ok(Self {
            algorithm,
            members,
            kid,
            typ,
        })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(|kid| self.members.read(kid))
    }

    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().map(|typ| self.members.read(typ))
    }
}

/// Whether it has the form of a JWT, malformed or not: three parts, the first of them the base64url
/// of a JSON object.
pub(crate) fn is_jwt(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.');
    let header = parts.next().unwrap_or_default();
    parts.count() == 2 && decode_object(header).is_ok()
}

/// What stands before and behind the last dot.
fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memrchr(b'.', text)?;
    let (before, from_dot) = text.split_at_checked(dot)?;
    Some((before, from_dot.split_first()?.1))
}

pub(crate) fn decode_object(part: &[u8]) -> Result<Object, Reason> {
    Object::parse(decode(part)?).ok_or(Reason::TokenMalformed)
}

/// Base64url (RFC 7515 §2). The engine refuses padding and bits behind the last byte.
fn decode(part: &[u8]) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Reason::TokenMalformed)
}
