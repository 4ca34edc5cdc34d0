//! Checks that many fields have in common, and their errors.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::claim::ClaimPath;
use crate::config::ConfigError;
use crate::config::document::Number;
use crate::config::words::{quoted, quoted_url};
use crate::escape::printable;
use crate::scope::is_scope_token;
use crate::url::HttpUrl;

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

pub(super) fn url(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> std::result::Result<HttpUrl, crate::url::UrlError>,
) -> Result<HttpUrl> {
    parse(text).map_err(|error| value(field, &quoted_url(text), error.expected()))
}

pub(super) fn not_empty(field: &str, text: String) -> Result<String> {
    if text.trim().is_empty() {
        return Err(value(field, &quoted(&text), "the name of an Envoy cluster"));
    }
    Ok(text)
}

pub(super) fn seconds<const DEFAULT: u64, const MIN: u64, const MAX: u64>(
    field: &str,
    given: Number<DEFAULT, MIN, MAX>,
) -> Result<Duration> {
    let given = given.0.unwrap_or(DEFAULT);
    within(field, given, &(MIN..=MAX), "seconds").map(Duration::from_secs)
}

pub(super) fn size<const DEFAULT: u64, const MIN: u64, const MAX: u64>(
    field: &str,
    given: Number<DEFAULT, MIN, MAX>,
) -> Result<usize> {
    let given = within(field, given.0.unwrap_or(DEFAULT), &(MIN..=MAX), "")?;
    usize::try_from(given)
        .map_err(|_| value(field, &given.to_string(), "a number that fits the machine"))
}

pub(super) fn within(
    field: &str,
    given: u64,
    allowed: &RangeInclusive<u64>,
    unit: &str,
) -> Result<u64> {
    if allowed.contains(&given) {
        return Ok(given);
    }
    let allowed = format!("{} to {} {unit}", allowed.start(), allowed.end());
    Err(value(field, &given.to_string(), allowed.trim_end()))
}

/// Adds a warning: one line, whatever is in it.
pub(super) fn warn(warnings: &mut Vec<String>, field: &str, text: &str) {
    warnings.push(printable(&format!("{field}: {text}")));
}

pub(super) fn value(field: &str, found: &str, allowed: &str) -> ConfigError {
    ConfigError::Value {
        field: field.to_owned(),
        found: found.to_owned(),
        allowed: allowed.to_owned(),
    }
}

pub(super) fn claim_path(field: &str, text: &str) -> Result<ClaimPath> {
    ClaimPath::parse(text).ok_or_else(|| {
        value(
            field,
            &quoted(text),
            "a claim's name, or a JSON Pointer such as /realm_access/roles (RFC 6901)",
        )
    })
}

pub(super) fn scopes(field: &str, list: &[String], warnings: &mut Vec<String>) -> Result<()> {
    for scope in list {
        if !is_scope_token(scope) {
            return Err(value(
                field,
                &quoted(scope),
                "one scope each: visible ASCII without space, quote and backslash (RFC 6749 §3.3)",
            ));
        }
        if scope == "offline_access" {
            let text = "offline_access is for clients to ask, not for a resource to demand";
            warn(warnings, field, text);
        }
    }
    Ok(())
}
