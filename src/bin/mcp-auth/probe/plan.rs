//! Which requests are sent, in which order: what clients ask for, each URL once.

use serde_json::json;
use url::Url;

use super::http::Send;
use super::metadata::{self, AUTHORIZATION_SERVER, OPENID, PROTECTED_RESOURCE};
use super::transcript::{
    Answer, BROWSER_ORIGIN, Exchange, Inside, Kind, Request, Transcript, Trouble, redirect,
    same_origin,
};

/// How many redirects of one request are followed within its origin.
const MAX_REDIRECTS: usize = 3;
/// How many authorization servers are looked at: clients take the first.
const MAX_ISSUERS: usize = 3;

/// The protocol versions of the two ways to begin.
pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const LEGACY: &str = "2025-11-25";

/// A token that nobody issued.
const BAD_TOKEN: &str = "mcp-auth-probe.no-token.at-all";

/// Sends requests and keeps what came of them.
pub(crate) struct Recorder<'a> {
    sender: &'a mut dyn Send,
    progress: &'a mut dyn FnMut(&Request),
    pub(crate) transcript: Transcript,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        url: Url,
        sender: &'a mut dyn Send,
        progress: &'a mut dyn FnMut(&Request),
    ) -> Self {
        Self {
            sender,
            progress,
            transcript: Transcript::new(url),
        }
    }

    /// Sends one request, unless it was sent already, and follows it within its origin.
    pub(crate) fn send(&mut self, request: Request) {
        let mut request = request;
        for _ in 0..=MAX_REDIRECTS {
            let known = self.transcript.outcome(request.kind, &request.url);
            if known.is_some() {
                return;
            }
            let Some(answer) = self.send_once(request.clone()) else {
                return;
            };
            // Another status makes a GET of a POST.
            let keeps_method = request.body.is_none() || matches!(answer.status, 307 | 308);
            match redirect(&request.url, &answer) {
                Some(next) if keeps_method && same_origin(&request.url, &next) => {
                    request.url = next;
                }
                Some(_) | None => return,
            }
        }
    }

    /// Sends one request, whatever was sent before.
    pub(crate) fn send_once(&mut self, request: Request) -> Option<Answer> {
        (self.progress)(&request);
        let outcome = self.sender.send(&request);
        let answer = outcome.as_ref().ok().cloned();
        self.transcript
            .exchanges
            .push(Exchange { request, outcome });
        answer
    }

    /// All that is asked without a token.
    pub(crate) fn ask_everything(&mut self) {
        let url = self.transcript.url.clone();
        self.send(discover(&url, Kind::Discover));
        if !self.endpoint_answers() {
            return;
        }
        self.send(initialize(&url, Kind::Initialize));
        let mut from_browser = initialize(&url, Kind::FromBrowser);
        from_browser
            .headers
            .push(("origin", BROWSER_ORIGIN.to_owned()));
        self.send(from_browser);
        let mut bad = initialize(&url, Kind::BadToken);
        bad.headers
            .push(("authorization", format!("Bearer {BAD_TOKEN}")));
        self.send(bad);
        for (kind, method) in [
            (Kind::Get, "GET"),
            (Kind::Head, "HEAD"),
            (Kind::Options, "OPTIONS"),
        ] {
            self.send(plain(kind, method, &url));
        }
        self.send(preflight(
            &url,
            "POST",
            "authorization, content-type, mcp-method, mcp-name, mcp-protocol-version",
        ));
        self.ask_for_documents();
    }

    /// The metadata of the resource, of its issuers, and their keys.
    fn ask_for_documents(&mut self) {
        for url in metadata::resource_places(&self.transcript) {
            self.document(&url);
        }
        let issuers = metadata::issuers_named(&self.transcript);
        for issuer in issuers.iter().take(MAX_ISSUERS) {
            for url in metadata::issuer_places(issuer) {
                self.document(&url);
            }
        }
        // Without metadata of the resource, clients take its host for the authorization server.
        for name in [AUTHORIZATION_SERVER, OPENID] {
            for url in metadata::places(&self.transcript.url, name) {
                self.document(&url);
            }
        }
        for url in metadata::key_sets(&self.transcript) {
            self.document(&url);
        }
        for url in metadata::documents_in_use(&self.transcript) {
            self.send(preflight(&url, "GET", "mcp-protocol-version"));
        }
        for url in metadata::endpoints_of_pages(&self.transcript) {
            self.send(preflight(&url, "POST", "content-type"));
        }
    }

    /// As a browser gets it, with the header that the SDKs add.
    fn document(&mut self, url: &Url) {
        let headers = vec![
            ("accept", "application/json".to_owned()),
            ("origin", BROWSER_ORIGIN.to_owned()),
            ("mcp-protocol-version", LEGACY.to_owned()),
        ];
        self.send(Request {
            kind: Kind::Document,
            method: "GET",
            url: url.clone(),
            headers,
            body: None,
        });
    }

    fn endpoint_answers(&self) -> bool {
        let first = self
            .transcript
            .outcome(Kind::Discover, &self.transcript.url);
        !matches!(
            first,
            Some(Err(Trouble::NoSuchHost
                | Trouble::Connection(_)
                | Trouble::Tls(_)
                | Trouble::Timeout
                | Trouble::NotHttp(_)
                | Trouble::NotSent))
        )
    }
}

