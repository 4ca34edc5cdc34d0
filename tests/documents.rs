//! The documents name what is there: tests, files, reasons of refusal, metrics.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

use std::fs;
use std::path::{Path, PathBuf};

use mcp_auth_filter::reason::{Challenge, Reason};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The README, SECURITY.md, and everything below `docs/`.
fn documents() -> Vec<String> {
    let mut found = files("docs", "md");
    found.extend(["README.md".to_owned(), "SECURITY.md".to_owned()]);
    found
}

/// The files below a folder whose names end in `.extension`.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// The strings between backticks, code blocks left out.
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
    for document in documents() {
        for name in quoted(&read(&document)) {
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
    for document in documents() {
        let folder = Path::new(&document).parent().unwrap();
        let text = read(&document);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path: PathBuf = match file {
                "" => (&document).into(),
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
fn every_refusal_is_in_the_list_as_the_code_has_it() {
    let text = read("docs/refusals.md");
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
        assert!(text.contains(&start), "docs/refusals.md has no row {start}");
    }
}

#[test]
fn every_metric_and_filter_state_that_is_named_exists() {
    let mut source = read("envoy/envoy.yaml");
    for file in files("src", "rs") {
        source.push_str(&read(file));
    }
    for document in documents() {
        let text = read(&document);
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let is_counter = |word: &str| word.starts_with("mcp_") && word.ends_with("_total");
        for word in words.filter(|word| word.starts_with("mcp_auth") || is_counter(word)) {
            assert!(source.contains(word), "{document}: no {word} in the code");
        }
    }
}

#[test]
fn every_test_file_is_named_in_the_page_on_tests() {
    let page = read("tests/README.md");
    let mut found = files("tests", "rs");
    found.extend(files("tests", "py"));
    for file in &found {
        let name = file.strip_prefix("tests/").unwrap();
        let is_native =
            name.ends_with(".rs") && (!name.contains('/') || name.ends_with("/main.rs"));
        if !is_native && !file.contains("/test_") || name.starts_with("support/") {
            continue;
        }
        let row = format!("| `{name}` |");
        assert!(page.contains(&row), "tests/README.md has no row {row}");
    }
}

/// The row of a file has the name of its module, and the file's own. Tests have none.
#[test]
fn every_source_file_is_in_the_map_of_the_code() {
    let page = read("ARCHITECTURE.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for file in files("src", "rs") {
        let module = file
            .strip_prefix("src/")
            .unwrap()
            .strip_suffix(".rs")
            .unwrap();
        let module = module.strip_prefix("bin/").unwrap_or(module);
        let mut parts: Vec<&str> = module.split('/').collect();
        if parts.last() == Some(&"main") {
            parts.pop();
        }
        let (first, last) = (parts.first().unwrap(), parts.last().unwrap());
        if parts.contains(&"tests") || ["lib", "testing"].contains(first) {
            continue;
        }
        let named = rows.iter().any(|row| {
            let cell = row.split('|').nth(1).unwrap();
            cell.contains(&format!("`{first}`")) && row.contains(&format!("`{last}`"))
        });
        assert!(
            named,
            "ARCHITECTURE.md: no row of `{first}` names `{last}` ({file})"
        );
    }
}

/// The form of keepachangelog.com: versions, in each some of six sections, in each one line a subject.
#[test]
fn the_changelog_keeps_its_form() {
    let text = read("CHANGELOG.md");
    let (_, versions) = text.split_once("\n## ").unwrap();
    for version in versions.split("\n## ") {
        let (heading, body) = version.split_once('\n').unwrap();
        let dated = heading.split_once(" - ");
        assert!(
            heading == "Unreleased" || dated.is_some_and(|(_, date)| date.len() == 10),
            "## {heading}: `Unreleased`, or `VERSION - YYYY-MM-DD`"
        );
        let sections = [
            "Added",
            "Changed",
            "Deprecated",
            "Removed",
            "Fixed",
            "Security",
        ];
        let mut seen = Vec::new();
        for line in body.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("### ") {
                Some(section) => {
                    assert!(sections.contains(&section), "{heading}: {line}");
                    assert!(!seen.contains(&section), "{heading}: {section} twice");
                    seen.push(section);
                }
                None => assert!(
                    line.starts_with("- ") && !seen.is_empty(),
                    "{heading}: one line for each subject, in a section: {line}"
                ),
            }
        }
    }
}

/// What is built between releases does not have the name of one.
#[test]
fn the_version_is_released_or_in_development() {
    let changelog = read("CHANGELOG.md");
    let is_dated = |version: &str| changelog.contains(&format!("\n## {version} - "));
    let version = env!("CARGO_PKG_VERSION");
    let next = version.strip_suffix("-dev");
    assert_eq!(next.is_none(), is_dated(next.unwrap_or(version)));
    assert_eq!(next.is_some(), changelog.contains("\n## Unreleased\n"));
}
