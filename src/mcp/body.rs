//! JSON-RPC 2.0 as MCP has it, read without building a tree.
//!
//! Two readers of one body must not see different operations. So every member may come once in its
//! object where something is looked for; a member that differs from a known one in case or punctuation
//! alone is refused, since some readers take it for that one (Go's `encoding/json` does `Name`, fastjson
//! `na_me`); no name has a NUL, at which strings of C end; and nothing stands behind the value. What no
//! rule can ask for (arguments, results) is passed over undecoded.

use std::borrow::Cow;

use super::{Operation, name_member};
use crate::json::{Json, Malformed, Scan, are_distinct};

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
    /// A member is a known one but for case and punctuation.
    MisspeltMember,
    /// A NUL in a method, in a name, or in the name of a member.
    Nul,
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
            Self::MisspeltMember => "a member that is a known one but for case or punctuation",
            Self::Nul => "a NUL in a method or a name",
            Self::NotJsonRpc => "not JSON-RPC 2.0",
            Self::TooManyMessages => "more than 64 messages in a batch",
            Self::NameMissing => "no name of what the method is about",
        }
    }
}

impl From<Malformed> for BodyError {
    fn from(_: Malformed) -> Self {
        Self::NotJson
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
        let text = std::str::from_utf8(body).map_err(|_| BodyError::NotJson)?;
        let mut messages = Vec::new();
        let is_batch = Scan::shallow(text).document(|scan| {
            if !scan.is_at(b'[') {
                messages.push(Message::read(scan)?);
                return Ok(false);
            }
            scan.list(|scan| {
                if messages.len() >= MAX_MESSAGES {
                    return Err(BodyError::TooManyMessages);
                }
                messages.push(Message::read(scan)?);
                Ok(())
            })
        })?;
        if messages.is_empty() {
            return Err(BodyError::NotJsonRpc);
        }
        Ok(Self { messages, is_batch })
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
    fn read(scan: &mut Scan<'_>) -> Result<Self, BodyError> {
        let (mut jsonrpc, mut method, mut id, mut answer) = (None, None, None, None);
        let mut params = Params::default();
        object(scan, &MESSAGE_MEMBERS, |scan, name| {
            match name {
                "jsonrpc" => jsonrpc = string(scan.json()?)?,
                "method" => {
                    let text = string(scan.json()?)?.ok_or(BodyError::NotJsonRpc)?;
                    method = Some(without_nul(text)?);
                }
                "id" => id = Some(RequestId::read(scan.json()?)?),
                "params" => params = Params::read(scan)?,
                "result" | "error" => answer = Some(scan.json()?),
                _ => drop(scan.json()?),
            }
            Ok(())
        })?;
        if jsonrpc.as_deref() != Some("2.0") {
            return Err(BodyError::NotJsonRpc);
        }
        match (method, id, answer) {
            (Some(method), id, None) => {
                let version = params.version.take();
                let operation = params.operation(method.into_owned())?;
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

/// The parts of a message's `params` that count.
#[derive(Default)]
struct Params<'a> {
    name: Option<Json<'a>>,
    uri: Option<Json<'a>>,
    task_id: Option<Json<'a>>,
    /// The protocol version in its `_meta`.
    version: Option<String>,
}

impl<'a> Params<'a> {
    fn read(scan: &mut Scan<'a>) -> Result<Self, BodyError> {
        let mut params = Self::default();
        object_or_null(scan, &PARAMS_MEMBERS, |scan, name| {
            match name {
                "name" => params.name = Some(scan.json()?),
                "uri" => params.uri = Some(scan.json()?),
                "taskId" => params.task_id = Some(scan.json()?),
                "_meta" => params.version = stated_version(scan)?,
                _ => drop(scan.json()?),
            }
            Ok(())
        })?;
        Ok(params)
    }

    /// A name that is no string names nothing.
    fn operation(&self, method: String) -> Result<Operation, BodyError> {
        let name = match name_member(&method) {
            None => None,
            Some("name") => self.name,
            Some("uri") => self.uri,
            Some(_) => self.task_id,
        };
        let name = name.and_then(Json::string).map(without_nul).transpose()?;
        Ok(Operation::new(method, name.map(Cow::into_owned)))
    }
}

/// The protocol version in a `_meta`.
fn stated_version(scan: &mut Scan<'_>) -> Result<Option<String>, BodyError> {
    let mut version = None;
    object_or_null(scan, &[VERSION_MEMBER], |scan, name| {
        let value = scan.json()?;
        if name == VERSION_MEMBER {
            let stated = string(value)?.ok_or(BodyError::NotJsonRpc)?;
            version = Some(stated.into_owned());
        }
        Ok(())
    })?;
    Ok(version)
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

/// Has `read` take the value of each member of an object, of which it is told the name if it is one
/// of the `known`. No name comes twice, and no known one is misspelt.
fn object<'a>(
    scan: &mut Scan<'a>,
    known: &[&'static str],
    mut read: impl FnMut(&mut Scan<'a>, &str) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    let text = scan.text();
    let mut names = Vec::new();
    let is_object = scan.object(|scan, name| {
        let found = name.read(text);
        if found.contains('\0') {
            return Err(BodyError::Nul);
        }
        let meant = known.iter().find(|known| folds_to(found, known));
        if meant.is_some_and(|meant| *meant != found) {
            return Err(BodyError::MisspeltMember);
        }
        names.push(name);
        read(scan, meant.copied().unwrap_or_default())
    })?;
    if !is_object {
        return Err(BodyError::NotJsonRpc);
    }
    if !are_distinct(&names, |name| name.bytes(text)) {
        return Err(BodyError::DuplicateMember);
    }
    Ok(())
}

/// The same for an object that may be `null`.
fn object_or_null<'a>(
    scan: &mut Scan<'a>,
    known: &[&'static str],
    read: impl FnMut(&mut Scan<'a>, &str) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    if scan.is_at(b'{') {
        return object(scan, known, read);
    }
    if scan.json()?.is_null() {
        return Ok(());
    }
    Err(BodyError::NotJsonRpc)
}

/// The string, if it is one.
fn string(value: Json<'_>) -> Result<Option<Cow<'_, str>>, BodyError> {
    if !value.is_string() {
        return Ok(None);
    }
    value.string().map(Some).ok_or(BodyError::NotJson)
}

/// The text, if no reader ends it before its end.
fn without_nul(text: Cow<'_, str>) -> Result<Cow<'_, str>, BodyError> {
    if text.contains('\0') {
        return Err(BodyError::Nul);
    }
    Ok(text)
}

/// `true` if a reader that ignores case and punctuation takes `name` for `known`, whether it compares
/// lower case, upper case (Java's `equalsIgnoreCase`), or folds: no other characters become ASCII by one
/// of these. `meta` is another word than `_meta`.
fn folds_to(name: &str, known: &str) -> bool {
    let is_kept = |c: &char| c.is_alphanumeric() || !c.is_ascii() || known.starts_with('_');
    let fold = |c: char| match c {
        'ſ' => 's',
        'ı' | 'İ' => 'i',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    let letters = name.chars().filter(is_kept).map(fold);
    letters.eq(known.chars().filter(is_kept).map(fold))
}
