//! The hosts that a resource is served on.

use std::fmt;

/// The `:authority` of a request, as the filter came by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// No resource asks for it, so it was not read.
    NotRead,
    /// The request has none.
    Missing,
    /// As received.
    Present(&'a [u8]),
}

/// The hosts that a resource is served on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Whatever the host.
    Any,
    /// These only.
    Only(Vec<HostPattern>),
}

/// A host, and a port where it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses `host` or `host:port`; the host must be in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text.as_bytes())?;
        let host = std::str::from_utf8(host).ok()?.to_owned();
        let canonical = !host.bytes().any(|b| b.is_ascii_uppercase());
        canonical.then_some(Self { host, port })
    }

    fn admits(&self, host: &[u8], port: Option<u16>) -> bool {
        host.eq_ignore_ascii_case(self.host.as_bytes())
            && (self.port.is_none() || self.port == port)
    }
}

/// As in the configuration.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Hosts {
    /// Whether a request with this authority is for one of the hosts; `None` where the authority
    /// is missing or malformed, so that nobody can tell what a server makes of it.
    pub fn admits(&self, authority: Authority<'_>) -> Option<bool> {
        let Self::Only(patterns) = self else {
            return Some(true);
        };
        let Authority::Present(authority) = authority else {
            return None;
        };
        let (host, port) = split(authority)?;
        Some(patterns.iter().any(|pattern| pattern.admits(host, port)))
    }
}

/// Splits `host[:port]`; the host's final dot is dropped (RFC 1034 §3.1). `None` if it is neither.
fn split(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, port) = match authority.iter().rposition(|b| *b == b':') {
        Some(at) if !authority.ends_with(b"]") => {
            let (host, port) = authority.split_at_checked(at)?;
            let port = std::str::from_utf8(port.get(1..)?).ok()?;
            if !port.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (host, Some(port.parse().ok()?))
        }
        Some(_) | None => (authority, None),
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let bracketed = host.starts_with(b"[") && host.ends_with(b"]");
    let plain = host.iter().all(|b| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_')
            || (bracketed && matches!(b, b':' | b'[' | b']'))
    });
    (plain && !host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_is_that_host() {
        let hosts = Hosts::Only(vec![
            HostPattern::parse("mcp.example.com").unwrap(),
            HostPattern::parse("b.example:8443").unwrap(),
            HostPattern::parse("[::1]").unwrap(),
        ]);
        for (authority, expected) in [
            ("mcp.example.com", Some(true)),
            ("MCP.example.COM:443", Some(true)),
            ("mcp.example.com.", Some(true)),
            ("mcp.example.com.:8080", Some(true)),
            ("b.example:8443", Some(true)),
            ("[::1]", Some(true)),
            ("[::1]:80", Some(true)),
            ("b.example", Some(false)),
            ("b.example:443", Some(false)),
            ("evil.example", Some(false)),
            ("mcp.example.com.evil.example", Some(false)),
            ("", None),
            (":80", None),
            ("mcp.example.com:", None),
            ("mcp.example.com:80x", None),
            ("me@mcp.example.com", None),
            ("mcp.example.com/x", None),
            ("mcp.example.com\0", None),
            ("mcp%2eexample.com", None),
        ] {
            assert_eq!(
                hosts.admits(Authority::Present(authority.as_bytes())),
                expected,
                "{authority:?}"
            );
        }
        assert_eq!(hosts.admits(Authority::Missing), None);
        assert_eq!(Hosts::Any.admits(Authority::Missing), Some(true));
    }

    #[test]
    fn patterns_are_canonical() {
        for text in [
            "",
            "A.example",
            "https://a.example",
            "a.example/x",
            "a.example:x",
            "*",
        ] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }
}
