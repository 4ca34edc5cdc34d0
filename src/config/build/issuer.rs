//! Issuers: what their tokens must be like, and where their keys come from.

use std::time::Duration;

use super::checks::{Result, not_empty, seconds, url, value, within};
use crate::config::raw::{self, MAX_TOKEN_LIFETIME};
use crate::config::words::{quoted, quoted_url};
use crate::config::{Issuer, KeySource, KeyTimings, RemoteKeys};
use crate::keys::jwk::{KeySet, KeySetError};
use crate::token::signature::Algorithm;
use crate::token::{TokenPolicy, TokenType};
use crate::url::HttpUrl;

/// For so many keys of a set without a usable one it is said what is wrong with them.
const REASONS_SHOWN: usize = 8;

pub(super) fn issuer(field: &str, raw: raw::Issuer, warnings: &mut Vec<String>) -> Result<Issuer> {
    let url = url(
        &format!("{field}.issuer"),
        &raw.issuer,
        HttpUrl::parse_identifier,
    )?;
    if url.scheme() == "http" && !url.is_loopback() {
        warnings.push(format!(
            "{field}.issuer: {} is not https",
            quoted(url.as_str())
        ));
    }
    let timings = key_timings(&format!("{field}.keys"), &raw.keys)?;
    let keys = match (raw.jwks, raw.cluster) {
        (Some(_), Some(_)) => {
            return Err(value(
                &format!("{field}.jwks"),
                "both `jwks` and `cluster`",
                "one of them: inline keys, or a cluster to fetch them from",
            ));
        }
        (None, None) => {
            return Err(value(
                &format!("{field}.cluster"),
                "neither `cluster` nor `jwks`",
                "the name of the Envoy cluster that reaches the issuer, or its keys inline",
            ));
        }
        (Some(jwks), None) => {
            for (name, given) in [
                ("jwks_uri", raw.jwks_uri.is_some()),
                ("jwks_cluster", raw.jwks_cluster.is_some()),
            ] {
                if given {
                    return Err(value(
                        &format!("{field}.{name}"),
                        "a place beside `jwks`",
                        "no place to fetch keys from where they are inline",
                    ));
                }
            }
            if raw.authorization_server_metadata {
                return Err(value(
                    &format!("{field}.authorization_server_metadata"),
                    "true without `cluster`",
                    "a `cluster` to fetch the metadata from",
                ));
            }
            KeySource::Inline(inline_keys(&format!("{field}.jwks"), &jwks, warnings)?)
        }
        (None, Some(cluster)) => {
            let cluster = not_empty(&format!("{field}.cluster"), cluster)?;
            let jwks_uri_field = format!("{field}.jwks_uri");
            let jwks_uri = raw
                .jwks_uri
                .map(|text| self::url(&jwks_uri_field, &text, HttpUrl::parse_location))
                .transpose()?;
            if let Some(uri) = &jwks_uri
                && uri.scheme() != "https"
                && url.scheme() == "https"
            {
                return Err(value(
                    &jwks_uri_field,
                    &quoted_url(uri.as_str()),
                    "an https URL, as the issuer's is",
                ));
            }
            KeySource::Remote(RemoteKeys {
                jwks_cluster: match raw.jwks_cluster {
                    Some(name) => not_empty(&format!("{field}.jwks_cluster"), name)?,
                    None => cluster.clone(),
                },
                issuer: url,
                cluster,
                jwks_uri,
                timings,
            })
        }
    };
    let audiences = raw
        .audiences
        .map(|list| audiences(&format!("{field}.audiences"), list))
        .transpose()?;
    let policy = TokenPolicy {
        algorithms: algorithms(&format!("{field}.algorithms"), raw.algorithms)?,
        token_types: token_types(&format!("{field}.token_types"), raw.token_types)?,
        clock_skew: seconds(
            &format!("{field}.clock_skew_seconds"),
            raw.clock_skew_seconds,
        )?,
        max_token_lifetime: raw
            .max_token_lifetime_seconds
            .map(|given| {
                let field = format!("{field}.max_token_lifetime_seconds");
                within(&field, given, &(1..=MAX_TOKEN_LIFETIME), "seconds").map(Duration::from_secs)
            })
            .transpose()?,
        issuer: raw.issuer,
    };
    Ok(Issuer {
        policy,
        audiences,
        keys,
        mirrors_metadata: raw.authorization_server_metadata,
    })
}

fn key_timings(field: &str, raw: &raw::KeyTimings) -> Result<KeyTimings> {
    let name = |name: &str| format!("{field}.{name}");
    Ok(KeyTimings {
        refresh: seconds(&name("refresh_seconds"), raw.refresh_seconds)?,
        timeout: seconds(&name("timeout_seconds"), raw.timeout_seconds)?,
        unknown_key_cooldown: seconds(
            &name("unknown_key_cooldown_seconds"),
            raw.unknown_key_cooldown_seconds,
        )?,
        max_stale: seconds(&name("max_stale_seconds"), raw.max_stale_seconds)?,
    })
}

fn inline_keys(
    field: &str,
    jwks: &serde_json::Value,
    warnings: &mut Vec<String>,
) -> Result<KeySet> {
    const ALLOWED: &str = "a JWK set (RFC 7517 §5) with at least one public signature key";
    let text = jwks.to_string();
    let (keys, skipped) = KeySet::parse(text.as_bytes()).map_err(|error| {
        let found = match error {
            KeySetError::NotJson(error) => error.to_string(),
            KeySetError::NotAKeySet => "no object with a list `keys`".to_owned(),
        };
        value(field, &found, ALLOWED)
    })?;
    if keys.is_empty() {
        let mut found = "no key that can verify a signature".to_owned();
        for key in skipped.iter().take(REASONS_SHOWN) {
            found.push_str(&format!("; {key}"));
        }
        return Err(value(field, &found, ALLOWED));
    }
    for key in skipped {
        warnings.push(format!("{field}: {key}"));
    }
    Ok(keys)
}

fn algorithms(field: &str, names: Option<Vec<String>>) -> Result<Vec<Algorithm>> {
    let Some(names) = names else {
        return Ok(Algorithm::ALL.to_vec());
    };
    if names.is_empty() {
        return Err(value(field, "an empty list", &algorithm_names()));
    }
    names
        .iter()
        .map(|name| {
            Algorithm::from_name(name)
                .ok_or_else(|| value(field, &quoted(name), &algorithm_names()))
        })
        .collect()
}

fn algorithm_names() -> String {
    let names: Vec<&str> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    format!(
        "some of {} (symmetric ones and `none` do not exist)",
        names.join(", ")
    )
}

/// `null` in the list stands for a token without `typ`.
fn token_types(field: &str, types: Option<Vec<Option<String>>>) -> Result<Vec<TokenType>> {
    let Some(types) = types else {
        return Ok(vec![
            TokenType::Named("at+jwt".to_owned()),
            TokenType::Named("JWT".to_owned()),
            TokenType::Absent,
        ]);
    };
    if types.is_empty() {
        return Err(value(
            field,
            "an empty list",
            "at least one `typ`, or null for none",
        ));
    }
    types
        .into_iter()
        .map(|name| match name {
            None => Ok(TokenType::Absent),
            Some(name) if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) => {
                Err(value(
                    field,
                    &quoted(&name),
                    "a media type such as at+jwt, or null for none",
                ))
            }
            Some(name) => Ok(TokenType::Named(name)),
        })
        .collect()
}

fn audiences(field: &str, list: Vec<String>) -> Result<Vec<String>> {
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(value(
            field,
            "an empty list or string",
            "at least one audience, none of them empty",
        ));
    }
    Ok(list)
}
