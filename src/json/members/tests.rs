use proptest::prelude::*;
use serde_json::{Map, json};

use super::super::parse;
use super::*;

/// What [`parse`] reads, if it is an object.
fn by_tree(bytes: &[u8]) -> Option<Map<String, Value>> {
    match parse(bytes).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn by_scan(bytes: &[u8]) -> Option<Map<String, Value>> {
    let object = Object::parse(bytes.to_vec())?;
    let members = object
        .iter()
        .map(|(name, raw)| (name.to_owned(), raw.value().unwrap()));
    let members: Map<String, Value> = members.collect();
    for (name, value) in &members {
        let raw = object.get(name).unwrap();
        assert_eq!(raw.is_text(), value.is_string());
        assert_eq!(raw.text().as_deref(), value.as_str());
        let read = |raw: Raw<'_>| raw.place().map(|text| object.read(&text).to_owned());
        assert_eq!(read(raw).as_deref(), value.as_str());
        for (at, element) in raw.elements().into_iter().flatten().enumerate() {
            assert_eq!(read(element).as_deref(), value[at].as_str());
        }
        assert_eq!(raw.number(), value.as_f64());
        assert_eq!(raw.whole_number(), value.as_u64());
        let elements = raw.elements().map(|elements| {
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

#[test]
fn members_are_in_order() {
    let object = Object::parse(br#"{"b":[1, "x"],"\u0061":"\u00e9"}"#.to_vec()).unwrap();
    let members: Vec<_> = object
        .iter()
        .map(|(name, raw)| (name, raw.value().unwrap()))
        .collect();
    assert_eq!(members, [("b", json!([1, "x"])), ("a", json!("é"))]);
    assert_eq!(object.get("c"), None);
}

fn json() -> impl Strategy<Value = Value> {
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
    fn both_readers_agree_on_what_is_sound(value in json(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        prop_assert_eq!(by_scan(text.as_bytes()), by_tree(text.as_bytes()));
    }

    #[test]
    fn both_readers_agree_on_what_is_damaged(
        value in json(),
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
