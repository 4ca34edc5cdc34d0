//! The name under which a token is remembered that its issuer is asked about, and the question
//! (RFC 7662 §2.1).

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a token: names it without being it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Another name of the token, under one configuration.
    pub(super) fn bound_to(&self, configuration: &str) -> [u8; 32] {
        let bound = Sha256::new_with_prefix(self.0);
        bound.chain_update(configuration).finalize().into()
    }
}

/// Without the hash: a short token could be found by it.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDigest").finish_non_exhaustive()
    }
}

/// The form that is sent. It has no `scope`: some servers call a token inactive that lacks it.
pub(super) fn form(token: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
    let mut form = b"token=".to_vec();
    for byte in token {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            form.push(*byte);
        } else {
            form.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    form.extend(b"&token_type_hint=access_token");
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_value_of_the_form() {
        for (token, written) in [
            ("abc-._019", "abc-._019"),
            ("a+b/c~d==", "a%2Bb%2Fc%7Ed%3D%3D"),
            ("a&b=c%20\n\u{e9}", "a%26b%3Dc%2520%0A%C3%A9"),
        ] {
            let form = form(token.as_bytes());
            let expected = format!("token={written}&token_type_hint=access_token");
            assert_eq!(String::from_utf8(form).unwrap(), expected);
        }
    }

    #[test]
    fn its_name_does_not_show() {
        let shown = format!("{:?}", TokenDigest::of(b"secret"));
        assert_eq!(shown, "TokenDigest { .. }");
        assert_ne!(TokenDigest::of(b"secret"), TokenDigest::of(b"secret="));
    }
}
