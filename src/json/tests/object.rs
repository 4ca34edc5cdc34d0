use std::fmt;

use proptest::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

use super::*;

/// A value of at most so many levels, each name of which comes once: an independent reader.
#[derive(Clone, Copy)]
struct Tree(usize);

impl Tree {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let levels = self.0.checked_sub(1);
        levels.map(Self).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(Error::custom("the same name twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// The members of an object, by the tree.
fn by_tree(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Tree(MAX_DEPTH).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn by_scan(bytes: &[u8]) -> Option<Map<String, Value>> {
    let object = Object::parse(bytes.to_vec())?;
    // An object that is read in this way is one for the shallow reader as well.
    let document = Json::document(bytes).unwrap();
    let members = document.members().unwrap().unwrap();
    let members = names(document.written(), &members).map(|name| {
        let value = object.get(name).unwrap();
        assert_eq!(Some(value), members.get(name));
        assert_eq!(
            value.written(),
            std::str::from_utf8(&bytes[value.range()]).unwrap()
        );
        (name.to_owned(), value.value().unwrap())
    });
    let members: Map<String, Value> = members.collect();
    for (name, value) in &members {
        let json = object.get(name).unwrap();
        assert_eq!(json.is_string(), value.is_string());
        assert_eq!(json.is_number(), value.is_number());
        assert_eq!(json.is_list(), value.is_array());
        assert_eq!(json.is_object(), value.is_object());
        assert_eq!(json.string().as_deref(), value.as_str());
        let read = |json: Json<'_>| json.place().map(|string| object.read(&string).to_owned());
        assert_eq!(read(json).as_deref(), value.as_str());
        for (at, element) in json.list().into_iter().flatten().enumerate() {
            assert_eq!(read(element).as_deref(), value[at].as_str());
        }
        assert_eq!(json.number(), value.as_f64());
        assert_eq!(json.whole_number(), value.as_u64());
        assert_eq!(json.integer(), value.as_i64());
        let elements = json.list().map(|elements| {
            let values = elements.into_iter().map(|element| element.value().unwrap());
            values.collect::<Vec<_>>()
        });
        assert_eq!(elements.as_ref(), value.as_array());
    }
    Some(members)
}

#[test]
fn both_readers_agree() {
    let nested = |levels: usize| {
        let inside = levels.saturating_sub(1);
        format!("{{\"a\":{}1{}}}", "[".repeat(inside), "]".repeat(inside))
    };
    let many = |last: &str| {
        let names: Vec<String> = (0..40).map(|at| format!("\"{at}\":{at}")).collect();
        format!("{{{},{last}}}", names.join(","))
    };
    let digits = |count: usize| format!("{{\"a\":1{}}}", "0".repeat(count));
    for text in [
        "",
        "{}",
        " {\t}\r\n",
        "{} {}",
        "{}\0",
        "\u{feff}{}",
        "[]",
        "1",
        "null",
        "\"{}\"",
        r#"{"a":1}"#,
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a" : 1 , "b":[ 1 , 2 ] , "c":{ "d" : null } }"#,
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"b":{"a":1,"a":1}}"#,
        r#"{"b":[{"a":1},{"a":1}]}"#,
        r#"{"a":{"a":{"a":1}}}"#,
        r#"{"a":{"b":1},"b":2}"#,
        r#"{"b":{"c":1},"b":2}"#,
        r#"{"":1,"":2}"#,
        r#"{"\ud83d\ude00\"\\\/\b\f\n\r\t":"\u0000"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00\ud800"}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\u{7f}\u{e9}\"}",
        "{'a':1}",
        "{a:1}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":tru}"#,
        r#"{"a":truefalse}"#,
        r#"{"a":true}"#,
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":-0}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1.5e}"#,
        r#"{"a":1.5E+3}"#,
        r#"{"a":1e-400}"#,
        r#"{"a":1e400}"#,
        r#"{"a":-1e400}"#,
        r#"{"a":+1}"#,
        r#"{"a":NaN}"#,
        r#"{"a":18446744073709551615,"b":18446744073709551616,"c":-9223372036854775809}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[}"#,
        r#"{"a":1]"#,
        r#"{"a":1"#,
        &nested(MAX_DEPTH),
        &nested(MAX_DEPTH + 1),
        &nested(500),
        &nested(1_000_000),
        r#"{"a":[{"a":[{"a":{},"b":{"c":1,"d":{"c":2}}},{"b":1}]}],"b":{"a":{"b":{},"c":[]}}}"#,
        r#"{"a":[{"b":[{"c":1,"d":{"c":2},"c":3}]}]}"#,
        r#"{"a":[{"b":{"c":1},"c":2,"b":3}]}"#,
        r#"{"$serde_json::private::RawValue":"[1]","$serde_json::private::Number":"1"}"#,
        &many("\"x\":1"),
        &many("\"7\":1"),
        &digits(290),
        &digits(308),
        &digits(310),
    ] {
        let found = by_scan(text.as_bytes());
        assert_eq!(found, by_tree(text.as_bytes()), "{text}");
    }
    assert!(by_scan(b"{\"a\":\"\xff\"}").is_none());
    assert!(by_scan(nested(MAX_DEPTH).as_bytes()).is_some());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[ab\"\\\\/é\n]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 16, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d\"\\\\]{0,2}", inner), 0..16)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn both_readers_agree_on_what_is_sound(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        prop_assert_eq!(by_scan(text.as_bytes()), by_tree(text.as_bytes()));
    }

    #[test]
    fn both_readers_agree_on_what_is_damaged(
        value in any_json(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3, "[]{}\",:0e.\\\\a -]{0,2}"), 1..4),
    ) {
        let mut bytes = json!({"a": value, "b": 1}).to_string().into_bytes();
        for (at, length, inserted) in cuts {
            let at = at.index(bytes.len().saturating_add(1));
            let end = at.saturating_add(length).min(bytes.len());
            bytes.splice(at..end, inserted.into_bytes());
        }
        prop_assert_eq!(by_scan(&bytes), by_tree(&bytes));
    }
}
