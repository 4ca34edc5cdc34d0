//! Claims by their path, what they must say, and how they are written into a header.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::template::Bindings;
use crate::template::Template;
use crate::token::Claims;

/// The place of a claim: a top-level name, or a JSON Pointer (RFC 6901) if it begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Parses `sub`, `https://example.com/roles` or `/realm_access/roles`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let Some(pointer) = text.strip_prefix('/') else {
            return Some(Self(vec![text.to_owned()]));
        };
        pointer
            .split('/')
            .map(|step| {
                let escapes_are_known = step
                    .split('~')
                    .skip(1)
                    .all(|rest| rest.starts_with(['0', '1']));
                escapes_are_known.then(|| step.replace("~1", "/").replace("~0", "~"))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// The claim, if the token has it.
    pub fn of(&self, claims: &Claims) -> Option<Value> {
        claims.get(&self.0)
    }

    /// Returns whether this is the top-level claim `name`.
    pub fn is(&self, name: &str) -> bool {
        matches!(self.0.as_slice(), [only] if only == name)
    }
}

/// As in the configuration.
impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [name] if !name.starts_with('/') => f.write_str(name),
            steps => steps
                .iter()
                .try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1"))),
        }
    }
}

/// A claim that must have one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// The claim.
    pub claim: ClaimPath,
    /// The values that it may have; variables are bound by the request's path.
    pub values: Vec<Template>,
}

impl ClaimRule {
    /// Returns whether the claim, or one member of it where it is a list, has one of the values.
    pub fn admits(&self, claims: &Claims, bindings: &Bindings) -> bool {
        match self.claim.of(claims) {
            None => false,
            Some(Value::Array(members)) => members.iter().any(|value| self.allows(value, bindings)),
            Some(value) => self.allows(&value, bindings),
        }
    }

    fn allows(&self, value: &Value, bindings: &Bindings) -> bool {
        scalar(value).is_some_and(|text| {
            self.values
                .iter()
                .any(|allowed| allowed.render(bindings) == text)
        })
    }
}

/// A claim that is handed to the server in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// The claim that the value comes from.
    pub claim: ClaimPath,
    /// The header's name, in lower case.
    pub name: Arc<str>,
}

/// A fact of the caller, for filter state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFact {
    /// `sub`
    Subject,
    /// `client_id`, or `azp` where there is none.
    Client,
    /// `iss`
    Issuer,
    /// The scopes, with spaces between them.
    Scopes,
}

impl CallerFact {
    /// Every fact.
    pub const ALL: [Self; 4] = [Self::Subject, Self::Client, Self::Issuer, Self::Scopes];

    /// Its name in filter state, behind `wasm.`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subject => "mcp_auth_subject",
            Self::Client => "mcp_auth_client",
            Self::Issuer => "mcp_auth_issuer",
            Self::Scopes => "mcp_auth_scopes",
        }
    }

    /// Its value, percent-encoded, if the token says so; a name that is empty is none.
    pub(crate) fn of(self, claims: &Claims) -> Option<String> {
        let text = |name| {
            let text = claims.string(name).filter(|text| !text.is_empty())?;
            Some(encode(&text))
        };
        match self {
            Self::Subject => text("sub"),
            Self::Client => text("client_id").or_else(|| text("azp")),
            Self::Issuer => text("iss"),
            Self::Scopes => Some(encode(&claims.scopes().join(" "))),
        }
    }
}

/// A claim's value for a header: a scalar as it is, a list of scalars joined with `,` (spaces for
/// `scope`), anything else as `None`. So is what is empty: a header that says nothing may be read as
/// one that names somebody.
///
/// Bytes outside visible ASCII and space, and `%` itself, are percent-encoded (RFC 3986 §2.1), so
/// that nothing in a token can end a header or begin another one. In a list so are the commas of its
/// members: no two lists have one value. A scope has no space in it (RFC 6749 §3.3).
pub(crate) fn header_value(claim: &ClaimPath, claims: &Claims) -> Option<String> {
    written(claim, claims).filter(|text| !text.is_empty())
}

fn written(claim: &ClaimPath, claims: &Claims) -> Option<String> {
    if claim.is("scope") {
        let scopes = claims.scopes();
        return (!scopes.is_empty()).then(|| encode(&scopes.join(" ")));
    }
    if let [name] = claim.0.as_slice()
        && let Some(text) = claims.string(name)
    {
        return Some(encode(&text));
    }
    let value = claim.of(claims)?;
    if let Value::Array(members) = value {
        let member = |value| scalar(value).map(|text| encode_but(&text, b','));
        let members: Option<Vec<String>> = members.iter().map(member).collect();
        return members.map(|members| members.join(","));
    }
    scalar(&value).map(|text| encode(&text))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Percent-encodes what is not visible ASCII or an inner space, and `%` (RFC 3986 §2.1).
pub(crate) fn encode(text: &str) -> String {
    encode_but(text, b'%')
}

/// The same, and `also` percent-encoded.
fn encode_but(text: &str, also: u8) -> String {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let inner_space = byte == b' ' && at != 0 && at != last;
        if (byte.is_ascii_graphic() && byte != b'%' && byte != also) || inner_space {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex(byte >> 4));
            out.push(hex(byte & 0x0f));
        }
    }
    out
}
