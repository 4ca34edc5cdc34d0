//! The ways in which servers read a path.

use std::collections::BTreeSet;

use super::is_plain;

/// How much may be read of one path, in bytes of all its readings together: 81 readings of 100
/// bytes, 8 of 1,000. Beyond that a path is judged by the words in it ([`Readings::may_hide`]):
/// nobody needs such a path, and reading on would cost more than a signature.
const MAX_READ_BYTES: usize = 8 * 1024;
/// How often encodings are undone within encodings of another kind.
const MAX_ROUNDS: usize = 4;

/// All readings of one path.
#[derive(Debug)]
pub(super) enum Readings<'a> {
    /// Every server reads the bytes as they are.
    Plain(&'a [u8]),
    /// It has encodings of characters that mean nothing in a path: as sent, and with all undone.
    Encoded(&'a [u8], Vec<u8>),
    /// It has what servers disagree on.
    Odd(BTreeSet<Vec<u8>>),
    /// Too odd to be read in every way: the words in it, as any server can find them.
    Words(Vec<u8>),
    /// Too odd to say even that.
    Anything,
}

impl<'a> Readings<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        if is_plain_path(raw) {
            return Self::Plain(raw);
        }
        if is_harmless(raw) {
            return Self::Encoded(raw, trimmed(&decode(raw).folded));
        }
        match (all(raw), words(raw)) {
            (Some(readings), _) => Self::Odd(readings),
            (None, Some(words)) => Self::Words(words),
            (None, None) => Self::Anything,
        }
    }

    /// Whether the path's own spelling is what every server reads, up to encodings that matter to
    /// no one but the server behind the matched prefix.
    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Encoded(..) => true,
            Self::Odd(_) | Self::Words(_) | Self::Anything => false,
        }
    }

    /// Whether `test` holds for some reading that was made.
    pub(super) fn any(&self, test: impl Fn(&[u8]) -> bool) -> bool {
        match self {
            Self::Plain(path) => test(path),
            Self::Encoded(path, decoded) => test(path) || test(decoded),
            Self::Odd(paths) => paths.iter().any(|path| test(path)),
            Self::Words(_) | Self::Anything => false,
        }
    }

    /// Whether some reading that was not made might have these segments, in this order. No step
    /// moves segments or puts one together from others, so all must be there when all is undone.
    pub(super) fn may_hide<'w>(&self, mut segments: impl Iterator<Item = &'w str>) -> bool {
        match self {
            Self::Plain(_) | Self::Encoded(..) | Self::Odd(_) => false,
            Self::Words(words) => {
                let mut rest = words.as_slice();
                segments.all(|segment| {
                    let at = rest
                        .windows(segment.len())
                        .position(|found| found.eq_ignore_ascii_case(segment.as_bytes()));
                    rest = at
                        .and_then(|at| rest.get(at.saturating_add(segment.len())..))
                        .unwrap_or_default();
                    at.is_some()
                })
            }
            Self::Anything => true,
        }
    }
}

fn is_plain_path(raw: &[u8]) -> bool {
    let Some(path) = raw.strip_prefix(b"/") else {
        return false;
    };
    path.iter().all(|b| is_plain(*b) || *b == b'/') && has_plain_segments(path)
}

/// No empty segment but a last one, and none of dots alone.
fn has_plain_segments(path: &[u8]) -> bool {
    path.is_empty()
        || path
            .strip_suffix(b"/")
            .unwrap_or(path)
            .split(|b| *b == b'/')
            .all(|segment| !is_nothing(segment))
}

/// Whether the path is unclear by no more than encodings of characters that no server gives a
/// meaning in a path: `%20`, `%41`, UTF-8.
fn is_harmless(raw: &[u8]) -> bool {
    let Some(path) = raw.strip_prefix(b"/") else {
        return false;
    };
    let clear = |b: u8| is_plain(b) || matches!(b, b'/' | b'%') || b >= 0x80;
    if !path.iter().all(|b| clear(*b)) || !has_plain_segments(path) {
        return false;
    }
    let Decoded {
        bytes,
        folded,
        broken_at,
    } = decode(path);
    broken_at.is_none()
        && std::str::from_utf8(&bytes).is_ok()
        && has_plain_segments(&trimmed(&folded))
        && separators(path) == separators(&folded)
        && folded
            .iter()
            .all(|b| !b.is_ascii_control() && !matches!(b, b'\\' | b';' | b'%' | b'?' | b'#'))
}

/// How many bytes split a path, or make dot segments: an encoded one adds to them.
fn separators(path: &[u8]) -> usize {
    path.iter().filter(|b| matches!(b, b'/' | b'.')).count()
}

