//! The Rust SDK, and what is built on it.

use url::{Host, Url};

use super::{
    Comparison, Fetched, Login, differs, fetch, no_issuer_metadata, other_issuer, registration,
    scopes, supports_code_with_pkce,
};
use crate::probe::challenge::parameter_with_escapes;
use crate::probe::metadata::{AUTHORIZATION_SERVER, Document, OPENID, PROTECTED_RESOURCE};
use crate::probe::transcript::{Answer, Kind, Transcript, is_loopback, same_origin};

/// The login that a 401 begins.
pub(crate) fn login(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    // Its transport looks at the first line alone, and takes a 401 without one for an error.
    let Some(header) = refused.header("www-authenticate") else {
        return Err("a 401 without WWW-Authenticate is an error to it, not a challenge".to_owned());
    };
    let metadata = match named_metadata(transcript, header)? {
        Some(found) => Some(found),
        None => metadata_of_the_endpoint(transcript)?,
    };
    let found = match &metadata {
        Some(found) => named_issuer(transcript, found)?,
        None => issuer_metadata(transcript, &transcript.url, None)?,
    };
    let Some(found) = found else {
        return Err(no_issuer_metadata(&transcript.url));
    };
    supports_code_with_pkce(&found)?;
    let challenged = parameter_with_escapes(header, "scope");
    Ok(Login {
        registration: registration(&found),
        scopes: scopes(challenged.as_deref(), metadata.as_ref()),
    })
}

/// The URL of the metadata that a header line names, if the SDK takes it.
fn named(url: &Url, line: &str) -> Option<Url> {
    let value = parameter_with_escapes(line, "resource_metadata")?;
    let named = value.parse().or_else(|_| url.join(&value)).ok()?;
    let downgrades = url.scheme() == "https" && named.scheme() != "https";
    let fits = same_origin(url, &named) || (!downgrades && may_ask(url, &named));
    fits.then_some(named)
}

fn named_metadata<'a>(
    transcript: &'a Transcript,
    line: &str,
) -> Result<Option<Document<'a>>, String> {
    match named(&transcript.url, line) {
        Some(place) => read(transcript, &place, true),
        None => Ok(None),
    }
}

/// What a GET of the endpoint says, then the well-known places.
fn metadata_of_the_endpoint(transcript: &Transcript) -> Result<Option<Document<'_>>, String> {
    let url = &transcript.url;
    if let Some(answer) = transcript.settled(Kind::Get, url) {
        if is_failure(answer.status) {
            return Err(format!("status {} of a GET of the endpoint", answer.status));
        }
        let mut lines = answer.header_lines("www-authenticate");
        let place = lines.find_map(|line| named(url, line));
        if let Some(place) = place.filter(|_| answer.status == 401)
            && let Some(found) = read(transcript, &place, true)?
        {
            return Ok(Some(found));
        }
    }
    let path = url.path().trim_matches('/');
    let well_known = format!("/.well-known/{PROTECTED_RESOURCE}");
    let places = if path.is_empty() {
        vec![well_known]
    } else {
        vec![
            format!("{well_known}/{path}"),
            format!("/{path}{well_known}"),
            well_known,
        ]
    };
    for place in places.iter().filter_map(|place| url.join(place).ok()) {
        if let Some(found) = read(transcript, &place, false)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Statuses that end the discovery.
fn is_failure(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 425 | 429)
}

/// A document that the server named has to be its metadata; a guess may be something else.
fn read<'a>(
    transcript: &'a Transcript,
    place: &Url,
    advertised: bool,
) -> Result<Option<Document<'a>>, String> {
    let found = match fetch(transcript, place) {
        Fetched::Object(found) => found,
        Fetched::Nothing => return Err(format!("{place} does not answer")),
        Fetched::Status(status) if is_failure(status) => {
            return Err(format!("status {status} of {place}"));
        }
        Fetched::Status(300..=399) => return Err(format!("{place} leads to another host")),
        Fetched::NotJson | Fetched::Status(_) => return Ok(None),
    };
    let why = if !found.is_of_a_resource() {
        Some(format!("{place} is no metadata of a resource"))
    } else {
        let resource = found.text("resource").unwrap_or_default();
        differs(Comparison::Segments, &transcript.url, resource)
    };
    match why {
        Some(why) if advertised => Err(why),
        Some(_) => Ok(None),
        None => Ok(Some(found)),
    }
}

