//! The encoding of a body: UTF-8, or it is not read at all.
//!
//! Servers decode a body as its `content-type` and `content-encoding` tell them (`utf-7` hides a
//! tool's name from whoever reads bytes). So nothing is admitted there that some parser could take
//! for another encoding: RFC 8259 §11 has no parameters for JSON, hence the only one admitted is a
//! `charset` that changes nothing. Quotes are not understood: a separator within them ends a
//! parameter like any other, so whatever hides there is judged too.

use crate::head::Head;
use crate::head::folds_to;

/// A header that asks for another reading of the body than as UTF-8; its value.
pub fn foreign(head: &Head) -> Option<&[u8]> {
    let is_foreign = |(name, value): &(&[u8], &[u8])| match std::str::from_utf8(name) {
        Ok(name) if folds_to(name, "content-type") => !is_utf8(value),
        Ok(name) if folds_to(name, "content-encoding") => !is_identity(value),
        Ok(_) | Err(_) => false,
    };
    head.pairs().find(is_foreign).map(|(_, value)| value)
}

/// `true` if a `content-type` has no parameter but `charset=utf-8` or `charset=us-ascii`.
fn is_utf8(value: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if !value.iter().all(is_plain) {
        return false;
    }
    let value = value.to_ascii_lowercase();
    let mut parts = value.split(|byte| matches!(byte, b';' | b','));
    let media_type = parts.next().unwrap_or_default();
    let is_type = |byte: &u8| !matches!(byte, b'=' | b'"' | b'\\');
    media_type.iter().all(is_type)
        && parts.all(|part| part.trim_ascii().is_empty() || names_utf8(part.trim_ascii()))
}

fn names_utf8(parameter: &[u8]) -> bool {
    let Some(charset) = parameter.strip_prefix(b"charset=") else {
        return false;
    };
    let unquoted = charset
        .strip_prefix(b"\"")
        .and_then(|inner| inner.strip_suffix(b"\""));
    matches!(unquoted.unwrap_or(charset), b"utf-8" | b"us-ascii")
}

fn is_identity(value: &[u8]) -> bool {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(headers: &[(&str, &[u8])]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        foreign(&Head::new(headers.collect())).is_some()
    }

    #[test]
    fn utf_8_and_its_subset_are_admitted_in_every_usual_form() {
        assert!(!is_foreign(&[("authorization", b"charset=utf-7")]));
        for value in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "Application/JSON ; Charset=\"utf-8\"",
            "application/json; charset=us-ascii;",
            "application/json; charset=utf-8; charset=utf-8",
            "text/plain",
            "",
        ] {
            assert!(
                !is_foreign(&[("content-type", value.as_bytes())]),
                "{value}"
            );
        }
        for value in ["identity", "Identity", "", "identity, identity"] {
            assert!(!is_foreign(&[("content-encoding", value.as_bytes())]));
        }
    }

    #[test]
    fn whatever_could_be_read_as_another_charset_is_not() {
        for value in [
            "application/json; charset=utf-7",
            "application/json; charset=utf-16",
            "application/json;charset=UTF-32LE",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; charset=utf-7; charset=utf-8",
            "application/json; charset=utf-8, application/json; charset=utf-7",
            "application/json; charset=\"utf-7\"",
            "application/json; charset='utf-7'",
            "application/json; charset=\"utf-\\7\"",
            "application/json; charset=\"utf-8\\\"; charset=utf-7\"",
            "application/json; x=\"; charset=utf-7\"",
            "application/json; x=\"y\"; charset = utf-7",
            "application/json; charset =utf-8",
            "application/json; charset= utf-7",
            "application/json; charset*=utf-8''utf-7",
            "application/json; charset*0=utf; charset*1=-7",
            "application/json; charset",
            "application/json; charset=",
            "application/json; encoding=utf-7",
            "application/json; utf-7",
            "application/json; charset=latin1",
            "application/json; charset=utf-8 utf-7",
            "application/json charset=utf-7",
            "charset=utf-7",
            "application/json;\x0bcharset=utf-8",
            "application/json; char\u{17f}et=utf-7",
        ] {
            assert!(is_foreign(&[("content-type", value.as_bytes())]), "{value}");
            assert!(is_foreign(&[
                ("content-type", b"application/json"),
                ("content-type", value.as_bytes()),
            ]));
            assert!(is_foreign(&[("content_type", value.as_bytes())]));
        }
        assert!(is_foreign(&[("content-type", b"application/json; \xff")]));
    }

    #[test]
    fn a_content_encoding_is_not() {
        for value in ["gzip", "br", "identity, gzip", "deflate;q=1", "x"] {
            for name in ["content-encoding", "content_encoding"] {
                assert!(is_foreign(&[(name, value.as_bytes())]), "{value}");
            }
        }
    }
}
