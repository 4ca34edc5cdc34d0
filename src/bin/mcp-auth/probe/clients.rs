//! What each known client would make of the answers: a login, or why not.
//!
//! The rules of the SDKs are read off their sources; the other clients are built on one of them, and
//! differ in what was seen when they were run.

mod desktop;
mod python;
mod resource;
mod rust;
mod step_up;
mod typescript;

use serde_json::Value;
use url::Url;

use super::metadata::{Document, document};
use super::transcript::{Answer, Kind, Transcript};

pub(crate) use resource::{Comparison, differs};
pub(crate) use step_up::steps_up;

/// How a client gets to a client ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The issuer takes the URL of the client's metadata document, or lets clients register.
    Itself,
    /// Neither is advertised: somebody has to register the client.
    ByHand,
}

/// Which scopes a login asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scopes {
    /// Those of the challenge.
    Challenge,
    /// All that the metadata lists.
    Metadata,
    /// None is named anywhere.
    None,
}

/// A login that can go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) registration: Registration,
    pub(crate) scopes: Scopes,
}

/// What becomes of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    LogsIn(Login),
    /// It is answered without a token, and never asked to log in.
    Open,
    /// It does not get that far, and why.
    Fails(String),
}

/// A client, and the rules that it follows.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// One of the SDKs of the MCP project: the exit code is about these.
    pub(crate) official: bool,
    login: fn(&Transcript, &Answer) -> Result<Login, String>,
    /// Statuses beside 401 at which it begins to log in.
    also_at_403: bool,
}

/// The SDKs, then the clients that people use.
pub(crate) const CLIENTS: &[Client] = &[
    sdk("Python SDK", python::login),
    sdk("TypeScript SDK", typescript::login),
    sdk("TypeScript SDK 1", typescript::login_1),
    sdk("Rust SDK", rust::login),
    known("Claude (web, desktop)", desktop::claude),
    known("Claude Code", typescript::login),
    Client {
        also_at_403: true,
        ..known("VS Code", desktop::vs_code)
    },
    known("Cursor", desktop::cursor),
    known("Codex", rust::login),
    known("GitHub Copilot CLI", typescript::login),
    known("Gemini CLI", desktop::gemini),
    known("Qwen Code", desktop::qwen),
    known("opencode", typescript::login_1),
    known("Cline", typescript::login_1),
    known("mcp-remote", typescript::login_1),
    known("mcporter", typescript::login_1),
    known("FastMCP", python::login),
    known("Inspector (web)", desktop::inspector),
    known("Inspector (CLI)", typescript::login),
];

const fn sdk(
    name: &'static str,
    login: fn(&Transcript, &Answer) -> Result<Login, String>,
) -> Client {
    Client {
        name,
        official: true,
        login,
        also_at_403: false,
    }
}

const fn known(
    name: &'static str,
    login: fn(&Transcript, &Answer) -> Result<Login, String>,
) -> Client {
    Client {
        official: false,
        ..sdk(name, login)
    }
}

impl Client {
    /// What becomes of a first connection without a token.
    pub(crate) fn first_login(&self, transcript: &Transcript) -> Verdict {
        match begin(transcript, self.also_at_403) {
            Begin::Refused(answer) => self.login_after(transcript, answer),
            Begin::Open => Verdict::Open,
            Begin::Stuck(why) => Verdict::Fails(why),
        }
    }

    /// What becomes of a login that this answer, a 401, began.
    pub(crate) fn login_after(&self, transcript: &Transcript, answer: &Answer) -> Verdict {
        match (self.login)(transcript, answer) {
            Ok(login) => Verdict::LogsIn(login),
            Err(why) => Verdict::Fails(why),
        }
    }
}

/// How a connection begins.
enum Begin<'a> {
    /// The server asks for a login.
    Refused(&'a Answer),
    /// It answers.
    Open,
    /// It does neither.
    Stuck(String),
}

