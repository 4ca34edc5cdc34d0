//! Which MCP operations a request asks for: from its JSON-RPC body, with which its routing headers
//! must agree.
//!
//! Headers alone never decide. A client of 2026-07-28 or later repeats the operation in `Mcp-Method`
//! and `Mcp-Name`, but a server need not check that they agree with the body, and then does what
//! the body says.

mod body;
pub mod encoding;
pub mod lists;
mod routing;
#[cfg(test)]
mod tests;

use std::fmt;

pub use body::{BodyError, MAX_MESSAGES, Messages, RequestId};
pub use routing::{Mismatch, Routing, RoutingHeader};

/// What one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The JSON-RPC method.
    pub method: String,
    /// Of what: the tool, the prompt, the URI of the resource, or the task.
    pub name: Option<String>,
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

/// What an operation needs beyond what every request of the resource needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRule {
    /// Which methods it is about.
    pub method: Pattern,
    /// Which names; `None` for all, and for operations without one.
    pub name: Option<Pattern>,
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
    /// Whether the rule is about this operation. A URI is also compared as a server may read it.
    pub fn matches(&self, operation: &Operation) -> bool {
        self.method.matches(&operation.method)
            && match (&self.name, &operation.name) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(pattern), Some(name)) => {
                    pattern.matches(name)
                        || (name_member(&operation.method) == Some("uri")
                            && pattern.matches(&plain_uri(name)))
                }
            }
    }
}

/// A URI as a lenient server may read it: lower case, percent-encodings undone, `.` and `..`
/// resolved. More readings can only make more rules match, and each asks for more.
fn plain_uri(uri: &str) -> String {
    let mut text = uri.to_owned();
    // Each round undoes one layer; what is left after four is nobody's.
    for _ in 0..4 {
        let decoded = percent_decoded(&text);
        if decoded == text {
            break;
        }
        text = decoded;
    }
    let text = text.to_lowercase().replace('\\', "/");
    let (scheme, path) = match text.split_once("://") {
        Some((scheme, path)) => (format!("{scheme}://"), path),
        None => (String::new(), text.as_str()),
    };
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    scheme + &kept.join("/")
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let decoded = (*byte == b'%')
            .then(|| behind.split_at_checked(2))
            .flatten()
            .and_then(|(digits, behind)| {
                let digits = std::str::from_utf8(digits).ok()?;
                // `from_str_radix` takes a sign, too.
                digits
                    .bytes()
                    .all(|b| b.is_ascii_hexdigit())
                    .then_some(())?;
                Some((u8::from_str_radix(digits, 16).ok()?, behind))
            });
        match decoded {
            Some((byte, behind)) => {
                out.push(byte);
                rest = behind;
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}
