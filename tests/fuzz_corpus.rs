//! Replays the inputs that fuzzing found (`fuzz/corpus`) through the functions that were fuzzed.

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::all,
    clippy::restriction
)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

// For the fixed keys, which `fuzz` shares with the unit tests.
use mcp_auth_filter::jose;

#[test]
fn the_corpus_breaks_no_promise() {
    for (target, run) in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let mut inputs = 0;
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("no corpus in {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            std::panic::catch_unwind(|| run(&input))
                .unwrap_or_else(|_| panic!("{} breaks a promise", path.display()));
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", folder.display());
    }
}

/// Nothing else notices: `cargo fuzz` is not part of the tests, and here the crates are those of the
/// filter.
#[test]
fn the_fuzz_targets_have_every_crate_that_they_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let code = read("src/testing.rs") + &read("fuzz/src/lib.rs");
    let theirs = read("fuzz/Cargo.toml");
    let ours = read("Cargo.toml");
    let mut used = 0;
    for line in ours.lines() {
        let Some((name, _)) = line.split_once(" = ") else {
            continue;
        };
        let path = format!("{}::", name.replace('-', "_"));
        // At the start of a path, not within one.
        let is_used = code.rsplit(path.as_str()).skip(1).any(|before| {
            !before.ends_with(|last: char| last.is_alphanumeric() || ":_".contains(last))
        });
        if !name.contains('.') && is_used {
            assert!(
                theirs.lines().any(|one| one == line),
                "fuzz/Cargo.toml lacks: {line}"
            );
            used += 1;
        }
    }
    assert!(used > 5, "{used}");
}

#[test]
fn the_seeds_break_no_promise() {
    for (target, input) in fuzz::seeds() {
        let (_, run) = fuzz::TARGETS
            .into_iter()
            .find(|(name, _)| *name == target)
            .unwrap();
        run(&input);
    }
}