/// A path that no server has anything at, for what a 404 looks like.
pub(crate) fn nowhere(url: &Url) -> Url {
    let mut nowhere = url.clone();
    nowhere.set_path(&format!("/.well-known/{PROTECTED_RESOURCE}/mcp-auth-probe"));
    nowhere.set_query(None);
    nowhere
}

/// POST `server/discover`.
pub(crate) fn discover(url: &Url, kind: Kind) -> Request {
    let mut request = post(url, kind, "server/discover", &modern_params());
    request.headers.extend([
        ("mcp-protocol-version", MODERN.to_owned()),
        ("mcp-method", "server/discover".to_owned()),
    ]);
    request
}

/// POST `initialize`.
pub(crate) fn initialize(url: &Url, kind: Kind) -> Request {
    let params = json!({
        "protocolVersion": LEGACY,
        "capabilities": {},
        "clientInfo": client_info(),
    });
    post(url, kind, "initialize", &params)
}

/// POST `tools/list` in one of the two eras.
pub(crate) fn tools_list(url: &Url, kind: Inside, modern: bool) -> Request {
    let kind = Kind::Inside(kind);
    if !modern {
        let mut request = post(url, kind, "tools/list", &json!({}));
        request
            .headers
            .push(("mcp-protocol-version", LEGACY.to_owned()));
        return request;
    }
    let mut request = post(url, kind, "tools/list", &modern_params());
    request.headers.extend([
        ("mcp-protocol-version", MODERN.to_owned()),
        ("mcp-method", "tools/list".to_owned()),
    ]);
    request
}

fn modern_params() -> serde_json::Value {
    json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    }})
}

fn client_info() -> serde_json::Value {
    json!({"name": "mcp-auth-probe", "version": env!("CARGO_PKG_VERSION")})
}

/// A JSON-RPC request.
fn post(url: &Url, kind: Kind, method: &str, params: &serde_json::Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    message(url, kind, &body)
}

/// A POST of one JSON-RPC message.
pub(crate) fn message(url: &Url, kind: Kind, body: &serde_json::Value) -> Request {
    Request {
        kind,
        method: "POST",
        url: url.clone(),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ],
        body: Some(body.to_string()),
    }
}

/// A request without a body.
pub(crate) fn plain(kind: Kind, method: &'static str, url: &Url) -> Request {
    let accept = if kind == Kind::Get {
        "text/event-stream, application/json"
    } else {
        "*/*"
    };
    Request {
        kind,
        method,
        url: url.clone(),
        headers: vec![("accept", accept.to_owned())],
        body: None,
    }
}

fn preflight(url: &Url, method: &str, headers: &str) -> Request {
    let mut request = plain(Kind::Preflight, "OPTIONS", url);
    request.headers.extend([
        ("origin", BROWSER_ORIGIN.to_owned()),
        ("access-control-request-method", method.to_owned()),
        ("access-control-request-headers", headers.to_owned()),
    ]);
    request
}