/// What comes of the path by every step that a server may take, in every order, and repeatedly;
/// `None` if that is too much.
fn all(raw: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let mut left = MAX_READ_BYTES;
    let mut open = vec![raw.to_vec()];
    let mut readings = BTreeSet::new();
    while let Some(path) = open.pop() {
        if readings.contains(&path) {
            continue;
        }
        left = left.checked_sub(path.len().max(1))?;
        open.extend(steps(&path));
        readings.insert(path);
    }
    Some(readings)
}

/// One step further, for each step that changes the path. None makes it longer.
fn steps(path: &[u8]) -> Vec<Vec<u8>> {
    let Decoded {
        folded, broken_at, ..
    } = decode(path);
    let end = path.iter().position(|b| matches!(b, 0 | b'?' | b'#'));
    let parameters = path.iter().position(|b| *b == b';');
    let mut steps = vec![
        folded,
        decoded_but_separators(path),
        slashes(path),
        without_parameters(path),
        trimmed(path),
        without_breaks(path),
        without_dots_alone(path),
    ];
    steps.extend(
        [(true, false), (false, true)].map(|(merge, resolve)| resolved(path, merge, resolve)),
    );
    steps.extend(
        [end, parameters, broken_at]
            .into_iter()
            .flatten()
            .filter_map(|end| path.get(..end))
            .map(<[u8]>::to_vec),
    );
    steps.extend(behind_authority(path));
    steps.retain(|step| step != path);
    steps
}

/// For servers that find `..` in `%2e%2e`, but no `/` in `%2f`: WHATWG URLs, Apache httpd.
fn decoded_but_separators(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match escape(rest) {
            Some((byte, after)) if !matches!(byte, b'/' | b'\\') => {
                decoded.push(byte);
                rest = after;
            }
            Some(_) | None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// WHATWG URLs have no tabs and line breaks, wherever they were.
fn without_breaks(path: &[u8]) -> Vec<u8> {
    path.iter().copied().filter(|b| !is_break(*b)).collect()
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n')
}

/// Whether a server on Windows drops all of a segment, as it does with `...` and `. .`.
fn is_nothing(segment: &[u8]) -> bool {
    segment.iter().all(|b| matches!(b, b'.' | b' '))
}

/// The path without segments that are nothing on Windows.
fn without_dots_alone(path: &[u8]) -> Vec<u8> {
    let kept: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .map(|segment| match segment {
            b"." | b".." => segment,
            _ if is_nothing(segment) => b"",
            _ => segment,
        })
        .collect();
    kept.join(&b'/')
}

fn slashes(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|b| if *b == b'\\' { b'/' } else { *b })
        .collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let bare: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .map(|segment| segment.split(|b| *b == b';').next().unwrap_or_default())
        .collect();
    bare.join(&b'/')
}

fn trimmed(path: &[u8]) -> Vec<u8> {
    let dropped = |b: &u8| *b <= b' ' || *b == 0x7f;
    let trimmed: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .map(|segment| {
            let start = segment
                .iter()
                .position(|b| !dropped(b))
                .unwrap_or(segment.len());
            let end = segment
                .iter()
                .rposition(|b| !dropped(b))
                .map_or(start, |last| last.saturating_add(1));
            segment.get(start..end).unwrap_or_default()
        })
        .collect();
    trimmed.join(&b'/')
}

/// The path without empty segments (`merge`), or without dot segments (`resolve`, RFC 3986 §5.2.4).
fn resolved(path: &[u8], merge: bool, resolve: bool) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|b| *b == b'/')
    {
        match segment {
            b"" if merge => {}
            b"." if resolve => {}
            b".." if resolve => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut text = vec![b'/'];
    text.extend(kept.join(&b'/'));
    text
}

/// What is left for a server that reads the path as a URL reference, in which `//host` and
/// `scheme://host` come before the path (RFC 3986 §4.2).
fn behind_authority(path: &[u8]) -> Option<Vec<u8>> {
    let at = path.windows(2).position(|pair| pair == b"//")?;
    let before = path.get(..at)?;
    if !before.is_empty() && (before.contains(&b'/') || !before.ends_with(b":")) {
        return None;
    }
    let reference = path.get(at.saturating_add(2)..)?;
    let start = reference.iter().position(|b| *b == b'/')?;
    reference.get(start..).map(<[u8]>::to_vec)
}

/// The path with every encoding undone and no line breaks, in time linear in its length; `None`
/// if there is no end to encodings within encodings.
///
/// Undoing cannot destroy a segment that some server reads: an escape never reaches across a
/// separator, and a pattern's segments have no `%`.
fn words(raw: &[u8]) -> Option<Vec<u8>> {
    let mut text = raw.to_vec();
    for _ in 0..MAX_ROUNDS {
        let next = fold(&decoded_to_the_end(&text));
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// Percent-decoding until nothing is left to decode: an escape is undone when its last byte comes,
/// and may be the last byte of another.
fn decoded_to_the_end(path: &[u8]) -> Vec<u8> {
    let mut decoded: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        decoded.push(*byte);
        while let Some((start, undone)) = last_escape(&decoded) {
            decoded.truncate(start);
            decoded.extend(undone);
        }
        if decoded.last().is_some_and(|b| is_break(*b)) {
            decoded.pop();
        }
    }
    decoded
}

/// Where the escape that ends a text begins, and what it stands for.
fn last_escape(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let short = text.len().checked_sub(3);
    if let Some(start) = short
        && let Some((byte, [])) = escape(text.get(start..)?)
    {
        return Some((start, vec![byte]));
    }
    let start = text.len().checked_sub(6)?;
    match escape_of_microsoft(text.get(start..)?) {
        Some((character, [])) => Some((start, character.to_string().into_bytes())),
        Some(_) | None => None,
    }
}

struct Decoded {
    bytes: Vec<u8>,
    /// The same, written in ASCII where a lenient server takes it for ASCII.
    folded: Vec<u8>,
    /// Where the first malformed escape begins.
    broken_at: Option<usize>,
}

/// Percent-decoding, with the `%uXXXX` of old Microsoft servers. What is malformed stays.
fn decode(path: &[u8]) -> Decoded {
    let mut bytes = Vec::with_capacity(path.len());
    let mut broken_at = None;
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        if let Some((byte, after)) = escape(rest) {
            bytes.push(byte);
            rest = after;
            continue;
        }
        broken_at = broken_at.or(Some(path.len().saturating_sub(rest.len())));
        if let Some((character, after)) = escape_of_microsoft(rest) {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
            continue;
        }
        bytes.push(b'%');
        rest = after;
    }
    Decoded {
        folded: fold(&bytes),
        bytes,
        broken_at,
    }
}

/// What the `%XX` in front stands for, and what follows it.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.strip_prefix(b"%")?.split_at_checked(2)?;
    Some((u8::try_from(hex(digits)?).ok()?, after))
}

