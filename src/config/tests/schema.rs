//! The JSON Schema refuses what [`Config::parse`] refuses, where it can, and nothing else.

use boon::{Compiler, SchemaIndex, Schemas};
use proptest::prelude::*;

use super::broken::broken;
use super::*;
use crate::testing;

/// What JSON Schema has no words for: relations between values, and what a key is.
const NOT_EXPRESSIBLE: [(&str, &str); 12] = [
    ("issuers[0].jwks_uri", "an https URL"),
    ("issuers[1].issuer", "not in the list yet"),
    ("resources[0].resource", "a plain path"),
    ("resources[0].issuers", "byte for byte"),
    (
        "resources[0].require_claims.tenant",
        "a variable of the resource's path",
    ),
    ("resources[0].identity_headers.sub", "of its own"),
    ("resources[1]", "a path of its own"),
    ("resources[0].operations[0].name", "names for tools/call"),
    ("issuers[1].authorization_server_metadata", "a `cluster`"),
    (
        "limits.held_body_bytes",
        "at least as much as limits.body_bytes",
    ),
    ("resources[0].issuers", "at most one with `introspection`"),
    ("resources[0].scopes", "at least one scope"),
];

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let url = "https://schema.example/config.json";
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.add_resource(url, Config::schema()).unwrap();
        let index = compiler.compile(url, &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn check(&self, config: &Value) -> Result<(), String> {
        self.schemas
            .validate(config, self.index)
            .map_err(|error| format!("{error:#}"))
    }
}

#[test]
fn refuses_what_the_parser_refuses() {
    let schema = Schema::new();
    let mut missed = Vec::new();
    for (config, field, says) in broken() {
        if schema.check(&config).is_ok() {
            missed.push((field, says));
        }
    }
    assert_eq!(missed, NOT_EXPRESSIBLE);
}

/// Every text block of a YAML file that is a filter configuration.
fn in_yaml(yaml: &str) -> Vec<Value> {
    let indent = |line: &str| line.bytes().take_while(|byte| *byte == b' ').count();
    let mut found = Vec::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != "value: |" {
            continue;
        }
        let outside = indent(line);
        let mut block = String::new();
        while let Some(line) = lines.next_if(|line| indent(line) > outside) {
            block.push_str(line);
        }
        found.push(serde_json::from_str(&block).unwrap());
    }
    found
}

/// The document with test keys in place of `{"$jwks": [...]}`.
fn with_keys(mut document: Value) -> Value {
    match &mut document {
        Value::Object(members) if members.contains_key("$jwks") => testing::key_set(),
        Value::Object(members) => {
            for member in members.values_mut() {
                *member = with_keys(member.take());
            }
            document
        }
        Value::Array(elements) => {
            for element in elements {
                *element = with_keys(element.take());
            }
            document
        }
        _ => document,
    }
}

#[test]
fn accepts_every_configuration_of_the_repository() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let mut configs = vec![smallest()];
    for path in ["envoy/envoy.yaml", "envoy/hydra/envoy.yaml"] {
        let found = in_yaml(&read(root.join(path)));
        assert!(!found.is_empty(), "{path}");
        configs.extend(found);
    }
    for entry in std::fs::read_dir(root.join("tests/cases/configs")).unwrap() {
        let document: Value = serde_json::from_str(&read(entry.unwrap().path())).unwrap();
        configs.push(with_keys(document["filter"].clone()));
    }
    let schema = Schema::new();
    for config in configs {
        parse(&config).unwrap_or_else(|error| panic!("{error}: {config}"));
        schema
            .check(&config)
            .unwrap_or_else(|error| panic!("{error}: {config}"));
    }
}

#[test]
fn null_stands_for_absence_where_the_parser_takes_it_so() {
    let schema = Schema::new();
    let document = Config::schema();
    for (of, at) in [
        ("Issuer", "/issuers/0"),
        ("KeyTimings", "/issuers/0/keys"),
        ("Introspection", "/issuers/0/introspection"),
        ("Resource", "/resources/0"),
        ("Limits", "/limits"),
    ] {
        let members = document["$defs"][of]["properties"].as_object().unwrap();
        for name in members.keys() {
            let mut config = with("/limits", json!({}));
            config["issuers"][0]["keys"] = json!({});
            config["issuers"][0]["introspection"] = json!({"cluster": "introspection"});
            config.pointer_mut(at).unwrap()[name] = json!(null);
            let (parsed, checked) = (parse(&config), schema.check(&config));
            assert_eq!(
                parsed.is_ok(),
                checked.is_ok(),
                "{of}.{name}: {parsed:?}, {checked:?}"
            );
        }
    }
}

