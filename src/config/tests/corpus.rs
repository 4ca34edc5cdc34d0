//! Wrong configurations of every kind, each with its one message: a line that names the field, what
//! was found and what is allowed, in the words of JSON.

use super::broken::broken;
use super::*;

/// Stands where a secret may be in a URL; no message repeats it.
const SECRET: &str = "s3cr3t";

fn one_key() -> Value {
    let mut keys = crate::testing::key_set();
    keys["keys"].as_array_mut().unwrap().truncate(1);
    keys
}

/// Every field that there is, each with a value of its own.
fn full() -> Value {
    json!({
        "enabled": true,
        "mode": "enforce",
        "limits": {
            "token_bytes": 8192, "held_requests": 100, "body_bytes": 1_048_576,
            "cached_tokens": 1000, "cached_bytes": 1_048_576,
        },
        "issuers": [
            {
                "issuer": "https://auth.example.com", "cluster": "auth",
                "jwks_uri": "https://keys.example.com/jwks", "jwks_cluster": "keys",
                "algorithms": ["RS256"], "audiences": ["api://mcp"],
                "token_types": ["at+jwt", null], "clock_skew_seconds": 30,
                "max_token_lifetime_seconds": 3600, "authorization_server_metadata": true,
                "keys": {
                    "refresh_seconds": 300, "timeout_seconds": 3,
                    "unknown_key_cooldown_seconds": 10, "max_stale_seconds": 7200,
                },
                "introspection": {
                    "cluster": "introspection", "endpoint": "https://auth.example.com/introspect",
                    "tokens": "all", "cache_seconds": 60, "require_audience": true,
                },
            },
            {"issuer": "https://b.example", "jwks": one_key()},
        ],
        "resources": [{
            "resource": "https://mcp.example.com/{tenant}/mcp", "path": "/internal/{tenant}",
            "hosts": ["mcp.example.com"], "issuers": ["https://auth.example.com"],
            "scopes": ["mcp:read"], "scopes_supported": ["mcp:read", "mcp:write"],
            "operations": [
                {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]},
                {"method": "tools/call", "name": "shell", "deny": true},
            ],
            "filter_lists": true, "scope_hierarchy": {"mcp:admin": ["mcp:write"]},
            "require_claims": {"tenant": ["{tenant}"]},
            "allowed_origins": ["https://app.example.com"], "name": "Tools",
            "documentation": "https://docs.example.com/tools",
            "identity_headers": {"sub": "x-user"}, "filter_state": ["subject"],
            "forward_token": false, "cors": false,
        }],
    })
}

