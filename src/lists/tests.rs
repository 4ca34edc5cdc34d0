use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::head::Head;
use crate::ids::ResourceId;
use crate::testing;

const LIMIT: usize = 4096;

pub(super) fn config() -> Config {
    let config = json!({
        "issuers": [{"issuer": "https://a.example", "jwks": testing::key_set()}],
        "resources": [{
            "resource": "https://mcp.example/mcp",
            "scope_hierarchy": {"admin": ["write"]},
            "filter_lists": true,
            "operations": [
                {"method": "tools/call", "name": "delete_*", "scopes": ["admin"]},
                {"method": "tools/*", "name": "write", "scopes": ["write"]},
                {"method": "tools/call", "name": "shell", "deny": true},
                {"method": "prompts/get", "name": "secret", "scopes": ["admin"]},
                {"method": "resources/read", "name": "file:///secret/*", "scopes": ["admin"]},
            ],
        }],
    });
    Config::parse(config.to_string().as_bytes()).unwrap()
}

fn operation(method: &str) -> Operation {
    Operation::new(method.to_owned(), None)
}

pub(super) fn lists(methods: &[&str], granted: &[&str]) -> Lists {
    let operations: Vec<Operation> = methods.iter().map(|method| operation(method)).collect();
    let granted: Vec<String> = granted.iter().map(|scope| (*scope).to_owned()).collect();
    Lists::asked(&operations, &granted, Some(&RequestId::Number(7))).unwrap()
}

fn filtered(lists: &Lists, body: &str) -> Result<Option<String>, Unreadable> {
    let config = config();
    lists.filter(config.resource(ResourceId(0)).unwrap(), body.as_bytes())
}

fn tools(names: &[&str]) -> Value {
    let tools: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
        .collect();
    json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools, "nextCursor": "c"}})
}

fn names(body: &str, member: &str, name: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["result"][member]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[name].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn entries_go_whose_operations_are_not_allowed() {
    let all = ["echo", "delete_all", "write", "shell", "undelete_"];
    for (granted, shown) in [
        (&[][..], &["echo", "undelete_"][..]),
        (&["write"], &["echo", "write", "undelete_"]),
        (&["admin"], &["echo", "delete_all", "write", "undelete_"]),
        (&["other"], &["echo", "undelete_"]),
    ] {
        let lists = lists(&["tools/list"], granted);
        let new = filtered(&lists, &tools(&all).to_string()).unwrap().unwrap();
        assert_eq!(names(&new, "tools", "name"), shown, "{granted:?}");
    }
}

#[test]
fn prompts_and_resources_are_lists_too() {
    let body = json!({"jsonrpc": "2.0", "id": 7, "result": {
        "prompts": [{"name": "plain"}, {"name": "secret"}],
        "resources": [
            {"uri": "file:///open/a", "name": "a"},
            {"uri": "file:///secret/b", "name": "b"},
            {"uri": "file:///open/../secret/c", "name": "c"},
        ],
    }})
    .to_string();
    let prompts = filtered(&lists(&["prompts/list"], &[]), &body)
        .unwrap()
        .unwrap();
    assert_eq!(names(&prompts, "prompts", "name"), ["plain"]);
    assert_eq!(
        names(&prompts, "resources", "uri").len(),
        3,
        "not asked for"
    );
    let resources = filtered(&lists(&["resources/list"], &[]), &body)
        .unwrap()
        .unwrap();
    assert_eq!(names(&resources, "resources", "uri"), ["file:///open/a"]);
    let stream = Lists::of_stream(&[]);
    let both = filtered(&stream, &body).unwrap().unwrap();
    assert_eq!(names(&both, "prompts", "name"), ["plain"]);
    assert_eq!(names(&both, "resources", "uri"), ["file:///open/a"]);
}

/// Numbers, escapes, order and white space of what stays are the server's.
#[test]
fn nothing_else_changes() {
    let body = r#" {"jsonrpc":"2.0" , "id" : 1e2,"result":{"tools":[ {"name":"echo","n":1.50e3,"x":"\u00e9"} ,{"name":"shell"}],"nextCursor":"a\/b","_meta":{"k":[1, 2]}},"z":null} "#;
    let new = filtered(&lists(&["tools/list"], &[]), body)
        .unwrap()
        .unwrap();
    assert_eq!(
        new,
        r#" {"jsonrpc":"2.0" , "id" : 1e2,"result":{"tools":[{"name":"echo","n":1.50e3,"x":"\u00e9"}],"nextCursor":"a\/b","_meta":{"k":[1, 2]}},"z":null} "#
    );
}

#[test]
fn what_has_nothing_to_hide_is_left_alone() {
    let lists = lists(&["tools/list"], &[]);
    for body in [
        tools(&["echo", "other"]),
        tools(&[]),
        json!({"jsonrpc": "2.0", "id": 7, "result": {}}),
        json!({"jsonrpc": "2.0", "id": 7, "result": "text"}),
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -1, "message": "tools"}}),
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"tools": 1}}),
        json!([]),
        json!("text"),
    ] {
        assert_eq!(filtered(&lists, &body.to_string()), Ok(None), "{body}");
    }
}

