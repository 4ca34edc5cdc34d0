use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::body::Message;
use super::*;

fn operations(body: &str) -> Vec<(String, Option<String>)> {
    let messages = parse(body).unwrap();
    messages
        .operations()
        .map(|operation| (operation.method.clone(), operation.name.clone()))
        .collect()
}

#[test]
fn each_method_names_its_own_member() {
    for (method, params, name) in [
        ("tools/call", json!({"name": "t", "uri": "no"}), Some("t")),
        ("prompts/get", json!({"name": "p"}), Some("p")),
        (
            "resources/read",
            json!({"uri": "file:///a", "name": "no"}),
            Some("file:///a"),
        ),
        ("resources/subscribe", json!({"uri": "u"}), Some("u")),
        ("resources/unsubscribe", json!({"uri": "u"}), Some("u")),
        ("tasks/get", json!({"taskId": "1"}), Some("1")),
        ("tasks/cancel", json!({"taskId": "1"}), Some("1")),
        ("tools/list", json!({"name": "no"}), None),
        ("initialize", json!({"clientInfo": {"name": "no"}}), None),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        assert_eq!(
            operations(&body.to_string()),
            [(method.to_owned(), name.map(str::to_owned))]
        );
    }
    assert_eq!(
        operations(r#"{"jsonrpc":"2.0","method":"ping"}"#),
        [("ping".to_owned(), None)]
    );
    assert_eq!(
        operations(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#),
        [("ping".to_owned(), None)]
    );
}

#[test]
fn messages_are_told_apart() {
    let messages = |body: &str| parse(body).unwrap().messages;
    assert!(matches!(
        messages(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#).as_slice(),
        [Message::Request { id: Some(RequestId::String(id)), .. }] if id == "a"
    ));
    assert!(matches!(
        messages(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).as_slice(),
        [Message::Notification { .. }]
    ));
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":[1,{"b":null}]}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":""}}"#,
    ] {
        assert_eq!(messages(body), [Message::Response]);
    }
}

#[test]
fn a_batch_is_all_of_its_messages() {
    let batch = json!([call("a"), {"jsonrpc": "2.0", "method": "x"}, call("b")]).to_string();
    assert_eq!(
        operations(&batch),
        [
            ("tools/call".to_owned(), Some("a".to_owned())),
            ("x".to_owned(), None),
            ("tools/call".to_owned(), Some("b".to_owned())),
        ]
    );
    assert_eq!(parse(&batch).unwrap().id(), None);
    let many = |count: usize| Value::from(vec![call("a"); count]).to_string();
    assert!(parse(&many(MAX_MESSAGES)).is_ok());
    assert_eq!(
        parse(&many(MAX_MESSAGES + 1)),
        Err(BodyError::TooManyMessages)
    );
    assert_eq!(parse("[]"), Err(BodyError::NotJsonRpc));
    assert_eq!(parse("[[]]"), Err(BodyError::NotJsonRpc));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for (body, error) in [
        ("", BodyError::NotJson),
        (" ", BodyError::NotJson),
        ("{", BodyError::NotJson),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping""#,
            BodyError::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            BodyError::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}x"#,
            BodyError::NotJson,
        ),
        (
            "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
            BodyError::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#,
            BodyError::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,/**/"method":"ping"}"#,
            BodyError::NotJson,
        ),
        (r#"{'jsonrpc':'2.0'}"#, BodyError::NotJson),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"pi\ud800ng"}"#,
            BodyError::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#,
            BodyError::NotJson,
        ),
        ("1", BodyError::NotJsonRpc),
        ("null", BodyError::NotJsonRpc),
        (r#""tools/call""#, BodyError::NotJsonRpc),
        ("{}", BodyError::NotJsonRpc),
        (r#"{"id":1,"method":"ping"}"#, BodyError::NotJsonRpc),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":1}"#,
            BodyError::NotJsonRpc,
        ),
        (r#"{"jsonrpc":"2.0","result":1}"#, BodyError::NotJsonRpc),
        (r#"{"jsonrpc":"2.0","id":1}"#, BodyError::NotJsonRpc),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#,
            BodyError::NotJsonRpc,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            BodyError::DuplicateMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}"#,
            BodyError::DuplicateMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            BodyError::DuplicateMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{}}"#,
            BodyError::DuplicateMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"a":1,"a":1}}}"#,
            BodyError::DuplicateMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"METHOD":"ping"}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"x","paramſ":{"name":"b"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"tas\u212aId":"1"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"ur\u0131":"b","uri":"a"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"UR\u0130":"b","uri":"a"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"_method":"tools/call","method":"ping"}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","na_me":"b"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"N-a Me":"b","name":"a"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"task_id":"b","taskId":"a"}}"#,
            BodyError::MisspeltMember,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000/list","params":{"name":"a"}}"#,
            BodyError::Nul,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method\u0000":"tools/call","method":"ping"}"#,
            BodyError::Nul,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell\u0000"}}"#,
            BodyError::Nul,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name\u0000x":"b","name":"a"}}"#,
            BodyError::Nul,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a\u0000b"}}"#,
            BodyError::Nul,
        ),
    ] {
        assert_eq!(parse(body), Err(error), "{body}");
    }
    assert_eq!(Messages::parse(b"\xff"), Err(BodyError::NotJson));
    assert_eq!(
        Messages::parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}"),
        Err(BodyError::NotJson)
    );
}

