//! Answers that real servers gave, to tokens that they had made: `tests/recorded/introspection.json`.

use super::*;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/introspection.json"
);

/// A worker that asks this server about every token, at the time when the answers were given.
fn worker(server: &Value) -> Worker {
    let mut issuer = server["issuer"].clone();
    issuer["introspection"] = json!({
        "cluster": "introspection",
        "endpoint": "https://auth.example.com/introspect",
        "tokens": "all",
    });
    let rest = json!({ "issuers": [issuer] });
    let mut worker = Worker::new(json!({}), json!({"scopes": []}), rest);
    worker.now = UnixNanos::from_secs(server["captured"].as_u64().unwrap());
    worker
}

#[test]
fn answers_of_real_servers() {
    let recorded: Value = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    let mut seen = Vec::new();
    let mut expected = Vec::new();
    for server in recorded["servers"].as_array().unwrap() {
        for case in server["cases"].as_array().unwrap() {
            let what = format!("{}: {}", server["server"], case["what"]);
            let token = case["token"].as_str().unwrap();
            let verdict = match worker(server).answered(token, &case["answer"]) {
                Seen::Allowed(headers) => json!({ "sub": header(&headers, "x-mcp-sub") }),
                Seen::Refused(reason) => json!({ "reason": reason.label() }),
                Seen::Waits => json!("waits"),
            };
            seen.push((what.clone(), verdict));
            expected.push((what, case["verdict"].clone()));
        }
    }
    assert_eq!(seen, expected);
    assert!(seen.len() > 40);
}

fn header(headers: &[(String, String)], wanted: &str) -> Option<String> {
    let mut values = headers.iter().filter(|(name, _)| name == wanted);
    values.next().map(|(_, value)| value.clone())
}
