mod body;
mod patterns;
mod readers;
mod routing;

use serde_json::{Value, json};

use super::*;

fn parse(body: &str) -> Result<Messages, BodyError> {
    Messages::parse(body.as_bytes())
}

fn operation(method: &str, name: Option<&str>) -> Operation {
    Operation::new(method.to_owned(), name.map(str::to_owned))
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
}
