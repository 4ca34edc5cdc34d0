//! A string of a text, which is copied only if it has escapes.

use std::ops::Range;

/// A string of an [`Object`](super::Object), for [`Object::read`](super::Object::read).
#[derive(Clone)]
pub(crate) enum JsonString {
    /// It stands there as it reads.
    At(Range<usize>),
    /// It had escapes.
    Decoded(Box<str>),
}

impl JsonString {
    /// The string, which is one of this `text`.
    pub(crate) fn read<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::At(range) => text.get(range.clone()).unwrap_or_default(),
            Self::Decoded(string) => string,
        }
    }

    pub(crate) fn bytes<'a>(&'a self, text: &'a str) -> Option<&'a [u8]> {
        match self {
            Self::At(range) => text.as_bytes().get(range.clone()),
            Self::Decoded(string) => Some(string.as_bytes()),
        }
    }
}