#[test]
fn every_field_is_described_and_has_its_default_and_bounds() {
    let document = Config::schema();
    let mut fields = document["properties"].as_object().unwrap().clone();
    for of in [
        "Issuer",
        "KeyTimings",
        "Introspection",
        "Resource",
        "Limits",
    ] {
        fields.extend(
            document["$defs"][of]["properties"]
                .as_object()
                .unwrap()
                .clone(),
        );
    }
    for (name, field) in fields {
        let description = field["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty(), "{name}");
        assert!(!description.contains('\n'), "{name}");
        if field["type"] == json!(["integer", "null"]) {
            assert!(
                field["minimum"].is_u64() && field["maximum"].is_u64(),
                "{name}"
            );
            assert!(
                field["default"].is_u64() || description.contains("Default:"),
                "{name}"
            );
        }
    }
}

/// A field, and texts near the border of what it may be.
fn field_and_text() -> impl Strategy<Value = (&'static str, Value)> {
    let url = "(http|https|ftp)://[a-b.\\[:_-]{0,4}(:[0-9]{0,3})?(/[a-b.{}~%!]{0,4}){0,3}/?[?#]?";
    let text = |pointer: &'static str, pattern: &str| {
        proptest::string::string_regex(pattern)
            .unwrap()
            .prop_map(move |text| (pointer, json!(text)))
            .boxed()
    };
    let list = |pointer: &'static str, pattern: &str| {
        let texts = proptest::string::string_regex(pattern).unwrap();
        proptest::collection::vec(texts, 0..3)
            .prop_map(move |list| (pointer, json!(list)))
            .boxed()
    };
    let map = |pointer: &'static str, key: &str, value: &str| {
        let keys = proptest::string::string_regex(key).unwrap();
        let values = proptest::string::string_regex(value).unwrap();
        let written: fn(String) -> Value = match pointer {
            "/resources/0/identity_headers" => |value| json!(value),
            _ => |value| json!([value]),
        };
        proptest::collection::btree_map(keys, values, 0..3)
            .prop_map(move |map| {
                let member = |(key, value)| (key, written(value));
                let map: serde_json::Map<String, Value> = map.into_iter().map(member).collect();
                (pointer, json!(map))
            })
            .boxed()
    };
    prop_oneof![
        text("/issuers/0/issuer", url),
        text("/issuers/0/jwks_uri", url),
        text("/issuers/0/cluster", "[ \t\u{a0}a]{0,3}"),
        list("/issuers/0/audiences", "[ a\u{e9}]{0,2}"),
        list("/issuers/0/token_types", "[ -~\u{e9}]{0,3}"),
        text("/resources/0/resource", url),
        text(
            "/resources/0/path",
            "/?([a-b.{}~%!_0]{0,4}/){0,3}[a-b.{}]{0,4}"
        ),
        list("/resources/0/hosts", "[a-bA.\\[\\]:0-9_*-]{0,6}"),
        list("/resources/0/scopes", "[ -~\u{e9}]{0,3}"),
        list("/resources/0/allowed_origins", url),
        map("/resources/0/scope_hierarchy", "[a\" ]{0,2}", "[a\" ]{0,2}"),
        map(
            "/resources/0/require_claims",
            "[/~01a\n]{0,4}",
            "[a{}]{0,2}"
        ),
        map(
            "/resources/0/identity_headers",
            "[/~01a\n]{0,4}",
            "[a-bA_-]{0,3}|host|te"
        ),
    ]
}

proptest! {
    #[test]
    fn never_refuses_what_the_parser_accepts((pointer, value) in field_and_text()) {
        thread_local!(static SCHEMA: Schema = Schema::new());
        let config = with(pointer, value);
        if parse(&config).is_ok() {
            let checked = SCHEMA.with(|schema| schema.check(&config));
            prop_assert!(checked.is_ok(), "{config}: {checked:?}");
        }
    }
}
