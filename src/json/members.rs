//! The members of an object, found in one pass that builds nothing: every request with a token that
//! is new reads two objects.
//!
//! What is accepted is what [`parse`](super::parse) accepts, and tests hold the two together.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::ops::Range;

use serde_json::Value;

use super::MAX_DEPTH;

/// There is room for so many before more memory is asked for.
const MEMBERS: usize = 16;
/// Up to so many names of one object are compared each with each; more are sorted first.
const FEW: usize = 12;
/// An integer of so many digits may be greater than what a number can hold.
const MANY_DIGITS: usize = 300;

/// An object of strict JSON, and where its members are.
#[derive(Clone, Default)]
pub struct Object {
    text: String,
    members: Vec<Member>,
}

/// A name, and where its value is.
type Member = (Text, Range<usize>);

/// A text of an [`Object`], which [`Object::read`] reads.
#[derive(Clone)]
pub enum Text {
    /// It stands there as it reads.
    At(Range<usize>),
    /// It had escapes.
    Decoded(Box<str>),
}

/// A value within an [`Object`], as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    text: &'a str,
    /// Where in the object it begins.
    at: usize,
}

impl Object {
    /// Reads an object; `None` if the bytes are no strict JSON, or another value.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let mut scan = Scan::of(&text);
        scan.members.reserve(MEMBERS);
        scan.space();
        scan.object()?;
        scan.space();
        let ends = scan.at == text.len();
        let members = scan.members;
        ends.then_some(Self { text, members })
    }

    /// The value of a member.
    #[inline(never)]
    pub fn get(&self, name: &str) -> Option<Raw<'_>> {
        let is_called = |(other, _): &&Member| other.bytes(&self.text) == Some(name.as_bytes());
        let (_, value) = self.members.iter().find(is_called)?;
        self.raw(value)
    }

    /// Every member, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'_>)> {
        let members = self.members.iter();
        members.filter_map(|(name, value)| Some((self.read(name), self.raw(value)?)))
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let each = size_of::<Member>().saturating_mul(self.members.capacity());
        self.text.capacity().saturating_add(each)
    }

    /// What a text of this object says.
    pub fn read<'a>(&'a self, text: &'a Text) -> &'a str {
        match text {
            Text::At(range) => self.text.get(range.clone()).unwrap_or_default(),
            Text::Decoded(text) => text,
        }
    }

    fn raw(&self, range: &Range<usize>) -> Option<Raw<'_>> {
        let text = self.text.get(range.clone())?;
        let at = range.start;
        Some(Raw { text, at })
    }
}

impl Text {
    fn bytes<'a>(&'a self, all: &'a str) -> Option<&'a [u8]> {
        match self {
            Self::At(range) => all.as_bytes().get(range.clone()),
            Self::Decoded(text) => Some(text.as_bytes()),
        }
    }
}

impl<'a> Raw<'a> {
    /// Whether it is a text.
    pub fn is_text(self) -> bool {
        self.text.starts_with('"')
    }

