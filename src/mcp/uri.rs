//! The ways in which servers may read the URI of a resource.
//!
//! Servers parse URIs by the rules of the WHATWG's URL standard, by RFC 3986, or not at all, and
//! open what they found with or without its host, query and percent-encodings. So a URI is compared
//! in a form that leaves out whatever they differ in: percent-encodings undone until none is left,
//! white space and controls dropped, lower case, one slash for any number of slashes of either kind,
//! no default port. Two URIs that a parser makes equal are equal in this form (a property test says
//! so of the `url` crate), so a rule on one is a rule on the other.
//!
//! This holds for URIs whose structure all parsers agree on. The others are unclear, and every rule
//! concerns them: those with dot segments, with a NUL, at which a server may cut them, and with a host
//! that needs more than lower case to be compared. Nobody writes them but to get past a rule.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

/// Everything that a server may take one URI for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readings {
    /// In the form in which URIs are compared; never empty.
    pub(super) texts: Vec<String>,
    /// `true` if a server may take it for yet another one.
    pub(super) unclear: bool,
}

impl Readings {
    pub(super) fn of(uri: &str) -> Self {
        let has_nul = has_nul(uri);
        let uri: String = uri.chars().filter(|c| !vanishes(*c)).collect();
        let parts = Parts::of(&uri);
        let mut whole = vec![parts.text(true)];
        if parts.has_two_places() {
            whole.push(parts.text(false));
        }
        let unclear = has_nul || parts.is_unclear() || has_dot_segment(&comparable(&uri));
        let mut texts: Vec<String> = Vec::new();
        for text in whole {
            for ends in [&[][..], &['#'], &['?', '#']] {
                let cut = text.split(ends).next().unwrap_or_default();
                if texts.iter().all(|other| other != cut) {
                    texts.push(cut.to_owned());
                }
            }
        }
        Self { texts, unclear }
    }
}

/// A pattern in the form in which URIs are compared.
pub(super) fn comparable_pattern(pattern: &str) -> String {
    let pattern: String = pattern.chars().filter(|c| !vanishes(*c)).collect();
    Parts::of(&pattern).text(true)
}

/// A URI as it falls apart before anything in it is decoded.
struct Parts<'a> {
    scheme: String,
    user: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
    /// `true` if there is an authority at all.
    has_authority: bool,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, rest) = match uri.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            Some(_) | None => (String::new(), uri),
        };
        let slashes: &[char] = if is_special(&scheme) {
            &['/', '\\']
        } else {
            &['/']
        };
        let begin = rest.trim_start_matches(slashes);
        let count = rest.len().saturating_sub(begin.len());
        let has_authority = match scheme.as_str() {
            "" => false,
            "file" => count == 2 && !begins_with_drive(begin),
            scheme if is_special(scheme) => true,
            _ => count >= 2,
        };
        if !has_authority {
            return Self {
                scheme,
                user: None,
                host: "",
                port: None,
                has_authority,
                path: rest,
            };
        }
        // What has no special scheme may have an empty host before its path.
        let begin = match rest.strip_prefix("//") {
            Some(behind) if !is_special(&scheme) => behind,
            Some(_) | None => begin,
        };
        let end = begin
            .find(|c| slashes.contains(&c) || c == '?' || c == '#')
            .unwrap_or(begin.len());
        let (authority, path) = begin.split_at_checked(end).unwrap_or((begin, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        // An empty password is none.
        let user = match user.split_once(':') {
            Some((name, "")) => name,
            Some(_) | None => user,
        };
        let user = Some(user).filter(|user| !user.is_empty());
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (place, None),
        };
        Self {
            scheme,
            user,
            host,
            port,
            has_authority,
            path,
        }
    }

    /// `true` if a server may leave out a part of the authority: of a file the host, of others the
    /// user.
    fn has_two_places(&self) -> bool {
        self.user.is_some() || (self.scheme == "file" && !self.is_local())
    }

    fn is_local(&self) -> bool {
        self.host.is_empty() || self.host.eq_ignore_ascii_case("localhost")
    }

    /// `true` if parsers may disagree on the host, or find another one elsewhere in the text.
    fn is_unclear(&self) -> bool {
        if !self.has_authority {
            return false;
        }
        let port_is_odd = self
            .port
            .is_some_and(|port| !port.is_empty() && number(port).is_none());
        let host_is_odd = if is_special(&self.scheme) {
            !(is_plain_host(self.host) || self.scheme == "file" && self.host.is_empty())
        } else {
            self.host.contains(['[', '\\']) || self.user.is_some_and(|user| user.contains('\\'))
        };
        port_is_odd || host_is_odd
    }

    fn text(&self, all: bool) -> String {
        let mut text = String::new();
        if !self.scheme.is_empty() {
            text += &self.scheme;
            text.push(':');
        }
        if is_special(&self.scheme) || self.has_authority {
            text.push('/');
        }
        if self.has_authority {
            self.write_authority(all, &mut text);
        }
        let open_ended = self.path.is_empty() && text.ends_with('*');
        if is_special(&self.scheme) && !open_ended {
            text.push('/');
        }
        comparable(&(text + self.path))
    }

    fn write_authority(&self, all: bool, text: &mut String) {
        if let Some(user) = self.user.filter(|_| all) {
            *text += user;
            text.push('@');
        }
        if self.scheme == "file" && (self.is_local() || !all) {
            return;
        }
        let host = if is_special(&self.scheme) {
            self.host.strip_suffix('.').unwrap_or(self.host)
        } else {
            self.host
        };
        *text += host;
        match self.port {
            None | Some("") => {}
            Some(port) => match number(port) {
                Some(number) if Some(number) == default_port(&self.scheme) => {}
                // Writing to a string never fails.
                Some(number) => {
                    let _ = write!(text, ":{number}");
                }
                None => {
                    text.push(':');
                    *text += port;
                }
            },
        }
    }
}

