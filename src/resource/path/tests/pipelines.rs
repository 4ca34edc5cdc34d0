//! A path that any pipeline of servers' steps brings below the resource must not pass as foreign.

use proptest::prelude::*;

use super::super::{PathMatch, PathPattern, RequestPath};
use super::steps::{Path, STEPS, Step, backwards, served, served_in_any_format};

const PARTS: &[&str] = &[
    "/", "/", "/", "/", "/", "mcp", "mcp", "mcp", "mcp", "MCP", "%6dcp", "%256dcp", "%4Dcp", "t",
    "t", "t", "a", "A", "x", "..", "..", "..", ".", "...", "%2e", "%2e%2e", "%2e%2e", "%252e",
    "%2f", "%2F", "%252f", "%5c", "\\", ";", ";x=1", "%3b", "%25", "%00", "%20", " ", "%09", "\t",
    "%0a", "%23", "%3f", "#", "%", "é", "%C3%A9", "%C2%A0", "a.b", ".json",
];

/// Paths that are a short way from a protected one: what is inserted is mostly what matters.
fn path() -> impl Strategy<Value = Path> {
    let part = || prop::sample::select(PARTS);
    let around = || prop::collection::vec(part(), 0..5).prop_map(|parts| parts.concat());
    let free = prop::collection::vec(part(), 0..10).prop_map(|parts| parts.concat());
    let near = (
        around(),
        prop::sample::select(vec!["/mcp", "/t/a/mcp", "/%2e%2e/mcp", "/../t/a/mcp"]),
        around(),
    )
        .prop_map(|(before, protected, behind)| format!("{before}{protected}{behind}"));
    prop_oneof![free, near].prop_map(|path| format!("/{path}").into_bytes())
}

fn pipelines() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let pipeline = prop::collection::vec(prop::sample::select(&STEPS[..]), 0..6);
    prop::collection::vec(pipeline, 40)
}

fn run(steps: &[Step], path: &[u8]) -> Path {
    steps
        .iter()
        .fold(path.to_vec(), |path, step| step.apply(&path))
}

fn matched(path: &[u8]) -> [PathMatch; 2] {
    let path = RequestPath::new(path);
    ["/mcp", "/t/{tenant}/mcp"].map(|text| path.matches(&PathPattern::parse(text).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_any_server_takes_for_the_resource_is_never_foreign(path in path(), pipelines in pipelines()) {
        let found = matched(&path);
        let foreign = found.iter().all(|found| *found == PathMatch::None);
        for steps in pipelines {
            let end = run(&steps, &path);
            let served = served(&end).is_some() || served_in_any_format(&end);
            prop_assert!(!(foreign && served), "{:?} makes {} of {}", steps, end.escape_ascii(), path.escape_ascii());
        }
    }

    #[test]
    fn what_is_exact_is_the_same_for_every_server(path in path(), pipelines in pipelines()) {
        for found in matched(&path) {
            let PathMatch::Exact(bindings) = found else { continue };
            let tenant = bindings.get("tenant").unwrap_or_default().as_bytes();
            prop_assert_eq!(served(&path), Some(tenant.to_vec()));
            for steps in &pipelines {
                let end = served(&run(steps, &path)).map(|tenant| tenant.to_ascii_lowercase());
                prop_assert_eq!(end, Some(tenant.to_ascii_lowercase()), "{:?}", steps);
            }
        }
    }
}

/// More than usual on demand: `PROPTEST_CASES=1000000`.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(2000)
}

type Undoing = Vec<(u8, usize, usize)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().saturating_mul(5), ..ProptestConfig::default() })]

    #[test]
    fn what_servers_make_the_resource_of_step_by_step_is_never_foreign(
        (start, pattern) in prop::sample::select(&[("/mcp", "/mcp"), ("/t/a/mcp", "/t/{tenant}/mcp"), ("/a.b/task-s", "/a.b/task-s")][..]),
        steps in prop::collection::vec((0..backwards::KINDS, any::<usize>(), any::<usize>()), 0..9),
    ) {
        let steps: Undoing = steps;
        let mut path = start.as_bytes().to_vec();
        for (kind, place, variant) in steps {
            backwards::undo(&mut path, kind, place, variant);
        }
        // What is behind `?` is for no server the path.
        let raw: Path = path.iter().map(|b| if *b == b'?' { b'#' } else { *b }).collect();
        let found = RequestPath::new(&raw).matches(&PathPattern::parse(pattern).unwrap());
        prop_assert!(found != PathMatch::None, "{}", raw.escape_ascii());
    }
}
