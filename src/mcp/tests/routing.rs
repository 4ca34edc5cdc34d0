use serde_json::{Value, json};

use super::*;
use crate::head::Head;

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
