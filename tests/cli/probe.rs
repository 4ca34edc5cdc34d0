//! `mcp-auth probe` against small servers, each with one fault: the probe has to name it.

mod faults;
mod server;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use self::faults::FAULTS;
use self::server::{Server, answer, good, result, serve, token};
use crate::{Ran, run};

fn probe(url: &str, arguments: &[&str], input: &str) -> Ran {
    run(&[&["probe", url], arguments].concat(), input)
}

/// The report on a server, with its token.
fn report(server: Server) -> (i32, Value) {
    let origin = serve(server);
    let ran = probe(
        &format!("{origin}/mcp"),
        &["--json", "--token"],
        &token(&origin),
    );
    assert_eq!(ran.stderr, "");
    (ran.code, serde_json::from_str(&ran.stdout).unwrap())
}

/// The names of the checks with this mark.
fn named<'a>(report: &'a Value, mark: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap();
    let marked = checks.iter().filter(|check| check["mark"] == mark);
    marked
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

/// The SDKs that log in, by their first letters.
fn logging_in(report: &Value) -> String {
    let clients = report["clients"].as_array().unwrap();
    let letters = ["P", "T", "1", "R"];
    clients
        .iter()
        .filter(|client| client["official"] == true)
        .zip(letters)
        .filter(|(client, _)| client["verdict"] == "logs in")
        .map(|(_, letter)| letter)
        .collect()
}

#[test]
fn a_good_server_is_good() {
    let (code, report) = report(good);
    assert_eq!(named(&report, "fail"), Vec::<&str>::new());
    assert_eq!(named(&report, "note"), Vec::<&str>::new(), "{report:#}");
    assert_eq!(logging_in(&report), "PT1R");
    assert_eq!(code, 0);
}

#[test]
fn every_fault_is_named() {
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let what = fault.what;
        let (code, report) = report(fault.server);
        let found = named(&report, fault.mark);
        if !found.contains(&fault.check) {
            wrong.push(format!("{what}: {} is not among {found:?}", fault.check));
        }
        if logging_in(&report) != fault.sdks {
            wrong.push(format!(
                "{what}: {} log in: {:#}",
                logging_in(&report),
                report["clients"]
            ));
        }
        let inside = [
            "outage",
            "bad-token",
            "altered-token",
            "without-token",
            "beside",
        ];
        let is_bad = fault.sdks != "PT1R" || inside.contains(&fault.check);
        if code != i32::from(is_bad) {
            wrong.push(format!("{what}: exit code {code}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of all checks.
fn names(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap();
    let names = checks.iter().map(|check| check["name"].as_str().unwrap());
    names.collect()
}

#[test]
fn where_everybody_gets_in_nothing_else_is_said() {
    let origin = serve(|request| match request.path.as_str() {
        "/mcp" if request.method == "POST" => answer(200, &result()),
        _ => answer(404, &json!({})),
    });
    let url = format!("{origin}/mcp");
    let report: Value = serde_json::from_str(&probe(&url, &["--json"], "").stdout).unwrap();
    assert_eq!(
        names(&report),
        ["endpoint", "tls", "open", "cors-preflight"]
    );
    // One line for all clients.
    let text = probe(&url, &[], "").stdout;
    assert!(text.contains("\n  open  all 19 "), "{text}");
    assert!(text.contains("; 1 failure (open), "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
}

/// What a made-up token gets there says nothing.
#[test]
fn a_wrong_path_is_one_failure_and_its_consequence() {
    let (_, report) = report(|_| answer(404, &json!({})));
    assert_eq!(
        named(&report, "fail"),
        ["status", "metadata", "with-token", "altered-token"]
    );
}

#[test]
fn one_machine_by_two_names_is_another_resource() {
    let url = format!("{}/mcp", serve(good)).replace("127.0.0.1", "localhost");
    let report: Value = serde_json::from_str(&probe(&url, &["--json"], "").stdout).unwrap();
    assert_eq!(named(&report, "fail"), ["resource"]);
    assert_eq!(named(&report, "note"), ["resource-metadata-url"]);
    let checks = report["checks"].as_array().unwrap();
    let resource = checks.iter().find(|check| check["name"] == "resource");
    let mend = resource.unwrap()["mend"].as_str().unwrap();
    assert!(mend.starts_with("give clients http://127.0.0.1:"), "{mend}");
}

#[test]
fn where_nothing_answers_it_says_what_to_look_at() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let read = connection.read(&mut [0; 1024]);
            let _ = read.and_then(|_| connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    for (url, found, mend) in [
        ("http://127.0.0.1:1", "no connection", "start the server"),
        (
            "http://mcp-auth.invalid",
            "its name has no address",
            "correct the host",
        ),
        (&plain, "TLS failed", "the server speaks no TLS there"),
    ] {
        let text = probe(&format!("{url}/mcp"), &[], "").stdout;
        assert!(
            text.contains(&format!("FAIL  endpoint              {found}")),
            "{text}"
        );
        assert!(text.contains(&format!("mend      {mend}")), "{text}");
    }
}

#[test]
fn nothing_of_the_token_is_shown_and_nothing_reaches_the_terminal() {
    let origin = serve(|request| {
        let sent = request
            .header("authorization")
            .unwrap_or_default()
            .to_owned();
        let text = format!("\u{1b}[2J{sent}\u{202e}");
        answer(400, &json!({"error": {"message": text}}))
            .with(
                "www-authenticate",
                &format!("Bearer error=\"{sent}\", x=\"\u{9b}2J\""),
            )
            .with("location", &format!("/{sent}"))
    });
    let token = token(&origin);
    for arguments in [["--token"].as_slice(), &["--token", "--json"]] {
        let ran = probe(
            &format!("{origin}/mcp"),
            arguments,
            &format!("Bearer {token}\n"),
        );
        assert_eq!(ran.code, 1);
        assert!(ran.stdout.contains("/mcp"));
        for part in token.split('.') {
            assert!(!ran.stdout.contains(part), "{}", ran.stdout);
        }
        let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(ran.stdout.chars().all(harmless), "{}", ran.stdout);
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn what_never_ends_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let head = "HTTP/1.1 401 X\r\ncontent-type: application/json\r\n\r\n{\"a\":\"";
                let mut written = connection.write_all(head.as_bytes());
                while written.is_ok() {
                    written = connection.write_all(&[b'x'; 65536]);
                }
            });
        }
    });
    let ran = probe(&url, &["--json", "--timeout", "5"], "");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(named(&report, "fail"), ["challenge", "metadata"]);
    assert_eq!(ran.code, 1);
}

#[test]
fn a_wrong_command_is_told_so() {
    for (url, arguments, input) in [
        ("mcp.example.com/mcp", [].as_slice(), ""),
        ("ftp://mcp.example.com/mcp", &[], ""),
        ("https://user:secret@mcp.example.com/mcp", &[], ""),
        ("http://127.0.0.1:9/mcp", &["--token"], ""),
        ("http://127.0.0.1:9/mcp", &["--token"], "to ken"),
        ("http://127.0.0.1:9/mcp", &["--ca", "/dev/null"], ""),
        ("http://127.0.0.1:9/mcp", &["--timeout", "0"], ""),
    ] {
        let ran = probe(url, arguments, input);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{url} {arguments:?}"
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}