/// A client begins with `server/discover`, and goes on with `initialize` if that is refused in
/// another way than for the lack of a token.
fn begin(transcript: &Transcript, also_at_403: bool) -> Begin<'_> {
    let refuses = |answer: &Answer| answer.status == 401 || (also_at_403 && answer.status == 403);
    let mut last = None;
    for kind in [Kind::Discover, Kind::Initialize] {
        let Some(answer) = transcript.first(kind) else {
            continue;
        };
        if refuses(answer) {
            return Begin::Refused(answer);
        }
        if is_result(answer) {
            return Begin::Open;
        }
        last = Some(answer);
    }
    let Some(answer) = last else {
        return Begin::Stuck("the endpoint does not answer".to_owned());
    };
    Begin::Stuck(match answer.status {
        200..=299 => "an error with a status of success asks nobody to log in".to_owned(),
        300..=399 => format!("a redirect ({}) to another host", answer.status),
        status => format!("status {status} asks nobody to log in"),
    })
}

/// Whether the server did what it was asked to.
pub(crate) fn is_result(answer: &Answer) -> bool {
    answer.is_success()
        && answer
            .object()
            .is_some_and(|members| members.contains_key("result"))
}

/// A document at a URL as a client gets it.
pub(crate) enum Fetched<'a> {
    /// Status 200, a JSON object.
    Object(Document<'a>),
    /// Status 200, and no JSON object.
    NotJson,
    /// Another status.
    Status(u16),
    /// No answer.
    Nothing,
}

/// Looks a document up.
pub(crate) fn fetch<'a>(transcript: &'a Transcript, url: &Url) -> Fetched<'a> {
    match transcript.settled(Kind::Document, url) {
        None => Fetched::Nothing,
        Some(answer) if answer.status != 200 => Fetched::Status(answer.status),
        Some(_) => document(transcript, url).map_or(Fetched::NotJson, Fetched::Object),
    }
}

/// Whether a member is an http(s) URL.
pub(crate) fn is_url(value: Option<&Value>) -> bool {
    let text = value.and_then(Value::as_str);
    let url = text.and_then(|text| text.parse::<Url>().ok());
    url.is_some_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether each of these members is an http(s) URL.
pub(crate) fn has_urls(document: &Document<'_>, names: &[&str]) -> Result<(), String> {
    for name in names {
        if !is_url(document.members.get(*name)) {
            return Err(format!("{name} is missing in {}, or no URL", document.url));
        }
    }
    Ok(())
}

/// A document's list of scopes has some.
pub(crate) fn lists_scopes(document: &Document<'_>) -> bool {
    let scopes = document.texts("scopes_supported");
    scopes.is_some_and(|scopes| !scopes.is_empty())
}

/// What a login asks for: the challenge's scopes, else those of the metadata.
pub(crate) fn scopes(challenged: Option<&str>, metadata: Option<&Document<'_>>) -> Scopes {
    if challenged.is_some_and(|scope| !scope.trim().is_empty()) {
        Scopes::Challenge
    } else if metadata.is_some_and(lists_scopes) {
        Scopes::Metadata
    } else {
        Scopes::None
    }
}

/// How clients come to a client ID by what the issuer advertises.
pub(crate) fn registration(issuer: &Document<'_>) -> Registration {
    let by_url = issuer.members.get("client_id_metadata_document_supported");
    let registers = is_url(issuer.members.get("registration_endpoint"));
    if registers || by_url == Some(&Value::Bool(true)) {
        Registration::Itself
    } else {
        Registration::ByHand
    }
}

/// Refuses an issuer that lists methods of PKCE, or response types, without those in use.
pub(crate) fn supports_code_with_pkce(issuer: &Document<'_>) -> Result<(), String> {
    for (name, wanted) in [
        ("response_types_supported", "code"),
        ("code_challenge_methods_supported", "S256"),
    ] {
        let listed = issuer.texts(name);
        if listed.is_some_and(|listed| !listed.contains(&wanted)) {
            return Err(format!("{name} in {} lacks {wanted}", issuer.url));
        }
    }
    Ok(())
}

/// The sentence for an issuer that calls itself otherwise.
pub(crate) fn other_issuer(issuer: &Document<'_>, expected: &str) -> String {
    let found = issuer.text("issuer").unwrap_or("nothing");
    format!("the issuer calls itself {found}, not {expected}")
}

/// The sentence for an issuer without metadata.
pub(crate) fn no_issuer_metadata(issuer: &Url) -> String {
    format!("no metadata of the authorization server {issuer} is found")
}
