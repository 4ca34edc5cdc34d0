//! What servers and proxies make of a path, written without a look at the filter: independent steps,
//! each of which some real server takes, in any order. The fuzz target for paths takes them, too.

pub(crate) type Path = Vec<u8>;

/// One thing that a server, or a proxy before it, does to a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Percent-decoding of everything (nginx, uvicorn, Go's `URL.Path`).
    Decode,
    /// The same, but for separators (Apache's `AllowEncodedSlashes NoDecode`).
    DecodeButSeparators,
    /// Of unreserved characters only (RFC 3986 §6.2.2.2: HAProxy, Caddy, Traefik).
    DecodeUnreserved,
    /// `\` is a separator (IIS, WHATWG URL).
    Backslash,
    /// Empty segments go.
    Merge,
    /// RFC 3986 §5.2.4.
    Resolve,
    /// The same, where `%2e` is a dot without having been decoded (WHATWG URL, Envoy).
    ResolveEncoded,
    /// `;` and what follows in its segment goes (Tomcat, Jetty).
    Parameters,
    /// `;` and all that follows goes.
    ParametersOfAll,
    /// The path ends at NUL, `?` or `#`.
    End,
    /// White space and control characters around a segment go.
    Trim,
    /// Dots and spaces that end a segment go (Windows).
    TrimWindows,
    /// Tabs and line breaks go (WHATWG URL).
    Breaks,
    /// `//authority` goes.
    Authority,
    /// Case is ignored (Express, IIS).
    Lower,
    /// A final newline is nothing (`$` in Python's and Perl's patterns).
    Newline,
}

pub(crate) const STEPS: [Step; 16] = [
    Step::Decode,
    Step::DecodeButSeparators,
    Step::DecodeUnreserved,
    Step::Backslash,
    Step::Merge,
    Step::Resolve,
    Step::ResolveEncoded,
    Step::Parameters,
    Step::ParametersOfAll,
    Step::End,
    Step::Trim,
    Step::TrimWindows,
    Step::Breaks,
    Step::Authority,
    Step::Lower,
    Step::Newline,
];

fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Path {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let byte = path
            .get(at + 1..at + 3)
            .filter(|digits| path[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
            .filter(|byte| wanted(*byte));
        out.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

fn each_segment(path: &[u8], change: impl Fn(&[u8]) -> Path) -> Path {
    let changed: Vec<Path> = path.split(|b| *b == b'/').map(change).collect();
    changed.join(&b'/')
}

fn resolve(path: &[u8], is_dot: impl Fn(&[u8]) -> usize) -> Path {
    let Some(path) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    for (at, segment) in segments.iter().enumerate() {
        match is_dot(segment) {
            0 => {
                kept.push(segment);
                continue;
            }
            1 => {}
            _ => drop(kept.pop()),
        }
        if at + 1 == segments.len() {
            kept.push(b"");
        }
    }
    let mut out = vec![b'/'];
    out.extend(kept.join(&b'/'));
    out
}

fn dots(segment: &[u8]) -> usize {
    match segment {
        b"." => 1,
        b".." => 2,
        _ => 0,
    }
}

impl Step {
    pub(crate) fn apply(self, path: &[u8]) -> Path {
        match self {
            Self::Decode => decode(path, |_| true),
            Self::DecodeButSeparators => decode(path, |b| b != b'/' && b != b'\\'),
            Self::DecodeUnreserved => {
                decode(path, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            }
            Self::Backslash => path
                .iter()
                .map(|b| if *b == b'\\' { b'/' } else { *b })
                .collect(),
            Self::Merge => {
                let mut out = path.to_vec();
                out.dedup_by(|a, b| *a == b'/' && *b == b'/');
                out
            }
            Self::Resolve => resolve(path, dots),
            Self::ResolveEncoded => resolve(path, |segment| dots(&decode(segment, |b| b == b'.'))),
            Self::Parameters => {
                each_segment(path, |s| s.split(|b| *b == b';').next().unwrap().to_vec())
            }
            Self::ParametersOfAll => path.split(|b| *b == b';').next().unwrap().to_vec(),
            Self::End => path
                .split(|b| matches!(b, 0 | b'?' | b'#'))
                .next()
                .unwrap()
                .to_vec(),
            Self::Trim => each_segment(path, |s| {
                let text: String = s.iter().map(|b| char::from(*b)).collect();
                let kept = text.trim_matches(|c: char| c <= ' ' || c == '\x7f');
                kept.chars().map(|c| c as u32 as u8).collect()
            }),
            Self::TrimWindows => each_segment(path, |s| {
                if dots(s) > 0 {
                    return s.to_vec();
                }
                let end = s.iter().rposition(|b| *b != b'.' && *b != b' ');
                s[..end.map_or(0, |last| last + 1)].to_vec()
            }),
            Self::Breaks => path
                .iter()
                .copied()
                .filter(|b| !matches!(b, b'\t' | b'\r' | b'\n'))
                .collect(),
            Self::Authority => match path.strip_prefix(b"//") {
                Some(rest) => match rest.iter().position(|b| *b == b'/') {
                    Some(at) => rest[at..].to_vec(),
                    None => b"/".to_vec(),
                },
                None => path.to_vec(),
            },
            Self::Lower => path.to_ascii_lowercase(),
            Self::Newline => path.strip_suffix(b"\n").unwrap_or(path).to_vec(),
        }
    }
}

/// Where a route of the server takes a path to: the handler of `/mcp`, or a tenant's.
pub(crate) fn served(path: &[u8]) -> Option<Path> {
    let segments: Vec<&[u8]> = path.strip_prefix(b"/")?.split(|b| *b == b'/').collect();
    match segments.as_slice() {
        [b"mcp", ..] => Some(Path::new()),
        [b"t", tenant, b"mcp", ..] if !tenant.is_empty() => Some(tenant.to_vec()),
        _ => None,
    }
}

/// The same for Rails, whose routes end in an optional format.
pub(crate) fn served_in_any_format(path: &[u8]) -> bool {
    let at = path.windows(5).position(|part| part == b"/mcp.");
    at.is_some_and(|at| served(&path[..at + 4]).is_some())
}

/// What a server undoes in one place of a path, done: from `/mcp` backwards, each in any place, in
/// any order. So every path that comes of it is the resource's for some chain of servers.
pub(crate) mod backwards {
    use super::Path;

    pub(crate) const KINDS: u8 = 12;
    const DROPPED: &[&[u8]] = &[
        b"\0",
        b"\t",
        b"\r\n",
        b" ",
        b"\x7f",
        b"\xff",
        "\u{200b}".as_bytes(),
        "\u{301}".as_bytes(),
        "\u{a0}".as_bytes(),
        "\u{e0041}".as_bytes(),
    ];
    const BEFORE: &[&[u8]] = &[
        b"/x/..",
        b"/.",
        b"/",
        b"/;p",
        b"/...",
        b"/.;p",
        b"/x/..;p",
        b"/x/y/../..",
        b"/..",
        "/caf\u{e9}/..".as_bytes(),
    ];
    const FRONTS: &[&[u8]] = &[
        b"//h",
        b"//u@h:80",
        b"/index.php",
        b"///h",
        b"/x%0d%0aPOST ",
    ];
    const TAILS: &[&[u8]] = &[
        b".json", b"\0x", b";x", b"/..", b"#x", b"?x", b"\n", b"%", b"%2", b"/sub", b".", b" ",
        b"/", b"\xff", b"\\x",
    ];

    fn pick<'a>(list: &[&'a [u8]], variant: usize) -> &'a [u8] {
        list[variant % list.len()]
    }

    /// One step, at a place that allows it.
    pub(crate) fn undo(path: &mut Path, kind: u8, place: usize, variant: usize) {
        let at = 1 + place % (path.len() - 1).max(1);
        let Some(byte) = path.get(at).copied() else {
            return;
        };
        let one = |text: &[u8]| (at..at + 1, text.to_vec());
        let (range, text) = match kind {
            0 => one(format!("%{byte:02X}").as_bytes()),
            1 => one(format!("%{byte:02x}").as_bytes()),
            2 if byte < 0x80 => one(format!("%u{byte:04x}").as_bytes()),
            3 if byte < 0x80 && variant.is_multiple_of(2) => {
                one(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f])
            }
            3 if byte < 0x80 => one(&[0xe0, 0x80 | byte >> 6, 0x80 | byte & 0x3f]),
            4 if (0x21..0x7f).contains(&byte) => {
                let wide = char::from_u32(0xfee0 + u32::from(byte)).unwrap();
                one(wide.to_string().as_bytes())
            }
            5 if byte.is_ascii_alphabetic() => one(&[byte ^ 0x20]),
            6 => (at..at, pick(DROPPED, variant).to_vec()),
            7 if byte == b'/' => one(pick(&[b"\\", "\u{2215}".as_bytes(), b"%2f"], variant)),
            8 if byte == b'/' || place.is_multiple_of(4) => {
                let at = if byte == b'/' { at } else { 0 };
                (at..at, pick(BEFORE, variant).to_vec())
            }
            9 => (0..0, pick(FRONTS, variant).to_vec()),
            10 => (path.len()..path.len(), pick(TAILS, variant).to_vec()),
            11 if byte == b'%' => one(b"%25"),
            _ => return,
        };
        path.splice(range, text);
    }
}
