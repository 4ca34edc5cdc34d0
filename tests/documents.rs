//! What the documents name is there: tests, files, reasons of refusal, metrics.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

use std::fs;
use std::path::{Path, PathBuf};

use mcp_auth_filter::reason::Reason;

const DOCUMENTS: [&str; 4] = [
    "SECURITY.md",
    "docs/operations.md",
    "docs/threat-model.md",
    "docs/troubleshooting.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks, code blocks left out.
fn quoted(text: &str) -> Vec<String> {
    let mut prose = String::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            prose.push_str(part);
        }
    }
    let parts = prose.split('`').enumerate();
    let quoted = parts.filter(|(at, _)| at % 2 == 1);
    quoted.map(|(_, part)| part.to_owned()).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let mut count = 0;
    for document in DOCUMENTS {
        for name in quoted(&read(document)) {
            let mut parts = name.split("::");
            let file = parts.next().unwrap();
            if !(file.ends_with(".rs") || file.ends_with(".py")) {
                continue;
            }
            assert!(root().join(file).is_file(), "{document}: no file {file}");
            let text = read(file);
            let names: Vec<&str> = parts.collect();
            let Some((test, classes)) = names.split_last() else {
                continue;
            };
            let definition = if file.ends_with(".py") { "def" } else { "fn" };
            assert!(
                text.contains(&format!("{definition} {test}(")),
                "{document}: no test {name}"
            );
            for class in classes {
                assert!(
                    text.contains(&format!("class {class}:")),
                    "{document}: no class {name}"
                );
            }
            count += 1;
        }
    }
    assert!(count >= 50, "only {count} tests are named");
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS {
        let folder = Path::new(document).parent().unwrap();
        let text = read(document);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path: PathBuf = match file {
                "" => document.into(),
                file => folder.join(file),
            };
            let found = root().join(&path);
            assert!(found.exists(), "{document}: {link} leads nowhere");
            if !anchor.is_empty() {
                let anchors: Vec<String> = read(&path).lines().filter_map(heading).collect();
                let found = anchors.iter().any(|found| found == anchor);
                assert!(found, "{document}: no heading {link} in {anchors:?}");
            }
        }
    }
}

/// The anchor that a heading gets.
fn heading(line: &str) -> Option<String> {
    let text = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = text.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    Some(kept.collect())
}

#[test]
fn every_reason_is_in_the_documents_for_operators() {
    for document in ["docs/operations.md", "docs/troubleshooting.md"] {
        let text = read(document);
        for reason in Reason::ALL {
            let name = format!("`{}`", reason.label());
            assert!(text.contains(&name), "{document}: nothing of {name}");
        }
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    let source = read("src/filter/metrics.rs") + &read("src/filter/host.rs");
    for document in DOCUMENTS {
        for word in read(document).split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        {
            let known = ["mcp_auth", "mcp_auth_filter"].contains(&word) || source.contains(word);
            assert!(
                !word.starts_with("mcp_auth") || known,
                "{document}: no {word} in the code"
            );
        }
    }
}
