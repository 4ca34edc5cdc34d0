//! The text of a path with all encodings undone, in which every character that a server might not
//! find there is marked.
//!
//! What servers do to single characters (decode an escape, take one character for another, drop
//! one) happens in any order and any number of times. Two of these steps disagree only where one
//! makes a character of bytes that the other drops or leaves. So the text has all characters that
//! any order can make, in their order, and each that is missing in some order is [`OPTIONAL`]:
//! what a server reads is the text without some of its optional characters, with escapes that were
//! not undone, which no configured name has. Where even that cannot be said, because an escape may
//! be put together in several ways, there is no text, and the path may be anything.
//!
//! One pass, a bounded amount of work for each byte.

use super::characters;

/// The bit of a character that may be missing, or stand for something that ends a name.
pub(super) const OPTIONAL: u8 = 0x80;
/// A character that no configured name has, and that never vanishes: mostly a letter.
pub(super) const OTHER: u8 = 0x7f;
/// What may vanish, or be a character that ends a name: controls, white space, combining marks,
/// invisible characters, and bytes that are no UTF-8.
const GAP: u8 = OTHER | OPTIONAL;
/// A line break, which may vanish too.
pub(super) const LINE: u8 = b'\n' | OPTIONAL;

/// How many sequences within another may be put together.
const MAX_SEQUENCES: usize = 8;

/// A path with all undone.
#[derive(Debug)]
pub(super) struct Undone {
    /// ASCII in lower case, with [`OPTIONAL`]: `/` as it was sent, `\` for whatever some servers
    /// take for `/`. `None` if it may be anything.
    pub(super) text: Option<Vec<u8>>,
    /// Every server reads the same segments, up to encodings of characters that mean nothing.
    pub(super) is_clear: bool,
}

/// Undoes what is behind the first `/` of a path.
pub(super) fn undone(path: &[u8]) -> Undone {
    let (bytes, is_clear) = unescaped(path);
    let mut undoing = Undoing {
        text: Vec::with_capacity(bytes.len()),
        ..Undoing::default()
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            undoing.character(character, false);
        }
        for byte in chunk.invalid() {
            undoing.stray(*byte);
        }
    }
    let is_clear = is_clear && has_names_only(&undoing.text);
    Undone {
        text: (!undoing.is_tangled).then_some(undoing.text),
        is_clear,
    }
}

/// No segment is empty (but a last one), made of dots, or of what may vanish; and nothing splits or
/// ends a segment, or may be missing, but what may vanish within a name.
fn has_names_only(text: &[u8]) -> bool {
    let is_name = |name: &[u8]| name.iter().any(|c| *c != b'.' && *c != GAP);
    let names = text.strip_suffix(b"/").unwrap_or(text);
    let is_odd =
        |c: &u8| matches!(c, b'\\' | b';' | b'?' | b'#') || (*c & OPTIONAL != 0 && *c != GAP);
    !text.iter().any(is_odd) && (text.is_empty() || names.split(|c| *c == b'/').all(is_name))
}

/// The bytes with every `%XX` undone, also if its `%` was encoded, and again (`%25XX`). An encoded
/// `/` becomes `\`: some servers split there. With it, whether the path has but bytes and escapes
/// that mean the same to every server.
fn unescaped(path: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = Vec::with_capacity(path.len());
    let mut is_clear = true;
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let escaped = escaped(rest);
        let (byte, after) = escaped.unwrap_or((*first, after));
        let is_encoded = after.len().saturating_add(1) < rest.len();
        is_clear &= match byte {
            b'/' | b'.' => !is_encoded,
            b'\\' | b'%' | b';' | b'?' | b'#' | 0..0x20 | 0x7f => false,
            0x80.. => true,
            _ => is_encoded || super::is_plain(byte),
        };
        bytes.push(if byte == b'/' && is_encoded {
            b'\\'
        } else {
            byte
        });
        rest = after;
    }
    let is_clear = is_clear && std::str::from_utf8(&bytes).is_ok();
    (
        bytes,
        is_clear && !path.windows(3).any(|three| three == b"%25"),
    )
}

/// What the escape in front stands for in the end, and what follows it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = text.strip_prefix(b"%")?;
    loop {
        let (high, low) = (*rest.first()?, *rest.get(1)?);
        let byte = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
        rest = rest.get(2..)?;
        let is_followed =
            matches!(rest, [high, low, ..] if digit(*high).and(digit(*low)).is_some());
        if byte != b'%' || !is_followed {
            return Some((byte, rest));
        }
    }
}

fn digit(character: u8) -> Option<u8> {
    u8::try_from(char::from(character).to_digit(16)?).ok()
}

