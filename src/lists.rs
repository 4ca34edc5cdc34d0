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

use std::ops::Range;

use crate::json::{Json, JsonError};
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

    /// The method that uses an entry.
    const fn used_by(self) -> &'static str {
        match self {
            Self::Tools => "tools/call",
            Self::Prompts => "prompts/get",
            Self::Resources => "resources/read",
        }
    }
}

/// The lists that a response may hold, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    asked: Vec<List>,
    granted: Vec<String>,
    id: Option<RequestId>,
    is_stream: bool,
}

/// Reasons for which a list answer cannot be judged.
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

impl From<JsonError> for Unreadable {
    fn from(_: JsonError) -> Self {
        Self::NotJson
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
        let answer = Json::marked_document(json)?;
        let mut edits = Replacements::default();
        if answer.is_list() {
            for message in answer.elements(usize::MAX)?.unwrap_or_default().first {
                self.message(resource, message, &mut edits)?;
            }
        } else if answer.is_object() {
            self.message(resource, answer, &mut edits)?;
        }
        edits.apply(answer)
    }

    /// The error in the place of a list answer that cannot be judged; `None` on a stream that a GET
    /// opened, where it passes.
    pub fn error(&self) -> Option<String> {
        if self.is_stream {
            return None;
        }
        let id = match &self.id {
            Some(RequestId::Number(number)) => serde_json::Value::from(*number),
            Some(RequestId::String(text)) => serde_json::Value::from(text.as_str()),
            None => serde_json::Value::Null,
        };
        let error = serde_json::json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": {"code": -32603, "message": "The list could not be read by the gateway"},
        });
        Some(error.to_string())
    }

    fn message(
        &self,
        resource: &Resource,
        message: Json<'_>,
        edits: &mut Replacements,
    ) -> Result<(), Unreadable> {
        let [Some(result), None] = message.named(["result", "method"])?.unwrap_or_default() else {
            return Ok(());
        };
        let [tools, prompts, resources, scope] = result.named(RESULT_MEMBERS)?.unwrap_or_default();
        let mut has_list = false;
        for (list, value) in [
            (List::Tools, tools),
            (List::Prompts, prompts),
            (List::Resources, resources),
        ] {
            let Some(value) = value.filter(|_| self.asked.contains(&list)) else {
                continue;
            };
            let Some(entries) = value.list() else {
                // Nobody knows whether it is a list that was asked for.
                if self.is_stream {
                    continue;
                }
                return Err(Unreadable::NotAList);
            };
            has_list = true;
            let shown: Vec<&str> = entries
                .iter()
                .filter(|entry| self.shows(resource, list, **entry))
                .map(|entry| entry.written())
                .collect();
            if shown.len() != entries.len() {
                edits.replace(value, format!("[{}]", shown.join(",")));
            }
        }
        // Another client's list may be another one: no cache may share it.
        if has_list
            && let Some(scope) = scope
            && scope.written() != "\"private\""
        {
            edits.replace(scope, "\"private\"".to_owned());
        }
        Ok(())
    }

    fn shows(&self, resource: &Resource, list: List, entry: Json<'_>) -> bool {
        let method = list.used_by();
        let name = crate::mcp::name_member(method).map(|name| entry.named([name]));
        let name = match name {
            Some(Ok(Some([Some(name)]))) if name.is_string() => name,
            // It names nothing that could be called. Where it is not known to be an entry of a
            // list, it stays.
            Some(Ok(Some([_]) | None)) => return self.is_stream,
            Some(Err(_)) | None => return false,
        };
        let Some(name) = name.string() else {
            return false;
        };
        let operation = Operation::new(method.to_owned(), Some(name.into_owned()));
        resource.allows(&operation, &self.granted)
    }
}

/// The members of a result that are looked for.
const RESULT_MEMBERS: [&str; 4] = [
    List::Tools.member(),
    List::Prompts.member(),
    List::Resources.member(),
    "cacheScope",
];

/// The changes to a document.
#[derive(Default)]
struct Replacements(Vec<(Range<usize>, String)>);

impl Replacements {
    /// Another value in the place of one of the document's.
    fn replace(&mut self, value: Json<'_>, by: String) {
        self.0.push((value.range(), by));
    }

    /// The document with all of them, or `None` if there are none.
    fn apply(mut self, document: Json<'_>) -> Result<Option<String>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let text = document.written();
        self.0.sort_unstable_by_key(|(at, _)| at.start);
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (at, by) in self.0 {
            out += text.get(done..at.start).ok_or(Unreadable::NotJson)?;
            out += &by;
            done = at.end;
        }
        out += text.get(done..).ok_or(Unreadable::NotJson)?;
        Ok(Some(out))
    }
}
