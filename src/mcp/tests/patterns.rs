use proptest::prelude::*;

use super::*;

#[test]
fn patterns() {
    for (pattern, text, matches) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a", "", false),
        ("*", "", true),
        ("*", "anything/at all", true),
        ("delete_*", "delete_all", true),
        ("delete_*", "delete_", true),
        ("delete_*", "undelete_", false),
        ("*_all", "delete_all", true),
        ("*_all", "delete_all_", false),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*b*", "abc", true),
        ("**", "x", true),
        ("a**b", "ab", true),
        ("*ab*ab", "ab", false),
        ("*ab*ab", "abab", true),
    ] {
        assert_eq!(
            Pattern::new(pattern).matches(text),
            matches,
            "{pattern} {text}"
        );
    }
}

fn rule(name: Option<&str>, except: &[&str]) -> OperationRule {
    OperationRule {
        method: Pattern::new("*"),
        name: name.map(NamePattern::new),
        except: except.iter().map(|text| NamePattern::new(text)).collect(),
        needs: Needs::Nothing,
    }
}

fn read(uri: &str) -> Operation {
    operation("resources/read", Some(uri))
}

/// Spellings of one file, all of which some server reads.
const FILE: [&str; 28] = [
    "file:///secret/b",
    " file:///secret/b",
    "file:///secret/b ",
    "\u{1}file:///secret/b",
    "file:/secret/b",
    "file:secret/b",
    "file:////secret/b",
    "file:\\\\\\secret\\b",
    "file:\\secret\\b",
    "file://localhost/secret/b",
    "file://LOCALHOST/secret/b",
    "file://other/secret/b",
    "FILE:///secret/b",
    "File:///Secret/B",
    "fi\tle:///sec\nret/b",
    "file:///sec\rret/b",
    "file:///secret//b",
    "file:///secret\\b",
    "file:///./secret/b",
    "file:///x/../secret/b",
    "file:///x/%2e%2e/secret/b",
    "file:///x/.%2E/secret/b",
    "file:///%73ecret/b",
    "file:///%2573ecret/b",
    "file:///secret%2fb",
    "file:///secret/b?x",
    "file:///secret/b#x",
    "file:///public/a%2fb/../../secret/b",
];

/// And of one page.
const PAGE: [&str; 26] = [
    "https://api.example/secret/b",
    " https://api.example/secret/b",
    "https:api.example/secret/b",
    "https:/api.example/secret/b",
    "https:///api.example/secret/b",
    "https:\\\\api.example\\secret\\b",
    "https://api.example:443/secret/b",
    "https://api.example:0443/secret/b",
    "https://api.example:/secret/b",
    "HTTPS://api.example/secret/b",
    "https://API.Example/secret/b",
    "https://api.example./secret/b",
    "https://user@api.example/secret/b",
    "https://user:pass@api.example/secret/b",
    "https://x%2f@api.example/secret/b",
    "https://%61pi.example/secret/b",
    "https://\u{ff41}pi.example/secret/b",
    "https://api\u{3002}example/secret/b",
    "https://ap\ti.example/secret/b",
    "ht\ntps://api.example/secret/b",
    "https://api.example/x/../secret/b",
    "https://api.example/./secret/b",
    "https://api.example/x/%2e%2e/secret/b",
    "https://api.example/%73ecret/b",
    "https://api.example/secret/b?x=1",
    "https://api.example/secret/b#x",
];

#[test]
fn a_rule_for_a_uri_concerns_all_its_spellings() {
    for (patterns, spellings) in [
        (
            [
                "file:///secret/b",
                "file:///secret/*",
                "FILE:/Secret/*",
                "*/secret/*",
            ],
            &FILE[..],
        ),
        (
            [
                "https://api.example/secret/b",
                "https://api.example:443/secret/*",
                "https://API.example/*",
                "*://api.example/secret/*",
            ],
            &PAGE[..],
        ),
    ] {
        for pattern in patterns {
            for uri in spellings {
                assert!(
                    rule(Some(pattern), &[]).matches(&read(uri)),
                    "{pattern} {uri:?}"
                );
            }
        }
    }
    for uri in [
        "file:///public/b",
        "https://api.example/open",
        "memo://secret/b",
        "secret",
    ] {
        for pattern in ["file:///secret/*", "https://api.example/secret/*"] {
            assert!(!rule(Some(pattern), &[]).matches(&read(uri)), "{uri}");
        }
    }
}

#[test]
fn a_name_that_is_no_uri_is_compared_as_it_is() {
    let tool = |name| operation("tools/call", Some(name));
    assert!(rule(Some("a%20b"), &[]).matches(&tool("a%20b")));
    assert!(!rule(Some("a%20b"), &[]).matches(&tool("a b")));
    assert!(!rule(Some("a"), &[]).matches(&tool("A")));
    assert!(!rule(Some("a"), &[]).matches(&operation("tools/list", None)));
}

#[test]
fn an_exception_holds_only_for_what_all_servers_take_for_it() {
    let all_but = rule(
        None,
        &["file:///public/*", "https://api.example/docs/*", "echo"],
    );
    for uri in [
        "file:///public/a",
        "file:///public/a?x#y",
        "https://api.example/docs/",
    ] {
        assert!(!all_but.matches(&read(uri)), "{uri}");
    }
    for uri in [
        "file:///secret/b",
        "file:///public/../secret/b",
        "file:///public/%2e%2e/secret/b",
        "file:///public/..%2fsecret/b",
        "file:///public/a%2fb/../../secret/b",
        "file://public/a",
        "https://api.example/docs/@x/../../secret",
        "https://evil.example/https://api.example/docs/",
        "https://api.example:8443/docs/x",
    ] {
        assert!(all_but.matches(&read(uri)), "{uri}");
    }
    for spelling in FILE.iter().chain(&PAGE) {
        assert!(all_but.matches(&read(spelling)), "{spelling:?}");
    }
    assert!(!all_but.matches(&operation("tools/call", Some("echo"))));
    assert!(all_but.matches(&operation("tools/call", Some("Echo"))));
    assert!(all_but.matches(&operation("tools/call", None)));
    let named = rule(Some("delete_*"), &["delete_draft"]);
    assert!(named.matches(&operation("tools/call", Some("delete_all"))));
    assert!(!named.matches(&operation("tools/call", Some("delete_draft"))));
}

proptest! {
    #[test]
    fn patterns_are_those_of_a_naive_matcher(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
        fn naive(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => {
                    naive(rest, text)
                        || text.split_first().is_some_and(|(_, text)| naive(pattern, text))
                }
                (Some((p, pattern)), Some((t, text))) => p == t && naive(pattern, text),
                (None, Some(_)) | (Some(_), None) => false,
            }
        }
        prop_assert_eq!(
            Pattern::new(&pattern).matches(&text),
            naive(pattern.as_bytes(), text.as_bytes())
        );
    }

    #[test]
    fn no_uri_panics(uri in "\\PC{0,40}", tail in "(%[0-9a-fA-F]{0,2}|/|\\.|\\\\){0,12}") {
        let rule = rule(Some("*x*"), &[&uri]);
        let _ = rule.matches(&operation("resources/read", Some(&(uri + &tail))));
    }
}