#[test]
fn a_batch_is_filtered_message_by_message() {
    let body = json!([tools(&["echo", "shell"]), {"jsonrpc": "2.0", "id": 8, "result": {}}]);
    let new = filtered(
        &lists(&["tools/list", "tools/list"], &[]),
        &body.to_string(),
    )
    .unwrap()
    .unwrap();
    let new: Value = serde_json::from_str(&new).unwrap();
    assert_eq!(new, json!([tools(&["echo"]), body[1]]));
}

/// A list that depends on the token is no list for everybody (MCP 2026-07-28, caching).
#[test]
fn no_cache_may_share_a_filtered_list() {
    let lists = lists(&["tools/list"], &[]);
    let with = |scope: Value| {
        let mut body = tools(&["echo"]);
        body["result"]["cacheScope"] = scope;
        filtered(&lists, &body.to_string()).unwrap()
    };
    for scope in [json!("public"), json!("odd"), json!(null)] {
        let new: Value = serde_json::from_str(&with(scope).unwrap()).unwrap();
        assert_eq!(new["result"]["cacheScope"], "private");
    }
    assert_eq!(with(json!("private")), None);
}

#[test]
fn what_cannot_be_judged_is_not_shown() {
    let lists = lists(&["tools/list"], &["admin"]);
    for (body, error) in [
        ("{", Unreadable::NotJson),
        (r#"{"result":{"tools":[]}} {}"#, Unreadable::NotJson),
        (r#"{"result":{"tools":[{]}}"#, Unreadable::NotJson),
        (
            r#"{"result":{},"result":{"tools":[]}}"#,
            Unreadable::NotJson,
        ),
        (r#"{"result":{"tools":[],"tools":[]}}"#, Unreadable::NotJson),
        (
            r#"{"result":{"tools":{"name":"shell"}}}"#,
            Unreadable::NotAList,
        ),
        (r#"{"result":{"tools":null}}"#, Unreadable::NotAList),
        (r#"[{"result":{"tools":1}}]"#, Unreadable::NotAList),
    ] {
        assert_eq!(filtered(&lists, body), Err(error), "{body}");
    }
    let odd = r#"{"result":{"tools":[{"name":"echo"},"shell",{"title":"x"},{"name":1},{"name":"echo","name":"shell"},{"\u006eame":"shell"},null]}}"#;
    assert_eq!(
        filtered(&lists, odd).unwrap().unwrap(),
        r#"{"result":{"tools":[{"name":"echo"}]}}"#
    );
    assert_eq!(
        filtered(
            &lists,
            r#"{"r\u0065sult":{"t\u006fols":[{"n\u0061me":"she\u006cl"}]}}"#
        )
        .unwrap()
        .unwrap(),
        r#"{"r\u0065sult":{"t\u006fols":[]}}"#
    );
}

#[test]
fn only_lists_are_asked_for() {
    for method in ["tools/call", "initialize", "resources/templates/list"] {
        assert_eq!(Lists::asked(&[operation(method)], &[], None), None);
    }
}

/// One response in parts, as a host hands it over; what was kept comes again with the next part.
fn respond(lists: &Lists, head: &[(&str, &str)], parts: &[&[u8]]) -> (Vec<u8>, Vec<Unreadable>) {
    let config = config();
    let resource = config.resource(ResourceId(0)).unwrap();
    let head = Head::new(
        head.iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
    );
    let reports = RefCell::new(Vec::new());
    let report = |error| reports.borrow_mut().push(error);
    let Some(mut response) = Response::begin(lists.clone(), &head, LIMIT, report) else {
        return (parts.concat(), reports.into_inner());
    };
    let (mut out, mut kept) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        kept.extend_from_slice(part);
        let ends = at.checked_add(1) == Some(parts.len());
        if !ends && response.waits(kept.len()) {
            continue;
        }
        let part = std::mem::take(&mut kept);
        let new = response.part(&part, ends, resource, report);
        out.extend_from_slice(new.as_ref().unwrap_or(&part));
    }
    (out, reports.into_inner())
}

const JSON: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];
const EVENTS: [(&str, &str); 2] = [
    (":status", "200"),
    ("content-type", "Text/Event-Stream; charset=utf-8"),
];

fn event(data: &Value) -> String {
    format!("event: message\nid: 1\ndata: {data}\n\n")
}

#[test]
fn json_is_judged_when_it_is_whole() {
    let lists = lists(&["tools/list"], &[]);
    let body = tools(&["echo", "shell"]).to_string();
    let (head, tail) = body.split_at(30);
    let (out, reports) = respond(&lists, &JSON, &[head.as_bytes(), tail.as_bytes(), b""]);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        tools(&["echo"]).to_string()
    );
    assert_eq!(reports, []);
}

#[test]
fn what_is_no_success_is_left_alone() {
    let body = tools(&["shell"]).to_string();
    for status in ["404", "503", "304"] {
        let head = [(":status", status), ("content-type", "application/json")];
        let (out, _) = respond(&lists(&["tools/list"], &[]), &head, &[body.as_bytes()]);
        assert_eq!(out, body.as_bytes());
    }
    let (out, _) = respond(&Lists::of_stream(&[]), &JSON, &[body.as_bytes()]);
    assert_eq!(out, body.as_bytes());
}

#[test]
fn an_error_takes_the_place_of_what_cannot_be_judged() {
    let lists = lists(&["tools/list"], &[]);
    let error = json!({"jsonrpc": "2.0", "id": 7, "error": {
        "code": -32603, "message": "The list could not be read by the gateway",
    }});
    let list = br#"{"result":{"tools":["#.as_slice();
    let long = vec![b' '; LIMIT];
    let gzip = [JSON[0], JSON[1], ("content-encoding", "gzip")];
    let gzip_events = [EVENTS[0], EVENTS[1], ("content-encoding", "gzip")];
    for (head, parts, reason) in [
        (&JSON[..], vec![list], Unreadable::NotJson),
        (&JSON, vec![list, &long, b"]}", b"}"], Unreadable::TooLarge),
        (&JSON, vec![list, &long], Unreadable::TooLarge),
        (&gzip, vec![b"\x1f\x8b", b"\x00"], Unreadable::Encoded),
    ] {
        let (out, reports) = respond(&lists, head, &parts);
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((out, reports), (error.clone(), vec![reason]));
    }
    let (out, _) = respond(&lists, &gzip_events, &[b"\x1f", b"\x8b"]);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("data: {error}\n\n")
    );
    let (out, reports) = respond(&Lists::of_stream(&[]), &gzip_events, &[b"\x1f", b"\x8b"]);
    assert_eq!(
        (out, reports),
        (b"\x1f\x8b".to_vec(), vec![Unreadable::Encoded])
    );
}

#[test]
fn events_are_filtered_one_by_one() {
    let lists = lists(&["tools/list"], &[]);
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/progress"});
    let pretty = "data: {\"result\":\ndata:  {\"tools\":[\ndata: {\"name\":\"echo\"},\ndata: {\"name\":\"shell\"}]}}\n\n";
    for (given, expected) in [
        (event(&tools(&["echo", "shell"])), event(&tools(&["echo"]))),
        (event(&notification), event(&notification)),
        (
            "id: 1\ndata: \n\n".to_owned(),
            "id: 1\ndata: \n\n".to_owned(),
        ),
        (": ping\r\n\r\n".to_owned(), ": ping\r\n\r\n".to_owned()),
        ("retry: 5\r\r".to_owned(), "retry: 5\r\r".to_owned()),
        (
            pretty.to_owned(),
            "data: {\"result\":\ndata:  {\"tools\":[{\"name\":\"echo\"}]}}\n\n".to_owned(),
        ),
        (
            "id: 1\r\ndata: {\"result\":{\"tools\":[{\"name\":\"shell\"}]}}\r\n\r\n".to_owned(),
            "id: 1\r\ndata: {\"result\":{\"tools\":[]}}\r\n\r\n".to_owned(),
        ),
        // Some clients take a last event without its empty line for one.
        (
            "data:{\"result\":{\"tools\":[{\"name\":\"shell\"}]}}".to_owned(),
            "data: {\"result\":{\"tools\":[]}}".to_owned(),
        ),
        (
            "\u{feff}data: {\"result\":{\"tools\":[{\"name\":\"shell\"}]}}\n\n".to_owned(),
            "\u{feff}data: {\"result\":{\"tools\":[]}}\n\n".to_owned(),
        ),
    ] {
        let (out, reports) = respond(&lists, &EVENTS, &[given.as_bytes()]);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{given:?}");
        assert_eq!(reports, []);
    }
}

#[test]
fn a_list_answer_that_cannot_be_judged_becomes_an_error() {
    let lists = lists(&["tools/list"], &[]);
    let error = lists.error().unwrap();
    let list = r#"{"result":{"tools":[{"name":"shell"}"#;
    let long = format!("id: 1\r\ndata: {list}{}\r\n\r\n", " ".repeat(LIMIT));
    let after = event(&tools(&["echo"]));
    let (out, reports) = respond(&lists, &EVENTS, &[long.as_bytes(), after.as_bytes()]);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("id: 1\r\ndata: {error}\n\r\n{after}")
    );
    assert_eq!(reports, [Unreadable::TooLarge]);
    let cut = format!("id: 1\ndata: {list}\n\n");
    let (out, reports) = respond(&lists, &EVENTS, &[cut.as_bytes()]);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("id: 1\ndata: {error}\n\n")
    );
    assert_eq!(reports, [Unreadable::NotJson]);
    // Nobody knows what is answered there.
    for (sent, reason) in [(long, Unreadable::TooLarge), (cut, Unreadable::NotJson)] {
        let (out, reports) = respond(&Lists::of_stream(&[]), &EVENTS, &[sent.as_bytes()]);
        assert_eq!((out, reports), (sent.into_bytes(), vec![reason]));
    }
}

