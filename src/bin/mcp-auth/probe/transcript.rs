//! The requests that were sent, and what came back: all that the rules look at.

use serde_json::{Map, Value};
use url::Url;

/// The longest answer that is kept, in bytes: 256 KiB.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// How many redirects within one origin are followed, as the SDKs do.
const MAX_REDIRECTS: usize = 3;

/// The origin that the requests of a browser name: the default one of the MCP Inspector.
pub(crate) const BROWSER_ORIGIN: &str = "http://localhost:6274";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// POST `server/discover`, as clients of 2026-07-28 begin.
    Discover,
    /// POST `initialize`, as clients of 2025-11-25 begin.
    Initialize,
    /// The same from a browser.
    FromBrowser,
    /// The same with a token that nobody issued, as one that is no longer good.
    BadToken,
    /// GET of the endpoint.
    Get,
    /// HEAD of the endpoint.
    Head,
    /// OPTIONS of the endpoint without an origin.
    Options,
    /// The preflight of a browser, for the endpoint or a document.
    Preflight,
    /// GET of a document, from a browser.
    Document,
    /// What is sent with the user's token, or with a changed one.
    Inside(Inside),
}

/// The requests with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// POST `server/discover`.
    Discover,
    /// POST `initialize`.
    Initialize,
    /// POST `notifications/initialized`, where a session was begun.
    Initialized,
    /// POST `tools/list`.
    ToolsList,
    /// DELETE of the session that was begun.
    EndSession,
    /// The token with one byte of its signature changed.
    Altered,
    /// `tools/list` without the token.
    WithoutToken,
    /// The token, for a path beside the endpoint.
    Beside,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The name has no address.
    NoSuchHost,
    /// Nothing accepts connections there, or the connection broke.
    Connection(String),
    /// The certificate, or TLS as such.
    Tls(String),
    /// No answer in time.
    Timeout,
    /// What came is no HTTP.
    NotHttp(String),
    /// The time for all requests was over, or the server did not answer before.
    NotSent,
}

impl Trouble {
    /// As the end of a sentence that begins with who was asked.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::NoSuchHost => "its name has no address".to_owned(),
            Self::Connection(why) => format!("no connection: {why}"),
            Self::Tls(why) => format!("TLS failed: {why}"),
            Self::Timeout => "no answer in time".to_owned(),
            Self::NotHttp(why) => format!("no HTTP answer: {why}"),
            Self::NotSent => {
                "not asked, since it did not answer before or time was over".to_owned()
            }
        }
    }
}

/// One answer, as far as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order of the lines.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// More was to come than was read.
    pub(crate) cut: bool,
}

impl Answer {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter();
        lines.find_map(|(found, value)| (found == name).then_some(value.as_str()))
    }

    /// Every line of a header.
    pub(crate) fn header_lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.headers.iter();
        lines.filter_map(move |(found, value)| (found == name).then_some(value.as_str()))
    }

    /// The header as `fetch` and httpx hand it out: its lines, joined.
    pub(crate) fn header_joined(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.header_lines(name).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// The media type without its parameters, in lower case.
    pub(crate) fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        let kind = value.split(';').next().unwrap_or_default();
        Some(kind.trim().to_ascii_lowercase())
    }

    /// Whether the status is one of success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a JSON object; of an event stream, its first event that is one.
    pub(crate) fn object(&self) -> Option<Map<String, Value>> {
        if self.media_type().as_deref() == Some("text/event-stream") {
            let text = std::str::from_utf8(&self.body).ok()?;
            let mut data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            return data.find_map(|json| as_object(json.trim().as_bytes()));
        }
        as_object(&self.body)
    }
}

fn as_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Some(members),
        Ok(_) | Err(_) => None,
    }
}

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) outcome: Result<Answer, Trouble>,
}

/// Everything that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    /// The endpoint, as it was given.
    pub(crate) url: Url,
    pub(crate) exchanges: Vec<Exchange>,
}

impl Transcript {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            exchanges: Vec::new(),
        }
    }

    /// The outcome of a request, its redirects not followed.
    pub(crate) fn outcome(&self, kind: Kind, url: &Url) -> Option<&Result<Answer, Trouble>> {
        let wanted = without_fragment(url);
        let found = |exchange: &&Exchange| {
            exchange.request.kind == kind && without_fragment(&exchange.request.url) == wanted
        };
        self.exchanges.iter().find(found).map(|one| &one.outcome)
    }

    /// The answer to a request, its redirects not followed.
    pub(crate) fn answer(&self, kind: Kind, url: &Url) -> Option<&Answer> {
        self.outcome(kind, url)?.as_ref().ok()
    }

    /// The answer of the endpoint.
    pub(crate) fn endpoint(&self, kind: Kind) -> Option<&Answer> {
        self.answer(kind, &self.url)
    }

    /// The answer after redirects within the origin, as the SDKs follow them; a redirect that leaves
    /// it, or one too many, is the answer itself.
    pub(crate) fn settled(&self, kind: Kind, url: &Url) -> Option<&Answer> {
        let mut url = url.clone();
        let mut answer = self.answer(kind, &url)?;
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = redirect(&url, answer).filter(|next| same_origin(&url, next)) else {
                break;
            };
            let Some(followed) = self.answer(kind, &next) else {
                break;
            };
            (url, answer) = (next, followed);
        }
        Some(answer)
    }

    /// What a client sees first when it begins in this way.
    pub(crate) fn first(&self, kind: Kind) -> Option<&Answer> {
        self.settled(kind, &self.url)
    }
}

/// Where an answer leads, if it is a redirect.
pub(crate) fn redirect(from: &Url, answer: &Answer) -> Option<Url> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(answer.header("location")?).ok()
}

/// Scheme, host and port are the same.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Whether the host of a URL is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}
