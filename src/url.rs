//! The absolute `http` and `https` URLs of a configuration or of a discovery document.

use std::net::Ipv4Addr;

use fluent_uri::Uri;

/// The reasons for which a string is no URL that the filter can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Not a URI (RFC 3986), or one without an authority.
    NotAbsolute,
    /// Another scheme than lower-case `http` or `https`.
    Scheme,
    /// A user name or password in the authority.
    UserInfo,
    /// An empty host, or one with upper-case letters or percent-encoding.
    Host,
    /// A port that is not a number of 1 to 65535.
    Port,
    /// A query (`?`).
    Query,
    /// A fragment (`#`).
    Fragment,
}

impl UrlError {
    /// The form that was expected, as a phrase for a configuration error.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::NotAbsolute => "an absolute URL such as https://mcp.example.com/mcp",
            Self::Scheme => "a URL whose scheme is https (or http), in lower case",
            Self::UserInfo => "a URL without a user name or password",
            Self::Host => "a URL with a host in lower case",
            Self::Port => "a URL whose port is 1 to 65535",
            Self::Query => "a URL without a query (?)",
            Self::Fragment => "a URL without a fragment (#)",
        }
    }
}

/// A URL, split, with the string kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    scheme_len: usize,
    authority_len: usize,
}

impl HttpUrl {
    /// Parses a URL that identifies something: without query and fragment.
    pub fn parse_identifier(text: &str) -> Result<Self, UrlError> {
        let uri = Uri::parse(text).map_err(|_| UrlError::NotAbsolute)?;
        if uri.has_query() {
            return Err(UrlError::Query);
        }
        Self::parse_location(text)
    }

    /// Parses a URL that is to be fetched: a query is part of it.
    pub fn parse_location(text: &str) -> Result<Self, UrlError> {
        let uri = Uri::parse(text).map_err(|_| UrlError::NotAbsolute)?;
        let scheme = uri.scheme().as_str();
        if !matches!(scheme, "http" | "https") {
            return Err(UrlError::Scheme);
        }
        let authority = uri.authority().ok_or(UrlError::NotAbsolute)?;
        if authority.has_userinfo() {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host();
        if host.is_empty() || host.bytes().any(|b| b.is_ascii_uppercase() || b == b'%') {
            return Err(UrlError::Host);
        }
        if authority.has_port() && !matches!(authority.port_to_u16(), Ok(Some(1..))) {
            return Err(UrlError::Port);
        }
        if uri.has_fragment() {
            return Err(UrlError::Fragment);
        }
        Ok(Self {
            scheme_len: scheme.len(),
            authority_len: authority.as_str().len(),
            text: text.to_owned(),
        })
    }

    /// The string as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.text.get(..self.scheme_len).unwrap_or_default()
    }

    /// Host and, where given, port.
    pub fn authority(&self) -> &str {
        let start = self.authority_start();
        self.text
            .get(start..start.saturating_add(self.authority_len))
            .unwrap_or_default()
    }

    /// Scheme and authority: all before the path.
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_start()).unwrap_or_default()
    }

    /// The path with its query; empty for a bare origin.
    pub fn path_and_query(&self) -> &str {
        self.text.get(self.path_start()..).unwrap_or_default()
    }

    /// True of `http` to a host that can be no other machine.
    pub fn is_loopback(&self) -> bool {
        let host = match self.authority().rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            Some(_) | None => self.authority(),
        };
        let is_loopback = |address: Ipv4Addr| address.is_loopback();
        host == "localhost" || host == "[::1]" || host.parse().is_ok_and(is_loopback)
    }

    fn authority_start(&self) -> usize {
        self.scheme_len.saturating_add("://".len())
    }

    fn path_start(&self) -> usize {
        self.authority_start().saturating_add(self.authority_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_keeps_the_bytes() {
        let url = HttpUrl::parse_identifier("https://mcp.example.com:8443/a/b").unwrap();
        assert_eq!(url.scheme(), "https");
        assert_eq!(url.authority(), "mcp.example.com:8443");
        assert_eq!(url.origin(), "https://mcp.example.com:8443");
        assert_eq!(url.path_and_query(), "/a/b");
        let bare = HttpUrl::parse_identifier("https://mcp.example.com").unwrap();
        assert_eq!(bare.path_and_query(), "");
        let keys = HttpUrl::parse_location("https://a.example/keys?p=x").unwrap();
        assert_eq!(keys.path_and_query(), "/keys?p=x");
    }

    #[test]
    fn refuses_with_one_reason_each() {
        for (text, expected) in [
            ("", UrlError::NotAbsolute),
            ("/mcp", UrlError::NotAbsolute),
            ("https:mcp", UrlError::NotAbsolute),
            ("https://a.example/ x", UrlError::NotAbsolute),
            ("ftp://a.example/", UrlError::Scheme),
            ("HTTPS://a.example/", UrlError::Scheme),
            ("https://me@a.example/", UrlError::UserInfo),
            ("https:///mcp", UrlError::Host),
            ("https://A.example/mcp", UrlError::Host),
            ("https://a%2eb/mcp", UrlError::Host),
            ("https://a.example:0/", UrlError::Port),
            ("https://a.example:70000/", UrlError::Port),
            ("https://a.example:/", UrlError::Port),
            ("https://a.example/?x", UrlError::Query),
            ("https://a.example/#x", UrlError::Fragment),
        ] {
            assert_eq!(HttpUrl::parse_identifier(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn knows_loopback() {
        for (text, expected) in [
            ("http://127.0.0.1:8080/mcp", true),
            ("http://localhost/mcp", true),
            ("http://[::1]:1/mcp", true),
            ("http://localhost.example/mcp", false),
            ("http://10.0.0.1/", false),
            ("http://127.evil.example/", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://127.255.0.1/", true),
        ] {
            assert_eq!(
                HttpUrl::parse_identifier(text).unwrap().is_loopback(),
                expected,
                "{text}"
            );
        }
    }
}
