//! Lists without the entries that their reader may not use.
//!
//! What a list hides is refused when it is called all the same: this is for clients, which should
//! not be offered what they cannot have. A response that cannot be read shows nothing.

mod events;
mod response;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Operation, RequestId};
use crate::resource::Resource;

pub use events::Events;
pub use response::Response;

/// A kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
}

impl List {
    const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// The list that a method asks for.
    fn of(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.method() == method)
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
        }
    }

    /// The member of the result that is the list.
    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }

    /// What an entry is listed for: the method that uses it.
    const fn used_by(self) -> &'static str {
        match self {
            Self::Tools => "tools/call",
            Self::Prompts => "prompts/get",
            Self::Resources => "resources/read",
        }
    }
}

/// What is to be taken out of the response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    asked: Vec<List>,
    granted: Vec<String>,
    id: Option<RequestId>,
    is_stream: bool,
}

/// Why a response cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not JSON, or an object has a member twice where a list is looked for.
    NotJson,
    /// The list is no array of objects.
    NotAList,
    /// Longer than `limits.body_bytes`.
    TooLarge,
    /// It has a content-encoding.
    Encoded,
}

impl Unreadable {
    /// As a phrase, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not JSON, or a member comes twice",
            Self::NotAList => "no array where a list is expected",
            Self::TooLarge => "longer than limits.body_bytes",
            Self::Encoded => "compressed, although that was not asked for",
        }
    }
}

impl Lists {
    /// For a request with these operations from a client with the scopes `granted`; `None` if it
    /// asks for no list.
    pub fn asked(
        operations: &[Operation],
        granted: &[String],
        id: Option<&RequestId>,
    ) -> Option<Self> {
        let asked: Vec<List> = operations
            .iter()
            .filter_map(|operation| List::of(&operation.method))
            .collect();
        (!asked.is_empty()).then(|| Self {
            asked,
            granted: granted.to_vec(),
            id: id.cloned(),
            is_stream: false,
        })
    }

    /// For a request that opens a stream of events: a server may send the answers to earlier
    /// requests there.
    pub fn of_stream(granted: &[String]) -> Self {
        Self {
            asked: List::ALL.to_vec(),
            granted: granted.to_vec(),
            id: None,
            is_stream: true,
        }
    }

    /// A JSON-RPC message, or a batch of them, without what its reader may not use; `None` if there
    /// is nothing of that in it.
    pub fn filter(&self, resource: &Resource, json: &[u8]) -> Result<Option<String>, Unreadable> {
        let text = std::str::from_utf8(json).map_err(|_| Unreadable::NotJson)?;
        let Some(messages) = parse_array(text)? else {
            return self.message(resource, text);
        };
        let mut filtered = Vec::with_capacity(messages.len());
        let mut changed = false;
        for message in messages {
            let new = self.message(resource, message.get())?;
            changed |= new.is_some();
            filtered.push(new.map_or(Cow::Borrowed(message.get()), Cow::Owned));
        }
        Ok(changed.then(|| array(&filtered)))
    }

