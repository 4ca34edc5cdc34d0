//! Issuers: what their tokens must be like, and where their keys come from.

use std::time::Duration;

use super::checks::{Result, not_empty, seconds, url, value, warn, within};
use super::introspection::introspection;
use crate::config::Issuer;
use crate::config::document::{self, MAX_TOKEN_LIFETIME};
use crate::config::words::{quoted, quoted_url};
use crate::jose::jwk::{KeySet, KeySetError};
use crate::jose::signature::Algorithm;
use crate::keys::{KeySource, KeyTimings, RemoteKeys};
use crate::token::{TokenPolicy, TokenType};
use crate::url::HttpUrl;

/// The most keys of a set without a usable one whose faults are told.
const REASONS_SHOWN: usize = 8;

/// Hosts of Entra ID, and what stands there for any tenant: `iss` names the tenant itself.
const ENTRA_HOSTS: [&str; 5] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.windows.net",
    "sts.windows.net",
];
const ENTRA_ANY_TENANT: [&str; 3] = ["common", "consumers", "organizations"];

pub(super) fn issuer(
    field: &str,
    written: document::Issuer,
    warnings: &mut Vec<String>,
) -> Result<Issuer> {
    let name = |name: &str| format!("{field}.{name}");
    let url = identifier(&name("issuer"), &written.issuer, warnings)?;
    let keys = keys(field, &written, url.clone(), warnings)?;
    let introspection = written
        .introspection
        .as_ref()
        .map(|asked| introspection(&name("introspection"), asked, &written, url, warnings))
        .transpose()?;
    let audiences = written
        .audiences
        .map(|list| audiences(&name("audiences"), list))
        .transpose()?;
    let max_token_lifetime = written
        .max_token_lifetime_seconds
        .map(|given| {
            let field = name("max_token_lifetime_seconds");
            within(&field, given, &(1..=MAX_TOKEN_LIFETIME), "seconds").map(Duration::from_secs)
        })
        .transpose()?;
    let only = written.algorithms.is_some();
    let algorithms = algorithms(&name("algorithms"), written.algorithms)?;
    if let KeySource::Inline(keys) = &keys
        && only
    {
        keys_fit(&name("algorithms"), &algorithms, keys, warnings)?;
    }
    Ok(Issuer {
        policy: TokenPolicy {
            algorithms,
            token_types: token_types(&name("token_types"), written.token_types)?,
            clock_skew: seconds(&name("clock_skew_seconds"), written.clock_skew_seconds)?,
            max_token_lifetime,
            issuer: written.issuer,
        },
        audiences,
        keys,
        mirrors_metadata: written.authorization_server_metadata,
        introspection,
    })
}

/// The issuer identifier, which must be one that tokens can have.
fn identifier(field: &str, text: &str, warnings: &mut Vec<String>) -> Result<HttpUrl> {
    let url = url(field, text, HttpUrl::parse_identifier)?;
    if url.scheme() == "http" && !url.is_loopback() {
        warn(
            warnings,
            field,
            &format!("{} is not https", quoted_url(text)),
        );
    }
    let path = url.path_and_query();
    let is_any_tenant = ENTRA_HOSTS.contains(&url.authority())
        && path
            .split('/')
            .nth(1)
            .is_some_and(|tenant| ENTRA_ANY_TENANT.contains(&tenant));
    let allowed = if path.contains("/.well-known/") {
        "the issuer itself, as in the claim iss of its tokens, not the URL of a document"
    } else if is_any_tenant {
        "the issuer of one tenant, with its id, as in the claim iss of its tokens"
    } else if url.authority().contains('*') {
        "one issuer, as in the claim iss of its tokens: `*` is no wildcard"
    } else {
        return Ok(url);
    };
    Err(value(field, &quoted_url(text), allowed))
}

