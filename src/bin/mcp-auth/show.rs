//! Values for a terminal: each on one line, and harmless.

use std::time::{Duration, UNIX_EPOCH};

use mcp_auth_filter::escape::printable;
use mcp_auth_filter::jose::signature::Algorithm;
use mcp_auth_filter::time::UnixNanos;
use mcp_auth_filter::token::TokenType;

/// Values of the configuration: quoted, whole, with `joint` before the last one.
pub(crate) fn list<T: AsRef<str>>(values: impl IntoIterator<Item = T>, joint: &str) -> String {
    joined(
        values
            .into_iter()
            .map(|value| format!("{:?}", value.as_ref())),
        joint,
    )
}

/// Texts that are fit to be shown, with `joint` before the last one.
pub(crate) fn joined(texts: impl IntoIterator<Item = String>, joint: &str) -> String {
    let texts: Vec<String> = texts.into_iter().collect();
    match texts.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} {joint} {last}", before.join(", ")),
    }
}

/// `1 check`, `2 checks`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The `typ` values that are accepted.
pub(crate) fn token_types(types: &[TokenType]) -> String {
    let shown = |accepted: &TokenType| match accepted {
        TokenType::Absent => "absent".to_owned(),
        TokenType::Named(name) => format!("{name:?}"),
    };
    joined(types.iter().map(shown), "or")
}

/// The algorithms that are accepted.
pub(crate) fn algorithms(algorithms: &[Algorithm]) -> String {
    if algorithms == Algorithm::ALL {
        return "any that is supported".to_owned();
    }
    joined(algorithms.iter().map(|alg| alg.name().to_owned()), "or")
}

/// RFC 3339, in seconds.
pub(crate) fn time(time: UnixNanos) -> String {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(time.as_secs()))
        .map_or_else(
            || time.as_secs().to_string(),
            |time| humantime::format_rfc3339_seconds(time).to_string(),
        )
}

/// The distance of `time` from `now`, in seconds: `in 5m` or `1h ago`.
pub(crate) fn distance(time: UnixNanos, now: UnixNanos) -> String {
    let span = |span: Duration| duration(Duration::from_secs(span.as_secs()));
    if time >= now {
        format!("in {}", span(time.since(now)))
    } else {
        format!("{} ago", span(now.since(time)))
    }
}

/// A duration: `1h 30m`.
pub(crate) fn duration(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// A string on one line, harmless to a terminal.
pub(crate) fn line(text: &str) -> String {
    printable(text)
}
