//! The ways in which servers read a path.

use std::collections::BTreeSet;

use super::is_plain;

/// The longest path that servers may disagree on and that is still read in every way, in bytes.
const MAX_ODD_BYTES: usize = 2048;
/// How many readings one path may have. Beyond these bounds it is taken to be anything: nobody
/// needs such a path, and reading on would cost more than a signature.
const MAX_READINGS: usize = 128;

/// All readings of one path.
#[derive(Debug)]
pub(super) enum Readings {
    /// Every server reads the bytes as they are.
    Plain(Vec<u8>),
    /// It has encodings of characters that mean nothing in a path: as sent, and with all undone.
    Encoded([Vec<u8>; 2]),
    /// It has what servers disagree on.
    Odd(BTreeSet<Vec<u8>>),
    /// Too odd to say.
    Anything,
}

impl Readings {
    pub(super) fn of(raw: &[u8]) -> Self {
        if is_plain_path(raw) {
            return Self::Plain(raw.to_vec());
        }
        if is_harmless(raw) {
            return Self::Encoded([raw.to_vec(), trimmed(&decode(raw).folded)]);
        }
        match all(raw) {
            Some(readings) => Self::Odd(readings),
            None => Self::Anything,
        }
    }

    /// Whether the path's own spelling is what every server reads, up to encodings that matter to
    /// no one but the server behind the matched prefix.
    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Encoded(_) => true,
            Self::Odd(_) | Self::Anything => false,
        }
    }

    /// Whether `test` holds for the segments of some reading.
    pub(super) fn any(&self, test: impl Fn(&[&[u8]]) -> bool) -> bool {
        let holds = |path: &Vec<u8>| test(&segments(path));
        match self {
            Self::Plain(path) => holds(path),
            Self::Encoded(paths) => paths.iter().any(holds),
            Self::Odd(paths) => paths.iter().any(holds),
            Self::Anything => true,
        }
    }
}

fn segments(path: &[u8]) -> Vec<&[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.is_empty() {
        Vec::new()
    } else {
        path.split(|b| *b == b'/').collect()
    }
}

fn is_plain_path(raw: &[u8]) -> bool {
    let Some(path) = raw.strip_prefix(b"/") else {
        return false;
    };
    path.iter().all(|b| is_plain(*b) || *b == b'/') && has_plain_segments(path)
}

/// No empty segment but a last one, and no dot segment.
fn has_plain_segments(path: &[u8]) -> bool {
    path.is_empty()
        || path
            .strip_suffix(b"/")
            .unwrap_or(path)
            .split(|b| *b == b'/')
            .all(|segment| !matches!(segment, b"" | b"." | b".."))
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
    if raw.len() > MAX_ODD_BYTES {
        return None;
    }
    let mut open = vec![raw.to_vec()];
    let mut readings = BTreeSet::new();
    while let Some(path) = open.pop() {
        if readings.contains(&path) {
            continue;
        }
        if readings.len() == MAX_READINGS {
            return None;
        }
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
    let mut steps = vec![
        folded,
        slashes(path),
        without_parameters(path),
        trimmed(path),
    ];
    steps.extend(
        [(true, false), (false, true)].map(|(merge, resolve)| resolved(path, merge, resolve)),
    );
    steps.extend(
        [end, broken_at]
            .into_iter()
            .flatten()
            .filter_map(|end| path.get(..end))
            .map(<[u8]>::to_vec),
    );
    steps.extend(behind_authority(path));
    steps.retain(|step| step != path);
    steps
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
        let at = path.len().saturating_sub(rest.len());
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        if let Some((digits, after)) = after.split_at_checked(2)
            && let Some(byte) = hex(digits).and_then(|value| u8::try_from(value).ok())
        {
            bytes.push(byte);
            rest = after;
            continue;
        }
        broken_at = broken_at.or(Some(at));
        if let Some((b'u' | b'U', after)) = after.split_first()
            && let Some((digits, after)) = after.split_at_checked(4)
            && let Some(character) = hex(digits).and_then(char::from_u32)
        {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
            continue;
        }
        bytes.push(b'%');
    }
    Decoded {
        folded: fold(&bytes),
        bytes,
        broken_at,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    })
}

/// Writes in ASCII what a lenient server takes for ASCII: overlong UTF-8, fullwidth forms, and
/// letters whose lower case is ASCII.
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
        0x2024 => Some(b'.'),
        0x2044 | 0x2215 | 0x29f8 => Some(b'/'),
        0x29f5 | 0xfe68 => Some(b'\\'),
        0x0130 | 0x0131 => Some(b'i'),
        0x017f => Some(b's'),
        0x212a => Some(b'k'),
        _ => None,
    }
}
