//! Resources: where they are, and what they ask of a token.

use std::collections::BTreeMap;

use super::checks::{Result, claim_path, scopes, url, value, warn};
use super::headers::identity_headers;
use super::operations::operations;
use super::{advice, introspection, paths};
use crate::claim::{CallerFact, ClaimRule};
use crate::config::Issuer;
use crate::config::document;
use crate::config::words::quoted_url;
use crate::ids::IssuerId;
use crate::resource::Resource;
use crate::resource::host::{HostPattern, Hosts};
use crate::resource::metadata::{MIRRORED, Members, Metadata, Mirror, well_known_path};
use crate::resource::path::PathPattern;
use crate::resource::withheld::Withheld;
use crate::scope::ScopeHierarchy;
use crate::template::{Template, TemplateError};
use crate::url::HttpUrl;

/// The place of a resource.
struct Place {
    url: HttpUrl,
    /// The path of the URL, with its variables.
    url_path: String,
    pattern: PathPattern,
    /// The field that the pattern is from.
    pattern_field: String,
    identifier: Template,
}

pub(super) fn resource(
    field: &str,
    written: document::Resource,
    issuers: &[Issuer],
    warnings: &mut Vec<String>,
) -> Result<Resource> {
    let name = |name: &str| format!("{field}.{name}");
    let place = place(field, &written, warnings)?;
    let variables: Vec<&str> = place.pattern.variables().collect();
    let ids = issuer_ids(&name("issuers"), written.issuers.as_deref(), issuers)?;
    let scope_hierarchy = scope_rules(field, &written, warnings)?;
    introspection::of_resource(field, &written.scopes, &ids, issuers, warnings)?;
    let metadata = metadata(field, &written, &place, &ids, issuers)?;
    let hosts = hosts(&name("hosts"), written.hosts.as_deref())?;
    advise(field, &written, &place, &hosts, warnings);
    let claims_field = name("require_claims");
    let headers_field = name("identity_headers");
    let require_claims = claim_rules(&claims_field, &written.require_claims, &variables, warnings)?;
    let allowed_origins = written
        .allowed_origins
        .map(|list| origins(&name("allowed_origins"), list, warnings))
        .transpose()?;
    let identity_headers = identity_headers(&headers_field, written.identity_headers, warnings)?;
    Ok(Resource {
        hosts,
        require_claims,
        allowed_origins,
        withheld: Withheld::new(&identity_headers),
        identity_headers,
        filter_state: written.filter_state.map_or_else(
            || CallerFact::ALL.to_vec(),
            |facts| facts.into_iter().map(caller_fact).collect(),
        ),
        filter_lists: written.filter_lists && !written.operations.is_empty(),
        operations: operations(&name("operations"), written.operations, warnings)?,
        mirror: mirror(&name("resource"), &place.url_path, &ids, issuers)?,
        scope_hierarchy,
        issuers: ids,
        label: written.resource,
        scopes: written.scopes,
        forward_token: written.forward_token,
        cors: written.cors,
        identifier: place.identifier,
        pattern: place.pattern,
        metadata,
    })
}

/// Warns of what is allowed and unwise.
fn advise(
    field: &str,
    written: &document::Resource,
    place: &Place,
    hosts: &Hosts,
    warnings: &mut Vec<String>,
) {
    advice::own_host(&format!("{field}.hosts"), hosts, &place.url, warnings);
    advice::free_variables(
        &place.pattern_field,
        &place.pattern,
        &written.resource,
        written.require_claims.values().flatten(),
        warnings,
    );
    if written.filter_lists && written.operations.is_empty() {
        let text = "it does nothing where there are no `operations`";
        warn(warnings, &format!("{field}.filter_lists"), text);
    }
}

fn place(field: &str, written: &document::Resource, warnings: &mut Vec<String>) -> Result<Place> {
    let resource_field = format!("{field}.resource");
    let (url, url_path) = resource_url(&resource_field, &written.resource, warnings)?;
    let (pattern_field, path) = match &written.path {
        Some(path) => (format!("{field}.path"), path),
        None => (resource_field.clone(), &url_path),
    };
    no_expression(&pattern_field, path)?;
    let pattern = pattern(&pattern_field, path)?;
    let variables: Vec<&str> = pattern.variables().collect();
    let identifier = template(&resource_field, &written.resource, &variables)?;
    Ok(Place {
        url,
        url_path,
        pattern,
        pattern_field,
        identifier,
    })
}

