//! The data that drives the end-to-end tests says what the code does.

use mcp_auth_filter::reason::{Challenge, Reason};
use serde_json::{Value, json};

#[test]
fn the_reasons_of_the_cases_are_those_of_the_code() {
    let document: Value = serde_json::from_str(include_str!("cases/reasons.json")).unwrap();
    let written: serde_json::Map<String, Value> = Reason::ALL
        .iter()
        .map(|reason| {
            let answer = reason.answer();
            let challenge = match answer.challenge {
                Challenge::None => "none",
                Challenge::Bare => "bare",
                Challenge::WithError => "with_error",
            };
            let row = json!({
                "status": answer.status,
                "error": answer.error.as_str(),
                "description": answer.description,
                "challenge": challenge,
            });
            (reason.label().to_owned(), row)
        })
        .collect();
    assert_eq!(document["reasons"], Value::Object(written));
}
