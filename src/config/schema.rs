//! The JSON Schema of the configuration: what of its rules can be said there.
//!
//! It never refuses what [`super::build`] accepts. What it cannot say (that issuers differ, that a
//! key is sound) is left to `mcp-auth check`.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::reserved::{RESERVED_HEADERS, RESERVED_PREFIXES};
use crate::jose::signature::Algorithm;

/// An http(s) URL without user name, query, and fragment, its host in lower case.
pub(super) const IDENTIFIER: &str = r"^https?://[^\s/?#@A-Z%]+(/[^\s?#]*)?$";
/// As [`IDENTIFIER`]; a query may follow.
pub(super) const LOCATION: &str = r"^https?://[^\s/?#@A-Z%]+(/[^\s?#]*)?(\?[^\s#]*)?$";
/// As [`IDENTIFIER`], with `{name}` for whole segments of its path.
pub(super) const RESOURCE: &str =
    r"^https?://[^\s/?#@A-Z%{}*]+(/([A-Za-z0-9._~!$&'()+,=:@-]+|\{[a-z][a-z0-9_]*\}))*/?$";
/// An absolute path, with `{name}` for whole segments.
pub(super) const PATH: &str = r"^(/|(/([A-Za-z0-9._~!$&'()+,=:@-]+|\{[a-z][a-z0-9_]*\}))+/?)$";
/// A host with or without a port.
pub(super) const HOST: &str = r"^([a-z0-9._-]+|\[[a-z0-9.:_\[\]-]*\]\.?)(:[0-9]+)?$";
/// Scheme and authority.
pub(super) const ORIGIN: &str = r"^https?://[^\s/?#@A-Z%*]+$";
/// A scope-token (RFC 6749 §3.3).
pub(super) const SCOPE: &str = r"^[!#-\[\]-~]+$";
/// Something else than white space.
pub(super) const NOT_BLANK: &str = r"\S";
/// Visible ASCII.
pub(super) const VISIBLE: &str = r"^[!-~]+$";

/// The JSON Schema (draft 2020-12) of a configuration as it is written.
pub(super) fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(unwrap_lines))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Descriptions are paragraphs here, and lines in the source.
fn unwrap_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// Keys are inline or fetched, or there are none: one of these, and all that belongs to fetching with it alone.
pub(super) fn one_source_of_keys(issuer: &mut Schema) {
    let inline = json!({
        "title": "keys inline",
        "properties": {
            "jwks": {"not": {"type": "null"}},
            "cluster": {"type": "null"},
            "jwks_uri": {"type": "null"},
            "jwks_cluster": {"type": "null"},
        },
        "required": ["jwks"],
    });
    let fetched = json!({
        "title": "keys fetched",
        "properties": {"jwks": {"type": "null"}, "cluster": {"not": {"type": "null"}}},
        "required": ["cluster"],
    });
    let none = json!({
        "title": "no keys: all tokens are opaque",
        "properties": {
            "jwks": {"type": "null"},
            "cluster": {"type": "null"},
            "jwks_uri": {"type": "null"},
            "jwks_cluster": {"type": "null"},
            "introspection": {
                "type": "object",
                "properties": {"endpoint": {"type": "string"}, "tokens": {"const": "opaque"}},
                "required": ["endpoint"],
            },
        },
        "required": ["introspection"],
    });
    issuer.insert("oneOf".to_owned(), json!([fetched, inline, none]));
}

/// An operation needs scopes, or is denied: one of the two.
pub(super) fn scopes_or_deny(rule: &mut Schema) {
    let scopes = json!({
        "title": "for those with scopes",
        "properties": {"scopes": {"minItems": 1}, "deny": {"const": false}},
        "required": ["scopes"],
    });
    let deny = json!({
        "title": "for nobody",
        "properties": {"scopes": {"maxItems": 0}, "deny": {"const": true}},
        "required": ["deny"],
    });
    rule.insert("oneOf".to_owned(), json!([scopes, deny]));
}

pub(super) fn key_set(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "properties": {"keys": {"type": "array", "minItems": 1}},
        "required": ["keys"],
    })
}

pub(super) fn algorithms(list: &mut Schema) {
    let mut names: Vec<&str> = Algorithm::ALL.iter().map(|alg| alg.name()).collect();
    // An alias, see `Algorithm::from_name`.
    names.push("Ed25519");
    list.insert("items".to_owned(), json!({"enum": names}));
    list.insert("minItems".to_owned(), json!(1));
}

pub(super) fn scope_hierarchy(map: &mut Schema) {
    map.insert("propertyNames".to_owned(), json!({"pattern": SCOPE}));
    members(map, |scopes| {
        items(scopes, |scope| {
            scope.insert("pattern".to_owned(), json!(SCOPE));
        });
    });
}

pub(super) fn claim_rules(map: &mut Schema) {
    map.insert("propertyNames".to_owned(), claim_path());
    members(map, |values| {
        values.insert("minItems".to_owned(), json!(1));
    });
}

pub(super) fn identity_headers(map: &mut Schema) {
    map.insert("propertyNames".to_owned(), claim_path());
    members(map, |header| {
        header.insert("pattern".to_owned(), json!("^[a-z0-9-]+$"));
        let prefixes = format!("^({})", RESERVED_PREFIXES.join("|"));
        header.insert(
            "not".to_owned(),
            json!({"anyOf": [{"enum": RESERVED_HEADERS}, {"pattern": prefixes}]}),
        );
    });
}

/// A claim's name or a JSON Pointer.
fn claim_path() -> Value {
    json!({"pattern": "^([^/]|(/([^/~]|~[01])*)+$)"})
}

fn members(map: &mut Schema, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(members)) = map.get_mut("additionalProperties") {
        change(members);
    }
}

fn items(list: &mut Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(items)) = list.get_mut("items") {
        change(items);
    }
}
