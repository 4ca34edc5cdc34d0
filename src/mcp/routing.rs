//! The headers that repeat what a body asks for (MCP 2026-07-28, Streamable HTTP, "Request
//! Metadata").

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::{Message, Messages};
use super::{Operation, name_member};
use crate::head::Head;

/// The first revision that has these headers, and has servers check them.
const FIRST_REVISION: &str = "2026-07-28";

/// A header that repeats a part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingHeader {
    /// `MCP-Protocol-Version`
    Version,
    /// `Mcp-Method`
    Method,
    /// `Mcp-Name`
    Name,
}

impl RoutingHeader {
    const fn name(self) -> &'static str {
        match self {
            Self::Version => "mcp-protocol-version",
            Self::Method => "mcp-method",
            Self::Name => "mcp-name",
        }
    }
}

/// As the specification spells it.
impl fmt::Display for RoutingHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "MCP-Protocol-Version",
            Self::Method => "Mcp-Method",
            Self::Name => "Mcp-Name",
        })
    }
}

/// The ways in which routing headers and body disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The header comes more than once.
    Repeated(RoutingHeader),
    /// The header cannot be read.
    Unreadable(RoutingHeader),
    /// The header is missing, and this revision must have it.
    Missing(RoutingHeader),
    /// The header says something else than the body.
    Differs(RoutingHeader),
    /// A batch, which no routing header can name.
    Batch,
}

/// For the client: nothing of the request is in it.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated(header) => write!(f, "{header} comes more than once"),
            Self::Unreadable(header) => write!(f, "{header} cannot be read"),
            Self::Missing(header) => write!(f, "{header} is missing"),
            Self::Differs(header) => write!(f, "{header} and the body disagree"),
            Self::Batch => write!(f, "a batch has no {}", RoutingHeader::Method),
        }
    }
}

/// The routing headers of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    version: Option<String>,
    method: Option<String>,
    name: Option<String>,
}

impl Routing {
    /// Reads the headers; what they say is not believed before [`Routing::confirm`].
    pub fn of(head: &Head) -> Result<Self, Mismatch> {
        Ok(Self {
            version: only(head, RoutingHeader::Version)?,
            method: only(head, RoutingHeader::Method)?,
            name: only(head, RoutingHeader::Name)?,
        })
    }

    /// The operation that they name, not confirmed by a body.
    pub fn operation(self) -> Option<Operation> {
        Some(Operation::new(self.method?, self.name))
    }

    /// `true` if the revision is one whose servers must check these headers. The version of an older
    /// one, or of none, leaves them without meaning.
    pub fn binds(&self) -> bool {
        self.version.as_deref().is_some_and(|version| {
            let is_date = version.len() == FIRST_REVISION.len()
                && version
                    .bytes()
                    .zip(FIRST_REVISION.bytes())
                    .all(|(found, like)| {
                        if like == b'-' {
                            found == b'-'
                        } else {
                            found.is_ascii_digit()
                        }
                    });
            is_date && version >= FIRST_REVISION
        })
    }

    /// Checks that headers and body agree.
    pub fn confirm(&self, messages: &Messages) -> Result<(), Mismatch> {
        for message in &messages.messages {
            let stated = match message {
                Message::Request { version, .. } | Message::Notification { version, .. } => {
                    version.as_deref()
                }
                Message::Response => None,
            };
            if stated.is_some() && stated != self.version.as_deref() {
                return Err(Mismatch::Differs(RoutingHeader::Version));
            }
        }
        if !self.binds() {
            return Ok(());
        }
        let message = match messages.messages.as_slice() {
            [message] if !messages.is_batch => message,
            _ => return Err(Mismatch::Batch),
        };
        match message {
            Message::Request { operation, .. } => self.confirm_operation(operation, true),
            // The specification leaves open whether a notification has them.
            Message::Notification { operation, .. } => self.confirm_operation(operation, false),
            Message::Response if self.method.is_some() => {
                Err(Mismatch::Differs(RoutingHeader::Method))
            }
            Message::Response => Ok(()),
        }
    }

    fn confirm_operation(&self, operation: &Operation, needed: bool) -> Result<(), Mismatch> {
        match &self.method {
            None if needed => return Err(Mismatch::Missing(RoutingHeader::Method)),
            Some(method) if *method != operation.method => {
                return Err(Mismatch::Differs(RoutingHeader::Method));
            }
            None | Some(_) => {}
        }
        if name_member(&operation.method).is_none() {
            return Ok(());
        }
        match &self.name {
            None if needed && repeats_name(&operation.method) => {
                Err(Mismatch::Missing(RoutingHeader::Name))
            }
            Some(_) if self.name != operation.name => Err(Mismatch::Differs(RoutingHeader::Name)),
            None | Some(_) => Ok(()),
        }
    }
}

/// `true` if the specification has `Mcp-Name` for a method.
fn repeats_name(method: &str) -> bool {
    matches!(
        method,
        "tools/call"
            | "prompts/get"
            | "resources/read"
            | "tasks/get"
            | "tasks/update"
            | "tasks/cancel"
    )
}

fn only(head: &Head, header: RoutingHeader) -> Result<Option<String>, Mismatch> {
    let mut values = head.values(header.name());
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Mismatch::Repeated(header));
    }
    let text = std::str::from_utf8(value).map_err(|_| Mismatch::Unreadable(header))?;
    let text = text.trim_matches([' ', '\t']);
    let encoded = text
        .strip_prefix("=?base64?")
        .and_then(|text| text.strip_suffix("?="));
    match encoded {
        None => Ok(Some(text.to_owned())),
        Some(encoded) => STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Some)
            .ok_or(Mismatch::Unreadable(header)),
    }
}
