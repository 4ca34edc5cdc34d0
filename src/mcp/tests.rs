use proptest::prelude::*;
use serde_json::{Value, json};

use super::body::Message;
use super::*;
use crate::head::Head;

fn parse(body: &str) -> Result<Messages, BodyError> {
    Messages::parse(body.as_bytes())
}

fn operations(body: &str) -> Vec<(String, Option<String>)> {
    let messages = parse(body).unwrap();
    messages
        .operations()
        .map(|operation| (operation.method.clone(), operation.name.clone()))
        .collect()
}

fn operation(method: &str, name: Option<&str>) -> Operation {
    Operation::new(method.to_owned(), name.map(str::to_owned))
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
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
        [Message::Request { id: Some(RequestId::Text(id)), .. }] if id == "a"
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
    ] {
        assert_eq!(parse(body), Err(error), "{body}");
    }
    assert_eq!(Messages::parse(b"\xff"), Err(BodyError::NotJson));
    assert_eq!(
        Messages::parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}"),
        Err(BodyError::NotJson)
    );
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

#[test]
fn patterns() {
    for (pattern, text, matches) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a", "", false),
        ("*", "", true),
        ("*", "anything/at all", true),
        ("delete_*", "delete_all", true),
        ("delete_*", "delete_", true),
        ("delete_*", "undelete_", false),
        ("*_all", "delete_all", true),
        ("*_all", "delete_all_", false),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*b*", "abc", true),
        ("**", "x", true),
        ("a**b", "ab", true),
        ("*ab*ab", "ab", false),
        ("*ab*ab", "abab", true),
    ] {
        assert_eq!(
            Pattern::new(pattern).matches(text),
            matches,
            "{pattern} {text}"
        );
    }
}

fn rule(name: Option<&str>, except: &[&str]) -> OperationRule {
    OperationRule {
        method: Pattern::new("*"),
        name: name.map(NamePattern::new),
        except: except.iter().map(|text| NamePattern::new(text)).collect(),
        needs: Needs::Nothing,
    }
}

fn read(uri: &str) -> Operation {
    operation("resources/read", Some(uri))
}

/// Spellings of one file, all of which some server reads.
const FILE: [&str; 28] = [
    "file:///secret/b",
    " file:///secret/b",
    "file:///secret/b ",
    "\u{1}file:///secret/b",
    "file:/secret/b",
    "file:secret/b",
    "file:////secret/b",
    "file:\\\\\\secret\\b",
    "file:\\secret\\b",
    "file://localhost/secret/b",
    "file://LOCALHOST/secret/b",
    "file://other/secret/b",
    "FILE:///secret/b",
    "File:///Secret/B",
    "fi\tle:///sec\nret/b",
    "file:///sec\rret/b",
    "file:///secret//b",
    "file:///secret\\b",
    "file:///./secret/b",
    "file:///x/../secret/b",
    "file:///x/%2e%2e/secret/b",
    "file:///x/.%2E/secret/b",
    "file:///%73ecret/b",
    "file:///%2573ecret/b",
    "file:///secret%2fb",
    "file:///secret/b?x",
    "file:///secret/b#x",
    "file:///public/a%2fb/../../secret/b",
];

/// And of one page.
const PAGE: [&str; 26] = [
    "https://api.example/secret/b",
    " https://api.example/secret/b",
    "https:api.example/secret/b",
    "https:/api.example/secret/b",
    "https:///api.example/secret/b",
    "https:\\\\api.example\\secret\\b",
    "https://api.example:443/secret/b",
    "https://api.example:0443/secret/b",
    "https://api.example:/secret/b",
    "HTTPS://api.example/secret/b",
    "https://API.Example/secret/b",
    "https://api.example./secret/b",
    "https://user@api.example/secret/b",
    "https://user:pass@api.example/secret/b",
    "https://x%2f@api.example/secret/b",
    "https://%61pi.example/secret/b",
    "https://\u{ff41}pi.example/secret/b",
    "https://api\u{3002}example/secret/b",
    "https://ap\ti.example/secret/b",
    "ht\ntps://api.example/secret/b",
    "https://api.example/x/../secret/b",
    "https://api.example/./secret/b",
    "https://api.example/x/%2e%2e/secret/b",
    "https://api.example/%73ecret/b",
    "https://api.example/secret/b?x=1",
    "https://api.example/secret/b#x",
];

