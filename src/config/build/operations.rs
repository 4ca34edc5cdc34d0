//! What single operations need.

use super::checks::{Result, value};
use super::resource::scopes;
use crate::config::raw;
use crate::config::words::quoted;
use crate::mcp::{self, Needs, OperationRule, Pattern};

pub(super) fn operations(
    field: &str,
    rules: Vec<raw::OperationRule>,
    warnings: &mut Vec<String>,
) -> Result<Vec<OperationRule>> {
    rules
        .into_iter()
        .enumerate()
        .map(|(at, rule)| {
            let name = |name: &str| format!("{field}[{at}].{name}");
            if rule.method.trim().is_empty() {
                return Err(value(
                    &name("method"),
                    &quoted(&rule.method),
                    "a JSON-RPC method such as tools/call",
                ));
            }
            let method = Pattern::new(&rule.method);
            if let Some(of) = &rule.name {
                if of.is_empty() {
                    return Err(value(&name("name"), "an empty string", "a name, or none"));
                }
                if method.is_exact() && mcp::name_member(&rule.method).is_none() {
                    return Err(value(
                        &name("name"),
                        &format!("a name for {}", quoted(&rule.method)),
                        &format!("names for {} alone", mcp::NAMED_METHODS),
                    ));
                }
            }
            scopes(&name("scopes"), &rule.scopes, warnings)?;
            let needs = match (rule.scopes.is_empty(), rule.deny) {
                (false, false) => Needs::Scopes(rule.scopes),
                (true, true) => Needs::Nothing,
                (true, false) => {
                    return Err(value(
                        &name("scopes"),
                        "none",
                        "at least one scope, or `deny`: true",
                    ));
                }
                (false, true) => {
                    return Err(value(
                        &name("deny"),
                        "true beside `scopes`",
                        "one of the two",
                    ));
                }
            };
            Ok(OperationRule {
                method,
                name: rule.name.as_deref().map(Pattern::new),
                needs,
            })
        })
        .collect()
}
