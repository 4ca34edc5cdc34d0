//! The needs of single operations.

use super::checks::scopes;
use super::checks::{Result, value, warn};
use crate::config::document;
use crate::config::words::{nearest, quoted};
use crate::mcp::{self, NamePattern, Needs, OperationRule, Pattern};

/// The methods that clients ask of servers, in the protocol versions from 2024-11-05 to 2026-07-28 and their
/// extension for tasks.
const CLIENT_METHODS: [&str; 24] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

pub(super) fn operations(
    field: &str,
    rules: Vec<document::OperationRule>,
    warnings: &mut Vec<String>,
) -> Result<Vec<OperationRule>> {
    rules
        .into_iter()
        .enumerate()
        .map(|(at, rule)| operation(&format!("{field}[{at}]"), rule, warnings))
        .collect()
}

fn operation(
    field: &str,
    rule: document::OperationRule,
    warnings: &mut Vec<String>,
) -> Result<OperationRule> {
    let method = method(&format!("{field}.method"), &rule.method, warnings)?;
    let excepted = rule.except.iter().map(|name| ("except", name));
    for (member, name) in rule.name.iter().map(|name| ("name", name)).chain(excepted) {
        let field = format!("{field}.{member}");
        if name.is_empty() {
            return Err(value(&field, "an empty string", "a name, or none"));
        }
        if method.is_exact() && mcp::name_member(&rule.method).is_none() {
            return Err(value(
                &field,
                &format!("a name for {}{}", quoted(&rule.method), meant(&rule.method)),
                &format!("names for {} alone", mcp::NAMED_METHODS),
            ));
        }
        warn_of_pattern(&field, &method, name, warnings);
    }
    scopes(&format!("{field}.scopes"), &rule.scopes, warnings)?;
    Ok(OperationRule {
        method,
        name: rule.name.as_deref().map(NamePattern::new),
        except: rule
            .except
            .iter()
            .map(|name| NamePattern::new(name))
            .collect(),
        needs: needs(field, rule.scopes, rule.deny)?,
    })
}

fn method(field: &str, text: &str, warnings: &mut Vec<String>) -> Result<Pattern> {
    if text.is_empty() || text.trim() != text {
        return Err(value(
            field,
            &quoted(text),
            "a JSON-RPC method such as tools/call, without white space around it",
        ));
    }
    let method = Pattern::new(text);
    if !CLIENT_METHODS.iter().any(|known| method.matches(known)) {
        let text = format!(
            "{} is no method of MCP that a client asks for{}: methods are compared byte for byte, and only `*` stands for other characters",
            quoted(text),
            meant(text),
        );
        warn(warnings, field, &text);
    }
    Ok(method)
}

/// The method that a misspelt one is nearest to, as a question.
fn meant(method: &str) -> String {
    match nearest(method, CLIENT_METHODS.into_iter()) {
        Some(known) => format!(" (is {known} meant?)"),
        None => String::new(),
    }
}

/// Warns of characters that stand for others elsewhere, and for themselves here.
pub(super) fn warn_of_pattern(
    field: &str,
    method: &Pattern,
    pattern: &str,
    warnings: &mut Vec<String>,
) {
    let of_uris = [
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
    ];
    // In a URI, `?`, `$`, `,` and parentheses stand for themselves anyway.
    let others = if of_uris.iter().any(|of_uri| method.matches(of_uri)) {
        "[]{}|^\\"
    } else {
        "?[]{}()|^$,\\"
    };
    if pattern.trim() != pattern {
        warn(warnings, field, "white space around a name is a part of it");
    }
    if let Some(found) = pattern.chars().find(|c| others.contains(*c)) {
        let text = format!(
            "{}: `{found}` stands for itself; only `*` stands for other characters",
            quoted(pattern)
        );
        warn(warnings, field, &text);
    }
}

fn needs(field: &str, scopes: Vec<String>, deny: bool) -> Result<Needs> {
    match (scopes.is_empty(), deny) {
        (false, false) => Ok(Needs::Scopes(scopes)),
        (true, true) => Ok(Needs::Nothing),
        (true, false) => Err(value(
            &format!("{field}.scopes"),
            "none",
            "at least one scope, or `deny`: true",
        )),
        (false, true) => Err(value(
            &format!("{field}.deny"),
            "true beside `scopes`",
            "one of the two",
        )),
    }
}