    /// The JSON, as it is written.
    pub fn written(self) -> &'a str {
        self.text
    }

    /// What kind of value it is, in JSON's words.
    pub fn kind(self) -> &'static str {
        match self.text.as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(_) | None => "a number",
        }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.text == "null"
    }

    /// The text, if it is one.
    #[inline(never)]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        if inner.as_bytes().contains(&b'\\') {
            return serde_json::from_str(self.text).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// The text, if it is one, for [`Object::read`] of its object.
    #[inline(never)]
    pub fn place(self) -> Option<Text> {
        Some(match self.text()? {
            Cow::Borrowed(inner) => {
                let start = self.at.saturating_add(1);
                Text::At(start..start.saturating_add(inner.len()))
            }
            Cow::Owned(text) => Text::Decoded(text.into()),
        })
    }

    /// The elements, if it is a list.
    pub fn elements(self) -> Option<Vec<Self>> {
        if !self.text.starts_with('[') {
            return None;
        }
        let mut elements = Vec::new();
        Scan::of(self.text).array(&mut |range| elements.push(range))?;
        elements
            .into_iter()
            .map(|range| {
                let at = self.at.saturating_add(range.start);
                let text = self.text.get(range)?;
                Some(Self { text, at })
            })
            .collect()
    }

    /// The number, if it is a whole one of 64 bits, without a sign.
    pub fn whole_number(self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<f64> {
        serde_json::from_str(self.text).ok()
    }

    /// As a tree.
    pub fn value(self) -> Option<Value> {
        serde_json::from_str(self.text).ok()
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// How many more levels there may be.
    depth: usize,
    /// The members of the objects that are open, the innermost last.
    members: Vec<Member>,
}

impl<'a> Scan<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: MAX_DEPTH,
            members: Vec::new(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.skip())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.skip();
        }
    }

    /// Any value; where it is.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' => {
                let outer = self.members.len();
                self.object()?;
                self.members.truncate(outer);
            }
            b'[' => self.array(&mut |_| ())?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        Some(start..self.at)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.strip_prefix(word)?;
        self.at = self.at.saturating_add(word.len());
        Some(())
    }

    /// Leaves its members.
    fn object(&mut self) -> Option<()> {
        self.take(b'{')?;
        self.depth = self.depth.checked_sub(1)?;
        let first = self.members.len();
        self.space();
        if self.take(b'}').is_none() {
            loop {
                let name = self.name()?;
                self.space();
                self.take(b':')?;
                self.space();
                let value = self.value()?;
                self.members.push((name, value));
                self.space();
                if self.take(b',').is_none() {
                    break;
                }
                self.space();
            }
            self.take(b'}')?;
        }
        if !self.has_distinct_names(first) {
            return None;
        }
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    /// Whether the members from `first` on have.
    fn has_distinct_names(&self, first: usize) -> bool {
        let mut rest = self.members.get(first..).unwrap_or_default();
        if rest.len() > FEW {
            // Sorted by a heap: the slice's own sort would be 13 KB of code for this.
            let names: BinaryHeap<_> = rest.iter().map(|(name, _)| name.bytes(self.text)).collect();
            let names = names.into_sorted_vec();
            return names.is_sorted_by(|one, other| one < other);
        }
        while let [(name, _), others @ ..] = rest {
            let name = name.bytes(self.text);
            let mut other_names = others.iter().map(|(other, _)| other.bytes(self.text));
            if other_names.any(|other| other == name) {
                return false;
            }
            rest = others;
        }
        true
    }

    fn array(&mut self, element: &mut dyn FnMut(Range<usize>)) -> Option<()> {
        self.take(b'[')?;
        self.depth = self.depth.checked_sub(1)?;
        self.space();
        if self.take(b']').is_none() {
            loop {
                element(self.value()?);
                self.space();
                if self.take(b',').is_none() {
                    break;
                }
                self.space();
            }
            self.take(b']')?;
        }
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    fn name(&mut self) -> Option<Text> {
        let start = self.at;
        let has_escapes = self.string()?;
        if has_escapes {
            let name = self.text.get(start..self.at)?;
            return serde_json::from_str(name).ok().map(Text::Decoded);
        }
        Some(Text::At(start.saturating_add(1)..self.at.saturating_sub(1)))
    }

    /// A text; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        let start = self.at;
        self.take(b'"')?;
        let mut has_escapes = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            self.at = self.at.saturating_add(plain).saturating_add(1);
            match rest.get(plain)? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.peek()?;
                    self.skip();
                }
                _ => return None,
            }
        }
        if has_escapes {
            // Whether they are sound is for the library to say; they are rare.
            serde_json::from_str::<Cow<'_, str>>(self.text.get(start..self.at)?).ok()?;
        }
        Some(has_escapes)
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        let mut is_large = self.at.saturating_sub(start) > MANY_DIGITS;
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
            is_large = true;
        }
        if is_large {
            serde_json::from_str::<f64>(self.text.get(start..self.at)?).ok()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.skip();
        }
        (self.at > start).then_some(())
    }
}
