//! The compact serialisation of a JWS (RFC 7515 §3.1), and nothing that merely resembles it.
//!
//! The JSON serialisations, JWE, padding, line breaks, the other base64 alphabet, and bits behind
//! the last byte are refused, so one token has one spelling. Of the header, `alg`, `kid`, `typ` and
//! `crit` count. Keys and key locations in it (`jwk`, `jku`, `x5c`, `x5u`) are never used
//! (RFC 8725 §3.10), nor is `b64`, which without `crit` changes nothing (RFC 7797 §6).

#[cfg(test)]
mod tests;

use super::signature::Algorithm;
use crate::json::Object;
use crate::reason::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest `kid`, in bytes: far above a certificate's thumbprint or a URL in use.
pub const MAX_KID_BYTES: usize = 512;

/// What a header says that counts here.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
}

/// A compact JWS in its parts, none of them verified.
pub(super) struct Jws {
    pub(super) header: Header,
    pub(super) payload: Object,
    /// The two parts as they came, which is what is signed (RFC 7515 §5.2).
    pub(super) signing_input: Box<[u8]>,
    pub(super) signature: Vec<u8>,
}

impl Jws {
    pub(super) fn parse(token: &[u8]) -> Result<Self, Reason> {
        let (signing_input, signature) = split_last(token).ok_or(Reason::TokenMalformed)?;
        let (header, payload) = split_last(signing_input).ok_or(Reason::TokenMalformed)?;
        // The header goes first: of a token of five parts it would be no base64.
        let header = Header::from_json(&decode_object(header)?)?;
        let payload = decode_object(payload)?;
        let signature = decode(signature)?;
        Ok(Self {
            header,
            payload,
            signing_input: signing_input.into(),
            signature,
        })
    }
}

impl Header {
    fn from_json(members: &Object) -> Result<Self, Reason> {
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(value) => match value.text() {
                Some(text) => Ok(Some(text.into_owned())),
                None => Err(Reason::TokenMalformed),
            },
        };
        let alg = text("alg")?.ok_or(Reason::TokenMalformed)?;
        let kid = text("kid")?;
        let typ = text("typ")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(Reason::TokenMalformed);
        }
        if members.get("crit").is_some() {
            return Err(Reason::CriticalHeader);
        }
        let algorithm = Algorithm::from_name(&alg).ok_or(Reason::AlgorithmNotAllowed)?;
        Ok(Self {
            algorithm,
            kid,
            typ,
        })
    }
}

/// What stands before and behind the last dot.
fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = text.iter().rposition(|&byte| byte == b'.')?;
    let (before, from_dot) = text.split_at_checked(dot)?;
    Some((before, from_dot.split_first()?.1))
}

fn decode_object(part: &[u8]) -> Result<Object, Reason> {
    Object::parse(decode(part)?).ok_or(Reason::TokenMalformed)
}

/// Base64url (RFC 7515 §2). The engine refuses padding and bits behind the last byte.
fn decode(part: &[u8]) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Reason::TokenMalformed)
}
