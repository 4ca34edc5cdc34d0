//! The TypeScript SDK in its two versions, and what is built on them.

use url::Url;

use super::{
    Comparison, Fetched, Login, differs, fetch, has_urls, no_issuer_metadata, other_issuer,
    registration, scopes, supports_code_with_pkce,
};
use crate::probe::challenge::{begins_with, parameter_anywhere};
use crate::probe::metadata::{AUTHORIZATION_SERVER, Document, OPENID, PROTECTED_RESOURCE};
use crate::probe::transcript::{Answer, Transcript, is_loopback};

/// What differs between the versions.
#[derive(Clone, Copy)]
struct Version {
    schemes: &'static [&'static str],
    /// The issuer has to call itself as the resource does, and a token endpoint has to be secure.
    strict: bool,
}

const TWO: Version = Version {
    schemes: &["bearer", "dpop"],
    strict: true,
};
const ONE: Version = Version {
    schemes: &["bearer"],
    strict: false,
};

/// The login that a 401 begins, by `@modelcontextprotocol/client`.
pub(crate) fn login(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    with(TWO, transcript, refused)
}

/// The login that a 401 begins, by `@modelcontextprotocol/sdk`.
pub(crate) fn login_1(transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    with(ONE, transcript, refused)
}

fn with(version: Version, transcript: &Transcript, refused: &Answer) -> Result<Login, String> {
    let header = refused
        .header_joined("www-authenticate")
        .unwrap_or_default();
    // Bearer has to come first, or the header says nothing to it.
    let read = |name| {
        let is_one = begins_with(&header, version.schemes);
        is_one.then(|| parameter_anywhere(&header, name)).flatten()
    };
    let named = read("resource_metadata").and_then(|value| value.parse::<Url>().ok());
    let metadata = resource_metadata(version, transcript, named.as_ref());
    let servers = metadata
        .as_ref()
        .and_then(|one| one.texts("authorization_servers"));
    let origin = format!("{}/", transcript.url.origin().ascii_serialization());
    let issuer = servers
        .and_then(|servers| servers.first().map(|server| (*server).to_owned()))
        .unwrap_or(origin);
    let issuer_url: Url = issuer
        .parse()
        .map_err(|_| format!("{issuer} is no URL of an authorization server"))?;
    let found = issuer_metadata(version, transcript, &issuer_url, &issuer)?;
    if let Some(one) = &metadata {
        let resource = one.text("resource").unwrap_or_default();
        if let Some(why) = differs(Comparison::Prefix, &transcript.url, resource) {
            return Err(why);
        }
    }
    let Some(found) = found else {
        let why = no_issuer_metadata(&issuer_url);
        return Err(match (named, metadata) {
            (Some(named), None) => format!("{named} is no metadata of a resource, and {why}"),
            _ => why,
        });
    };
    supports_code_with_pkce(&found)?;
    Ok(Login {
        registration: registration(&found),
        scopes: scopes(read("scope").as_deref(), metadata.as_ref()),
    })
}

/// Whether the next place is asked.
fn goes_on(version: Version, status: u16) -> bool {
    status < 500 || (version.strict && status == 502)
}

/// What the challenge names, and nothing else then; else the well-known places.
fn resource_metadata<'a>(
    version: Version,
    transcript: &'a Transcript,
    named: Option<&Url>,
) -> Option<Document<'a>> {
    let url = &transcript.url;
    let well_known = format!("/.well-known/{PROTECTED_RESOURCE}");
    let places = match named {
        Some(named) => vec![named.clone()],
        None => {
            let path = url.path().strip_suffix('/').unwrap_or(url.path());
            let mut inserted = url.join(&format!("{well_known}{path}")).ok()?;
            inserted.set_query(url.query());
            vec![inserted, url.join(&well_known).ok()?]
        }
    };
    for place in places {
        match fetch(transcript, &place) {
            Fetched::Object(found) => {
                let servers = found.texts("authorization_servers").unwrap_or_default();
                let all_urls = servers.iter().all(|server| server.parse::<Url>().is_ok());
                let is_one = all_urls && has_urls(&found, &["resource"]).is_ok();
                return is_one.then_some(found);
            }
            Fetched::Status(status) if goes_on(version, status) => {}
            Fetched::NotJson | Fetched::Status(_) | Fetched::Nothing => return None,
        }
    }
    None
}

fn issuer_metadata<'a>(
    version: Version,
    transcript: &'a Transcript,
    issuer: &Url,
    expected: &str,
) -> Result<Option<Document<'a>>, String> {
    let path = issuer.path().strip_suffix('/').unwrap_or(issuer.path());
    let mut places = vec![
        format!("/.well-known/{AUTHORIZATION_SERVER}{path}"),
        format!("/.well-known/{OPENID}{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{path}/.well-known/{OPENID}"));
    }
    for place in places {
        let Ok(url) = issuer.join(&place) else {
            continue;
        };
        match fetch(transcript, &url) {
            Fetched::Object(found) => {
                is_usable(version, &found, place.contains(OPENID))?;
                let own = found.text("issuer").unwrap_or_default();
                let same = own == expected || expected.strip_suffix('/') == Some(own);
                if version.strict && !same {
                    return Err(other_issuer(&found, expected));
                }
                return Ok(Some(found));
            }
            Fetched::NotJson => return Err(format!("{url} is no JSON object")),
            Fetched::Status(status) if goes_on(version, status) => {}
            Fetched::Status(status) => return Err(format!("status {status} of {url}")),
            Fetched::Nothing => return Err(format!("{url} does not answer")),
        }
    }
    Ok(None)
}

/// The members that its schemas ask for.
fn is_usable(version: Version, found: &Document<'_>, is_openid: bool) -> Result<(), String> {
    has_urls(found, &["authorization_endpoint", "token_endpoint"])?;
    let mut lists = vec!["response_types_supported"];
    if is_openid {
        has_urls(found, &["jwks_uri"])?;
        lists.extend([
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ]);
    }
    let missing = lists.iter().find(|name| found.texts(name).is_none());
    if let Some(name) = missing
        .copied()
        .or(found.text("issuer").is_none().then_some("issuer"))
    {
        return Err(format!("{name} is missing in {}", found.url));
    }
    let endpoint = found
        .text("token_endpoint")
        .and_then(|url| url.parse::<Url>().ok());
    let insecure = |url: &Url| url.scheme() != "https" && !is_loopback(url);
    match endpoint.filter(insecure) {
        Some(url) if version.strict => Err(format!("token_endpoint {url} is not https")),
        Some(_) | None => Ok(()),
    }
}
