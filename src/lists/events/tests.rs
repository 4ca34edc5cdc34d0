// A failure here ends a test, and no worker.
#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::ids::ResourceId;
use crate::lists::tests::config;

/// Short, so that events of a few fragments are longer.
const LIMIT: usize = 80;

fn stream() -> Lists {
    Lists::of_stream(&[])
}

/// What goes on after each of `parts`, and at the end.
fn pushed(lists: &Lists, config: &Config, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let resource = config.resource(ResourceId(0)).unwrap();
    let mut events = Events::new(LIMIT);
    let mut out: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| events.push(part, lists, resource, |_| {}))
        .collect();
    out.push(events.end(lists, resource, |_| {}));
    out
}

#[test]
fn what_completes_an_event_goes_on_at_once() {
    let config = config();
    for table in [
        &[(": ping\r\n\r\n", ": ping\r\n\r\n")][..],
        &[(": ping\n", ": ping\n"), ("\n", "\n")],
        &[("data: 1\r\n\r", "data: 1\r\n\r"), ("\n", "\n")],
        &[("id: 1\r", "id: 1\r"), ("\n", "\n"), ("\r", "\r")],
        &[
            ("da", ""),
            ("ta: {\"id\":\r", ""),
            ("\n", ""),
            ("\r", "data: {\"id\":\r\n\r"),
            ("\n", "\n"),
            ("da", ""),
            ("y", "day"),
        ],
        // It is no list answer as soon as it cannot be one.
        &[
            ("data:", ""),
            (" ", ""),
            ("/messages", "data: /messages"),
            ("?id=1", "?id=1"),
        ],
        &[
            ("event: endpoint\r\n", "event: endpoint\r\n"),
            ("data: {\"res", "data: {\"res"),
        ],
        &[
            ("data: {\"id\":1,\"method", ""),
            ("\":", "data: {\"id\":1,\"method\":"),
        ],
        &[
            ("data: {\"result\":{}", ""),
            ("}", "data: {\"result\":{}}"),
            ("\n\n", "\n\n"),
        ],
        &[
            ("event: other\n\n", "event: other\n\n"),
            ("data: {", ""),
            ("\n\n", "data: {\n\n"),
        ],
    ] {
        let parts: Vec<&[u8]> = table.iter().map(|(sent, _)| sent.as_bytes()).collect();
        let out = pushed(&stream(), &config, &parts);
        let out: Vec<&str> = out
            .iter()
            .map(|out| std::str::from_utf8(out).unwrap())
            .collect();
        let expected: Vec<&str> = table.iter().map(|(_, out)| *out).chain([""]).collect();
        assert_eq!(out, expected, "{table:?}");
    }
}

/// Line ends and fields that a stream is made of, and text between them.
fn fragments(data: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let fields = [
        "\n",
        "\r",
        "\r\n",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\r\r",
        "\r\n\r\n",
        "data: ",
        "data:",
        "data",
        "event: message",
        "event: endpoint",
        "event",
        "id: 1",
        ": ping",
        "retry: 5",
        "\u{feff}",
        "d",
        " ",
        "x",
    ];
    let fragments: Vec<&str> = fields.into_iter().chain(data.iter().copied()).collect();
    let other = prop::collection::vec(any::<u8>(), 0..4);
    let fragment = prop_oneof![
        9 => prop::sample::select(fragments).prop_map(|text| text.as_bytes().to_vec()),
        1 => other,
    ];
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

const NO_LISTS: [&str; 8] = [
    "{",
    "}",
    "{\"result\":",
    "{\"content\":[]}}",
    "\"method\":\"x\"",
    "[",
    "\"0123456789012345678901234567890123456789\"",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
];
const LISTS: [&str; 8] = [
    "{\"result\":{\"tools\":[{\"name\":\"shell\"}]}}",
    "{\"result\":{\"tools\":[{\"name\":\"shell\"},",
    "{\"name\":\"echo\"}",
    "]}}",
    "{\"result\":",
    "{\"tools\":[",
    "],\"cacheScope\":\"public\"}}",
    "                                        ",
];

fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(stream.len().saturating_add(1)))
        .chain([0, stream.len()])
        .collect();
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|ends| &stream[ends[0]..ends[1]])
        .collect()
}

/// Behind the last end of an event in a stream; and behind the last end of a line that no line of
/// data of the same event stands before.
fn complete(stream: &[u8]) -> (usize, usize) {
    let (mut event, mut line, mut at) = (0, 0, 0);
    let mut has_data = false;
    let mut first = true;
    for (text, end) in lines(stream) {
        if end.is_empty() {
            break;
        }
        at += text.len() + end.len();
        let text = text
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| first)
            .unwrap_or(text);
        first = false;
        has_data = !text.is_empty() && (has_data || value(text).is_some());
        if text.is_empty() {
            event = at;
        }
        if !has_data {
            line = at;
        }
    }
    (event, line)
}

proptest! {
    /// What is no list answer arrives as it was sent, and no end of an event or of a line before
    /// its data is waited with.
    #[test]
    fn what_is_no_list_passes(
        sent in fragments(&NO_LISTS),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        resumed in any::<bool>(),
    ) {
        let lists = if resumed { stream() } else { asked() };
        let parts = cut(&sent, &cuts);
        let mut out = Vec::new();
        let mut come = 0;
        for (at, new) in pushed(&lists, &config(), &parts).into_iter().enumerate() {
            out.extend(new);
            come += parts.get(at).map_or(0, |part| part.len());
            prop_assert!(sent.starts_with(&out));
            let (event, line) = complete(&sent[..come]);
            prop_assert!(out.len() >= event.max(line), "{:?}", out.escape_ascii().to_string());
            prop_assert!(come - out.len() <= LIMIT + DATA.len());
        }
        prop_assert_eq!(out, sent);
    }

    /// What goes on is the stream's doing alone, however it is cut, and what completes an event
    /// that is changed completes it at once, too.
    #[test]
    fn cuts_make_no_difference(
        sent in fragments(&LISTS),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        resumed in any::<bool>(),
    ) {
        let lists = if resumed { stream() } else { asked() };
        let config = config();
        let whole = pushed(&lists, &config, &[&sent]).concat();
        let parts = cut(&sent, &cuts);
        let mut out = Vec::new();
        let mut come = 0;
        for (at, new) in pushed(&lists, &config, &parts).into_iter().enumerate() {
            out.extend(new);
            come += parts.get(at).map_or(0, |part| part.len());
            prop_assert!(whole.starts_with(&out));
            let (event, line) = complete(&sent[..come]);
            let due = pushed(&lists, &config, &[&sent[..event.max(line)]]).concat();
            prop_assert!(out.starts_with(&due));
        }
        prop_assert_eq!(out, whole);
    }
}

fn asked() -> Lists {
    crate::lists::tests::lists(&["tools/list"], &[])
}
