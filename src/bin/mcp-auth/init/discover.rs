//! Where an issuer keeps its keys, as its metadata says.

use std::time::Duration;

use mcp_auth_filter::keys::discovery::WellKnown;
use mcp_auth_filter::url::HttpUrl;

use super::values::{Peer, Values, peer};
use crate::Failure;
use crate::probe::ask;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where an issuer keeps its keys.
pub(crate) enum Keys {
    /// On the issuer's own host.
    There,
    /// On another one.
    At(Peer),
    /// Nowhere: all its tokens are opaque.
    Nowhere,
}

/// Asks the issuer. Without any keys is an error, unless it is asked about tokens.
pub(crate) fn keys(values: &Values) -> Result<Keys, Failure> {
    let issuer = values.issuer.as_str();
    let mut tried = Vec::new();
    let mut place = Some(WellKnown::FIRST);
    while let Some(at) = place {
        if let Ok(url) = at.url(&values.issuer) {
            match ask(url.as_str(), TIMEOUT) {
                Ok(members) => {
                    let own = members.get("issuer").and_then(|one| one.as_str());
                    if own != Some(issuer) {
                        let own = own.unwrap_or("nothing");
                        return Err(Failure::Invalid(format!(
                            "--issuer: {} calls itself {own}, not {issuer}: take what is in the tokens, to the letter",
                            url.as_str()
                        )));
                    }
                    if values.introspection.is_some() && !members.contains_key("jwks_uri") {
                        return Ok(Keys::Nowhere);
                    }
                    let uri = members.get("jwks_uri").and_then(|one| one.as_str());
                    let uri = uri.and_then(|uri| HttpUrl::parse_location(uri).ok());
                    let uri = uri.ok_or_else(|| {
                        Failure::Invalid(format!("{} has no usable jwks_uri", url.as_str()))
                    })?;
                    let found = peer(&uri);
                    return Ok(if found == values.issuer_peer() {
                        Keys::There
                    } else {
                        Keys::At(found)
                    });
                }
                Err(why) => tried.push(format!("{}: {why}", url.as_str())),
            }
        }
        place = at.next(&values.issuer);
    }
    Err(Failure::Invalid(format!(
        "--discover: no metadata of the issuer ({})",
        tried.join("; ")
    )))
}
