//! JSON-RPC 2.0 as MCP has it, read without building a tree.
//!
//! Two readers of one body must not see different operations. So every member may come once in its
//! object where something is looked for; a member that differs from a known one in case alone is
//! refused, since some readers (Go's `encoding/json`) take it for that one; and nothing stands behind
//! the value. What no rule can ask for (arguments, results) is skipped by JSON's grammar, undecoded.

mod skim;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Operation, name_member};
use skim::{Flaw, Leaf, Names, Scalar, Text, flawed};

/// How many messages one batch may have.
pub const MAX_MESSAGES: usize = 64;

const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";
const MESSAGE_MEMBERS: [&str; 6] = ["jsonrpc", "method", "id", "params", "result", "error"];
const PARAMS_MEMBERS: [&str; 4] = ["name", "uri", "taskId", "_meta"];

/// Why a body cannot be judged.
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

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A text of at most 256 bytes.
    Text(String),
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
        let text = std::str::from_utf8(body).map_err(|_| BodyError::NotJson)?;
        let flaw = Cell::new(None);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Top { flaw: &flaw }
            .deserialize(&mut deserializer)
            .and_then(|messages| deserializer.end().map(|()| messages));
        match (flaw.get(), read) {
            (Some(flaw), _) => Err(flaw),
            (None, Ok(messages)) => Ok(messages),
            (None, Err(error)) if error.is_data() => Err(BodyError::NotJsonRpc),
            (None, Err(_)) => Err(BodyError::NotJson),
        }
    }

    /// What is asked for, by all messages together.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.messages.iter().filter_map(|message| match message {
            Message::Request { operation, .. } | Message::Notification { operation, .. } => {
                Some(operation)
            }
            Message::Response => None,
        })
    }

    /// Whether the messages stand in an array.
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

/// The whole body: a message, or a batch.
struct Top<'f> {
    flaw: Flaw<'f>,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Messages;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Messages, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Messages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message or a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Messages, A::Error> {
        let message = MessageSeed { flaw: self.flaw }.visit_map(map)?;
        Ok(Messages {
            messages: vec![message],
            is_batch: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Messages, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = seq.next_element_seed(MessageSeed { flaw: self.flaw })? {
            if messages.len() >= MAX_MESSAGES {
                return Err(flawed(self.flaw, BodyError::TooManyMessages));
            }
            messages.push(message);
        }
        if messages.is_empty() {
            return Err(flawed(self.flaw, BodyError::NotJsonRpc));
        }
        Ok(Messages {
            messages,
            is_batch: true,
        })
    }
}

struct MessageSeed<'f> {
    flaw: Flaw<'f>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Message, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let flaw = self.flaw;
        let mut names = Names::new(flaw, &MESSAGE_MEMBERS);
        let (mut jsonrpc, mut method, mut id) = (None, None, None);
        let (mut answers, mut params) = (false, Params::default());
        while let Some(name) = map.next_key_seed(Text)? {
            let name = names.add(name)?;
            match name {
                "jsonrpc" => jsonrpc = Some(map.next_value_seed(Leaf)?),
                "method" => method = Some(map.next_value_seed(Leaf)?),
                "id" => id = Some(map.next_value_seed(Leaf)?),
                "params" => params = map.next_value_seed(ParamsSeed { flaw })?,
                "result" | "error" => {
                    answers = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let no_rpc = || flawed(flaw, BodyError::NotJsonRpc);
        if !matches!(&jsonrpc, Some(Scalar::Text(version)) if version == "2.0") {
            return Err(no_rpc());
        }
        match (method, id, answers) {
            (Some(Scalar::Text(method)), id, false) => {
                let version = params.version.take();
                let operation = params.operation(method);
                Ok(match id {
                    None => Message::Notification { operation, version },
                    Some(id) => Message::Request {
                        operation,
                        id: id.into_id(),
                        version,
                    },
                })
            }
            (None, Some(_), true) => Ok(Message::Response),
            _ => Err(no_rpc()),
        }
    }
}

/// What matters of `params`.
#[derive(Default)]
struct Params<'de> {
    name: Option<&'de RawValue>,
    uri: Option<&'de RawValue>,
    task_id: Option<&'de RawValue>,
    version: Option<String>,
}

impl Params<'_> {
    /// What is no text names nothing.
    fn operation(self, method: String) -> Operation {
        let name = match name_member(&method) {
            None => None,
            Some("name") => self.name,
            Some("uri") => self.uri,
            Some(_) => self.task_id,
        };
        let name = name.and_then(|name| serde_json::from_str(name.get()).ok());
        Operation::new(method, name)
    }
}

struct ParamsSeed<'f> {
    flaw: Flaw<'f>,
}

impl<'de> DeserializeSeed<'de> for ParamsSeed<'_> {
    type Value = Params<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Params<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsSeed<'_> {
    type Value = Params<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Params<'de>, E> {
        Ok(Params::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params<'de>, A::Error> {
        let flaw = self.flaw;
        let mut names = Names::new(flaw, &PARAMS_MEMBERS);
        let mut params = Params::default();
        while let Some(name) = map.next_key_seed(Text)? {
            match names.add(name)? {
                "name" => params.name = Some(map.next_value()?),
                "uri" => params.uri = Some(map.next_value()?),
                "taskId" => params.task_id = Some(map.next_value()?),
                "_meta" => params.version = map.next_value_seed(MetaSeed { flaw })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(params)
    }
}

/// `_meta`: the protocol version in it, if any.
struct MetaSeed<'f> {
    flaw: Flaw<'f>,
}

impl<'de> DeserializeSeed<'de> for MetaSeed<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetaSeed<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut names = Names::new(self.flaw, &[VERSION_MEMBER]);
        let mut version = None;
        while let Some(name) = map.next_key_seed(Text)? {
            if names.add(name)? == VERSION_MEMBER {
                version = match map.next_value_seed(Leaf)? {
                    Scalar::Text(version) => Some(version),
                    Scalar::Number(_) | Scalar::Other => {
                        return Err(flawed(self.flaw, BodyError::NotJsonRpc));
                    }
                };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(version)
    }
}
