//! One pass over a JSON text, which decodes nothing but names and builds nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;

use super::string::JsonString;
use super::{JsonError, MAX_DEPTH};

/// Up to so many names of one object are compared each with each; more are sorted first.
const FEW: usize = 12;
/// An integer of so many digits may be greater than what a number can hold.
const MANY_DIGITS: usize = 300;

/// The most levels of a value in an object that has [`MAX_DEPTH`].
const MAX_INNER_DEPTH: usize = MAX_DEPTH - 1;

/// A name, and where its value is.
pub(crate) type Member = (JsonString, Range<usize>);

/// The text is no JSON; [`Scan::error`] has the place. Or, where everything is looked at, something
/// in it is not strict.
pub(crate) struct Malformed;

pub(crate) type Scanned<T = ()> = Result<T, Malformed>;

pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Values that are passed over are looked at as well.
    is_deep: bool,
    /// The closing brackets of the arrays and objects that are open in the value that is passed over,
    /// the innermost last: a byte for each, since there may be as many as the text has bytes.
    open: Vec<u8>,
    /// The names so far of the objects that are looked at and open, the innermost last.
    names: Vec<JsonString>,
    /// The places at which the names of each of these begin.
    starts: Vec<usize>,
}

impl<'a> Scan<'a> {
    /// For a text whose values are held to the grammar, and no more.
    pub(crate) fn shallow(text: &'a str) -> Self {
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

    /// Has `read` take the value, behind which nothing may stand.
    pub(crate) fn document<T, E: From<Malformed>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.space();
        let value = read(self)?;
        self.space();
        if self.at < self.text.len() {
            return Err(Malformed.into());
        }
        Ok(value)
    }

    /// Has `read` take the value of each member, if the next value is an object; `false` if it is
    /// another one, which is passed over. Names may come twice.
    pub(crate) fn object<E: From<Malformed>>(
        &mut self,
        mut read: impl FnMut(&mut Self, JsonString) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.each(b'{', |scan| {
            let name = scan.name()?;
            scan.colon()?;
            read(scan, name)
        })
    }

    /// Has `read` take each element, if the next value is a list.
    pub(crate) fn list<E: From<Malformed>>(
        &mut self,
        read: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.each(b'[', read)
    }

    fn each<E: From<Malformed>>(
        &mut self,
        bracket: u8,
        mut read: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.peek() != Some(bracket) {
            self.value()?;
            return Ok(false);
        }
        self.skip();
        self.space();
        let close = closing(bracket);
        if self.take(close) {
            return Ok(true);
        }
        loop {
            read(self)?;
            self.space();
            if !self.take(b',') {
                break self.expect(close)?;
            }
            self.space();
        }
        Ok(true)
    }

    /// The text that it reads.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// `true` if this byte is the next.
    pub(crate) fn is_at(&self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// Tells `found` of each member of the object that the text is; `false` if it is another value.
    /// Names may come twice.
    pub(super) fn members(
        &mut self,
        mut found: impl FnMut(JsonString, Range<usize>),
    ) -> Scanned<bool> {
        self.document(|scan| {
            scan.object(|scan, name| {
                found(name, scan.value()?);
                Ok(())
            })
        })
    }

    /// Tells `found` of each element of the list that the text is; `false` if it is another value.
    pub(super) fn elements(&mut self, mut found: impl FnMut(Range<usize>)) -> Scanned<bool> {
        self.document(|scan| {
            scan.list(|scan| {
                found(scan.value()?);
                Ok(())
            })
        })
    }

    /// The place where it went wrong.
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

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over the byte that is next. The place never wraps: it is within the text, or its end.
    #[inline]
    fn skip(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    /// Passes over this byte, if it is the next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.skip();
        }
        is_next
    }

