//! Lists without the entries that their reader may not use.
//!
//! A list answer is a JSON-RPC message without `method`, alone or in a batch, whose `result` is an
//! object with a member that is one of the lists asked for. Ids are not compared: readers differ in
//! which they take for equal, and on a resumed stream nobody knows what was asked. Only list answers
//! change, and whatever else a server sends arrives byte for byte, of any size.
//!
//! That is safe because nothing depends on it: what a list hides is refused when it is called all
//! the same. It is for clients, which should not be offered what they cannot have. So where a text
//! cannot be told from a list answer, which is one whose list would begin behind the first
//! `limits.body_bytes`, it passes. A list answer that cannot be judged is replaced by an error where
//! its request is known, and passes on a stream that a GET opened: an error for a wrong request, or
//! none for the right one, would be worse than a name too many.

mod beginning;
mod events;
mod response;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::mcp::{Operation, RequestId};
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

/// Why a list answer cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not JSON, or a member that is looked for comes twice.
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

    /// A list answer, alone or in a batch, without what its reader may not use; `None` if there is
    /// nothing of that in it.
    pub fn filter(&self, resource: &Resource, json: &[u8]) -> Result<Option<String>, Unreadable> {
        let text =
            std::str::from_utf8(without_byte_order_mark(json)).map_err(|_| Unreadable::NotJson)?;
        let mut edits = Edits::new(text);
        match elements(text)? {
            None => self.message(resource, text, &mut edits)?,
            Some(messages) => {
                for message in messages {
                    self.message(resource, message.get(), &mut edits)?;
                }
            }
        }
        edits.apply()
    }

    /// What stands in the place of a list answer that cannot be judged; `None` on a stream that a
    /// GET opened, where it passes.
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

    fn message<'a>(
        &self,
        resource: &Resource,
        message: &'a str,
        edits: &mut Edits<'a>,
    ) -> Result<(), Unreadable> {
        let [Some(result), None] = members(message, ["result", "method"])?.unwrap_or_default()
        else {
            return Ok(());
        };
        let [tools, prompts, resources, scope] =
            members(result, RESULT_MEMBERS)?.unwrap_or_default();
        let mut has_list = false;
        for (list, value) in [
            (List::Tools, tools),
            (List::Prompts, prompts),
            (List::Resources, resources),
        ] {
            let Some(value) = value.filter(|_| self.asked.contains(&list)) else {
                continue;
            };
            let Some(entries) = elements(value)? else {
                // Nobody knows whether it is a list that was asked for.
                if self.is_stream {
                    continue;
                }
                return Err(Unreadable::NotAList);
            };
            has_list = true;
            let shown: Vec<&str> = entries
                .iter()
                .map(|entry| entry.get())
                .filter(|entry| self.shows(resource, list, entry))
                .collect();
            if shown.len() != entries.len() {
                edits.replace(value, format!("[{}]", shown.join(",")));
            }
        }
        // Another client's list may be another one: no cache may share it.
        if has_list
            && let Some(scope) = scope
            && scope != "\"private\""
        {
            edits.replace(scope, "\"private\"".to_owned());
        }
        Ok(())
    }

    fn shows(&self, resource: &Resource, list: List, entry: &str) -> bool {
        let method = list.used_by();
        let name = crate::mcp::name_member(method).map(|name| members(entry, [name]));
        let name = match name {
            Some(Ok(Some([Some(name)]))) if name.starts_with('"') => name,
            // It names nothing that could be called. Where it is not known to be an entry of a
            // list, it stays.
            Some(Ok(Some([_]) | None)) => return self.is_stream,
            Some(Err(_)) | None => return false,
        };
        let Ok(name) = serde_json::from_str(name) else {
            return false;
        };
        let operation = Operation::new(method.to_owned(), Some(name));
        resource.allows(&operation, &self.granted)
    }
}

/// What is looked for in a result.
const RESULT_MEMBERS: [&str; 4] = [
    List::Tools.member(),
    List::Prompts.member(),
    List::Resources.member(),
    "cacheScope",
];

/// What changes in a text.
struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    /// `part` is a slice of the text.
    fn replace(&mut self, part: &'a str, by: String) {
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.edits.push((start..start.wrapping_add(part.len()), by));
    }

    /// The text with all of them, or `None` if there are none.
    fn apply(mut self) -> Result<Option<String>, Unreadable> {
        if self.edits.is_empty() {
            return Ok(None);
        }
        self.edits.sort_unstable_by_key(|(at, _)| at.start);
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for (at, by) in self.edits {
            out += self.text.get(done..at.start).ok_or(Unreadable::NotJson)?;
            out += &by;
            done = at.end;
        }
        out += self.text.get(done..).ok_or(Unreadable::NotJson)?;
        Ok(Some(out))
    }
}

/// The members of an object with these names, each value as it is written; `None` if the value is
/// another than an object. Other members may be there, and are not looked at.
fn members<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<Option<Found<'a, N>>, Unreadable> {
    if !starts_with(text, '{') {
        return Ok(None);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer
        .deserialize_map(Named { names })
        .and_then(|found| deserializer.end().map(|()| found));
    found.map(Some).map_err(|_| Unreadable::NotJson)
}

type Found<'a, const N: usize> = [Option<&'a str>; N];

/// `None` if the value is another than an array.
fn elements(text: &str) -> Result<Option<Vec<&RawValue>>, Unreadable> {
    if !starts_with(text, '[') {
        return Ok(None);
    }
    serde_json::from_str(text)
        .map(Some)
        .map_err(|_| Unreadable::NotJson)
}

/// Some readers of JSON skip it (RFC 8259 §8.1).
fn without_byte_order_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

fn starts_with(json: &str, first: char) -> bool {
    json.trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with(first)
}

struct Named<'n, const N: usize> {
    names: [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for Named<'_, N> {
    type Value = Found<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Name(name)) = map.next_key()? {
            let mut slots = found.iter_mut().zip(self.names);
            match slots.find(|(_, wanted)| *wanted == name) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some((Some(_), _)) => {
                    return Err(serde::de::Error::custom("the same member twice"));
                }
                Some((slot, _)) => *slot = Some(map.next_value::<&'de RawValue>()?.get()),
            }
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
