//! The MCP operations that a request asks for: from its JSON-RPC body, with which its routing headers
//! must agree.
//!
//! Headers alone never decide. A client of 2026-07-28 or later repeats the operation in `Mcp-Method`
//! and `Mcp-Name`, but a server need not check that they agree with the body, and then does what
//! the body says.

mod body;
pub mod encoding;
mod routing;
#[cfg(test)]
mod tests;
mod uri;

use std::fmt;

pub use body::{BodyError, MAX_MESSAGES, Messages, RequestId};
pub use routing::{Mismatch, Routing, RoutingHeader};
use uri::Readings;

/// The operation that one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The JSON-RPC method.
    pub method: String,
    /// Of what: the tool, the prompt, the URI of the resource, or the task.
    pub name: Option<String>,
    /// The URIs that a server may take the name for, where it is one.
    readings: Option<Readings>,
}

impl Operation {
    /// A method, of one thing where it is about one.
    pub fn new(method: String, name: Option<String>) -> Self {
        let readings = match &name {
            Some(uri) if name_member(&method) == Some("uri") => Some(Readings::of(uri)),
            Some(_) | None => None,
        };
        Self {
            method,
            name,
            readings,
        }
    }

    /// `true` if it does not say what it is about, although its method is about one thing.
    pub fn lacks_name(&self) -> bool {
        self.name.is_none() && name_member(&self.method).is_some()
    }
}

/// The member of `params` that names what a method is about, where it is about one thing.
pub fn name_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => Some("taskId"),
        _ => None,
    }
}

/// The methods that [`name_member`] knows, for messages.
pub const NAMED_METHODS: &str = "tools/call, prompts/get, resources/read, resources/subscribe, \
     resources/unsubscribe, tasks/get, tasks/update, tasks/cancel, tasks/result";

/// A text in which `*` stands for any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// `true` if `text` is one that the pattern stands for.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // The leftmost place for each part leaves the most room for those behind it.
        for part in parts {
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// `true` if it stands for one text alone.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern for names. Those of URIs are compared in the form of [`Readings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: Pattern,
    uri: Pattern,
}

impl NamePattern {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self {
            text: Pattern::new(text),
            uri: Pattern(uri::comparable_pattern(text)),
        }
    }

    /// `true` if some server may take the operation's name for one that the pattern stands for.
    fn may_match(&self, operation: &Operation) -> bool {
        let Some(name) = &operation.name else {
            return false;
        };
        self.text.matches(name)
            || operation.readings.as_ref().is_some_and(|readings| {
                readings.unclear || readings.texts.iter().any(|text| self.uri.matches(text))
            })
    }

    /// `true` if every server takes the operation's name for one that the pattern stands for.
    fn must_match(&self, operation: &Operation) -> bool {
        let Some(name) = &operation.name else {
            return false;
        };
        self.text.matches(name)
            && operation.readings.as_ref().is_none_or(|readings| {
                !readings.unclear && readings.texts.iter().all(|text| self.uri.matches(text))
            })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// A rule on operations: their needs beyond those of every request of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRule {
    /// The methods that it is about.
    pub method: Pattern,
    /// The names; `None` for all, and for operations without one.
    pub name: Option<NamePattern>,
    /// The names that it is not about.
    pub except: Vec<NamePattern>,
    /// The needs of these.
    pub needs: Needs,
}

/// The needs of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All of these scopes.
    Scopes(Vec<String>),
    /// Something that nobody has: it is not offered here.
    Nothing,
}

impl OperationRule {
    /// `true` if the rule is about this operation. Where servers may read a URI in several ways, one
    /// is enough for the rule, and all are needed for an exception from it.
    pub fn matches(&self, operation: &Operation) -> bool {
        self.method.matches(&operation.method)
            && self
                .name
                .as_ref()
                .is_none_or(|name| name.may_match(operation))
            && !self.except.iter().any(|name| name.must_match(operation))
    }

    /// `true` if it depends on the operation's name if the rule is about it.
    pub fn asks_name_of(&self, operation: &Operation) -> bool {
        self.method.matches(&operation.method) && (self.name.is_some() || !self.except.is_empty())
    }
}
