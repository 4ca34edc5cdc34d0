//! `mcp-auth probe`: what clients would make of an MCP server, and what is in their way.
//!
//! `plan` sends what clients send, `transcript` keeps what came back, and all else are rules over
//! that: they can be tried without a network.

mod challenge;
mod checks;
mod clients;
mod http;
mod inside;
mod metadata;
mod plan;
mod report;
mod transcript;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueHint;
use serde_json::{Map, Value};
use ureq::tls::{Certificate, PemItem, parse_pem};
use url::Url;

use self::http::{Network, Send as _};
use self::plan::{Recorder, plain};
use self::report::Report;
use self::transcript::{Kind, Request};
use crate::{Failure, Outcome, read_file, read_stdin, show};

/// Ask an MCP server what clients ask: which log in, and why not
#[derive(clap::Args)]
#[command(after_help = "\
Sends some thirty requests, and no credentials but one made-up token. Exit code:
0 if every official SDK could log in, 1 if not, 2 if the command is wrong.

Examples:
  mcp-auth probe https://mcp.example.com/mcp
  mcp-auth probe https://mcp.example.com/mcp --token < token")]
#[command(after_long_help = "\
Sends some thirty requests to the server and to the authorization servers that it names: no
credentials but one made-up token, no registration, no login. With --token, one token is read from
standard input and sent to the server alone; nothing of it is ever shown.

Exit code: 0 if every official SDK could log in (and, with --token, the token opens what it should
and no more), 1 if not, 2 if the command is wrong.

Examples:
  mcp-auth probe https://mcp.example.com/mcp
  mcp-auth probe http://127.0.0.1:8080/mcp --json | jq '.clients[] | {name, verdict, why}'
  mcp-auth probe https://mcp.example.com/mcp --token < token")]
pub(crate) struct Args {
    /// The URL that clients are given
    #[arg(value_hint = ValueHint::Url)]
    url: String,
    /// Look inside too, with a token from standard input
    #[arg(long)]
    token: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Trust these certificates (PEM), not Mozilla's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
    /// Seconds for one request
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// The longest token that is sent, in bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Asks, judges, and reports.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let url = endpoint(&args.url)?;
    let ca = args.ca.as_deref().map(certificates).transpose()?;
    let token = if args.token { Some(token()?) } else { None };
    let mut network = Network::new(Duration::from_secs(args.timeout), ca);
    let mut progress = progress();
    let mut recorder = Recorder::new(url, &mut network, &mut progress);
    recorder.ask_everything();
    if let Some(token) = token
        .as_deref()
        .filter(|_| recorder.transcript.exchanges.len() > 1)
    {
        inside::ask(&mut recorder, token);
    }
    let transcript = recorder.transcript;
    clear_progress();
    let mut checks = checks::all(&transcript);
    if let Some(token) = &token {
        checks.extend(inside::checks(&transcript, token));
    }
    let report = Report::new(&transcript, &checks, token.as_deref());
    let colours = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    Ok(Outcome {
        yes: report.is_good(),
        text: if args.json {
            report.json()
        } else {
            report.text(colours)
        },
    })
}

/// The JSON object that a URL serves with status 200, redirects not followed.
pub(crate) fn ask(url: &str, timeout: Duration) -> Result<Map<String, Value>, String> {
    let url: Url = url.parse().map_err(|_| "not a URL".to_owned())?;
    let request = plain(Kind::Document, "GET", &url);
    let answer = Network::new(timeout, None).send(&request);
    let answer = answer.map_err(|trouble| trouble.describe())?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    answer.object().ok_or_else(|| "no JSON object".to_owned())
}

fn endpoint(text: &str) -> Result<Url, Failure> {
    let wrong =
        |why: &str| Failure::Usage(format!("URL: {why}, such as https://mcp.example.com/mcp"));
    let url: Url = text.parse().map_err(|_| wrong("not an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has a user name or password; clients send neither",
        ));
    }
    Ok(url)
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let bytes = read_file(path)?;
    let found: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate.to_owned()),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has no PEM certificate",
            path.display()
        )));
    }
    Ok(found)
}

/// The token, without what people paste around it.
fn token() -> Result<String, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("standard input: {why}"));
    let text = String::from_utf8(read_stdin()?).map_err(|_| wrong("not a token"))?;
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let is_token68 = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if token.is_empty() {
        return Err(wrong("no token"));
    }
    if token.len() > MAX_TOKEN_BYTES || !token.chars().all(is_token68) {
        return Err(wrong(
            "not a token (RFC 6750 §2.1), or one of more than 64 KiB",
        ));
    }
    Ok(token.to_owned())
}

/// What is asked, on one line of a terminal.
fn progress() -> impl FnMut(&Request) {
    let shown = io::stderr().is_terminal();
    move |request: &Request| {
        if shown {
            let url: String = request.url.as_str().chars().take(60).collect();
            let line = show::line(&format!("{} {url}", request.method));
            // Only a courtesy.
            let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
        }
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
}
