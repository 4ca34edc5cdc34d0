//! The answer to a question (RFC 7662 §2.2): strict JSON in which `active` is `true` or `false`.

use std::fmt;
use std::ops::Range;

use crate::json::Object;
use crate::time::UnixNanos;

/// The longest answer that is looked at, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What an issuer says of a token that is active.
pub struct Answer {
    /// All that it says, `active` included.
    pub members: Object,
    /// When it came.
    pub at: UnixNanos,
    /// Until when it holds for requests that come later.
    pub until: UnixNanos,
}

impl Answer {
    /// The part of `validity` in which this answer holds.
    pub(crate) fn bound(&self, validity: Range<UnixNanos>) -> Range<UnixNanos> {
        validity.start.max(self.at)..validity.end.min(self.until)
    }
}

/// Without the members: they are personal data as often as not.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("at", &self.at)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// What an answer says, before it is dated.
pub(crate) enum Said {
    Active(Object),
    Inactive,
}

/// Why a document is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFlaw {
    /// Longer than [`MAX_ANSWER_BYTES`].
    TooLarge,
    /// No JSON object, or one with a member twice.
    NotAnObject,
    /// No `active`, or one that is neither `true` nor `false`.
    NoActive,
}

impl fmt::Display for AnswerFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it is longer than {MAX_ANSWER_BYTES} bytes"),
            Self::NotAnObject => f.write_str("it is no JSON object, or has a member twice"),
            Self::NoActive => f.write_str("its active is neither true nor false"),
        }
    }
}

/// Reads an answer.
pub(crate) fn read(body: Vec<u8>) -> Result<Said, AnswerFlaw> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(AnswerFlaw::TooLarge);
    }
    let members = Object::parse(body).ok_or(AnswerFlaw::NotAnObject)?;
    match members.get("active").map(|active| active.written()) {
        Some("true") => Ok(Said::Active(members)),
        Some("false") => Ok(Said::Inactive),
        Some(_) | None => Err(AnswerFlaw::NoActive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Result<bool, AnswerFlaw> {
        read(body.into()).map(|said| matches!(said, Said::Active(_)))
    }

    #[test]
    fn active_is_true_or_false_and_nothing_else() {
        assert_eq!(said(r#"{"active":true}"#), Ok(true));
        assert_eq!(said(" {\"sub\":null,\n\"active\" : true }\n"), Ok(true));
        assert_eq!(said(r#"{"active":false,"sub":"a"}"#), Ok(false));
        assert_eq!(said(r#"{"\u0061ctive":false}"#), Ok(false));
        for body in [
            "{}",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":[true]}"#,
            r#"{"Active":true}"#,
            r#"{"token_introspection":{"active":true}}"#,
        ] {
            assert_eq!(said(body), Err(AnswerFlaw::NoActive), "{body}");
        }
        for body in [
            "",
            "true",
            "<html>",
            r#"[{"active":true}]"#,
            r#"{"active":true}{"#,
            r#"{"active":true,"active":true}"#,
            r#"{"active":false,"active":true}"#,
            r#"{"active":true,"\u0061ctive":true}"#,
            r#"{"active":true,"ext":{"a":1,"a":2}}"#,
            r#"{"active":tru"#,
            "\u{feff}{\"active\":true}",
        ] {
            assert_eq!(said(body), Err(AnswerFlaw::NotAnObject), "{body}");
        }
        assert!(read(b"{\"active\":true,\"a\":\"\xff\"}".to_vec()).is_err());
        let long = format!(
            r#"{{"active":true,"a":"{}"}}"#,
            "x".repeat(MAX_ANSWER_BYTES)
        );
        assert_eq!(said(&long), Err(AnswerFlaw::TooLarge));
        let deep = format!(
            r#"{{"active":true,"a":{}{}}}"#,
            "[".repeat(40),
            "]".repeat(40)
        );
        assert_eq!(said(&deep), Err(AnswerFlaw::NotAnObject));
    }
}
