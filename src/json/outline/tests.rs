use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read(text: &str) -> Result<Option<Vec<(String, String)>>, JsonError> {
    let owned = |members: Members<'_>| {
        let members = members.into_iter();
        members
            .map(|(name, value)| (name.into_owned(), value.to_owned()))
            .collect()
    };
    members(text).map(|found| found.map(owned))
}

#[test]
fn values_are_as_they_are_written() {
    let text =
        " {\"a\\u0062\" : [1, {\"x\":1,\"x\":2}] ,\"n\":-1e400,\"s\":\"\\ud800\",\n\"o\":{}} ";
    let expected = [
        ("ab", "[1, {\"x\":1,\"x\":2}]"),
        ("n", "-1e400"),
        ("s", "\"\\ud800\""),
        ("o", "{}"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read(text), Ok(Some(expected.to_vec())));
    assert_eq!(read("{}"), Ok(Some(vec![])));
}

#[test]
fn other_values_have_no_members() {
    for text in ["[]", "null", "\"{}\"", "1", "[{\"a\":1}]", " true "] {
        assert_eq!(read(text), Ok(None), "{text}");
    }
    for text in ["{}", "null", "\"[]\"", "1"] {
        assert_eq!(elements(text, 4), None, "{text}");
    }
    assert_eq!(elements("[ ]", 4), Some((vec![], 0)));
    assert_eq!(
        elements("[1,[2,3],\"]\"]", 2),
        Some((vec!["1", "[2,3]"], 1))
    );
}

#[test]
fn a_name_comes_once() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"\ud800":1,"b":2,"\ud800":1}"#,
    ] {
        assert_eq!(read(text), Err(JsonError::DuplicateMember), "{text}");
    }
}

#[test]
fn errors_say_where() {
    for (text, line, column) in [
        ("", 1, 0),
        ("<", 1, 1),
        ("{\"a\":1", 1, 6),
        ("{\"a\":1,}", 1, 8),
        ("{}x", 1, 3),
        ("{\n\n \"a\": x}", 3, 7),
        ("[01]", 1, 3),
        ("[1.]", 1, 4),
        ("[1e+]", 1, 5),
        ("[\"\\x\"]", 1, 4),
        ("[\"\\u12g4\"]", 1, 7),
        ("[\"\u{1}\"]", 1, 3),
    ] {
        assert_eq!(
            read(text),
            Err(JsonError::Syntax { line, column }),
            "{text}"
        );
    }
}

#[test]
fn depth_has_no_bound_and_takes_no_stack() {
    let deep = "[{\"a\":".repeat(100_000) + "1" + &"}]".repeat(100_000);
    let text = format!("{{\"x\":{deep},\"y\":2}}");
    let members = members(&text).unwrap().unwrap();
    assert_eq!(members[1], (Cow::Borrowed("y"), "2"));
    assert!(super::members(&"[".repeat(500_000)).is_err());
}

#[test]
fn strings() {
    assert_eq!(string(r#""a""#).as_deref(), Some("a"));
    assert_eq!(string(r#""\u0061\"""#).as_deref(), Some("a\""));
    for value in [r#""\ud800""#, "1", "null", "[\"a\"]"] {
        assert_eq!(string(value), None, "{value}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over_once() {
    assert_eq!(document(b"\xef\xbb\xbf{}"), Ok("{}"));
    assert_eq!(document(b"\xef\xbb\xbf\xef\xbb\xbf{}"), Ok("\u{feff}{}"));
    assert_eq!(document(b"\xff"), Err(JsonError::NotUtf8));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,64}") {
        let _ = (members(&text), elements(&text, 2));
    }

    /// What serde_json accepts is accepted, and what it refuses but for numbers and surrogates is
    /// refused.
    #[test]
    fn nearly_json_is_judged_as_serde_json_does(text in r#"[\[\]{},:"a\\u0e1.-]{0,40}"#) {
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => {
                let is_refused = matches!(members(&text), Err(JsonError::Syntax { .. }));
                prop_assert!(!is_refused, "{}", text);
            }
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(error) if error.to_string().contains("surrogate") => {}
            Err(error) if error.to_string().contains("hex escape") => {}
            Err(_) => prop_assert!(members(&text).is_err(), "{}", text),
        }
    }
}