/// What the `%uXXXX` in front stands for, and what follows it.
fn escape_of_microsoft(text: &[u8]) -> Option<(char, &[u8])> {
    let text = text.strip_prefix(b"%")?;
    let text = text.strip_prefix(b"u").or(text.strip_prefix(b"U"))?;
    let (digits, after) = text.split_at_checked(4)?;
    Some((char::from_u32(hex(digits)?)?, after))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    })
}

/// Writes in ASCII what a lenient server takes for ASCII: overlong UTF-8, fullwidth forms, letters
/// whose lower case is ASCII, and white space.
fn fold(bytes: &[u8]) -> Vec<u8> {
    let mut folded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (value, used) = match (*first, after) {
            (0xc0..=0xdf, [b, ..]) => (tail(u32::from(*first & 0x1f), &[*b]), 1),
            (0xe0..=0xef, [b, c, ..]) => (tail(u32::from(*first & 0x0f), &[*b, *c]), 2),
            (0xf0..=0xf7, [b, c, d, ..]) => (tail(u32::from(*first & 0x07), &[*b, *c, *d]), 3),
            _ => (None, 0),
        };
        match value.and_then(ascii) {
            Some(byte) => {
                folded.push(byte);
                rest = after.get(used..).unwrap_or_default();
            }
            None => {
                folded.push(*first);
                rest = after;
            }
        }
    }
    folded
}

fn tail(head: u32, bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(head, |value, byte| {
        (byte & 0xc0 == 0x80).then_some((value << 6) | u32::from(byte & 0x3f))
    })
}

fn ascii(value: u32) -> Option<u8> {
    match value {
        0..=0x7f => u8::try_from(value).ok(),
        0xff01..=0xff5e => u8::try_from(value.checked_sub(0xfee0)?).ok(),
        0x85
        | 0xa0
        | 0x1680
        | 0x2000..=0x200b
        | 0x2028
        | 0x2029
        | 0x202f
        | 0x205f
        | 0x3000
        | 0xfeff => Some(b' '),
        0x2024 => Some(b'.'),
        0x2044 | 0x2215 | 0x29f8 => Some(b'/'),
        0x29f5 | 0xfe68 => Some(b'\\'),
        0x0130 | 0x0131 => Some(b'i'),
        0x017f => Some(b's'),
        0x212a => Some(b'k'),
        _ => None,
    }
}