/// A reader that compares lower case, or upper case, takes no other characters for letters of ASCII.
#[test]
fn every_other_case_of_a_known_member_is_refused() {
    let single = |mut cases: Vec<char>| cases.pop().filter(|_| cases.is_empty());
    let mut found = 0;
    for other in '\u{80}'..=char::MAX {
        let cases = [
            single(other.to_lowercase().collect()),
            single(other.to_uppercase().collect()),
        ];
        for letter in cases.into_iter().flatten().filter(char::is_ascii) {
            let letter = letter.to_ascii_lowercase();
            for name in ["jsonrpc", "method", "id", "params", "result", "error"] {
                let misspelt = name.replacen(letter, &other.to_string(), 1);
                if misspelt != name {
                    found += 1;
                    let body = format!(r#"{{"{misspelt}":1,"jsonrpc":"2.0","method":"ping"}}"#);
                    assert_eq!(parse(&body), Err(BodyError::MisspeltMember), "{body}");
                }
            }
        }
    }
    assert_eq!(found, 4, "the long s in three names, the dotless i in one");
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"meta":{},"_meta":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","ids":1,"params":{"names":"a","task":{}}}"#,
    ] {
        assert!(parse(body).is_ok(), "{body}");
    }
}

#[test]
fn what_no_rule_asks_for_is_skipped_undecoded() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for arguments in [
        r#""\ud800""#,
        r#"{"\udfff":"\ud800\ud800"}"#,
        "1e400",
        "-1E+999",
        "\"\u{feff}\"",
        r#"{"a":1,"a":2}"#,
        r#"{"a\u0000":"\u0000"}"#,
        &deep,
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{arguments},"name":"t"}}}}"#
        );
        assert_eq!(
            operations(&body),
            [("tools/call".to_owned(), Some("t".to_owned()))]
        );
    }
    for arguments in [
        "\u{feff}1",
        "01",
        "1.",
        "1e",
        "+1",
        ".5",
        "NaN",
        "\"\t\"",
        r#""\x""#,
        r#""\u12""#,
        "[1,]",
        "{,}",
        "{\"a\"}",
        "tru",
        "'a'",
        "[1}",
        "//",
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
        );
        assert_eq!(parse(&body), Err(BodyError::NotJson), "{arguments}");
    }
}

#[test]
fn a_name_that_is_no_text_is_none() {
    for params in [
        "{}",
        r#"{"name":["a"]}"#,
        r#"{"name":null}"#,
        r#"{"name":"\ud800"}"#,
        r#"{"uri":"a"}"#,
        "null",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        assert_eq!(operations(&body), [("tools/call".to_owned(), None)]);
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Messages::parse(&body);
    }

    /// What is read is what an ordinary reader reads.
    #[test]
    fn an_ordinary_reader_reads_the_same(
        text in r#"(\{|\[\{)?"jsonrpc":"2.0",("id":(1|"a"),)?"method":"(tools/call|ping|resources/read)"(,"params":\{("name":"[a-c]")?,?("uri":"[a-c]")?\})?(\}|\}\])?"#
    ) {
        if let Ok(messages) = parse(&text) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value]);
            let read: Vec<_> = messages.operations().cloned().collect();
            prop_assert_eq!(read.len(), values.len());
            for (operation, value) in read.iter().zip(values) {
                prop_assert_eq!(&value["method"], &operation.method);
                if let Some(member) = name_member(&operation.method) {
                    let name = operation.name.as_deref();
                    prop_assert_eq!(value["params"][member].as_str(), name);
                }
            }
        }
    }
}
