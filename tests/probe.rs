//! `mcp-auth probe` against small servers, each with one fault: the probe has to name it.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(clippy::restriction)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What came in.
struct Request {
    origin: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        Some(all.find(|(found, _)| found == name)?.1.as_str())
    }

    fn is(&self, name: &str) -> bool {
        self.path == format!("/.well-known/{name}")
    }

    fn asks_for(&self, method: &str) -> bool {
        self.body.contains(&format!("\"method\":\"{method}\""))
    }

    /// The token of the test, whole.
    fn is_authorized(&self) -> bool {
        let sent = self.header("authorization").unwrap_or_default();
        sent == format!("Bearer {}", token(&self.origin))
    }
}

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn answer(status: u16, body: &Value) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("access-control-allow-origin", "*"),
        (
            "access-control-expose-headers",
            "WWW-Authenticate, Mcp-Session-Id",
        ),
        ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
        (
            "access-control-allow-headers",
            "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name",
        ),
    ];
    Answer {
        status,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: body.to_string(),
    }
}

impl Answer {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self
    }

    fn with_challenge(self, challenge: &str) -> Self {
        self.without("www-authenticate")
            .with("www-authenticate", challenge)
    }
}

const RESOURCE_FORM: &str = "oauth-protected-resource/mcp";
const ISSUER_FORM: &str = "oauth-authorization-server/auth";

fn resource_metadata(origin: &str) -> Value {
    json!({
        "resource": format!("{origin}/mcp"),
        "authorization_servers": [format!("{origin}/auth")],
        "scopes_supported": ["mcp:read", "mcp:write"],
    })
}

fn issuer_metadata(origin: &str) -> Value {
    json!({
        "issuer": format!("{origin}/auth"),
        "authorization_endpoint": format!("{origin}/auth/authorize"),
        "token_endpoint": format!("{origin}/auth/token"),
        "registration_endpoint": format!("{origin}/auth/register"),
        "jwks_uri": format!("{origin}/auth/keys"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    })
}

fn keys() -> Value {
    let x = URL_SAFE_NO_PAD.encode(&ed25519_compact::KeyPair::from_seed([1; 32].into()).pk[..]);
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]})
}

fn token(origin: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"aud": format!("{origin}/mcp"), "sub": "alice"});
    let signature = URL_SAFE_NO_PAD.encode([7; 64]);
    format!(
        "{}.{}.{signature}",
        part(json!({"alg": "EdDSA"})),
        part(claims)
    )
}

fn result() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "echo"}]}})
}

fn unauthorized(request: &Request, error: &str) -> Answer {
    let origin = &request.origin;
    answer(401, &json!({"error": "unauthorized"})).with(
        "www-authenticate",
        &format!(
            "Bearer {error}resource_metadata=\"{origin}/.well-known/{RESOURCE_FORM}\", scope=\"mcp:read\""
        ),
    )
}

/// A server that does everything well.
fn good(request: &Request) -> Answer {
    let origin = request.origin.as_str();
    match request.path.as_str() {
        "/mcp" if request.method == "OPTIONS" => answer(204, &json!({})),
        "/mcp" if request.is_authorized() => answer(200, &result()),
        "/mcp" if request.header("authorization").is_some() => {
            unauthorized(request, "error=\"invalid_token\", ")
        }
        "/mcp" => unauthorized(request, ""),
        "/auth/keys" => answer(200, &keys()),
        _ if request.is(RESOURCE_FORM) => answer(200, &resource_metadata(origin)),
        _ if request.is(ISSUER_FORM) => answer(200, &issuer_metadata(origin)),
        _ => answer(404, &json!({"error": "not_found"})),
    }
}

type Server = fn(&Request) -> Answer;

/// Serves until the test's process ends, one thread for each connection.
fn serve(server: Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::new(origin.clone());
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let origin = Arc::clone(&shared);
            thread::spawn(move || serve_one(connection, &origin, server));
        }
    });
    origin
}

