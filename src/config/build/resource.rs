//! Resources: where they are, and what they ask of a token.

use std::collections::BTreeMap;

use super::checks::{Result, url, value};
use super::headers::identity_headers;
use super::operations::operations;
use crate::claim::{ClaimPath, ClaimRule};
use crate::config::raw;
use crate::config::words::{quoted, quoted_url};
use crate::config::{Issuer, IssuerId};
use crate::resource::Resource;
use crate::resource::host::{HostPattern, Hosts};
use crate::resource::metadata::{MIRRORED, Members, Metadata, Mirror, well_known_path};
use crate::resource::path::PathPattern;
use crate::scope::{ScopeHierarchy, is_scope_token};
use crate::template::{Template, TemplateError};
use crate::trust::CallerFact;
use crate::url::HttpUrl;

pub(super) fn resource(
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
    .ok_or_else(|| value(field, "members that are not JSON", "strings"))?;

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
            &quoted_url(text),
            "a URL with variables in its path only",
        ));
    }
    if url.scheme() == "http" && !url.is_loopback() {
        warnings.push(format!(
            "{field}: {} is not https: clients refuse it",
            quoted_url(text)
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
                        &quoted_url(name),
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
                    &quoted_url(text),
                    "a host in lower case, with or without a port",
                )
            })
        })
        .collect::<Result<_>>()
        .map(Hosts::Only)
}

pub(super) fn scopes(field: &str, list: &[String], warnings: &mut Vec<String>) -> Result<()> {
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

pub(super) fn claim_path(field: &str, text: &str) -> Result<ClaimPath> {
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
                &quoted_url(text),
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
            &quoted_url(text),
            &format!("a plain path, with {{name}} for one segment ({error})"),
        )
    })
}

fn template(field: &str, text: &str, variables: &[&str]) -> Result<Template> {
    Template::parse(text, variables.iter().copied()).map_err(|error| match error {
        TemplateError::Unbalanced => value(field, &quoted_url(text), "`{` and `}` in pairs"),
        TemplateError::UnknownVariable(name) => value(
            field,
            &format!("{{{name}}}"),
            "a variable of the resource's path",
        ),
    })
}
