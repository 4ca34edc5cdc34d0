//! The command-line tool, as its users call it.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

mod check;
mod explain;
mod init;
mod input;
mod issue;
mod probe;
mod usage;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://mcp.example.com/mcp";

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of its own for each call.
fn file(content: &Value) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{number}.json"));
    fs::write(&path, content.to_string()).unwrap();
    path
}

fn config() -> Value {
    json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": [{"resource": URL, "scopes": ["mcp:read"]}],
    })
}

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn key_set() -> Value {
    let x = URL_SAFE_NO_PAD.encode(&key(1).pk[..]);
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]})
}

/// A good token but for these members of header and claims; null takes one out.
fn token_by(seed: u8, header: &Value, claims: &Value) -> String {
    let merge = |mut all: Value, changes: &Value| {
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        URL_SAFE_NO_PAD.encode(all.to_string())
    };
    let header = merge(
        json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}),
        header,
    );
    let claims = merge(
        json!({
            "iss": "https://auth.example.com",
            "aud": URL,
            "exp": NOW + 600,
            "iat": NOW - 60,
            "sub": "alice",
            "scope": "mcp:read",
        }),
        claims,
    );
    let input = format!("{header}.{claims}");
    let signature = key(seed).sk.sign(&input, None);
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn token(claims: Value) -> String {
    token_by(1, &json!({}), &claims)
}

/// `explain` at [`NOW`], with the issuer's keys. Nothing of the token may come out.
fn explain(config: &Value, token: &str, more: &[&str]) -> Ran {
    let keys = file(&key_set());
    let mut arguments = vec!["--jwks", keys.to_str().unwrap()];
    arguments.extend(more);
    explain_without_keys(config, token, &arguments)
}

fn explain_without_keys(config: &Value, token: &str, more: &[&str]) -> Ran {
    let (config, at) = (file(config), NOW.to_string());
    let mut arguments = vec!["explain", "--config", config.to_str().unwrap(), "--at", &at];
    if !more.contains(&"--url") {
        arguments.extend(["--url", URL]);
    }
    arguments.extend(more);
    let ran = run(&arguments, token);
    assert_nothing_of(token, &ran);
    ran
}

/// No 8 bytes of the token's three parts, as they came, are in what was written.
fn assert_nothing_of(token: &str, ran: &Ran) {
    for part in token.trim_start_matches("Bearer ").split('.') {
        for window in part.as_bytes().windows(8) {
            let window = std::str::from_utf8(window).unwrap();
            assert!(!ran.stdout.contains(window), "{window}: {}", ran.stdout);
            assert!(!ran.stderr.contains(window), "{window}: {}", ran.stderr);
        }
    }
}

/// The marks of the rows, by name.
fn marks(ran: &Ran) -> Vec<(String, String)> {
    ran.stdout
        .lines()
        .filter_map(|line| {
            let (start, _) = line.split_once(" expected  ")?;
            let (mark, name) = start.trim().split_once(' ')?;
            Some((name.trim().to_owned(), mark.to_owned()))
        })
        .collect()
}

fn bad(ran: &Ran) -> Vec<String> {
    let bad = marks(ran).into_iter().filter(|(_, mark)| mark == "NO");
    bad.map(|(name, _)| name).collect()
}

fn assert_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stdout.contains(text), "no {text:?} in\n{}", ran.stdout);
    }
}
