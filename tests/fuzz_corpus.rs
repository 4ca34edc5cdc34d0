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
