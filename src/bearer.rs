//! The access token of a request: `Authorization: Bearer` (RFC 6750 §2.1), and nowhere else.

/// The content of the `Authorization` headers of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// No header, or an empty one.
    Missing,
    /// One credential of another scheme.
    OtherScheme,
    /// One Bearer token: a `b64token` of RFC 6750 §2.1.
    Bearer(&'a [u8]),
    /// More than one credential, in separate headers or joined by a comma as Envoy joins them.
    Multiple,
    /// The Bearer scheme with something else than one token.
    MalformedBearer,
}

/// Reads all `authorization` values of a request.
///
/// A comma is part of no token, so with the Bearer scheme it joins credentials. Other schemes may
/// have commas of their own (`Digest`), and are told apart by what follows: a Bearer credential
/// anywhere behind a comma makes it more than one.
pub fn credentials<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Credentials<'a> {
    let mut values = values.into_iter();
    let Some(value) = values.next() else {
        return Credentials::Missing;
    };
    if values.next().is_some() {
        return Credentials::Multiple;
    }
    let value = value.trim_ascii();
    if value.is_empty() {
        return Credentials::Missing;
    }
    let Some(token) = bearer(value) else {
        let joined = value
            .split(|b| *b == b',')
            .skip(1)
            .any(|part| bearer(part.trim_ascii()).is_some());
        return if joined {
            Credentials::Multiple
        } else {
            Credentials::OtherScheme
        };
    };
    if is_b64token(token) {
        Credentials::Bearer(token)
    } else if token.contains(&b',') {
        Credentials::Multiple
    } else {
        Credentials::MalformedBearer
    }
}

/// The scheme of a credential, if it is one of those in use: what else stands there might be a token.
pub fn known_scheme(value: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 11] = [
        "ApiKey",
        "AWS4-HMAC-SHA256",
        "Basic",
        "Digest",
        "DPoP",
        "HOBA",
        "MAC",
        "Mutual",
        "Negotiate",
        "NTLM",
        "Token",
    ];
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let scheme = value.trim_ascii().split(is_space).next()?;
    let is_it = |known: &&str| known.as_bytes().eq_ignore_ascii_case(scheme);
    KNOWN.into_iter().find(is_it)
}

/// The part behind the scheme, if that is Bearer (in any case, RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("bearer".len())?;
    let ends = rest
        .first()
        .is_none_or(|b| matches!(b, b' ' | b'\t' | b','));
    (scheme.eq_ignore_ascii_case(b"bearer") && ends).then(|| rest.trim_ascii_start())
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let body = token
        .get(..token.len().saturating_sub(padding))
        .unwrap_or_default();
    // Without a way out: one that is not sound is rare, and a branch for each byte is dear.
    let sound = |all, b: &u8| all & IS_SOUND.get(usize::from(*b)).is_some_and(|sound| *sound);
    !body.is_empty() && body.iter().fold(true, sound)
}

/// The bytes that may be in a token, but for padding.
const IS_SOUND: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        let sound =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        #[allow(clippy::indexing_slicing, reason = "at compile time")]
        {
            table[byte as usize] = sound;
        }
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => break table,
        }
    }
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_header() {
        for (value, expected) in [
            ("Bearer a.b.c", Credentials::Bearer(b"a.b.c")),
            ("bearer abc", Credentials::Bearer(b"abc")),
            ("BEARER   abc", Credentials::Bearer(b"abc")),
            (" Bearer abc\t", Credentials::Bearer(b"abc")),
            ("Bearer abc==", Credentials::Bearer(b"abc==")),
            ("", Credentials::Missing),
            ("  ", Credentials::Missing),
            ("Basic YTpi", Credentials::OtherScheme),
            ("Bearerx abc", Credentials::OtherScheme),
            ("DPoP abc", Credentials::OtherScheme),
            ("Digest a=\"b\", c=\"d\"", Credentials::OtherScheme),
            ("abc", Credentials::OtherScheme),
            ("Bearer", Credentials::MalformedBearer),
            ("Bearer ", Credentials::MalformedBearer),
            ("Bearer a b", Credentials::MalformedBearer),
            ("Bearer =", Credentials::MalformedBearer),
            ("Bearer a=b", Credentials::MalformedBearer),
            ("Bearer \"abc\"", Credentials::MalformedBearer),
            ("Bearer a;b", Credentials::MalformedBearer),
            ("Bearer {\"a\"}", Credentials::MalformedBearer),
            ("Bearer a,Bearer b", Credentials::Multiple),
            ("Bearer a, b", Credentials::Multiple),
            ("Bearer ,", Credentials::Multiple),
            ("Bearer,a", Credentials::Multiple),
            ("Basic YTpi,Bearer a", Credentials::Multiple),
            ("Basic YTpi, BEARER", Credentials::Multiple),
            (",Bearer a", Credentials::Multiple),
        ] {
            assert_eq!(credentials([value.as_bytes()]), expected, "{value:?}");
        }
        assert_eq!(
            credentials([b"Bearer \xff\xfe".as_slice()]),
            Credentials::MalformedBearer
        );
        assert_eq!(credentials([b"\xff".as_slice()]), Credentials::OtherScheme);
    }

    #[test]
    fn several_headers_are_several_credentials() {
        assert_eq!(credentials([]), Credentials::Missing);
        assert_eq!(
            credentials([b"Bearer a".as_slice(), b"Bearer a"]),
            Credentials::Multiple
        );
        assert_eq!(
            credentials([b"".as_slice(), b"Bearer a"]),
            Credentials::Multiple
        );
    }

    proptest! {
        #[test]
        fn a_token_is_found_as_it_was_sent(token in "[A-Za-z0-9._~+/-]{1,200}={0,2}", spaces in " {1,4}") {
            let value = format!("Bearer{spaces}{token}");
            prop_assert_eq!(credentials([value.as_bytes()]), Credentials::Bearer(token.as_bytes()));
        }

        #[test]
        fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let found = credentials([value.as_slice()]);
            if let Credentials::Bearer(token) = found {
                prop_assert!(is_b64token(token));
            }
        }
    }
}
