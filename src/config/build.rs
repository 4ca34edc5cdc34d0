//! From the configuration as written to the one that is used. Every check is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::raw::{self, MAX_TOKEN_LIFETIME, Number};
use super::{
    Config, ConfigError, Issuer, IssuerId, KeySource, KeyTimings, Limits, Mode, RemoteKeys,
    ResourceId,
};
use crate::claim::{ClaimPath, ClaimRule};
use crate::keys::jwk::KeySet;
use crate::mcp::{self, Needs, OperationRule, Pattern};
use crate::resource::host::{HostPattern, Hosts};
use crate::resource::metadata::{MIRRORED, Members, Metadata, Mirror, well_known_path};
use crate::resource::path::PathPattern;
use crate::resource::{IdentityHeader, Resource, UsualPaths};
use crate::scope::{ScopeHierarchy, is_scope_token};
use crate::template::{Template, TemplateError};
use crate::token::signature::Algorithm;
use crate::token::{TokenPolicy, TokenType};
use crate::trust::CallerFact;
use crate::url::HttpUrl;

type Result<T> = std::result::Result<T, ConfigError>;

/// Claims that go to the server unless `identity_headers` says otherwise.
const DEFAULT_IDENTITY_HEADERS: [(&str, &str); 4] = [
    ("sub", "x-mcp-sub"),
    ("client_id", "x-mcp-client-id"),
    ("scope", "x-mcp-scope"),
    ("iss", "x-mcp-issuer"),
];

/// Headers that a claim must never replace: they steer the request itself.
pub(super) const RESERVED_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn config(raw: raw::Config) -> Result<Config> {
    let mut warnings = Vec::new();
    if raw.issuers.is_empty() {
        return Err(value("issuers", "an empty list", "at least one issuer"));
    }
    if raw.resources.is_empty() {
        return Err(value("resources", "an empty list", "at least one resource"));
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (at, issuer) in raw.issuers.into_iter().enumerate() {
        let field = format!("issuers[{at}]");
        let issuer = self::issuer(&field, issuer, &mut warnings)?;
        if issuers
            .iter()
            .any(|other| other.policy.issuer == issuer.policy.issuer)
        {
            return Err(value(
                &format!("{field}.issuer"),
                &quoted(&issuer.policy.issuer),
                "an issuer that is not in the list yet",
            ));
        }
        issuers.push(issuer);
    }
    let mut resources: Vec<Resource> = Vec::new();
    for (at, resource) in raw.resources.into_iter().enumerate() {
        let field = format!("resources[{at}]");
        let resource = self::resource(&field, resource, &issuers, &mut warnings)?;
        if let Some(other) = resources.iter().find(|other| collide(other, &resource)) {
            return Err(value(
                &field,
                &format!("the same path and hosts as {}", quoted(&other.label)),
                "a path of its own, or `hosts` that tell the two apart",
            ));
        }
        resources.push(resource);
    }
    let specificity = |id: &ResourceId| resources.get(id.0).map(|one| one.pattern.specificity());
    let mut by_specificity = Vec::with_capacity(resources.len());
    for id in (0..resources.len()).map(ResourceId) {
        let mut others = by_specificity.iter();
        let at = others.position(|other| specificity(other) < specificity(&id));
        by_specificity.insert(at.unwrap_or(by_specificity.len()), id);
    }
    let mut config = Config {
        enabled: raw.enabled,
        mode: match raw.mode {
            raw::Mode::Enforce => Mode::Enforce,
            raw::Mode::Observe => Mode::Observe,
        },
        limits: limits(&raw.limits)?,
        issuers,
        resources,
        by_specificity,
        usual_paths: UsualPaths::default(),
        warnings,
    };
    config.usual_paths = UsualPaths::of(&config);
    Ok(config)
}

fn limits(raw: &raw::Limits) -> Result<Limits> {
    Ok(Limits {
        token_bytes: size("limits.token_bytes", raw.token_bytes)?,
        held_requests: size("limits.held_requests", raw.held_requests)?,
        body_bytes: size("limits.body_bytes", raw.body_bytes)?,
        cached_tokens: size("limits.cached_tokens", raw.cached_tokens)?,
        cached_bytes: size("limits.cached_bytes", raw.cached_bytes)?,
    })
}

fn issuer(field: &str, raw: raw::Issuer, warnings: &mut Vec<String>) -> Result<Issuer> {
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
                        "it beside `jwks`",
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
                    &quoted(uri.as_str()),
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
    let text = jwks.to_string();
    let (keys, skipped) = KeySet::parse(text.as_bytes()).map_err(|error| {
        value(
            field,
            &error.to_string(),
            "a JWK set (RFC 7517 §5): {\"keys\": [...]}",
        )
    })?;
    for key in skipped {
        warnings.push(format!("{field}: {key}"));
    }
    if keys.is_empty() {
        return Err(value(
            field,
            "no key that can verify a signature",
            "at least one public signature key",
        ));
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
            "an empty list or text",
            "at least one audience, none of them empty",
        ));
    }
    Ok(list)
}

