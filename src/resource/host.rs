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

/// The answer to whether a request is for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Granted,
    /// It is for another one.
    Denied,
    /// The authority is missing or malformed: nobody can tell what a server makes of it.
    Unclear,
}

impl Hosts {
    /// Returns whether a request with this authority is for one of the hosts.
    pub fn admit(&self, authority: Authority<'_>) -> Admission {
        let Self::Only(patterns) = self else {
            return Admission::Granted;
        };
        let Authority::Present(authority) = authority else {
            return Admission::Unclear;
        };
        match split(authority) {
            None => Admission::Unclear,
            Some((host, port)) if patterns.iter().any(|one| one.admits(host, port)) => {
                Admission::Granted
            }
            Some(_) => Admission::Denied,
        }
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
            ("mcp.example.com", Admission::Granted),
            ("MCP.example.COM:443", Admission::Granted),
            ("mcp.example.com.", Admission::Granted),
            ("mcp.example.com.:8080", Admission::Granted),
            ("b.example:8443", Admission::Granted),
            ("[::1]", Admission::Granted),
            ("[::1]:80", Admission::Granted),
            ("b.example", Admission::Denied),
            ("b.example:443", Admission::Denied),
            ("evil.example", Admission::Denied),
            ("mcp.example.com.evil.example", Admission::Denied),
            ("", Admission::Unclear),
            (":80", Admission::Unclear),
            ("mcp.example.com:", Admission::Unclear),
            ("mcp.example.com:80x", Admission::Unclear),
            ("me@mcp.example.com", Admission::Unclear),
            ("mcp.example.com/x", Admission::Unclear),
            ("mcp.example.com\0", Admission::Unclear),
            ("mcp%2eexample.com", Admission::Unclear),
        ] {
            assert_eq!(
                hosts.admit(Authority::Present(authority.as_bytes())),
                expected,
                "{authority:?}"
            );
        }
        assert_eq!(hosts.admit(Authority::Missing), Admission::Unclear);
        assert_eq!(Hosts::Any.admit(Authority::Missing), Admission::Granted);
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