/// Of any size, whatever was asked for.
#[test]
fn what_is_no_list_answer_passes_byte_for_byte() {
    let long = "x".repeat(3 * LIMIT);
    let called = json!({"jsonrpc": "2.0", "id": 3, "result": {"content": [
        {"type": "text", "text": long}, {"tools": [{"name": "shell"}]},
    ]}});
    let asked = json!({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage",
        "params": {"tools": [{"name": "shell"}], "messages": long}});
    for body in [
        String::new(),
        "{".to_owned(),
        "{} {}".to_owned(),
        "<html>".to_owned(),
        "\u{0}\u{1}".to_owned(),
        called.to_string(),
        asked.to_string(),
        json!([called, asked]).to_string(),
        json!(long).to_string(),
        format!("[{long}]"),
        format!("{{\"result\":{{\"{long}\":1}}}}"),
    ] {
        for parts in [1, 7, 1000, 100_000] {
            let parts: Vec<&[u8]> = body.as_bytes().chunks(parts).collect();
            let (out, reports) = respond(&lists(&["tools/list"], &[]), &JSON, &parts);
            assert_eq!((out, reports), (body.as_bytes().to_vec(), vec![]));
        }
        for event in [
            format!("data: {body}\r\n\r\n"),
            format!("event: endpoint\ndata: /messages?id={body}\n\n"),
            format!("event: other\ndata:{}\n\n", tools(&["shell"])),
            format!("data:{}\nevent: other\n\n", tools(&["shell"])),
            format!(": {body}\n"),
            format!("id: {body}\r\rretry: 5\n\n"),
        ] {
            for lists in [lists(&["tools/list"], &[]), Lists::of_stream(&[])] {
                let parts: Vec<&[u8]> = event.as_bytes().chunks(1000).collect();
                let (out, reports) = respond(&lists, &EVENTS, &parts);
                assert_eq!(String::from_utf8(out).unwrap(), event);
                assert_eq!(reports, []);
            }
        }
    }
}

