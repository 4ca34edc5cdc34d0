//! What is logged, and what is not.

use std::cell::RefCell;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::*;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Each test has a thread, and lines of its own.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.level(), record.args().to_string());
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

/// What is logged while `act` runs.
pub(super) fn logged(act: impl FnOnce()) -> Vec<(Level, String)> {
    // Another test may have set it.
    log::set_logger(&Lines).ok();
    log::set_max_level(LevelFilter::Trace);
    LINES.take();
    act();
    LINES.take()
}

#[test]
fn no_token_is_logged_whatever_becomes_of_it() {
    let tokens = [
        token(),
        token_of_key("unknown"),
        testing::token_by(
            testing::Signer::Stranger,
            "ES256",
            &json!({"kid": "es256"}),
            &claims(),
        ),
        testing::token("ES256", &json!({"kid": "es256", "typ": "x"}), &claims()),
        "notatokenatall.butlongenough.toberecognised".to_owned(),
    ];
    for config in [
        inline(),
        remote(),
        with_operations(remote()),
        with(inline(), "mode", json!("observe")),
    ] {
        for token in &tokens {
            let lines = logged(|| {
                let mut proxy = Proxy::new(&config);
                proxy.request_with(2, "POST", token, false);
                proxy.body(2, &call("delete_all"), true);
                proxy.tick();
                if proxy.open_calls() > 0 {
                    proxy.answer(200, &key_set("es256"));
                }
                proxy.ticks();
                proxy.fail("set_state");
                proxy.request_with(3, "POST", token, true);
            });
            assert!(!lines.is_empty());
            for (_, line) in lines {
                for part in token.split('.') {
                    assert!(!line.contains(part), "{line}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_says_for_which_resource_and_why() {
    let lines = logged(|| {
        let mut proxy = Proxy::new(&inline());
        let headers = [
            (":path", "/mcp"),
            ("authorization", "Bearer x.y.z"),
            ("x-request-id", "7\n8"),
        ];
        proxy.request(2, &headers, true);
    });
    let (level, line) = &lines[0];
    assert_eq!((lines.len(), *level), (1, Level::Info));
    assert!(
        line.starts_with("refused: reason=token_malformed resource=https://mcp.example.com/mcp")
    );
    assert!(line.ends_with(r#"request_id="7\n8""#), "{line}");
}

#[test]
fn a_request_without_a_token_is_not_logged() {
    let lines = logged(|| {
        Proxy::new(&inline()).request(2, &[(":path", "/mcp")], true);
    });
    assert_eq!(lines, []);
}

#[test]
fn a_flood_of_refusals_is_a_hundred_lines_a_second_and_a_count() {
    let lines = logged(|| {
        let mut proxy = Proxy::new(&inline());
        for id in 2..302 {
            proxy.request_with(id, "GET", "x.y.z", true);
        }
        proxy.pass(Duration::from_secs(1));
        proxy.tick();
    });
    assert_eq!(lines.len(), 101);
    assert!(
        lines[100].1.starts_with("refused: 200 more"),
        "{}",
        lines[100].1
    );
}

/// A tick is a millisecond away while somebody waits, and each may have turned questions away.
#[test]
fn a_flood_of_unknown_tokens_is_a_few_lines_a_second() {
    let config = json!({
        "issuers": [{"issuer": ISSUER, "introspection": {
            "cluster": "asking", "endpoint": "https://auth.example.com/introspect"}}],
        "resources": [{"resource": RESOURCE}],
    });
    let lines = logged(|| {
        let mut proxy = Proxy::new(&config);
        for id in 2..1002 {
            proxy.request_with(id, "GET", &format!("random-token-{id:08}"), true);
            proxy.pass(TICK);
            proxy.tick();
        }
    });
    let told = |line: &&(Level, String)| line.1.contains("questions not asked");
    let lines = lines.iter().filter(told).count();
    assert!((1..=20).contains(&lines), "{lines} lines");
}

#[test]
fn keys_are_told_at_info_and_what_fails_at_warn() {
    let lines = logged(|| {
        let mut proxy = Proxy::new(&remote());
        proxy.tick();
        proxy.answer(500, "");
        proxy.pass(Duration::from_secs(2));
        proxy.tick();
        proxy.answer(200, &key_set("es256"));
    });
    let [(Level::Warn, failed), (Level::Info, fetched)] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(failed.starts_with("keys: issuer https://auth.example.com: "));
    assert!(!failed.contains("a=1"), "a query may be a secret");
    assert!(fetched.contains("1 keys fetched"));
}
