//! Which MCP operations a request asks for: from its JSON-RPC body, with which its routing headers
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

/// What one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The JSON-RPC method.
    pub method: String,
    /// Of what: the tool, the prompt, the URI of the resource, or the task.
    pub name: Option<String>,
    /// What a server may take the name for, where it is a URI.
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

    /// Whether it does not say what it is about, although its method is about one thing.
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

    /// Whether `text` is one that the pattern stands for.
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

    /// Whether it stands for one text alone.
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

    /// Whether some server may take the operation's name for one that the pattern stands for.
    fn may_match(&self, operation: &Operation) -> bool {
        let Some(name) = &operation.name else {
            return false;
        };
        self.text.matches(name)
            || operation.readings.as_ref().is_some_and(|readings| {
                readings.unclear || readings.texts.iter().any(|text| self.uri.matches(text))
            })
    }

    /// Whether every server takes the operation's name for one that the pattern stands for.
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

/// What an operation needs beyond what every request of the resource needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRule {
    /// Which methods it is about.
    pub method: Pattern,
    /// Which names; `None` for all, and for operations without one.
    pub name: Option<NamePattern>,
    /// Which names not.
    pub except: Vec<NamePattern>,
    /// What it needs.
    pub needs: Needs,
}

/// What an operation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All of these scopes.
    Scopes(Vec<String>),
    /// What nobody has: it is not offered here.
    Nothing,
}

impl OperationRule {
    /// Whether the rule is about this operation. Where servers may read a URI in several ways, one
    /// is enough for the rule, and all are needed for an exception from it.
    pub fn matches(&self, operation: &Operation) -> bool {
        self.method.matches(&operation.method)
            && self
                .name
                .as_ref()
                .is_none_or(|name| name.may_match(operation))
            && !self.except.iter().any(|name| name.must_match(operation))
    }

    /// Whether it depends on the operation's name if the rule is about it.
    pub fn asks_name_of(&self, operation: &Operation) -> bool {
        self.method.matches(&operation.method) && (self.name.is_some() || !self.except.is_empty())
    }
}