fn serve_one(connection: TcpStream, origin: &str, server: Server) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut request = Request {
        origin: origin.to_owned(),
        method,
        path,
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |one| one.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    let answer = server(&request);
    let mut connection = connection;
    let lines: String = answer
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let body = match request.method.as_str() {
        "HEAD" => "",
        _ => answer.body.as_str(),
    };
    write!(
        connection,
        "HTTP/1.1 {} X\r\n{lines}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        answer.status,
        body.len(),
    )
    .ok()
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn probe(url: &str, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
        .args(["probe", url])
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

/// A fault: what it is, the server, the check that names it, how bad that is, and which SDKs log in
/// (Python, TypeScript 2 and 1, Rust).
type Fault = (
    &'static str,
    Server,
    &'static str,
    &'static str,
    &'static str,
);

const FAULTS: &[Fault] = &[
    (
        "406 before any check of a token",
        |request| match good(request) {
            refused if refused.status == 401 && request.method == "POST" => {
                answer(406, &json!({"error": {"message": "Not Acceptable"}}))
            }
            other => other,
        },
        "status",
        "fail",
        "",
    ),
    (
        "RFC 9728 under the authorization server's name",
        |request| {
            if request.is("oauth-authorization-server") {
                return answer(200, &resource_metadata(&request.origin));
            }
            if request.is(RESOURCE_FORM) {
                return answer(404, &json!({}));
            }
            good(request)
        },
        "swapped-metadata",
        "fail",
        "",
    ),
    (
        "200 with an error object",
        |request| match good(request) {
            refused if refused.status == 401 => answer(
                200,
                &json!({"error": "unauthorized", "message": "no token"}),
            ),
            other => other,
        },
        "error-with-success",
        "fail",
        "",
    ),
    (
        "https://localhost by default",
        |request| {
            if request.is(RESOURCE_FORM) {
                let resource = "https://localhost:8000/mcp";
                return answer(
                    200,
                    &json!({"resource": resource, "authorization_servers": ["https://localhost:8000"]}),
                );
            }
            good(request)
        },
        "localhost",
        "fail",
        "",
    ),
    (
        "the REST API is protected, the MCP endpoint is not",
        |request| match good(request) {
            refused if refused.status == 401 => answer(200, &result()),
            other => other,
        },
        "open",
        "fail",
        "",
    ),
    (
        "an outage of the key server is a 401",
        |request| match request.path.as_str() {
            "/auth/keys" => answer(503, &json!({})),
            "/mcp" if request.is_authorized() => unauthorized(request, "error=\"invalid_token\", "),
            _ => good(request),
        },
        "outage",
        "fail",
        "PT1R",
    ),
    (
        "a 401 without WWW-Authenticate",
        |request| good(request).without("www-authenticate"),
        "challenge",
        "fail",
        "PT1",
    ),
    (
        "another issuer in its metadata",
        |request| {
            if request.is(ISSUER_FORM) {
                let mut metadata = issuer_metadata(&request.origin);
                metadata["issuer"] = json!("https://auth.example.com");
                return answer(200, &metadata);
            }
            good(request)
        },
        "issuer",
        "fail",
        "1",
    ),
    (
        "an exception for a bad token",
        |request| match good(request) {
            refused if refused.status == 401 && request.header("authorization").is_some() => {
                answer(500, &json!({}))
            }
            other => other,
        },
        "bad-token",
        "fail",
        "PT1R",
    ),
    (
        "the metadata needs a token",
        |request| {
            if request.is(RESOURCE_FORM) {
                return unauthorized(request, "");
            }
            good(request)
        },
        "metadata",
        "fail",
        "",
    ),
    (
        "a slash at the end of resource",
        |request| {
            if request.is(RESOURCE_FORM) {
                let mut metadata = resource_metadata(&request.origin);
                metadata["resource"] = json!(format!("{}/mcp/", request.origin));
                return answer(200, &metadata);
            }
            good(request)
        },
        "resource",
        "fail",
        "P",
    ),
    (
        "403 instead of 401",
        |request| match good(request) {
            refused if refused.status == 401 => Answer {
                status: 403,
                ..refused
            },
            other => other,
        },
        "status",
        "fail",
        "",
    ),
    (
        "a relative resource_metadata",
        |request| match good(request) {
            refused if refused.status == 401 => refused.with_challenge(
                "Bearer resource_metadata=\"/.well-known/oauth-protected-resource/mcp\"",
            ),
            other => other,
        },
        "resource-metadata-url",
        "fail",
        "T1R",
    ),
    (
        "an unquoted URL",
        |request| match good(request) {
            refused if refused.status == 401 => {
                let challenge = refused.headers.last().unwrap().1.replace('"', "");
                refused.with_challenge(&challenge)
            }
            other => other,
        },
        "challenge",
        "fail",
        "PT1R",
    ),
    (
        "another scheme first",
        |request| match good(request) {
            refused if refused.status == 401 => {
                let challenge = format!("Basic realm=\"x\", {}", refused.headers.last().unwrap().1);
                refused.with_challenge(&challenge)
            }
            other => other,
        },
        "challenge",
        "fail",
        "PT1R",
    ),
    (
        "a redirect to another host",
        |request| match good(request) {
            refused if refused.status == 401 => {
                answer(307, &json!({})).with("location", "https://elsewhere.example.com/mcp")
            }
            other => other,
        },
        "redirects",
        "fail",
        "",
    ),
    (
        "a preflight needs a token",
        |request| match request.method.as_str() {
            "OPTIONS" => unauthorized(request, ""),
            _ => good(request),
        },
        "cors-preflight",
        "note",
        "PT1R",
    ),
    (
        "a session is enough",
        |request| match request.asks_for("tools/list") {
            true => answer(200, &result()),
            false => good(request),
        },
        "without-token",
        "fail",
        "PT1R",
    ),
    (
        "signatures are not verified",
        |request| match request.header("authorization") {
            Some(_) => answer(200, &result()),
            None => good(request),
        },
        "altered-token",
        "fail",
        "PT1R",
    ),
    (
        "the server answers on every path",
        |request| match request.path.as_str() {
            "/mcp-auth-probe-beside" => answer(200, &result()),
            _ => good(request),
        },
        "beside",
        "fail",
        "PT1R",
    ),
    (
        "keys that nobody can verify with",
        |request| match request.path.as_str() {
            "/auth/keys" => answer(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
            _ => good(request),
        },
        "keys",
        "fail",
        "PT1R",
    ),
    (
        "no S256",
        |request| {
            if request.is(ISSUER_FORM) {
                let mut metadata = issuer_metadata(&request.origin);
                metadata["code_challenge_methods_supported"] = json!(["plain"]);
                return answer(200, &metadata);
            }
            good(request)
        },
        "pkce",
        "fail",
        "P",
    ),
    (
        "no response types",
        |request| {
            if request.is(ISSUER_FORM) {
                let mut metadata = issuer_metadata(&request.origin);
                metadata
                    .as_object_mut()
                    .unwrap()
                    .remove("response_types_supported");
                return answer(200, &metadata);
            }
            good(request)
        },
        "issuer-endpoints",
        "fail",
        "PR",
    ),
    (
        "no way to register",
        |request| {
            if request.is(ISSUER_FORM) {
                let mut metadata = issuer_metadata(&request.origin);
                metadata
                    .as_object_mut()
                    .unwrap()
                    .remove("registration_endpoint");
                return answer(200, &metadata);
            }
            good(request)
        },
        "registration",
        "note",
        "PT1R",
    ),
    (
        "a text for a 404",
        |request| match good(request) {
            lost if lost.status == 404 => Answer {
                body: "Not Found".to_owned(),
                ..lost
            },
            other => other,
        },
        "json-404",
        "note",
        "PT1R",
    ),
];

#[test]
fn every_fault_is_named() {
    let mut wrong = Vec::new();
    for (what, server, check, mark, sdks) in FAULTS {
        let (code, report) = report(*server);
        let found = named(&report, mark);
        if !found.contains(check) {
            wrong.push(format!("{what}: {check} is not among {found:?}"));
        }
        if logging_in(&report) != *sdks {
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
        let is_bad = *sdks != "PT1R" || inside.contains(check);
        if code != i32::from(is_bad) {
            wrong.push(format!("{what}: exit code {code}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
