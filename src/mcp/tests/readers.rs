//! Other readers of the same body: where it is accepted, none of them sees another operation.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::*;

/// A value as it is written: names may come twice.
#[derive(Debug)]
enum Written {
    Text(String),
    Object(Vec<(String, Self)>),
    Other,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
        Ok(Written::Other)
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Written, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Written::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Written, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Written::Object(members))
    }
}

/// How a reader finds a member.
struct Reader {
    name: &'static str,
    /// The form in which it compares names.
    form: fn(&str) -> String,
    /// Of two, the last counts.
    takes_last: bool,
    /// Its strings end at a NUL.
    ends_at_nul: bool,
}

fn without_punctuation(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_lowercase()
}

fn folded(name: &str) -> String {
    let name = name.replace('ſ', "s").replace('\u{212a}', "k");
    name.to_ascii_lowercase()
}

/// All but the second are libraries that were seen to read so.
const READERS: [Reader; 7] = [
    Reader {
        name: "JSON.parse of JavaScript",
        form: str::to_owned,
        takes_last: true,
        ends_at_nul: false,
    },
    Reader {
        name: "one that takes the first",
        form: str::to_owned,
        takes_last: false,
        ends_at_nul: false,
    },
    Reader {
        name: "cJSON_GetObjectItem",
        form: str::to_ascii_lowercase,
        takes_last: false,
        ends_at_nul: true,
    },
    Reader {
        name: "jansson with JSON_ALLOW_NUL",
        form: str::to_owned,
        takes_last: true,
        ends_at_nul: true,
    },
    Reader {
        name: "encoding/json of Go",
        form: folded,
        takes_last: true,
        ends_at_nul: false,
    },
    Reader {
        name: "equalsIgnoreCase of Java",
        form: |name| name.replace('İ', "I").to_uppercase(),
        takes_last: true,
        ends_at_nul: false,
    },
    Reader {
        name: "fastjson",
        form: without_punctuation,
        takes_last: true,
        ends_at_nul: false,
    },
];

impl Reader {
    fn sees(&self, text: &str) -> String {
        let end = if self.ends_at_nul { '\0' } else { char::MAX };
        text.split(end).next().unwrap_or_default().to_owned()
    }

    fn find<'w>(&self, object: &'w Written, wanted: &str) -> Option<&'w Written> {
        let Written::Object(members) = object else {
            return None;
        };
        let is_it =
            |(name, _): &&(String, Written)| (self.form)(&self.sees(name)) == (self.form)(wanted);
        let mut found = members.iter().filter(is_it);
        let member = match self.takes_last {
            true => found.next_back(),
            false => found.next(),
        };
        member.map(|(_, value)| value)
    }

    fn text(&self, object: &Written, wanted: &str) -> Option<String> {
        match self.find(object, wanted)? {
            Written::Text(text) => Some(self.sees(text)),
            Written::Object(_) | Written::Other => None,
        }
    }

    /// The method, and what it is about.
    fn operation(&self, body: &str) -> Option<(String, Option<String>)> {
        let body: Written = serde_json::from_str(body).ok()?;
        let method = self.text(&body, "method")?;
        let params = self.find(&body, "params");
        let name = name_member(&method)
            .zip(params)
            .and_then(|(member, params)| self.text(params, member));
        Some((method, name))
    }
}

/// A spelling of a name, or another name.
fn spelling(of: &'static str) -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!["\0", "\0x", "_", "-", " ", "x", "\u{200b}"]);
    let other_case = move |name: String| {
        name.replace('s', "ſ")
            .replace('k', "\u{212a}")
            .replace('i', "ı")
    };
    prop_oneof![
        2 => Just(of.to_owned()),
        2 => (odd, 0..=of.len()).prop_map(move |(odd, at)| {
            let (before, behind) = of.split_at(at);
            format!("{before}{odd}{behind}")
        }),
        1 => Just(of.to_ascii_uppercase()),
        1 => Just(other_case(of.to_owned())),
        1 => Just(of.replace('i', "İ")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let values = [
        "safe",
        "shell",
        "shell\0",
        "sh\0ell",
        "tools/call",
        "ping",
        "tools/call\0x",
    ];
    let texts = prop::sample::select(values.to_vec()).prop_map(|text| json!(text).to_string());
    prop_oneof![8 => texts, 1 => Just("5".to_owned()), 1 => Just("null".to_owned())]
}

fn object(members: Vec<(String, String)>) -> String {
    let written = members
        .into_iter()
        .map(|(name, value)| format!("{}:{value}", json!(name)));
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

fn body() -> impl Strategy<Value = String> {
    let methods = ["tools/call", "resources/read", "tasks/get", "tools/list"];
    let of = |names: &'static [&'static str]| {
        prop::sample::select(names).prop_flat_map(|name| (spelling(name), value()))
    };
    let params = prop::collection::vec(of(&["name", "uri", "taskId"]), 0..4).prop_map(object);
    let more = prop::collection::vec(of(&["method", "params", "id", "result"]), 0..2);
    let method = prop::sample::select(methods.to_vec());
    (method, params, more, any::<prop::sample::Index>()).prop_map(|(method, params, more, at)| {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut members = vec![
            pair("jsonrpc", json!("2.0").to_string()),
            pair("id", "1".to_owned()),
            pair("method", json!(method).to_string()),
            pair("params", params),
        ];
        for member in more {
            members.insert(at.index(members.len()), member);
        }
        object(members)
    })
}

proptest! {
    #[test]
    fn no_reader_sees_another_operation(body in body()) {
        let Ok(messages) = parse(&body) else {
            return Ok(());
        };
        let seen: Vec<&Operation> = messages.operations().collect();
        for reader in READERS {
            let Some((method, name)) = reader.operation(&body) else {
                continue;
            };
            // An operation without a name is refused where a rule asks for one.
            let is_seen = seen.iter().any(|operation| {
                operation.method == method && (operation.name.is_none() || operation.name == name)
            });
            prop_assert!(is_seen, "{}: {body} {seen:?}", reader.name);
        }
    }
}
