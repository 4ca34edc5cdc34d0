//! The request that is explained.

use std::fmt;

use mcp_auth_filter::bearer::{self, Credentials};
use mcp_auth_filter::config::Config;
use mcp_auth_filter::escape::escaped;
use mcp_auth_filter::gate;
use mcp_auth_filter::head::Head;
use mcp_auth_filter::resource::Route;
use mcp_auth_filter::resource::host::Authority;

/// A request as Envoy would hand it to the filter.
pub(crate) struct Request {
    path: String,
    authority: String,
    /// Without its query, in which a token may be by mistake.
    shown: String,
    headers: Vec<(String, Vec<u8>)>,
    head: Head,
}

impl Request {
    /// The error says what is wrong, without any value: one of them may be a token.
    pub(crate) fn new(url: &str, method: &str, headers: &[String]) -> Result<Self, String> {
        let (scheme, authority, path) = split(url)
            .ok_or("--url: allowed: an absolute URL such as https://mcp.example.com/mcp")?;
        if !is_token(method) {
            return Err("--method: allowed: a method such as GET or POST".to_owned());
        }
        let mut all = vec![
            (":method".to_owned(), method.as_bytes().to_vec()),
            (":scheme".to_owned(), scheme.as_bytes().to_vec()),
            (":authority".to_owned(), authority.as_bytes().to_vec()),
            (":path".to_owned(), path.as_bytes().to_vec()),
        ];
        for header in headers {
            all.push(self::header(header)?);
        }
        let without_query = path.split('?').next().unwrap_or_default();
        Ok(Self {
            shown: format!(
                "{method} {}{}",
                escaped(&format!("{scheme}://{authority}{without_query}")),
                if without_query.len() < path.len() {
                    " and a query"
                } else {
                    ""
                }
            ),
            path: path.to_owned(),
            authority: authority.to_owned(),
            head: Head::new(all.clone()),
            headers: all,
        })
    }

    /// Puts a token, with or without `Bearer `, into the one place where the filter looks for it.
    pub(crate) fn set_token(&mut self, input: &[u8]) {
        let input = input.trim_ascii();
        if input.is_empty() {
            return;
        }
        let named = input
            .split_at_checked("Bearer ".len())
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
        let mut value = if named { vec![] } else { b"Bearer ".to_vec() };
        value.extend_from_slice(input);
        let mut headers = self.headers.clone();
        headers.push(("authorization".to_owned(), value));
        self.head = Head::new(headers);
    }

    /// The token, if there is one such that the filter looks into it.
    pub(crate) fn token(&self) -> Option<&[u8]> {
        match self.credentials() {
            Credentials::Bearer(token) => Some(token),
            Credentials::Missing
            | Credentials::OtherScheme
            | Credentials::Multiple
            | Credentials::MalformedBearer => None,
        }
    }

    pub(crate) fn credentials(&self) -> Credentials<'_> {
        bearer::credentials(self.head.values("authorization"))
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn route(&self, config: &Config) -> Route {
        let authority = if gate::needs_authority(config) {
            Authority::Present(self.authority.as_bytes())
        } else {
            Authority::NotRead
        };
        gate::route(config, Some(self.path.as_bytes()), authority)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Scheme, authority, and path with query, byte for byte: odd paths are what one wants explained.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let sound = matches!(scheme, "http" | "https")
        && !authority.is_empty()
        && !authority.contains('@')
        && !url.contains(char::is_control);
    let path = if path.is_empty() { "/" } else { path };
    (sound && path.starts_with('/')).then_some((scheme, authority, path))
}

fn header(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("--header: allowed: `name: value`")?;
    let name = name.trim().to_ascii_lowercase();
    if name == "authorization" {
        return Err("--header: the token is read from standard input, not from here".to_owned());
    }
    if !is_token(&name) || value.contains(|c: char| c.is_control() && c != '\t') {
        return Err(
            "--header: allowed: `name: value`, a header's name and a value without controls"
                .to_owned(),
        );
    }
    Ok((name, value.trim().as_bytes().to_vec()))
}

/// A token of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