#[test]
fn a_rule_for_a_uri_concerns_all_its_spellings() {
    for (patterns, spellings) in [
        (
            [
                "file:///secret/b",
                "file:///secret/*",
                "FILE:/Secret/*",
                "*/secret/*",
            ],
            &FILE[..],
        ),
        (
            [
                "https://api.example/secret/b",
                "https://api.example:443/secret/*",
                "https://API.example/*",
                "*://api.example/secret/*",
            ],
            &PAGE[..],
        ),
    ] {
        for pattern in patterns {
            for uri in spellings {
                assert!(
                    rule(Some(pattern), &[]).matches(&read(uri)),
                    "{pattern} {uri:?}"
                );
            }
        }
    }
    for uri in [
        "file:///public/b",
        "https://api.example/open",
        "memo://secret/b",
        "secret",
    ] {
        for pattern in ["file:///secret/*", "https://api.example/secret/*"] {
            assert!(!rule(Some(pattern), &[]).matches(&read(uri)), "{uri}");
        }
    }
}

#[test]
fn a_name_that_is_no_uri_is_compared_as_it_is() {
    let tool = |name| operation("tools/call", Some(name));
    assert!(rule(Some("a%20b"), &[]).matches(&tool("a%20b")));
    assert!(!rule(Some("a%20b"), &[]).matches(&tool("a b")));
    assert!(!rule(Some("a"), &[]).matches(&tool("A")));
    assert!(!rule(Some("a"), &[]).matches(&operation("tools/list", None)));
}

#[test]
fn an_exception_holds_only_for_what_all_servers_take_for_it() {
    let all_but = rule(
        None,
        &["file:///public/*", "https://api.example/docs/*", "echo"],
    );
    for uri in [
        "file:///public/a",
        "file:///public/a?x#y",
        "https://api.example/docs/",
    ] {
        assert!(!all_but.matches(&read(uri)), "{uri}");
    }
    for uri in [
        "file:///secret/b",
        "file:///public/../secret/b",
        "file:///public/%2e%2e/secret/b",
        "file:///public/..%2fsecret/b",
        "file:///public/a%2fb/../../secret/b",
        "file://public/a",
        "https://api.example/docs/@x/../../secret",
        "https://evil.example/https://api.example/docs/",
        "https://api.example:8443/docs/x",
    ] {
        assert!(all_but.matches(&read(uri)), "{uri}");
    }
    for spelling in FILE.iter().chain(&PAGE) {
        assert!(all_but.matches(&read(spelling)), "{spelling:?}");
    }
    assert!(!all_but.matches(&operation("tools/call", Some("echo"))));
    assert!(all_but.matches(&operation("tools/call", Some("Echo"))));
    assert!(all_but.matches(&operation("tools/call", None)));
    let named = rule(Some("delete_*"), &["delete_draft"]);
    assert!(named.matches(&operation("tools/call", Some("delete_all"))));
    assert!(!named.matches(&operation("tools/call", Some("delete_draft"))));
}

fn head(headers: &[(&str, &str)]) -> Head {
    Head::new(
        headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
    )
}

fn confirm(headers: &[(&str, &str)], body: &Value) -> Result<(), Mismatch> {
    Routing::of(&head(headers))?.confirm(&parse(&body.to_string()).unwrap())
}

const MODERN: (&str, &str) = ("mcp-protocol-version", "2026-07-28");