/// Parsers drop these at the ends or anywhere.
const fn vanishes(c: char) -> bool {
    matches!(c, '\0'..=' ' | '\x7f')
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The schemes for which the URL standard has rules of their own.
fn is_special(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "ws" | "wss" | "ftp" | "file")
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

fn number(port: &str) -> Option<u16> {
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| port.parse().ok()).flatten()
}

/// `C:` or `C|`: a path, where a host is expected.
fn begins_with_drive(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && matches!(chars.next(), Some(':' | '|'))
        && matches!(chars.next(), None | Some('/' | '\\' | '?' | '#'))
}

/// A name, or an IPv4 address as it is usually written: lower case is all that it needs.
fn is_plain_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = last.starts_with("0x") || last.starts_with("0X");
    let is_number = is_hex || last.bytes().all(|byte| byte.is_ascii_digit());
    let starts_encoded = |label: &str| {
        let prefix = label.get(..4);
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
    };
    !name.is_empty()
        && name.bytes().all(is_plain)
        && !name.split('.').any(starts_encoded)
        && (!is_number || (name == host && name.parse::<std::net::Ipv4Addr>().is_ok()))
}

/// `true` if a server could leave a directory: in no other form do parsers agree on what is left.
fn has_dot_segment(text: &str) -> bool {
    text.split(['/', '?', '#', ':'])
        .any(|segment| segment == "." || segment == "..")
}

/// Percent-encodings undone until none is left, without white space and controls, in lower case,
/// with one slash for many.
fn comparable(text: &str) -> String {
    let mut text = readable(&decoded(text, |_| ()));
    // The drives of file URLs.
    text = text.replace('|', ":").replace('\\', "/");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '/' || !out.ends_with('/') {
            out.extend(c.to_lowercase());
        }
    }
    out
}

/// `true` if a NUL is in it, however often encoded.
fn has_nul(text: &str) -> bool {
    let mut has_nul = false;
    decoded(text, |vanished| has_nul |= vanished == 0);
    has_nul
}

/// One pass is enough: a byte that was decoded is looked at again with those before and behind it.
/// No two encodings overlap, so their order changes nothing. `vanished` is told of what is left out.
fn decoded(text: &str, mut vanished: impl FnMut(u8)) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = out.as_slice()
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.truncate(out.len().saturating_sub(3));
            out.push(high << 4 | low);
        }
        if let Some(last) = out.pop_if(|last| vanishes(char::from(*last))) {
            vanished(last);
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Bytes as text; those that are no UTF-8 are encoded again.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        for byte in chunk.invalid() {
            // Writing to a string never fails.
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}
