use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read(text: &str) -> Result<Option<Vec<(String, String)>>, JsonError> {
    let owned = |members: Members<'_>| {
        let members = names(text, &members).map(|name| {
            let value = members.get(name).unwrap();
            (name.to_owned(), value.written().to_owned())
        });
        members.collect()
    };
    Json::new(text).members().map(|found| found.map(owned))
}

fn elements(text: &str, most: usize) -> Result<Option<(Vec<&str>, usize)>, JsonError> {
    let Some(Elements { first, more }) = Json::new(text).elements(most)? else {
        return Ok(None);
    };
    Ok(Some((first.into_iter().map(Json::written).collect(), more)))
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
        assert_eq!(elements(text, 4), Ok(None), "{text}");
    }
    assert_eq!(elements("[ ]", 4), Ok(Some((vec![], 0))));
    let expected = (vec!["1", "[2,3]"], 1);
    assert_eq!(elements("[1,[2,3],\"]\"]", 2), Ok(Some(expected)));
}

#[test]
fn a_name_comes_once() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#] {
        assert_eq!(read(text), Err(JsonError::DuplicateMember), "{text}");
    }
}

/// What another reader takes the name for is not known.
#[test]
fn a_name_can_be_decoded() {
    let error = Err(JsonError::Syntax {
        line: 1,
        column: 10,
    });
    assert_eq!(read(r#"{"\ud800":1}"#), error);
}

#[test]
fn only_what_is_asked_for_comes_once() {
    let named = |text| {
        let found = Json::new(text).named(["a", "b"])?;
        Ok::<_, JsonError>(found.map(|values| values.map(|value| value.map(Json::written))))
    };
    let found = Ok(Some([Some("[2]"), None]));
    assert_eq!(named(r#"{"c":1,"\u0061":[2],"c":3}"#), found);
    assert_eq!(named("[1]"), Ok(None));
    let twice = r#"{"a":1,"c":2,"\u0061":1}"#;
    assert_eq!(named(twice), Err(JsonError::DuplicateMember));
    assert!(named(r#"{"a":1,}"#).is_err());
}

#[test]
fn a_value_knows_its_place_in_the_document() {
    let text = r#" {"a": [1, {"b": "x"}]}"#;
    let list = Json::new(text)
        .members()
        .unwrap()
        .unwrap()
        .get("a")
        .unwrap();
    let object = list.list().unwrap()[1];
    let string = object.members().unwrap().unwrap().get("b").unwrap();
    assert_eq!(text.get(string.range()), Some(r#""x""#));
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
    let members = Json::new(&text).members().unwrap().unwrap();
    assert_eq!(members.get("y").map(Json::written), Some("2"));
    assert!(read(&"[".repeat(500_000)).is_err());
}

#[test]
fn strings() {
    let string = |text| Json::new(text).string();
    assert_eq!(string(r#""a""#).as_deref(), Some("a"));
    assert_eq!(string(r#""\u0061\"""#).as_deref(), Some("a\""));
    for value in [r#""\ud800""#, "1", "null", "[\"a\"]"] {
        assert_eq!(string(value), None, "{value}");
    }
}

/// Strings are passed over in words of eight bytes.
#[test]
fn a_string_ends_where_it_does_at_any_place() {
    for (before, behind) in (0..20).flat_map(|before| (0..20).map(move |behind| (before, behind))) {
        let text = |middle: &str| {
            let (before, behind) = ("é".repeat(before), "~".repeat(behind));
            format!("[\"{before}{middle}{behind}\",1]")
        };
        for sound in [
            "", " ", "\u{7f}", "\u{80}", "!", "#", "[", "]", "\\\"", "\\\\", "\\u0000", "\u{ffff}",
        ] {
            let text = text(sound);
            let (first, _) = elements(&text, 2).unwrap().unwrap();
            let expected = text.strip_prefix('[').unwrap().strip_suffix(",1]").unwrap();
            assert_eq!(first, [expected, "1"]);
        }
        for broken in ["\0", "\t", "\u{1f}", "\"", "\\x"] {
            assert!(
                elements(&text(broken), 2).is_err(),
                "{before} {broken:?} {behind}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,64}") {
        let _ = (read(&text), elements(&text, 2));
    }

    /// What serde_json accepts is accepted, and what it refuses but for numbers and surrogates is
    /// refused.
    #[test]
    fn nearly_json_is_judged_as_serde_json_does(text in r#"[\[\]{},:"a\\u0e1.-]{0,40}"#) {
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => {
                let is_refused = matches!(read(&text), Err(JsonError::Syntax { .. }));
                prop_assert!(!is_refused, "{}", text);
            }
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(error) if error.to_string().contains("surrogate") => {}
            Err(error) if error.to_string().contains("hex escape") => {}
            Err(_) => prop_assert!(read(&text).is_err(), "{}", text),
        }
    }
}