#[derive(Default)]
struct Undoing {
    text: Vec<u8>,
    escape: Option<Escape>,
    /// The innermost is the last: what may vanish may stand within another.
    sequences: Vec<Sequence>,
    /// How many characters more belong to a `%` that is there when all is undone: some servers
    /// make one character of it and two others whatever they are (uWSGI), or of `%uXXXX` (Jetty).
    doubtful: u8,
    is_tangled: bool,
}

/// An escape that is not in one piece as sent: `%u006d`, `%6<tab>d`, `%%36d`, `%25%36d`.
#[derive(Default)]
struct Escape {
    is_unicode: bool,
    digits: u8,
    value: u32,
    /// Some of it might be missing, or be of another escape.
    is_tangled: bool,
}

/// A beginning of a UTF-8 sequence that is not valid: an overlong form, or with something within.
struct Sequence {
    value: u32,
    missing: u8,
}

impl Undoing {
    fn character(&mut self, character: char, optional: bool) {
        match u8::try_from(character) {
            Ok(0x7f) => self.gap(GAP),
            Ok(ascii @ 0..0x80) => self.ascii(ascii, optional),
            Ok(_) | Err(_) => match characters::folded(character) {
                Some(text) => text.bytes().for_each(|ascii| self.ascii(ascii, optional)),
                None => self.push(OTHER, optional),
            },
        }
    }

    fn ascii(&mut self, ascii: u8, optional: bool) {
        match ascii {
            b'\r' | b'\n' => self.gap(LINE),
            0..=b' ' => self.gap(GAP),
            _ => self.push(ascii.to_ascii_lowercase(), optional),
        }
    }

    /// Many that vanish are as one.
    fn gap(&mut self, gap: u8) {
        match self.text.last_mut() {
            Some(last) if *last == GAP => *last = gap,
            Some(last) if *last == LINE => {}
            Some(_) | None => self.text.push(gap),
        }
    }

    fn push(&mut self, ascii: u8, optional: bool) {
        let is_doubtful = optional || ascii == b'%' || self.doubtful > 0;
        self.text
            .push(ascii | if is_doubtful { OPTIONAL } else { 0 });
        self.doubtful = self.doubtful.saturating_sub(1);
        if !is_doubtful {
            self.sequences.clear();
        }
        if ascii == b'%' {
            self.doubtful = 2;
            self.escape = Some(Escape {
                is_tangled: optional || self.escape.is_some(),
                ..Escape::default()
            });
        } else if let Some(escape) = &mut self.escape {
            escape.is_tangled |= optional;
            match digit(ascii) {
                Some(digit) => {
                    escape.value = (escape.value << 4) | u32::from(digit);
                    escape.digits = escape.digits.saturating_add(1);
                }
                None if ascii == b'u' && escape.digits == 0 && !escape.is_unicode => {
                    escape.is_unicode = true;
                    self.doubtful = 4;
                }
                None if optional => {}
                None => self.escape = None,
            }
            self.end_escape();
        }
    }

    fn end_escape(&mut self) {
        let is_whole = |e: &mut Escape| e.digits == if e.is_unicode { 4 } else { 2 };
        let Some(escape) = self.escape.take_if(is_whole) else {
            return;
        };
        self.is_tangled |= escape.is_tangled;
        match u8::try_from(escape.value) {
            Ok(byte @ 0x80..) if !escape.is_unicode => self.stray(byte),
            Ok(_) | Err(_) => self.code_point(escape.value),
        }
    }

    /// Half of a surrogate pair is part of some other character.
    fn code_point(&mut self, value: u32) {
        match char::from_u32(value) {
            Some(character) => self.character(character, true),
            None => self.is_tangled = true,
        }
    }

    /// A byte that is no UTF-8 where it stands.
    fn stray(&mut self, byte: u8) {
        self.gap(GAP);
        let bits = u32::from(byte);
        let (value, missing) = match byte {
            0xc0..0xe0 => (bits & 0x1f, 1),
            0xe0..0xf0 => (bits & 0x0f, 2),
            0xf0..0xf8 => (bits & 0x07, 3),
            0xf8..0xfc => (bits & 0x03, 4),
            0xfc..0xfe => (bits & 0x01, 5),
            0x80..0xc0 => match self.sequences.pop() {
                Some(of) => (
                    (of.value << 6) | (bits & 0x3f),
                    of.missing.saturating_sub(1),
                ),
                None => return,
            },
            _ => return,
        };
        if missing == 0 {
            self.code_point(value);
            return;
        }
        if self.sequences.len() >= MAX_SEQUENCES {
            self.sequences.remove(0);
        }
        self.sequences.push(Sequence { value, missing });
    }
}