    /// What stands in the place of a response that cannot be judged; `None` for an event of a
    /// stream, which may answer no request at all.
    pub fn error(&self) -> Option<String> {
        if self.is_stream {
            return None;
        }
        let id = match &self.id {
            Some(RequestId::Number(number)) => serde_json::Value::from(*number),
            Some(RequestId::Text(text)) => serde_json::Value::from(text.as_str()),
            None => serde_json::Value::Null,
        };
        let error = serde_json::json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": {"code": -32603, "message": "The list could not be read by the gateway"},
        });
        Some(error.to_string())
    }

    fn message(&self, resource: &Resource, message: &str) -> Result<Option<String>, Unreadable> {
        let Some(mut message) = parse_object(message)? else {
            return Ok(None);
        };
        let Some((_, result)) = message.iter_mut().find(|(name, _)| name == "result") else {
            return Ok(None);
        };
        let filtered = parse_object(result)?
            .map(|result| self.result(resource, result))
            .transpose()?
            .flatten();
        let Some(filtered) = filtered else {
            return Ok(None);
        };
        *result = Cow::Owned(filtered);
        object(&message).map(Some)
    }

    fn result(
        &self,
        resource: &Resource,
        mut members: Members<'_>,
    ) -> Result<Option<String>, Unreadable> {
        let mut changed = false;
        let mut has_list = false;
        for list in &self.asked {
            let Some((_, value)) = members.iter_mut().find(|(name, _)| name == list.member())
            else {
                continue;
            };
            has_list = true;
            let entries = match &value {
                Cow::Borrowed(text) => parse_array(text)?.ok_or(Unreadable::NotAList)?,
                // Asked for twice in one batch, and done.
                Cow::Owned(_) => continue,
            };
            let shown: Vec<Cow<'_, str>> = entries
                .iter()
                .map(|entry| entry.get())
                .filter(|entry| self.shows(resource, *list, entry))
                .map(Cow::Borrowed)
                .collect();
            if shown.len() != entries.len() {
                changed = true;
                *value = Cow::Owned(array(&shown));
            }
        }
        // Another client's list may be another one: no cache may share it.
        let scope = members.iter_mut().find(|(name, _)| name == "cacheScope");
        if has_list
            && let Some((_, scope)) = scope
            && scope != "\"private\""
        {
            changed = true;
            *scope = Cow::Borrowed("\"private\"");
        }
        changed.then(|| object(&members)).transpose()
    }

    fn shows(&self, resource: &Resource, list: List, entry: &str) -> bool {
        let method = list.used_by();
        let Some(name) = super::name_member(method).and_then(|name| text_member(entry, name))
        else {
            return false;
        };
        let operation = Operation {
            method: method.to_owned(),
            name: Some(name),
        };
        resource.allows(&operation, &self.granted)
    }
}

/// The members of an object in their order, each value as it is written.
type Members<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// `None` if the value is another than an object.
fn parse_object(text: &str) -> Result<Option<Members<'_>>, Unreadable> {
    if !starts_with(text, '{') {
        return Ok(None);
    }
    let RawObject(members) = serde_json::from_str(text).map_err(|_| Unreadable::NotJson)?;
    Ok(Some(members))
}

/// `None` if the value is another than an array.
fn parse_array(text: &str) -> Result<Option<Vec<&RawValue>>, Unreadable> {
    if !starts_with(text, '[') {
        return match serde_json::from_str::<IgnoredAny>(text) {
            Ok(IgnoredAny) => Ok(None),
            Err(_) => Err(Unreadable::NotJson),
        };
    }
    serde_json::from_str(text)
        .map(Some)
        .map_err(|_| Unreadable::NotJson)
}

/// A member that is a text, of an object without a second member of that name.
fn text_member(object: &str, name: &str) -> Option<String> {
    let members = parse_object(object).ok()??;
    let (_, value) = members.iter().find(|(member, _)| member == name)?;
    serde_json::from_str(value).ok()
}

fn starts_with(json: &str, first: char) -> bool {
    json.trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with(first)
}

fn array(elements: &[Cow<'_, str>]) -> String {
    format!("[{}]", elements.join(","))
}

fn object(members: &Members<'_>) -> Result<String, Unreadable> {
    let mut out = String::from("{");
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out += &serde_json::to_string(name).map_err(|_| Unreadable::NotJson)?;
        out.push(':');
        out += value;
    }
    out.push('}');
    Ok(out)
}

struct RawObject<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawObjectVisitor).map(Self)
    }
}

struct RawObjectVisitor;

impl<'de> Visitor<'de> for RawObjectVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Members<'de> = Vec::new();
        while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            if members.iter().any(|(other, _)| *other == name.0) {
                return Err(serde::de::Error::custom("the same member twice"));
            }
            members.push((name.0, Cow::Borrowed(value.get())));
        }
        Ok(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(serde::de::Error::custom("no object"))
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
