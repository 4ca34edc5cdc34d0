//! Strict JSON for what comes from outside: tokens, key sets, metadata, bodies, answers.
//!
//! Two readers of an object with a duplicate member may each see another value (RFC 8259 §4), and an
//! attacker chooses which one checks and which one acts. So no name comes twice in an object whose
//! members are looked at, every such name can be decoded, and nothing stands behind the value.
//!
//! [`Object::parse`] looks at everything: each object at every depth, each string and number, and at
//! most [`MAX_DEPTH`] levels. It is for what one party has signed or answered, and keeps the text.
//! [`Json::members`] looks at one object. What stands within its values is held to the grammar of
//! RFC 8259 and passed over undecoded, at any depth and without a stack: one odd key of a set, or odd
//! arguments of a call, are no harm to a reader that does not use them.

mod object;
mod scan;
mod string;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use object::Object;
pub(crate) use scan::{Malformed, Scan, are_distinct};
pub(crate) use string::JsonString;
pub use value::Json;
pub(crate) use value::{Elements, Members};

/// The most levels of arrays and objects in an [`Object`].
pub(crate) const MAX_DEPTH: usize = 32;

/// Reasons for which bytes are not strict JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8 (RFC 8259 §8.1).
    NotUtf8,
    /// Not JSON, or something stands behind the value. Both count from 1; 0 is before the first.
    Syntax {
        /// Line.
        line: usize,
        /// Byte of the line.
        column: usize,
    },
    /// A member name comes twice in one object.
    DuplicateMember,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Syntax { line, column } => write!(f, "not JSON at line {line} column {column}"),
            Self::DuplicateMember => f.write_str("an object has the same member twice"),
        }
    }
}

impl std::error::Error for JsonError {}

/// The bytes without the mark that a reader may ignore (RFC 8259 §8.1).
pub(crate) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
