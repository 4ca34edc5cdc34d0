//! Values as they are written, and the members of one object.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::scan::{Malformed, Member, Scan, Scanned, are_distinct};
use super::string::JsonString;
use super::{JsonError, without_byte_order_mark};

/// A value of a document, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a> {
    text: &'a str,
    /// Its place in the document.
    at: usize,
}

/// The members of one object, each name once. The objects within it are not looked at.
pub(crate) struct Members<'a> {
    object: Json<'a>,
    pub(super) members: Vec<Member>,
}

/// The elements of a list, from its beginning.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements<'a> {
    /// As many as were asked for.
    pub(crate) first: Vec<Json<'a>>,
    /// The number of those behind them.
    pub(crate) more: usize,
}

/// The value of a member of `object`.
pub(super) fn find<'a>(object: Json<'a>, members: &[Member], name: &str) -> Option<Json<'a>> {
    let is_called = |(other, _): &&Member| other.bytes(object.text) == Some(name.as_bytes());
    let (_, value) = members.iter().find(is_called)?;
    object.part(value)
}

impl<'a> Scan<'a> {
    /// Passes over any value, and returns it.
    pub(crate) fn json(&mut self) -> Scanned<Json<'a>> {
        let range = self.value()?;
        Json::new(self.text()).part(&range).ok_or(Malformed)
    }
}

impl<'a> Members<'a> {
    /// The value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<Json<'a>> {
        find(self.object, &self.members, name)
    }
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// A document of which nothing was looked at yet.
    pub(crate) fn document(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        Ok(Self::new(text))
    }

    /// A document that may begin with a byte order mark.
    pub(crate) fn marked_document(bytes: &'a [u8]) -> Result<Self, JsonError> {
        Self::document(without_byte_order_mark(bytes))
    }

    /// The members, if it is an object.
    pub(crate) fn members(self) -> Result<Option<Members<'a>>, JsonError> {
        let mut members = Vec::new();
        if !self.each_member(|name, value| members.push((name, value)))? {
            return Ok(None);
        }
        if !are_distinct(&members, |(name, _)| name.bytes(self.text)) {
            return Err(JsonError::DuplicateMember);
        }
        let object = self;
        Ok(Some(Members { object, members }))
    }

    /// The members with these names, if it is an object. Only these come once: what other names it
    /// has is not looked at.
    pub(crate) fn named<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<Option<[Option<Self>; N]>, JsonError> {
        let mut found = [const { None }; N];
        let mut is_distinct = true;
        let is_object = self.each_member(|name, value| {
            let name = name.bytes(self.text);
            let mut slots = found.iter_mut().zip(names);
            if let Some((slot, _)) = slots.find(|(_, wanted)| Some(wanted.as_bytes()) == name) {
                is_distinct &= slot.replace(value).is_none();
            }
        })?;
        if !is_distinct {
            return Err(JsonError::DuplicateMember);
        }
        Ok(is_object.then(|| found.map(|value| self.part(&value?))))
    }

    fn each_member(self, found: impl FnMut(JsonString, Range<usize>)) -> Result<bool, JsonError> {
        let mut scan = Scan::shallow(self.text);
        scan.members(found).map_err(|_| scan.error())
    }

    /// The first `most` elements, if it is a list.
    pub(crate) fn elements(self, most: usize) -> Result<Option<Elements<'a>>, JsonError> {
        let (mut first, mut more) = (Vec::new(), 0_usize);
        let mut scan = Scan::shallow(self.text);
        let is_list = scan.elements(|element| {
            if first.len() < most {
                first.extend(self.part(&element));
            } else {
                more = more.saturating_add(1);
            }
        });
        let is_list = is_list.map_err(|_| scan.error())?;
        Ok(is_list.then_some(Elements { first, more }))
    }

    /// Every element, if it is a list that was looked at before.
    pub(crate) fn list(self) -> Option<Vec<Self>> {
        let elements = self.elements(usize::MAX).ok()??;
        Some(elements.first)
    }

    fn part(self, range: &Range<usize>) -> Option<Self> {
        let text = self.text.get(range.clone())?;
        let at = self.at.saturating_add(range.start);
        Some(Self { text, at })
    }

    /// The bytes of the document that it is.
    pub(crate) fn range(self) -> Range<usize> {
        self.at..self.at.saturating_add(self.text.len())
    }

    /// The JSON, as it is written.
    pub(crate) fn written(self) -> &'a str {
        self.text
    }

    /// The kind of value, in JSON's words.
    pub(crate) fn kind(self) -> &'static str {
        match self.text.as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(_) | None => "a number",
        }
    }

    /// `true` if it is a list; a document is one if it begins as one.
    pub(crate) fn is_list(self) -> bool {
        self.text.trim_ascii_start().starts_with('[')
    }

    /// `true` if it is a number.
    pub(crate) fn is_number(self) -> bool {
        self.text
            .starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    /// `true` if it is a string.
    pub(crate) fn is_string(self) -> bool {
        self.text.starts_with('"')
    }

    /// `true` if it is an object; a document is one if it begins as one.
    pub(crate) fn is_object(self) -> bool {
        self.text.trim_ascii_start().starts_with('{')
    }

    /// `true` if it is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.text == "null"
    }

    /// The string, if it is one that can be decoded.
    #[inline(never)]
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        if inner.as_bytes().contains(&b'\\') {
            return serde_json::from_str(self.text).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// The string, if it is one, for [`Object::read`](super::Object::read) of its object.
    #[inline(never)]
    pub(crate) fn place(self) -> Option<JsonString> {
        Some(match self.string()? {
            Cow::Borrowed(inner) => {
                let start = self.at.saturating_add(1);
                JsonString::At(start..start.saturating_add(inner.len()))
            }
            Cow::Owned(string) => JsonString::Decoded(string.into()),
        })
    }

    /// The number, if it is a whole one of 64 bits, without a sign.
    pub(crate) fn whole_number(self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// The number, if it is a whole one of 64 bits, written without fraction and exponent.
    pub(crate) fn integer(self) -> Option<i64> {
        serde_json::from_str(self.text).ok()
    }

    /// The number, if it is one that an `f64` can hold.
    pub(crate) fn number(self) -> Option<f64> {
        serde_json::from_str(self.text).ok()
    }

    /// As a tree.
    pub fn value(self) -> Option<Value> {
        serde_json::from_str(self.text).ok()
    }
}
