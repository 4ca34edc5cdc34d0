use proptest::prelude::*;
use serde_json::json;

use super::*;

fn syntax(line: usize, column: usize) -> JsonError {
    JsonError::Syntax { line, column }
}

#[test]
fn values_are_what_serde_json_reads() {
    for text in [
        "null",
        " true ",
        "-1",
        "0",
        "-0",
        "18446744073709551615",
        "18446744073709551616",
        "1.5",
        "1e3",
        "[]",
        "{}",
        "\"\\ud83d\\ude00\\u0000\"",
        r#"{"a":[{"b":"\u00e9"}],"c":null}"#,
        // The same names in different objects are no duplicates.
        r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#,
    ] {
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap(),
            "{text}"
        );
    }
}

#[test]
fn what_is_refused() {
    for (text, expected) in [
        ("", syntax(1, 0)),
        (" ", syntax(1, 1)),
        ("nul", syntax(1, 3)),
        ("{", syntax(1, 1)),
        ("[1,]", syntax(1, 4)),
        ("{\"a\":1,}", syntax(1, 8)),
        ("{a:1}", syntax(1, 2)),
        ("'a'", syntax(1, 1)),
        ("01", syntax(1, 2)),
        ("+1", syntax(1, 1)),
        (".5", syntax(1, 1)),
        ("NaN", syntax(1, 1)),
        ("1e999", syntax(1, 5)),
        ("\"\n\"", syntax(2, 0)),
        ("\"\\ud800\"", syntax(1, 8)),
        ("\"\\x\"", syntax(1, 3)),
        ("\u{feff}{}", syntax(1, 1)),
        ("{} {}", syntax(1, 4)),
        ("{}\0", syntax(1, 3)),
        ("{}// end", syntax(1, 3)),
        ("1\n2", syntax(2, 1)),
        (r#"{"a":1,"a":1}"#, JsonError::DuplicateMember),
        (r#"{"a":1,"\u0061":2}"#, JsonError::DuplicateMember),
        (r#"{"":1,"":2}"#, JsonError::DuplicateMember),
        (
            r#"[[{"b":{"c":{"a":1,"x":2,"a":3}}}]]"#,
            JsonError::DuplicateMember,
        ),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
    }
    for bytes in [
        &b"\"\xff\""[..],
        b"\xfe\xff",
        b"{\"a\":\"\xc0\x80\"}",
        b"\"\xed\xa0\x80\"",
    ] {
        assert_eq!(parse(bytes), Err(JsonError::NotUtf8));
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for text in [nested(32), objects(32)] {
        assert!(parse(text.as_bytes()).is_ok());
    }
    for text in [
        nested(33),
        objects(33),
        nested(127),
        nested(200),
        nested(1_000_000),
        "[".repeat(1_000_000),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(JsonError::TooDeep));
    }
}

/// serde_json gives these names a meaning of its own under some of its features.
#[test]
fn no_member_name_is_special() {
    for name in [
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
    ] {
        let value = json!({ name: "[1]" });
        assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // serde_json may read the last bit of a double wrong; quarters are exact.
        any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(value in any_json()) {
        prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes);
    }

    /// Text of JSON's own characters goes deeper than random bytes do. Whoever accepts agrees with
    /// serde_json.
    #[test]
    fn nearly_json_is_judged_as_serde_json_does(text in r#"[\[\]{},:"a\\u00e-]{0,40}"#) {
        match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), theirs) => prop_assert_eq!(ours, theirs.unwrap()),
            (Err(JsonError::Syntax { .. }), theirs) => prop_assert!(theirs.is_err()),
            (Err(JsonError::DuplicateMember | JsonError::TooDeep | JsonError::NotUtf8), _) => {}
        }
    }
}