fn keys(
    field: &str,
    written: &document::Issuer,
    issuer: HttpUrl,
    warnings: &mut Vec<String>,
) -> Result<KeySource> {
    let name = |name: &str| format!("{field}.{name}");
    let timings = key_timings(&name("keys"), &written.keys)?;
    match (&written.jwks, &written.cluster) {
        (Some(_), Some(_)) => Err(value(
            &name("jwks"),
            "both `jwks` and `cluster`",
            "one of them: inline keys, or a cluster to fetch them from",
        )),
        // No JWT of such an issuer is good: it has no key.
        (None, None) if written.introspection.is_some() => {
            nothing_to_fetch(field, written, warnings)?;
            Ok(KeySource::Inline(KeySet::default()))
        }
        (None, None) => Err(value(
            &name("cluster"),
            "neither `cluster` nor `jwks`",
            "the name of the Envoy cluster that reaches the issuer, or its keys inline",
        )),
        (Some(jwks), None) => {
            nothing_to_fetch(field, written, warnings)?;
            inline_keys(&name("jwks"), jwks, warnings).map(KeySource::Inline)
        }
        (None, Some(cluster)) => {
            let cluster = not_empty(&name("cluster"), cluster.clone())?;
            let jwks_uri = written
                .jwks_uri
                .as_deref()
                .map(|text| jwks_uri(&name("jwks_uri"), text, &issuer))
                .transpose()?;
            let jwks_cluster = match &written.jwks_cluster {
                Some(given) => not_empty(&name("jwks_cluster"), given.clone())?,
                None => cluster.clone(),
            };
            Ok(KeySource::Remote(RemoteKeys {
                issuer,
                cluster,
                jwks_cluster,
                jwks_uri,
                timings,
            }))
        }
    }
}

/// Refuses, beside inline keys, what says where to fetch keys and metadata from.
fn nothing_to_fetch(
    field: &str,
    written: &document::Issuer,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for (name, given) in [
        ("jwks_uri", written.jwks_uri.is_some()),
        ("jwks_cluster", written.jwks_cluster.is_some()),
    ] {
        if given {
            return Err(value(
                &format!("{field}.{name}"),
                "a place beside `jwks`",
                "no place to fetch keys from where they are inline",
            ));
        }
    }
    if written.authorization_server_metadata {
        return Err(value(
            &format!("{field}.authorization_server_metadata"),
            "true without `cluster`",
            "a `cluster` to fetch the metadata from",
        ));
    }
    if written.keys.has_any() && written.introspection.is_none() {
        let text = "it does nothing beside `jwks`: inline keys are never fetched";
        warn(warnings, &format!("{field}.keys"), text);
    }
    Ok(())
}

fn jwks_uri(field: &str, text: &str, issuer: &HttpUrl) -> Result<HttpUrl> {
    let uri = url(field, text, HttpUrl::parse_location)?;
    if uri.scheme() != "https" && issuer.scheme() == "https" {
        return Err(value(
            field,
            &quoted_url(text),
            "an https URL, as the issuer's is",
        ));
    }
    Ok(uri)
}

/// At least one of the algorithms must be for a key of the set.
fn keys_fit(
    field: &str,
    algorithms: &[Algorithm],
    keys: &KeySet,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let of_keys = |alg: &Algorithm| keys.keys().iter().any(|key| key.fits(*alg));
    let names = |algorithms: &mut dyn Iterator<Item = &Algorithm>| {
        algorithms
            .map(|alg| alg.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !algorithms.iter().any(of_keys) {
        return Err(value(
            field,
            &names(&mut algorithms.iter()),
            &format!(
                "what the keys in `jwks` are for: {}",
                names(&mut Algorithm::ALL.iter().filter(|alg| of_keys(alg)))
            ),
        ));
    }
    let idle = names(&mut algorithms.iter().filter(|alg| !of_keys(alg)));
    if !idle.is_empty() {
        warn(warnings, field, &format!("no key in `jwks` is for {idle}"));
    }
    Ok(())
}

fn key_timings(field: &str, written: &document::KeyTimings) -> Result<KeyTimings> {
    let name = |name: &str| format!("{field}.{name}");
    Ok(KeyTimings {
        refresh: seconds(&name("refresh_seconds"), written.refresh_seconds)?,
        timeout: seconds(&name("timeout_seconds"), written.timeout_seconds)?,
        unknown_key_cooldown: seconds(
            &name("unknown_key_cooldown_seconds"),
            written.unknown_key_cooldown_seconds,
        )?,
        max_stale: seconds(&name("max_stale_seconds"), written.max_stale_seconds)?,
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
        warn(warnings, field, &key.to_string());
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
            Some(name)
                if name.is_empty()
                    || !name.bytes().all(|b| b.is_ascii_graphic())
                    || name.contains('*') =>
            {
                Err(value(
                    field,
                    &quoted(&name),
                    "a media type such as at+jwt, or null for none; `*` is no wildcard",
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
    let is_pattern = |text: &String| text.contains('*') || text.contains('{') && text.contains('}');
    if let Some(text) = list.iter().find(|text| is_pattern(text)) {
        return Err(value(
            field,
            &quoted(text),
            "audiences as tokens have them, byte for byte: without `*` and `{name}`",
        ));
    }
    Ok(list)
}