/// On a stream that a GET opened another request may be answered, by a result of any shape.
#[test]
fn what_only_resembles_a_list_stays_on_a_stream() {
    let stream = Lists::of_stream(&[]);
    for result in [
        json!({"tools": {"shell": 1}}),
        json!({"tools": "shell"}),
        json!({"tools": ["shell", 1, {"title": "shell"}, {"name": 1}]}),
    ] {
        let body = json!({"id": 1, "result": result}).to_string();
        assert_eq!(filtered(&stream, &body), Ok(None), "{body}");
    }
}

proptest! {
    /// However a host cuts a response into parts, the client reads the same.
    #[test]
    fn parts_make_no_difference(
        cuts in prop::collection::vec(0_usize..400, 0..6),
        ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        json in any::<bool>(),
    ) {
        let lists = lists(&["tools/list"], &["write"]);
        let body = if json {
            tools(&["echo", "shell", "write"]).to_string()
        } else {
            let message = tools(&["echo", "shell", "write"]);
            format!(": ping\n\n{}{}", event(&message), event(&message)).replace('\n', ends)
        };
        let head = if json { JSON } else { EVENTS };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.sort_unstable();
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut from = 0;
        for cut in cuts {
            parts.push(&body.as_bytes()[from..cut]);
            from = cut;
        }
        parts.push(&body.as_bytes()[from..]);
        let (out, _) = respond(&lists, &head, &parts);
        let (whole, _) = respond(&lists, &head, &[body.as_bytes()]);
        let out = String::from_utf8(out).unwrap();
        prop_assert!(!out.contains("shell"));
        prop_assert_eq!(out.into_bytes(), whole);
    }

    /// No entry that is not allowed is ever shown, whatever else the body is.
    #[test]
    fn no_input_panics_or_shows_what_is_hidden(
        text in r#"[\[\]{}":,a-z \\u0-9\r\n]{0,80}"#,
        events in any::<bool>(),
    ) {
        let lists = lists(&["tools/list"], &[]);
        let head = if events { EVENTS } else { JSON };
        respond(&lists, &head, &[text.as_bytes()]);
        let around = format!("{{\"result\":{{\"tools\":[{{\"name\":\"shell\",\"x\":\"{text}\"}}]}}}}");
        let (out, _) = respond(&lists, &JSON, &[around.as_bytes()]);
        prop_assert!(!String::from_utf8(out).unwrap().contains("shell"));
    }
}
