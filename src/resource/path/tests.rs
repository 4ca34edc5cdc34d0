#[allow(clippy::arithmetic_side_effects)]
mod pipelines;
#[allow(clippy::arithmetic_side_effects)]
mod steps;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ATTACKS: &str = include_str!("../../../tests/cases/path_attacks.json");

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

fn matched(path: impl AsRef<[u8]>, text: &str) -> PathMatch {
    RequestPath::new(path.as_ref()).matches(&pattern(text))
}

fn bound(pairs: &[(&str, &str)]) -> PathMatch {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    PathMatch::Exact(Bindings(pairs.collect()))
}

fn list(name: &str) -> Vec<String> {
    let attacks: Value = serde_json::from_str(ATTACKS).unwrap();
    let text = |one: &Value| one.get("path").unwrap_or(one).as_str().unwrap().to_owned();
    attacks[name].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn every_attack_is_refused() {
    let attacks = list("attacks");
    assert!(attacks.len() >= 200, "{}", attacks.len());
    for path in attacks {
        assert_eq!(matched(&path, "/mcp"), PathMatch::Ambiguous, "{path}");
    }
}

#[test]
fn what_cannot_be_misread_is_served() {
    for path in list("exact") {
        assert_eq!(matched(&path, "/mcp"), bound(&[]), "{path}");
    }
}

/// Bytes beyond ASCII are written as the characters of these numbers.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

fn of(file: &Value, name: &str) -> Vec<String> {
    let text = |one: &Value| one.as_str().unwrap().to_owned();
    file[name].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn what_real_servers_take_for_the_resource_is_never_foreign() {
    let file = include_str!("../../../tests/cases/paths_as_read.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let targets = [of(&file, "reach"), of(&file, "second_request")].concat();
    assert!(targets.len() >= 400);
    let missed: Vec<&String> = targets
        .iter()
        .filter(|target| matched(bytes(target), "/mcp") == PathMatch::None)
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
    for one in file["other_resource"].as_array().unwrap() {
        let target = bytes(one["target"].as_str().unwrap());
        let resource = one["resource"].as_str().unwrap();
        assert_eq!(matched(target, resource), PathMatch::Ambiguous);
    }
}

#[test]
fn ordinary_paths_of_other_applications_pass() {
    let file = include_str!("../../../tests/cases/paths_ordinary.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let paths = [of(&file, "measured"), of(&file, "others")].concat();
    assert!(paths.len() >= 186);
    let refused: Vec<&String> = paths
        .iter()
        .filter(|path| matched(path.as_str(), "/mcp") != PathMatch::None)
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    for path in of(&file, "suffixed") {
        assert_eq!(
            matched(path, "/mcp"),
            PathMatch::Suffixed(Bindings::default())
        );
    }
}

#[test]
fn what_has_a_suffix_is_the_resources_own() {
    for path in list("suffixed") {
        let own = PathMatch::Suffixed(Bindings::default());
        assert_eq!(matched(&path, "/mcp"), own, "{path}");
    }
}

#[test]
fn what_nobody_takes_for_the_resource_is_left_alone() {
    for path in list("foreign") {
        assert_eq!(matched(&path, "/mcp"), PathMatch::None, "{path}");
    }
}

#[test]
fn everything_is_below_the_root() {
    assert_eq!(matched("/", "/"), bound(&[]));
    assert_eq!(matched("/a/b", "/"), bound(&[]));
    for path in ["*", "", "//", "/a//b", "/a;b", "a", "/.."] {
        assert_eq!(matched(path, "/"), PathMatch::Ambiguous, "{path:?}");
    }
}

#[test]
fn variables_are_bound_to_plain_segments_only() {
    let tenants = "/t/{tenant}/mcp";
    assert_eq!(
        matched("/t/acme/mcp", tenants),
        bound(&[("tenant", "acme")])
    );
    assert_eq!(
        matched("/t/a.b_c~d-1/mcp/x?y", tenants),
        bound(&[("tenant", "a.b_c~d-1")])
    );
    let long = format!("/t/{}/mcp", "x".repeat(MAX_VALUE_BYTES + 1));
    for path in [
        "/t/a%20b/mcp",
        "/t/a:b/mcp",
        "/t/%61cme/mcp",
        "/t/\"/mcp",
        "/t/a\"b/mcp",
        "/t/../t/a/mcp",
        "/t//mcp",
        "/t/a,b/mcp",
        "/t/\u{fc}/mcp",
        "/T/acme/mcp",
        "/t/acme/MCP",
        "/t/a\r\nb/mcp",
        long.as_str(),
    ] {
        assert_eq!(matched(path, tenants), PathMatch::Ambiguous, "{path}");
    }
    for path in ["/t/acme", "/t/acme/x", "/t", "/t/", "/x/acme/mcp"] {
        assert_eq!(matched(path, tenants), PathMatch::None, "{path}");
    }
}

#[test]
fn no_segment_is_no_value() {
    assert_eq!(matched("/t/", "/t/{tenant}"), PathMatch::None);
    assert_eq!(matched("/", "/{tenant}"), PathMatch::None);
    assert_eq!(matched("/t//", "/t/{tenant}"), PathMatch::Ambiguous);
}

#[test]
fn a_name_ends_at_what_is_no_letter_digit_dash_or_underscore() {
    for path in [
        "/mcp.json",
        "/mcp.",
        "/mcp~",
        "/mcp:x/y",
        "/mcp.json/x",
        "/mcp.a/caf%c3%a9",
    ] {
        assert_eq!(
            matched(path, "/mcp"),
            PathMatch::Suffixed(Bindings::default()),
            "{path}"
        );
    }
    for path in [
        "/MCP.a.b",
        "/mcp%2ejson",
        "/mcp.json/%2e",
        "/mcp\"x",
        "/mcp\u{e9}",
    ] {
        assert_eq!(matched(path, "/mcp"), PathMatch::Ambiguous, "{path}");
    }
    let tenants = PathMatch::Suffixed(Bindings::from_iter([("tenant", "a")]));
    assert_eq!(matched("/t.json/a/mcp", "/t/{tenant}/mcp"), tenants);
    assert_eq!(matched("/mcp-json", "/mcp"), PathMatch::None);
    assert_eq!(matched("/mcp_json", "/mcp"), PathMatch::None);
}

#[test]
fn of_a_pattern_of_several_segments_each_is_looked_for() {
    for path in [
        "/api/./mcp",
        "/api//mcp",
        "/api%2fmcp",
        "/api;x=%2fy/mcp",
        "/;x%2fy/api/mcp",
        "/api/x/../mcp",
        "/x/../api/mcp",
        "/api/index.php/mcp",
        "//h/api/mcp",
        "/API/%6dcp",
    ] {
        assert_eq!(matched(path, "/api/mcp"), PathMatch::Ambiguous, "{path}");
    }
    for path in [
        "/api//x/mcp",
        "/api/mcpx",
        "/api/x/mcp",
        "/api",
        "/mcp/api",
        "/xapi/mcp",
    ] {
        assert_eq!(matched(path, "/api/mcp"), PathMatch::None, "{path}");
    }
    for path in [
        "/t/a%2fb/mcp",
        "/t//a/mcp",
        "/t/./mcp",
        "/t/x/../a/mcp",
        "/t/;/a/mcp",
    ] {
        assert_eq!(
            matched(path, "/t/{tenant}/mcp"),
            PathMatch::Ambiguous,
            "{path}"
        );
    }
}

#[test]
fn names_longer_than_a_word_has_bits_are_compared_by_their_beginning() {
    let name = "a".repeat(100);
    let pattern = format!("/{name}");
    assert_eq!(matched(&pattern, &pattern), bound(&[]));
    assert_eq!(matched(format!("//{name}"), &pattern), PathMatch::Ambiguous);
    assert_eq!(
        matched(format!("//{}", "a".repeat(62)), &pattern),
        PathMatch::None
    );
    assert_eq!(
        matched(format!("//{}", "a".repeat(64)), &pattern),
        PathMatch::Ambiguous
    );
}

#[test]
fn long_paths_are_read_to_their_end() {
    let odd = "/%2e%2e;\\%25".repeat(7000);
    for hidden in ["mcp", "m%63p", "%4d%2543P", "%256d\tcp", "%ef%bd%8dcp"] {
        let path = format!("/x/{odd}/{hidden}/x");
        assert_eq!(matched(path, "/mcp"), PathMatch::Ambiguous, "{hidden}");
    }
    assert_eq!(matched(format!("/x/{odd}"), "/mcp"), PathMatch::None);
    let path = format!("/{odd}/mcp/a/t");
    assert_eq!(matched(&path, "/mcp/{tenant}/t"), PathMatch::Ambiguous);
    assert_eq!(matched(&path, "/"), PathMatch::Ambiguous);
    for harmless in ["a", "%41", "%20", "caf%c3%a9"] {
        let path = format!("/x/{}", harmless.repeat(20_000));
        assert_eq!(matched(path, "/mcp"), PathMatch::None);
    }
}

#[test]
fn patterns_are_plain() {
    for (text, expected) in [
        ("", PatternError::NotAbsolute),
        ("mcp", PatternError::NotAbsolute),
        ("//", PatternError::EmptySegment),
        ("/a//b", PatternError::EmptySegment),
        ("/a/./b", PatternError::DotSegment),
        ("/..", PatternError::DotSegment),
        ("/a%20b", PatternError::Character('%')),
        ("/a;b", PatternError::Character(';')),
        ("/a\\b", PatternError::Character('\\')),
        ("/a?b", PatternError::Character('?')),
        ("/a#b", PatternError::Character('#')),
        ("/a b", PatternError::Character(' ')),
        ("/über", PatternError::Character('ü')),
        ("/mcp.", PatternError::Character('.')),
        ("/{a", PatternError::Variable("{a".to_owned())),
        ("/x{a}", PatternError::Variable("x{a}".to_owned())),
        ("/{}", PatternError::Variable("{}".to_owned())),
        ("/{A}", PatternError::Variable("{A}".to_owned())),
        ("/{a}/{a}", PatternError::RepeatedVariable("a".to_owned())),
    ] {
        assert_eq!(PathPattern::parse(text), Err(expected), "{text}");
    }
}

#[test]
fn the_more_specific_pattern_is_the_greater() {
    let mut patterns = ["/", "/a/{x}", "/a", "/a/b", "/a/{x}/c", "/{x}"].map(pattern);
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
    let order: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["/a/{x}/c", "/a/b", "/a/{x}", "/a", "/{x}", "/"]);
    assert!(pattern("/t/{a}").same_shape(&pattern("/T/{b}/")));
    assert!(!pattern("/t/{a}").same_shape(&pattern("/t/a")));
}

/// What well-known servers make of a path, written without a look at the code under test.
#[allow(clippy::arithmetic_side_effects)]
mod servers {
    fn unescape(path: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < path.len() {
            let digits = path
                .get(at + 1..at + 3)
                .and_then(|d| std::str::from_utf8(d).ok());
            let byte = digits
                .filter(|d| path[at] == b'%' && d.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|d| u8::from_str_radix(d, 16).ok());
            out.push(byte.unwrap_or(path[at]));
            at += if byte.is_some() { 3 } else { 1 };
        }
        out
    }

    fn resolve(path: &[u8]) -> Vec<Vec<u8>> {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for segment in path.split(|b| *b == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(kept.pop()),
                other => kept.push(other.to_vec()),
            }
        }
        kept
    }

    fn is_mcp(segments: &[Vec<u8>]) -> bool {
        segments.first().is_some_and(|first| first == b"mcp")
    }

    /// Routes on the bytes as they come.
    pub(super) fn literal(path: &[u8]) -> bool {
        path == b"/mcp" || path.starts_with(b"/mcp/")
    }

    /// Decodes once, merges slashes, resolves dot segments (nginx).
    pub(super) fn normalising(path: &[u8]) -> bool {
        is_mcp(&resolve(&unescape(path)))
    }

    /// Decodes once and ignores case (Express).
    pub(super) fn case_insensitive(path: &[u8]) -> bool {
        literal(&unescape(path).to_ascii_lowercase())
    }

    /// Drops parameters of segments, then decodes and resolves (Tomcat).
    pub(super) fn without_parameters(path: &[u8]) -> bool {
        let bare: Vec<&[u8]> = path
            .split(|b| *b == b'/')
            .map(|s| s.split(|b| *b == b';').next().unwrap())
            .collect();
        is_mcp(&resolve(&unescape(&bare.join(&b'/'))))
    }

    /// Decodes twice and takes backslashes for slashes (IIS behind a proxy).
    pub(super) fn backslashes(path: &[u8]) -> bool {
        let twice: Vec<u8> = unescape(&unescape(path))
            .to_ascii_lowercase()
            .iter()
            .map(|b| if *b == b'\\' { b'/' } else { *b })
            .collect();
        is_mcp(&resolve(&twice))
    }

    /// Reads a URL reference and resolves it, then decodes (`new URL(request.url, base)` in Node).
    pub(super) fn url_reference(path: &[u8]) -> bool {
        let path = match path.strip_prefix(b"//") {
            Some(rest) => rest
                .iter()
                .position(|b| *b == b'/')
                .map_or(&b"/"[..], |at| &rest[at..]),
            None => path,
        };
        is_mcp(
            &resolve(path)
                .iter()
                .map(|segment| unescape(segment))
                .collect::<Vec<_>>(),
        )
    }

    /// Ends at NUL, as C strings do, after decoding.
    pub(super) fn until_nul(path: &[u8]) -> bool {
        let decoded = unescape(path);
        literal(decoded.split(|b| *b == 0).next().unwrap())
    }
}

fn odd_path() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "/", "/", "mcp", "mcp", "MCP", "%6dcp", "m", "c", "p", "%6d", "%63", "%70", "..", ".",
        "%2e", "%2f", "%5c", "\\", ";", ";x=1", "%3b", "%25", "%2525", "%00", "%20", " ", "x", "?",
        "#", "%", "%u002f", "%c0%af",
    ]);
    prop_oneof![
        4 => prop::collection::vec(part, 0..12).prop_map(|parts| format!("/{}", parts.concat()).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_server_serves_what_the_filter_takes_for_foreign(path in odd_path()) {
        let raw = path.split(|b| *b == b'?').next().unwrap();
        if matched(&path, "/mcp") == PathMatch::None {
            prop_assert!(!servers::url_reference(raw));
            prop_assert!(!servers::literal(raw));
            prop_assert!(!servers::normalising(raw));
            prop_assert!(!servers::case_insensitive(raw));
            prop_assert!(!servers::without_parameters(raw));
            prop_assert!(!servers::backslashes(raw));
            prop_assert!(!servers::until_nul(raw));
        }
    }

    #[test]
    fn an_exact_match_is_below_the_resource_for_every_server(path in odd_path()) {
        let raw = path.split(|b| *b == b'?').next().unwrap();
        if let PathMatch::Exact(_) = matched(&path, "/mcp") {
            prop_assert!(servers::literal(raw));
            prop_assert!(servers::normalising(raw));
            prop_assert!(servers::without_parameters(raw));
            prop_assert!(servers::backslashes(raw));
        }
    }

    #[test]
    fn no_bytes_panic_and_values_are_plain(path in prop::collection::vec(any::<u8>(), 0..100)) {
        if let PathMatch::Exact(bindings) = matched(&path, "/{a}/{b}") {
            for (_, value) in bindings.0 {
                prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
            }
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same(segments in prop::collection::vec("[a-z]{1,8}|\\{[a-z]{9,12}\\}", 0..6)) {
        let text = format!("/{}", segments.join("/"));
        if let Ok(parsed) = PathPattern::parse(&text) {
            prop_assert_eq!(PathPattern::parse(&parsed.to_string()), Ok(parsed));
        }
    }
}