    /// Passes over this byte, which must be the next.
    #[inline]
    fn expect(&mut self, byte: u8) -> Scanned {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.skip();
        }
    }

    /// Passes over any value, and returns its place.
    pub(super) fn value(&mut self) -> Scanned<Range<usize>> {
        let start = self.at;
        let outside = self.open.len();
        loop {
            match self.peek().ok_or(Malformed)? {
                bracket @ (b'{' | b'[') => {
                    if self.enter(bracket)? {
                        self.inner_name()?;
                        continue;
                    }
                }
                b'"' => {
                    self.skip();
                    self.string()?;
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            loop {
                if self.open.len() == outside {
                    return Ok(start..self.at);
                }
                if self.goes_on()? {
                    break self.inner_name()?;
                }
            }
        }
    }

    /// Opens an array or an object; `true` if something is in it. One that is empty is closed again.
    #[inline]
    fn enter(&mut self, bracket: u8) -> Scanned<bool> {
        self.expect(bracket)?;
        if self.is_deep && self.open.len() >= MAX_INNER_DEPTH {
            return Err(Malformed);
        }
        self.space();
        let close = closing(bracket);
        if self.take(close) {
            return Ok(false);
        }
        self.open.push(close);
        if self.is_deep {
            self.starts.push(self.names.len());
        }
        Ok(true)
    }

    /// Goes on behind a value; `true` if another one follows in the innermost array or object, which
    /// is closed if not.
    #[inline]
    fn goes_on(&mut self) -> Scanned<bool> {
        self.space();
        if self.take(b',') {
            self.space();
            return Ok(true);
        }
        let close = self.open.pop().ok_or(Malformed)?;
        self.expect(close)?;
        if self.is_deep {
            let start = self.starts.pop().ok_or(Malformed)?;
            let names = self.names.get(start..).ok_or(Malformed)?;
            if !are_distinct(names, |name| name.bytes(self.text)) {
                return Err(Malformed);
            }
            self.names.truncate(start);
        }
        Ok(false)
    }

    /// The name of a member that is passed over, up to its value; nothing in a list.
    #[inline]
    fn inner_name(&mut self) -> Scanned {
        if self.open.last() == Some(&b']') {
            return Ok(());
        }
        if self.is_deep {
            let name = self.name()?;
            self.names.push(name);
        } else {
            self.expect(b'"')?;
            self.string()?;
        }
        self.colon()
    }

    fn name(&mut self) -> Scanned<JsonString> {
        let start = self.at;
        self.expect(b'"')?;
        let has_escapes = self.string()?;
        if has_escapes {
            return self.decoded(start).map(JsonString::Decoded);
        }
        let inner = start.saturating_add(1)..self.at.saturating_sub(1);
        Ok(JsonString::At(inner))
    }

    /// The text that was passed over since `start`, as the library reads it.
    fn decoded<T: Deserialize<'a>>(&self, start: usize) -> Scanned<T> {
        let written = self.text.get(start..self.at).ok_or(Malformed)?;
        serde_json::from_str(written).map_err(|_| Malformed)
    }

    #[inline]
    fn colon(&mut self) -> Scanned {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    fn word(&mut self, word: &str) -> Scanned {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    /// Passes over a string behind its first quote; `true` if it has escapes.
    #[inline]
    fn string(&mut self) -> Scanned<bool> {
        let start = self.at.saturating_sub(1);
        let mut has_escapes = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at = self.at.wrapping_add(plain(rest));
            if self.take(b'"') {
                break;
            }
            self.expect(b'\\')?;
            self.escape()?;
            has_escapes = true;
        }
        if has_escapes && self.is_deep {
            // Whether surrogates come in pairs is for the library to say; they are rare.
            self.decoded::<Cow<'_, str>>(start)?;
        }
        Ok(has_escapes)
    }

    /// The rest of an escape, behind its backslash.
    fn escape(&mut self) -> Scanned {
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            Some(_) | None => return Err(Malformed),
        };
        self.skip();
        for _ in 0..digits {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(Malformed);
            }
            self.skip();
        }
        Ok(())
    }

    fn number(&mut self) -> Scanned {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut may_be_large = self.at.saturating_sub(start) > MANY_DIGITS;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
            may_be_large = true;
        }
        if may_be_large && self.is_deep {
            self.decoded::<f64>(start)?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.skip();
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

fn closing(bracket: u8) -> u8 {
    if bracket == b'{' { b'}' } else { b']' }
}

/// `true` if no two of these have the same name.
pub(crate) fn are_distinct<'t, T>(
    named: &'t [T],
    name: impl Fn(&'t T) -> Option<&'t [u8]>,
) -> bool {
    let mut rest = named;
    if rest.len() > FEW {
        let mut seen = BTreeSet::new();
        return rest.iter().all(|one| seen.insert(name(one)));
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

/// The number of bytes of a string before the first that ends it, begins an escape, or may not stand
/// in it.
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    const CONTROLS: u64 = 0x2020_2020_2020_2020;
    const QUOTES: u64 = 0x2222_2222_2222_2222;
    const BACKSLASHES: u64 = 0x5c5c_5c5c_5c5c_5c5c;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut count = 0_usize;
    for word in words {
        // Eight bytes at once. The highest bit of a byte that is less than another is set in their
        // difference, and not in the byte; what it borrows from is behind it.
        let word = u64::from_le_bytes(*word);
        let less = |word: u64, than: u64| word.wrapping_sub(than) & !word;
        let found =
            less(word, CONTROLS) | less(word ^ QUOTES, EACH) | less(word ^ BACKSLASHES, EACH);
        let found = found & HIGHEST;
        if found != 0 {
            return count.wrapping_add(found.trailing_zeros() as usize / 8);
        }
        count = count.wrapping_add(8);
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    count.wrapping_add(rest.iter().take_while(is_plain).count())
}
