//! From the configuration as written to the one that is used. Every check is here.

mod advice;
mod checks;
mod headers;
mod introspection;
mod issuer;
mod operations;
mod paths;
mod resource;

use super::document;
use super::words::quoted;
use super::{Config, Issuer, Limits, Mode};
use crate::resource::host::Hosts;
use crate::resource::{Resource, Resources};
use checks::{Result, seconds, size, value};

pub(super) fn config(written: document::Config) -> Result<Config> {
    let mut warnings = Vec::new();
    let issuers = issuers(written.issuers, &mut warnings)?;
    let resources = resources(written.resources, &issuers, &mut warnings)?;
    Ok(Config {
        enabled: written.enabled,
        mode: match written.mode {
            document::Mode::Enforce => Mode::Enforce,
            document::Mode::Observe => Mode::Observe,
        },
        limits: limits(&written.limits)?,
        issuers,
        resources: Resources::new(resources),
        warnings,
    })
}

fn issuers(written: Vec<document::Issuer>, warnings: &mut Vec<String>) -> Result<Vec<Issuer>> {
    if written.is_empty() {
        return Err(value("issuers", "an empty list", "at least one issuer"));
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (at, issuer) in written.into_iter().enumerate() {
        let field = format!("issuers[{at}]");
        let issuer = issuer::issuer(&field, issuer, warnings)?;
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
    advice::issuers_apart(&issuers, warnings);
    Ok(issuers)
}

fn resources(
    written: Vec<document::Resource>,
    issuers: &[Issuer],
    warnings: &mut Vec<String>,
) -> Result<Vec<Resource>> {
    if written.is_empty() {
        return Err(value("resources", "an empty list", "at least one resource"));
    }
    let mut resources: Vec<Resource> = Vec::new();
    for (at, resource) in written.into_iter().enumerate() {
        let field = format!("resources[{at}]");
        let resource = resource::resource(&field, resource, issuers, warnings)?;
        if let Some(other) = resources.iter().find(|other| collide(other, &resource)) {
            return Err(value(
                &field,
                &format!("the same path and hosts as {}", quoted(&other.label)),
                "a path of its own, or `hosts` that tell the two apart",
            ));
        }
        resources.push(resource);
    }
    advice::resources_apart(&resources, warnings);
    Ok(resources)
}

fn limits(written: &document::Limits) -> Result<Limits> {
    let limits = Limits {
        token_bytes: size("limits.token_bytes", written.token_bytes)?,
        held_requests: size("limits.held_requests", written.held_requests)?,
        body_bytes: size("limits.body_bytes", written.body_bytes)?,
        held_body_bytes: size("limits.held_body_bytes", written.held_body_bytes)?,
        body_time: seconds("limits.body_seconds", written.body_seconds)?,
        cached_tokens: size("limits.cached_tokens", written.cached_tokens)?,
        cached_bytes: size("limits.cached_bytes", written.cached_bytes)?,
    };
    if limits.held_body_bytes < limits.body_bytes {
        return Err(value(
            "limits.held_body_bytes",
            &limits.held_body_bytes.to_string(),
            "at least as much as limits.body_bytes",
        ));
    }
    Ok(limits)
}

fn collide(one: &Resource, other: &Resource) -> bool {
    let hosts_meet = match (&one.hosts, &other.hosts) {
        (Hosts::Any, Hosts::Any) => true,
        (Hosts::Only(one), Hosts::Only(other)) => one.iter().any(|host| other.contains(host)),
        (Hosts::Any, Hosts::Only(_)) | (Hosts::Only(_), Hosts::Any) => true,
    };
    hosts_meet && one.pattern.same_shape(&other.pattern)
}
