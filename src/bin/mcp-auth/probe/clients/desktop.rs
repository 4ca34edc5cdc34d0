//! Clients with a discovery of their own, as far as it is known from their sources and from runs.

use url::Url;

use super::{
    Comparison, Login, differs, has_urls, no_issuer_metadata, other_issuer, registration, scopes,
    typescript,
};
use crate::probe::challenge::{begins_with, parameter_anywhere};
use crate::probe::metadata::{self, Document, PROTECTED_RESOURCE, document, of_issuer, places};
use crate::probe::plan::nowhere;
use crate::probe::transcript::{Answer, Kind, Transcript};
use crate::probe::{checks::cors, transcript::BROWSER_ORIGIN};

/// Claude on the web and on the desktop: Anthropic's servers connect, not the user's machine.
pub(crate) fn claude(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    let named = parameter_anywhere(&header, "resource_metadata");
    let login = follow(transcript, &header, named, Comparison::Text)?;
    if transcript.url.scheme() != "https" {
        return Err("it connects over https alone, from Anthropic's network".to_owned());
    }
    Ok(login)
}

/// VS Code: what is not its resource to the letter is dropped, and the endpoint's host taken for
/// the authorization server.
pub(crate) fn vs_code(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    let named = header.split_once("Bearer ");
    let named = named.and_then(|(_, rest)| parameter_anywhere(rest, "resource_metadata"));
    follow(transcript, &header, named, Comparison::Exact)
}

/// Cursor: asks the well-known places before anything else, and reads every answer as JSON.
pub(crate) fn cursor(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let url = &transcript.url;
    for place in places(url, PROTECTED_RESOURCE) {
        if let Some(answer) = transcript.settled(Kind::Document, &place)
            && !answer.body.is_empty()
            && answer.object().is_none()
        {
            return Err(format!(
                "the answer of {place} ({}) is no JSON",
                answer.status
            ));
        }
        if document(transcript, &place).is_some() {
            break;
        }
    }
    typescript::login_1(transcript, refused)
}

/// Gemini CLI: compares to the letter.
pub(crate) fn gemini(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    let named = parameter_anywhere(&header, "resource_metadata");
    follow(transcript, &header, named, Comparison::Text)
}

/// Qwen Code: asks at the root, and then at a path that is doubled.
pub(crate) fn qwen(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let url = &transcript.url;
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    let root = places(url, PROTECTED_RESOURCE).pop();
    let is_there = root.is_some_and(|root| document(transcript, &root).is_some());
    let mirrored = || of_issuer(transcript, url).is_some();
    if !is_there && !mirrored() {
        return Err(
            "it asks for the metadata at the root of the host alone, where there is none"
                .to_owned(),
        );
    }
    follow(transcript, &header, None, Comparison::Text)
}

/// The MCP Inspector in a browser: the TypeScript SDK, with what a browser lets through.
pub(crate) fn inspector(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let login = typescript::login(transcript, refused)?;
    match cors::blocks(transcript) {
        Some(why) => Err(format!("a browser at {BROWSER_ORIGIN} stops it: {why}")),
        None => Ok(login),
    }
}

/// The login by what the challenge names, else by the well-known places.
fn follow(
    transcript: &Transcript,
    header: &str,
    named: Option<String>,
    comparison: Comparison,
) -> Result<Login, String> {
    let url = &transcript.url;
    let found = match named.as_deref().map(str::parse::<Url>) {
        Some(Ok(place)) => document(transcript, &place),
        Some(Err(_)) | None => {
            let mut all = places(url, PROTECTED_RESOURCE);
            all.retain(|place| *place != nowhere(url));
            all.iter().find_map(|place| document(transcript, place))
        }
    };
    let found = found.filter(Document::is_of_a_resource);
    if let Some(found) = &found {
        let resource = found.text("resource").unwrap_or_default();
        if let Some(why) = differs(comparison, url, resource) {
            return Err(why);
        }
    }
    let servers = found
        .as_ref()
        .and_then(|one| one.texts("authorization_servers"));
    let server = servers.and_then(|servers| servers.first().map(|one| (*one).to_owned()));
    let server = server.unwrap_or_else(|| url.origin().ascii_serialization());
    let issuer = server.parse::<Url>();
    let issuer = issuer.map_err(|_| format!("{server} is no URL of an authorization server"))?;
    let Some(document) = metadata::of_issuer(transcript, &issuer) else {
        return Err(no_issuer_metadata(&issuer));
    };
    has_urls(&document, &["authorization_endpoint", "token_endpoint"])?;
    let own = document.text("issuer").unwrap_or_default();
    if own.trim_end_matches('/') != server.trim_end_matches('/') {
        return Err(other_issuer(&document, &server));
    }
    let challenged = begins_with(header, &["bearer"])
        .then(|| parameter_anywhere(header, "scope"))
        .flatten();
    Ok(Login {
        registration: registration(&document),
        scopes: scopes(challenged.as_deref(), found.as_ref()),
    })
}
