//! Where metadata may be, and what is in the documents that were found.

use serde_json::{Map, Value};
use url::Url;

use super::challenge;
use super::plan::nowhere;
use super::transcript::{Answer, Kind, Transcript};

/// RFC 9728.
pub(crate) const PROTECTED_RESOURCE: &str = "oauth-protected-resource";
/// RFC 8414.
pub(crate) const AUTHORIZATION_SERVER: &str = "oauth-authorization-server";
/// OpenID Connect Discovery 1.0.
pub(crate) const OPENID: &str = "openid-configuration";

/// A well-known document with its name inserted before the path of `url`, and without that path.
pub(crate) fn places(url: &Url, name: &str) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut places = vec![at(url, &format!("/.well-known/{name}{path}"))];
    push(&mut places, at(url, &format!("/.well-known/{name}")));
    places
}

/// Every place where some client looks for the metadata of the resource.
pub(crate) fn resource_places(transcript: &Transcript) -> Vec<Url> {
    let url = &transcript.url;
    let mut found = Vec::new();
    for kind in [Kind::Discover, Kind::Initialize, Kind::Get] {
        if let Some(answer) = transcript.first(kind) {
            for line in answer.header_lines("www-authenticate") {
                let named = challenge::parameter_anywhere(line, "resource_metadata");
                let named = named.and_then(|value| url.join(&value).ok());
                // Whatever a server names: the network is asked for http(s) alone.
                named
                    .filter(|named| matches!(named.scheme(), "http" | "https"))
                    .into_iter()
                    .for_each(|named| push(&mut found, named));
            }
        }
    }
    for place in places(url, PROTECTED_RESOURCE) {
        push(&mut found, place);
    }
    let path = url.path();
    // As the Python SDK (with its slash), the Rust SDK and Qwen Code ask.
    push(
        &mut found,
        at(url, &format!("/.well-known/{PROTECTED_RESOURCE}{path}")),
    );
    let prefix = path.trim_end_matches('/');
    push(
        &mut found,
        at(url, &format!("{prefix}/.well-known/{PROTECTED_RESOURCE}")),
    );
    push(&mut found, nowhere(url));
    found
}

/// The places where clients look for the metadata of an issuer.
pub(crate) fn issuer_places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut found = vec![at(
        issuer,
        &format!("/.well-known/{AUTHORIZATION_SERVER}{path}"),
    )];
    push(
        &mut found,
        at(issuer, &format!("/.well-known/{OPENID}{path}")),
    );
    push(
        &mut found,
        at(issuer, &format!("{path}/.well-known/{OPENID}")),
    );
    push(
        &mut found,
        at(issuer, &format!("/.well-known/{AUTHORIZATION_SERVER}")),
    );
    found
}

fn at(url: &Url, path: &str) -> Url {
    let mut place = url.clone();
    place.set_path(path);
    place.set_query(None);
    place.set_fragment(None);
    place
}

fn push(places: &mut Vec<Url>, place: Url) {
    if !places.contains(&place) {
        places.push(place);
    }
}

/// A document that was found, and where.
#[derive(Clone, Debug)]
pub(crate) struct Document<'a> {
    pub(crate) url: Url,
    pub(crate) answer: &'a Answer,
    pub(crate) members: Map<String, Value>,
}

impl Document<'_> {
    /// A member that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// A member that is a list of strings; strings alone are kept.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        let list = self.members.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    /// Whether it says what it is by members that only metadata of a resource has.
    pub(crate) fn is_of_a_resource(&self) -> bool {
        self.members.contains_key("authorization_servers") || self.members.contains_key("resource")
    }

    /// Whether it says what it is by members that only metadata of an authorization server has.
    pub(crate) fn is_of_an_issuer(&self) -> bool {
        ["authorization_endpoint", "token_endpoint", "issuer"]
            .iter()
            .any(|name| self.members.contains_key(*name))
    }
}

/// The JSON object that is served at a URL with status 200.
pub(crate) fn document<'a>(transcript: &'a Transcript, url: &Url) -> Option<Document<'a>> {
    let answer = transcript.settled(Kind::Document, url)?;
    let members = (answer.status == 200).then(|| answer.object())??;
    Some(Document {
        url: url.clone(),
        answer,
        members,
    })
}

/// The first document that is metadata of a resource, in the order that the specification has.
pub(crate) fn of_resource(transcript: &Transcript) -> Option<Document<'_>> {
    let mut places = resource_places(transcript);
    places.retain(|place| *place != nowhere(&transcript.url));
    let mut found = places.iter().filter_map(|url| document(transcript, url));
    found.find(Document::is_of_a_resource)
}

/// The first metadata that is there for an issuer.
pub(crate) fn of_issuer<'a>(transcript: &'a Transcript, issuer: &Url) -> Option<Document<'a>> {
    let places = issuer_places(issuer);
    let mut found = places.iter().filter_map(|url| document(transcript, url));
    found.find(Document::is_of_an_issuer)
}

/// The issuers that any metadata of the resource names, also where it should not be.
pub(crate) fn issuers_named(transcript: &Transcript) -> Vec<Url> {
    let mut found = Vec::new();
    let mut all = resource_places(transcript);
    all.extend(places(&transcript.url, AUTHORIZATION_SERVER));
    for url in all {
        let Some(document) = document(transcript, &url) else {
            continue;
        };
        for issuer in document.texts("authorization_servers").unwrap_or_default() {
            let issuer = url.join(issuer).ok();
            issuer
                .filter(|issuer| matches!(issuer.scheme(), "http" | "https"))
                .into_iter()
                .for_each(|issuer| push(&mut found, issuer));
        }
    }
    found
}

/// The key sets of the issuers that were found.
pub(crate) fn key_sets(transcript: &Transcript) -> Vec<Url> {
    let mut found = Vec::new();
    for issuer in issuers_named(transcript) {
        let document = of_issuer(transcript, &issuer);
        let uri = document.and_then(|document| document.text("jwks_uri")?.parse::<Url>().ok());
        uri.filter(|uri| matches!(uri.scheme(), "http" | "https"))
            .into_iter()
            .for_each(|uri| push(&mut found, uri));
    }
    found
}

/// The documents that a browser has to read for a login.
pub(crate) fn documents_in_use(transcript: &Transcript) -> Vec<Url> {
    let mut found: Vec<Url> = of_resource(transcript)
        .map(|one| one.url)
        .into_iter()
        .collect();
    if let Some(document) = of_issuer_in_use(transcript) {
        push(&mut found, document.url);
    }
    found
}

/// The endpoints of the issuer that a client in a browser posts to.
pub(crate) fn endpoints_of_pages(transcript: &Transcript) -> Vec<Url> {
    let mut found = Vec::new();
    let Some(document) = of_issuer_in_use(transcript) else {
        return found;
    };
    for name in ["token_endpoint", "registration_endpoint"] {
        let url = document
            .text(name)
            .and_then(|text| text.parse::<Url>().ok());
        url.filter(|url| matches!(url.scheme(), "http" | "https"))
            .into_iter()
            .for_each(|url| push(&mut found, url));
    }
    found
}

/// The metadata of the issuer that clients take: the first.
fn of_issuer_in_use(transcript: &Transcript) -> Option<Document<'_>> {
    of_issuer(transcript, issuers_named(transcript).first()?)
}