/// Checks scopes wherever they stand but in `operations`.
fn scope_rules(
    field: &str,
    written: &document::Resource,
    warnings: &mut Vec<String>,
) -> Result<ScopeHierarchy> {
    let name = |name: &str| format!("{field}.{name}");
    let hierarchy = ScopeHierarchy::new(&written.scope_hierarchy);
    scopes(&name("scopes"), &written.scopes, warnings)?;
    if let Some(supported) = &written.scopes_supported {
        let field = name("scopes_supported");
        scopes(&field, supported, warnings)?;
        advice::supported_scopes(&field, &written.scopes, supported, &hierarchy, warnings);
    }
    let field = name("scope_hierarchy");
    for (broader, narrower) in &written.scope_hierarchy {
        scopes(&field, std::slice::from_ref(broader), warnings)?;
        scopes(&field, narrower, warnings)?;
    }
    advice::cycles(&field, &hierarchy, warnings);
    Ok(hierarchy)
}

fn metadata(
    field: &str,
    written: &document::Resource,
    place: &Place,
    ids: &[IssuerId],
    issuers: &[Issuer],
) -> Result<Metadata> {
    let resource_field = format!("{field}.resource");
    let variables: Vec<&str> = place.pattern.variables().collect();
    let path = if place.url_path == "/" {
        ""
    } else {
        place.url_path.as_str()
    };
    let members = Members {
        authorization_servers: ids
            .iter()
            .filter_map(|id| issuers.get(id.0))
            .map(|issuer| issuer.policy.issuer.as_str())
            .collect(),
        scopes_supported: written.scopes_supported.as_ref().unwrap_or(&written.scopes),
        bearer_methods_supported: ["header"],
        resource_name: written.name.as_deref(),
        resource_documentation: written.documentation.as_deref(),
    };
    Metadata::new(
        &place.identifier,
        place.url.origin(),
        &template(&resource_field, path, &variables)?,
        pattern(&resource_field, &well_known_path(&place.url_path))?,
        &members,
    )
    .ok_or_else(|| value(field, "members that are not JSON", "strings"))
}

/// A path is no expression: it would stand for itself alone, and protect nothing.
fn no_expression(field: &str, path: &str) -> Result<()> {
    match paths::instead(path) {
        None => Ok(()),
        Some(instead) => Err(value(
            field,
            &quoted_url(path),
            &format!(
                "a plain path, which stands for itself and all below it: no wildcard, no expression, no list; {instead}"
            ),
        )),
    }
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
    if url.authority().contains('*') {
        return Err(value(
            field,
            &quoted_url(text),
            "a URL with one host: `*` is no wildcard",
        ));
    }
    no_expression(field, path)?;
    if url.scheme() == "http" && !url.is_loopback() {
        let text = format!("{} is not https: clients refuse it", quoted_url(text));
        warn(warnings, field, &text);
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
    let mut ids = Vec::new();
    for name in names {
        let place = issuers.iter().position(|it| it.policy.issuer == *name);
        let Some(id) = place.map(IssuerId) else {
            return Err(value(
                field,
                &quoted_url(name),
                "an `issuer` of the list `issuers`, byte for byte",
            ));
        };
        // One that is named twice is accepted, and advertised, once.
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn hosts(field: &str, list: Option<&[String]>) -> Result<Hosts> {
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
                    "a host in lower case, with or without a port, without `*`",
                )
            })
        })
        .collect::<Result<_>>()
        .map(Hosts::Only)
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

fn caller_fact(fact: document::FilterState) -> CallerFact {
    match fact {
        document::FilterState::Subject => CallerFact::Subject,
        document::FilterState::Client => CallerFact::Client,
        document::FilterState::Issuer => CallerFact::Issuer,
        document::FilterState::Scopes => CallerFact::Scopes,
    }
}

fn claim_rules(
    field: &str,
    rules: &BTreeMap<String, Vec<String>>,
    variables: &[&str],
    warnings: &mut Vec<String>,
) -> Result<Vec<ClaimRule>> {
    rules
        .iter()
        .map(|(claim, values)| {
            let field = format!("{field}.{claim}");
            if values.is_empty() {
                return Err(value(&field, "an empty list", "at least one value"));
            }
            advice::dotted_claim(&field, claim, warnings);
            advice::starred_values(&field, values, warnings);
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

/// Origins as browsers send them (RFC 6454 §6.2): they are compared byte for byte.
fn origins(field: &str, list: Vec<String>, warnings: &mut Vec<String>) -> Result<Vec<String>> {
    for text in &list {
        let url = HttpUrl::parse_identifier(text).ok();
        let bare = |url: &HttpUrl| url.path_and_query().is_empty() && !text.contains('*');
        let Some(url) = url.filter(bare) else {
            return Err(value(
                field,
                &quoted_url(text),
                "origins such as https://app.example.com, without a path and without `*`; no `allowed_origins` for all",
            ));
        };
        advice::default_port(field, &url, warnings);
    }
    Ok(list)
}

fn pattern(field: &str, text: &str) -> Result<PathPattern> {
    PathPattern::parse(text).map_err(|error| {
        value(
            field,
            &quoted_url(text),
            &format!(
                "a plain path, which stands for itself and all below it, with {{name}} for one segment ({error})"
            ),
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
