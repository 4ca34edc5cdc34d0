//! What a client needs in a 403 to ask for more scopes.

use super::Client;
use crate::probe::challenge::{begins_with, parameter_anywhere, parameter_with_escapes};
use crate::probe::transcript::Answer;

/// Whether one of the SDKs asks for the scopes that a refused call needs; `None` for other clients,
/// of which most never do.
pub(crate) fn steps_up(client: &Client, answer: &Answer) -> Option<bool> {
    let joined = answer.header_joined("www-authenticate").unwrap_or_default();
    let asks = || {
        let error = parameter_anywhere(&joined, "error");
        error.as_deref() == Some("insufficient_scope")
            && parameter_anywhere(&joined, "scope").is_some()
    };
    if answer.status != 403 || !client.official {
        return None;
    }
    Some(match client.name {
        "Python SDK" => asks(),
        "TypeScript SDK" => begins_with(&joined, &["bearer", "dpop"]) && asks(),
        "TypeScript SDK 1" => begins_with(&joined, &["bearer"]) && asks(),
        // Any error will do for it; it looks at the first line alone.
        _ => {
            let first = answer.header("www-authenticate").unwrap_or_default();
            parameter_with_escapes(first, "scope").is_some()
        }
    })
}
