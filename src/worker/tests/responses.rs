//! Responses that are changed on their way.

use super::*;

const JSON: [(&str, &str); 3] = [
    (":status", "200"),
    ("content-type", "application/json"),
    ("content-length", "99"),
];

fn filtering() -> Value {
    let mut config = with_operations(inline());
    config["resources"][0]["filter_lists"] = json!(true);
    config
}

fn list() -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        .to_string()
        .into_bytes()
}

fn answer(tools: &[&str]) -> Vec<u8> {
    let tools: Vec<Value> = tools.iter().map(|name| json!({"name": name})).collect();
    json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}})
        .to_string()
        .into_bytes()
}

#[test]
fn a_list_loses_what_its_reader_may_not_use() {
    for pieces in [1, 3] {
        let mut proxy = Proxy::new(&filtering());
        proxy.post(2);
        proxy.body(2, &list(), true);
        proxy.response(2, &JSON);
        assert_eq!(proxy.response_header_names(2), [":status", "content-type"]);
        let body = answer(&["echo", "delete_all"]);
        let mut got = Vec::new();
        for piece in body.chunks(body.len().div_ceil(pieces)) {
            assert!(got.is_empty(), "a list goes on whole");
            let ends = body.ends_with(piece);
            got.extend(proxy.response_body(2, piece, ends));
        }
        assert_eq!(got, answer(&["echo"]));
    }
}

#[test]
fn a_response_to_anything_else_goes_on_as_it_is() {
    let mut proxy = Proxy::new(&filtering());
    proxy.post(2);
    proxy.body(2, &call("echo"), true);
    proxy.response(2, &JSON);
    assert_eq!(proxy.response_header_names(2).len(), 3);
    assert_eq!(proxy.response_body(2, b"anything", false), b"anything");
}

#[test]
fn a_list_that_cannot_be_read_is_replaced() {
    let mut proxy = Proxy::new(&filtering());
    proxy.post(2);
    proxy.body(2, &list(), true);
    proxy.response(2, &JSON);
    proxy.fail("body");
    let got = proxy.response_body(2, &answer(&["delete_all"]), true);
    assert!(got.is_empty());
}

/// A server that compresses all the same, and a client that asks again and again.
#[test]
fn a_flood_of_lists_that_cannot_be_read_is_a_few_lines_a_second() {
    let lines = logs::logged(|| {
        let mut proxy = Proxy::new(&filtering());
        for id in 2..302 {
            proxy.post(id);
            proxy.body(id, &list(), true);
            proxy.response(id, &[(":status", "200"), ("content-encoding", "br")]);
            proxy.response_body(id, b"\x8b", true);
        }
        proxy.pass(Duration::from_secs(1));
        proxy.tick();
    });
    let lines: Vec<&String> = lines.iter().map(|(_, line)| line).collect();
    let lists: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("lists: "))
        .collect();
    assert_eq!(lists.len(), 11, "{lines:?}");
    assert!(lists[10].contains("290 more"), "{}", lists[10]);
}

#[test]
fn a_browser_may_read_the_response_unless_the_server_says_who_may() {
    for (has_own, expected) in [(false, 1), (true, 0)] {
        let mut proxy = Proxy::new(&inline());
        let bearer = format!("Bearer {}", token());
        let headers = [
            (":method", "GET"),
            (":path", "/mcp"),
            ("authorization", &*bearer),
            ("origin", "https://app.example.com"),
        ];
        proxy.request(2, &headers, true);
        let own = ("access-control-allow-origin", "https://other.example.com");
        let response: Vec<_> = [(":status", "200")]
            .into_iter()
            .chain(has_own.then_some(own))
            .collect();
        proxy.response(2, &response);
        let names = proxy.response_header_names(2);
        let added = names
            .iter()
            .filter(|name| *name == "access-control-expose-headers");
        assert_eq!(added.count(), expected);
    }
}
