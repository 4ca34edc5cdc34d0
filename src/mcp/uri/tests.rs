use proptest::prelude::*;
use url::Url;

use super::*;

/// Pieces of URIs, odd ones and plain ones.
const PIECES: [&str; 58] = [
    "file:",
    "FILE:",
    "https:",
    "hTTps:",
    "http:",
    "note:",
    "urn:",
    "/",
    "//",
    "///",
    "\\",
    "?",
    "#",
    ":",
    "@",
    "localhost",
    "LocalHost",
    "api.example",
    "API.example",
    "api.example.",
    "user",
    "%61pi.example",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "[::1]",
    "ex\u{e4}mple",
    ":443",
    ":0443",
    ":80",
    ":8443",
    ":",
    "secret",
    "Secret",
    "%73ecret",
    "%2573ecret",
    "s\tecret",
    "b",
    "a",
    ".",
    "..",
    "%2e",
    "%2E.",
    "%2f",
    "%5c",
    "%25",
    "%",
    "2f",
    "%00",
    "%ff",
    "\u{e9}",
    " ",
    "\t",
    "\n",
    "|",
    "C:",
    "c|",
    "*",
];

fn uri() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 1..10).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What the URL standard makes of a URI is the same URI here.
    #[test]
    fn no_parser_makes_another_uri_of_one_that_is_clear(uri in uri()) {
        let Ok(parsed) = Url::parse(&uri) else {
            return Ok(());
        };
        let readings = Readings::of(&uri);
        if !readings.unclear {
            prop_assert_eq!(&readings, &Readings::of(parsed.as_str()), "{:?} {}", uri, parsed);
        }
    }

    #[test]
    fn any_text_has_a_reading(uri in any::<String>()) {
        let readings = Readings::of(&uri);
        prop_assert!(!readings.texts.is_empty());
        prop_assert!(decoded(&uri, |_| ()).len() <= uri.len());
    }
}

#[test]
fn each_part_is_read_in_the_form_in_which_it_is_compared() {
    for (uri, texts) in [
        ("file:///secret/b", &["file:/secret/b"][..]),
        ("file:secret/b", &["file:/secret/b"]),
        ("file://localhost/secret/b", &["file:/secret/b"]),
        (
            "file://host/secret/b",
            &["file:/host/secret/b", "file:/secret/b"],
        ),
        ("file://c:/x", &["file:/c:/x"]),
        ("https://api.example", &["https:/api.example/"]),
        ("https://api.example:8443/A", &["https:/api.example:8443/a"]),
        (
            "https://u@api.example/a",
            &["https:/u@api.example/a", "https:/api.example/a"],
        ),
        (
            "https://api.example/a?b#c",
            &[
                "https:/api.example/a?b#c",
                "https:/api.example/a?b",
                "https:/api.example/a",
            ],
        ),
        ("urn:isbn:1", &["urn:isbn:1"]),
        ("memo", &["memo"]),
        ("%252541", &["a"]),
        ("%ff", &["%ff"]),
    ] {
        let readings = Readings::of(uri);
        assert_eq!(readings.texts, texts, "{uri}");
        assert!(!readings.unclear, "{uri}");
    }
}

#[test]
fn what_parsers_disagree_on_is_unclear() {
    for uri in [
        "file:///a/../b",
        "file:///a/%2e%2e/b",
        "file:///a%2fb/../../secret/b",
        "file:///a/..%5cb",
        "file:///./a",
        "https://%61pi.example/",
        "https://\u{ff41}pi.example/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://a.example:99999/",
        "https://",
        "note://a\\b@c/",
        // Servers in C open `/a.key`, others no file of this name.
        "file:///a.key%00.txt",
        "file:///a.key%2500.txt",
        "note:a\0b",
    ] {
        assert!(Readings::of(uri).unclear, "{uri}");
    }
}
