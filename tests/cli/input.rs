//! Inputs that cannot be used, that steer terminals, or have no end.

use super::*;

#[test]
fn what_cannot_be_used_is_a_wrong_call() {
    let broken = explain(&json!({}), "", &[]);
    assert_eq!((broken.code, broken.stdout.as_str()), (2, ""));
    assert!(
        broken
            .stderr
            .contains("`issuers`: found nothing; allowed: a value")
    );
    for keys in [
        json!({"keys": []}),
        json!([]),
        json!({"keys": [{"kty": "oct", "k": "AA"}]}),
    ] {
        let keys = file(&keys);
        let more = ["--jwks", keys.to_str().unwrap()];
        let ran = explain_without_keys(&config(), &token(json!({})), &more);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains("--jwks"), "{}", ran.stderr);
    }
    assert_eq!(
        run(&["explain", "--config", "-", "--url", URL], "{}").code,
        2
    );
    assert_eq!(run(&["explain", "--url", URL], "").code, 2);
}

/// Nothing but what can be seen, and the ends of lines.
fn assert_harmless(ran: &Ran) {
    let odd = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for text in [&ran.stdout, &ran.stderr] {
        assert_eq!(text.chars().find(odd), None, "{text:?}");
        assert!(!text.contains("\nforged"), "{text}");
    }
}

#[test]
fn nothing_that_steers_a_terminal_is_printed() {
    let hostile = "a\u{1b}[2J\nforged\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}";
    let escaped = r"a\u{1b}[2J\nforged\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}";
    let with = |pointer: &str, value: Value| {
        let mut config = config();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[last] = value;
        config
    };
    for (config, code) in [
        (with(&format!("/{hostile}"), json!(1)), 1),
        (with(&format!("/resources/0/{hostile}"), json!(1)), 1),
        (with("/resources/0/scopes", json!([hostile])), 1),
        (with("/mode", json!(hostile)), 1),
        (
            with("/resources/0/require_claims", json!({hostile: [hostile]})),
            0,
        ),
        (with("/resources/0/require_claims", json!({hostile: []})), 1),
        (
            with("/resources/0/identity_headers", json!({hostile: "x-a"})),
            0,
        ),
        (
            with(
                "/resources/0/operations",
                json!([{"method": format!("{hostile}x"), "deny": true}]),
            ),
            0,
        ),
        (with("/issuers/0/audiences", json!([hostile])), 0),
        (with("/issuers/0/cluster", json!(hostile)), 0),
    ] {
        let ran = run(&["check", "-"], &config.to_string());
        assert_eq!(ran.code, code, "{config}: {}", ran.stderr);
        assert_harmless(&ran);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(escaped), "{all}");
        if code == 0 {
            assert_harmless(&explain(&config, &token(json!({hostile: hostile})), &[]));
        }
    }
    let missing = format!("/nonexistent/{hostile}");
    let (config, option) = (file(&config()), format!("--{hostile}"));
    let config = config.to_str().unwrap();
    for arguments in [
        vec!["check", &missing],
        vec!["check", &option],
        vec!["explain", "--config", &missing, "--url", URL],
        vec![
            "explain", "--config", config, "--url", URL, "--jwks", &missing,
        ],
        vec![
            "explain", "--config", config, "--url", URL, "--body", &missing,
        ],
    ] {
        let ran = run(&arguments, "");
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert_harmless(&ran);
    }
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join(hostile);
    let mut set = key_set();
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct", "k": "AA", "kid": hostile}));
    fs::write(&keys, set.to_string()).unwrap();
    let more = ["--jwks", keys.to_str().unwrap()];
    let token = token(json!({"sub": hostile}));
    let ran = run(
        &[&["explain", "--config", config, "--url", URL][..], &more].concat(),
        &token,
    );
    assert_says(&ran, &["Note: ", "it is symmetric"]);
    assert_harmless(&ran);
}

/// A configuration of just so many bytes.
fn padded(bytes: usize) -> String {
    let config = config().to_string();
    format!("{config}{}", " ".repeat(bytes - config.len()))
}

#[test]
fn every_input_has_a_bound() {
    const MAX: usize = 4 * 1024 * 1024;
    let too_long = |ran: &Ran, name: &str| {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        let says = format!("mcp-auth: {name} is longer than 4194304 bytes\n");
        assert_eq!(ran.stderr, says);
    };
    let config = file(&config());
    let explain = [
        "explain",
        "--config",
        config.to_str().unwrap(),
        "--url",
        URL,
    ];
    too_long(&run(&["check", "/dev/zero"], ""), "/dev/zero");
    too_long(
        &run(&["explain", "--config", "/dev/zero", "--url", URL], ""),
        "/dev/zero",
    );
    for option in ["--jwks", "--body"] {
        too_long(
            &run(&[&explain[..], &[option, "/dev/zero"]].concat(), ""),
            "/dev/zero",
        );
    }
    assert_eq!(run(&["check", "-"], &padded(MAX)).code, 0);
    too_long(&run(&["check", "-"], &padded(MAX + 1)), "standard input");
    too_long(&run(&explain, &"x".repeat(MAX + 1)), "standard input");

    // A pipe with a name, that somebody writes into without end.
    let fifo =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-fifo-{}", std::process::id()));
    let fifo = fifo.to_str().unwrap();
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let mut writer = Command::new("sh")
        .args(["-c", "exec yes > \"$0\"", fifo])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    too_long(&run(&["check", fifo], ""), fifo);
    // Nobody reads any more, so it ends by itself.
    assert!(!writer.wait().unwrap().success());
    fs::remove_file(fifo).unwrap();
}
