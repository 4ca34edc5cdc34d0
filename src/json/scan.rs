//! One pass over a JSON text, which decodes nothing but names and builds nothing.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::string::JsonString;
use super::{JsonError, MAX_DEPTH};

/// Up to so many names of one object are compared each with each; more are sorted first.
const FEW: usize = 12;
/// An integer of so many digits may be greater than what a number can hold.
const MANY_DIGITS: usize = 300;

/// A name, and where its value is.
pub(super) type Member = (JsonString, Range<usize>);

pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Whether values that are passed over are looked at as well.
    is_deep: bool,
    /// What closes the arrays and objects that are open, the innermost last: a byte for each, since
    /// there may be as many as the text has bytes.
    open: Vec<u8>,
    /// The names so far of the objects that are looked at and open, the innermost last.
    names: Vec<JsonString>,
    /// Where the names of each of what is open begin.
    starts: Vec<usize>,
}

impl<'a> Scan<'a> {
    /// For a text whose values are held to the grammar, and no more.
    pub(super) fn shallow(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            is_deep: false,
            open: Vec::new(),
            names: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// For a text of which everything is looked at.
    pub(super) fn deep(text: &'a str) -> Self {
        Self {
            is_deep: true,
            ..Self::shallow(text)
        }
    }

    /// Tells `found` of each member of the object that the text is; `false` if it is another value.
    /// `None` if it is no JSON: then [`Scan::error`] has the place. Names may come twice.
    pub(super) fn members(
        &mut self,
        mut found: impl FnMut(JsonString, Range<usize>),
    ) -> Option<bool> {
        self.whole(b'{', |scan| {
            let name = scan.name()?;
            scan.colon()?;
            let value = scan.value()?;
            found(name, value);
            Some(())
        })
    }

    /// The same for the elements of a list.
    pub(super) fn elements(&mut self, mut found: impl FnMut(Range<usize>)) -> Option<bool> {
        self.whole(b'[', |scan| {
            let value = scan.value()?;
            found(value);
            Some(())
        })
    }

    /// Where it went wrong.
    pub(super) fn error(&self) -> JsonError {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let mut lines = before.rsplit(|byte| *byte == b'\n');
        let column = lines.next().map_or(0, <[u8]>::len);
        let has_ended = self.at >= self.text.len();
        JsonError::Syntax {
            line: lines.count().saturating_add(1),
            column: column.saturating_add(usize::from(!has_ended)),
        }
    }

    /// The text as a whole: `read` takes each part of the array or object that it is.
    fn whole(
        &mut self,
        bracket: u8,
        mut read: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<bool> {
        self.space();
        let is_wanted = self.peek() == Some(bracket);
        if !is_wanted {
            self.value()?;
        } else if self.enter(bracket)? {
            loop {
                read(self)?;
                if !self.goes_on()? {
                    break;
                }
            }
        }
        self.space();
        (self.at == self.text.len()).then_some(is_wanted)
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

    /// Passes over any value; where it is.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let outside = self.open.len();
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    if self.enter(bracket)? {
                        self.inner_name()?;
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            loop {
                if self.open.len() == outside {
                    return Some(start..self.at);
                }
                if self.goes_on()? {
                    break self.inner_name()?;
                }
            }
        }
    }

    /// Opens an array or an object; whether something is in it. One that is empty is closed again.
    fn enter(&mut self, bracket: u8) -> Option<bool> {
        self.take(bracket)?;
        if self.is_deep && self.open.len() >= MAX_DEPTH {
            return None;
        }
        self.space();
        let close = if bracket == b'{' { b'}' } else { b']' };
        if self.take(close).is_some() {
            return Some(false);
        }
        self.open.push(close);
        if self.is_deep {
            self.starts.push(self.names.len());
        }
        Some(true)
    }

    /// Behind a value: whether another one follows in the innermost array or object, which is
    /// closed if not.
    fn goes_on(&mut self) -> Option<bool> {
        self.space();
        if self.take(b',').is_some() {
            self.space();
            return Some(true);
        }
        let close = self.open.pop()?;
        self.take(close)?;
        if self.is_deep {
            let start = self.starts.pop()?;
            if !are_distinct(self.names.get(start..)?, |name| name.bytes(self.text)) {
                return None;
            }
            self.names.truncate(start);
        }
        Some(false)
    }

    /// The name of a member that is passed over, up to its value; nothing in a list.
    fn inner_name(&mut self) -> Option<()> {
        if *self.open.last()? == b']' {
            return Some(());
        }
        if self.is_deep {
            let name = self.name()?;
            self.names.push(name);
        } else {
            self.string()?;
        }
        self.colon()
    }

    fn name(&mut self) -> Option<JsonString> {
        let start = self.at;
        let has_escapes = self.string()?;
        if has_escapes {
            let name = self.text.get(start..self.at)?;
            return serde_json::from_str(name).ok().map(JsonString::Decoded);
        }
        let inner = start.saturating_add(1)..self.at.saturating_sub(1);
        Some(JsonString::At(inner))
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        word.bytes().try_for_each(|byte| self.take(byte))
    }

    /// A string; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        let start = self.at;
        self.take(b'"')?;
        let mut has_escapes = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let plain = rest.iter().take_while(|byte| is_plain(byte)).count();
            self.at = self.at.saturating_add(plain);
            match self.peek()? {
                b'"' => break self.skip(),
                b'\\' => {
                    has_escapes = true;
                    self.skip();
                    self.escape()?;
                }
                _ => return None,
            }
        }
        if has_escapes && self.is_deep {
            // Whether surrogates come in pairs is for the library to say; they are rare.
            serde_json::from_str::<Cow<'_, str>>(self.text.get(start..self.at)?).ok()?;
        }
        Some(has_escapes)
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.skip(),
            b'u' => {
                self.skip();
                for _ in 0..4 {
                    self.peek().filter(u8::is_ascii_hexdigit)?;
                    self.skip();
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        let mut may_be_large = self.at.saturating_sub(start) > MANY_DIGITS;
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
            may_be_large = true;
        }
        if may_be_large && self.is_deep {
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

/// Whether no two of these have the same name.
pub(super) fn are_distinct<'t, T>(
    named: &'t [T],
    name: impl Fn(&'t T) -> Option<&'t [u8]>,
) -> bool {
    let mut rest = named;
    if rest.len() > FEW {
        // Sorted by a heap: the slice's own sort would be 13 KB of code for this.
        let names: BinaryHeap<_> = rest.iter().map(name).collect();
        return names
            .into_sorted_vec()
            .is_sorted_by(|one, other| one < other);
    }
    while let [first, others @ ..] = rest {
        let first = name(first);
        if others.iter().any(|other| name(other) == first) {
            return false;
        }
        rest = others;
    }
    true
}