/// Every place of a document: its JSON Pointer, and its path as messages name it.
fn places(value: &Value, pointer: &str, path: &str, into: &mut Vec<(String, String)>) {
    into.push((pointer.to_owned(), path.to_owned()));
    match value {
        // What is in a key set is the key set's to judge.
        Value::Object(_) if path.ends_with(".jwks") => {}
        Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                places(member, &pointer, &format!("{path}{dot}{name}"), into);
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                let (pointer, path) = (format!("{pointer}/{at}"), format!("{path}[{at}]"));
                places(element, &pointer, &path, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A configuration that is wrong at one place, and the path of that place.
struct Wrong {
    text: String,
    at: String,
}

/// Other values at a place: of another type, out of bounds, empty, hostile.
fn other_values() -> Vec<Value> {
    let hostile = "a\u{1b}[2J\r\n\u{9b}\u{202e}\u{2028}";
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{e9}"),
        json!(hostile),
        json!([]),
        json!([7]),
        json!([null]),
        json!([""]),
        json!([hostile]),
        json!([[]]),
        json!({}),
        json!({"x": 7}),
        json!({hostile: hostile}),
        json!(format!(
            "https://me:{SECRET}@a.example/x?token={SECRET}#{SECRET}"
        )),
        json!([format!("https://me:{SECRET}@a.example?token={SECRET}")]),
    ]
}

fn with_other_values() -> Vec<Wrong> {
    let full = full();
    let mut found = Vec::new();
    places(&full, "", "", &mut found);
    let mut wrong = Vec::new();
    for (pointer, at) in found {
        for value in other_values() {
            let mut config = full.clone();
            *config.pointer_mut(&pointer).unwrap() = value;
            let text = config.to_string();
            // Some values are right at some places.
            if Config::parse(text.as_bytes()).is_err() {
                let at = at.clone();
                wrong.push(Wrong { text, at });
            }
        }
    }
    wrong
}

/// Fields that are missing, unknown, or there twice.
fn with_other_fields() -> Vec<Wrong> {
    let full = full();
    let mut found = Vec::new();
    places(&full, "", "", &mut found);
    let mut wrong = Vec::new();
    for (pointer, at) in found {
        let within = |name: &str| format!("{at}{}{name}", if at.is_empty() { "" } else { "." });
        let Some(Value::Object(members)) = full.pointer(&pointer) else {
            continue;
        };
        for name in members.keys() {
            let mut config = full.clone();
            let object = config.pointer_mut(&pointer).unwrap();
            object.as_object_mut().unwrap().remove(name);
            let without = config.to_string();
            if Config::parse(without.as_bytes()).is_err() {
                // Of `issuers`, another field may say what is missed.
                let (text, at) = (without, at.clone());
                wrong.push(Wrong { text, at });
            }
            let mut config = full.clone();
            config.pointer_mut(&pointer).unwrap()["TWICE"] = members[name].clone();
            let text = config
                .to_string()
                .replace("\"TWICE\"", &format!("{name:?}"));
            let at = within(name);
            wrong.push(Wrong { text, at });
        }
        for name in [
            "x",
            "Issuer",
            "resourse",
            "a\u{1b}[2J\n\u{85}\u{202e}\u{2028}",
        ] {
            let mut config = full.clone();
            config.pointer_mut(&pointer).unwrap()[name] = json!(1);
            let text = config.to_string();
            if Config::parse(text.as_bytes()).is_err() {
                let at = at.clone();
                wrong.push(Wrong { text, at });
            }
        }
    }
    wrong
}

/// What is no JSON, or no object.
fn without_form() -> Vec<Wrong> {
    let deep = "[".repeat(200);
    [
        "",
        " \n",
        "{",
        "[",
        "]",
        "{}",
        "[]",
        "null",
        "7",
        "\"x\"",
        "true",
        "{} {}",
        "issuers: []",
        "{\"issuers\": [}",
        "{\"issuers\": [],}",
        "{'issuers': []}",
        "{\"a\": \"\u{1}\"}",
        "{\"a\": 1e400}",
        "{\"a\": 01}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": \"\\x\"}",
        "{a: 1}",
        "{\"a\": nul}",
        "{\"a\" 1}",
        "// x\n{}",
        "\u{feff}{}",
        "\u{ff}",
        &deep,
    ]
    .into_iter()
    .map(|text| Wrong {
        text: text.to_owned(),
        at: String::new(),
    })
    .collect()
}

/// Words of the parser, of Rust, and of nobody who writes JSON.
const FOREIGN_WORDS: [&str; 26] = [
    "expected",
    "invalid",
    "struct",
    "sequence",
    "map",
    "u64",
    "i64",
    "u32",
    "usize",
    "unit",
    "newtype",
    "tuple",
    "enum",
    "variant",
    "option",
    "integer",
    "floating",
    "EOF",
    "boolean",
    "duplicate",
    "missing",
    "Config",
    "array",
    "text",
    "texts",
    "str",
];

/// What is unclear in a message.
fn unclear(message: &str, at: &str) -> Option<String> {
    let harmless = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_format(c));
    if let Some(character) = message.chars().find(|c| !harmless(*c)) {
        return Some(format!("the character {character:?}"));
    }
    if message.contains(SECRET) {
        return Some("the secret".to_owned());
    }
    let Some((field, rest)) = message.split_once(": found ") else {
        return Some("no `found`".to_owned());
    };
    let Some((found, allowed)) = rest.split_once("; allowed: ") else {
        return Some("no `allowed`".to_owned());
    };
    if found.is_empty() || allowed.is_empty() {
        return Some("nothing found or allowed".to_owned());
    }
    let named = match field.strip_prefix("configuration field `") {
        Some(field) => field.strip_suffix('`')?,
        None if field == "configuration" => "",
        None => return Some("no field".to_owned()),
    };
    // The place itself, one in it, or one that it is in: a list or an object is judged as a whole.
    // What is wrong with one of two fields that belong together may be said of the other.
    let pairs = [".jwks", ".cluster", ".method"];
    let whole = pairs.iter().find_map(|field| at.strip_suffix(field));
    let at = whole.unwrap_or(at);
    if !named.starts_with(at) && !at.starts_with(named) {
        return Some(format!("another field than {at}"));
    }
    if named.is_empty() && !(at.is_empty() || at.starts_with(['i', 'r', 'l'])) {
        return Some(format!("no field, where it is {at}"));
    }
    let words = format!("{found} {allowed}");
    let mut words = words.split(|c: char| !c.is_alphanumeric() && c != '_');
    let foreign = words.find(|word| FOREIGN_WORDS.contains(word));
    foreign.map(|word| format!("the word {word}"))
}

/// Characters that turn or hide what stands beside them.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[test]
fn every_message_is_clear() {
    assert!(parse(&full()).is_ok(), "{:?}", parse(&full()));
    let table = broken().into_iter().map(|(config, at, _)| Wrong {
        text: config.to_string(),
        at: at.to_owned(),
    });
    let mut all = without_form();
    all.extend(with_other_fields());
    all.extend(with_other_values());
    all.extend(table);
    let mut failed = Vec::new();
    for Wrong { text, at } in &all {
        let message = Config::parse(text.as_bytes()).expect_err(text).to_string();
        if let Some(why) = unclear(&message, at) {
            failed.push(format!("{why}: {message}"));
        }
    }
    println!(
        "{} of {} messages are clear",
        all.len() - failed.len(),
        all.len()
    );
    assert!(all.len() >= 284);
    assert!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        all.len(),
        failed.join("\n")
    );
}
