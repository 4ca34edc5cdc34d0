//! The layers of the crate: no module imports in a circle, and only the adapter reaches the world.
//!
//! A module is a file or folder directly under `src/`. In the core a file may also not be part of a
//! circle of files within its module; what a file and those inside its own folder share is one thing.
//!
//! `SHOW=1 cargo test --test modules -- --nocapture` prints the arrows.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A path of modules from the crate's root, such as `["keys", "issuer"]`.
type Module = Vec<String>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !matches!(name, "tests" | "bin") {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && !matches!(name, "tests.rs" | "testing.rs" | "lib.rs") {
            found.push(path);
        }
    }
}

/// Every file of the library but tests, by its module.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Module = relative
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            if module.last().unwrap() == "mod" {
                module.pop();
            }
            (module, code(&fs::read_to_string(file).unwrap()))
        })
        .collect()
}

/// The lines that are no comment, up to tests that stand in the file itself.
fn code(text: &str) -> String {
    text.split("\nmod tests {")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules that a file names by `crate::` or `super::`, as far as they are files of their own.
fn named(of: &Module, text: &str, all: &BTreeSet<&Module>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    for (start, base) in [("crate::", Vec::new()), ("super::", parent(of))] {
        for (at, _) in text.match_indices(start) {
            // `super::super::` is met again one level further up.
            if text[..at].ends_with("super::")
                || text[..at].ends_with(|c: char| c.is_alphanumeric())
            {
                continue;
            }
            let mut base = base.clone();
            let mut rest = &text[at + start.len()..];
            while let Some(behind) = rest.strip_prefix("super::") {
                base.pop();
                rest = behind;
            }
            for path in paths(rest) {
                let full: Module = base.iter().cloned().chain(path).collect();
                let deepest = (1..=full.len())
                    .rev()
                    .map(|length| full[..length].to_vec())
                    .find(|module| all.contains(module));
                found.extend(deepest);
            }
        }
    }
    found.remove(of);
    found
}

/// The paths that a text begins with: one, or those of a group in braces.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let end = group.find('}').unwrap_or(group.len());
            return group[..end]
                .split(',')
                .map(|one| {
                    let own = paths(one.trim()).into_iter().next().unwrap_or_default();
                    path.iter().cloned().chain(own).collect()
                })
                .collect();
        }
        let length = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if length == 0 {
            return vec![path];
        }
        path.push(rest[..length].to_owned());
        match rest[length..].strip_prefix("::") {
            Some(behind) => rest = behind,
            None => return vec![path],
        }
    }
}

fn parent(of: &Module) -> Module {
    of[..of.len() - 1].to_vec()
}

/// A circle among the arrows, if there is one.
fn circle<T: Ord + Clone>(arrows: &BTreeMap<T, BTreeSet<T>>) -> Option<Vec<T>> {
    let mut left: BTreeMap<T, BTreeSet<T>> = arrows.clone();
    loop {
        let ends: Vec<T> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !left.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        for end in ends {
            left.remove(&end);
        }
    }
    // Whatever is left leads to something that is left: walk until one comes again.
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let next = left[path.last()?].iter().find(|to| left.contains_key(to))?;
        if let Some(at) = path.iter().position(|one| one == next) {
            return Some(path.split_off(at));
        }
        path.push(next.clone());
    }
}

#[test]
fn no_module_imports_in_a_circle() {
    let files = modules();
    let all: BTreeSet<&Module> = files.keys().collect();
    let mut between: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut within: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, text) in &files {
        for other in named(module, text, &all) {
            if other[0] != module[0] {
                between
                    .entry(module[0].clone())
                    .or_default()
                    .insert(other[0].clone());
            } else if module[0] != "filter"
                && !other.starts_with(module)
                && !module.starts_with(&other)
            {
                within.entry(module.clone()).or_default().insert(other);
            }
        }
    }
    if std::env::var_os("SHOW").is_some() {
        for (from, to) in &between {
            println!(
                "{from}: {}",
                to.iter().cloned().collect::<Vec<_>>().join(" ")
            );
        }
    }
    assert_eq!(circle(&between), None, "modules import in a circle");
    assert_eq!(circle(&within), None, "files import in a circle");
}

/// What reaches the world outside: the host, the operating system, a clock, randomness.
const WORLD: [&str; 15] = [
    "proxy_wasm",
    "extern \"C\"",
    "RandomState",
    "getrandom",
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::io",
    "TcpStream",
    "UdpSocket",
    "std::process",
    "std::thread",
    "thread_local!",
    "println!",
];

/// Time and randomness, too, are calls of the trait `Host`, which the adapter alone carries out.
#[test]
fn only_the_adapter_reaches_the_world() {
    for (module, text) in modules() {
        let is_adapter = module[0] == "filter";
        for name in WORLD {
            assert!(is_adapter || !text.contains(name), "{module:?} has {name}");
        }
        assert!(
            module == ["filter", "abi"] || !text.contains("unsafe "),
            "{module:?} has unsafe code"
        );
    }
}
