//! The README's tables say what the code does.

use mcp_auth_filter::reason::{Challenge, Reason};

#[test]
fn every_refusal_is_in_the_readme() {
    let readme = include_str!("../README.md");
    for reason in Reason::ALL {
        let answer = reason.answer();
        let code = match answer.challenge {
            Challenge::Bare => String::new(),
            Challenge::None | Challenge::WithError => format!("`{}`", answer.error.as_str()),
        };
        let start = format!(
            "| `{}` | {} | {code} | {} |",
            reason.label(),
            answer.status,
            answer.description
        );
        assert!(readme.contains(&start), "the README has no row {start}");
    }
}