fn resource(
    field: &str,
    raw: raw::Resource,
    issuers: &[Issuer],
    warnings: &mut Vec<String>,
) -> Result<Resource> {
    let name = |name: &str| format!("{field}.{name}");
    let (url, url_path) = resource_url(&name("resource"), &raw.resource, warnings)?;
    let path_field = if raw.path.is_some() {
        name("path")
    } else {
        name("resource")
    };
    let pattern = pattern(&path_field, raw.path.as_deref().unwrap_or(&url_path))?;
    let variables: Vec<&str> = pattern.variables().collect();

    let metadata_pattern = self::pattern(&name("resource"), &well_known_path(&url_path))?;
    let identifier = template(&name("resource"), &raw.resource, &variables)?;
    let known_path = if url_path == "/" {
        ""
    } else {
        url_path.as_str()
    };
    let metadata_path = template(&name("resource"), known_path, &variables)?;

    let ids = issuer_ids(&name("issuers"), raw.issuers.as_deref(), issuers)?;
    scopes(&name("scopes"), &raw.scopes, warnings)?;
    let supported = raw.scopes_supported.unwrap_or_else(|| raw.scopes.clone());
    scopes(&name("scopes_supported"), &supported, warnings)?;
    for (broader, narrower) in &raw.scope_hierarchy {
        scopes(
            &name("scope_hierarchy"),
            std::slice::from_ref(broader),
            warnings,
        )?;
        scopes(&name("scope_hierarchy"), narrower, warnings)?;
    }
    let members = Members {
        authorization_servers: ids
            .iter()
            .filter_map(|id| issuers.get(id.0))
            .map(|issuer| issuer.policy.issuer.as_str())
            .collect(),
        scopes_supported: &supported,
        bearer_methods_supported: ["header"],
        resource_name: raw.name.as_deref(),
        resource_documentation: raw.documentation.as_deref(),
    };
    let metadata = Metadata::new(
        &identifier,
        url.origin(),
        &metadata_path,
        metadata_pattern,
        &members,
    )
    .ok_or_else(|| value(field, "members that are not JSON", "texts"))?;

    if raw.filter_lists && raw.operations.is_empty() {
        warnings.push(format!(
            "configuration field `{}`: it does nothing where there are no `operations`",
            name("filter_lists")
        ));
    }
    Ok(Resource {
        hosts: hosts(&name("hosts"), raw.hosts)?,
        require_claims: claim_rules(&name("require_claims"), &raw.require_claims, &variables)?,
        allowed_origins: raw
            .allowed_origins
            .map(|list| origins(&name("allowed_origins"), list))
            .transpose()?,
        identity_headers: identity_headers(&name("identity_headers"), raw.identity_headers)?,
        filter_state: raw.filter_state.map_or_else(
            || CallerFact::ALL.to_vec(),
            |facts| facts.into_iter().map(caller_fact).collect(),
        ),
        filter_lists: raw.filter_lists && !raw.operations.is_empty(),
        operations: operations(&name("operations"), raw.operations, warnings)?,
        mirror: mirror(&name("resource"), &url_path, &ids, issuers)?,
        scope_hierarchy: ScopeHierarchy::new(&raw.scope_hierarchy),
        issuers: ids,
        label: raw.resource,
        scopes: raw.scopes,
        forward_token: raw.forward_token,
        cors: raw.cors,
        identifier,
        pattern,
        metadata,
    })
}

