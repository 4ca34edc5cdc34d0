//! The members of an object, found in one pass that builds nothing: every request with a token that
//! is new reads two objects.
//!
//! What is accepted is what [`parse`](super::parse) accepts, and tests hold the two together.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::MAX_DEPTH;

/// Up to so many names of one object are compared each with each; more are sorted first.
const FEW: usize = 12;
/// An integer of so many digits may be greater than what a number can hold.
const MANY_DIGITS: usize = 300;

/// An object of strict JSON, and where its members are.
#[derive(Clone, Default)]
pub struct Object {
    text: String,
    members: Vec<(Name, Range<usize>)>,
}

#[derive(Clone)]
enum Name {
    At(Range<usize>),
    /// It had escapes.
    Decoded(Box<str>),
}

/// A value within an [`Object`], as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl Object {
    /// Reads an object; `None` if the bytes are no strict JSON, or another value.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let mut scan = Scan {
            text: &text,
            at: 0,
            depth: MAX_DEPTH,
            names: Vec::new(),
        };
        let mut found = Vec::with_capacity(16);
        scan.space();
        scan.object(|name, value| found.push((name.clone(), value)))?;
        scan.space();
        if scan.at != text.len() {
            return None;
        }
        let members = found
            .into_iter()
            .map(|(name, value)| (name.into_owned_by(&text), value))
            .collect();
        Some(Self { text, members })
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<Raw<'_>> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Every member, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'_>)> {
        self.members.iter().filter_map(|(name, value)| {
            let name = match name {
                Name::At(range) => self.text.get(range.clone())?,
                Name::Decoded(name) => name,
            };
            Some((name, Raw(self.text.get(value.clone())?)))
        })
    }
}

impl<'a> Raw<'a> {
    /// Whether it is a text.
    pub fn is_text(self) -> bool {
        self.0.starts_with('"')
    }

    /// The text, if it is one.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// The elements, if it is a list.
    pub fn elements(self) -> Option<Vec<Self>> {
        if !self.0.starts_with('[') {
            return None;
        }
        let mut scan = Scan {
            text: self.0,
            at: 0,
            depth: MAX_DEPTH,
            names: Vec::new(),
        };
        let mut elements = Vec::new();
        scan.array(|range| elements.push(range))?;
        elements
            .into_iter()
            .map(|range| self.0.get(range).map(Self))
            .collect()
    }

    /// The number, if it is a whole one of 64 bits, without a sign.
    pub fn whole_number(self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<f64> {
        serde_json::from_str(self.0).ok()
    }

    /// As a tree.
    pub fn value(self) -> Option<Value> {
        serde_json::from_str(self.0).ok()
    }
}

impl Scanned<'_> {
    fn into_owned_by(self, text: &str) -> Name {
        match self {
            Scanned::Plain(start, name) => {
                Name::At(start..start.saturating_add(name.len()).min(text.len()))
            }
            Scanned::Decoded(name) => Name::Decoded(name.into()),
        }
    }
}

/// A member's name, with its place in the text where it stands there as it is.
#[derive(Clone)]
enum Scanned<'a> {
    Plain(usize, &'a str),
    Decoded(String),
}

impl Scanned<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(_, name) => name,
            Self::Decoded(name) => name,
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// How many more levels there may be.
    depth: usize,
    /// The names of the objects that are open, the innermost last.
    names: Vec<Scanned<'a>>,
}

impl<'a> Scan<'a> {
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
            b'{' => self.object(|_, _| ())?,
            b'[' => self.array(|_| ())?,
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

    fn object(&mut self, mut member: impl FnMut(&Scanned<'a>, Range<usize>)) -> Option<()> {
        self.take(b'{')?;
        self.depth = self.depth.checked_sub(1)?;
        let first = self.names.len();
        self.space();
        if self.take(b'}').is_none() {
            loop {
                let name = self.name()?;
                self.space();
                self.take(b':')?;
                self.space();
                // Before what is inside of it puts its own there, and takes them away again.
                self.names.push(name);
                let at = self.names.len().checked_sub(1)?;
                let value = self.value()?;
                member(self.names.get(at)?, value);
                self.space();
                if self.take(b',').is_none() {
                    break;
                }
                self.space();
            }
            self.take(b'}')?;
        }
        self.distinct(first)?;
        self.names.truncate(first);
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    /// Whether the names from `first` on are.
    fn distinct(&mut self, first: usize) -> Option<()> {
        let names = self.names.get_mut(first..)?;
        if names.len() > FEW {
            names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
            let mut pairs = names.iter().zip(names.iter().skip(1));
            return pairs
                .all(|(one, other)| one.as_str() != other.as_str())
                .then_some(());
        }
        let mut rest = &*names;
        while let [name, others @ ..] = rest {
            if others.iter().any(|other| other.as_str() == name.as_str()) {
                return None;
            }
            rest = others;
        }
        Some(())
    }

    fn array(&mut self, mut element: impl FnMut(Range<usize>)) -> Option<()> {
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

    fn name(&mut self) -> Option<Scanned<'a>> {
        let start = self.at;
        let has_escapes = self.string()?;
        let whole = self.text.get(start..self.at)?;
        if has_escapes {
            return serde_json::from_str(whole).ok().map(Scanned::Decoded);
        }
        let inner = whole.strip_prefix('"')?.strip_suffix('"')?;
        Some(Scanned::Plain(start.saturating_add(1), inner))
    }

    /// A text; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        let start = self.at;
        self.take(b'"')?;
        let mut has_escapes = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.skip();
                    self.peek()?;
                }
                0..=0x1f => return None,
                _ => {}
            }
            self.skip();
        }
        self.skip();
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
