//! A small server that does everything well, and what another needs to do one thing badly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What came in.
pub(crate) struct Request {
    pub(crate) origin: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        Some(all.find(|(found, _)| found == name)?.1.as_str())
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.path == format!("/.well-known/{name}")
    }

    pub(crate) fn asks_for(&self, method: &str) -> bool {
        self.body.contains(&format!("\"method\":\"{method}\""))
    }

    /// The token of the test, whole.
    pub(crate) fn is_authorized(&self) -> bool {
        let sent = self.header("authorization").unwrap_or_default();
        sent == format!("Bearer {}", token(&self.origin))
    }
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) fn answer(status: u16, body: &Value) -> Answer {
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
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        Some(all.find(|(found, _)| found == name)?.1.as_str())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self
    }

    pub(crate) fn with_challenge(self, challenge: &str) -> Self {
        self.without("www-authenticate")
            .with("www-authenticate", challenge)
    }
}

pub(crate) const RESOURCE_FORM: &str = "oauth-protected-resource/mcp";
pub(crate) const ISSUER_FORM: &str = "oauth-authorization-server/auth";

pub(crate) fn resource_metadata(origin: &str) -> Value {
    json!({
        "resource": format!("{origin}/mcp"),
        "authorization_servers": [format!("{origin}/auth")],
        "scopes_supported": ["mcp:read", "mcp:write"],
    })
}

pub(crate) fn issuer_metadata(origin: &str) -> Value {
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

pub(crate) fn token(origin: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"aud": format!("{origin}/mcp"), "sub": "alice"});
    let signature = URL_SAFE_NO_PAD.encode([7; 64]);
    format!(
        "{}.{}.{signature}",
        part(json!({"alg": "EdDSA"})),
        part(claims)
    )
}

pub(crate) fn result() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "echo"}]}})
}

pub(crate) fn unauthorized(request: &Request, error: &str) -> Answer {
    let origin = &request.origin;
    answer(401, &json!({"error": "unauthorized"})).with(
        "www-authenticate",
        &format!(
            "Bearer {error}resource_metadata=\"{origin}/.well-known/{RESOURCE_FORM}\", scope=\"mcp:read\""
        ),
    )
}

/// A server that does everything well.
pub(crate) fn good(request: &Request) -> Answer {
    let origin = request.origin.as_str();
    match request.path.as_str() {
        "/mcp" if request.method == "OPTIONS" => answer(204, &json!({})),
        "/mcp" if request.is_authorized() => answer(200, &result()),
        "/mcp" if request.header("authorization").is_some() => {
            unauthorized(request, "error=\"invalid_token\", ")
        }
        "/mcp" => unauthorized(request, ""),
        "/auth/token" | "/auth/register" if request.method == "OPTIONS" => answer(204, &json!({})),
        "/auth/keys" => answer(200, &keys()),
        _ if request.is(RESOURCE_FORM) => answer(200, &resource_metadata(origin)),
        _ if request.is(ISSUER_FORM) => answer(200, &issuer_metadata(origin)),
        _ => answer(404, &json!({"error": "not_found"})),
    }
}

pub(crate) type Server = fn(&Request) -> Answer;

/// Serves until the test's process ends, one thread for each connection.
pub(crate) fn serve(server: Server) -> String {
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
