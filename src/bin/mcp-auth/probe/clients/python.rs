//! The Python SDK, and what is built on it.

use url::Url;

use super::{
    Comparison, Fetched, Login, differs, fetch, has_urls, lists_scopes, no_issuer_metadata,
    other_issuer, registration, scopes,
};
use crate::probe::challenge::parameter_anywhere;
use crate::probe::metadata::{AUTHORIZATION_SERVER, Document, OPENID, PROTECTED_RESOURCE};
use crate::probe::transcript::{Answer, Transcript};

/// The login that a 401 begins.
pub(crate) fn login(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    let metadata = resource_metadata(transcript, &header)?;
    let issuer = match &metadata {
        Some(found) => {
            let servers = found.texts("authorization_servers").unwrap_or_default();
            servers.first().copied().unwrap_or_default().to_owned()
        }
        None => transcript.url.origin().ascii_serialization(),
    };
    let issuer_url: Url = issuer
        .parse()
        .map_err(|_| format!("{issuer} is no URL of an authorization server"))?;
    let found = issuer_metadata(transcript, &issuer_url, metadata.is_some())?;
    let Some(found) = found else {
        return Err(no_issuer_metadata(&issuer_url));
    };
    let own = found.text("issuer").unwrap_or_default();
    let legacy = metadata.is_none() && own.trim_end_matches('/') == issuer.trim_end_matches('/');
    if own != issuer && !legacy {
        return Err(other_issuer(&found, &issuer));
    }
    let challenged = parameter_anywhere(&header, "scope");
    let listing = metadata.as_ref().filter(|one| lists_scopes(one));
    Ok(Login {
        registration: registration(&found),
        scopes: scopes(challenged.as_deref(), listing.or(Some(&found))),
    })
}

/// Each place in turn; a document that is none is passed over, one of another resource ends it.
fn resource_metadata<'a>(
    transcript: &'a Transcript,
    header: &str,
) -> Result<Option<Document<'a>>, String> {
    let url = &transcript.url;
    let mut places = Vec::new();
    if let Some(named) = parameter_anywhere(header, "resource_metadata") {
        let absolute = named.parse::<Url>();
        places.push(absolute.map_err(|_| format!("resource_metadata {named} is no absolute URL"))?);
    }
    let well_known = format!("/.well-known/{PROTECTED_RESOURCE}");
    if url.path() != "/" {
        places.extend(url.join(&format!("{well_known}{}", url.path())));
    }
    places.extend(url.join(&well_known));
    let mut failed = None;
    for place in places {
        match fetch(transcript, &place) {
            Fetched::Object(found) if is_usable(&found) => {
                let resource = found.text("resource").unwrap_or_default();
                return match differs(Comparison::PrefixAnySlash, url, resource) {
                    Some(why) => Err(why),
                    None => Ok(Some(found)),
                };
            }
            Fetched::Status(status) if status >= 500 || status == 429 => {
                failed = Some(format!("status {status} of {place}"));
            }
            Fetched::Nothing => return Err(format!("{place} does not answer")),
            Fetched::Object(_) | Fetched::NotJson | Fetched::Status(_) => {}
        }
    }
    failed.map_or(Ok(None), Err)
}

fn is_usable(found: &Document<'_>) -> bool {
    let servers = found.texts("authorization_servers").unwrap_or_default();
    let mut servers = servers.iter().map(|server| server.parse::<Url>());
    has_urls(found, &["resource"]).is_ok() && servers.next().is_some_and(|first| first.is_ok())
}

/// Each place in turn; documents that are none are passed over, errors of the server end it.
fn issuer_metadata<'a>(
    transcript: &'a Transcript,
    issuer: &Url,
    named: bool,
) -> Result<Option<Document<'a>>, String> {
    let path = issuer.path().trim_end_matches('/');
    let places = if !named {
        vec![format!("/.well-known/{AUTHORIZATION_SERVER}")]
    } else if path.is_empty() {
        vec![
            format!("/.well-known/{AUTHORIZATION_SERVER}"),
            format!("/.well-known/{OPENID}"),
        ]
    } else {
        vec![
            format!("/.well-known/{AUTHORIZATION_SERVER}{path}"),
            format!("/.well-known/{OPENID}{path}"),
            format!("{path}/.well-known/{OPENID}"),
        ]
    };
    for place in places.iter().filter_map(|place| issuer.join(place).ok()) {
        match fetch(transcript, &place) {
            Fetched::Object(found) => {
                let members = ["issuer", "authorization_endpoint", "token_endpoint"];
                if has_urls(&found, &members).is_ok() {
                    return Ok(Some(found));
                }
            }
            Fetched::Status(status) if status >= 500 => return Ok(None),
            Fetched::Nothing => return Err(format!("{place} does not answer")),
            Fetched::NotJson | Fetched::Status(_) => {}
        }
    }
    Ok(None)
}