/// The first authorization server with metadata; that none has any ends the login.
fn named_issuer<'a>(
    transcript: &'a Transcript,
    metadata: &Document<'a>,
) -> Result<Option<Document<'a>>, String> {
    let servers = metadata.texts("authorization_servers").unwrap_or_default();
    if servers.is_empty() {
        return issuer_metadata(transcript, &transcript.url, None);
    }
    for server in &servers {
        let Ok(issuer) = metadata.url.join(server) else {
            continue;
        };
        if may_ask(&transcript.url, &issuer)
            && let Some(found) = issuer_metadata(transcript, &issuer, Some(issuer.as_str()))?
        {
            return Ok(Some(found));
        }
    }
    let all = servers.join(" ");
    Err(format!(
        "no authorization server of {all} has metadata that it may read"
    ))
}

/// Hosts of this machine and of private networks are asked only from there.
fn may_ask(url: &Url, issuer: &Url) -> bool {
    let is_private = match issuer.host() {
        Some(Host::Ipv4(address)) => address.is_private() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Some(Host::Domain(_)) | None => false,
    };
    let is_http = matches!(issuer.scheme(), "http" | "https");
    is_http && !is_private && (!is_loopback(issuer) || is_loopback(url))
}

fn issuer_metadata<'a>(
    transcript: &'a Transcript,
    issuer: &Url,
    expected: Option<&str>,
) -> Result<Option<Document<'a>>, String> {
    let path = issuer.path().trim_matches('/');
    let root = format!("/.well-known/{AUTHORIZATION_SERVER}");
    let places = if path.is_empty() {
        vec![root, format!("/.well-known/{OPENID}")]
    } else {
        vec![
            format!("{root}/{path}"),
            format!("/.well-known/{OPENID}/{path}"),
            format!("/{path}/.well-known/{OPENID}"),
            root,
        ]
    };
    for place in places {
        let Ok(url) = issuer.join(&place) else {
            continue;
        };
        match fetch(transcript, &url) {
            Fetched::Object(found) if has_endpoints(&found) => {
                let guessed = expected_at(&url);
                return is_issuer(&found, expected.unwrap_or(&guessed)).map(|()| Some(found));
            }
            Fetched::Status(status) if is_failure(status) => {
                return Err(format!("status {status} of {url}"));
            }
            Fetched::Nothing => return Err(format!("{url} does not answer")),
            Fetched::Object(_) | Fetched::NotJson | Fetched::Status(_) => {}
        }
    }
    Ok(None)
}

fn has_endpoints(found: &Document<'_>) -> bool {
    found.text("authorization_endpoint").is_some() && found.text("token_endpoint").is_some()
}

/// The issuer whose metadata is at a well-known place.
fn expected_at(url: &Url) -> String {
    let mut path = url.path().to_owned();
    for name in [AUTHORIZATION_SERVER, OPENID] {
        path = path.replacen(&format!("/.well-known/{name}"), "", 1);
    }
    format!("{}{path}", url.origin().ascii_serialization())
}

fn is_issuer(found: &Document<'_>, expected: &str) -> Result<(), String> {
    let bare = |text: &str| match text.parse::<Url>() {
        Ok(url) if url.path() == "/" => text.trim_end_matches('/').to_owned(),
        Ok(_) | Err(_) => text.to_owned(),
    };
    let own = found.text("issuer").map(bare);
    if own == Some(bare(expected)) {
        Ok(())
    } else {
        Err(other_issuer(found, expected))
    }
}