#[test]
fn headers_of_a_modern_request_must_agree_with_the_body() {
    use Mismatch::{Batch, Differs, Missing, Repeated, Unreadable};
    use RoutingHeader::{Method, Name, Version};
    let tool = call("echo");
    let method = ("mcp-method", "tools/call");
    let name = ("mcp-name", "echo");
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/cancelled"});
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let stated = |version: &str| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {
            "_meta": {"io.modelcontextprotocol/protocolVersion": version}}})
    };
    type Headers<'h> = Vec<(&'h str, &'h str)>;
    let cases: Vec<(Headers<'_>, &Value, Result<(), Mismatch>)> = vec![
        (vec![MODERN, method, name], &tool, Ok(())),
        (vec![MODERN, method, ("mcp-name", " echo\t")], &tool, Ok(())),
        (
            vec![MODERN, method, ("mcp-name", "=?base64?ZWNobw==?=")],
            &tool,
            Ok(()),
        ),
        (vec![MODERN, ("mcp-method", "tools/list")], &list, Ok(())),
        (vec![MODERN], &notification, Ok(())),
        (vec![MODERN], &response, Ok(())),
        (
            vec![("mcp-protocol-version", "2027-01-01"), method, name],
            &tool,
            Ok(()),
        ),
        (vec![MODERN, name], &tool, Err(Missing(Method))),
        (vec![MODERN, method], &tool, Err(Missing(Name))),
        (vec![MODERN], &list, Err(Missing(Method))),
        (
            vec![MODERN, ("mcp-method", "tools/list"), name],
            &tool,
            Err(Differs(Method)),
        ),
        (
            vec![MODERN, ("mcp-method", "TOOLS/CALL"), name],
            &tool,
            Err(Differs(Method)),
        ),
        (
            vec![MODERN, method, ("mcp-name", "Echo")],
            &tool,
            Err(Differs(Name)),
        ),
        (
            vec![MODERN, method, ("mcp-name", "")],
            &tool,
            Err(Differs(Name)),
        ),
        (
            vec![MODERN, method, ("mcp-name", "=?BASE64?ZWNobw==?=")],
            &tool,
            Err(Differs(Name)),
        ),
        (
            vec![MODERN, method, ("mcp-name", "=?base64?ZWNobw?=")],
            &tool,
            Err(Unreadable(Name)),
        ),
        (
            vec![MODERN, method, ("mcp-name", "=?base64?/w==?=")],
            &tool,
            Err(Unreadable(Name)),
        ),
        (vec![MODERN, method, name, name], &tool, Err(Repeated(Name))),
        (
            vec![MODERN, method, method, name],
            &tool,
            Err(Repeated(Method)),
        ),
        (
            vec![MODERN, MODERN, method, name],
            &tool,
            Err(Repeated(Version)),
        ),
        (
            vec![MODERN, ("mcp-method", "tools/call")],
            &notification,
            Err(Differs(Method)),
        ),
        (vec![MODERN, method], &response, Err(Differs(Method))),
    ];
    for (headers, body, expected) in cases {
        assert_eq!(confirm(&headers, body), expected, "{headers:?} {body}");
    }
    let batch = json!([call("echo")]);
    assert_eq!(confirm(&[MODERN, method, name], &batch), Err(Batch));
    let x = ("mcp-method", "x");
    assert_eq!(confirm(&[MODERN, x], &stated("2026-07-28")), Ok(()));
    assert_eq!(
        confirm(&[MODERN, x], &stated("2025-11-25")),
        Err(Differs(Version))
    );
    assert_eq!(confirm(&[x], &stated("2026-07-28")), Err(Differs(Version)));
}

#[test]
fn headers_of_an_older_request_mean_nothing() {
    for version in [
        "2025-11-25",
        "2025-03-26",
        "",
        "draft",
        "2026-07-28-RC",
        "9",
        "2026/07/28",
    ] {
        let headers = [
            ("mcp-protocol-version", version),
            ("mcp-method", "tools/list"),
            ("mcp-name", "other"),
        ];
        assert_eq!(confirm(&headers, &call("echo")), Ok(()), "{version}");
        assert_eq!(confirm(&headers, &json!([call("a"), call("b")])), Ok(()));
    }
    assert_eq!(
        confirm(&[("mcp-method", "tools/list")], &call("echo")),
        Ok(())
    );
    assert!(Routing::of(&head(&[("mcp-method", "a"), ("mcp-method", "a")])).is_err());
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

    #[test]
    fn patterns_are_those_of_a_naive_matcher(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
        fn naive(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => {
                    naive(rest, text)
                        || text.split_first().is_some_and(|(_, text)| naive(pattern, text))
                }
                (Some((p, pattern)), Some((t, text))) => p == t && naive(pattern, text),
                (None, Some(_)) | (Some(_), None) => false,
            }
        }
        prop_assert_eq!(
            Pattern::new(&pattern).matches(&text),
            naive(pattern.as_bytes(), text.as_bytes())
        );
    }

    #[test]
    fn no_uri_panics(uri in "\\PC{0,40}", tail in "(%[0-9a-fA-F]{0,2}|/|\\.|\\\\){0,12}") {
        let rule = rule(Some("*x*"), &[&uri]);
        let _ = rule.matches(&operation("resources/read", Some(&(uri + &tail))));
    }
}
