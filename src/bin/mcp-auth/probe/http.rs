//! The network: sends one request, and bounds what it may cost.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::transcript::{Answer, MAX_BODY_BYTES, Request, Trouble};

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// All requests together, whatever each may take.
const ALL_REQUESTS: Duration = Duration::from_secs(120);

/// Whoever sends requests: the network, or a table of a test.
pub(crate) trait Send {
    /// Sends it, and follows no redirect.
    fn send(&mut self, request: &Request) -> Result<Answer, Trouble>;
}

/// The network.
pub(crate) struct Network {
    agent: Agent,
    until: Instant,
    /// Origins that nothing answers at: asked once.
    silent: HashSet<String>,
}

impl Network {
    /// With Mozilla's root certificates, as in Node.js and Python, or with those of `ca` alone.
    pub(crate) fn new(timeout: Duration, ca: Option<Vec<Certificate<'static>>>) -> Self {
        let roots = match ca {
            Some(own) => RootCerts::Specific(Arc::new(own)),
            None => RootCerts::WebPki,
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .max_response_header_size(MAX_HEAD_BYTES)
            .user_agent(concat!("mcp-auth/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        #[allow(clippy::disallowed_methods, reason = "only the network needs a clock")]
        let until = Instant::now()
            .checked_add(ALL_REQUESTS)
            .unwrap_or_else(Instant::now);
        Self {
            agent: config.into(),
            until,
            silent: HashSet::new(),
        }
    }

    fn exchange(&self, request: &Request) -> Result<Answer, Trouble> {
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(request.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let not_http = |error: http::Error| Trouble::NotHttp(error.to_string());
        let response = match &request.body {
            Some(body) => self
                .agent
                .run(builder.body(body.as_str()).map_err(not_http)?),
            None => self.agent.run(builder.body(()).map_err(not_http)?),
        };
        let response = response.map_err(|error| trouble(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            ..Answer::default()
        };
        let streams = answer.media_type().as_deref() == Some("text/event-stream");
        // A stream that the endpoint opens for a GET says nothing until something happens.
        if request.method == "HEAD" || (streams && request.method == "GET") {
            return Ok(answer);
        }
        let reader = response.into_body().into_reader();
        (answer.body, answer.cut) = read(reader, streams);
        Ok(answer)
    }
}

impl Send for Network {
    fn send(&mut self, request: &Request) -> Result<Answer, Trouble> {
        let origin = request.url.origin().ascii_serialization();
        #[allow(clippy::disallowed_methods, reason = "only the network needs a clock")]
        let is_over = Instant::now() >= self.until;
        if is_over || self.silent.contains(&origin) {
            return Err(Trouble::NotSent);
        }
        let outcome = self.exchange(request);
        if let Err(Trouble::NoSuchHost | Trouble::Connection(_) | Trouble::Tls(_)) = &outcome {
            self.silent.insert(origin);
        }
        outcome
    }
}

/// The body as far as it matters; `true` if there was more.
fn read(mut reader: impl Read, streams: bool) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let mut piece = [0; 8 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return (body, false),
            Ok(length) => body.extend(piece.iter().take(length)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What came before the time was over may be enough.
            Err(_) => return (body, true),
        }
        if body.len() >= MAX_BODY_BYTES {
            body.truncate(MAX_BODY_BYTES);
            return (body, true);
        }
        if streams && holds_an_event(&body) {
            return (body, true);
        }
    }
}

/// Whether an event with data has come whole.
fn holds_an_event(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    let text = text.replace("\r\n", "\n");
    let Some((events, _)) = text.rsplit_once("\n\n") else {
        return false;
    };
    events.lines().any(|line| {
        line.strip_prefix("data:")
            .is_some_and(|data| data.contains('{'))
    })
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the client's errors may grow: each but these is said in its own words"
)]
fn trouble(error: &ureq::Error) -> Trouble {
    match error {
        ureq::Error::HostNotFound => Trouble::NoSuchHost,
        ureq::Error::Timeout(_) => Trouble::Timeout,
        ureq::Error::ConnectionFailed => Trouble::Connection("refused".to_owned()),
        ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => Trouble::Timeout,
        // rustls wraps its errors in those of the stream.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            Trouble::Tls(error.to_string())
        }
        // The standard library has no kind for it.
        ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup address") => {
            Trouble::NoSuchHost
        }
        ureq::Error::Io(error) => Trouble::Connection(error.to_string()),
        ureq::Error::Rustls(error) => Trouble::Tls(error.to_string()),
        ureq::Error::Tls(error) => Trouble::Tls((*error).to_owned()),
        other => Trouble::NotHttp(other.to_string()),
    }
}

/// A header's value as Latin-1, which no byte falls out of.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
