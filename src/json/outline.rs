//! The outline of a JSON text: the members of an object or the elements of a list, each as it is
//! written.
//!
//! The whole text is held to the grammar of RFC 8259, and nothing is decoded that nobody reads: a
//! number that no `f64` can hold, or half of a surrogate pair, is sound by that grammar, and is no
//! harm in a member that is passed over. Nesting has no bound, and takes no stack.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::JsonError;

/// The members of an object, in order: names as they read, values as they are written.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// A document as text: UTF-8, without the byte order mark that a reader may ignore (RFC 8259 §8.1).
pub(crate) fn document(bytes: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The members of the object that `text` is; `None` if it is another value. No name comes twice in
/// it: the objects within it are not looked at.
pub(crate) fn members(text: &str) -> Result<Option<Members<'_>>, JsonError> {
    let mut cursor = Cursor { text, at: 0 };
    match cursor.document(Cursor::members) {
        None => Err(cursor.syntax()),
        Some(None) => Ok(None),
        Some(Some(members)) => {
            let names: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
            if names.len() < members.len() {
                return Err(JsonError::DuplicateMember);
            }
            Ok(Some(members))
        }
    }
}

/// The first `most` elements of the list that a value is, and how many more it has; `None` if it is
/// no list.
pub(crate) fn elements(value: &str, most: usize) -> Option<(Vec<&str>, usize)> {
    let mut cursor = Cursor { text: value, at: 0 };
    cursor.document(|cursor| cursor.elements(most)).flatten()
}

/// The string that a value is, decoded; `None` if it is none, or cannot be decoded.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(value).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// What `read` finds in the text, and nothing behind it.
    fn document<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.space();
        let found = read(self)?;
        self.space();
        (self.at == self.text.len()).then_some(found)
    }

    /// Where it went wrong, as serde_json counts.
    fn syntax(&self) -> JsonError {
        let before = self.text.as_bytes().get(..self.at).unwrap_or_default();
        let mut lines = before.rsplit(|byte| *byte == b'\n');
        let column = lines.next().map_or(0, <[u8]>::len);
        let has_ended = self.at >= self.text.len();
        JsonError::Syntax {
            line: lines.count().saturating_add(1),
            column: column.saturating_add(usize::from(!has_ended)),
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

    /// An object's members; `Some(None)` if it is another value.
    fn members(&mut self) -> Option<Option<Members<'a>>> {
        if self.peek() != Some(b'{') {
            return self.value().map(|_| None);
        }
        let mut members = Vec::new();
        self.each(b'{', b'}', |cursor| {
            let start = cursor.at;
            cursor.string()?;
            let name = cursor.text.get(start..cursor.at)?;
            cursor.colon()?;
            let value = cursor.value()?;
            // A name that cannot be decoded has an escape, which none that is looked for has.
            members.push((string(name).unwrap_or(Cow::Borrowed(name)), value));
            Some(())
        })?;
        Some(Some(members))
    }

    /// A list's elements; `Some(None)` if it is another value.
    fn elements(&mut self, most: usize) -> Option<Option<(Vec<&'a str>, usize)>> {
        if self.peek() != Some(b'[') {
            return self.value().map(|_| None);
        }
        let (mut elements, mut more) = (Vec::new(), 0_usize);
        self.each(b'[', b']', |cursor| {
            let element = cursor.value()?;
            if elements.len() < most {
                elements.push(element);
            } else {
                more = more.saturating_add(1);
            }
            Some(())
        })?;
        Some(Some((elements, more)))
    }

    /// Everything between two brackets.
    fn each(
        &mut self,
        open: u8,
        close: u8,
        mut read: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        self.space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            read(self)?;
            self.space();
            if self.take(b',').is_none() {
                return self.take(close);
            }
            self.space();
        }
    }

    /// Passes over any value.
    fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        // What closes the lists and objects that are open, the innermost last.
        let mut open = Vec::new();
        'value: loop {
            match self.peek()? {
                b'{' => {
                    self.skip();
                    self.space();
                    if self.take(b'}').is_none() {
                        self.name()?;
                        open.push(b'}');
                        continue;
                    }
                }
                b'[' => {
                    self.skip();
                    self.space();
                    if self.take(b']').is_none() {
                        open.push(b']');
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            while let Some(close) = open.last().copied() {
                self.space();
                if self.take(b',').is_some() {
                    self.space();
                    if close == b'}' {
                        self.name()?;
                    }
                    continue 'value;
                }
                self.take(close)?;
                open.pop();
            }
            return self.text.get(start..self.at);
        }
    }

    /// A member's name, up to its value.
    fn name(&mut self) -> Option<()> {
        self.string()?;
        self.colon()
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

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.skip();
                    return Some(());
                }
                b'\\' => {
                    self.skip();
                    self.escape()?;
                }
                0..=0x1f => return None,
                _ => self.skip(),
            }
        }
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
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
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