/// The identifier as a URL (its variables made harmless), and its path with the variables.
fn resource_url(field: &str, text: &str, warnings: &mut Vec<String>) -> Result<(HttpUrl, String)> {
    let url = url(
        field,
        &text.replace(['{', '}'], "_"),
        HttpUrl::parse_identifier,
    )?;
    let path = text.get(url.origin().len()..).unwrap_or_default();
    if url.origin().len() != text.len().saturating_sub(path.len())
        || !text.starts_with(url.origin())
    {
        return Err(value(
            field,
            &quoted(text),
            "a URL with variables in its path only",
        ));
    }
    if url.scheme() == "http" && !url.is_loopback() {
        warnings.push(format!(
            "{field}: {} is not https: clients refuse it",
            quoted(text)
        ));
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok((url, path.to_owned()))
}

fn issuer_ids(field: &str, names: Option<&[String]>, issuers: &[Issuer]) -> Result<Vec<IssuerId>> {
    let Some(names) = names else {
        return Ok((0..issuers.len()).map(IssuerId).collect());
    };
    if names.is_empty() {
        return Err(value(field, "an empty list", "at least one of `issuers`"));
    }
    names
        .iter()
        .map(|name| {
            issuers
                .iter()
                .position(|issuer| issuer.policy.issuer == *name)
                .map(IssuerId)
                .ok_or_else(|| {
                    value(
                        field,
                        &quoted(name),
                        "an `issuer` of the list `issuers`, byte for byte",
                    )
                })
        })
        .collect()
}

fn hosts(field: &str, list: Option<Vec<String>>) -> Result<Hosts> {
    let Some(list) = list else {
        return Ok(Hosts::Any);
    };
    if list.is_empty() {
        return Err(value(
            field,
            "an empty list",
            "at least one host, or no `hosts` for any",
        ));
    }
    list.iter()
        .map(|text| {
            HostPattern::parse(text).ok_or_else(|| {
                value(
                    field,
                    &quoted(text),
                    "a host in lower case, with or without a port",
                )
            })
        })
        .collect::<Result<_>>()
        .map(Hosts::Only)
}

fn scopes(field: &str, list: &[String], warnings: &mut Vec<String>) -> Result<()> {
    for scope in list {
        if !is_scope_token(scope) {
            return Err(value(
                field,
                &quoted(scope),
                "one scope each: visible ASCII without space, quote and backslash (RFC 6749 §3.3)",
            ));
        }
        if scope == "offline_access" {
            warnings.push(format!(
                "{field}: offline_access is for clients to ask, not for a resource to demand"
            ));
        }
    }
    Ok(())
}

/// The places where the metadata of the first issuer that is mirrored is served.
fn mirror(
    field: &str,
    url_path: &str,
    ids: &[IssuerId],
    issuers: &[Issuer],
) -> Result<Option<Mirror>> {
    let mirrored = ids.iter().find(|id| {
        issuers
            .get(id.0)
            .is_some_and(|issuer| issuer.mirrors_metadata)
    });
    let Some(issuer) = mirrored else {
        return Ok(None);
    };
    let behind = if url_path == "/" { "" } else { url_path };
    let places = MIRRORED
        .iter()
        .flat_map(|place| [(*place).to_owned(), format!("{place}{behind}")])
        .map(|path| pattern(field, &path))
        .collect::<Result<_>>()?;
    Ok(Some(Mirror {
        issuer: *issuer,
        places,
    }))
}

fn operations(
    field: &str,
    rules: Vec<raw::OperationRule>,
    warnings: &mut Vec<String>,
) -> Result<Vec<OperationRule>> {
    rules
        .into_iter()
        .enumerate()
        .map(|(at, rule)| {
            let name = |name: &str| format!("{field}[{at}].{name}");
            if rule.method.trim().is_empty() {
                return Err(value(
                    &name("method"),
                    &quoted(&rule.method),
                    "a JSON-RPC method such as tools/call",
                ));
            }
            let method = Pattern::new(&rule.method);
            if let Some(of) = &rule.name {
                if of.is_empty() {
                    return Err(value(&name("name"), "an empty text", "a name, or none"));
                }
                if method.is_exact() && mcp::name_member(&rule.method).is_none() {
                    return Err(value(
                        &name("name"),
                        &format!("a name for {}", quoted(&rule.method)),
                        &format!("names for {} alone", mcp::NAMED_METHODS),
                    ));
                }
            }
            scopes(&name("scopes"), &rule.scopes, warnings)?;
            let needs = match (rule.scopes.is_empty(), rule.deny) {
                (false, false) => Needs::Scopes(rule.scopes),
                (true, true) => Needs::Nothing,
                (true, false) => {
                    return Err(value(
                        &name("scopes"),
                        "none",
                        "at least one scope, or `deny`: true",
                    ));
                }
                (false, true) => {
                    return Err(value(
                        &name("deny"),
                        "true beside `scopes`",
                        "one of the two",
                    ));
                }
            };
            Ok(OperationRule {
                method,
                name: rule.name.as_deref().map(Pattern::new),
                needs,
            })
        })
        .collect()
}

fn caller_fact(fact: raw::FilterState) -> CallerFact {
    match fact {
        raw::FilterState::Subject => CallerFact::Subject,
        raw::FilterState::Client => CallerFact::Client,
        raw::FilterState::Issuer => CallerFact::Issuer,
        raw::FilterState::Scopes => CallerFact::Scopes,
    }
}

fn claim_rules(
    field: &str,
    rules: &BTreeMap<String, Vec<String>>,
    variables: &[&str],
) -> Result<Vec<ClaimRule>> {
    rules
        .iter()
        .map(|(claim, values)| {
            let field = format!("{field}.{claim}");
            if values.is_empty() {
                return Err(value(&field, "an empty list", "at least one value"));
            }
            Ok(ClaimRule {
                claim: claim_path(&field, claim)?,
                values: values
                    .iter()
                    .map(|text| template(&field, text, variables))
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}

fn identity_headers(
    field: &str,
    map: Option<BTreeMap<String, String>>,
) -> Result<Vec<IdentityHeader>> {
    let Some(map) = map else {
        return DEFAULT_IDENTITY_HEADERS
            .iter()
            .map(|(claim, name)| {
                Ok(IdentityHeader {
                    claim: claim_path(field, claim)?,
                    name: Arc::from(*name),
                })
            })
            .collect();
    };
    let mut names = BTreeSet::new();
    map.into_iter()
        .map(|(claim, name)| {
            let field = format!("{field}.{claim}");
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !is_name || RESERVED_HEADERS.contains(&name.as_str()) {
                return Err(value(
                    &field,
                    &quoted(&name),
                    "a header name of a-z, 0-9 and `-` that HTTP itself does not use",
                ));
            }
            if !names.insert(name.clone()) {
                return Err(value(
                    &field,
                    &quoted(&name),
                    "a header of its own for each claim",
                ));
            }
            Ok(IdentityHeader {
                claim: claim_path(&field, &claim)?,
                name: Arc::from(name),
            })
        })
        .collect()
}

fn claim_path(field: &str, text: &str) -> Result<ClaimPath> {
    ClaimPath::parse(text).ok_or_else(|| {
        value(
            field,
            &quoted(text),
            "a claim's name, or a JSON Pointer such as /realm_access/roles (RFC 6901)",
        )
    })
}

/// Origins as browsers send them (RFC 6454 §6.2): they are compared byte for byte.
fn origins(field: &str, list: Vec<String>) -> Result<Vec<String>> {
    for text in &list {
        let url = HttpUrl::parse_identifier(text);
        if !url.is_ok_and(|url| url.path_and_query().is_empty()) {
            return Err(value(
                field,
                &quoted(text),
                "origins such as https://app.example.com, without a path",
            ));
        }
    }
    Ok(list)
}

fn pattern(field: &str, text: &str) -> Result<PathPattern> {
    PathPattern::parse(text).map_err(|error| {
        value(
            field,
            &quoted(text),
            &format!("a plain path, with {{name}} for one segment ({error})"),
        )
    })
}

fn template(field: &str, text: &str, variables: &[&str]) -> Result<Template> {
    Template::parse(text, variables.iter().copied()).map_err(|error| match error {
        TemplateError::Unbalanced => value(field, &quoted(text), "`{` and `}` in pairs"),
        TemplateError::UnknownVariable(name) => value(
            field,
            &format!("{{{name}}}"),
            "a variable of the resource's path",
        ),
    })
}

fn collide(one: &Resource, other: &Resource) -> bool {
    let hosts_meet = match (&one.hosts, &other.hosts) {
        (Hosts::Any, Hosts::Any) => true,
        (Hosts::Only(one), Hosts::Only(other)) => one.iter().any(|host| other.contains(host)),
        (Hosts::Any, Hosts::Only(_)) | (Hosts::Only(_), Hosts::Any) => true,
    };
    hosts_meet && one.pattern.same_shape(&other.pattern)
}

fn url(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> std::result::Result<HttpUrl, crate::url::UrlError>,
) -> Result<HttpUrl> {
    parse(text).map_err(|error| value(field, &quoted(text), error.expected()))
}

fn not_empty(field: &str, text: String) -> Result<String> {
    if text.trim().is_empty() {
        return Err(value(field, &quoted(&text), "the name of an Envoy cluster"));
    }
    Ok(text)
}

fn seconds<const DEFAULT: u64, const MIN: u64, const MAX: u64>(
    field: &str,
    given: Number<DEFAULT, MIN, MAX>,
) -> Result<Duration> {
    let given = given.0.unwrap_or(DEFAULT);
    within(field, given, &(MIN..=MAX), "seconds").map(Duration::from_secs)
}

fn size<const DEFAULT: u64, const MIN: u64, const MAX: u64>(
    field: &str,
    given: Number<DEFAULT, MIN, MAX>,
) -> Result<usize> {
    let given = within(field, given.0.unwrap_or(DEFAULT), &(MIN..=MAX), "")?;
    usize::try_from(given)
        .map_err(|_| value(field, &given.to_string(), "a number that fits the machine"))
}

fn within(field: &str, given: u64, allowed: &RangeInclusive<u64>, unit: &str) -> Result<u64> {
    if allowed.contains(&given) {
        return Ok(given);
    }
    let allowed = format!("{} to {} {unit}", allowed.start(), allowed.end());
    Err(value(field, &given.to_string(), allowed.trim_end()))
}

fn value(field: &str, found: &str, allowed: &str) -> ConfigError {
    ConfigError::Value {
        field: field.to_owned(),
        found: found.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// A value of the configuration for a message: escaped, so that it stays one line.
fn quoted(text: impl Display) -> String {
    format!("{:?}", text.to_string())
}
