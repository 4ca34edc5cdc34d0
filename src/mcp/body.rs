//! JSON-RPC 2.0 as MCP has it, read without building a tree.
//!
//! Two readers of one body must not see different operations. So every member may come once in its
//! object where something is looked for; a member that differs from a known one in case alone is
//! refused, since some readers (Go's `encoding/json`) take it for that one; and nothing stands behind
//! the value. What no rule can ask for (arguments, results) is passed over undecoded.

use std::borrow::Cow;

use super::{Operation, name_member};
use crate::json::{Json, JsonError, Members};

/// The most messages that one batch may have.
pub const MAX_MESSAGES: usize = 64;

/// The longest id that is repeated in an answer, in bytes.
const MAX_ID_BYTES: usize = 256;

const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";
const MESSAGE_MEMBERS: [&str; 6] = ["jsonrpc", "method", "id", "params", "result", "error"];
const PARAMS_MEMBERS: [&str; 4] = ["name", "uri", "taskId", "_meta"];

/// Reasons for which a body cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Not UTF-8, not JSON, cut off, or with something behind the value.
    NotJson,
    /// A member comes twice in one object.
    DuplicateMember,
    /// A member is a known one but for its case.
    MisspeltMember,
    /// JSON, but not a JSON-RPC 2.0 message or a batch of them.
    NotJsonRpc,
    /// More than [`MAX_MESSAGES`] in a batch.
    TooManyMessages,
    /// A `tools/call` without a tool's name, or the like.
    NameMissing,
}

impl BodyError {
    /// As a phrase, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not JSON",
            Self::DuplicateMember => "the same member twice in an object",
            Self::MisspeltMember => "a member that differs from a known one in case alone",
            Self::NotJsonRpc => "not JSON-RPC 2.0",
            Self::TooManyMessages => "more than 64 messages in a batch",
            Self::NameMissing => "no name of what the method is about",
        }
    }
}

impl From<JsonError> for BodyError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::NotUtf8 | JsonError::Syntax { .. } => Self::NotJson,
            JsonError::DuplicateMember => Self::DuplicateMember,
        }
    }
}

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A string of at most 256 bytes.
    String(String),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It wants an answer.
    Request {
        operation: Operation,
        id: Option<RequestId>,
        version: Option<String>,
    },
    /// It wants none.
    Notification {
        operation: Operation,
        version: Option<String>,
    },
    /// It answers the server.
    Response,
}

/// The messages of one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    pub(super) messages: Vec<Message>,
    pub(super) is_batch: bool,
}

impl Messages {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let body = Json::document(body)?;
        if !body.is_list() {
            return Ok(Self {
                messages: vec![Message::read(body)?],
                is_batch: false,
            });
        }
        let batch = body.elements(MAX_MESSAGES)?;
        let batch = batch.ok_or(BodyError::NotJsonRpc)?;
        if batch.more > 0 {
            return Err(BodyError::TooManyMessages);
        }
        if batch.first.is_empty() {
            return Err(BodyError::NotJsonRpc);
        }
        let messages = batch.first.into_iter().map(Message::read);
        Ok(Self {
            messages: messages.collect::<Result<_, _>>()?,
            is_batch: true,
        })
    }

    /// The operations that all messages together ask for.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.messages.iter().filter_map(|message| match message {
            Message::Request { operation, .. } | Message::Notification { operation, .. } => {
                Some(operation)
            }
            Message::Response => None,
        })
    }

    /// `true` if the messages stand in an array.
    pub fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// The id of the only request.
    pub fn id(&self) -> Option<&RequestId> {
        match self.messages.as_slice() {
            [Message::Request { id, .. }] => id.as_ref(),
            _ => None,
        }
    }
}

impl Message {
    fn read(message: Json<'_>) -> Result<Self, BodyError> {
        let members = members(message, &MESSAGE_MEMBERS)?;
        let jsonrpc = members.get("jsonrpc").map_or(Ok(None), string)?;
        if jsonrpc.as_deref() != Some("2.0") {
            return Err(BodyError::NotJsonRpc);
        }
        let params = Params::read(members.get("params"))?;
        let id = members.get("id").map(RequestId::read).transpose()?;
        let answer = members.get("result").or_else(|| members.get("error"));
        match (members.get("method"), id, answer) {
            (Some(method), id, None) => {
                let method = string(method)?.ok_or(BodyError::NotJsonRpc)?;
                let operation = params.operation(method.into_owned());
                let version = params.version;
                Ok(match id {
                    None => Self::Notification { operation, version },
                    Some(id) => Self::Request {
                        operation,
                        id,
                        version,
                    },
                })
            }
            (None, Some(_), Some(_)) => Ok(Self::Response),
            _ => Err(BodyError::NotJsonRpc),
        }
    }
}

/// The `params` of a message.
struct Params<'a> {
    members: Option<Members<'a>>,
    /// The protocol version in its `_meta`.
    version: Option<String>,
}

impl<'a> Params<'a> {
    fn read(params: Option<Json<'a>>) -> Result<Self, BodyError> {
        let members = optional_members(params, &PARAMS_MEMBERS)?;
        let meta = members.as_ref().and_then(|members| members.get("_meta"));
        let meta = optional_members(meta, &[VERSION_MEMBER])?;
        let version = match meta.and_then(|meta| meta.get(VERSION_MEMBER)) {
            None => None,
            Some(version) => Some(string(version)?.ok_or(BodyError::NotJsonRpc)?.into_owned()),
        };
        Ok(Self { members, version })
    }

    /// A name that is no string names nothing.
    fn operation(&self, method: String) -> Operation {
        let name = name_member(&method).and_then(|member| self.members.as_ref()?.get(member));
        let name = name.and_then(Json::string).map(Cow::into_owned);
        Operation::new(method, name)
    }
}

impl RequestId {
    /// `None` for an id of another kind, or a longer one.
    fn read(id: Json<'_>) -> Result<Option<Self>, BodyError> {
        if let Some(text) = string(id)? {
            return Ok((text.len() <= MAX_ID_BYTES).then(|| Self::String(text.into_owned())));
        }
        if id.is_number() {
            id.number().ok_or(BodyError::NotJson)?;
        }
        Ok(id.integer().map(Self::Number))
    }
}

/// The members of an object, in which no known one is misspelt.
fn members<'a>(object: Json<'a>, known: &[&str]) -> Result<Members<'a>, BodyError> {
    let members = object.members()?.ok_or(BodyError::NotJsonRpc)?;
    let is_misspelt = |name| {
        known
            .iter()
            .any(|known| *known != name && folds_to(name, known))
    };
    if members.names().any(is_misspelt) {
        return Err(BodyError::MisspeltMember);
    }
    Ok(members)
}

/// Those of an object that may be absent or `null`.
fn optional_members<'a>(
    object: Option<Json<'a>>,
    known: &[&str],
) -> Result<Option<Members<'a>>, BodyError> {
    let object = object.filter(|object| !object.is_null());
    object.map(|object| members(object, known)).transpose()
}

/// The string, if it is one.
fn string(value: Json<'_>) -> Result<Option<Cow<'_, str>>, BodyError> {
    if !value.is_string() {
        return Ok(None);
    }
    value.string().map(Some).ok_or(BodyError::NotJson)
}

/// `true` if a reader that ignores case takes `name` for `known`: Unicode's simple folding makes `ſ`
/// an s and the Kelvin sign a k.
fn folds_to(name: &str, known: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(known.chars().map(fold))
}
